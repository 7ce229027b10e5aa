//! Page views and conversion events.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::action::Action;
use utoipa::ToSchema;
use uuid::Uuid;

use super::BusinessScope;
use super::asked::{Asked, FilterParams, PeriodParams};
use crate::business::traffic::{self, CONVERSIONS};
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::reports::figure::Figure;

/// Rows unless asked otherwise.
const DEFAULT_LIMIT: i64 = 100;

/// Rows to take, for the description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub struct PageParams {
    /// At most 1,000; 100 when absent.
    limit: Option<i64>,
    /// To skip.
    offset: Option<i64>,
}

/// Which conversions, for the description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub struct EventTypeParams {
    /// `add_to_cart`, `initiate_checkout`, `lead`, `purchase` or `sign_up`; all when absent.
    event_type: Option<String>,
}

/// A page.
#[derive(Debug, Serialize, ToSchema)]
struct PageRow {
    /// Path, without its query; null: not stated.
    page: Option<String>,
    /// Page views.
    views: i64,
    /// Different visitors.
    visitors: i64,
    /// Different sessions.
    sessions: i64,
}

/// Pages by views.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageViews {
    #[serde(flatten)]
    scope: BusinessScope,
    /// Most views first.
    pages: Vec<PageRow>,
    /// Rows without limit and offset.
    total_rows: i64,
    /// As asked.
    limit: i64,
    /// As asked.
    offset: i64,
}

/// Conversions of one kind.
#[derive(Debug, Serialize, ToSchema)]
struct EventTypeRow {
    /// `add_to_cart`, `initiate_checkout`, `lead`, `purchase` or `sign_up`.
    event_type: &'static str,
    /// Events.
    events: i64,
    /// Different sessions with one.
    sessions: i64,
}

/// A conversion.
#[derive(Debug, Serialize, ToSchema)]
struct ConversionRow {
    /// Its id.
    event_id: Uuid,
    /// When, UTC.
    occurred_at: DateTime<Utc>,
    /// `add_to_cart`, `initiate_checkout`, `lead`, `purchase` or `sign_up`.
    event_type: &'static str,
    /// Who, as a browser.
    visitor_id: Uuid,
    /// Its session.
    session_id: Uuid,
    /// The order that it is about.
    order_id: Option<String>,
    /// As the event said it, in `currency`.
    value: Figure,
    /// ISO 4217.
    currency: String,
    /// Of the session.
    utm_source: Option<String>,
    /// Of the session.
    utm_medium: Option<String>,
    /// Of the session.
    utm_campaign: Option<String>,
}

/// Conversion events.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversionEvents {
    #[serde(flatten)]
    scope: BusinessScope,
    /// Of the whole period, whatever the page.
    event_types: Vec<EventTypeRow>,
    /// The latest first.
    events: Vec<ConversionRow>,
    /// Rows without limit and offset.
    total_rows: i64,
    /// As asked.
    limit: i64,
    /// As asked.
    offset: i64,
}

/// The name of an action by its code.
pub fn event_type(code: i16) -> &'static str {
    Action::from_code(code).map_or("", Action::name)
}

/// Takes `event_type`.
///
/// # Errors
/// 400 naming the allowed values.
pub fn event_types(asked: &mut Asked) -> Result<Vec<Action>, ApiError> {
    let allowed = CONVERSIONS.map(|action| (action.name(), Some(action)));
    let one = asked.params.choice("event_type", &allowed, None)?;
    Ok(one.map_or(CONVERSIONS.to_vec(), |one| vec![one]))
}

/// Pages that people saw. Filters are about their sessions.
#[utoipa::path(get, path = "/api/v1/analytics/page-views", operation_id = "page_views", tag = "business",
    params(PeriodParams, FilterParams, PageParams), responses(
    (status = 200, body = PageViews, description = "the pages"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn page_views(mut asked: Asked) -> Result<Json<PageViews>, ApiError> {
    let period = asked.period()?;
    asked.filters()?;
    let (limit, offset) = asked.page(DEFAULT_LIMIT)?;
    asked.params.clone().finish()?;
    let found = traffic::page_views(&asked.pool, &asked.sessions_scope(period), (limit, offset)).await?;
    Ok(Json(PageViews {
        scope: asked.scope(&period),
        total_rows: found.first().map_or(0, |row| row.total_rows),
        pages: found
            .into_iter()
            .map(|row| PageRow {
                page: row.page,
                views: row.views,
                visitors: row.visitors,
                sessions: row.sessions,
            })
            .collect(),
        limit,
        offset,
    }))
}

/// Carts, checkouts, leads, purchases and sign-ups of people, one row an event. Filters are about their sessions.
#[utoipa::path(get, path = "/api/v1/analytics/conversion-events", operation_id = "conversion_events", tag = "business",
    params(PeriodParams, FilterParams, EventTypeParams, PageParams), responses(
    (status = 200, body = ConversionEvents, description = "the events"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn conversion_events(mut asked: Asked) -> Result<Json<ConversionEvents>, ApiError> {
    let period = asked.period()?;
    asked.filters()?;
    let actions = event_types(&mut asked)?;
    let (limit, offset) = asked.page(DEFAULT_LIMIT)?;
    asked.params.clone().finish()?;
    let scope = asked.sessions_scope(period);
    let (found, counts) = tokio::try_join!(
        traffic::conversions(&asked.pool, &scope, &actions, (limit, offset)),
        traffic::conversion_counts(&asked.pool, &scope, &actions)
    )?;
    let event_types: Vec<EventTypeRow> = actions
        .iter()
        .map(|action| {
            let own = counts.iter().find(|count| count.action == action.code());
            EventTypeRow {
                event_type: action.name(),
                events: own.map_or(0, |count| count.events),
                sessions: own.map_or(0, |count| count.sessions),
            }
        })
        .collect();
    Ok(Json(ConversionEvents {
        scope: asked.scope(&period),
        total_rows: event_types.iter().map(|row| row.events).sum(),
        event_types,
        events: found
            .into_iter()
            .map(|row| ConversionRow {
                event_id: row.event_id,
                occurred_at: row.occurred_at,
                event_type: event_type(row.action),
                visitor_id: row.visitor_id,
                session_id: row.session_id,
                order_id: row.order_id,
                value: Figure(row.value),
                currency: row.currency.unwrap_or_else(|| asked.site.currency.clone()),
                utm_source: row.utm_source,
                utm_medium: row.utm_medium,
                utm_campaign: row.utm_campaign,
            })
            .collect(),
        limit,
        offset,
    }))
}
