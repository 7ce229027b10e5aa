//! What was sent to whom, and what came of it.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::report_schedules::OfSite;
use crate::auth::Admin;
use crate::db::report_runs::{self, Delivery, Run};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path, Query};
use crate::mail::timing::LATE_AFTER;
use crate::state::AppState;

/// Which runs are asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Only those of the schedule with this number.
    schedule: Option<i64>,
    /// Only the one with this number.
    id: Option<i64>,
    /// At most 200; 20 when absent.
    limit: Option<i64>,
}

/// A report that was sent, or is being sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RunView {
    /// Number.
    id: i64,
    /// Number of the schedule; null: sent by hand without one.
    schedule_id: Option<i64>,
    /// Its name.
    schedule: Option<String>,
    /// `scheduled`, `manual` or `test`.
    kind: String,
    /// When it was due.
    slot_at: Option<DateTime<Utc>>,
    /// When it was claimed or asked for.
    created_at: DateTime<Utc>,
    /// When nothing was left to do; null: at work, or waiting for the next attempt.
    finished_at: Option<DateTime<Utc>>,
    /// First local day of its figures; null: from the beginning.
    first_day: Option<NaiveDate>,
    /// Last local day.
    last_day: NaiveDate,
    /// It was too late to be sent at all.
    missed: bool,
    /// It was sent much later than it was due.
    late: bool,
    /// Why nobody could be served at the last attempt.
    failure: Option<String>,
    /// Recipients by address.
    deliveries: Vec<DeliveryView>,
}

/// A recipient of a run.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryView {
    /// To whom.
    address: String,
    /// `pending`: to be sent at `try_after`. `sending`. `sent`: the server accepted it. `failed`: refused for good, or too often.
    /// `uncertain`: handed over, and nobody knows whether it was accepted; sent again only when somebody asks. `unsubscribed`: left out.
    /// `withdrawn`: taken out of the schedule's list, or the schedule was switched off, before it was sent.
    state: String,
    /// How often it was tried.
    attempts: i16,
    /// When it is tried next; null unless pending.
    try_after: Option<DateTime<Utc>>,
    /// When it was tried last.
    attempted_at: Option<DateTime<Utc>>,
    /// When its state became final.
    settled_at: Option<DateTime<Utc>>,
    /// What the mail server said, or why nothing is known.
    detail: Option<String>,
}

impl RunView {
    fn new(run: Run, deliveries: Vec<DeliveryView>) -> Self {
        Self {
            id: run.id,
            schedule_id: run.schedule_id,
            schedule: run.schedule_name,
            late: !run.missed && run.slot_at.is_some_and(|slot| run.created_at - slot > LATE_AFTER),
            kind: run.kind,
            slot_at: run.slot_at,
            created_at: run.created_at,
            finished_at: run.finished_at,
            first_day: run.first_day,
            last_day: run.last_day,
            missed: run.missed,
            failure: run.failure,
            deliveries,
        }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            try_after: (delivery.state == "pending").then_some(delivery.try_after),
            address: delivery.address,
            state: delivery.state,
            attempts: delivery.attempts,
            attempted_at: delivery.attempted_at,
            settled_at: delivery.settled_at,
            detail: delivery.detail,
        }
    }
}

/// Runs, the latest first, with what came of every recipient.
#[utoipa::path(get, path = "/api/v1/report-runs", operation_id = "list_report_runs", tag = "reports by e-mail", params(Asked), responses(
    (status = 200, description = "the latest first", body = Vec<RunView>),
    (status = 400, description = "a parameter is not allowed; it is named", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn list(
    State(state): State<AppState>,
    admin: Admin,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<RunView>>, ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let limit = asked.limit.unwrap_or(20);
    if !(1..=200).contains(&limit) {
        return Err(ApiError::invalid("limit", "must be from 1 to 200"));
    }
    let runs = report_runs::list(&state.pool, Some(site.id), asked.schedule, asked.id, limit).await?;
    let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
    let mut deliveries = report_runs::deliveries(&state.pool, &ids).await?;
    let views = runs.into_iter().map(|run| {
        let own = deliveries
            .extract_if(.., |delivery| delivery.run_id == run.id)
            .map(DeliveryView::from)
            .collect();
        RunView::new(run, own)
    });
    Ok(Json(views.collect()))
}

/// What is sent again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SentAgain {
    /// Recipients.
    recipients: u64,
}

/// Sends a run's report again to those whose mail failed or is uncertain; who is uncertain may get it twice. The others get nothing, nor does who left the schedule or was taken out of it meanwhile, or anybody while it is off.
#[utoipa::path(post, path = "/api/v1/report-runs/{id}/send-again", operation_id = "send_report_again", tag = "reports by e-mail",
    params(("id" = i64, Path, description = "the run's number"), OfSite), responses(
    (status = 202, description = "being sent", body = SentAgain),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 404, description = "there is none with this number", body = ErrorBody),
))]
pub async fn send_again(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
    Query(asked): Query<OfSite>,
) -> Result<(StatusCode, Json<SentAgain>), ApiError> {
    const GONE: ApiError = ApiError::NotFound("there is no run with this number");
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let id: i64 = id.parse().map_err(|_| GONE)?;
    let run = report_runs::list(&state.pool, Some(site.id), None, Some(id), 1)
        .await?
        .pop()
        .ok_or(GONE)?;
    let mut transaction = state.pool.begin().await?;
    let recipients = report_runs::send_again(&mut transaction, run.id, state.clock.now()).await?;
    transaction.commit().await?;
    state.mail.now();
    Ok((StatusCode::ACCEPTED, Json(SentAgain { recipients })))
}
