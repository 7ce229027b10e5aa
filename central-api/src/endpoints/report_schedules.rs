//! Reports by e-mail: what is sent when to whom, and what a report looks like.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgExecutor;

use crate::auth::{Admin, Viewer};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::report_schedules::{self, Schedule};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path, Query};
use crate::mail::content::Subject;
use crate::mail::message::Mailing;
use crate::mail::page::Circumstances;
use crate::mail::plan::{Format, Plan, PlanFields};
use crate::mail::run::{self, Kind};
use crate::mail::timing::{Covered, Frequency, covered_days};
use crate::mail::transport::{Transport, sender};
use crate::reports::filter::Filters;
use crate::reports::params::Params;
use crate::reports::scope::Scope;
use crate::site::Site;
use crate::state::AppState;

/// Lets a preview show its own inline styles and picture, in a frame of the panel and nowhere else; it runs nothing.
const PREVIEW_POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-popups";

/// Which site is meant.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfSite {
    /// Key of the site; need not be given when there is only one.
    pub(super) site: Option<String>,
}

/// A schedule.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ScheduleView {
    /// Number.
    id: i64,
    /// Key of the site.
    site: String,
    /// For people.
    name: String,
    /// `daily`, `weekly` or `monthly`.
    frequency: &'static str,
    /// Of a weekly one: 1 is Monday.
    weekday: Option<u32>,
    /// Of a monthly one; the last day of a month that is shorter.
    month_day: Option<u32>,
    /// Full hour.
    hour: u32,
    /// IANA name of the hour's zone.
    time_zone: &'static str,
    /// Addresses.
    recipients: Vec<String>,
    /// Those of them who want no more mails. Taking an address out of the list and saving forgets that.
    unsubscribed: Vec<String>,
    /// How the mails look.
    format: Format,
    /// With utm_sources.csv and utm_campaigns.csv.
    attach_csv: bool,
    /// `uk` or `en`.
    language: String,
    /// Which sessions count: dimension → values as they would be asked for.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>)]
    filters: Filters,
    /// Whether it is sent.
    enabled: bool,
    /// When it is due next, UTC; null while it is off.
    next_at: Option<DateTime<Utc>>,
    /// First local day that the next report covers.
    next_from: Option<chrono::NaiveDate>,
    /// Last local day that the next report covers.
    next_to: Option<chrono::NaiveDate>,
    /// The latest slot that was claimed.
    last_slot: Option<DateTime<Utc>>,
    /// Hours after its time in which a report that could not be sent then is still sent, late.
    late_window_hours: i64,
}

impl ScheduleView {
    fn new(site: &Site, schedule: Schedule, now: DateTime<Utc>) -> Self {
        let Schedule {
            id,
            plan,
            due_after,
            last_slot,
            unsubscribed,
            ..
        } = schedule;
        let frequency = plan.timing.frequency;
        let next = plan.enabled.then(|| plan.timing.next(now.max(due_after)));
        let days = next.map(|next| covered_days(frequency.covers(), next, site.time_zone));
        Self {
            id,
            site: site.key.clone(),
            name: plan.name,
            frequency: frequency.name(),
            weekday: match frequency {
                Frequency::Weekly(weekday) => Some(weekday.number_from_monday()),
                _ => None,
            },
            month_day: match frequency {
                Frequency::Monthly(day) => Some(day),
                _ => None,
            },
            hour: plan.timing.hour,
            time_zone: plan.timing.zone.name(),
            recipients: plan.recipients,
            unsubscribed,
            format: plan.format,
            attach_csv: plan.attach_csv,
            language: plan.language,
            filters: plan.filters,
            enabled: plan.enabled,
            next_at: next,
            next_from: days.map(|days| days.0),
            next_to: days.map(|days| days.1),
            last_slot,
            late_window_hours: frequency.late_window().num_hours(),
        }
    }
}

/// Schedules of a site, and whether mails can leave.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Schedules {
    /// By number.
    schedules: Vec<ScheduleView>,
    /// Where mails go; null: they are not set up.
    transport: Option<String>,
    /// What is missing for mails to leave; null: nothing.
    problem: Option<String>,
}

/// A run that was begun.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Begun {
    /// Its number: `/api/v1/report-runs?id=…` tells how it went.
    run_id: i64,
}

const GONE: ApiError = ApiError::NotFound("there is no schedule with this number");

/// Reads a number from a path.
fn number(id: &str) -> Result<i64, ApiError> {
    id.parse().map_err(|_| GONE)
}

/// A schedule that this admin may change; another site's is as good as none.
async fn find(
    state: &AppState,
    db: impl PgExecutor<'_>,
    admin: &Admin,
    id: i64,
) -> Result<(Arc<Site>, Schedule), ApiError> {
    let schedule = report_schedules::list(db, None, Some(id)).await?.pop().ok_or(GONE)?;
    let site = state.sites.by_id(schedule.site_id).ok_or(GONE)?;
    admin.site(&state.sites, Some(&site.key)).map_err(|_| GONE)?;
    Ok((site, schedule))
}

