//! Requests that a worker signed with an ingest key.

use axum::http::HeaderMap;
use shared::signature::{self, BadSignature};

use crate::error::ApiError;
use crate::secret::Secret;
use crate::state::AppState;

/// Checks a signed request and answers the id of the site whose key signed it. An unknown key costs the same work and gets the same
/// answer as a wrong signature.
///
/// # Errors
/// 401 when the header is missing or unreadable, too old, or does not fit.
pub async fn verify(state: &AppState, headers: &HeaderMap, body: &[u8]) -> Result<i32, ApiError> {
    let now = state.clock.now().timestamp();
    let key_id = signer(&state.config.secret, headers, now, body).map_err(refused)?;
    let site = state.keys.ingest_site(state, key_id).await?;
    site.ok_or(refused(BadSignature::Mismatch))
}

/// Whether a request names a live key and the present time, before its body is read. Where the keys cannot be read it passes for one that
/// does: [`verify`] will say so.
pub async fn claims_a_live_key(state: &AppState, headers: &HeaderMap) -> bool {
    let Ok(signed) = signature::parse(header(headers)) else {
        return false;
    };
    let fresh = signed.is_fresh(state.clock.now().timestamp());
    fresh && !matches!(state.keys.ingest_site(state, signed.key_id).await, Ok(None))
}

fn header(headers: &HeaderMap) -> &str {
    let value = headers.get(signature::HEADER);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The id of the key that signed the request, which may be unknown or revoked: every id has a key that follows from it, so that which
/// ids are live shows neither in the answer nor in its time.
fn signer<'a>(secret: &Secret, headers: &'a HeaderMap, now: i64, body: &[u8]) -> Result<&'a str, BadSignature> {
    let signed = signature::parse(header(headers))?;
    signed.verify(secret.ingest_key(signed.key_id).as_bytes(), now, body)?;
    Ok(signed.key_id)
}

fn refused(reason: BadSignature) -> ApiError {
    ApiError::Unauthorized(match reason {
        BadSignature::Malformed => {
            "the header x-ud-signature must read v1;k=<key id>;t=<unix seconds>;s=<64 hex digits>"
        }
        BadSignature::Expired => "the signature's time is more than 300 seconds away from the server's",
        BadSignature::Mismatch => "the signature does not match",
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_763_600_000;

    fn sent(header: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(header) {
            headers.insert(signature::HEADER, value);
        }
        headers
    }

    proptest! {
        #[test]
        fn a_body_is_taken_from_its_key_and_installation_alone_for_five_minutes(
            key in "[a-z0-9_]{1,20}", body in prop::collection::vec(any::<u8>(), 0..80), away in prop_oneof![-310i64..310, any::<i64>()],
            other_key in "[a-z0-9_]{1,20}", at in any::<prop::sample::Index>(), change in 1u8..,
        ) {
            let secret = Secret::new("installation");
            let header = signature::sign(&key, secret.ingest_key(&key).as_bytes(), NOW, &body);
            let headers = sent(header.as_bytes());
            let now = NOW.saturating_add(away);
            let taken = signer(&secret, &headers, now, &body);
            let expected = if now.abs_diff(NOW) <= 300 { Ok(key.as_str()) } else { Err(BadSignature::Expired) };
            prop_assert_eq!(taken, expected);

            prop_assert_eq!(signer(&Secret::new("another"), &headers, NOW, &body), Err(BadSignature::Mismatch));
            if other_key != key {
                let claimed = sent(header.replacen(&format!("k={key};"), &format!("k={other_key};"), 1).as_bytes());
                prop_assert_eq!(signer(&secret, &claimed, NOW, &body), Err(BadSignature::Mismatch));
            }
            let mut other_body = body.clone();
            match body.len() {
                0 => other_body.push(change),
                len => other_body[at.index(len)] ^= change,
            }
            prop_assert_eq!(signer(&secret, &headers, NOW, &other_body), Err(BadSignature::Mismatch));
        }

        #[test]
        fn a_header_of_any_bytes_or_with_any_one_changed_is_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..150), at in any::<prop::sample::Index>(), by: u8,
        ) {
            let secret = Secret::new("installation");
            let mut header = signature::sign("k_1", secret.ingest_key("k_1").as_bytes(), NOW, b"body").into_bytes();
            let at = at.index(header.len());
            // Hex digits may be capitals.
            prop_assume!(!by.eq_ignore_ascii_case(&header[at]));
            header[at] = by;
            for header in [header, bytes] {
                prop_assert!(signer(&secret, &sent(&header), NOW, b"body").is_err(), "{}", header.escape_ascii());
            }
        }
    }
}
