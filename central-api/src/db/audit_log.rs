//! Table `audit_log`: who changed what in the settings.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

use crate::auth::Session;

/// Who did it.
#[derive(Debug, Clone, Copy)]
pub enum Actor<'a> {
    /// A user of the panel.
    User(&'a Session),
    /// Somebody who set a password by a link, or made the first admin: known by address, not logged in.
    Named(&'a str),
    /// Whoever may run `central-api`.
    CommandLine,
}

/// One change, to be written in the transaction that makes it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The site it belongs to; `None`: the installation.
    pub site_id: Option<i32>,
    /// Who.
    pub actor: Actor<'a>,
    /// What was done, as `site.change`. The panel has a text for each.
    pub action: &'a str,
    /// To what: a site's key, a user's e-mail, a key's id.
    pub subject: &'a str,
    /// What changed, by field. No secret, nothing of a visitor's.
    pub detail: Value,
}

/// Writes an entry.
///
/// # Errors
/// The database's.
pub async fn insert(db: impl PgExecutor<'_>, entry: &Entry<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    let (user_id, actor) = match entry.actor {
        Actor::User(session) => (Some(session.user_id), session.email.as_str()),
        Actor::Named(name) => (None, name),
        Actor::CommandLine => (None, "command line"),
    };
    sqlx::query!(
        "insert into audit_log (at, site_id, user_id, actor, action, subject, detail) values ($1, $2, $3, $4, $5, $6, $7)",
        now,
        entry.site_id,
        user_id,
        actor,
        entry.action,
        entry.subject,
        entry.detail,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An entry as it is shown.
#[derive(Debug)]
pub struct Listed {
    /// Number, ascending.
    pub id: i64,
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// The site; `None`: the installation.
    pub site_id: Option<i32>,
    /// E-mail of that time, or `command line`.
    pub actor: String,
    /// See [`Entry::action`].
    pub action: String,
    /// See [`Entry::subject`].
    pub subject: String,
    /// See [`Entry::detail`].
    pub detail: Value,
}

/// Entries before the number `before`, newest first: of one site, and with `all` of the installation too.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    site_id: i32,
    all: bool,
    before: i64,
    limit: i64,
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        "select audit_id as id, at, site_id, actor, action, subject, detail from audit_log
         where audit_id < $3 and (site_id = $1 or ($2 and site_id is null)) order by audit_id desc limit $4",
        site_id,
        all,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}