async fn log(
    connection: &mut sqlx::PgConnection,
    admin: &Admin,
    site: &Site,
    action: &str,
    plan: &Plan,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action,
        subject: &plan.name,
        detail: json!({"frequency": plan.timing.frequency.name(), "recipients": plan.recipients.len(), "enabled": plan.enabled}),
    };
    audit_log::insert(connection, &entry, now).await
}

/// Schedules of a site.
#[utoipa::path(get, path = "/api/v1/report-schedules", operation_id = "list_report_schedules", tag = "reports by e-mail", params(OfSite), responses(
    (status = 200, description = "the schedules, and whether mails can leave", body = Schedules),
    (status = 400, description = "a parameter is not allowed; it is named", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn list(
    State(state): State<AppState>,
    admin: Admin,
    Query(asked): Query<OfSite>,
) -> Result<Json<Schedules>, ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let now = state.clock.now();
    let schedules = report_schedules::list(&state.pool, Some(site.id), None).await?;
    let transport = Transport::of(&state.config).and_then(|transport| sender(&state.config).map(|_| transport));
    Ok(Json(Schedules {
        schedules: schedules
            .into_iter()
            .map(|schedule| ScheduleView::new(&site, schedule, now))
            .collect(),
        problem: transport.as_ref().err().map(|error| format!("{error:#}")),
        transport: transport.ok().map(|transport| transport.describe()),
    }))
}

/// Makes a schedule. Its first report is that of the next slot.
#[utoipa::path(post, path = "/api/v1/report-schedules", operation_id = "create_report_schedule", tag = "reports by e-mail", params(OfSite),
    request_body(content = PlanFields, example = json!({
        "frequency": "weekly", "weekday": 1, "hour": 9, "recipients": ["team@shop.example"], "attach_csv": true
    })), responses(
    (status = 201, description = "made", body = ScheduleView),
    (status = 400, description = "a field has a value that is not allowed; it is named", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn create(
    State(state): State<AppState>,
    admin: Admin,
    Query(asked): Query<OfSite>,
    Json(fields): Json<PlanFields>,
) -> Result<(StatusCode, Json<ScheduleView>), ApiError> {
    let site = admin.site(&state.sites, asked.site.as_deref())?;
    let plan = Plan::new(&site, &fields)?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    let id = report_schedules::insert(&mut *transaction, site.id, &plan, now).await?;
    log(&mut transaction, &admin, &site, "report_schedule.create", &plan, now).await?;
    transaction.commit().await?;
    let (site, schedule) = find(&state, &state.pool, &admin, id).await?;
    Ok((StatusCode::CREATED, Json(ScheduleView::new(&site, schedule, now))))
}

/// Changes a schedule; absent fields stay as they are. When its time changes or it is switched on, slots that are past are not made up for.
#[utoipa::path(patch, path = "/api/v1/report-schedules/{id}", operation_id = "change_report_schedule", tag = "reports by e-mail",
    params(("id" = i64, Path, description = "its number")), request_body = PlanFields, responses(
    (status = 200, description = "as it is now", body = ScheduleView),
    (status = 400, description = "a field has a value that is not allowed; it is named", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 404, description = "there is none with this number", body = ErrorBody),
))]
pub async fn change(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
    Json(fields): Json<PlanFields>,
) -> Result<Json<ScheduleView>, ApiError> {
    let id = number(&id)?;
    // Locked while the fields are merged: two admins who change two fields at once both get their way.
    let mut transaction = state.pool.begin().await?;
    report_schedules::lock(&mut *transaction, id).await?;
    let (site, schedule) = find(&state, &mut *transaction, &admin, id).await?;
    let plan = schedule.plan.changed(&site, &fields)?;
    let now = state.clock.now();
    let begins_anew = plan.timing != schedule.plan.timing || (plan.enabled && !schedule.plan.enabled);
    report_schedules::update(&mut transaction, schedule.id, &plan, begins_anew.then_some(now)).await?;
    log(&mut transaction, &admin, &site, "report_schedule.change", &plan, now).await?;
    let (site, schedule) = find(&state, &mut *transaction, &admin, id).await?;
    transaction.commit().await?;
    Ok(Json(ScheduleView::new(&site, schedule, now)))
}

/// Removes a schedule with the record of its runs.
#[utoipa::path(delete, path = "/api/v1/report-schedules/{id}", operation_id = "delete_report_schedule", tag = "reports by e-mail",
    params(("id" = i64, Path, description = "its number")), responses(
    (status = 204, description = "removed"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 404, description = "there is none with this number", body = ErrorBody),
))]
pub async fn remove(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let (site, schedule) = find(&state, &state.pool, &admin, number(&id)?).await?;
    let mut transaction = state.pool.begin().await?;
    report_schedules::delete(&mut *transaction, schedule.id).await?;
    log(
        &mut transaction,
        &admin,
        &site,
        "report_schedule.delete",
        &schedule.plan,
        state.clock.now(),
    )
    .await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a schedule's report now, to its recipients, as if it were due now.
#[utoipa::path(post, path = "/api/v1/report-schedules/{id}/run-now", operation_id = "run_report_schedule", tag = "reports by e-mail",
    params(("id" = i64, Path, description = "its number")), responses(
    (status = 202, body = Begun, description = "it is being sent"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 404, description = "there is none with this number", body = ErrorBody),
    (status = 409, description = "mail is not set up", body = ErrorBody),
))]
pub async fn run_now(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Begun>), ApiError> {
    begin(&state, &admin, &id, Kind::Manual).await
}

