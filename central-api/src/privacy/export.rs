//! Everything that is kept of somebody, as one JSON object.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::subject::{Subject, Who};
use crate::db::{dead_letters, privacy};
use crate::error::ApiError;
use crate::secret::Secret;
use crate::site::Site;

/// Rows as they are stored, by table; a new column is in the export by itself.
///
/// # Errors
/// As [`Subject::of`].
pub async fn export(
    pool: &PgPool,
    secret: &Secret,
    site: &Site,
    who: &Who,
    now: DateTime<Utc>,
) -> Result<Value, ApiError> {
    let mut conn = pool.acquire().await?;
    let mut subject = Subject::of(&mut conn, secret, site, who).await?;
    subject.gather_dead_letters(&mut conn, secret, site, who).await?;
    let visitors: Vec<Uuid> = subject.visitors.iter().copied().collect();
    let contacts: Vec<Vec<u8>> = subject.contacts.iter().cloned().collect();
    let orders: Vec<String> = subject.orders.iter().cloned().collect();
    let mut refused = Vec::new();
    for id in &subject.dead_letters {
        if let Some(letter) = dead_letters::by_id(&mut *conn, *id).await? {
            refused.push(json!({
                "received_at": letter.received_at, "code": letter.code, "message": letter.message,
                "payload": String::from_utf8_lossy(&letter.payload),
            }));
        }
    }
    Ok(json!({
        "site": site.key,
        "exported_at": now,
        "visitors": visitors,
        "sessions": privacy::session_rows(&mut *conn, site.id, &visitors).await?,
        "events": privacy::event_rows(&mut *conn, site.id, &visitors).await?,
        "orders": privacy::order_rows(&mut *conn, site.id, &orders).await?,
        "contacts": privacy::contact_rows(&mut *conn, site.id, &visitors, &contacts).await?,
        "refused": refused,
    }))
}
