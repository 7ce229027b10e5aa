//! Table `order_marks`: orders whose customer and business figures must be made anew.

use sqlx::{PgConnection, PgExecutor};

/// Adds marks, in the transaction that changes, makes or deletes the orders.
///
/// # Errors
/// The database's.
pub async fn insert(conn: &mut PgConnection, site_id: i32, orders: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into order_marks (site_id, order_id) select $1, * from unnest($2::text[])",
        site_id,
        orders
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many marks of the site wait, up to `most`.
///
/// # Errors
/// The database's.
pub async fn count(db: impl PgExecutor<'_>, site_id: i32, most: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from (select 1 from order_marks where site_id = $1 limit $2) m"#,
        site_id,
        most
    )
    .fetch_one(db)
    .await
}

/// Takes some marks of the site off the table and answers their orders, each once; they are back if the transaction fails.
///
/// # Errors
/// The database's.
pub async fn take(conn: &mut PgConnection, site_id: i32, limit: i64) -> sqlx::Result<Vec<String>> {
    let mut orders = sqlx::query_scalar!(
        "delete from order_marks where ctid = any(array(select ctid from order_marks where site_id = $1 limit $2)) returning order_id",
        site_id,
        limit
    )
    .fetch_all(conn)
    .await?;
    orders.sort_unstable();
    orders.dedup();
    Ok(orders)
}

/// Takes all marks of the site off the table.
///
/// # Errors
/// The database's.
pub async fn clear(conn: &mut PgConnection, site_id: i32) -> sqlx::Result<()> {
    sqlx::query!("delete from order_marks where site_id = $1", site_id)
        .execute(conn)
        .await?;
    Ok(())
}
