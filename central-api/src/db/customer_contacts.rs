//! Table `customer_contacts`, as far as others than the figures of customers read it.

use std::collections::HashSet;

use sqlx::PgConnection;

/// Which of these contacts too many people share: what they lead to is anybody's, so nothing is found by them. As of the last time that
/// customers were joined, seconds ago.
///
/// # Errors
/// The database's.
pub async fn shared(conn: &mut PgConnection, site_id: i32, hashes: &[Vec<u8>]) -> sqlx::Result<HashSet<Vec<u8>>> {
    if hashes.is_empty() {
        return Ok(HashSet::new());
    }
    let found = sqlx::query_scalar!(
        "select contact_hash from customer_contacts where site_id = $1 and contact_hash = any($2) and customer_no is null",
        site_id,
        hashes
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().collect())
}
