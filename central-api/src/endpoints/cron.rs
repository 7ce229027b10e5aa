//! The worker's cron asks for what is due.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::auth::signed;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::jobs::{self, Ran};
use crate::mail::run;
use crate::state::AppState;

/// Why the worker asks.
#[derive(Deserialize, utoipa::ToSchema)]
pub struct Tick {
    /// When the trigger was due, milliseconds since 1970.
    #[allow(
        dead_code,
        reason = "jobs run as of the centre's own clock; the field is checked to be there and a number"
    )]
    scheduled_time: i64,
    /// The trigger's pattern, as configured at the worker.
    #[allow(dead_code, reason = "which jobs are due is decided here, not there")]
    cron: String,
}

/// What ran.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TickAnswer {
    /// Jobs that were due and ran now; none when all were done already.
    ran: Vec<Ran>,
    /// Another process is running what is due.
    busy: bool,
    /// Reports by e-mail that were due and are being sent now; none when all were claimed already.
    reports: usize,
}

/// Runs the jobs that are due. Asking again does no harm: what is done is not done again.
#[utoipa::path(post, path = "/internal/cron", tag = "edge", request_body = Tick,
    params(("X-UD-Signature" = String, Header, description = "as for /ingest/v1/events")),
    responses(
        (status = 200, description = "what ran", body = TickAnswer),
        (status = 400, description = "the body cannot be read", body = ErrorBody),
        (status = 401, description = "the signature is missing, too old or wrong", body = ErrorBody),
))]
pub async fn tick(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<TickAnswer>, ApiError> {
    signed::verify(&state, &headers, &body).await?;
    let _tick: Tick = serde_json::from_slice(&body).map_err(|error| ApiError::Invalid {
        code: "invalid_json",
        field: None,
        message: format!("the body must be {{\"scheduled_time\": milliseconds, \"cron\": \"pattern\"}}: {error}"),
    })?;
    // Claimed here and sent beside: a mail server may take its time, and the worker does not wait long.
    let reports = run::claim_due(&state, state.clock.now()).await?.len();
    state.mail.now();
    let ran = jobs::run_due(&state, state.clock.now()).await?;
    Ok(Json(TickAnswer {
        reports,
        busy: ran.is_none(),
        ran: ran.unwrap_or_default(),
    }))
}
