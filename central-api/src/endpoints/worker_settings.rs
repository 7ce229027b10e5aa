//! The worker asks what the panel says of it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use shared::signature;

use crate::auth::signed;
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;
use crate::worker_settings::{self, Served};

/// The settings of the asking worker's site. The answer is signed with the key of the question, so that a worker takes settings from
/// nobody else.
#[utoipa::path(post, path = "/internal/worker-settings", operation_id = "worker_settings", tag = "edge",
    request_body(content = String, content_type = "application/json", description = "An object; what it holds is not looked at"),
    params(("X-UD-Signature" = String, Header, description = "as for /ingest/v1/events")),
    responses(
        (status = 200, description = "the settings; X-UD-Signature signs the body", body = Served),
        (status = 401, description = "the signature is missing, too old or wrong", body = ErrorBody),
))]
pub async fn serve(State(state): State<AppState>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let site_id = signed::verify(&state, &headers, &body).await?;
    let site = state
        .sites
        .by_id(site_id)
        .ok_or(ApiError::Unauthorized("the key's site does not exist any more"))?;
    // The header was read by the verification; its key signs the answer too.
    let key_id = headers
        .get(signature::HEADER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| signature::parse(value).ok())
        .map(|header| header.key_id)
        .unwrap_or_default();
    let json =
        serde_json::to_string(&worker_settings::served(&site)).map_err(|error| ApiError::Internal(error.into()))?;
    let key = state.config.secret.ingest_key(key_id);
    let signed = signature::sign(key_id, key.as_bytes(), state.clock.now().timestamp(), json.as_bytes());
    let signed = HeaderValue::from_str(&signed).map_err(|error| ApiError::Internal(error.into()))?;
    Ok((
        [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static(signature::HEADER), signed),
        ],
        json,
    )
        .into_response())
}
