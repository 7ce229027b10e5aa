//! A session as lists and exports show it, and the statements that find it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::scope::Scope;
use super::search::{Search, SessionSearch};
use super::sql::sessions_where;
use crate::catalogue::CONVERTED;

/// Sessions among which one page of a search looks at most. On a site of ten million, so many were looked through in 0.3 s; on one of a
/// million in 1.8 s when they had to come from the disk.
pub const MAX_LOOKED_AT: i64 = 100_000;

/// One row of [`sessions`].
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "columns of the table sessions, where they are described")]
pub struct SessionRow {
    pub session_id: Uuid,
    pub visitor_id: Uuid,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    pub visit_count: i32,
    pub event_count: i32,
    pub page_views: i32,
    pub points: i32,
    pub is_converted: bool,
    pub orders: i32,
    pub revenue: Decimal,
    pub event_revenue: Decimal,
    pub purchase_events: i32,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub utm_term: Option<String>,
    pub channel: Option<String>,
    pub click_platform: Option<String>,
    pub referrer_host: Option<String>,
    pub landing_path: Option<String>,
    pub device_type: Option<String>,
    pub device_brand: Option<String>,
    pub device_model: Option<String>,
    pub os_name: Option<String>,
    pub browser_name: Option<String>,
    pub in_app: Option<String>,
    pub language: Option<String>,
    pub country: Option<String>,
    pub region: Option<String>,
    pub city: Option<String>,
    pub bot_reason: Option<i16>,
    pub human_seen: bool,
}

/// A row of [`search`].
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct LookedAt {
    /// The session.
    #[sqlx(flatten)]
    pub row: SessionRow,
    /// Whether the search finds it. The last that was looked at comes in any case, so that the next page knows where to begin.
    pub found: bool,
    /// Its place among those looked at, from 1.
    pub place: i64,
}

/// Where a page of sessions begins: after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Its first event, UTC.
    pub first_seen: DateTime<Utc>,
    /// Its visitor.
    pub visitor_id: Uuid,
    /// Itself.
    pub session_id: Uuid,
}

impl From<&SessionRow> for After {
    fn from(row: &SessionRow) -> Self {
        Self {
            first_seen: row.first_seen,
            visitor_id: row.visitor_id,
            session_id: row.session_id,
        }
    }
}

/// Which end of the period comes first. Other orders would have to read the whole period for each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By their first event, newest first.
    #[default]
    NewestFirst,
    /// Oldest first.
    OldestFirst,
}

impl Order {
    const fn direction(self) -> &'static str {
        match self {
            Self::NewestFirst => "desc",
            Self::OldestFirst => "asc",
        }
    }

    const fn comparison(self) -> &'static str {
        match self {
            Self::NewestFirst => "<",
            Self::OldestFirst => ">",
        }
    }

    /// The columns of the order; the index by first event gives it.
    fn columns(self) -> String {
        let direction = self.direction();
        format!("s.first_seen {direction}, s.visitor_id {direction}, s.session_id {direction}")
    }
}

/// The columns of a session in a list; those of [`SessionRow`].
const COLUMNS: &str = concat!(
    "s.session_id, s.visitor_id, s.first_seen, s.last_seen, s.visit_count::int4 as visit_count, s.event_count, s.page_views, s.points, ",
    "s.orders, s.revenue, s.event_revenue, s.purchase_events, s.utm_source, s.utm_medium, s.utm_campaign, s.utm_content, s.utm_term, s.channel, ",
    "s.click_platform, s.referrer_host, s.landing_path, s.device_type, s.device_brand, s.device_model, s.os_name, s.browser_name, ",
    "s.in_app, s.language, s.country, s.region, s.city, s.bot_reason, s.human_seen"
);

/// All sessions of a scope in their order, or those alone that a search finds.
pub fn all(scope: &Scope, order: Order, search: Option<&Search>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("select ");
    sql.push(format_args!(
        "{CONVERTED} as is_converted, {COLUMNS} from sessions s where "
    ));
    match search.map(Search::of_sessions) {
        Some(SessionSearch::Id(id)) => by_id(&mut sql, id),
        Some(SessionSearch::Text(condition)) => {
            sql.push("(");
            condition.push(&mut sql);
            sql.push(") and ");
        }
        None => {}
    }
    chosen(&mut sql, scope, order, None);
    sql.push(" order by ").push(order.columns());
    sql
}

/// A page of the sessions of a scope in their order, after one of them.
pub fn sessions(scope: &Scope, order: Order, after: Option<After>, limit: i64) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("select ");
    sql.push(format_args!(
        "{CONVERTED} as is_converted, {COLUMNS} from sessions s where "
    ));
    chosen(&mut sql, scope, order, after);
    sql.push(" order by ").push(order.columns());
    sql.push(" limit ").push_bind(limit);
    sql
}

/// A page of those sessions of a scope that a search finds, as rows [`LookedAt`]: at most `limit`, and the one at the place `look_at` where
/// the search came so far. Stops at whichever is reached first, so that a rare text costs no more than `look_at` sessions.
pub fn search(
    scope: &Scope,
    search: &Search,
    order: Order,
    after: Option<After>,
    limit: i64,
    look_at: i64,
) -> QueryBuilder<Postgres> {
    let by = order.columns();
    let mut sql = QueryBuilder::new("select * from (select ");
    sql.push(format_args!(
        "{CONVERTED} as is_converted, {COLUMNS}, row_number() over (order by {by}) as place, "
    ));
    match search.of_sessions() {
        // One session, or one visitor's: by their keys, wherever in the period.
        SessionSearch::Id(id) => {
            sql.push("true as found from sessions s where ");
            by_id(&mut sql, id);
        }
        SessionSearch::Text(condition) => {
            sql.push("(");
            condition.push(&mut sql);
            sql.push(") as found from sessions s where ");
        }
    }
    chosen(&mut sql, scope, order, after);
    sql.push(format_args!(" order by {by} limit ")).push_bind(look_at);
    sql.push(") s where s.found or s.place = ").push_bind(look_at);
    sql.push(format_args!(" order by {by} limit ")).push_bind(limit);
    sql
}

/// The condition that a session, or its visitor, has this id; and.
fn by_id(sql: &mut QueryBuilder<Postgres>, id: Uuid) {
    sql.push("(s.session_id = ").push_bind(id);
    sql.push(" or s.visitor_id = ").push_bind(id).push(") and ");
}

/// The condition on sessions of the scope that come after one of them.
fn chosen(sql: &mut QueryBuilder<Postgres>, scope: &Scope, order: Order, after: Option<After>) {
    sessions_where(sql, scope);
    if let Some(after) = after {
        let comparison = order.comparison();
        sql.push(format_args!(
            " and (s.first_seen, s.visitor_id, s.session_id) {comparison} ("
        ))
        .push_bind(after.first_seen);
        sql.push(", ").push_bind(after.visitor_id);
        sql.push(", ").push_bind(after.session_id).push(")");
    }
}

/// One session by its full key.
pub fn session(site_id: i32, visitor_id: Uuid, session_id: Uuid) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("select ");
    sql.push(format_args!(
        "{CONVERTED} as is_converted, {COLUMNS} from sessions s where "
    ));
    sql.push("s.site_id = ").push_bind(site_id);
    sql.push(" and s.visitor_id = ").push_bind(visitor_id);
    sql.push(" and s.session_id = ").push_bind(session_id);
    sql
}
