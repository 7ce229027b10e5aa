//! What is known of a period: days, streams, customers of a window, items. From the kept sums; where some orders are left out, from the
//! facts of the others ([`super::filtered`]).

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgPool;

use super::filtered;
use crate::reports::filter::Filters;

/// Local days, both included; no first day: from the beginning.
#[derive(Debug, Clone)]
pub struct Window {
    /// The site.
    pub site_id: i32,
    /// Its zone.
    pub time_zone: chrono_tz::Tz,
    /// First day.
    pub first: Option<NaiveDate>,
    /// Last day.
    pub last: NaiveDate,
    /// Which orders count, by what they took over from their session; none: all, and the kept sums answer.
    pub filters: Filters,
}

impl Window {
    /// Whether some orders are left out.
    pub fn is_filtered(&self) -> bool {
        !self.filters.is_empty()
    }
}

/// A day of `daily_analytics_snapshots`.
#[derive(Debug, Clone, Default, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Day {
    pub day: NaiveDate,
    pub orders: i32,
    pub purchases: i32,
    pub revenue: Decimal,
    pub discounts: Decimal,
    pub unique_customers: i32,
    pub new_customers: i32,
    pub unidentified_purchases: i32,
    pub vip_orders: i32,
    pub subscription_orders: i32,
    pub unvalued_orders: i32,
}

/// The days of a window that have orders.
///
/// # Errors
/// The database's.
pub async fn days(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<Day>> {
    if window.is_filtered() {
        return filtered::days(pool, window).await;
    }
    sqlx::query_as!(
        Day,
        "select day, orders, purchases, revenue, discounts, unique_customers, new_customers, unidentified_purchases, vip_orders,
            subscription_orders, unvalued_orders
        from daily_analytics_snapshots where site_id = $1 and ($2::date is null or day >= $2) and day <= $3 order by day",
        window.site_id,
        window.first,
        window.last
    )
    .fetch_all(pool)
    .await
}

/// A window at a glance.
#[derive(Debug, Default)]
pub struct Overview {
    /// Its days that have orders.
    pub days: Vec<Day>,
    /// Different customers with a purchase in it.
    pub customers: i64,
    /// Purchases by payment method; the empty one: not stated.
    pub methods: BTreeMap<String, i64>,
    /// Orders by payment status.
    pub statuses: BTreeMap<String, i64>,
    /// Days and customers of the window before.
    pub previous: Option<(Vec<Day>, i64)>,
}

/// A window at a glance, and the one before it.
///
/// # Errors
/// The database's.
pub async fn overview(
    pool: &PgPool,
    window: &Window,
    before: Option<&Window>,
    today: NaiveDate,
) -> sqlx::Result<Overview> {
    if window.is_filtered() {
        return filtered::overview(pool, window, before).await;
    }
    let before = async {
        match before {
            Some(before) => {
                let (days, customers) = tokio::try_join!(days(pool, before), customers(pool, before, today))?;
                Ok(Some((days, customers)))
            }
            None => Ok(None),
        }
    };
    let (days, customers, (methods, statuses), previous) = tokio::try_join!(
        days(pool, window),
        customers(pool, window, today),
        splits(pool, window),
        before
    )?;
    Ok(Overview {
        days,
        customers,
        methods,
        statuses,
        previous,
    })
}

/// Different customers with a purchase in a window.
async fn customers(pool: &PgPool, window: &Window, today: NaiveDate) -> sqlx::Result<i64> {
    if window.last >= today {
        // Nobody's last purchase lies behind the window: who bought in it bought last in it.
        return sqlx::query_scalar!(
            r#"select count(*) as "count!" from customer_metrics where site_id = $1 and ($2::date is null or last_day >= $2)"#,
            window.site_id,
            window.first
        )
        .fetch_one(pool)
        .await;
    }
    // Each customer once: by the first purchase in the window.
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from order_facts where site_id = $1 and ($2::date is null or day >= $2) and day <= $3
            and purchase_no is not null and (previous_day is null or previous_day < $2)"#,
        window.site_id,
        window.first,
        window.last
    )
    .fetch_one(pool)
    .await
}

/// How many orders have a payment method or status.
struct Split {
    /// `method` or `status`.
    kind: String,
    value: String,
    n: i64,
}