/// Sends a schedule's report now, to nobody but the caller.
#[utoipa::path(post, path = "/api/v1/report-schedules/{id}/test", operation_id = "test_report_schedule", tag = "reports by e-mail",
    params(("id" = i64, Path, description = "its number")), responses(
    (status = 202, body = Begun, description = "it is being sent"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
    (status = 404, description = "there is none with this number", body = ErrorBody),
    (status = 409, description = "mail is not set up", body = ErrorBody),
))]
pub async fn test(
    State(state): State<AppState>,
    admin: Admin,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Begun>), ApiError> {
    begin(&state, &admin, &id, Kind::Test).await
}

async fn begin(state: &AppState, admin: &Admin, id: &str, kind: Kind) -> Result<(StatusCode, Json<Begun>), ApiError> {
    let (site, schedule) = find(state, &state.pool, admin, number(id)?).await?;
    if let Err(error) = Transport::of(&state.config).and_then(|_| sender(&state.config)) {
        return Err(ApiError::Conflict(format!("{error:#}")));
    }
    let caller = [admin.0.email.clone()];
    let to = (kind == Kind::Test).then_some(&caller[..]);
    let run = run::start(state, &site, &schedule, kind, to, state.clock.now()).await?;
    let run_id =
        run.ok_or_else(|| ApiError::Internal(anyhow::anyhow!("a run without a slot was taken for claimed")))?;
    state.mail.now();
    Ok((StatusCode::ACCEPTED, Json(Begun { run_id })))
}

/// How a preview is wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are read with those of the analytics")]
pub struct PreviewAsked {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Number of a schedule of the site: its next report, with what it says unless another parameter says otherwise.
    schedule: Option<i64>,
    /// today, week, month or all_time; or give start_date and end_date. month unless given.
    period: Option<String>,
    /// First local day.
    start_date: Option<String>,
    /// Last local day.
    end_date: Option<String>,
    /// html or text; html unless given.
    format: Option<String>,
    /// uk or en; the site's unless given.
    language: Option<String>,
}

/// Shows a report as it would be mailed: any period and filters of the analytics, or a schedule's next one.
#[utoipa::path(get, path = "/api/v1/report-preview", operation_id = "preview_report", tag = "reports by e-mail", security(("bearer" = []), ("session" = [])), params(PreviewAsked), responses(
    (status = 200, description = "the page (may be shown in a frame of the panel), or the text", content((String = "text/html"), (String = "text/plain"))),
    (status = 400, description = "a parameter is not allowed; it is named", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 404, description = "there is no schedule with this number", body = ErrorBody),
))]
pub async fn preview(
    State(state): State<AppState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let mut params = Params::new(query.as_deref().unwrap_or_default());
    let key = params.one("site")?;
    let site = viewer.site(&state.sites, key.as_deref())?;
    let schedule = match params.number("schedule", 1..=i64::MAX, 0)? {
        0 => None,
        id => {
            let found = report_schedules::list(&state.pool, Some(site.id), Some(id))
                .await?
                .pop();
            Some(found.ok_or(GONE)?)
        }
    };
    let plan = schedule.as_ref().map(|schedule| &schedule.plan);
    let formats = [("html", Format::Html), ("text", Format::Text)];
    let format = params.choice("format", &formats, plan.map_or(Format::Html, |plan| plan.format))?;
    let own = plan.map_or(site.language.as_str(), |plan| plan.language.as_str());
    let own = if own == "en" { "en" } else { "uk" };
    let language = params.choice("language", &[("uk", "uk"), ("en", "en")], own)?;
    let now = state.clock.now();
    let subject = match plan {
        Some(plan) => {
            let covered = plan.timing.frequency.covers();
            Subject::of_days(
                site.clone(),
                covered,
                covered_days(covered, plan.timing.next(now), site.time_zone),
                plan.filters.clone(),
            )
        }
        None => {
            let Scope { period, filters, .. } = Scope::take(&mut params, site.clone(), now)?;
            Subject {
                covered: Covered::of(&period),
                site,
                period,
                filters,
            }
        }
    };
    params.finish()?;
    let circumstances = Circumstances {
        schedule: plan.map(|plan| plan.name.clone()),
        ..Circumstances::default()
    };
    let (page, content) = run::shown(&state, subject, false, language, &circumstances).await?;
    let shown = tokio::task::spawn_blocking(move || Mailing::alone(&page, &content, format)).await;
    let shown = shown.map_err(|error| ApiError::Internal(error.into()))??;
    let media_type = match format {
        Format::Html => "text/html; charset=utf-8",
        Format::Text => "text/plain; charset=utf-8",
    };
    let headers = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, PREVIEW_POLICY),
        (X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    Ok((headers, shown).into_response())
}
