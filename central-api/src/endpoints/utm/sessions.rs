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
use crate::reports::session::{self, After, LookedAt, MAX_LOOKED_AT, Order, SessionRow};
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
    /// Its orders, of any payment status; of a site whose revenue is its events', its purchase events.
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
            orders: if from_events { row.purchase_events } else { row.orders },
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
    searched_to: Option<DateTime<Utc>>,
}

/// A page's end as text: microseconds since 1970, visitor, session.
fn token(end: After) -> String {
    let micros = end.first_seen.timestamp_micros();
    format!("{micros}.{}.{}", end.visitor_id.simple(), end.session_id.simple())
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

const ORDERS: [(&str, Order); 2] = [("-first_seen", Order::NewestFirst), ("first_seen", Order::OldestFirst)];

/// One page of a list.
struct Page {
    rows: Vec<SessionRow>,
    /// Where the next one begins; none after the last.
    next: Option<String>,
    /// How far a search looked that did not fill the page, UTC; none where it looked at everything or the page is full.
    searched_to: Option<DateTime<Utc>>,
}

/// The page of rows of which one more than fits was asked for.
fn page(mut rows: Vec<SessionRow>, limit: usize) -> Page {
    let more = rows.len() > limit;
    rows.truncate(limit);
    Page {
        next: rows.last().filter(|_| more).map(|row| token(row.into())),
        rows,
        searched_to: None,
    }
}

/// The page of a search that asked for one row more than fits and looked at so many sessions at most.
fn page_of_search(mut looked_at: Vec<LookedAt>, limit: usize, look_at: i64) -> Page {
    let stopped = looked_at.len() <= limit || looked_at.last().is_some_and(|last| !last.found);
    let last = looked_at.last().filter(|last| stopped && last.place == look_at);
    let stopped_at = last.map(|last| (token((&last.row).into()), last.row.first_seen));
    looked_at.retain(|one| one.found);
    let found = page(looked_at.into_iter().map(|one| one.row).collect(), limit);
    match stopped_at {
        Some((next, first_seen)) => Page {
            next: Some(next),
            searched_to: (found.rows.len() < limit).then_some(first_seen),
            ..found
        },
        None => found,
    }
}

async fn sessions(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    let limit = asked.params.number("limit", 1..=MAX_LIMIT, DEFAULT_LIMIT)?;
    let order = asked.params.choice("sort", &ORDERS, Order::default())?;
    let search = asked.search()?;
    let look_at = asked.params.number("look_at", 1..=MAX_LOOKED_AT, MAX_LOOKED_AT)?;
    let from = match asked.params.one("after")? {
        Some(text) => Some(
            after(&text)
                .ok_or_else(|| ApiError::invalid("after", "must be the `next` of the page before, unchanged"))?,
        ),
        None => None,
    };
    asked.params.finish()?;
    let fits = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = if let Some(search) = search {
        let mut statement = session::search(&scope, &search, order, from, limit + 1, look_at);
        let query = statement.build_query_as().persistent(false);
        page_of_search(query.fetch_all(&asked.pool).await?, fits, look_at)
    } else {
        let mut statement = session::sessions(&scope, order, from, limit + 1);
        let query = statement.build_query_as().persistent(false);
        page(query.fetch_all(&asked.pool).await?, fits)
    };
    let sessions = page.rows.into_iter();
    Ok(Json(Answer {
        scope: scope.describe(),
        sessions: sessions.map(|row| SessionAnswer::of(row, &asked.site)).collect(),
        limit,
        next: page.next,
        searched_to: page.searched_to,
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
    parameters.push(describe::choice(
        "sort",
        &ORDERS.map(|(name, _)| name),
        "By the first event: -first_seen, newest first, unless given; first_seen, oldest first. There is no other order: it would have to read the whole period for each page.",
    ));
    parameters.push(describe::text(
        "search",
        "Only sessions of which source, medium, campaign, content, term, channel, referrer's host, landing path, region, city, device, operating system or browser contains this text, in whatever case, or of which channel, country or kind of device has it in its name in either language; (not set) finds those without source, campaign or channel. The whole id of a session or visitor finds it.",
    ));
    parameters.push(describe::number(
        "look_at",
        (1, MAX_LOOKED_AT),
        "Sessions of the period that a search looks at at most for one page; 100,000 unless given. Where it stops there, `searched_to` says how far it came, and the page after `next` looks on.",
    ));
    parameters.push(describe::text(
        "after",
        "The `next` of the page before, under the same sort and search.",
    ));
    Endpoint {
        path: "sessions",
        alias: None,
        handler: get(sessions),
        operations: describe::get(describe::operation(
            "sessions",
            "Recent sessions",
            "Newest first, by their first event, unless sorted otherwise. New sessions do not shift the pages: the next one begins after `next`. A search looks through a limited number of sessions at once: a page of it may have fewer sessions than asked for, or none, and still a `next`.",
            parameters,
            describe::scoped([
                ("sessions", describe::array_of(describe::reference::<SessionAnswer>())),
                ("limit", describe::integer("As asked.")),
                (
                    "next",
                    describe::nullable_text("Where the next page begins; null on the last."),
                ),
                (
                    "searched_to",
                    describe::nullable_text(
                        "First event of the last session that the search looked at, UTC, where it stopped before the page was full and before the period was searched whole; else null.",
                    ),
                ),
            ]),
        )),
        schemas,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn any_end_of_a_page_reads_back_from_its_token(micros in -62_167_219_200_000_000i64..253_402_300_800_000_000, ids: (u128, u128)) {
            let end = After {
                first_seen: DateTime::from_timestamp_micros(micros).unwrap(),
                visitor_id: Uuid::from_u128(ids.0),
                session_id: Uuid::from_u128(ids.1),
            };
            prop_assert_eq!(after(&token(end)), Some(end));
        }

        #[test]
        fn any_page_token_is_a_place_that_the_database_can_hold_or_none(
            text in "(?s).{0,60}|[-+]?[0-9]{1,20}\\.[0-9a-f]{32}\\.[0-9a-f]{32}(\\..{0,3})?|[-+]?[0-9]{1,20}\\.[0-9a-f-]{30,40}\\.[0-9a-f-]{30,40}(\\..{0,3})?",
        ) {
            if let Some(end) = after(&text) {
                prop_assert!((0..=9999).contains(&chrono::Datelike::year(&end.first_seen)), "{:?}", end);
                prop_assert_eq!((after(&token(end)), text.split('.').count()), (Some(end), 3));
            }
        }
    }
}
