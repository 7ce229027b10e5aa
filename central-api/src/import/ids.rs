//! Identifiers that come out the same whenever a row is read: a second run meets its own rows and changes nothing.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use shared::ids::uuid_v7;
use uuid::Uuid;

use crate::secret::Secret;

/// Makes the identifiers of one site's imports.
#[derive(Clone)]
pub struct ImportIds {
    key: [u8; 32],
}

impl std::fmt::Debug for ImportIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ImportIds")
    }
}

impl ImportIds {
    /// For one site of the installation. Keyed, so that nobody can make the id of a foreign row.
    pub fn new(secret: &Secret, site_id: i32) -> Self {
        Self {
            key: secret.derive(&format!("import:{site_id}")),
        }
    }

    fn hash(&self, what: &str, id: &str) -> [u8; 16] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(what.as_bytes());
        mac.update(b":");
        mac.update(id.as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes
    }

    /// Of a session or visitor: the source's own UUID as it is, else made of its id. It needs no time, so that actions and orders,
    /// which know only the id, find it.
    pub fn named(&self, what: &str, id: &str) -> Uuid {
        Uuid::try_parse(id)
            .ok()
            .filter(|uuid| !uuid.is_nil())
            .unwrap_or_else(|| uuid::Builder::from_custom_bytes(self.hash(what, id)).into_uuid())
    }

    /// Of an event: UUIDv7 with the row's own time.
    pub fn event(&self, what: &str, id: &str, at: DateTime<Utc>) -> Uuid {
        let mut random = [0; 10];
        random.copy_from_slice(&self.hash(what, id)[..10]);
        uuid_v7(at.timestamp_millis(), random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_repeat_differ_by_site_and_kind_and_keep_a_uuid() {
        let secret = Secret::new("installation");
        let (one, two) = (ImportIds::new(&secret, 1), ImportIds::new(&secret, 2));
        let at = "2025-01-30T12:00:00.123Z".parse().unwrap();
        assert_eq!(
            one.event("action", "7", at),
            ImportIds::new(&secret, 1).event("action", "7", at)
        );
        assert_eq!(
            shared::ids::minted_at_ms(one.event("action", "7", at)),
            Some(at.timestamp_millis())
        );
        assert_ne!(one.event("action", "7", at), two.event("action", "7", at));
        assert_ne!(one.named("session", "7"), one.named("visitor", "7"));
        let uuid = Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(one.named("session", &uuid.to_string()), uuid);
        assert_ne!(one.named("session", &Uuid::nil().to_string()), Uuid::nil());
    }
}
