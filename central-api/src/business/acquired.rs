//! What is known of the customers whose first purchase has some dimensions, counted from their rows; of them only
//! months by source are kept as sums.
//!
//! A customer is one whatever the later orders came by: acquired through what brought the first purchase, and shown with everything since.
//! The same definitions as in [`super::people`], which a test compares.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use super::people::{Group, Makeup, Month, Move, Section, SegmentSum, Whom};
use super::segments::SegmentRules;
use crate::catalogue::{Dimension, Side};
use crate::reports::filter::Choice;
use crate::reports::sql::chosen;
use crate::reports::table;

/// The condition on customers `o`, whose columns are named as those of orders.
pub(super) fn within(sql: &mut QueryBuilder<Postgres>, whom: Whom<'_>) {
    sql.push(" where o.site_id = ").push_bind(whom.site.id);
    for (dimension, choice) in whom.filters.iter() {
        chosen(sql, dimension.sql(Side::Orders), choice);
    }
}

/// The condition that customers `o` are in a section on a day.
pub(super) fn section(sql: &mut QueryBuilder<Postgres>, day: NaiveDate, section: Section<'_>) {
    match section {
        Section::All => {}
        Section::In(segment) => {
            sql.push(" and o.segments[width_bucket(").push_bind(day);
            sql.push("::date, o.move_days)] = ").push_bind(segment.code());
        }
        Section::AtRisk(rules) => {
            sql.push(" and ");
            at_risk(sql, day, rules);
        }
    }
}

/// That customers `o` are at risk of not coming back.
fn at_risk(sql: &mut QueryBuilder<Postgres>, day: NaiveDate, rules: &SegmentRules) {
    let before = |days: u16| day - Days::new(days.into());
    sql.push("not o.subscription_active and o.last_day < ")
        .push_bind(before(rules.at_risk_after_days));
    sql.push(" and o.last_day >= ").push_bind(before(rules.lost_after_days));
}

/// Groups in memory: customers fall into a few hundred groups, but the planner, which cannot know, would sort them all on disk.
async fn hashed(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("set local work_mem = '64MB'; set local enable_sort = off")
        .execute(db)
        .await
        .map(|_| ())
}

/// Customers that are alike in source, tier and worth, and in their segments on two days.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Alike {
    #[sqlx(flatten)]
    group: Group,
    /// Code of the segment on the later day; none: no customer yet.
    segment: Option<i16>,
    /// … on the earlier day.
    was: Option<i16>,
    /// How many of them are at risk today.
    at_risk: i64,
}

