//! The installation's secret, and the keys derived from it. Nothing that could be used is stored in the database.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Text that must never be printed: its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A key for one purpose: HMAC-SHA256 of the purpose's label. Different labels give unrelated keys.
    pub fn derive(&self, label: &str) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(label.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// By what it is known again: enough to tell a wrong secret from the right one, and of no other use.
    pub fn fingerprint(&self) -> [u8; 8] {
        let mut first = [0; 8];
        first.copy_from_slice(&self.derive("fingerprint")[..8]);
        first
    }

    /// The secret that a site's worker signs batches with, as the 64 hex digits its configuration holds and its HMAC is keyed by.
    pub fn ingest_key(&self, key_id: &str) -> String {
        hex(&self.derive(&format!("ingest:{key_id}")))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret in a file that only we may read; made once by `make` when there is none.
///
/// # Errors
/// When the file can be neither read nor made.
pub fn read_or_make(path: &Path, make: impl FnOnce() -> String) -> anyhow::Result<Secret> {
    let read = || -> std::io::Result<String> { std::fs::read_to_string(path) };
    let text = match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Written aside and linked into place: whoever comes at the same time sees all of it or nothing, and one of both wins.
            let aside = path.with_extension(format!("new-{}", std::process::id()));
            let written = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&aside)
                .and_then(|mut file| {
                    file.write_all(make().as_bytes())?;
                    file.sync_all()
                });
            written.with_context(|| format!("writing {}", aside.display()))?;
            let linked = std::fs::hard_link(&aside, path);
            let _ = std::fs::remove_file(&aside);
            match linked {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("creating {}", path.display()));
                }
                _ => read(),
            }
        }
        other => other,
    };
    let text = text.with_context(|| format!("reading {}", path.display()))?;
    Ok(Secret(text.trim().to_owned()))
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|d| char::from_digit(u32::from(d), 16).unwrap_or('0'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }

    #[test]
    fn a_secret_in_a_file_is_made_once_and_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("ud-secret-{:x}", rand::random::<u64>()));
        let first = read_or_make(&path, || "first".into()).unwrap();
        let second = read_or_make(&path, || "second".into()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            (first.expose(), second.expose(), mode & 0o777),
            ("first", "first", 0o600)
        );
        assert!(read_or_make(Path::new("/nowhere/secret"), || "x".into()).is_err());
    }

    #[test]
    fn each_label_gives_a_key_of_its_own() {
        let secret = Secret::new("installation");
        assert_ne!(secret.derive("a"), secret.derive("b"));
        assert_eq!(secret.ingest_key("k1"), secret.ingest_key("k1"));
        assert_eq!(secret.ingest_key("k1").len(), 64);
    }
}
