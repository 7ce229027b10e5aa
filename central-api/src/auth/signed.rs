//! Requests that a worker signed with an ingest key.

use axum::http::HeaderMap;
use shared::signature;

use crate::error::ApiError;
use crate::state::AppState;

/// Checks a signed request and answers the id of the site whose key signed it. An unknown key costs the same work and gets the same
/// answer as a wrong signature.
///
/// # Errors
/// 401 when the header is missing or unreadable, too old, or does not fit.
pub async fn verify(state: &AppState, headers: &HeaderMap, body: &[u8]) -> Result<i32, ApiError> {
    let header = headers
        .get(signature::HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let signed = signature::parse(header).map_err(refused)?;
    let site = state.keys.ingest_site(state, signed.key_id).await?;
    // An unknown key is checked against the key it would have: the answer takes as long and says as little.
    let key = state.config.secret.ingest_key(signed.key_id);
    signed
        .verify(key.as_bytes(), state.clock.now().timestamp(), body)
        .map_err(refused)?;
    site.ok_or(refused(signature::BadSignature::Mismatch))
}

fn refused(reason: signature::BadSignature) -> ApiError {
    ApiError::Unauthorized(match reason {
        signature::BadSignature::Malformed => {
            "the header x-ud-signature must read v1;k=<key id>;t=<unix seconds>;s=<64 hex digits>"
        }
        signature::BadSignature::Expired => "the signature's time is more than 300 seconds away from the server's",
        signature::BadSignature::Mismatch => "the signature does not match",
    })
}
