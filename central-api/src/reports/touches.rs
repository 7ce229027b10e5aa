//! Purchases by the touch that they are linked to, the last one, and by the first one that is known of the same person.
//!
//! Both count the same purchases once, so that their sums are equal; what a source has more of in one than in the other is what it begins
//! rather than closes, or closes rather than begins.

use std::collections::{BTreeMap, HashSet};

use chrono::TimeDelta;
use rust_decimal::Decimal;
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _};

use super::customers::PURCHASE;
use super::scope::{AttributionDate, Bots, Scope};
use super::sql::{bots, orders_where, sessions_where};
use super::table::snapshot;
use crate::catalogue::{Dimension, Side};
use crate::orders::identity::ContactHash;

/// Dimensions of a touch, which a purchase can be credited to.
pub const DIMENSIONS: [Dimension; 6] = [
    Dimension::Channel,
    Dimension::UtmSource,
    Dimension::UtmMedium,
    Dimension::UtmCampaign,
    Dimension::UtmContent,
    Dimension::UtmTerm,
];

/// Purchases, and what they brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Paid orders, partially refunded ones included; purchase events on a site without a backend.
    pub purchases: i64,
    /// Net revenue in the site's currency, without purchases whose rate is unknown.
    pub revenue: Decimal,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.purchases += other.purchases;
        self.revenue += other.revenue;
    }
}

/// What is credited to one value of the dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credit {
    /// Purchases of people whose first touch it was.
    pub first: Sum,
    /// Purchases that are linked to it.
    pub last: Sum,
}

/// The scope's purchases by value of a dimension; none: not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credits {
    /// By value.
    pub of: BTreeMap<Option<String>, Credit>,
    /// All purchases.
    pub all: Sum,
    /// Those of them whose first touch is of an earlier session than the one that they are linked to.
    pub begun_earlier: Sum,
}

/// The scope's purchases by the first and by the last touch. Filters are about the last one.
///
/// The first touch is the earliest session that came with one (its channel is not direct), of a person, by the purchase's visitor or by
/// another visitor who was seen with one of its contacts, not before the site's look-back and not after the session that the purchase is
/// linked to. Contacts that are `blocked`, or that too many people share, lead to nobody. Where there is none, what the purchase is linked to is
/// the first as well as the last.
///
/// # Errors
/// The database's.
pub async fn credits(
    pool: &PgPool,
    scope: &Scope,
    dimension: Dimension,
    blocked: &HashSet<ContactHash>,
) -> sqlx::Result<Credits> {
    let mut tx = snapshot(pool).await?;
    let rows = statement(scope, dimension, blocked)
        .build()
        .persistent(false)
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    let mut credits = Credits::default();
    for row in rows {
        let sum = Sum {
            purchases: row.try_get("purchases")?,
            revenue: row.try_get("revenue")?,
        };
        let value = |column: &str| row.try_get::<Option<String>, _>(column);
        credits.of.entry(value("first_touch")?).or_default().first.add(sum);
        credits.of.entry(value("last_touch")?).or_default().last.add(sum);
        credits.all.add(sum);
        if row.try_get("earlier")? {
            credits.begun_earlier.add(sum);
        }
    }
    Ok(credits)
}

/// Columns `first_touch`, `last_touch` (text), `earlier`, `purchases` and `revenue`: a row for each pair of touches.
fn statement(scope: &Scope, dimension: Dimension, blocked: &HashSet<ContactHash>) -> QueryBuilder<Postgres> {
    let site = &scope.site;
    let mut sql = QueryBuilder::new("with p as materialized (");
    purchases(&mut sql, scope, dimension);
    sql.push(
        ") select case when f.session_id is null then p.touch else f.touch end as first_touch, p.touch as last_touch, \
         f.session_id is not null and f.session_id is distinct from p.session_id as earlier, \
         sum(p.purchases)::bigint as purchases, coalesce(sum(p.revenue), 0) as revenue from p left join lateral (select s.session_id, (",
    );
    sql.push(dimension.sql(Side::Sessions));
    sql.push(
        ") as touch from (select p.visitor_id union \
         select c.visitor_id from visitor_contacts c where c.site_id = ",
    )
    .push_bind(site.id);
    sql.push(
        " and c.contact_hash in (p.customer_hash, p.email_hash, p.phone_hash) \
         and not exists (select from customer_contacts k where k.site_id = c.site_id and k.contact_hash = c.contact_hash \
         and k.customer_no is null) and c.contact_hash <> all(",
    )
    .push_bind(blocked.iter().map(|hash| hash.to_vec()).collect::<Vec<_>>());
    sql.push(")) v join sessions s on s.visitor_id = v.visitor_id and s.site_id = ")
        .push_bind(site.id);
    sql.push(" where s.channel <> 'direct' and s.first_seen <= p.touched_at and s.first_seen >= p.placed_at - ")
        .push_bind(TimeDelta::days(site.settings.look_back_days.into()));
    bots(&mut sql, "s.bot_reason", Bots::Exclude);
    sql.push(" order by s.first_seen, s.session_id limit 1) f on true group by 1, 2, 3");
    sql
}

/// The scope's purchases: `purchases`, `revenue`, `touch` (what they are linked to), whose they are, when they were made and since when
/// the touch was there.
fn purchases(sql: &mut QueryBuilder<Postgres>, scope: &Scope, dimension: Dimension) {
    let of_events = "select s.purchase_events as purchases, s.event_revenue as revenue, s.visitor_id, s.session_id, \
         s.first_seen as touched_at, coalesce(s.purchase_at, s.last_seen) as placed_at, null::bytea as customer_hash, \
         null::bytea as email_hash, null::bytea as phone_hash, (";
    let of_orders = "select 1 as purchases, o.revenue, o.visitor_id, o.session_id, o.created_at as placed_at, o.customer_hash, \
         o.email_hash, o.phone_hash, ";
    match scope.attribution_date {
        AttributionDate::Session if scope.site.settings.revenue_from_events => {
            sql.push(of_events).push(dimension.sql(Side::Sessions));
            sql.push(") as touch from sessions s where s.purchase_events > 0 and ");
            sessions_where(sql, scope);
        }
        AttributionDate::Session => {
            sql.push(of_orders).push("s.first_seen as touched_at, (");
            sql.push(dimension.sql(Side::Sessions));
            sql.push(
                ") as touch from sessions s join orders o \
                 on o.site_id = s.site_id and o.visitor_id = s.visitor_id and o.session_id = s.session_id where s.paid_orders > 0 and ",
            );
            sql.push(PURCHASE).push(" and ");
            sessions_where(sql, scope);
        }
        AttributionDate::Order => {
            sql.push(of_orders)
                .push("coalesce(o.session_first_seen, o.created_at) as touched_at, (");
            sql.push(dimension.sql(Side::Orders));
            sql.push(
                ") as touch from orders o left join sessions s \
                 on s.site_id = o.site_id and s.visitor_id = o.visitor_id and s.session_id = o.session_id where ",
            );
            sql.push(PURCHASE).push(" and ");
            orders_where(sql, scope);
        }
    }
}
