//! What is not seen: orders without a session, page views of visitors who allowed no id, and how fresh the data is.

use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::action::Action;
use sqlx::{PgExecutor, PgPool};
use utoipa::ToSchema;

use crate::reports::figure::Figure;
use crate::reports::period::Period;
use crate::reports::table::snapshot;
use crate::rollup::order_sums;
use crate::site::Site;

/// Orders placed in the period, of any payment status and whatever the filters, by whether they were linked to a session.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderCoverage {
    /// All of them.
    pub orders: i64,
    /// Linked to a session.
    pub linked: i64,
    /// Not linked: nobody knows what brought them.
    pub unlinked: i64,
    /// Linked in percent of all; null without orders.
    pub linked_percent: Figure,
    /// Purchases left out of revenue, because the rate of their currency is unknown.
    pub purchases_without_rate: i64,
}

/// Coverage of a period's orders, and the same by how they were linked, most orders first.
///
/// # Errors
/// The database's.
pub async fn of_orders(
    pool: &PgPool,
    site: &Site,
    period: &Period,
) -> sqlx::Result<(OrderCoverage, Vec<OrdersByLink>)> {
    let mut tx = snapshot(pool).await?;
    let found = order_sums::placed(&mut tx, site, period.from_or_beginning(), period.to).await?;
    tx.commit().await?;
    let sum = |of: fn(&order_sums::Linked) -> i64| found.iter().map(of).sum::<i64>();
    let (orders, linked) = (
        sum(|row| row.orders),
        sum(|row| if row.linked { row.orders } else { 0 }),
    );
    let coverage = OrderCoverage {
        orders,
        linked,
        unlinked: orders - linked,
        linked_percent: Figure::ratio(100, linked.into(), orders.into()),
        purchases_without_rate: sum(|row| row.without_rate),
    };
    // A method without a session is a row of its own only where something wrote past the writers.
    let by_link = found.into_iter().map(|row| OrdersByLink {
        method: row.link_method,
        cause: row.unlinked_cause,
        orders: row.orders,
        revenue: row.revenue.into(),
    });
    Ok((coverage, by_link.collect()))
}

/// Orders linked in one way, or not linked for one cause.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrdersByLink {
    /// How: session, visitor, customer, contact; null when not linked.
    pub method: Option<String>,
    /// Why not; null when linked.
    pub cause: Option<String>,
    /// Orders.
    pub orders: i64,
    /// Their revenue.
    pub revenue: Figure,
}

/// Page views of visitors who allowed no id, by what they chose. Without an id nobody knows which of them are one visit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AnonymousHits {
    /// refused, gpc, dnt, off.
    pub consent: String,
    /// Page views of people; bots are left out.
    pub hits: i64,
}

/// A period's page views without an id.
///
/// # Errors
/// The database's.
pub async fn anonymous(db: impl PgExecutor<'_>, site: &Site, period: &Period) -> sqlx::Result<Vec<AnonymousHits>> {
    let rows = sqlx::query!(
        r#"select consent, count(*) as "hits!" from anonymous_hits
        where site_id = $1 and minted_at >= $2 and minted_at < $3 and bot_reason is null and action = $4
        group by consent order by consent"#,
        site.id,
        period.from_or_beginning(),
        period.to,
        Action::PageView.code(),
    )
    .fetch_all(db)
    .await?;
    let name = |code: i16| {
        use shared::event::Consent::{Dnt, Gpc, Granted, Limited, Off, Refused};
        [Granted, Limited, Refused, Gpc, Dnt, Off]
            .into_iter()
            .find(|consent| consent.code() == code)
            .map_or_else(|| code.to_string(), |consent| consent.name().to_owned())
    };
    Ok(rows
        .into_iter()
        .map(|row| AnonymousHits {
            consent: name(row.consent),
            hits: row.hits,
        })
        .collect())
}

/// When the newest of each was seen.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Newest {
    /// The newest session began, UTC.
    pub session_at: Option<DateTime<Utc>>,
    /// The newest order was placed, UTC.
    pub order_at: Option<DateTime<Utc>>,
    /// The oldest session began, UTC.
    pub first_session_at: Option<DateTime<Utc>>,
}

/// Newest and oldest rows, each from the end of an index.
///
/// # Errors
/// The database's.
pub async fn newest(db: impl PgExecutor<'_>, site: &Site) -> sqlx::Result<Newest> {
    sqlx::query_as!(
        Newest,
        "select (select max(first_seen) from sessions where site_id = $1) as session_at,
            (select max(created_at) from orders where site_id = $1) as order_at,
            (select min(first_seen) from sessions where site_id = $1) as first_session_at",
        site.id,
    )
    .fetch_one(db)
    .await
}
