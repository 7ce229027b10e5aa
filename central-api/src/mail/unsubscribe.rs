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
    if token.len() != 2 * LENGTH {
        return None;
    }
    // Only as [`link`] writes them: a link has one spelling.
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(token.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    let fits = |address: &&String| mac(secret, schedule_id, address).verify_truncated_left(&bytes).is_ok();
    recipients.iter().find(fits).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_link_is_its_recipients_in_its_schedule_only_and_any_other_text_nobodys(
            schedule: i64, apart in 1i64..50, names in prop::collection::btree_set("[a-z0-9]{1,6}", 1..5), whose in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(), by in "[+0-9a-fA-F]|(?s).", text in "(?s).{0,40}|[0-9a-f]{32}",
        ) {
            let secret = Secret::new("installation");
            let people: Vec<String> = names.into_iter().map(|name| format!("{name}@x.example")).collect();
            let address = &people[whose.index(people.len())];
            let link = link("https://utm.x.example", &secret, schedule, address);
            let token = link.strip_prefix(&format!("https://utm.x.example/unsubscribe/{schedule}/")).unwrap();
            prop_assert_eq!(owner(&secret, schedule, &people, token), Some(address.as_str()));
            prop_assert_eq!(owner(&secret, schedule.wrapping_add(apart), &people, token), None);
            prop_assert_eq!(owner(&Secret::new("another"), schedule, &people, token), None);
            let others: Vec<String> = people.iter().filter(|person| *person != address).cloned().collect();
            prop_assert_eq!(owner(&secret, schedule, &others, token), None);
            let at = at.index(token.len());
            let changed = format!("{}{by}{}", &token[..at], &token[at + 1..]);
            // As the standard library reads numbers too.
            let signs = token.as_bytes().chunks(2).map(|pair| if pair[0] == b'0' { ['+', pair[1].into()] } else { [pair[0].into(), pair[1].into()] });
            for changed in [changed, text, token.to_uppercase(), signs.flatten().collect()] {
                prop_assert_eq!(owner(&secret, schedule, &people, &changed).is_some(), changed == token, "{}", changed);
            }
        }
    }
}
