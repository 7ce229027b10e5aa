//! Tables `daily_analytics_snapshots`, `revenue_streams`, `daily_item_sales`, `order_blocks` and `campaign_performance`: what the facts of a local
//! day come to.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use sqlx::{PgConnection, PgExecutor};

use super::order_blocks;

/// Makes the sums of these days anew.
///
/// # Errors
/// The database's.
pub async fn recompute(conn: &mut PgConnection, site_id: i32, days: &[NaiveDate]) -> sqlx::Result<()> {
    if days.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from daily_analytics_snapshots where site_id = $1 and day = any($2)",
        site_id,
        days
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "with f as materialized (
            select day, purchase, revenue, discount, customer_no, purchase_no, previous_day, vip_tier, subscription, payment_method, payment_status
            from order_facts where site_id = $1 and day = any($2)
        ), sums as (
            select day, count(*) as orders, count(*) filter (where purchase) as purchases, coalesce(sum(revenue), 0) as revenue,
                coalesce(sum(discount) filter (where purchase), 0) as discounts,
                count(distinct customer_no) filter (where purchase) as unique_customers,
                count(*) filter (where purchase_no = 1) as new_customers,
                count(*) filter (where purchase and customer_no is null) as unidentified,
                count(*) filter (where purchase and vip_tier is not null) as vip,
                count(*) filter (where purchase and subscription is not null) as subscriptions,
                count(*) filter (where revenue is null) as unvalued,
                count(*) filter (where purchase_no = 1 or previous_day < date_trunc('month', day::timestamp)) as month_customers,
                count(*) filter (where previous_day < date_trunc('month', day::timestamp)
                    and previous_day >= date_trunc('month', day::timestamp) - interval '1 month') as month_retained
            from f group by day
        ), methods as (
            select day, jsonb_object_agg(method, n) as counts
            from (select day, coalesce(payment_method, '') as method, count(*) as n from f where purchase group by 1, 2) m group by day
        ), states as (
            select day, jsonb_object_agg(payment_status, n) as counts
            from (select day, payment_status, count(*) as n from f group by 1, 2) m group by day
        )
        insert into daily_analytics_snapshots (site_id, day, orders, purchases, revenue, discounts, unique_customers, new_customers,
            unidentified_purchases, vip_orders, subscription_orders, unvalued_orders, month_customers, month_retained, payment_methods,
            statuses)
        select $1, s.day, orders, purchases, revenue, discounts, unique_customers, new_customers, unidentified, vip, subscriptions, unvalued,
            month_customers, month_retained, coalesce(m.counts, '{}'), t.counts
        from sums s join states t on t.day = s.day left join methods m on m.day = s.day",
        site_id,
        days
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "delete from revenue_streams where site_id = $1 and day = any($2)",
        site_id,
        days
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into revenue_streams (site_id, day, stream, amount, transactions, unvalued_orders)
        select $1, day, stream, coalesce(sum(revenue), 0), count(*), count(*) filter (where revenue is null) from order_facts
        where site_id = $1 and day = any($2) and purchase group by day, stream",
        site_id,
        days
    )
    .execute(&mut *conn)
    .await?;
    items(conn, site_id, days).await?;
    order_blocks::recompute(conn, site_id, days).await?;
    campaigns(conn, site_id, None, Some(days)).await
}

async fn items(conn: &mut PgConnection, site_id: i32, days: &[NaiveDate]) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from daily_item_sales where site_id = $1 and day = any($2)",
        site_id,
        days
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "insert into daily_item_sales (site_id, day, item, name, quantity, amount, orders)
        select $1, day, item, max(name), sum(quantity), coalesce(sum(amount), 0), count(distinct order_id)
        from sold_items where site_id = $1 and day = any($2)
        group by day, item",
        site_id,
        days
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the performance of campaigns that were changed anew.
///
/// # Errors
/// The database's.
pub async fn stale_campaigns(conn: &mut PgConnection, site_id: i32) -> sqlx::Result<()> {
    let stale = sqlx::query_scalar!(
        "update campaigns set stale = false where site_id = $1 and stale returning campaign_id",
        site_id
    )
    .fetch_all(&mut *conn)
    .await?;
    for campaign in stale {
        campaigns(conn, site_id, Some(campaign), None).await?;
    }
    Ok(())
}

/// Makes the performance of a campaign (or all) anew on these days (or all).
///
/// # Errors
/// The database's.
pub async fn campaigns(
    conn: &mut PgConnection,
    site_id: i32,
    campaign: Option<i64>,
    days: Option<&[NaiveDate]>,
) -> sqlx::Result<()> {
    let before = sqlx::query_scalar!(
        "delete from campaign_performance where site_id = $1 and ($2::bigint is null or campaign_id = $2) and ($3::date[] is null or day = any($3))
        returning campaign_id",
        site_id,
        campaign,
        days
    )
    .fetch_all(&mut *conn)
    .await?;
    let after = sqlx::query_scalar!(
        "insert into campaign_performance (site_id, campaign_id, day, orders, purchases, revenue, discount_cost, customers, unvalued_orders)
        select $1, f.campaign_id, f.day, count(*), count(*) filter (where f.purchase), coalesce(sum(f.revenue), 0),
            coalesce(sum(f.discount) filter (where f.purchase), 0), count(distinct f.customer_no) filter (where f.purchase),
            count(*) filter (where f.purchase and f.revenue is null)
        from campaign_orders f
        where f.site_id = $1 and ($2::bigint is null or f.campaign_id = $2)
            and f.day between coalesce($3::date, '-infinity') and coalesce($4::date, 'infinity') and ($5::date[] is null or f.day = any($5))
        group by f.campaign_id, f.day returning campaign_id",
        site_id,
        campaign,
        days.and_then(|days| days.iter().min()).copied(),
        days.and_then(|days| days.iter().max()).copied(),
        days
    )
    .fetch_all(&mut *conn)
    .await?;
    let changed: BTreeSet<i64> = before.into_iter().chain(after).chain(campaign).collect();
    let changed: Vec<i64> = changed.into_iter().collect();
    sqlx::query!(
        "update campaigns c set customers_reached = (
            select count(distinct f.customer_no) from campaign_orders f
            where f.site_id = c.site_id and f.campaign_id = c.campaign_id and f.purchase)
        where c.site_id = $1 and c.campaign_id = any($2)",
        site_id,
        &changed
    )
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Every local day that has an order or a sum.
///
/// # Errors
/// The database's.
pub async fn all(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<Vec<NaiveDate>> {
    sqlx::query_scalar!(
        r#"select day as "day!" from order_facts where site_id = $1 union select day from daily_analytics_snapshots where site_id = $1
        order by 1"#,
        site_id
    )
    .fetch_all(db)
    .await
}
