//! Table `installation`: by what the secret is known again.

use sqlx::PgExecutor;

/// The fingerprint of the secret that the database was used with; `None` while it was used with none.
///
/// # Errors
/// The database's.
pub async fn secret_fingerprint(db: impl PgExecutor<'_>) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select secret_fingerprint from installation")
        .fetch_optional(db)
        .await
}

/// Keeps a fingerprint, unless there is one.
///
/// # Errors
/// The database's.
pub async fn keep_fingerprint(db: impl PgExecutor<'_>, fingerprint: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into installation (secret_fingerprint) values ($1) on conflict (installation_id) do nothing",
        fingerprint,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Keeps a fingerprint in place of the one that is there.
///
/// # Errors
/// The database's.
pub async fn replace_fingerprint(db: impl PgExecutor<'_>, fingerprint: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into installation (secret_fingerprint) values ($1)
         on conflict (installation_id) do update set secret_fingerprint = excluded.secret_fingerprint",
        fingerprint,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What stands in the database that only the secret it was made with makes sense of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeWithSecret {
    /// Keys of workers that are not revoked.
    pub ingest_keys: i64,
    /// Hashes of contacts.
    pub contacts: i64,
}

/// Counts it.
///
/// # Errors
/// The database's.
pub async fn made_with_secret(db: impl PgExecutor<'_>) -> sqlx::Result<MadeWithSecret> {
    sqlx::query_as!(
        MadeWithSecret,
        r#"select (select count(*) from ingest_keys where revoked_at is null) as "ingest_keys!",
            (select count(*) from (select contact_hash from customer_contacts union select contact_hash from visitor_contacts) c) as "contacts!""#
    )
    .fetch_one(db)
    .await
}
