//! Table `import_progress`: how far a file came, by what it holds.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// Rows of this content that are done.
pub async fn rows_done(db: impl PgExecutor<'_>, site_id: i32, kind: &str, digest: &[u8]) -> sqlx::Result<u64> {
    let rows = sqlx::query_scalar!(
        "select rows_done from import_progress where site_id = $1 and kind = $2 and source_digest = $3",
        site_id,
        kind,
        digest
    )
    .fetch_optional(db)
    .await?;
    Ok(rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0))
}

/// Says how many rows are done; never fewer than before.
pub async fn set(
    db: impl PgExecutor<'_>,
    site_id: i32,
    kind: &str,
    digest: &[u8],
    rows: u64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into import_progress (site_id, kind, source_digest, rows_done, updated_at) values ($1, $2, $3, $4, $5)
        on conflict (site_id, kind, source_digest) do update set
            rows_done = greatest(import_progress.rows_done, excluded.rows_done), updated_at = excluded.updated_at",
        site_id,
        kind,
        digest,
        i64::try_from(rows).unwrap_or(i64::MAX),
        now
    )
    .execute(db)
    .await?;
    Ok(())
}
