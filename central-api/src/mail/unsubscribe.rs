//! Links with which a recipient leaves a schedule without logging in (RFC 8058). They hold no address: proxies log paths.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::{Secret, hex};

/// Bytes of the signature that a link carries; 128 bits cannot be guessed.
const LENGTH: usize = 16;

fn mac(secret: &Secret, schedule_id: i64, address: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&secret.derive("unsubscribe")).expect("HMAC takes a key of any length");
    mac.update(format!("{schedule_id}:{address}").as_bytes());
    mac
}

/// Where a recipient leaves a schedule.
pub fn link(origin: &str, secret: &Secret, schedule_id: i64, address: &str) -> String {
    let signature = mac(secret, schedule_id, address).finalize().into_bytes();
    format!("{origin}/unsubscribe/{schedule_id}/{}", hex(&signature[..LENGTH]))
}

/// Whose link it is, of a schedule's recipients.
pub fn owner<'a>(secret: &Secret, schedule_id: i64, recipients: &'a [String], token: &str) -> Option<&'a str> {
    let bytes: Vec<u8> = (0..token.len())
        .step_by(2)
        .map(|at| {
            token
                .get(at..at + 2)
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        })
        .collect::<Option<_>>()?;
    if bytes.len() != LENGTH {
        return None;
    }
    let fits = |address: &&String| mac(secret, schedule_id, address).verify_truncated_left(&bytes).is_ok();
    recipients.iter().find(fits).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_finds_its_owner_in_its_own_schedule_only() {
        let secret = Secret::new("installation");
        let people = ["a@x.example".to_owned(), "b@x.example".to_owned()];
        let link = link("https://utm.x.example", &secret, 7, "b@x.example");
        let token = link.rsplit('/').next().unwrap();
        assert!(!link.contains('@'));
        assert_eq!(owner(&secret, 7, &people, token), Some("b@x.example"));
        assert_eq!(owner(&secret, 8, &people, token), None);
        assert_eq!(owner(&secret, 7, &people[..1], token), None);
        assert_eq!(owner(&Secret::new("another"), 7, &people, token), None);
        for bad in [
            "",
            "0",
            "zz",
            &token[2..],
            &format!("{token}00"),
            "é0",
            &"00".repeat(16),
        ] {
            assert_eq!(owner(&secret, 7, &people, bad), None, "{bad}");
        }
    }
}
