//! Table `ingest_keys`. The secrets are not in it: they are derived from the installation's secret and the key's id.

use chrono::{DateTime, Utc};
use sqlx::{Acquire, PgExecutor, Postgres};

use super::sites;

/// Ids of the keys that are not revoked, with the site each signs for.
///
/// # Errors
/// The database's.
pub async fn live(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, i32)>> {
    let rows = sqlx::query!("select key_id, site_id from ingest_keys where revoked_at is null")
        .fetch_all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.key_id, row.site_id)).collect())
}

/// A key as lists show it.
pub struct Listed {
    /// Public id.
    pub key_id: String,
    /// The site it signs for.
    pub site_id: i32,
    /// Name for people.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Every key, revoked ones too, oldest first.
///
/// # Errors
/// The database's.
pub async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        "select key_id, site_id, name, created_at, revoked_at from ingest_keys order by created_at, key_id"
    )
    .fetch_all(db)
    .await
}

/// Stores a new key, unless the site has two live ones already; whether it was stored.
///
/// # Errors
/// The database's.
pub async fn insert(
    db: impl Acquire<'_, Database = Postgres>,
    key_id: &str,
    site_id: i32,
    name: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let mut tx = db.begin().await?;
    // First, so that the statement after it counts the key that somebody else makes at the same time.
    sites::in_turn(&mut *tx, site_id).await?;
    let row = sqlx::query!(
        "insert into ingest_keys (key_id, site_id, name, created_at)
         select $1, $2, $3, $4
         where (select count(*) from ingest_keys where site_id = $2 and revoked_at is null) < 2
         returning key_id",
        key_id,
        site_id,
        name,
        now,
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.is_some())
}

/// Revokes a key; whether there was a live one with this id.
///
/// # Errors
/// The database's.
pub async fn revoke(db: impl PgExecutor<'_>, key_id: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "update ingest_keys set revoked_at = $2 where key_id = $1 and revoked_at is null returning key_id",
        key_id,
        now
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}
