//! What campaigns brought among the orders that have some dimensions, counted from their facts: no sums are kept of them.
//!
//! The same definitions as in [`super::days::campaigns`], which a test compares.

use chrono::NaiveDate;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::campaigns::{PerformanceDay, Sums};
use super::figures::{RecentOrder, Window};
use crate::catalogue::Side;
use crate::reports::filter::Filters;
use crate::reports::sql::chosen;
use crate::reports::table;

/// From the facts `o` of campaigns' orders, and the condition on them; `ids`: of some of the site's campaigns.
fn influenced(sql: &mut QueryBuilder<Postgres>, site_id: i32, filters: &Filters, ids: Option<&[i64]>) {
    sql.push(" from campaign_orders o where o.site_id = ")
        .push_bind(site_id);
    if let Some(ids) = ids {
        sql.push(" and o.campaign_id = any(").push_bind(ids.to_vec()).push(")");
    }
    for (dimension, choice) in filters.iter() {
        chosen(sql, dimension.sql(Side::Orders), choice);
    }
}

/// Sums over orders `o`.
const SUMS: &str = "count(*) as orders, count(*) filter (where o.purchase) as purchases, coalesce(sum(o.revenue), 0) as revenue, \
     coalesce(sum(o.discount) filter (where o.purchase), 0) as discount_cost, count(distinct o.customer_no) filter (where o.purchase) as customers, \
     count(*) filter (where o.purchase and o.revenue is null) as unvalued_orders";

/// A campaign's sums.
#[derive(sqlx::FromRow)]
pub(super) struct Sum {
    pub(super) campaign_id: i64,
    #[sqlx(flatten)]
    pub(super) sums: Sums,
}

pub(super) async fn sums(pool: &PgPool, site_id: i32, filters: &Filters, ids: &[i64]) -> sqlx::Result<Vec<Sum>> {
    let mut sql = QueryBuilder::new("select o.campaign_id, ");
    sql.push(SUMS);
    influenced(&mut sql, site_id, filters, Some(ids));
    sql.push(" group by o.campaign_id");
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

pub(super) async fn performance(
    pool: &PgPool,
    site_id: i32,
    filters: &Filters,
    id: i64,
) -> sqlx::Result<Vec<PerformanceDay>> {
    let mut sql = QueryBuilder::new("select o.campaign_id, o.day, ");
    sql.push(SUMS);
    influenced(&mut sql, site_id, filters, Some(&[id]));
    sql.push(" group by o.campaign_id, o.day order by o.day");
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

pub(super) async fn performances(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<PerformanceDay>> {
    let mut sql = QueryBuilder::new("select o.campaign_id, o.day, ");
    sql.push(SUMS);
    influenced(&mut sql, window.site_id, &window.filters, None);
    sql.push(" and o.day <= ").push_bind(window.last);
    if let Some(first) = window.first {
        sql.push(" and o.day >= ").push_bind(first);
    }
    sql.push(" group by o.campaign_id, o.day order by o.campaign_id, o.day");
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

pub(super) async fn segments_reached(
    pool: &PgPool,
    site_id: i32,
    filters: &Filters,
    id: i64,
    day: NaiveDate,
) -> sqlx::Result<Vec<(Option<i16>, i64)>> {
    let mut sql = QueryBuilder::new("select m.segments[width_bucket(");
    sql.push_bind(day);
    sql.push("::date, m.move_days)] as segment, count(*) as customers from (select distinct o.customer_no");
    influenced(&mut sql, site_id, filters, Some(&[id]));
    sql.push(" and o.purchase) r join customer_metrics m on m.site_id = ")
        .push_bind(site_id);
    sql.push(" and m.customer_no = r.customer_no group by 1");
    let mut db = table::snapshot(pool).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

pub(super) async fn orders(
    pool: &PgPool,
    site_id: i32,
    filters: &Filters,
    id: i64,
    limit: i64,
) -> sqlx::Result<Vec<RecentOrder>> {
    let mut sql = QueryBuilder::new(
        "select k.order_id, k.order_number, k.created_at, k.payment_status, k.payment_method, k.total, k.currency, k.revenue, k.utm_source, \
         k.utm_campaign from (select o.site_id, o.order_id",
    );
    influenced(&mut sql, site_id, filters, Some(&[id]));
    sql.push(" order by o.created_at desc, o.order_id limit ")
        .push_bind(limit);
    sql.push(
        ") f join orders k on k.site_id = f.site_id and k.order_id = f.order_id order by k.created_at desc, k.order_id",
    );
    sql.build_query_as().persistent(false).fetch_all(pool).await
}
