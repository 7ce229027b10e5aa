//! Table `users`: who may log in to the panel.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::auth::Role;

/// What a login needs.
pub struct Credentials {
    /// Who.
    pub user_id: Uuid,
    /// argon2id, PHC text.
    pub password_hash: String,
}

/// The user with this e-mail (lower-case), unless disabled.
///
/// # Errors
/// The database's.
pub async fn credentials(db: impl PgExecutor<'_>, email: &str) -> sqlx::Result<Option<Credentials>> {
    sqlx::query_as!(
        Credentials,
        "select user_id, password_hash from users where email = $1 and disabled_at is null",
        email
    )
    .fetch_optional(db)
    .await
}

/// The stored hash of a user's password.
///
/// # Errors
/// The database's.
pub async fn password_hash(db: impl PgExecutor<'_>, user_id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select password_hash from users where user_id = $1", user_id)
        .fetch_optional(db)
        .await
}

/// Replaces the hash of a user's password.
///
/// # Errors
/// The database's.
pub async fn set_password_hash(db: impl PgExecutor<'_>, user_id: Uuid, hash: &str) -> sqlx::Result<()> {
    sqlx::query!("update users set password_hash = $2 where user_id = $1", user_id, hash)
        .execute(db)
        .await?;
    Ok(())
}

/// Stores a new user; `false` when the e-mail is taken.
///
/// # Errors
/// The database's.
pub async fn insert(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    email: &str,
    password_hash: &str,
    role: Role,
    site_id: Option<i32>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "insert into users (user_id, email, password_hash, role, site_id, created_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (email) do nothing returning user_id",
        user_id,
        email,
        password_hash,
        role.name(),
        site_id,
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
}

/// How many can log in as admin of everything.
///
/// # Errors
/// The database's.
pub async fn count_admins(db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from users where role = 'admin' and site_id is null and disabled_at is null"#
    )
    .fetch_one(db)
    .await
}

/// An e-mail as it is stored and compared: trimmed, lower-case; `None` when it cannot be one.
pub fn normalised_email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (name, host) = text.rsplit_once('@')?;
    let fine = !name.is_empty()
        && host.contains('.')
        && text.len() <= 254
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    fine.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_trimmed_and_lower_case_and_nothing_else_passes() {
        assert_eq!(normalised_email(" Ann@Shop.Example "), Some("ann@shop.example".into()));
        for bad in [
            "",
            "ann",
            "@shop.example",
            "ann@shop",
            "a b@shop.example",
            "a\0@shop.example",
            &format!("{}@b.c", "a".repeat(255)),
        ] {
            assert_eq!(normalised_email(bad), None, "{bad:?}");
        }
    }
}
