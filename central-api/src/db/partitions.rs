//! Monthly partitions of `events` and `anonymous_hits`.

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

/// Tables that are partitioned by month on `minted_at`.
pub const TABLES: [&str; 2] = ["events", "anonymous_hits"];

/// Any fixed number: one process at a time makes partitions.
const LOCK: i64 = 0x7564_7061_7274;

/// Makes sure that every month from `from` to `to`, both included, has its partition. Several processes may call it at once;
/// what is there already costs one look-up. Answers how many partitions were made.
///
/// # Errors
/// The database's.
pub async fn ensure_months(pool: &PgPool, from: DateTime<Utc>, to: DateTime<Utc>) -> sqlx::Result<usize> {
    let months: Vec<NaiveDate> = months_between(from, to);
    let wanted: Vec<(&str, NaiveDate, String)> = TABLES
        .iter()
        .flat_map(|table| months.iter().map(move |month| (*table, *month, name(table, *month))))
        .collect();
    let names: Vec<String> = wanted.iter().map(|(_, _, name)| name.clone()).collect();
    let mut db = pool.acquire().await?;
    if missing(&mut db, &names).await?.is_empty() {
        return Ok(0);
    }
    let mut tx = pool.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK)
        .execute(&mut *tx)
        .await?;
    let missing = missing(&mut tx, &names).await?;
    for (table, month, name) in wanted.iter().filter(|(_, _, name)| missing.contains(name)) {
        let next = *month + Months::new(1);
        // Bounds with a zone: the server's zone must not decide where a month begins.
        sqlx::query(AssertSqlSafe(format!(
            "create table {name} partition of {table} for values from ('{month} 00:00+00') to ('{next} 00:00+00')"
        )))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(missing.len())
}

async fn missing(db: &mut PgConnection, names: &[String]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"select name as "name!" from unnest($1::text[]) as name where to_regclass(name) is null"#,
        names
    )
    .fetch_all(db)
    .await
}

fn name(table: &str, month: NaiveDate) -> String {
    format!("{table}_{:04}_{:02}", month.year(), month.month())
}

/// First days of the months that hold `from`, `to` and everything between (UTC).
fn months_between(from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<NaiveDate> {
    let first = from.date_naive().with_day(1).unwrap_or_default();
    std::iter::successors(Some(first), |month| month.checked_add_months(Months::new(1)))
        .take_while(|month| *month <= to.date_naive())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn months_include_both_ends_and_cross_the_year() {
        let months = months_between(at("2026-11-30T23:59:59Z"), at("2027-01-01T00:00:00Z"));
        assert_eq!(
            months.iter().map(|m| name("events", *m)).collect::<Vec<_>>(),
            ["events_2026_11", "events_2026_12", "events_2027_01"]
        );
        assert!(months_between(at("2026-11-30T00:00:00Z"), at("2026-10-01T00:00:00Z")).is_empty());
    }
}
