//! Sums of orders by the hour in which they were placed and how they were linked, kept with the other sums of that hour: coverage need
//! not read a shop's orders one by one. Whoever changes an order marks its hour, so a dirty hour's orders are read themselves.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::plan::plan;
use super::upkeep;
use crate::site::Site;

const COLUMNS: &str = "site_id, hours, start, linked, link_method, unlinked_cause, orders, without_rate, revenue";

/// What the orders say of some hours: `$1` site, `$2` starts of hours.
const OF_HOURS: &str = "select o.site_id, 1::smallint, h.start, o.session_id is not null, o.link_method, o.unlinked_cause, count(*)::integer, \
       (count(*) filter (where o.revenue is null))::integer, coalesce(sum(o.revenue), 0) \
     from unnest($2::timestamptz[]) as h (start) \
     cross join lateral (select * from orders x where x.site_id = $1 and x.created_at >= h.start \
       and x.created_at < h.start + interval '1 hour' offset 0) o \
     group by 1, 3, 4, 5, 6";

/// What the hours say of some days: `$1` site, `$2` starts of days (UTC).
const OF_DAYS: &str = "select r.site_id, 24::smallint, d.start, r.linked, r.link_method, r.unlinked_cause, sum(r.orders)::integer, \
       sum(r.without_rate)::integer, sum(r.revenue) \
     from unnest($2::timestamptz[]) as d (start) join order_sums r on r.site_id = $1 and r.hours = 1 and r.start >= d.start \
       and r.start < d.start + interval '24 hours' \
     group by 1, 3, 4, 5, 6";

/// Replaces the sums of these hours and days by what the orders say now.
pub(super) async fn recompute(
    db: &mut PgConnection,
    site_id: i32,
    hours: &[DateTime<Utc>],
    days: &[DateTime<Utc>],
) -> sqlx::Result<()> {
    for (width, starts, told) in [(1_i16, hours, OF_HOURS), (24, days, OF_DAYS)] {
        sqlx::query!(
            "delete from order_sums where site_id = $1 and hours = $2 and start = any($3)",
            site_id,
            width,
            starts
        )
        .execute(&mut *db)
        .await?;
        sqlx::query(AssertSqlSafe(format!("insert into order_sums ({COLUMNS}) {told}")))
            .bind(site_id)
            .bind(starts)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Those of these hours, and of these days, whose sums are not what the orders, and the hours, say.
pub(super) async fn differing(
    db: &mut PgConnection,
    site_id: i32,
    hours: &[DateTime<Utc>],
    days: &[DateTime<Utc>],
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    let mut found = Vec::new();
    for (width, starts, told) in [(1, hours, OF_HOURS), (24, days, OF_DAYS)] {
        let statement = format!(
            "with told as ({told}), kept as (select {COLUMNS} from order_sums where site_id = $1 and hours = {width} and start = any($2)) \
             select distinct start from ((table told except table kept) union all (table kept except table told)) d (site_id, hours, start)"
        );
        let starts: Vec<DateTime<Utc>> = sqlx::query_scalar(AssertSqlSafe(statement))
            .bind(site_id)
            .bind(starts)
            .fetch_all(&mut *db)
            .await?;
        found.extend(starts);
    }
    Ok(found)
}

/// Orders placed in a period that were linked in one way, or not linked for one cause.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Linked {
    /// Whether they have a session.
    pub linked: bool,
    /// How they were linked: session, visitor, customer, contact; none when they were not.
    pub link_method: Option<String>,
    /// Why they were not; none when they were.
    pub unlinked_cause: Option<String>,
    /// Orders of any payment status.
    pub orders: i64,
    /// Purchases among them whose currency has no known rate.
    pub without_rate: i64,
    /// Their revenue in the site's currency.
    pub revenue: Decimal,
}

/// Orders placed from `from` (included) to `to` (excluded), exact at this moment: clean hours from the sums, the others from the orders.
/// To be asked in one snapshot.
///
/// # Errors
/// The database's.
pub async fn placed(
    db: &mut PgConnection,
    site: &Site,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<Linked>> {
    let dirty = upkeep::dirty(&mut *db, site.id, from, to).await?;
    let plan = plan(from, to, &dirty, true);
    let (day_from, day_to): (Vec<_>, Vec<_>) = plan.days.into_iter().unzip();
    let (hour_from, hour_to): (Vec<_>, Vec<_>) = plan.hours.into_iter().unzip();
    let (order_from, order_to): (Vec<_>, Vec<_>) = plan.sessions.into_iter().unzip();
    // Each part is fenced by its offset, so that its ranges are found by index.
    sqlx::query_as!(
        Linked,
        r#"select linked as "linked!", link_method, unlinked_cause, sum(orders)::bigint as "orders!",
            sum(without_rate)::bigint as "without_rate!", sum(revenue) as "revenue!"
        from (
            select d.linked, d.link_method, d.unlinked_cause, d.orders, d.without_rate, d.revenue
            from unnest($2::timestamptz[], $3::timestamptz[]) as w (a, b) cross join lateral (
                select * from order_sums x where x.site_id = $1 and x.hours = 24 and x.start >= w.a and x.start < w.b offset 0) d
            union all
            select h.linked, h.link_method, h.unlinked_cause, h.orders, h.without_rate, h.revenue
            from unnest($4::timestamptz[], $5::timestamptz[]) as w (a, b) cross join lateral (
                select * from order_sums x where x.site_id = $1 and x.hours = 1 and x.start >= w.a and x.start < w.b offset 0) h
            union all
            select o.session_id is not null, o.link_method, o.unlinked_cause, 1, (o.revenue is null)::integer, coalesce(o.revenue, 0)
            from unnest($6::timestamptz[], $7::timestamptz[]) as w (a, b) cross join lateral (
                select * from orders x where x.site_id = $1 and x.created_at >= w.a and x.created_at < w.b offset 0) o
        ) parts
        group by linked, link_method, unlinked_cause order by 4 desc, 2, 3"#,
        site.id,
        &day_from,
        &day_to,
        &hour_from,
        &hour_to,
        &order_from,
        &order_to
    )
    .fetch_all(db)
    .await
}
