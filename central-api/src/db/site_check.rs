//! Finding the event of a test visit by its campaign.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// Whether there is a session of this campaign since `start`.
///
/// # Errors
/// The database's.
pub async fn session(
    db: impl PgExecutor<'_>,
    site_id: i32,
    campaign: &str,
    start: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists(select 1 from sessions where site_id = $1 and first_seen >= $2 and utm_campaign = $3) as "found!""#,
        site_id,
        start,
        campaign,
    )
    .fetch_one(db)
    .await
}

/// The consent of an anonymous hit of this campaign. `first_id` lets the key's index find it.
///
/// # Errors
/// The database's.
pub async fn anonymous(
    db: impl PgExecutor<'_>,
    site_id: i32,
    campaign: &str,
    start: DateTime<Utc>,
    first_id: Uuid,
) -> sqlx::Result<Option<i16>> {
    sqlx::query_scalar!(
        "select consent from anonymous_hits where site_id = $1 and event_id >= $2 and minted_at >= $3 and utm_campaign = $4 limit 1",
        site_id,
        first_id,
        start,
        campaign,
    )
    .fetch_optional(db)
    .await
}

/// Code and message of a refused event that names this campaign.
///
/// # Errors
/// The database's.
pub async fn dead_letter(
    db: impl PgExecutor<'_>,
    site_id: i32,
    campaign: &str,
    start: DateTime<Utc>,
) -> sqlx::Result<Option<(String, String)>> {
    let row = sqlx::query!(
        "select code, message from dead_letters where site_id = $1 and received_at >= $2 and position(convert_to($3, 'UTF8') in payload) > 0
         order by dead_letter_id desc limit 1",
        site_id,
        start,
        campaign,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.code, row.message)))
}
