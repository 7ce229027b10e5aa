//! `sessions`: the most recent sessions, page by page.

use axum::Json;
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Endpoint;
use super::asked::{Asked, MAX_LIMIT};
use super::describe;
use super::geo::CountryName;
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::scope::ScopeAnswer;
use crate::reports::session::SessionRow;
use crate::reports::sql::{self, After};
use crate::site::Site;

const DEFAULT_LIMIT: i64 = 30;

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionAnswer {
    /// Its id; the path of `session-detail` takes it.
    pub id: Uuid,
    /// Its visitor (browser).
    pub visitor_id: Uuid,
    /// First event, UTC.
    pub first_seen: DateTime<Utc>,
    /// Last event, UTC.
    pub last_seen: DateTime<Utc>,
    /// Visits in it.
    pub visit_count: i32,
    /// Events in it.
    pub event_count: i32,
    /// Page views in it.
    pub page_views: i32,
    /// Points that its actions earned.
    pub points: i32,
    /// Whether it has a lead or a purchase.
    pub is_converted: bool,
    /// Its orders, of any payment status.
    pub orders: i32,
    /// What they brought, in the site's currency.
    pub revenue: Figure,
    /// Normalised utm_source.
    pub utm_source: Option<String>,
    /// Normalised utm_medium.
    pub utm_medium: Option<String>,
    /// Normalised utm_campaign.
    pub utm_campaign: Option<String>,
    /// Normalised utm_content.
    pub utm_content: Option<String>,
    /// Normalised utm_term.
    pub utm_term: Option<String>,
    /// Channel.
    pub channel: Option<String>,
    /// Ad platform of its click id.
    pub click_platform: Option<String>,
    /// Host it came from.
    pub referrer: Option<String>,
    /// Path of its first page.
    pub landing_page: Option<String>,
    /// Kind of device.
    pub device_type: Option<String>,
    /// Maker of the device.
    pub device_brand: Option<String>,
    /// Model of the device.
    pub device_model: Option<String>,
    /// Operating system.
    pub os_name: Option<String>,
    /// Browser.
    pub browser_name: Option<String>,
    /// App whose built-in browser it is.
    pub in_app: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// Country code.
    pub country: Option<String>,
    /// Country's names.
    pub country_name: Option<CountryName>,
    /// Region.
    pub region: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Whether it is taken for a bot.
    pub is_bot: bool,
    /// Whether a person is confirmed.
    pub human_seen: bool,
}

impl SessionAnswer {
    /// As the site shows it.
    pub fn of(row: SessionRow, site: &Site) -> Self {
        let from_events = site.settings.revenue_from_events;
        Self {
            id: row.session_id,
            visitor_id: row.visitor_id,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            visit_count: row.visit_count,
            event_count: row.event_count,
            page_views: row.page_views,
            points: row.points,
            is_converted: row.is_converted,
            orders: row.orders,
            revenue: if from_events { row.event_revenue } else { row.revenue }.into(),
            utm_source: row.utm_source,
            utm_medium: row.utm_medium,
            utm_campaign: row.utm_campaign,
            utm_content: row.utm_content,
            utm_term: row.utm_term,
            channel: row.channel,
            click_platform: row.click_platform,
            referrer: row.referrer_host,
            landing_page: row.landing_path,
            device_type: row.device_type,
            device_brand: row.device_brand,
            device_model: row.device_model,
            os_name: row.os_name,
            browser_name: row.browser_name,
            in_app: row.in_app,
            language: row.language,
            country_name: CountryName::of(row.country.as_deref()),
            country: row.country,
            region: row.region,
            city: row.city,
            is_bot: row.bot_reason.is_some(),
            human_seen: row.human_seen,
        }
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    sessions: Vec<SessionAnswer>,
    limit: i64,
    next: Option<String>,
}

/// A page's end as text: microseconds since 1970, visitor, session.
fn token(row: &SessionRow) -> String {
    let micros = row.first_seen.timestamp_micros();
    format!("{micros}.{}.{}", row.visitor_id.simple(), row.session_id.simple())
}

fn after(text: &str) -> Option<After> {
    let mut parts = text.split('.');
    let after = After {
        first_seen: DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?,
        visitor_id: Uuid::try_parse(parts.next()?).ok()?,
        session_id: Uuid::try_parse(parts.next()?).ok()?,
    };
    // What the database can hold, with room to spare.
    let storable = (0..=9999).contains(&chrono::Datelike::year(&after.first_seen));
    (parts.next().is_none() && storable).then_some(after)
}

async fn sessions(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    let limit = asked.params.number("limit", 1..=MAX_LIMIT, DEFAULT_LIMIT)?;
    let from = match asked.params.one("after")? {
        Some(text) => Some(
            after(&text)
                .ok_or_else(|| ApiError::invalid("after", "must be the `next` of the page before, unchanged"))?,
        ),
        None => None,
    };
    asked.params.finish()?;
    let mut statement = sql::sessions(&scope, from, Some(limit + 1));
    let mut rows: Vec<SessionRow> = statement
        .build_query_as()
        .persistent(false)
        .fetch_all(&asked.pool)
        .await?;
    let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        rows.pop();
    }
    Ok(Json(Answer {
        scope: scope.describe(),
        next: rows.last().filter(|_| more).map(token),
        sessions: rows
            .into_iter()
            .map(|row| SessionAnswer::of(row, &asked.site))
            .collect(),
        limit,
    }))
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<SessionAnswer>(&mut schemas);
    let mut parameters = describe::scope_parameters();
    parameters.push(describe::number(
        "limit",
        (1, MAX_LIMIT),
        "Sessions at most; 30 unless given.",
    ));
    parameters.push(describe::text("after", "The `next` of the page before."));
    Endpoint {
        path: "sessions",
        alias: None,
        handler: get(sessions),
        operations: describe::get(describe::operation(
            "sessions",
            "Recent sessions",
            "Newest first, by their first event. New sessions do not shift the pages: the next one begins after `next`.",
            parameters,
            describe::scoped([
                ("sessions", describe::array_of(describe::reference::<SessionAnswer>())),
                ("limit", describe::integer("As asked.")),
                (
                    "next",
                    describe::nullable_text("Where the next page begins; null on the last."),
                ),
            ]),
        )),
        schemas,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_page_token_is_none() {
        let id = Uuid::nil().simple();
        assert!(after(&format!("1763600000000000.{id}.{id}")).is_some());
        for bad in [
            "",
            "1",
            "x.y.z",
            "1.2.3",
            &format!("9223372036854775807.{id}.{id}"),
            &format!("1.{id}.{id}.{id}"),
            "\0",
        ] {
            assert_eq!(after(bad), None, "{bad}");
        }
    }
}
