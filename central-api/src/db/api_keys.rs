//! Table `api_keys`.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::auth::Scope;

/// A key that may be used.
pub struct LiveKey {
    /// Public id.
    pub key_id: String,
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// Its site.
    pub site_id: i32,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Last use that was written down.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Every key that is not revoked.
///
/// # Errors
/// The database's.
pub async fn live(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<LiveKey>> {
    let rows =
        sqlx::query!("select key_id, token_hash, site_id, scopes, last_used_at from api_keys where revoked_at is null")
            .fetch_all(db)
            .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(LiveKey {
                token_hash: row.token_hash.try_into().ok()?,
                key_id: row.key_id,
                site_id: row.site_id,
                scopes: row.scopes.iter().filter_map(|name| Scope::from_name(name)).collect(),
                last_used_at: row.last_used_at,
            })
        })
        .collect())
}

/// A key as lists show it.
pub struct Listed {
    /// Public id.
    pub key_id: String,
    /// Its site.
    pub site_id: i32,
    /// Name for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Last use, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
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
        "select key_id, site_id, name, scopes, created_at, last_used_at, revoked_at from api_keys order by created_at, key_id"
    )
    .fetch_all(db)
    .await
}

/// Stores a new key.
///
/// # Errors
/// The database's.
pub async fn insert(
    db: impl PgExecutor<'_>,
    key_id: &str,
    site_id: i32,
    token_hash: &[u8; 32],
    name: &str,
    scopes: &[Scope],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.name().to_owned()).collect();
    sqlx::query!(
        "insert into api_keys (key_id, site_id, token_hash, name, scopes, created_at) values ($1, $2, $3, $4, $5, $6)",
        key_id,
        site_id,
        token_hash.as_slice(),
        name,
        &scopes,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes down a use, at most once a minute whoever asks.
///
/// # Errors
/// The database's.
pub async fn touch(db: impl PgExecutor<'_>, key_id: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set last_used_at = $2
         where key_id = $1 and (last_used_at is null or last_used_at < $2::timestamptz - interval '1 minute')",
        key_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Revokes a key; whether there was a live one with this id.
///
/// # Errors
/// The database's.
pub async fn revoke(db: impl PgExecutor<'_>, key_id: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "update api_keys set revoked_at = $2 where key_id = $1 and revoked_at is null returning key_id",
        key_id,
        now
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}
