//! Page views and conversions of people, from the events themselves. The views `page_view_analytics` and `conversion_events` say the
//! same to whoever asks with SQL.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rust_decimal::Decimal;
use shared::action::Action;
use shared::limits::MAX_EVENT_AGE_MS;
use sqlx::{PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::catalogue::Side;
use crate::reports::scope::Scope;
use crate::reports::sql::chosen;

/// Actions that are conversions.
pub const CONVERSIONS: [Action; 5] = [
    Action::AddToCart,
    Action::InitiateCheckout,
    Action::Lead,
    Action::Purchase,
    Action::SignUp,
];

/// Rows of a page: how many, after skipping how many.
pub type Page = (i64, i64);

/// From events `e` of people with these actions in the scope, with their sessions `s`, and the condition on them. Whose an event is, the
/// session says where there is one, as in every other figure: it may have shown itself after the event.
fn from_events(sql: &mut QueryBuilder<Postgres>, scope: &Scope, actions: &[Action]) {
    let filtered = scope.filters.iter().next().is_some();
    sql.push(" from events e")
        .push(if filtered { " join" } else { " left join" });
    sql.push(" sessions s on s.site_id = e.site_id and s.visitor_id = e.visitor_id and s.session_id = e.session_id");
    sql.push(" where e.site_id = ").push_bind(scope.site.id);
    let codes: Vec<i16> = actions.iter().map(|action| action.code()).collect();
    sql.push(" and (case when s.session_id is null then e.bot_reason else s.bot_reason end) is null");
    sql.push(" and e.action = any(").push_bind(codes).push(")");
    sql.push(" and e.occurred_at < ").push_bind(scope.period.to);
    // Events lie in months by when their id was made. That is never further from when they happened than events may be old, but for an order's
    // purchase or lead, whose id is made with the session's start.
    let session_life = scope.site.settings.worker.session_life_hours.unwrap_or(0);
    let slack =
        TimeDelta::milliseconds(MAX_EVENT_AGE_MS).max(TimeDelta::hours(session_life.into())) + TimeDelta::days(1);
    sql.push(" and e.minted_at < ").push_bind(scope.period.to + slack);
    if let Some(from) = scope.period.from {
        sql.push(" and e.occurred_at >= ").push_bind(from);
        sql.push(" and e.minted_at >= ").push_bind(from - slack);
    }
    for (dimension, choice) in scope.filters.iter() {
        chosen(sql, dimension.sql(Side::Sessions), choice);
    }
}

/// Views of a page.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PageViews {
    /// Local day; none over the whole period.
    pub day: Option<NaiveDate>,
    /// Path; none for views without one.
    pub page: Option<String>,
    /// Page views.
    pub views: i64,
    /// Different visitors.
    pub visitors: i64,
    /// Different sessions.
    pub sessions: i64,
    /// Rows without limit and offset.
    pub total_rows: i64,
}

/// The statement of [`page_views`]; by local day too for files.
pub fn page_views_statement(scope: &Scope, by_day: bool, page: Option<Page>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("select ");
    if by_day {
        sql.push("(e.occurred_at at time zone ")
            .push_bind(scope.site.time_zone.name());
        sql.push(")::date as day");
    } else {
        sql.push("null::date as day");
    }
    sql.push(
        ", e.path as page, count(*) as views, count(distinct e.visitor_id) as visitors, count(distinct e.session_id) as sessions, \
         count(*) over () as total_rows",
    );
    from_events(&mut sql, scope, &[Action::PageView]);
    sql.push(" group by 1, 2 order by 1, views desc, page");
    if let Some((limit, offset)) = page {
        sql.push(" limit ").push_bind(limit);
        sql.push(" offset ").push_bind(offset);
    }
    sql
}

/// Pages by views, most first.
///
/// # Errors
/// The database's.
pub async fn page_views(pool: &PgPool, scope: &Scope, page: Page) -> sqlx::Result<Vec<PageViews>> {
    page_views_statement(scope, false, Some(page))
        .build_query_as()
        .persistent(false)
        .fetch_all(pool)
        .await
}

/// A conversion.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Conversion {
    /// Its id.
    pub event_id: Uuid,
    /// When, UTC.
    pub occurred_at: DateTime<Utc>,
    /// Code of the action.
    pub action: i16,
    /// Who, as a browser.
    pub visitor_id: Uuid,
    /// In which session.
    pub session_id: Uuid,
    /// The order that it is about.
    pub order_id: Option<String>,
    /// Money, in `currency` or else the site's.
    pub value: Option<Decimal>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Of the session.
    pub utm_source: Option<String>,
    /// Of the session.
    pub utm_medium: Option<String>,
    /// Of the session.
    pub utm_campaign: Option<String>,
}

/// The statement of [`conversions`].
pub fn conversions_statement(scope: &Scope, actions: &[Action], page: Option<Page>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "select e.event_id, e.occurred_at, e.action, e.visitor_id, e.session_id, e.order_id, e.value, e.currency, s.utm_source, \
         s.utm_medium, s.utm_campaign",
    );
    from_events(&mut sql, scope, actions);
    sql.push(" order by e.occurred_at desc, e.event_id desc");
    if let Some((limit, offset)) = page {
        sql.push(" limit ").push_bind(limit);
        sql.push(" offset ").push_bind(offset);
    }
    sql
}

/// Conversions, the latest first.
///
/// # Errors
/// The database's.
pub async fn conversions(
    pool: &PgPool,
    scope: &Scope,
    actions: &[Action],
    page: Page,
) -> sqlx::Result<Vec<Conversion>> {
    conversions_statement(scope, actions, Some(page))
        .build_query_as()
        .persistent(false)
        .fetch_all(pool)
        .await
}

/// Conversions of one kind.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ConversionCount {
    /// Code of the action.
    pub action: i16,
    /// Events.
    pub events: i64,
    /// Different sessions with one.
    pub sessions: i64,
}

/// How many conversions of each kind there are.
///
/// # Errors
/// The database's.
pub async fn conversion_counts(pool: &PgPool, scope: &Scope, actions: &[Action]) -> sqlx::Result<Vec<ConversionCount>> {
    let mut sql = QueryBuilder::new("select e.action, count(*) as events, count(distinct e.session_id) as sessions");
    from_events(&mut sql, scope, actions);
    sql.push(" group by e.action");
    sql.build_query_as().persistent(false).fetch_all(pool).await
}
