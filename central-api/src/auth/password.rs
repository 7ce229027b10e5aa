//! Passwords: argon2id, computed off the async threads and a few at a time, since each takes 19 MiB.

use std::sync::OnceLock;
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Fewest characters of a password.
pub const MIN_CHARS: usize = 10;
/// Most bytes of a password: hashing a megabyte is a way to keep us busy.
pub const MAX_BYTES: usize = 256;

/// Two at a time: what two cores can do, and 38 MiB at most.
static BUSY: Semaphore = Semaphore::const_new(2);
/// Longest wait for a turn; beyond it the caller is told to come back.
const WAIT: Duration = Duration::from_secs(5);

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// Says what is wrong with a new password.
///
/// # Errors
/// 400 for `field`.
pub fn check(field: &str, password: &str) -> Result<(), ApiError> {
    if password.chars().count() < MIN_CHARS {
        return Err(ApiError::invalid(
            field,
            format!("a password has at least {MIN_CHARS} characters"),
        ));
    }
    if password.len() > MAX_BYTES {
        return Err(ApiError::invalid(
            field,
            format!("a password has at most {MAX_BYTES} bytes"),
        ));
    }
    Ok(())
}

/// The hash to store, in PHC text form. Blocks for about 20 ms.
///
/// # Errors
/// None that input can cause; the library's are passed on.
pub fn hash_blocking(password: &str, salt: [u8; 16]) -> anyhow::Result<String> {
    let salt = SaltString::encode_b64(&salt).map_err(|error| anyhow::anyhow!("salt: {error}"))?;
    argon2id()
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| anyhow::anyhow!("argon2: {error}"))
}

/// [`hash_blocking`] on a thread for such work.
///
/// # Errors
/// 503 when too many are waiting.
pub async fn hash(password: String, salt: [u8; 16]) -> Result<String, ApiError> {
    Ok(in_turn(move || hash_blocking(&password, salt)).await??)
}

/// Whether the password is the one that was hashed. Without a hash (nobody has that e-mail) the same work is done for a `false`.
///
/// # Errors
/// 503 when too many are waiting.
pub async fn verify(password: String, stored: Option<String>) -> Result<bool, ApiError> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    in_turn(move || {
        static NOBODY: OnceLock<String> = OnceLock::new();
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| {
            NOBODY
                .get_or_init(|| hash_blocking("nobody's password", [7; 16]).unwrap_or_default())
                .clone()
        });
        PasswordHash::new(&stored).is_ok_and(|hash| argon2id().verify_password(password.as_bytes(), &hash).is_ok())
            && known
    })
    .await
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let Ok(Ok(permit)) = tokio::time::timeout(WAIT, BUSY.acquire()).await else {
        return Err(ApiError::TooManyRequests(5));
    };
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
    .map_err(|error| ApiError::Internal(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let stored = hash("correct horse battery".into(), [1; 16]).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        for (password, right) in [
            ("correct horse battery", true),
            ("correct horse batterY", false),
            ("", false),
        ] {
            assert_eq!(verify(password.into(), Some(stored.clone())).await.unwrap(), right);
        }
    }

    #[tokio::test]
    async fn nobody_has_no_password_not_even_the_stand_in() {
        assert!(!verify("nobody's password".into(), None).await.unwrap());
        assert!(!verify("x".into(), Some("not a hash".into())).await.unwrap());
    }

    #[test]
    fn a_short_or_huge_password_is_refused_by_name() {
        for bad in ["", "ninechars", &"x".repeat(257)] {
            let error = check("new_password", bad).unwrap_err();
            assert!(matches!(error, ApiError::Invalid { field: Some(ref field), .. } if field == "new_password"));
        }
        assert!(check("password", "десять знаків").is_ok());
    }
}
