//! The figures of a period over the orders that have some dimensions, counted from their facts: no sums are kept of them.
//!
//! The same definitions as in [`super::days`], which a test compares.

use chrono::Days;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::figures::{Day, Item, Overview, RecentOrder, StreamDay, StreamSum, Window};
use crate::catalogue::Side;
use crate::reports::period::start_of_day;
use crate::reports::sql::chosen;
use crate::reports::table;

/// The dimensions that orders take over from their session.
pub fn dimensions() -> impl Iterator<Item = crate::catalogue::Dimension> {
    crate::catalogue::Dimension::filters().filter(|dimension| !dimension.needs_session_of_order())
}

/// The condition on order facts `o`.
fn within(sql: &mut QueryBuilder<Postgres>, window: &Window) {
    sql.push(" where o.site_id = ").push_bind(window.site_id);
    sql.push(" and o.day <= ").push_bind(window.last);
    if let Some(first) = window.first {
        sql.push(" and o.day >= ").push_bind(first);
    }
    filters(sql, window);
}

fn filters(sql: &mut QueryBuilder<Postgres>, window: &Window) {
    for (dimension, choice) in window.filters.iter() {
        chosen(sql, dimension.sql(Side::Orders), choice);
    }
}

pub(super) async fn days(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<Day>> {
    let mut sql = QueryBuilder::new(
        "select o.day, count(*)::int as orders, (count(*) filter (where o.purchase))::int as purchases, \
         coalesce(sum(o.revenue), 0) as revenue, coalesce(sum(o.discount) filter (where o.purchase), 0) as discounts, \
         (count(distinct o.customer_no) filter (where o.purchase))::int as unique_customers, \
         (count(*) filter (where o.purchase_no = 1))::int as new_customers, \
         (count(*) filter (where o.purchase and o.customer_no is null))::int as unidentified_purchases, \
         (count(*) filter (where o.purchase and o.vip_tier is not null))::int as vip_orders, \
         (count(*) filter (where o.purchase and o.subscription is not null))::int as subscription_orders, \
         (count(*) filter (where o.revenue is null))::int as unvalued_orders from order_facts o",
    );
    within(&mut sql, window);
    sql.push(" group by o.day order by o.day");
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

/// A row of one of the parts of [`overview`]: a day's sums, or how many have the `value` of `part`.
#[derive(sqlx::FromRow)]
struct Part {
    part: String,
    value: Option<String>,
    n: i64,
    #[sqlx(flatten)]
    sums: Day,
}

/// The days of a window and of the one before it, their different customers, and the splits of the window: everything from one reading of
/// the orders of both.
pub(super) async fn overview(pool: &PgPool, window: &Window, before: Option<&Window>) -> sqlx::Result<Overview> {
    let mut sql = QueryBuilder::new("with f as materialized (select o.day, ");
    let now = |sql: &mut QueryBuilder<Postgres>| match window.first {
        Some(first) => drop(sql.push("o.day >= ").push_bind(first)),
        None => drop(sql.push("true")),
    };
    now(&mut sql);
    sql.push(
        " as now, o.purchase, o.revenue, o.discount, o.customer_no, o.purchase_no, o.vip_tier is not null as vip, \
         o.subscription is not null as subscription, coalesce(o.payment_method, '') as method, o.payment_status as status from order_facts o",
    );
    let both = Window {
        first: before.map_or(window.first, |before| before.first),
        ..window.clone()
    };
    within(&mut sql, &both);
    if let Some(before) = before {
        sql.push(" and (o.day <= ").push_bind(before.last).push(" or ");
        now(&mut sql);
        sql.push(")");
    }
    let none = "0 as purchases, 0::numeric as revenue, 0::numeric as discounts, 0 as unique_customers, 0 as new_customers, \
         0 as unidentified_purchases, 0 as vip_orders, 0 as subscription_orders, 0 as unvalued_orders";
    sql.push(
        ") select 'day' as part, null as value, 0::bigint as n, day, count(*)::int as orders, (count(*) filter (where purchase))::int as purchases, \
         coalesce(sum(revenue), 0) as revenue, coalesce(sum(discount) filter (where purchase), 0) as discounts, \
         (count(distinct customer_no) filter (where purchase))::int as unique_customers, \
         (count(*) filter (where purchase_no = 1))::int as new_customers, \
         (count(*) filter (where purchase and customer_no is null))::int as unidentified_purchases, \
         (count(*) filter (where purchase and vip))::int as vip_orders, \
         (count(*) filter (where purchase and subscription))::int as subscription_orders, \
         (count(*) filter (where revenue is null))::int as unvalued_orders from f group by day",
    );
    for (part, value, rows) in [
        (
            "customers",
            "now::text",
            "(select distinct now, customer_no from f where purchase and customer_no is not null)",
        ),
        ("method", "method", "(select method from f where now and purchase)"),
        ("status", "status", "(select status from f where now)"),
    ] {
        sql.push(format_args!(
            " union all select '{part}', {value}, count(*), '1970-01-01'::date, 0, {none} from {rows} x group by {value}"
        ));
    }
    let mut db = table::snapshot(pool).await?;
    let parts: Vec<Part> = sql.build_query_as().persistent(false).fetch_all(&mut *db).await?;
    let mut found = Overview::default();
    let mut previous = (Vec::new(), 0);
    for Part { part, value, n, sums } in parts {
        let value = value.unwrap_or_default();
        match part.as_str() {
            "day" if window.first.is_none_or(|first| sums.day >= first) => found.days.push(sums),
            "day" => previous.0.push(sums),
            "customers" if value == "true" => found.customers = n,
            "customers" => previous.1 = n,
            "method" => drop(found.methods.insert(value, n)),
            _ => drop(found.statuses.insert(value, n)),
        }
    }
    found.days.sort_unstable_by_key(|day| day.day);
    found.previous = before.map(|_| previous);
    Ok(found)
}

/// What sold best, from the orders themselves, which alone hold their items.
pub(super) async fn items(pool: &PgPool, window: &Window, limit: i64) -> sqlx::Result<Vec<Item>> {
    let mut sql = QueryBuilder::new(
        "select item, max(name) as name, sum(quantity) as quantity, coalesce(sum(amount), 0) as amount, count(*) as orders from ( \
         select item, order_id, max(name) as name, sum(quantity) as quantity, sum(round(quantity * price * rate, 4)) as amount from ( \
         select order_id, rate, coalesce(i ->> 'sku', i ->> 'product_id', i ->> 'name') as item, i ->> 'name' as name, \
         coalesce((i ->> 'quantity')::numeric, 1) as quantity, (i ->> 'price')::numeric as price from ( \
         select o.order_id, o.rate, jsonb_array_elements(o.items) as i from orders o where o.items is not null \
         and o.payment_status in ('paid', 'partially_refunded') and o.site_id = ",
    );
    sql.push_bind(window.site_id);
    sql.push(" and o.created_at < ")
        .push_bind(start_of_day(window.last + Days::new(1), window.time_zone));
    if let Some(first) = window.first {
        sql.push(" and o.created_at >= ")
            .push_bind(start_of_day(first, window.time_zone));
    }
    filters(&mut sql, window);
    sql.push(") e) sold group by item, order_id) orders_of group by item order by amount desc, item limit ")
        .push_bind(limit);
    let mut db = table::snapshot(pool).await?;
    // How many items an order has is not known to the planner, which would prepare for a hundred each.
    sqlx::query("set local work_mem = '64MB'").execute(&mut *db).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

pub(super) async fn streams(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamSum>> {
    let mut sql = QueryBuilder::new(
        "select o.stream, coalesce(sum(o.revenue), 0) as amount, count(*) as transactions from order_facts o",
    );
    within(&mut sql, window);
    sql.push(" and o.purchase group by o.stream order by amount desc, o.stream");
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

pub(super) async fn stream_days(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamDay>> {
    let mut sql = QueryBuilder::new(
        "select o.day, o.stream, coalesce(sum(o.revenue), 0) as amount, count(*)::int as transactions from order_facts o",
    );
    within(&mut sql, window);
    sql.push(" and o.purchase group by o.day, o.stream order by o.day, o.stream");
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

pub(super) async fn recent_orders(pool: &PgPool, window: &Window, limit: i64) -> sqlx::Result<Vec<RecentOrder>> {
    let mut sql = QueryBuilder::new(
        "select o.order_id, o.order_number, o.created_at, o.payment_status, o.payment_method, o.total, o.currency, o.revenue, \
         o.utm_source, o.utm_campaign from orders o where o.site_id = ",
    );
    sql.push_bind(window.site_id);
    filters(&mut sql, window);
    sql.push(" order by o.created_at desc, o.order_id limit ")
        .push_bind(limit);
    sql.build_query_as().persistent(false).fetch_all(pool).await
}
