//! Table `import_progress`: how far a file came, by what it holds.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor};

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

/// Takes the lock of the one process that imports this content, as long as the connection lasts; false when another has it.
///
/// # Errors
/// The database's.
pub async fn try_lock(conn: &mut PgConnection, site_id: i32, kind: &str, digest: &[u8]) -> sqlx::Result<bool> {
    // A class of locks that nobody else uses ("im" in the upper half).
    let class = 0x696d_0000 | (site_id & 0xffff);
    let content: [u8; 32] = Sha256::new().chain_update(kind).chain_update(digest).finalize().into();
    let [a, b, c, d, ..] = content;
    sqlx::query_scalar!(
        r#"select pg_try_advisory_lock($1, $2) as "locked!""#,
        class,
        i32::from_be_bytes([a, b, c, d])
    )
    .fetch_one(conn)
    .await
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
