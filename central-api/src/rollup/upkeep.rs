//! Marks into dirty hours, dirty hours into sums.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::postgres::types::PgInterval;
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool};

use super::statements::{days_from_hours, hours_from_sessions, insert_days, insert_hours, table_columns};
use super::{order_sums, split_numbers};
use crate::db::data_versions;

/// An hour is left alone until it has not been marked for so long: recomputing one that is still being written to is wasted.
const QUIET: TimeDelta = TimeDelta::seconds(60);
/// After this an hour is recomputed even if marks go on coming.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);

/// Which dirty hours a round takes. None takes an hour that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Those that have been quiet for a while, or waited for long: beside writers, in small transactions.
    Due,
    /// All, however lately they were marked, day by day.
    Closed,
}

impl Take {
    /// Hours recomputed in one transaction.
    const fn at_once(self) -> i64 {
        match self {
            Self::Due => 4,
            Self::Closed => 24,
        }
    }
}

/// Any fixed number: one process at a time keeps rollups.
const LOCK: i64 = 0x7564_726f_6c6c;

/// The dirty hours of a site in a period, marked lately or waiting.
///
/// # Errors
/// The database's.
pub async fn dirty(
    db: impl PgExecutor<'_>,
    site_id: i32,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<BTreeSet<DateTime<Utc>>> {
    // One statement, one snapshot: a mark is in one of the two tables at any moment.
    let hours = sqlx::query_scalar!(
        r#"select hour as "hour!" from rollup_dirty where site_id = $1 and hour >= $2 and hour < $3
           union
           select distinct hour from rollup_marks where site_id = $1 and hour >= $2 and hour < $3"#,
        site_id,
        from - TimeDelta::hours(1),
        to
    )
    .fetch_all(db)
    .await?;
    Ok(hours.into_iter().collect())
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Hours recomputed.
    pub hours: usize,
    /// Whether hours to take may be left.
    pub more: bool,
}

/// One round of upkeep: notes marked hours as dirty and recomputes some that ended before `now`. `None`: another process is at it.
///
/// # Errors
/// The database's; nothing is lost by one.
pub async fn round(pool: &PgPool, now: DateTime<Utc>, which: Take) -> sqlx::Result<Option<Round>> {
    let mut tx = pool.begin().await?;
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "ours!""#, LOCK)
        .fetch_one(&mut *tx)
        .await?;
    if !ours {
        return Ok(None);
    }
    collect(&mut tx, now).await?;
    tx.commit().await?;

    let mut tx = pool.begin().await?;
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "ours!""#, LOCK)
        .fetch_one(&mut *tx)
        .await?;
    if !ours {
        return Ok(None);
    }
    let taken = take(&mut tx, now, which).await?;
    for (site_id, hours) in &taken {
        recompute(&mut tx, *site_id, hours).await?;
        let days: BTreeSet<_> = hours.iter().map(DateTime::date_naive).collect();
        let days: Vec<_> = days.into_iter().collect();
        data_versions::bump(&mut *tx, *site_id, &days).await?;
    }
    tx.commit().await?;
    let hours = taken.iter().map(|(_, hours)| hours.len()).sum();
    Ok(Some(Round {
        hours,
        more: hours as i64 == which.at_once(),
    }))
}

/// Rounds until no closed hour is dirty; `progress` is told the hours done so far.
///
/// # Errors
/// The database's.
pub async fn catch_up(pool: &PgPool, now: DateTime<Utc>, progress: impl Fn(usize)) -> sqlx::Result<usize> {
    let mut done = 0;
    loop {
        match round(pool, now, Take::Closed).await? {
            Some(round) => {
                done += round.hours;
                progress(done);
                if !round.more {
                    return Ok(done);
                }
            }
            None => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

/// Marks every hour of a site's sessions and orders in a period as dirty; the sums that stand there are not used any more until recomputed.
///
/// # Errors
/// The database's.
pub async fn mark_period(pool: &PgPool, site_id: i32, from: DateTime<Utc>, to: DateTime<Utc>) -> sqlx::Result<usize> {
    // Also hours that only have sums: their sessions or orders may be gone.
    let marked = sqlx::query_scalar!(
        r#"insert into rollup_dirty (site_id, hour)
           select $1, hour from (
             select date_trunc('hour', first_seen, 'UTC') as hour from sessions where site_id = $1 and first_seen >= $2 and first_seen < $3
             union
             select start from rollups where site_id = $1 and hours = 1 and split = 0 and start >= $2 and start < $3
             union
             select date_trunc('hour', created_at, 'UTC') from orders where site_id = $1 and created_at >= $2 and created_at < $3
             union
             select start from order_sums where site_id = $1 and hours = 1 and start >= $2 and start < $3
           ) h
           on conflict (site_id, hour) do update set due_at = excluded.due_at
           returning 1 as "one!""#,
        site_id,
        from,
        to
    )
    .fetch_all(pool)
    .await?;
    Ok(marked.len())
}

/// Marks every hour of a period as dirty, with sessions or without: for those about to write sessions past the writer.
///
/// # Errors
/// The database's.
pub async fn mark_every_hour(pool: &PgPool, site_id: i32, from: DateTime<Utc>, to: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into rollup_dirty (site_id, hour)
         select $1, hour from generate_series(date_trunc('hour', $2::timestamptz, 'UTC'), $3, interval '1 hour') as hour
         on conflict (site_id, hour) do update set due_at = excluded.due_at",
        site_id,
        from,
        to
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Marks into dirty hours: each is due once it was quiet for [`QUIET`], or [`LONGEST_WAIT`] after its first mark; and into dirty visitors.
async fn collect(db: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "with marks as (delete from rollup_marks returning site_id, visitor_id, hour),
           visitors as (
             insert into cohort_dirty (site_id, visitor_id, marked_at)
             select distinct site_id, visitor_id, $1::timestamptz from marks order by site_id, visitor_id
             on conflict do nothing)
         insert into rollup_dirty as d (site_id, hour, marked_at, due_at)
         select distinct site_id, hour, $1::timestamptz, $2::timestamptz from marks order by site_id, hour
         on conflict (site_id, hour) do update set due_at = least(excluded.due_at, d.marked_at + $3)",
        now,
        now + QUIET,
        PgInterval::try_from(LONGEST_WAIT).map_err(sqlx::Error::Encode)?,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes some closed dirty hours off the list, by site; they are dirty again if the transaction fails.
async fn take(db: &mut PgConnection, now: DateTime<Utc>, which: Take) -> sqlx::Result<Vec<(i32, Vec<DateTime<Utc>>)>> {
    let rows = sqlx::query!(
        "delete from rollup_dirty where (site_id, hour) in (
           select site_id, hour from rollup_dirty where hour <= $1 and (due_at <= $2 or $3) order by site_id, hour limit $4
         ) returning site_id, hour",
        now - TimeDelta::hours(1),
        now,
        which == Take::Closed,
        which.at_once()
    )
    .fetch_all(db)
    .await?;
    let mut by_site: Vec<(i32, Vec<DateTime<Utc>>)> = Vec::new();
    let mut sorted: Vec<_> = rows.into_iter().map(|row| (row.site_id, row.hour)).collect();
    sorted.sort_unstable();
    for (site_id, hour) in sorted {
        match by_site.last_mut() {
            Some((site, hours)) if *site == site_id => hours.push(hour),
            _ => by_site.push((site_id, vec![hour])),
        }
    }
    Ok(by_site)
}

/// Replaces the sums of these hours by what the sessions say now, and those of their days by the sums of the hours.
async fn recompute(db: &mut PgConnection, site_id: i32, hours: &[DateTime<Utc>]) -> sqlx::Result<()> {
    // Groups are few beside the sessions: with this much memory they are hashed, with the default every session is sorted, on disk.
    sqlx::query("set local work_mem = '32MB'").execute(&mut *db).await?;
    // The splits are named so that the index finds the rows; else every row of the site would be looked at.
    let splits = split_numbers();
    sqlx::query!(
        "delete from rollups where site_id = $1 and hours = 1 and split = any($3) and start = any($2)",
        site_id,
        hours,
        &splits
    )
    .execute(&mut *db)
    .await?;
    sqlx::query(AssertSqlSafe(insert_hours()))
        .bind(site_id)
        .bind(hours)
        .execute(&mut *db)
        .await?;
    let days: BTreeSet<_> = hours
        .iter()
        .filter_map(|hour| hour.duration_trunc(TimeDelta::days(1)).ok())
        .collect();
    let days: Vec<_> = days.into_iter().collect();
    sqlx::query!(
        "delete from rollups where site_id = $1 and hours = 24 and split = any($3) and start = any($2)",
        site_id,
        &days,
        &splits
    )
    .execute(&mut *db)
    .await?;
    sqlx::query(AssertSqlSafe(insert_days()))
        .bind(site_id)
        .bind(&days)
        .bind(&splits)
        .execute(&mut *db)
        .await?;
    order_sums::recompute(db, site_id, hours, &days).await
}

/// Hours of a site in a period whose sums stand as up to date but are not what the sessions say (a day's sums that are not what its hours
/// say count as its first hour); none, unless something wrote past the
/// writers. Looks at a day at a time; `progress` is told where it is.
///
/// # Errors
/// The database's.
pub async fn verify(
    pool: &PgPool,
    site_id: i32,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    progress: impl Fn(DateTime<Utc>),
) -> sqlx::Result<BTreeSet<DateTime<Utc>>> {
    let differing = |hours: i16, told: String| {
        format!(
            "with told as ({told}), kept as (select {} from rollups where site_id = $1 and hours = {hours} and split = any($3) and start = any($2)) \
             select distinct start from ((table told except table kept) union all (table kept except table told)) d (site_id, hours, split, start)",
            table_columns()
        )
    };
    let (statement, of_day) = (differing(1, hours_from_sessions()), differing(24, days_from_hours()));
    let mut wrong = BTreeSet::new();
    let mut day = from.duration_trunc(TimeDelta::days(1)).unwrap_or(from);
    while day < to {
        // One snapshot: a session that changes meanwhile is seen with its mark or not at all.
        let mut tx = pool
            .begin_with("begin isolation level repeatable read read only")
            .await?;
        let dirty: BTreeSet<_> = dirty(&mut *tx, site_id, day, day + TimeDelta::days(1)).await?;
        let clean: Vec<_> = (0..24)
            .map(|hour| day + TimeDelta::hours(hour))
            .filter(|hour| !dirty.contains(hour) && *hour < to)
            .collect();
        let found: Vec<DateTime<Utc>> = sqlx::query_scalar(AssertSqlSafe(statement.clone()))
            .bind(site_id)
            .bind(&clean)
            .bind(split_numbers())
            .fetch_all(&mut *tx)
            .await?;
        wrong.extend(found);
        // Day sums are read where no hour of the day is dirty.
        let clean_day: &[_] = if dirty.range(day..day + TimeDelta::days(1)).next().is_none() {
            &[day]
        } else {
            &[]
        };
        wrong.extend(order_sums::differing(&mut tx, site_id, &clean, clean_day).await?);
        if !clean_day.is_empty() {
            let found: Vec<DateTime<Utc>> = sqlx::query_scalar(AssertSqlSafe(of_day.clone()))
                .bind(site_id)
                .bind([day])
                .bind(split_numbers())
                .fetch_all(&mut *tx)
                .await?;
            wrong.extend(found);
        }
        progress(day);
        day += TimeDelta::days(1);
    }
    Ok(wrong)
}
