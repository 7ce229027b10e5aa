//! What `customer_metrics` says: customers by segment, tier and worth, and lists of them.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::segments::{Segment, SegmentRules};
use crate::reports::table;

/// With a window longer than this, many customers moved in it more than once: all are read instead of their moves. The index on the
/// time between moves holds what is shorter.
const MOVES_OF_DAYS: i64 = 30;

/// A segment on two days.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "segment is a code; before: customers on the earlier day")]
pub struct SegmentSum {
    pub segment: i16,
    pub customers: i64,
    pub revenue: Decimal,
    pub orders: i64,
    pub before: i64,
}

/// Segments on `day`, with what their customers spent and bought in all, and their sizes on `before`: as orders up to then and today's
/// knowledge of refunds say.
///
/// # Errors
/// The database's.
pub async fn segments(pool: &PgPool, site_id: i32, day: NaiveDate, before: NaiveDate) -> sqlx::Result<Vec<SegmentSum>> {
    sqlx::query_as!(
        SegmentSum,
        r#"select segment, sum(customers)::bigint as "customers!", sum(revenue) as "revenue!", sum(orders)::bigint as "orders!",
            coalesce(sum(customers) filter (where day <= $3), 0)::bigint as "before!"
        from customer_segment_days where site_id = $1 and day <= $2 group by segment"#,
        site_id,
        day,
        before
    )
    .fetch_all(pool)
    .await
}

/// Customers who are in another segment on `day` than on `before`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "codes of segments; none: no customer yet")]
pub struct Move {
    pub from: Option<i16>,
    pub to: i16,
    pub customers: i64,
}

/// Who moved between two days. Whoever came back to the segment of `before` did not.
///
/// # Errors
/// The database's.
pub async fn moves(pool: &PgPool, site_id: i32, before: NaiveDate, day: NaiveDate) -> sqlx::Result<Vec<Move>> {
    if (day - before).num_days() > MOVES_OF_DAYS {
        // With the reports' settings, so that several processes share the reading.
        let mut db = table::snapshot(pool).await?;
        return sqlx::query_as!(
            Move,
            r#"select f as "from?", t as "to!", count(*) as "customers!" from (
                select segments[width_bucket($2::date, move_days)] as f, segments[width_bucket($3::date, move_days)] as t
                from customer_metrics where site_id = $1) m
            where f is distinct from t group by f, t"#,
            site_id,
            before,
            day
        )
        .fetch_all(&mut *db)
        .await;
    }
    // Nearly everybody moves once in a window: moves are counted as they are, and put right for those who moved again, whom the time
    // since their move before tells. Of these the first move tells where from, the last where to: both with their day before them, so
    // that they are the smallest and the largest number.
    let lags: Vec<i32> = (1..(day - before).num_days() as i32).collect();
    sqlx::query_as!(
        Move,
        r#"with again as materialized (
            select customer_no, day, lag, from_segment, to_segment from customer_moves
            where site_id = $1 and lag < 30 and lag = any($4) and day > $2 and day <= $3 and day - lag > $2
        ), members as materialized (
            select customer_no, day, from_segment, to_segment from again
            union
            select p.customer_no, p.day, p.from_segment, p.to_segment from again a
            join customer_moves p on p.site_id = $1 and p.day = a.day - a.lag and p.customer_no = a.customer_no
        ), counts as (
            select from_segment as f, to_segment as t, count(*) as n from customer_moves
                where site_id = $1 and day > $2 and day <= $3 group by 1, 2
            union all
            select from_segment, to_segment, -count(*) from members group by 1, 2
            union all
            select f, t, count(*) from (
                select (nullif(min((day - date '1970-01-01') * 8 + coalesce(from_segment, 0)) % 8, 0))::smallint as f,
                    (max((day - date '1970-01-01') * 8 + to_segment) % 8)::smallint as t
                from members group by customer_no) m group by 1, 2
        )
        select f as "from?", t as "to!", sum(n)::bigint as "customers!" from counts
        where f is distinct from t group by f, t having sum(n) <> 0"#,
        site_id,
        before,
        day,
        &lags
    )
    .fetch_all(pool)
    .await
}

/// Customers that are alike in tier and worth.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Group {
    pub vip_tier: String,
    pub band: i32,
    pub customers: i64,
    pub revenue: Decimal,
    pub orders: i64,
    pub subscribers: i64,
    pub loyalty_earned: Decimal,
    pub loyalty_redeemed: Decimal,
    pub referrers: i64,
    pub referrals: i64,
    pub repeat_customers: i64,
}

/// All customers of the site.
///
/// # Errors
/// The database's.
pub async fn groups(pool: &PgPool, site_id: i32) -> sqlx::Result<Vec<Group>> {
    sqlx::query_as!(
        Group,
        "select vip_tier, band, customers, revenue, orders, subscribers, loyalty_earned, loyalty_redeemed, referrers, referrals,
            repeat_customers
        from customer_groups where site_id = $1 and customers <> 0",
        site_id
    )
    .fetch_all(pool)
    .await
}

