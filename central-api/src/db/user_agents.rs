//! Table `user_agents`: raw user agents, once each.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgBindIterExt;
use sqlx::{PgConnection, PgExecutor};

/// Stores user agents that are not there yet. Sorted by hash.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, user_agents: &[(i64, &str)], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into user_agents (ua_hash, user_agent, first_seen)
         select hash, text, $3 from unnest($1::bigint[], $2::text[]) as new (hash, text)
         on conflict do nothing",
        user_agents.iter().map(|ua| ua.0).bind_iter() as _,
        user_agents.iter().map(|ua| ua.1).bind_iter() as _,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes user agents that were first seen before `cutoff`, and answers how many. One that is still about comes back with its next
/// visitor: the writers store each of them once an hour.
///
/// # Errors
/// The database's.
pub async fn delete_before(db: impl PgExecutor<'_>, cutoff: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from user_agents where first_seen < $1", cutoff);
    Ok(done.execute(db).await?.rows_affected())
}
