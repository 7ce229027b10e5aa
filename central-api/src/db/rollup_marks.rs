//! Table `rollup_marks`: hours whose rollups must be recomputed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgBindIterExt;
use uuid::Uuid;

/// Adds marks: site, visitor, start of the hour in which the visitor's session was first seen (UTC).
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, marks: &[(i32, Uuid, DateTime<Utc>)]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into rollup_marks (site_id, visitor_id, hour) select * from unnest($1::int[], $2::uuid[], $3::timestamptz[])",
        marks.iter().map(|mark| mark.0).bind_iter() as _,
        marks.iter().map(|mark| mark.1).bind_iter() as _,
        marks.iter().map(|mark| mark.2).bind_iter() as _,
    )
    .execute(db)
    .await?;
    Ok(())
}
