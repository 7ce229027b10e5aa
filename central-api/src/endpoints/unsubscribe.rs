//! Where a recipient leaves a schedule, without logging in: RFC 8058. Opening the link changes nothing, since programs open links too;
//! the button, and the mail program's own, do.

use askama::Template;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::db::report_schedules::{self, Schedule};
use crate::error::{ApiError, ErrorBody};
use crate::extract::Path;
use crate::mail::unsubscribe;
use crate::mail::wording::{UNSUBSCRIBE, UnsubscribeWords};
use crate::state::AppState;

enum Stage {
    Asked(String),
    Done,
    Unknown,
}

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct Page {
    language: &'static str,
    words: &'static UnsubscribeWords,
    stage: Stage,
}

/// The schedule and whose link it is; none when the address or the schedule is gone, or the link was made up.
async fn owner(state: &AppState, id: &str, token: &str) -> Result<Option<(Schedule, String)>, ApiError> {
    let Ok(id) = id.parse::<i64>() else {
        return Ok(None);
    };
    let Some(schedule) = report_schedules::list(&state.pool, None, Some(id)).await?.pop() else {
        return Ok(None);
    };
    let address = unsubscribe::owner(&state.config.secret, id, &schedule.plan.recipients, token).map(str::to_owned);
    Ok(address.map(|address| (schedule, address)))
}

fn page(language: &str, stage: Stage) -> Result<Response, ApiError> {
    let language = if language == "en" { "en" } else { "uk" };
    let page = Page {
        language,
        words: &UNSUBSCRIBE,
        stage,
    };
    let html = page.render().map_err(|error| ApiError::Internal(error.into()))?;
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response())
}

/// Asks whether to unsubscribe.
#[utoipa::path(get, path = "/unsubscribe/{schedule}/{token}", operation_id = "ask_unsubscribe", tag = "reports by e-mail", security(()), params(
    ("schedule" = i64, Path, description = "the schedule's number"), ("token" = String, Path, description = "as in the mail")), responses(
    (status = 200, description = "a page with a button", body = String, content_type = "text/html"),
    (status = 503, description = "the database cannot be asked now", body = ErrorBody),
))]
pub async fn ask(
    State(state): State<AppState>,
    Path((id, token)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    match owner(&state, &id, &token).await? {
        Some((schedule, _)) => page(&schedule.plan.language, Stage::Asked(schedule.plan.name)),
        None => page("uk", Stage::Unknown),
    }
}

/// Unsubscribes, once and for all.
#[utoipa::path(post, path = "/unsubscribe/{schedule}/{token}", operation_id = "unsubscribe", tag = "reports by e-mail", security(()), params(
    ("schedule" = i64, Path, description = "the schedule's number"), ("token" = String, Path, description = "as in the mail")), responses(
    (status = 200, description = "done, or there was nothing to do", body = String, content_type = "text/html"),
    (status = 503, description = "the database cannot take it now", body = ErrorBody),
))]
pub async fn leave(
    State(state): State<AppState>,
    Path((id, token)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    match owner(&state, &id, &token).await? {
        Some((schedule, address)) => {
            report_schedules::unsubscribe(&state.pool, schedule.id, &address, state.clock.now()).await?;
            page(&schedule.plan.language, Stage::Done)
        }
        None => page("uk", Stage::Unknown),
    }
}
