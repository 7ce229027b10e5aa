//! What an A/B test of a campaign's creatives needs beyond the catalogue's figures: when each ran, and what each paying session brought.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Row as _};

use super::rolled::Rolled;
use super::scope::{Bots, Scope};
use super::sql::{Question, chosen, sessions_where, windows};
use super::table;
use crate::catalogue::Dimension;
use crate::rollup::plan::{Plan, Ranges, plan};
use crate::rollup::{payers, upkeep};

/// With more ranges of time than this to look for sessions in, all of the period are read.
const MOST_RANGES: usize = 40;

/// One creative.
#[derive(Debug, Clone, PartialEq)]
pub struct Creative {
    /// Start of its first session, UTC.
    pub first: DateTime<Utc>,
    /// Start of its last session, UTC.
    pub last: DateTime<Utc>,
    /// Net revenue of every session that has any, in ten-thousandths of the site's currency, ascending.
    pub paying: Vec<i64>,
}

/// Creatives by utm_content, of the sessions that a question by utm_content is about; sessions without one are left out.
///
/// # Errors
/// The database's.
pub async fn of_question(pool: &PgPool, question: &Question<'_>) -> sqlx::Result<BTreeMap<String, Creative>> {
    let (mut creatives, paying) = tokio::try_join!(that_ran(pool, question), that_paid(pool, question.scope))?;
    for (name, revenues) in paying {
        // What began between the two readings is not there yet.
        if let Some(creative) = creatives.get_mut(&name) {
            creative.paying = revenues;
        }
    }
    Ok(creatives)
}

/// Creatives with their first and last session, not yet with what they brought.
async fn that_ran(pool: &PgPool, question: &Question<'_>) -> sqlx::Result<BTreeMap<String, Creative>> {
    let scope = question.scope;
    // One snapshot: sums and sessions of two moments could differ in which hours are dirty.
    let mut tx = table::snapshot(pool).await?;
    let ranges = match table::rolled(&mut tx, question).await? {
        Some(rolled) => Some(ranges(&mut tx, scope, &rolled).await?),
        None => None,
    };
    let mut times = times(scope, ranges.filter(|ranges| ranges.len() <= MOST_RANGES));
    let rows = times.build().persistent(false).fetch_all(&mut *tx).await?;
    rows.iter()
        .map(|row| {
            let creative = Creative {
                first: row.try_get("first")?,
                last: row.try_get("last")?,
                paying: Vec::new(),
            };
            Ok((row.try_get("utm_content")?, creative))
        })
        .collect()
}

/// What each creative's paying sessions brought, ascending: whole clean days from their packed payers, other time from its sessions.
async fn that_paid(pool: &PgPool, scope: &Scope) -> sqlx::Result<BTreeMap<String, Vec<i64>>> {
    let mut tx = table::snapshot(pool).await?;
    let (mut paid, rest) = match plan_of_days(&mut tx, scope).await? {
        Some(plan) => {
            let by_event = scope.site.settings.revenue_from_events;
            let of_days = payers::of_days(&mut tx, scope.site.id, &plan.days, &scope.filters, by_event).await?;
            (of_days, Some(plan.hours.into_iter().chain(plan.sessions).collect()))
        }
        None => (BTreeMap::new(), None),
    };
    let of_sessions: Vec<(String, Vec<i64>)> = paying(scope, rest.as_ref())
        .build_query_as()
        .persistent(false)
        .fetch_all(&mut *tx)
        .await?;
    for (name, revenues) in of_sessions {
        paid.entry(name).or_default().extend(revenues);
    }
    // Here rather than there, where it takes longer than all the rest.
    paid.values_mut().for_each(|revenues| revenues.sort_unstable());
    Ok(paid)
}

