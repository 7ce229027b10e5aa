//! The installation's secret, and the keys derived from it. Nothing that could be used is stored in the database.

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
    fn each_label_gives_a_key_of_its_own() {
        let secret = Secret::new("installation");
        assert_ne!(secret.derive("a"), secret.derive("b"));
        assert_eq!(secret.ingest_key("k1"), secret.ingest_key("k1"));
        assert_eq!(secret.ingest_key("k1").len(), 64);
    }
}
