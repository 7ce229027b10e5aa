//! Marks into dirty hours, dirty hours into sums.

use std::collections::BTreeSet;
use std::future::ready;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool};

use super::recompute::recompute;
use super::statements::{days_from_hours, hours_from_sessions, table_columns};
use super::{blocks, collect, order_sums, payers, split_numbers};
use crate::db::data_versions;

/// Which dirty hours a round takes. None takes an hour that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Those that have been quiet for a while, or waited for long.
    Due,
    /// All, however lately they were marked.
    Closed,
}

/// Blocks (of hours, or then of days) made anew in one transaction.
const RENEWED_AT_ONCE: i64 = 24;

/// A day whose sums could not be made is tried again after so long.
const AFTER_FAILURE: TimeDelta = TimeDelta::minutes(10);

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
    match collect::collect(pool, now, |_| ready(true)).await? {
        Some(_) => renew(pool, now, which).await,
        None => Ok(None),
    }
}

/// The second half of a round: recomputes some dirty hours that ended before `now`. `None`: another process is at it.
///
/// # Errors
/// The database's; nothing is lost by one.
pub async fn renew(pool: &PgPool, now: DateTime<Utc>, which: Take) -> sqlx::Result<Option<Round>> {
    let mut tx = pool.begin().await?;
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "ours!""#, LOCK)
        .fetch_one(&mut *tx)
        .await?;
    if !ours {
        return Ok(None);
    }
    let Some((site_id, hours)) = take(&mut tx, now, which).await? else {
        // What stands there is right, and some of it only lacks its block.
        let mut renewed = blocks::renew(&mut tx, RENEWED_AT_ONCE).await?;
        if renewed == 0 {
            renewed = payers::renew(&mut tx, RENEWED_AT_ONCE).await?;
        }
        // Not left to the pool, which would keep the lock a moment longer.
        tx.commit().await?;
        return Ok(Some(Round {
            hours: renewed,
            more: renewed > 0,
        }));
    };
    if let Err(error) = recompute(&mut tx, site_id, &hours).await {
        tx.rollback().await.ok();
        postpone(pool, site_id, &hours, now).await?;
        return Err(error);
    }
    let days: BTreeSet<_> = hours.iter().map(DateTime::date_naive).collect();
    data_versions::bump(&mut *tx, site_id, &Vec::from_iter(days)).await?;
    tx.commit().await?;
    let hours = hours.len();
    Ok(Some(Round { hours, more: hours > 0 }))
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
             select start from session_blocks where site_id = $1 and start >= $2 and start < $3
             union
             select start from payer_blocks where site_id = $1 and start >= $2 and start < $3
             union
             select date_trunc('hour', created_at, 'UTC') from orders where site_id = $1 and created_at >= $2 and created_at < $3
             union
             select start from order_sums where site_id = $1 and hours = 1 and start >= $2 and start < $3
           ) h order by hour
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
         select $1, hour from generate_series(date_trunc('hour', $2::timestamptz, 'UTC'), $3, interval '1 hour') as hour order by hour
         on conflict (site_id, hour) do update set due_at = excluded.due_at",
        site_id,
        from,
        to
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Has hours that could not be summed up wait for a while, so that they do not keep all others from it.
async fn postpone(
    db: impl PgExecutor<'_>,
    site_id: i32,
    hours: &[DateTime<Utc>],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update rollup_dirty set marked_at = $3, due_at = $4 where site_id = $1 and hour = any($2)",
        site_id,
        hours,
        now,
        now + AFTER_FAILURE
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes the closed dirty hours of one day (UTC) of a site off the list, sorted; they are dirty again if the transaction fails. A day's at once,
/// since its sums are made of all of them. The day that waits longest comes first: by its date, old days that keep changing would have their
/// turn again and again before the days that are asked for most.
async fn take(
    db: &mut PgConnection,
    now: DateTime<Utc>,
    which: Take,
) -> sqlx::Result<Option<(i32, Vec<DateTime<Utc>>)>> {
    let rows = sqlx::query!(
        "with first as (
           select site_id, hour from rollup_dirty where hour <= $1 and (due_at <= $2 or $3) order by due_at, site_id, hour limit 1)
         delete from rollup_dirty d using first f
         where d.site_id = f.site_id and d.hour >= date_trunc('day', f.hour, 'UTC') and d.hour < date_trunc('day', f.hour, 'UTC') + interval '24 hours'
           and d.hour <= $1 and (d.due_at <= $2 or $3)
         returning d.site_id, d.hour",
        now - TimeDelta::hours(1),
        now,
        which == Take::Closed
    )
    .fetch_all(db)
    .await?;
    let mut hours: Vec<_> = rows.iter().map(|row| row.hour).collect();
    hours.sort_unstable();
    Ok(rows.first().map(|row| (row.site_id, hours)))
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
        wrong.extend(blocks::differing(&mut tx, site_id, &clean).await?);
        wrong.extend(payers::differing(&mut tx, site_id, clean_day).await?);
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
