//! Table `user_agents`: raw user agents, once each.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgBindIterExt;

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
