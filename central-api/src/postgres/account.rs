//! Postgres refuses to run as root: then it runs as an unprivileged user that owns its files.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use anyhow::{Context, bail};

/// Whom to run Postgres as when we are root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// For messages.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The account for Postgres; `None` when we are not root and run it as ourselves. Who owns the cluster, or else the data directory, keeps
/// it: the service that runs there as that user must find everything as it left it.
///
/// # Errors
/// When we are root and there is no unprivileged user.
pub fn for_this_process(directory: &Path, cluster: &Path) -> anyhow::Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    if let Some(owner) = [cluster, directory].into_iter().find_map(owner) {
        return Ok(Some(owner));
    }
    let passwd = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd to find an unprivileged user")?;
    find(&passwd).map(Some).context(
        "Postgres does not run as root, and there is neither a user postgres nor nobody; create one (useradd --system postgres) or start central-api as another user",
    )
}

/// Whose a path is, unless root's.
fn owner(path: &Path) -> Option<Account> {
    let meta = std::fs::metadata(path).ok()?;
    (meta.uid() != 0).then(|| Account {
        name: format!("user {} (the owner of {})", meta.uid(), path.display()),
        uid: meta.uid(),
        gid: meta.gid(),
    })
}

/// A file that root made in somebody else's data directory becomes theirs, or the service that runs as them could not open it.
///
/// # Errors
/// When it cannot be looked at or given away.
pub fn leave_to_owner(directory: &Path, file: &Path) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let is_ours = std::fs::metadata(file)
        .with_context(|| format!("looking at {}", file.display()))?
        .uid()
        == 0;
    match owner(directory) {
        Some(owner) if is_ours => chown(file, Some(owner.uid), Some(owner.gid))
            .with_context(|| format!("giving {} to the owner of its directory", file.display())),
        _ => Ok(()),
    }
}

/// `postgres`, else `nobody`.
fn find(passwd: &str) -> Option<Account> {
    ["postgres", "nobody"].into_iter().find_map(|wanted| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (name == wanted && uid != 0).then(|| Account {
                name: name.to_owned(),
                uid,
                gid,
            })
        })
    })
}

impl Account {
    /// Checks that this user can enter a directory and all above it.
    ///
    /// # Errors
    /// Names the directory that it cannot enter, and what helps.
    pub fn check_reach(&self, directory: &Path) -> anyhow::Result<()> {
        let directory = directory
            .canonicalize()
            .with_context(|| format!("looking up {}", directory.display()))?;
        for part in directory.ancestors() {
            let meta = std::fs::metadata(part).with_context(|| format!("looking at {}", part.display()))?;
            let bit = match (meta.uid() == self.uid, meta.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if meta.mode() & bit == 0 {
                bail!(
                    "Postgres does not run as root but as {}, who may not enter {}; run `chmod o+x {}`, use another directory than {}, or start the service that owns it first: what runs is used",
                    self.name,
                    part.display(),
                    part.display(),
                    directory.display(),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn postgres_is_preferred_to_nobody_and_root_is_never_taken() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/x\npostgres:x:101:104::/:/x\n";
        assert_eq!(find(passwd).unwrap().uid, 101);
        assert_eq!(find("nobody:x:9:8::/:/x").unwrap().gid, 8);
        assert_eq!(find("postgres:x:0:0::/:/x\nbroken\n:::\n"), None);
    }

    #[test]
    fn a_directory_that_cannot_be_entered_is_named() {
        let top = std::env::temp_dir().join(format!("ud-reach-{:x}", rand::random::<u64>()));
        let below = top.join("private/data");
        std::fs::create_dir_all(&below).unwrap();
        let somebody = Account {
            name: "somebody".into(),
            uid: 54_321,
            gid: 54_321,
        };
        somebody.check_reach(&below).unwrap();
        std::fs::set_permissions(top.join("private"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let error = somebody.check_reach(&below).unwrap_err().to_string();
        std::fs::remove_dir_all(&top).unwrap();
        assert!(error.contains("private; run `chmod o+x"), "{error}");
    }
}
