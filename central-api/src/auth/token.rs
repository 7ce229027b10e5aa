//! Random tokens: what is handed out once, and the digest that is stored.

use sha2::{Digest, Sha256};

use crate::secret::{Secret, hex};

/// What a token of the API begins with, so that people and secret scanners know it.
pub const API_PREFIX: &str = "ud_";

/// An API key's token: 256 random bits behind [`API_PREFIX`].
pub fn api_token(random: [u8; 32]) -> Secret {
    Secret::new(format!("{API_PREFIX}{}", hex(&random)))
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