/// Which days of the period have packed payers that tell what is asked; none where the sessions have to be read anyhow.
async fn plan_of_days(db: &mut PgConnection, scope: &Scope) -> sqlx::Result<Option<Plan>> {
    if scope.bots != Bots::Exclude || scope.confirmed || !payers::know(&scope.filters) {
        return Ok(None);
    }
    let (from, to) = (scope.period.from.unwrap_or_default(), scope.period.to);
    let mut left_out = upkeep::dirty(&mut *db, scope.site.id, from, to).await?;
    // An hour of the day, which keeps it from being read as a whole.
    left_out.extend(payers::outdated(&mut *db, scope.site.id, from, to).await?);
    let plan = plan(from, to, &left_out, true);
    Ok((plan.hours.len() + plan.sessions.len() <= MOST_RANGES).then_some(plan))
}

/// Where the first and last session of every creative lie: the first and last of its days of which the sums are up to date, and all time
/// that is not such a day.
async fn ranges(db: &mut PgConnection, scope: &Scope, rolled: &Rolled) -> sqlx::Result<Ranges> {
    let mut ranges: Ranges = rolled.plan.hours.iter().chain(&rolled.plan.sessions).copied().collect();
    let Some(content) = rolled.column(Dimension::UtmContent) else {
        return Ok(vec![(scope.period.from.unwrap_or_default(), scope.period.to)]);
    };
    let mut sql = QueryBuilder::new("select distinct unnest(array[min(r.start), max(r.start)]) as day from ");
    windows(&mut sql, &rolled.plan.days);
    sql.push(" join rollups r on r.start >= w.a and r.start < w.b and r.site_id = ")
        .push_bind(scope.site.id);
    sql.push(format_args!(" and r.hours = 24 and r.split = {}", rolled.split.number));
    sql.push(format_args!(" where {content} is not null"));
    for (dimension, choice) in scope.filters.iter() {
        if let Some(column) = rolled.column(dimension) {
            chosen(&mut sql, column, choice);
        }
    }
    sql.push(format_args!(" group by {content}"));
    for row in sql.build().persistent(false).fetch_all(db).await? {
        let day: DateTime<Utc> = row.try_get("day")?;
        ranges.push((day, day + TimeDelta::days(1)));
    }
    ranges.sort_unstable();
    ranges.dedup();
    Ok(ranges)
}

/// Columns `utm_content`, `first`, `last`; from the sessions of some ranges of the period where given.
fn times(scope: &Scope, ranges: Option<Ranges>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "select s.utm_content, min(s.first_seen) as first, max(s.first_seen) as last from sessions s \
         where s.utm_content is not null and ",
    );
    sessions_where(&mut sql, scope);
    within(&mut sql, ranges.as_ref());
    sql.push(" group by 1");
    sql
}

/// The condition that sessions `s` began in some ranges; none where there is no choice of ranges.
fn within(sql: &mut QueryBuilder<Postgres>, ranges: Option<&Ranges>) {
    if let Some(ranges) = ranges {
        // Each by itself and not joined, so that the planner knows how few sessions they hold.
        sql.push(" and (false");
        for (from, to) in ranges {
            sql.push(" or (s.first_seen >= ").push_bind(*from);
            sql.push(" and s.first_seen < ").push_bind(*to).push(")");
        }
        sql.push(")");
    }
}

/// Columns `utm_content`, `paying`, from the sessions of some ranges of the period where given. In whole ten-thousandths, which is how far
/// `numeric(18, 4)` reaches, since the database gathers and sends a hundred thousand numerics in more than twice the time.
fn paying(scope: &Scope, ranges: Option<&Ranges>) -> QueryBuilder<Postgres> {
    let revenue = if scope.site.settings.revenue_from_events {
        "s.event_revenue"
    } else {
        "s.revenue"
    };
    let mut sql = QueryBuilder::new(format!(
        "select s.utm_content, array_agg(({revenue} * 10000)::bigint) as paying from sessions s \
         where s.utm_content is not null and {revenue} <> 0 and "
    ));
    sessions_where(&mut sql, scope);
    within(&mut sql, ranges);
    sql.push(" group by 1");
    sql
}
