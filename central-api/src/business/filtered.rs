//! The figures of a period over the orders that have some dimensions, counted from their facts: no sums are kept of them.
//!
//! The same definitions as in [`super::days`], which a test compares.

use sqlx::{PgPool, Postgres, QueryBuilder};

use super::figures::{Day, Item, RecentOrder, Split, StreamDay, StreamSum, Window};
use crate::catalogue::Side;
use crate::reports::sql::chosen;

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
         (count(*) filter (where o.revenue is null))::int as unvalued_orders, 0 as month_customers, 0 as month_retained from order_facts o",
    );
    within(&mut sql, window);
    sql.push(" group by o.day order by o.day");
    sql.build_query_as().persistent(false).fetch_all(pool).await
}

pub(super) async fn customers(pool: &PgPool, window: &Window) -> sqlx::Result<i64> {
    let mut sql = QueryBuilder::new("select count(distinct o.customer_no) from order_facts o");
    within(&mut sql, window);
    sql.push(" and o.purchase");
    sql.build_query_scalar().persistent(false).fetch_one(pool).await
}

pub(super) async fn splits(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<Split>> {
    let mut sql = QueryBuilder::new(
        "with f as materialized (select o.purchase, coalesce(o.payment_method, '') as method, o.payment_status as status from order_facts o",
    );
    within(&mut sql, window);
    sql.push(
        ") select 'method' as kind, method as value, count(*) as n from f where purchase group by method \
         union all select 'status', status, count(*) from f group by status",
    );
    sql.build_query_as().persistent(false).fetch_all(pool).await
}

pub(super) async fn items(pool: &PgPool, window: &Window, limit: i64) -> sqlx::Result<Vec<Item>> {
    let mut sql = QueryBuilder::new(
        "select item, max(name) as name, sum(quantity) as quantity, coalesce(sum(round(quantity * price * rate, 4)), 0) as amount, \
         count(distinct order_id) as orders from (select o.order_id, k.rate, \
         coalesce(i ->> 'sku', i ->> 'product_id', i ->> 'name') as item, i ->> 'name' as name, \
         coalesce((i ->> 'quantity')::numeric, 1) as quantity, (i ->> 'price')::numeric as price \
         from order_facts o join orders k on k.site_id = o.site_id and k.order_id = o.order_id and k.items is not null \
         cross join lateral jsonb_array_elements(k.items) as i",
    );
    within(&mut sql, window);
    sql.push(" and o.purchase) sold group by item order by amount desc, item limit ")
        .push_bind(limit);
    sql.build_query_as().persistent(false).fetch_all(pool).await
}

pub(super) async fn streams(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamSum>> {
    let mut sql = QueryBuilder::new(
        "select o.stream, coalesce(sum(o.revenue), 0) as amount, count(*) as transactions from order_facts o",
    );
    within(&mut sql, window);
    sql.push(" and o.purchase group by o.stream order by amount desc, o.stream");
    sql.build_query_as().persistent(false).fetch_all(pool).await
}

pub(super) async fn stream_days(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamDay>> {
    let mut sql = QueryBuilder::new(
        "select o.day, o.stream, coalesce(sum(o.revenue), 0) as amount, count(*)::int as transactions from order_facts o",
    );
    within(&mut sql, window);
    sql.push(" and o.purchase group by o.day, o.stream order by o.day, o.stream");
    sql.build_query_as().persistent(false).fetch_all(pool).await
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
