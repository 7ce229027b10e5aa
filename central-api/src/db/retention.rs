//! Deleting what is too old, over the tables that hold it.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::rollup_marks;

/// Names of the monthly partitions of every partitioned table.
///
/// # Errors
/// The database's.
pub async fn partitions(pool: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select child.relname::text as "name!"
           from pg_inherits i
           join pg_class child on child.oid = i.inhrelid
           join pg_class parent on parent.oid = i.inhparent
           where parent.relname in ('events', 'anonymous_hits') and parent.relnamespace = current_schema()::regnamespace
           order by 1"#
    )
    .fetch_all(pool)
    .await
}

/// Deletes a site's events, sessions (marking the hours that they and their visitors' later ones are summed up in), anonymous hits, remembered contacts and dead letters of before `cutoff`. Orders stay: they are the
/// shop's books, and hold contacts only as keyed hashes unless the site asked for more. Answers how many rows went.
///
/// # Errors
/// The database's. What was deleted before stays deleted.
pub async fn delete_before(pool: &PgPool, site_id: i32, cutoff: DateTime<Utc>) -> sqlx::Result<u64> {
    let mut rows = 0;
    let done = sqlx::query!(
        "delete from events where site_id = $1 and minted_at < $2",
        site_id,
        cutoff
    );
    rows += done.execute(pool).await?.rows_affected();
    // Their visitors' rows of cohorts go, or follow what is left, with the next upkeep; so do the hours that they and the visitors' later
    // sessions are summed up in.
    let mut tx = pool.begin().await?;
    rollup_marks::lock_later(&mut tx, site_id).await?;
    let deleted = sqlx::query_scalar!(
        r#"with gone as (delete from sessions where site_id = $1 and last_seen < $2 returning site_id, visitor_id, first_seen),
             visitors as (
               insert into cohort_dirty (site_id, visitor_id, marked_at)
               select distinct $1::integer, visitor_id, $2::timestamptz from gone order by visitor_id on conflict do nothing),
             marks as (
               insert into rollup_marks (site_id, visitor_id, hour)
               select site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from gone
               union
               select s.site_id, s.visitor_id, date_trunc('hour', s.first_seen, 'UTC')
               from gone join sessions s on s.site_id = gone.site_id and s.visitor_id = gone.visitor_id and s.first_seen > gone.first_seen)
           select count(*) as "count!" from gone"#,
        site_id,
        cutoff
    );
    rows += deleted.fetch_one(&mut *tx).await?.unsigned_abs();
    tx.commit().await?;
    let done = sqlx::query!(
        "delete from anonymous_hits where site_id = $1 and minted_at < $2",
        site_id,
        cutoff
    );
    rows += done.execute(pool).await?.rows_affected();
    let done = sqlx::query!(
        "delete from visitor_contacts where site_id = $1 and last_seen < $2",
        site_id,
        cutoff
    );
    rows += done.execute(pool).await?.rows_affected();
    let done = sqlx::query!(
        "delete from dead_letters where site_id = $1 and received_at < $2",
        site_id,
        cutoff
    );
    rows += done.execute(pool).await?.rows_affected();
    Ok(rows)
}
