//! Tables `report_runs` and `report_deliveries`: what was sent to whom, and what came of it.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::report_schedules::read_filters;
use crate::mail::plan::Format;
use crate::mail::timing::Covered;
use crate::reports::filter::Filters;

/// A report to be sent.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// The schedule, if one asked for it.
    pub schedule_id: Option<i64>,
    /// Whose figures.
    pub site_id: i32,
    /// `scheduled`, `manual` or `test`.
    pub kind: &'static str,
    /// When it was due, of a scheduled one.
    pub slot_at: Option<DateTime<Utc>>,
    /// As the subject says.
    pub covered: Covered,
    /// First local day; none: from the beginning.
    pub first_day: Option<NaiveDate>,
    /// Last local day.
    pub last_day: NaiveDate,
    /// The period ends at `created_at` rather than with its last day.
    pub until_now: bool,
    /// How it looks.
    pub format: Format,
    /// With tables.
    pub attach_csv: bool,
    /// `uk` or `en`.
    pub language: &'a str,
    /// Which sessions count.
    pub filters: &'a Filters,
    /// Only recorded: too late to be sent.
    pub missed: bool,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// Stores a run and answers its number; none when somebody else has claimed the slot.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, run: &NewRun<'_>) -> anyhow::Result<Option<i64>> {
    Ok(sqlx::query_scalar!(
        "insert into report_runs (schedule_id, site_id, kind, slot_at, period, first_day, last_day, format, attach_csv, language, filters,
            until_now, missed, created_at, try_after, finished_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::timestamptz, $14, case when $13 then $14::timestamptz end)
        on conflict (schedule_id, slot_at) do nothing returning run_id",
        run.schedule_id,
        run.site_id,
        run.kind,
        run.slot_at,
        run.covered.name(),
        run.first_day,
        run.last_day,
        run.format.name(),
        run.attach_csv,
        run.language,
        serde_json::to_value(run.filters)?,
        run.until_now,
        run.missed,
        run.created_at,
    )
    .fetch_optional(db)
    .await?)
}

/// Stores a run's recipients, those in `unsubscribed` as left out.
///
/// # Errors
/// The database's.
pub async fn insert_recipients(
    db: &mut PgConnection,
    run_id: i64,
    addresses: &[String],
    unsubscribed: &[String],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into report_deliveries (run_id, address, state, try_after, settled_at)
        select $1, a, case when a = any($3) then 'unsubscribed' else 'pending' end, $4::timestamptz, case when a = any($3) then $4::timestamptz end
        from unnest($2::text[]) a",
        run_id,
        addresses,
        unsubscribed,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A stored run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Number.
    pub id: i64,
    /// The schedule, if one asked for it.
    pub schedule_id: Option<i64>,
    /// Its name.
    pub schedule_name: Option<String>,
    /// Whose figures.
    pub site_id: i32,
    /// `scheduled`, `manual` or `test`.
    pub kind: String,
    /// When it was due.
    pub slot_at: Option<DateTime<Utc>>,
    /// As the subject says.
    pub covered: Covered,
    /// First local day.
    pub first_day: Option<NaiveDate>,
    /// Last local day.
    pub last_day: NaiveDate,
    /// The period ends at `created_at`.
    pub until_now: bool,
    /// How it looks.
    pub format: Format,
    /// With tables.
    pub attach_csv: bool,
    /// `uk` or `en`.
    pub language: String,
    /// Which sessions count.
    pub filters: Filters,
    /// Only recorded.
    pub missed: bool,
    /// When it was claimed or asked for.
    pub created_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub finished_at: Option<DateTime<Utc>>,
    /// How often in a row it could not be put together.
    pub failures: i16,
    /// Why.
    pub failure: Option<String>,
}

struct Row {
    run_id: i64,
    schedule_id: Option<i64>,
    schedule_name: Option<String>,
    site_id: i32,
    kind: String,
    slot_at: Option<DateTime<Utc>>,
    period: String,
    first_day: Option<NaiveDate>,
    last_day: NaiveDate,
    until_now: bool,
    format: String,
    attach_csv: bool,
    language: String,
    filters: Value,
    missed: bool,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    failures: i16,
    failure: Option<String>,
}

impl TryFrom<Row> for Run {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        Ok(Self {
            id: row.run_id,
            schedule_id: row.schedule_id,
            schedule_name: row.schedule_name,
            site_id: row.site_id,
            kind: row.kind,
            slot_at: row.slot_at,
            covered: Covered::from_name(&row.period).with_context(|| format!("run {}: period", row.run_id))?,
            first_day: row.first_day,
            last_day: row.last_day,
            until_now: row.until_now,
            format: Format::from_name(&row.format).with_context(|| format!("run {}: format", row.run_id))?,
            attach_csv: row.attach_csv,
            language: row.language,
            filters: read_filters(row.filters).with_context(|| format!("run {}: filters", row.run_id))?,
            missed: row.missed,
            created_at: row.created_at,
            finished_at: row.finished_at,
            failures: row.failures,
            failure: row.failure,
        })
    }
}