pub(super) async fn alike(
    pool: &PgPool,
    whom: Whom<'_>,
    (before, day): (NaiveDate, NaiveDate),
    today: NaiveDate,
) -> sqlx::Result<Vec<Alike>> {
    let settings = &whom.site.settings;
    let mut sql = QueryBuilder::new(
        "select coalesce(o.utm_source, '') collate \"C\" as utm_source, coalesce(o.vip_tier, '') collate \"C\" as vip_tier, width_bucket(o.revenue, ",
    );
    sql.push_bind(&settings.ltv_bands);
    sql.push("::numeric[]) as band, o.segments[width_bucket(")
        .push_bind(day);
    sql.push("::date, o.move_days)] as segment, o.segments[width_bucket(")
        .push_bind(before);
    sql.push("::date, o.move_days)] as was, count(*) filter (where ");
    at_risk(&mut sql, today, &settings.customer_segments);
    sql.push(
        ") as at_risk, count(*) as customers, sum(o.revenue) as revenue, sum(o.orders)::bigint as orders, \
         count(*) filter (where o.subscription_active) as subscribers, sum(o.loyalty_earned) as loyalty_earned, \
         sum(o.loyalty_redeemed) as loyalty_redeemed, count(*) filter (where o.referrals > 0) as referrers, \
         sum(o.referrals)::bigint as referrals, count(*) filter (where o.orders > 1) as repeat_customers from customer_metrics o",
    );
    within(&mut sql, whom);
    sql.push(" group by 1, 2, 3, 4, 5");
    let mut db = table::snapshot(pool).await?;
    hashed(&mut db).await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

/// Sums them up.
pub(super) fn makeup(alike: Vec<Alike>) -> Makeup {
    let mut segments: BTreeMap<i16, SegmentSum> = BTreeMap::new();
    let mut moves: BTreeMap<(Option<i16>, i16), i64> = BTreeMap::new();
    let mut groups: BTreeMap<(String, String, i32), Group> = BTreeMap::new();
    let mut at_risk = 0;
    for alike in alike {
        let Alike {
            group, segment, was, ..
        } = alike;
        at_risk += alike.at_risk;
        let sum = |segment| SegmentSum {
            segment,
            ..SegmentSum::default()
        };
        if let Some(segment) = segment {
            let own = segments.entry(segment).or_insert_with(|| sum(segment));
            own.customers += group.customers;
            own.revenue += group.revenue;
            own.orders += group.orders;
            if was != Some(segment) {
                *moves.entry((was, segment)).or_default() += group.customers;
            }
        }
        if let Some(was) = was {
            segments.entry(was).or_insert_with(|| sum(was)).before += group.customers;
        }
        let key = (group.utm_source.clone(), group.vip_tier.clone(), group.band);
        match groups.get_mut(&key) {
            Some(own) => own.add(&group),
            None => drop(groups.insert(key, group)),
        }
    }
    let moves = moves
        .into_iter()
        .map(|((from, to), customers)| Move { from, to, customers });
    Makeup {
        segments: segments.into_values().collect(),
        moves: moves.collect(),
        groups: groups.into_values().collect(),
        at_risk,
    }
}

pub(super) async fn count(pool: &PgPool, whom: Whom<'_>, day: NaiveDate, of: Section<'_>) -> sqlx::Result<i64> {
    let mut sql = QueryBuilder::new("select count(*) from customer_metrics o");
    within(&mut sql, whom);
    section(&mut sql, day, of);
    let mut db = table::snapshot(pool).await?;
    sql.build_query_scalar().persistent(false).fetch_one(&mut *db).await
}

pub(super) async fn months(pool: &PgPool, whom: Whom<'_>, (first, last): (i32, i32)) -> sqlx::Result<Vec<Month>> {
    let mut filters = whom.filters.iter();
    if let (Some((Dimension::UtmSource, choice)), None) = (filters.next(), filters.next()) {
        return months_of_sources(pool, whom.site.id, choice, (first, last)).await;
    }
    // Many customers purchased in the same months as often: these are grouped before their months are told apart.
    let mut sql = QueryBuilder::new(
        "select month, sum(customers)::bigint as customers, coalesce(sum(customers) filter (where before = month - 1), 0)::bigint as retained, \
         sum(customers * n)::bigint as purchases, coalesce(sum(customers) filter (where before is null), 0)::bigint as first_purchases from ( \
         select customers, unnest(months) as month, unnest(array_prepend(null, months)) as before, unnest(counts) as n from ( \
         select o.purchase_months as months, o.month_purchases as counts, count(*) as customers from customer_metrics o",
    );
    within(&mut sql, whom);
    sql.push(" group by 1, 2) alike) m where month between ")
        .push_bind(first);
    sql.push(" and ").push_bind(last);
    sql.push(" group by month");
    let mut db = table::snapshot(pool).await?;
    hashed(&mut db).await?;
    // By one process: a page asks for the groups at the same time, whose workers it would take the cores from.
    sqlx::raw_sql("set local max_parallel_workers_per_gather = 0")
        .execute(&mut *db)
        .await?;
    sql.build_query_as().persistent(false).fetch_all(&mut *db).await
}

/// From the sums that are kept by source.
async fn months_of_sources(
    pool: &PgPool,
    site_id: i32,
    choice: &Choice,
    (first, last): (i32, i32),
) -> sqlx::Result<Vec<Month>> {
    let mut sql = QueryBuilder::new(
        "select c.month, sum(c.customers)::bigint as customers, sum(c.retained)::bigint as retained, sum(c.purchases)::bigint as purchases, \
         sum(c.new_customers)::bigint as first_purchases from customer_months c where c.site_id = ",
    );
    sql.push_bind(site_id).push(" and c.month between ").push_bind(first);
    sql.push(" and ").push_bind(last);
    chosen(&mut sql, "nullif(c.utm_source, '')", choice);
    // What was taken back leaves zeros.
    sql.push(" group by c.month having sum(c.customers) <> 0");
    sql.build_query_as().persistent(false).fetch_all(pool).await
}