/// A customer in a list.
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of customer_metrics")]
pub struct Customer {
    pub customer_no: i64,
    pub orders: i32,
    pub orders_placed: i32,
    pub revenue: Decimal,
    pub avg_order_value: Option<Decimal>,
    pub discounts: Decimal,
    pub first_order_at: DateTime<Utc>,
    pub last_order_at: DateTime<Utc>,
    pub last_day: NaiveDate,
    pub vip_tier: Option<String>,
    pub subscription: Option<String>,
    pub subscription_active: bool,
    pub loyalty_earned: Decimal,
    pub loyalty_redeemed: Decimal,
    pub referrals: i32,
    pub segment: Option<i16>,
}

/// What a list of customers is ordered by, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What was spent in all.
    Revenue,
    /// The last purchase.
    LastOrder,
    /// The first purchase.
    FirstOrder,
}

/// The statement of a list of customers with their segment on a day; of one segment where given.
pub fn statement(
    site_id: i32,
    day: NaiveDate,
    segment: Option<Segment>,
    order: Order,
    page: Option<(i64, i64)>,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "select * from (select customer_no, orders, orders_placed, revenue, avg_order_value, discounts, first_order_at, last_order_at, \
         first_day, last_day, vip_tier, subscription, subscription_active, loyalty_earned, loyalty_redeemed, referrals, \
         segments[width_bucket(",
    );
    sql.push_bind(day);
    sql.push("::date, move_days)] as segment from customer_metrics where site_id = ")
        .push_bind(site_id);
    sql.push(") m");
    if let Some(segment) = segment {
        sql.push(" where segment = ").push_bind(segment.code());
    }
    sql.push(match order {
        Order::Revenue => " order by revenue desc, customer_no",
        Order::LastOrder => " order by last_day desc, last_order_at desc, customer_no",
        Order::FirstOrder => " order by first_day desc, first_order_at desc, customer_no",
    });
    if let Some((limit, offset)) = page {
        sql.push(" limit ").push_bind(limit);
        sql.push(" offset ").push_bind(offset);
    }
    sql
}

/// Those who spent most.
///
/// # Errors
/// The database's.
pub async fn top(pool: &PgPool, site_id: i32, day: NaiveDate, limit: i64) -> sqlx::Result<Vec<Customer>> {
    sqlx::query_as!(
        Customer,
        r#"select customer_no, orders, orders_placed, revenue, avg_order_value, discounts, first_order_at, last_order_at, last_day, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, referrals,
            segments[width_bucket($2::date, move_days)] as segment
        from customer_metrics where site_id = $1 order by revenue desc, customer_no limit $3"#,
        site_id,
        day,
        limit
    )
    .fetch_all(pool)
    .await
}

/// Those at risk of not coming back, who spent most first.
///
/// # Errors
/// The database's.
pub async fn at_risk(
    pool: &PgPool,
    site_id: i32,
    day: NaiveDate,
    rules: &SegmentRules,
    limit: i64,
) -> sqlx::Result<Vec<Customer>> {
    sqlx::query_as!(
        Customer,
        r#"select customer_no, orders, orders_placed, revenue, avg_order_value, discounts, first_order_at, last_order_at, last_day, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, referrals,
            segments[width_bucket($2::date, move_days)] as segment
        from customer_metrics
        where site_id = $1 and not subscription_active and last_day < $2::date - $3::integer and last_day >= $2::date - $4::integer
        order by revenue desc, customer_no limit $5"#,
        site_id,
        day,
        i32::from(rules.at_risk_after_days),
        i32::from(rules.lost_after_days),
        limit
    )
    .fetch_all(pool)
    .await
}

/// One customer.
///
/// # Errors
/// The database's.
pub async fn one(pool: &PgPool, site_id: i32, day: NaiveDate, customer_no: i64) -> sqlx::Result<Option<Customer>> {
    sqlx::query_as!(
        Customer,
        r#"select customer_no, orders, orders_placed, revenue, avg_order_value, discounts, first_order_at, last_order_at, last_day, vip_tier,
            subscription, subscription_active, loyalty_earned, loyalty_redeemed, referrals,
            segments[width_bucket($2::date, move_days)] as segment
        from customer_metrics where site_id = $1 and customer_no = $3"#,
        site_id,
        day,
        customer_no
    )
    .fetch_optional(pool)
    .await
}

/// An order of a customer, with what the site keeps of who ordered.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of orders")]
pub struct OrderOf {
    pub order_id: String,
    pub order_number: Option<String>,
    pub created_at: DateTime<Utc>,
    pub payment_status: String,
    pub revenue: Option<Decimal>,
    pub stream: String,
    pub customer_contact: Option<serde_json::Value>,
}

/// A customer's latest orders.
///
/// # Errors
/// The database's.
pub async fn orders_of(pool: &PgPool, site_id: i32, customer_no: i64, limit: i64) -> sqlx::Result<Vec<OrderOf>> {
    sqlx::query_as!(
        OrderOf,
        "select o.order_id, o.order_number, o.created_at, o.payment_status, o.revenue, f.stream, o.customer_contact
        from order_facts f join orders o on o.site_id = f.site_id and o.order_id = f.order_id
        where f.site_id = $1 and f.customer_no = $2 order by o.created_at desc, o.order_id limit $3",
        site_id,
        customer_no,
        limit
    )
    .fetch_all(pool)
    .await
}
