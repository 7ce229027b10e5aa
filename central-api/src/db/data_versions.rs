//! Table `data_versions`: whether an answer about a period that is over may still be used.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgExecutor;

/// Counts days (UTC) up whose sessions or orders changed; `days` are sorted, each once.
///
/// # Errors
/// The database's.
pub async fn bump(db: impl PgExecutor<'_>, site_id: i32, days: &[NaiveDate]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into data_versions (site_id, day) select $1, d.day from unnest($2::date[]) as d(day) order by d.day
         on conflict (site_id, day) do update set version = data_versions.version + 1",
        site_id,
        days
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Counts up what is of no day: ad spend, exchange rates, deletions. Every answer about the site is out of date.
///
/// # Errors
/// The database's.
pub async fn bump_all(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<()> {
    bump(db, site_id, &[NaiveDate::default()]).await
}

/// The version of everything that happened before `end`; none while changes to it wait to be summed up, which takes seconds to minutes.
///
/// # Errors
/// The database's.
pub async fn before(db: impl PgExecutor<'_>, site_id: i32, end: DateTime<Utc>) -> sqlx::Result<Option<i64>> {
    // One statement, one snapshot: a change stands as a mark, as a dirty hour, or in the version.
    let row = sqlx::query!(
        r#"select (select coalesce(sum(version), 0)::bigint from data_versions where site_id = $1 and day <= $3) as "version!",
            exists (select 1 from rollup_dirty where site_id = $1 and hour < $2)
            or exists (select 1 from rollup_marks where site_id = $1 and hour < $2) as "changing!""#,
        site_id,
        end,
        end.date_naive()
    )
    .fetch_one(db)
    .await?;
    Ok((!row.changing).then_some(row.version))
}
