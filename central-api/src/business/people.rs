//! What `customer_metrics` says: customers by segment, tier and worth, and lists of them.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgPool;

use super::segments::SegmentRules;

/// Net spend at which bands of lifetime value begin, in the site's currency; below the first is the lowest band.
pub const LTV_BANDS: [i64; 6] = [500, 1_000, 2_500, 5_000, 10_000, 25_000];

/// Customers that are alike in everything that the page splits by.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "segment and segment_before are codes, none before the first purchase; band counts LTV_BANDS reached"
)]
pub struct Group {
    pub segment: Option<i16>,
    pub segment_before: Option<i16>,
    pub vip_tier: Option<String>,
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

/// All customers of the site in one pass: their segment on `day` and on `before`, as orders up to then and today's knowledge of
/// refunds say.
///
/// # Errors
/// The database's.
pub async fn groups(pool: &PgPool, site_id: i32, day: NaiveDate, before: NaiveDate) -> sqlx::Result<Vec<Group>> {
    let bands: Vec<Decimal> = LTV_BANDS.iter().map(|from| Decimal::from(*from)).collect();
    sqlx::query_as!(
        Group,
        r#"select segments[width_bucket($2::date, move_days)] as segment, segments[width_bucket($3::date, move_days)] as segment_before,
            vip_tier, width_bucket(revenue, $4::numeric[]) as "band!", count(*) as "customers!", sum(revenue) as "revenue!",
            sum(orders) as "orders!", count(*) filter (where subscription_active) as "subscribers!",
            sum(loyalty_earned) as "loyalty_earned!", sum(loyalty_redeemed) as "loyalty_redeemed!",
            count(*) filter (where referrals > 0) as "referrers!", sum(referrals) as "referrals!",
            count(*) filter (where orders > 1) as "repeat_customers!"
        from customer_metrics where site_id = $1 group by 1, 2, 3, 4"#,
        site_id,
        day,
        before,
        &bands
    )
    .fetch_all(pool)
    .await
}

/// A customer in a list.
#[derive(Debug, Clone)]
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