/// Runs of a site, of a schedule, or the one with a number; the latest first.
///
/// # Errors
/// The database's, or a row that cannot be read (it is named).
pub async fn list(
    db: impl PgExecutor<'_>,
    site_id: Option<i32>,
    schedule_id: Option<i64>,
    run_id: Option<i64>,
    limit: i64,
) -> anyhow::Result<Vec<Run>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select run_id, r.schedule_id, s.name as "schedule_name?", r.site_id, kind, slot_at, period, first_day, last_day, until_now,
            r.format, r.attach_csv, r.language, r.filters, missed, r.created_at, finished_at, failures, failure
        from report_runs r left join report_schedules s using (schedule_id)
        where ($1::integer is null or r.site_id = $1) and ($2::bigint is null or r.schedule_id = $2) and ($3::bigint is null or run_id = $3)
        order by run_id desc limit $4"#,
        site_id,
        schedule_id,
        run_id,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Run::try_from).collect()
}

/// Numbers of runs in which something is due, in order.
///
/// # Errors
/// The database's.
pub async fn due(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select run_id from report_runs where finished_at is null and try_after <= $1 order by run_id",
        now
    )
    .fetch_all(db)
    .await
}

/// A recipient's row.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The run's number.
    pub run_id: i64,
    /// To whom.
    pub address: String,
    /// See the migration.
    pub state: String,
    /// How often it was tried.
    pub attempts: i16,
    /// When it is tried next, while pending.
    pub try_after: DateTime<Utc>,
    /// When it was tried last.
    pub attempted_at: Option<DateTime<Utc>>,
    /// When its state became final.
    pub settled_at: Option<DateTime<Utc>>,
    /// What the server said, or why nothing is known.
    pub detail: Option<String>,
}

/// Recipients of runs, by run and address.
///
/// # Errors
/// The database's.
pub async fn deliveries(db: impl PgExecutor<'_>, run_ids: &[i64]) -> sqlx::Result<Vec<Delivery>> {
    sqlx::query_as!(
        Delivery,
        "select run_id, address, state, attempts, try_after, attempted_at, settled_at, detail
        from report_deliveries where run_id = any($1) order by run_id, address",
        run_ids
    )
    .fetch_all(db)
    .await
}

/// What whoever was at this run before left half done: nobody knows whether the server took it. To be called by who holds the run's lock.
///
/// # Errors
/// The database's.
pub async fn give_up_orphans(db: impl PgExecutor<'_>, run_id: i64, now: DateTime<Utc>, why: &str) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update report_deliveries set state = 'uncertain', settled_at = $2, detail = $3 where run_id = $1 and state = 'sending'",
        run_id,
        now,
        why,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Whoever wants no more mails of the schedule, or stands in its list no more, does not get those that wait either: a retry may come half
/// a day later. Nor does anybody while the schedule is off, but what somebody asks for by hand is sent. A test goes to whoever asked
/// for it. How many.
///
/// # Errors
/// The database's.
pub async fn leave_out(db: impl PgExecutor<'_>, run_id: i64, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "update report_deliveries d set state = case when k.left then 'unsubscribed' else 'withdrawn' end, settled_at = $2
        from (
            select w.address, u.address is not null as left
            from report_runs r
            join report_schedules s on s.schedule_id = r.schedule_id
            join report_deliveries w on w.run_id = r.run_id and w.state = 'pending'
            left join report_unsubscribes u on u.schedule_id = r.schedule_id and u.address = w.address
            where r.run_id = $1 and r.kind <> 'test'
                and (u.address is not null or w.address <> all(s.recipients) or (r.kind = 'scheduled' and not s.enabled))
        ) k
        where d.run_id = $1 and d.address = k.address and d.state = 'pending'",
        run_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// How many recipients wait for this moment.
///
/// # Errors
/// The database's.
pub async fn count_due(db: impl PgExecutor<'_>, run_id: i64, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from report_deliveries where run_id = $1 and state = 'pending' and try_after <= $2"#,
        run_id,
        now,
    )
    .fetch_one(db)
    .await
}

/// Takes one recipient who waits; it is `sending` from now on. Address and number of the attempt.
///
/// # Errors
/// The database's.
pub async fn take(db: impl PgExecutor<'_>, run_id: i64, now: DateTime<Utc>) -> sqlx::Result<Option<(String, i16)>> {
    let row = sqlx::query!(
        "update report_deliveries set state = 'sending', attempts = attempts + 1, attempted_at = $2, detail = null
        where run_id = $1 and address = (
            select address from report_deliveries where run_id = $1 and state = 'pending' and try_after <= $2
            order by address limit 1 for update skip locked)
        returning address, attempts",
        run_id,
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.address, row.attempts)))
}

