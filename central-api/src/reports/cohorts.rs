//! What happened to visitors after their first session: counts per cohort, for [`crate::statistics::cohorts::matrix`].
//!
//! From what [`crate::rollup::cohorts`] keeps where it can answer, else from sessions and orders; both give the same counts.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use sqlx::{PgExecutor, PgPool, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::filter::Choice;
use super::period::start_of_day;
use super::scope::{Bots, Scope};
use super::sql::{bots, chosen, sessions_where};
use super::table::snapshot;
use crate::catalogue::{CONVERTED, Dimension, Metric};
use crate::rollup::cohorts as kept;
use crate::rollup::cohorts::facts::{self, Part, Visitors, bucket_of, by_order, instants_of_visit};
use crate::statistics::cohorts::{Bucket, Cohort};

/// Counts cohorts whose visitors had their first session ever on the scope's local days. Bots the scope leaves out never were; its other
/// filters are about that first session. With `activity`, also who was active in the buckets after their own.
///
/// A visitor's activity is read from the sessions' visits, not from the events: events of one visit are at most 30 minutes apart, so a
/// visit that touches a day has an event in it.
///
/// # Errors
/// The database's.
pub async fn count(
    pool: &PgPool,
    scope: &Scope,
    bucket: Bucket,
    activity: bool,
) -> sqlx::Result<BTreeMap<NaiveDate, Cohort>> {
    let scope = whole_days(scope);
    // One snapshot: a visitor who changes meanwhile is dirty in it or unchanged.
    let mut tx = snapshot(pool).await?;
    let dirty = match may_use_kept(&scope) {
        true => kept::dirty(&mut tx, &scope.site).await?,
        false => None,
    };
    match dirty {
        Some(dirty) => read(&mut *tx, from_kept(&scope, bucket, activity, &dirty)).await,
        None => read(&mut *tx, from_sessions(&scope, bucket, activity)).await,
    }
}

/// The same, from sessions and orders alone.
///
/// # Errors
/// The database's.
pub async fn count_plainly(
    executor: impl PgExecutor<'_>,
    scope: &Scope,
    bucket: Bucket,
    activity: bool,
) -> sqlx::Result<BTreeMap<NaiveDate, Cohort>> {
    read(executor, from_sessions(&whole_days(scope), bucket, activity)).await
}

/// Whole days: the last one also where the period ends now, for who came by a clock that is ahead.
fn whole_days(scope: &Scope) -> Scope {
    let mut scope = scope.clone();
    scope.period.to = start_of_day(scope.period.last_day + Days::new(1), scope.site.time_zone);
    scope
}

async fn read(
    executor: impl PgExecutor<'_>,
    mut statement: QueryBuilder<Postgres>,
) -> sqlx::Result<BTreeMap<NaiveDate, Cohort>> {
    let mut cohorts: BTreeMap<NaiveDate, Cohort> = BTreeMap::new();
    for row in statement.build().persistent(false).fetch_all(executor).await? {
        let cohort = cohorts.entry(row.try_get("cohort")?).or_default();
        let (count, at): (i64, Option<NaiveDate>) = (row.try_get("count")?, row.try_get("bucket")?);
        match (row.try_get("part")?, at) {
            ("visitors", _) => cohort.size = count,
            ("converted", _) => cohort.converted = count,
            ("active", Some(at)) => {
                cohort.active.insert(at, count);
            }
            ("money", Some(at)) => {
                let revenue: Decimal = row.try_get("revenue")?;
                cohort.money.insert(at, (count, revenue));
            }
            (part, _) => return Err(sqlx::Error::Decode(format!("a cohort's part is {part}").into())),
        }
    }
    // Sums that were taken back leave zeros.
    for cohort in cohorts.values_mut() {
        cohort.active.retain(|_, count| *count != 0);
        cohort
            .money
            .retain(|_, (orders, revenue)| *orders != 0 || !revenue.is_zero());
    }
    cohorts.retain(|_, cohort| cohort.size > 0);
    Ok(cohorts)
}

