//! What happened to visitors after their first session: counts per cohort from sessions and orders, for
//! [`crate::statistics::cohorts::matrix`].

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use shared::limits::VISIT_IDLE_MS;
use sqlx::{PgExecutor, Postgres, QueryBuilder, Row as _};

use super::scope::Scope;
use super::sql::{bots, sessions_where};
use crate::catalogue::{CONVERTED, Formula, Metric};
use crate::statistics::cohorts::{Bucket, Cohort};

/// No local day is shorter.
const HALF_DAY_MS: i64 = 12 * 60 * 60 * 1000;

/// Counts cohorts whose visitors had their first session ever in the scope. Bots the scope leaves out never were; its other filters are
/// about that first session. With `activity`, also who was active in the buckets after their own.
///
/// A visitor's activity is read from the sessions' visits, not from the events: events of one visit are at most 30 minutes apart, so a
/// visit that touches a day has an event in it.
///
/// # Errors
/// The database's.
pub async fn count(
    executor: impl PgExecutor<'_>,
    scope: &Scope,
    bucket: Bucket,
    activity: bool,
) -> sqlx::Result<BTreeMap<NaiveDate, Cohort>> {
    let mut statement = statement(scope, bucket, activity);
    let mut cohorts: BTreeMap<NaiveDate, Cohort> = BTreeMap::new();
    for row in statement.build().persistent(false).fetch_all(executor).await? {
        let cohort = cohorts.entry(row.try_get("cohort")?).or_default();
        let (count, at): (i64, Option<NaiveDate>) = (row.try_get("count")?, row.try_get("bucket")?);
        match (row.try_get("part")?, at) {
            ("size", _) => cohort.size = count,
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
    Ok(cohorts)
}

/// Columns `part`, `cohort`, `bucket` (first local days), `count`, `revenue`.
fn statement(scope: &Scope, bucket: Bucket, activity: bool) -> QueryBuilder<Postgres> {
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
         case when s.last_seen >= f.cohort_end - interval '3 hours' then s.active end as active, s.event_revenue, s.purchase_at, ",
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
        ") select 'size' as part, cohort, null::date as bucket, count(*) as count, 0::numeric as revenue from first group by cohort \
         union all select 'converted', cohort, null, count(*), 0 from (select cohort, visitor_id from visited where converted \
         group by 1, 2) c group by cohort",
    );
    if activity {
        // A visit's first and last event, and for one that lasts longer an instant of every day between.
        sql.push(" union all select 'active', cohort, bucket, count(*), 0 from (select distinct cohort, visitor_id, ");
        local_bucket(&mut sql, scope, bucket, "to_timestamp(ms / 1000.0)");
        sql.push(format_args!(
            " as bucket from (select cohort, visitor_id, unnest(case when upper(visit) - lower(visit) <= {VISIT_IDLE_MS} \
             then array[lower(visit)] else array_append(array(select generate_series(lower(visit), upper(visit) - {VISIT_IDLE_MS}, \
             {HALF_DAY_MS})), upper(visit) - {VISIT_IDLE_MS}) end) as ms from (select cohort, visitor_id, unnest(active) as visit \
             from visited) v) m) a where bucket > cohort group by cohort, bucket"
        ));
    }
    sql.push(" union all select 'money', cohort, ");
    if scope.site.settings.revenue_from_events {
        local_bucket(&mut sql, scope, bucket, "purchase_at");
        sql.push(" as bucket, count(*), coalesce(sum(event_revenue), 0) from visited where purchase_at is not null group by cohort, 3");
        return sql;
    }
    local_bucket(&mut sql, scope, bucket, "o.created_at");
    let by_order = |metric: Metric| match metric.definition().formula {
        Formula::Money { by_order, .. } => by_order,
        _ => "0",
    };
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
