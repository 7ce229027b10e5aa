//! Table `password_links`: links by which a user sets a password once.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// Why a link is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A new user, who never had a password.
    Invite,
    /// A password that was forgotten.
    Reset,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Reset => "reset",
        }
    }
}

/// Stores a link in place of the user's earlier one. An invitation that was never used stays one.
///
/// # Errors
/// The database's.
pub async fn replace(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    token_hash: &[u8; 32],
    purpose: Purpose,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into password_links (user_id, token_hash, purpose, created_at, expires_at) values ($1, $2, $3, $4, $5)
         on conflict (user_id) do update set token_hash = excluded.token_hash, created_at = excluded.created_at,
             expires_at = excluded.expires_at",
        user_id,
        token_hash.as_slice(),
        purpose.name(),
        now,
        expires_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whose link this is.
pub struct Holder {
    /// Who.
    pub user_id: Uuid,
    /// Their address.
    pub email: String,
}

/// The user of a live link, unless disabled.
///
/// # Errors
/// The database's.
pub async fn holder(
    db: impl PgExecutor<'_>,
    token_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Holder>> {
    sqlx::query_as!(
        Holder,
        "select u.user_id, u.email from password_links l join users u on u.user_id = l.user_id
         where l.token_hash = $1 and l.expires_at > $2 and u.disabled_at is null",
        token_hash.as_slice(),
        now,
    )
    .fetch_optional(db)
    .await
}

/// Uses a live link up; whether it was there: of two at once one wins.
///
/// # Errors
/// The database's.
pub async fn take(db: impl PgExecutor<'_>, token_hash: &[u8; 32], now: DateTime<Utc>) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "delete from password_links where token_hash = $1 and expires_at > $2 returning user_id",
        token_hash.as_slice(),
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

/// Takes a user's link back.
///
/// # Errors
/// The database's.
pub async fn revoke(db: impl PgExecutor<'_>, user_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from password_links where user_id = $1", user_id)
        .execute(db)
        .await?;
    Ok(())
}
