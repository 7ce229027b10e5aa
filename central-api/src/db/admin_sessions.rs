//! Table `admin_sessions`: who is logged in to the panel.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::auth::{Role, Session};

/// The session of a token's digest and its last use, when it is alive at `now` and was used since `used_since`.
///
/// # Errors
/// The database's.
pub async fn live(
    db: impl PgExecutor<'_>,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
    used_since: DateTime<Utc>,
) -> sqlx::Result<Option<(Session, DateTime<Utc>)>> {
    let row = sqlx::query!(
        "select s.user_id, s.last_used_at, s.expires_at, u.email, u.role, u.site_id
         from admin_sessions s join users u on u.user_id = s.user_id
         where s.token_hash = $1 and s.revoked_at is null and s.expires_at > $2 and s.last_used_at > $3 and u.disabled_at is null",
        token_hash.as_slice(),
        now,
        used_since,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.and_then(|row| {
        let session = Session {
            token_hash: *token_hash,
            user_id: row.user_id,
            email: row.email,
            role: Role::from_name(&row.role)?,
            site_id: row.site_id,
            expires_at: row.expires_at,
        };
        Some((session, row.last_used_at))
    }))
}

/// Begins a session.
///
/// # Errors
/// The database's.
pub async fn insert(
    db: impl PgExecutor<'_>,
    token_hash: &[u8; 32],
    user_id: Uuid,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    user_agent: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into admin_sessions (token_hash, user_id, created_at, last_used_at, expires_at, user_agent) values ($1, $2, $3, $3, $4, $5)",
        token_hash.as_slice(),
        user_id,
        now,
        expires_at,
        user_agent,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Writes down a use.
///
/// # Errors
/// The database's.
pub async fn touch(db: impl PgExecutor<'_>, token_hash: &[u8; 32], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update admin_sessions set last_used_at = $2 where token_hash = $1",
        token_hash.as_slice(),
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A session as lists show it.
pub struct Listed {
    /// First 16 bytes of the digest: names the session, is of no use for being it.
    pub id: Vec<u8>,
    /// Who.
    pub user_id: Uuid,
    /// Their address.
    pub email: String,
    /// Login.
    pub created_at: DateTime<Utc>,
    /// Last request, to the minute.
    pub last_used_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub expires_at: DateTime<Utc>,
    /// Of the login.
    pub user_agent: Option<String>,
}

/// Live sessions, of one user or of all, newest use first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    user_id: Option<Uuid>,
    now: DateTime<Utc>,
    used_since: DateTime<Utc>,
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select substring(s.token_hash from 1 for 16) as "id!", s.user_id, u.email, s.created_at, s.last_used_at, s.expires_at, s.user_agent
           from admin_sessions s join users u on u.user_id = s.user_id
           where ($1::uuid is null or s.user_id = $1) and s.revoked_at is null and s.expires_at > $2 and s.last_used_at > $3 and u.disabled_at is null
           order by s.last_used_at desc, s.token_hash"#,
        user_id,
        now,
        used_since,
    )
    .fetch_all(db)
    .await
}

/// Ends the session with this id (see [`Listed::id`]), of one user or of anybody; whether there was one.
///
/// # Errors
/// The database's.
pub async fn revoke(
    db: impl PgExecutor<'_>,
    id: &[u8; 16],
    user_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "update admin_sessions set revoked_at = $3
         where substring(token_hash from 1 for 16) = $1 and ($2::uuid is null or user_id = $2) and revoked_at is null returning user_id",
        id.as_slice(),
        user_id,
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

/// Ends every session of a user but one.
///
/// # Errors
/// The database's.
pub async fn revoke_others(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    keep: &[u8; 32],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update admin_sessions set revoked_at = $3 where user_id = $1 and token_hash <> $2 and revoked_at is null",
        user_id,
        keep.as_slice(),
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends every session of a user.
///
/// # Errors
/// The database's.
pub async fn revoke_all(db: impl PgExecutor<'_>, user_id: Uuid, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "update admin_sessions set revoked_at = $2 where user_id = $1 and revoked_at is null",
        user_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes sessions that ended before `before`; how many.
///
/// # Errors
/// The database's.
pub async fn delete_ended(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from admin_sessions where expires_at < $1 or revoked_at < $1",
        before
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