/// Whether what is kept knows all that the scope asks about.
fn may_use_kept(scope: &Scope) -> bool {
    scope.bots == Bots::Exclude
        && scope
            .filters
            .iter()
            .all(|(asked, _)| kept::dimensions().any(|d| d == asked))
}

/// Columns as of [`from_sessions`]. Without filters the sums, with some the visitors' rows; dirty visitors from their sessions and orders.
fn from_kept(scope: &Scope, bucket: Bucket, activity: bool, dirty: &[Uuid]) -> QueryBuilder<Postgres> {
    let mut parts = vec![Part::Visitors, Part::Converted, Part::Money];
    if activity {
        parts.push(Part::Active(bucket));
    }
    let filters: Vec<(Dimension, &Choice)> = scope.filters.iter().collect();
    let all = filters.is_empty() && !scope.confirmed;
    let days = |sql: &mut QueryBuilder<Postgres>| {
        sql.push(" and first_day <= ").push_bind(scope.period.last_day);
        if let Some(first) = scope.period.first_day {
            sql.push(" and first_day >= ").push_bind(first);
        }
    };
    let filtered = |sql: &mut QueryBuilder<Postgres>| {
        days(sql);
        if scope.confirmed {
            sql.push(" and human_seen");
        }
        for (dimension, choice) in &filters {
            chosen(sql, dimension.key(), choice);
        }
    };

    let mut sql = QueryBuilder::new("with ");
    if !dirty.is_empty() {
        facts::fresh(&mut sql, &scope.site, Visitors::Listed(dirty));
        sql.push(", now as materialized (select *, 1::bigint as visitors from fresh where true");
        filtered(&mut sql);
        sql.push("), ");
    }
    // What was kept of dirty visitors is taken off the sums; of the rows it is left out. People and their orders are read by themselves, so that
    // processes can share the reading of either: that takes longer than all that is done with what was read.
    let kept = |sql: &mut QueryBuilder<Postgres>| {
        sql.push(" from cohort_visitors where site_id = ")
            .push_bind(scope.site.id);
        filtered(sql);
        sql.push(" and visitor_id ")
            .push(if all { "= any(" } else { "<> all(" });
        sql.push_bind(dirty.to_vec()).push(")");
    };
    sql.push(format_args!(
        "people as (select {}, count(*) as visitors",
        facts::people(&parts)
    ));
    kept(&mut sql);
    sql.push(format_args!(
        " group by {}), ordered as (select {}",
        facts::people(&parts),
        facts::ORDERS
    ));
    kept(&mut sql);
    sql.push(") select case when part in ('visitors', 'converted', 'money') then part else 'active' end as part, ");
    sql.push(bucket_of(bucket, "first_day")).push(" as cohort, ");
    sql.push(bucket_of(bucket, "at"));
    sql.push(
        " as bucket, (case when part = 'money' then sum(orders) else sum(visitors) end)::bigint as count, sum(revenue) as revenue from (",
    );
    let mut sources = Vec::new();
    if all {
        let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
        sql.push("select part, first_day, at, visitors, orders, revenue from cohort_cells where site_id = ");
        sql.push_bind(scope.site.id)
            .push(" and part = any(")
            .push_bind(names)
            .push(")");
        days(&mut sql);
        if !dirty.is_empty() {
            sources.push(format!(
                "select part, first_day, at, -visitors, -orders, -revenue from ({}) k",
                facts::sums(&parts, "people", "ordered")
            ));
        }
    } else {
        sql.push(facts::sums(&parts, "people", "ordered"));
    }
    if !dirty.is_empty() {
        sources.push(facts::sums(&parts, "now", "now"));
    }
    for source in sources {
        sql.push(" union all ").push(source);
    }
    sql.push(") u group by u.part, 2, 3");
    sql
}

