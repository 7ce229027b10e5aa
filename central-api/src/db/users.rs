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

/// Whether the user may log in with the password of this hash; if so, until the transaction ends. Who replaces a password or disables a user
/// ends their sessions after it, and so the one that this transaction begins.
///
/// # Errors
/// The database's.
pub async fn keep_password(db: impl PgExecutor<'_>, user_id: Uuid, hash: &str) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "select user_id from users where user_id = $1 and password_hash = $2 and disabled_at is null for share",
        user_id,
        hash
    )
    .fetch_optional(db)
    .await?;
    Ok(row.is_some())
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

/// Replaces the hash of a user's password while it is still this one; whether it was.
///
/// # Errors
/// The database's.
pub async fn change_password_hash(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    before: &str,
    hash: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update users set password_hash = $3 where user_id = $1 and password_hash = $2",
        user_id,
        before,
        hash
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
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

/// Whether there ever was an admin of everything, disabled or not: what decides that the installation is set up.
///
/// # Errors
/// The database's.
pub async fn any_admin(db: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists(select 1 from users where role = 'admin' and site_id is null) as "any!""#)
        .fetch_one(db)
        .await
}

/// A user as lists show them.
#[derive(Debug)]
pub struct Listed {
    /// Who.
    pub user_id: Uuid,
    /// Their address.
    pub email: String,
    /// [`Role::name`].
    pub role: String,
    /// The only site they may see; `None`: every one.
    pub site_id: Option<i32>,
    /// When they were added.
    pub created_at: DateTime<Utc>,
    /// Since when they may not log in.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Last request of a login that is still remembered.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Was invited and has not set a password yet.
    pub invited: bool,
}

/// Everybody, by address.
///
/// # Errors
/// The database's.
pub async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select u.user_id, u.email, u.role, u.site_id, u.created_at, u.disabled_at,
               (select max(s.last_used_at) from admin_sessions s where s.user_id = u.user_id) as last_used_at,
               exists(select 1 from password_links l where l.user_id = u.user_id and l.purpose = 'invite') as "invited!"
           from users u order by u.email"#
    )
    .fetch_all(db)
    .await
}

/// Holds off every other change of users until the transaction ends, so that two admins cannot remove each other at once.
///
/// # Errors
/// The database's.
pub async fn lock_all(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("lock table users in share row exclusive mode")
        .execute(db)
        .await?;
    Ok(())
}

/// Sets what a user may do and see.
///
/// # Errors
/// The database's.
pub async fn update(
    db: impl PgExecutor<'_>,
    user_id: Uuid,
    role: Role,
    site_id: Option<i32>,
    disabled_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set role = $2, site_id = $3, disabled_at = $4 where user_id = $1",
        user_id,
        role.name(),
        site_id,
        disabled_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a user, with their logins and links.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, user_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from users where user_id = $1", user_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Addresses of those who may log in, of this role and of every role where none is given: to every site, or to this one.
///
/// # Errors
/// The database's.
pub async fn addresses(db: impl PgExecutor<'_>, site_id: i32, role: Option<Role>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "select email from users where disabled_at is null and (site_id is null or site_id = $1) and ($2::text is null or role = $2) order by email",
        site_id,
        role.map(Role::name),
    )
    .fetch_all(db)
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
