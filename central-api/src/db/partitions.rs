//! Monthly partitions of `events` and `anonymous_hits`.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime, Utc};
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
    lock(&mut tx).await?;
    let missing = missing(&mut tx, &names).await?;
    for (table, month, name) in wanted.iter().filter(|(_, _, name)| missing.contains(name)) {
        let (from, to) = bounds(*month);
        // Not made as a partition: that would wait for whoever reads the table, a backup for one, and every new row would wait behind it.
        for statement in [
            format!("create table {name} (like {table} including all)"),
            format!("alter table {table} attach partition {name} for values from ('{from}') to ('{to}')"),
        ] {
            execute(&mut tx, statement).await?;
        }
    }
    tx.commit().await?;
    Ok(missing.len())
}

/// A month of `events` that is filled beside the table, without a key, and becomes its partition when it is whole: a key that is made of
/// all rows costs a fraction of one that grows by rows in no order. What a process that died leaves behind belongs to nothing.
#[derive(Debug, Clone)]
pub struct Filling {
    month: NaiveDate,
    /// Name of the table that rows go to.
    pub table: String,
}

impl Filling {
    /// When its month begins and ends, UTC.
    pub fn bounds(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        (midnight(self.month), midnight(self.month + Months::new(1)))
    }
}

/// Begins to fill the months of `events` from `from` to `to`, both included. None if there is an event in one of them, of any site: then
/// rows have to go to the table itself.
///
/// # Errors
/// The database's.
pub async fn begin_filling(
    pool: &PgPool,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<Option<Vec<Filling>>> {
    let months = months_between(from, to);
    let first = months.first().map(|month| month.and_time(NaiveTime::MIN).and_utc());
    let mut tx = pool.begin().await?;
    lock(&mut tx).await?;
    let filled = sqlx::query_scalar!(
        r#"select exists (select from events where minted_at >= $1) as "filled!""#,
        first
    )
    .fetch_one(&mut *tx)
    .await?;
    if filled {
        return Ok(None);
    }
    let mut fillings = Vec::new();
    for month in months {
        let table = format!("{}_filling", name("events", month));
        let (from, to) = bounds(month);
        execute(&mut tx, format!("drop table if exists {table}")).await?;
        // With the bounds checked row by row, nothing has to be read again when it becomes a partition.
        execute(
            &mut tx,
            format!(
                "create table {table} (like events including defaults, check (minted_at >= '{from}' and minted_at < '{to}'))"
            ),
        )
        .await?;
        fillings.push(Filling { month, table });
    }
    tx.commit().await?;
    Ok(Some(fillings))
}

/// Gives a filled month its key and makes it the partition in place of the empty one. Events that came in meanwhile stay.
///
/// # Errors
/// The database's; then the month's rows are not among the events.
pub async fn end_filling(pool: &PgPool, filling: &Filling) -> sqlx::Result<()> {
    let (table, name) = (&filling.table, name("events", filling.month));
    let (from, to) = bounds(filling.month);
    let mut tx = pool.begin().await?;
    // It is sorted in memory as far as that goes.
    execute(&mut tx, "set local maintenance_work_mem = '256MB'".to_owned()).await?;
    execute(
        &mut tx,
        format!(
            "alter table {table} add constraint {table}_pkey primary key (site_id, visitor_id, event_id, minted_at)"
        ),
    )
    .await?;
    tx.commit().await?;

    let mut tx = pool.begin().await?;
    lock(&mut tx).await?;
    // Whoever writes an event meanwhile waits a moment, as for any new partition.
    execute(&mut tx, format!("lock table events, {name} in access exclusive mode")).await?;
    execute(&mut tx, format!("insert into {table} select * from {name}")).await?;
    for statement in [
        format!("drop table {name}"),
        format!("alter table {table} rename to {name}"),
        format!("alter table {name} rename constraint {table}_pkey to {name}_pkey"),
        format!("alter table events attach partition {name} for values from ('{from}') to ('{to}')"),
        format!("alter table {name} drop constraint {table}_minted_at_check"),
    ] {
        execute(&mut tx, statement).await?;
    }
    tx.commit().await
}

async fn lock(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK)
        .execute(db)
        .await?;
    Ok(())
}

async fn execute(db: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(db).await?;
    Ok(())
}

/// Bounds of a month, with a zone: the server's must not decide where it begins.
fn bounds(month: NaiveDate) -> (String, String) {
    let at = |day: NaiveDate| format!("{day} 00:00+00");
    (at(month), at(month + Months::new(1)))
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