/// Writes down what came of a recipient that was taken: a final state, or `pending` again until `try_after`.
///
/// # Errors
/// The database's.
pub async fn settle(
    db: impl PgExecutor<'_>,
    run_id: i64,
    address: &str,
    state: &str,
    detail: &str,
    now: DateTime<Utc>,
    try_after: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    // Also one that somebody took for orphaned meanwhile: who knows more is right.
    sqlx::query!(
        "update report_deliveries set state = $3, detail = $4, settled_at = case when $6::timestamptz is null then $5::timestamptz end,
            try_after = coalesce($6, try_after)
        where run_id = $1 and address = $2 and state in ('sending', 'uncertain')",
        run_id,
        address,
        state,
        detail,
        now,
        try_after,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Everybody who waits now counts an attempt and waits until a later time, or for good when the attempts are used up.
///
/// # Errors
/// The database's.
pub async fn postpone(
    db: impl PgExecutor<'_>,
    run_id: i64,
    now: DateTime<Utc>,
    detail: &str,
    try_after: &[DateTime<Utc>],
) -> sqlx::Result<()> {
    sqlx::query!(
        "update report_deliveries set attempts = attempts + 1, attempted_at = $2::timestamptz, detail = $3,
            state = case when attempts + 1 > cardinality($4::timestamptz[]) then 'failed' else state end,
            settled_at = case when attempts + 1 > cardinality($4::timestamptz[]) then $2::timestamptz end,
            try_after = coalesce(($4::timestamptz[])[attempts + 1], try_after)
        where run_id = $1 and state = 'pending' and try_after <= $2",
        run_id,
        now,
        detail,
        try_after,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A run's end, or when its next recipient is due. `failure` says why it could not be put together, if so.
///
/// # Errors
/// The database's.
pub async fn close(pool: &PgPool, run_id: i64, now: DateTime<Utc>, failure: Option<&str>) -> sqlx::Result<bool> {
    let mut tx = pool.begin().await?;
    // First, so that the statement after it sees what somebody who asked to send again put back meanwhile.
    sqlx::query!("select 1 as one from report_runs where run_id = $1 for update", run_id)
        .fetch_one(&mut *tx)
        .await?;
    let finished = sqlx::query_scalar!(
        r#"update report_runs r set finished_at = case when open.next is null then $2::timestamptz end, try_after = coalesce(open.next, r.try_after),
            failure = $3, failures = case when $3::text is null then 0 else failures + 1 end
        from (select min(try_after) as next from report_deliveries where run_id = $1 and state in ('pending', 'sending')) open
        where run_id = $1 returning finished_at is not null as "finished!""#,
        run_id,
        now,
        failure,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(finished)
}

/// Puts recipients of a run that failed or are uncertain back to be sent now, but those whom [`leave_out`] leaves out. How many.
///
/// # Errors
/// The database's.
pub async fn send_again(db: &mut PgConnection, run_id: i64, now: DateTime<Utc>) -> sqlx::Result<u64> {
    // Those who wait already are not among those that are put back.
    leave_out(&mut *db, run_id, now).await?;
    let done = sqlx::query!(
        "update report_deliveries set state = 'pending', attempts = 0, try_after = $2, settled_at = null
        where run_id = $1 and state in ('failed', 'uncertain')",
        run_id,
        now,
    )
    .execute(&mut *db)
    .await?;
    let left = leave_out(&mut *db, run_id, now).await?;
    sqlx::query!(
        "update report_runs set finished_at = null, try_after = $2, failures = 0 where run_id = $1",
        run_id,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() - left)
}

/// How many recipients the run before this one of the same schedule did not surely reach.
///
/// # Errors
/// The database's.
pub async fn failed_before(db: impl PgExecutor<'_>, schedule_id: i64, run_id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from report_deliveries where state in ('failed', 'uncertain') and run_id = (
            select max(run_id) from report_runs where schedule_id = $1 and run_id < $2 and kind = 'scheduled')"#,
        schedule_id,
        run_id,
    )
    .fetch_one(db)
    .await
}

/// Removes runs that began before a time. How many.
///
/// # Errors
/// The database's.
pub async fn delete_before(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!("delete from report_runs where created_at < $1", before)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}

/// Recipients of the last days whose mail failed or is uncertain, over all sites.
///
/// # Errors
/// The database's.
pub async fn count_failed_since(db: impl PgExecutor<'_>, since: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from report_deliveries d join report_runs r using (run_id)
        where r.created_at >= $1 and d.state in ('failed', 'uncertain')"#,
        since,
    )
    .fetch_one(db)
    .await
}
