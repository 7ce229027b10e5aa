//! Table `exchange_rates`.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgExecutor};

/// Stores rates, each key once; answers those that are new or changed.
pub async fn upsert(
    conn: &mut PgConnection,
    site_id: i32,
    rates: &[(String, NaiveDate, Decimal)],
) -> sqlx::Result<Vec<(String, NaiveDate)>> {
    let currencies: Vec<String> = rates.iter().map(|rate| rate.0.clone()).collect();
    let days: Vec<NaiveDate> = rates.iter().map(|rate| rate.1).collect();
    let values: Vec<Decimal> = rates.iter().map(|rate| rate.2).collect();
    let rows = sqlx::query!(
        "insert into exchange_rates (site_id, currency, day, rate)
        select $1, k.currency, k.day, k.rate from unnest($2::text[], $3::date[], $4::numeric[]) as k(currency, day, rate)
        order by k.currency, k.day
        on conflict (site_id, currency, day) do update set rate = excluded.rate where exchange_rates.rate <> excluded.rate
        returning currency, day",
        site_id,
        &currencies,
        &days,
        &values
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.currency, row.day)).collect())
}

/// The rates of some currencies between two days, both included.
pub async fn between(
    db: impl PgExecutor<'_>,
    site_id: i32,
    currencies: &[String],
    from: NaiveDate,
    to: NaiveDate,
) -> sqlx::Result<Vec<(String, NaiveDate, Decimal)>> {
    let rows = sqlx::query!(
        "select currency, day, rate from exchange_rates where site_id = $1 and currency = any($2) and day between $3 and $4",
        site_id,
        currencies,
        from,
        to
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.currency, row.day, row.rate)).collect())
}

/// A stored rate.
#[derive(Debug)]
pub struct Listed {
    /// ISO 4217.
    pub currency: String,
    /// The site's local day.
    pub day: NaiveDate,
    /// Units of the site's currency for one of `currency`.
    pub rate: Decimal,
    /// Rates without limit and offset.
    pub total_rows: i64,
}

/// A page (limit, offset) of a site's rates, the newest day first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    site_id: i32,
    currency: Option<&str>,
    (limit, offset): (i64, i64),
) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"select currency, day, rate, count(*) over () as "total_rows!" from exchange_rates
        where site_id = $1 and ($2::text is null or currency = $2) order by day desc, currency limit $3 offset $4"#,
        site_id,
        currency,
        limit,
        offset
    )
    .fetch_all(db)
    .await
}

/// Deletes the rates of a currency for some local days, both included, and answers which there were.
///
/// # Errors
/// The database's.
pub async fn delete(
    db: impl PgExecutor<'_>,
    site_id: i32,
    currency: &str,
    (from, to): (NaiveDate, NaiveDate),
) -> sqlx::Result<Vec<(String, NaiveDate)>> {
    let rows = sqlx::query!(
        "delete from exchange_rates where site_id = $1 and currency = $2 and day between $3 and $4 returning currency, day",
        site_id,
        currency,
        from,
        to
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.currency, row.day)).collect())
}

/// Forgets a site's rates: they were in units of a currency that it does not count in any more.
///
/// # Errors
/// The database's.
pub async fn delete_all(db: impl sqlx::PgExecutor<'_>, site_id: i32) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from exchange_rates where site_id = $1", site_id)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
