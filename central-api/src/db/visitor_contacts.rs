//! Table `visitor_contacts`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::orders::identity::Sight;

/// Remembers which visitor a contact was seen with; `rows` are sorted by contact and visitor, each pair once.
pub async fn upsert(conn: &mut PgConnection, site_id: i32, rows: &[Sight]) -> sqlx::Result<()> {
    let hashes: Vec<Vec<u8>> = rows.iter().map(|row| row.0.to_vec()).collect();
    let visitors: Vec<Uuid> = rows.iter().map(|row| row.1).collect();
    let kinds: Vec<String> = rows.iter().map(|row| row.2.name().to_owned()).collect();
    let seen: Vec<DateTime<Utc>> = rows.iter().map(|row| row.3).collect();
    sqlx::query!(
        "insert into visitor_contacts (site_id, contact_hash, visitor_id, kind, last_seen)
        select $1, k.contact_hash, k.visitor_id, k.kind, k.last_seen
        from unnest($2::bytea[], $3::uuid[], $4::text[], $5::timestamptz[]) as k(contact_hash, visitor_id, kind, last_seen)
        order by k.contact_hash, k.visitor_id
        on conflict (site_id, contact_hash, visitor_id) do update set last_seen = greatest(visitor_contacts.last_seen, excluded.last_seen)",
        site_id,
        &hashes,
        &visitors,
        &kinds,
        &seen
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Which visitors these contacts were seen with.
pub async fn visitors(conn: &mut PgConnection, site_id: i32, hashes: &[Vec<u8>]) -> sqlx::Result<Vec<(Vec<u8>, Uuid)>> {
    let rows = sqlx::query!(
        "select contact_hash, visitor_id from visitor_contacts where site_id = $1 and contact_hash = any($2)",
        site_id,
        hashes
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.contact_hash, row.visitor_id)).collect())
}