/// Purchases by payment method, and orders by payment status.
async fn splits(pool: &PgPool, window: &Window) -> sqlx::Result<(BTreeMap<String, i64>, BTreeMap<String, i64>)> {
    let rows = sqlx::query_as!(
        Split,
        r#"select kind as "kind!", value as "value!", sum(n)::bigint as "n!" from (
            select 'method' as kind, j.key as value, j.value::bigint as n
                from daily_analytics_snapshots d, jsonb_each_text(d.payment_methods) j
                where d.site_id = $1 and ($2::date is null or d.day >= $2) and d.day <= $3
            union all
            select 'status', j.key, j.value::bigint from daily_analytics_snapshots d, jsonb_each_text(d.statuses) j
                where d.site_id = $1 and ($2::date is null or d.day >= $2) and d.day <= $3
        ) s group by 1, 2"#,
        window.site_id,
        window.first,
        window.last
    )
    .fetch_all(pool)
    .await?;
    let mut found = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        let map = if row.kind == "method" {
            &mut found.0
        } else {
            &mut found.1
        };
        map.insert(row.value, row.n);
    }
    Ok(found)
}

/// An item's sales.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct Item {
    pub item: String,
    pub name: Option<String>,
    pub quantity: Decimal,
    pub amount: Decimal,
    pub orders: i64,
}

/// What sold best, by amount.
///
/// # Errors
/// The database's.
pub async fn items(pool: &PgPool, window: &Window, limit: i64) -> sqlx::Result<Vec<Item>> {
    if window.is_filtered() {
        return filtered::items(pool, window, limit).await;
    }
    sqlx::query_as!(
        Item,
        r#"select item, max(name) as name, sum(quantity) as "quantity!", sum(amount) as "amount!", sum(orders) as "orders!"
        from daily_item_sales where site_id = $1 and ($2::date is null or day >= $2) and day <= $3
        group by item order by sum(amount) desc, item limit $4"#,
        window.site_id,
        window.first,
        window.last,
        limit
    )
    .fetch_all(pool)
    .await
}

/// An order in a list; nothing that says whose.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of orders")]
pub struct RecentOrder {
    pub order_id: String,
    pub order_number: Option<String>,
    pub created_at: DateTime<Utc>,
    pub payment_status: String,
    pub payment_method: Option<String>,
    pub total: Decimal,
    pub currency: String,
    pub revenue: Option<Decimal>,
    pub utm_source: Option<String>,
    pub utm_campaign: Option<String>,
}

/// The latest orders.
///
/// # Errors
/// The database's.
pub async fn recent_orders(pool: &PgPool, window: &Window, limit: i64) -> sqlx::Result<Vec<RecentOrder>> {
    if window.is_filtered() {
        return filtered::recent_orders(pool, window, limit).await;
    }
    sqlx::query_as!(
        RecentOrder,
        "select order_id, order_number, created_at, payment_status, payment_method, total, currency, revenue, utm_source, utm_campaign
        from orders where site_id = $1 order by created_at desc, order_id limit $2",
        window.site_id,
        limit
    )
    .fetch_all(pool)
    .await
}

/// A stream's sum.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct StreamSum {
    pub stream: String,
    pub amount: Decimal,
    pub transactions: i64,
    pub unvalued_orders: i64,
}

/// Streams of a window, the largest first.
///
/// # Errors
/// The database's.
pub async fn streams(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamSum>> {
    if window.is_filtered() {
        return filtered::streams(pool, window).await;
    }
    sqlx::query_as!(
        StreamSum,
        r#"select stream, sum(amount) as "amount!", sum(transactions) as "transactions!",
            sum(unvalued_orders) as "unvalued_orders!" from revenue_streams
        where site_id = $1 and ($2::date is null or day >= $2) and day <= $3 group by stream order by sum(amount) desc, stream"#,
        window.site_id,
        window.first,
        window.last
    )
    .fetch_all(pool)
    .await
}

/// A stream's day.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
#[expect(missing_docs, reason = "the migration says what each column means")]
pub struct StreamDay {
    pub day: NaiveDate,
    pub stream: String,
    pub amount: Decimal,
    pub transactions: i32,
    pub unvalued_orders: i32,
}

/// Streams of a window day by day.
///
/// # Errors
/// The database's.
pub async fn stream_days(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamDay>> {
    if window.is_filtered() {
        return filtered::stream_days(pool, window).await;
    }
    sqlx::query_as!(
        StreamDay,
        "select day, stream, amount, transactions, unvalued_orders from revenue_streams
        where site_id = $1 and ($2::date is null or day >= $2) and day <= $3 order by day, stream",
        window.site_id,
        window.first,
        window.last
    )
    .fetch_all(pool)
    .await
}