/// Columns `part`, `cohort`, `bucket` (first local days), `count`, `revenue`.
fn from_sessions(scope: &Scope, bucket: Bucket, activity: bool) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("with first as materialized (select visitor_id, cohort, ");
    sql.push(format_args!("(cohort + interval '1 {}') at time zone ", bucket.name()));
    sql.push_bind(scope.site.time_zone.name());
    sql.push(" as cohort_end from (select s.visitor_id, ");
    local_bucket(&mut sql, scope, bucket, "s.first_seen");
    sql.push(" as cohort from sessions s where ");
    sessions_where(&mut sql, scope);
    sql.push(
        " and not exists (select from sessions e where e.site_id = s.site_id and e.visitor_id = s.visitor_id \
         and (e.first_seen, e.session_id) < (s.first_seen, s.session_id)",
    );
    // Implied, and lets the planner read less: what is earlier lies before the range's end …
    sql.push(" and e.first_seen < ").push_bind(scope.period.to);
    bots(&mut sql, "e.bot_reason", scope.bots);
    // Period 0 needs no activity, and most sessions end in it. Three hours more than any clock change, since a repeated midnight has
    // two instants; the bucket decides exactly below.
    sql.push(
        ")) q), visited as materialized (select f.cohort, f.visitor_id, \
         case when s.last_seen >= f.cohort_end - interval '3 hours' then s.active end as active, s.event_revenue, s.purchase_at, \
         s.purchase_events, ",
    );
    sql.push(CONVERTED);
    sql.push(" as converted from first f join sessions s on s.visitor_id = f.visitor_id and s.site_id = ");
    sql.push_bind(scope.site.id);
    bots(&mut sql, "s.bot_reason", scope.bots);
    // … and visitors who first came in the range have no session before it.
    if let Some(from) = scope.period.from {
        sql.push(" and s.first_seen >= ").push_bind(from);
    }
    sql.push(
        ") select 'visitors' as part, cohort, null::date as bucket, count(*) as count, 0::numeric as revenue from first group by cohort \
         union all select 'converted', cohort, null, count(*), 0 from (select cohort, visitor_id from visited where converted \
         group by 1, 2) c group by cohort",
    );
    if activity {
        // A visit's first and last event, and for one that lasts longer an instant of every day between.
        sql.push(" union all select 'active', cohort, bucket, count(*), 0 from (select distinct cohort, visitor_id, ");
        local_bucket(&mut sql, scope, bucket, "to_timestamp(ms / 1000.0)");
        sql.push(format_args!(
            " as bucket from (select cohort, visitor_id, unnest({}) as ms from (select cohort, visitor_id, unnest(active) as visit \
             from visited) v) m) a where bucket > cohort group by cohort, bucket",
            instants_of_visit()
        ));
    }
    sql.push(" union all select 'money', cohort, ");
    if scope.site.settings.revenue_from_events {
        local_bucket(&mut sql, scope, bucket, "purchase_at");
        sql.push(" as bucket, coalesce(sum(purchase_events), 0), coalesce(sum(event_revenue), 0) from visited where purchase_at is not null group by cohort, 3");
        return sql;
    }
    local_bucket(&mut sql, scope, bucket, "o.created_at");
    sql.push(format_args!(
        ", {}, {} from first f join orders o on o.visitor_id = f.visitor_id and o.site_id = ",
        by_order(Metric::Orders),
        by_order(Metric::Revenue)
    ));
    sql.push_bind(scope.site.id);
    bots(&mut sql, "o.bot_reason", scope.bots);
    sql.push(" group by cohort, 3");
    sql
}

/// First local day of the bucket that holds an instant, as a date.
fn local_bucket(sql: &mut QueryBuilder<Postgres>, scope: &Scope, bucket: Bucket, instant: &str) {
    sql.push(format_args!("date_trunc('{}', {instant} at time zone ", bucket.name()));
    sql.push_bind(scope.site.time_zone.name()).push(")::date");
}
