//! Marks off their table, into dirty hours and dirty visitors.
//!
//! Under load there are some thousand marks a second. Moved all at once they would keep a core busy for half a second while those who
//! write wait for it; so they go in bites, each a transaction of some milliseconds, with rests in between. A mark is in one of the tables
//! at any moment, whichever bites have gone.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

/// An hour is left alone until it has not been marked for so long: recomputing one that is still being written to is wasted.
const QUIET: TimeDelta = TimeDelta::seconds(60);
/// After this an hour is recomputed even if marks go on coming.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);
/// Marks in a bite, about: some milliseconds of the database's time. Of bites four times as large, one in a hundred batches of events that
/// came meanwhile noticed.
const BITE: u64 = 500;
/// Each bite looks through the whole table, so where very many marks wait the bites grow instead.
const MOST_BITES: u64 = 256;

/// Any fixed number: one process at a time collects marks. Not the lock of those who recompute hours, which takes longer.
const LOCK: i64 = 0x7564_6d61_726b;

/// Moves the marks that there are, and answers how many. After each bite `rest` is told how long it took; when it answers false the others
/// stay where they are. `None`: another process is at it.
///
/// # Errors
/// The database's; nothing is lost by one.
pub async fn collect<F: Future<Output = bool>>(
    pool: &PgPool,
    now: DateTime<Utc>,
    rest: impl Fn(Duration) -> F,
) -> sqlx::Result<Option<u64>> {
    let waiting = sqlx::query_scalar!(r#"select count(*) as "count!" from rollup_marks"#)
        .fetch_one(pool)
        .await?;
    let mut moved = 0;
    let bites = bites(waiting.unsigned_abs());
    for remainder in 0..bites {
        let started = Instant::now();
        match bite(pool, now, (remainder, bites)).await? {
            Some(marks) => moved += marks,
            None => return Ok(None),
        }
        if !rest(started.elapsed()).await {
            break;
        }
    }
    Ok(Some(moved))
}

/// In how many bites so many marks go; a power of two.
fn bites(marks: u64) -> u64 {
    match marks {
        0 => 0,
        marks => marks.div_ceil(BITE).next_power_of_two().min(MOST_BITES),
    }
}

/// Moves the marks of the visitors whose id's hash has this remainder. A hash of the column that the table is distributed by, since rows of a
/// distributed table can neither be limited nor addressed by place; and ids that were made together lie together. A dirty hour is due once
/// it was quiet for [`QUIET`], or [`LONGEST_WAIT`] after its first mark.
async fn bite(pool: &PgPool, now: DateTime<Utc>, (remainder, bites): (u64, u64)) -> sqlx::Result<Option<u64>> {
    let mut tx = pool.begin().await?;
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "ours!""#, LOCK)
        .fetch_one(&mut *tx)
        .await?;
    if !ours {
        return Ok(None);
    }
    let moved = sqlx::query_scalar!(
        r#"with marks as (delete from rollup_marks where uuid_hash(visitor_id) & $4 = $5 returning site_id, visitor_id, hour),
           visitors as (
             insert into cohort_dirty (site_id, visitor_id, marked_at)
             select distinct site_id, visitor_id, $1::timestamptz from marks order by site_id, visitor_id
             on conflict do nothing),
           hours as (
             insert into rollup_dirty as d (site_id, hour, marked_at, due_at)
             select distinct site_id, hour, $1::timestamptz, $2::timestamptz from marks order by site_id, hour
             on conflict (site_id, hour) do update set due_at = least(excluded.due_at, d.marked_at + $3))
           select count(*) as "count!" from marks"#,
        now,
        now + QUIET,
        PgInterval::try_from(LONGEST_WAIT).map_err(sqlx::Error::Encode)?,
        bites as i32 - 1,
        remainder as i32
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(moved.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bites_are_a_power_of_two_and_grow_when_there_would_be_too_many() {
        for (marks, expected) in [(0, 0), (1, 1), (500, 1), (501, 2), (2_200, 8), (1 << 40, 256)] {
            assert_eq!(bites(marks), expected, "{marks}");
        }
    }
}
