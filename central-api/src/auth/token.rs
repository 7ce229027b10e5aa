//! Random tokens: what is handed out once, and the digest that is stored.

use sha2::{Digest, Sha256};

use crate::secret::{Secret, hex};

/// What a token of the API begins with, so that people and secret scanners know it.
pub const API_PREFIX: &str = "ud_";

/// An API key's token: 256 random bits behind [`API_PREFIX`].
pub fn api_token(random: [u8; 32]) -> Secret {
    Secret::new(format!("{API_PREFIX}{}", hex(&random)))
}

/// The digest of a text that can be an API key's token; none of another, which need not be looked up.
pub fn api_digest(text: &str) -> Option<[u8; 32]> {
    text.starts_with(API_PREFIX).then(|| digest(text))
}

/// An admin session's token.
pub fn session_token(random: [u8; 32]) -> Secret {
    Secret::new(hex(&random))
}

/// The public name of a key: short, random, and unlike any token.
pub fn key_id(random: [u8; 8]) -> String {
    format!("k_{}", hex(&random))
}

/// What is stored and looked up. Tokens carry 256 random bits, so a plain digest is enough (nothing to guess), and looking the digest up
/// rather than comparing tokens leaves nothing for a timing attack to learn.
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_found_by_itself_alone(random: [u8; 32], other: [u8; 32], at in any::<prop::sample::Index>(), by in "(?s).", around in "[ \\t\u{0}a]") {
            let (token, session) = (api_token(random), session_token(random));
            let text = token.expose();
            let stored = digest(text);
            prop_assert_eq!(api_digest(text), Some(stored));
            prop_assert_eq!(api_digest(session.expose()), None);
            prop_assert_ne!(digest(session.expose()), stored);
            prop_assert_eq!(api_digest(api_token(other).expose()) == Some(stored), random == other);

            let at = at.index(text.len());
            let changed = format!("{}{by}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(api_digest(&changed) == Some(stored), changed == text);
            for longer in [format!("{text}{around}"), format!("{around}{text}"), text[..at].to_owned()] {
                prop_assert_ne!(api_digest(&longer), Some(stored), "{:?}", longer);
            }
        }

        #[test]
        fn a_token_holds_all_its_random_bits_in_characters_that_headers_and_links_take(random: [u8; 32]) {
            let token = session_token(random);
            let text = token.expose();
            prop_assert!(text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f')));
            let read: Vec<u8> = (0..64).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
            prop_assert_eq!(read, random);
        }
    }
}
