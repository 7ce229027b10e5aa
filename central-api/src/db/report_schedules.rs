//! Tables `report_schedules` and `report_unsubscribes`.

use std::collections::BTreeMap;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

use crate::mail::plan::{Format, Plan, weekday};
use crate::mail::timing::{Frequency, Timing};
use crate::reports::filter::Filters;

/// A stored schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Number.
    pub id: i64,
    /// Whose figures.
    pub site_id: i32,
    /// What it says.
    pub plan: Plan,
    /// Slots up to here are not due.
    pub due_after: DateTime<Utc>,
    /// The latest slot that was claimed.
    pub last_slot: Option<DateTime<Utc>>,
    /// Recipients who want no more mails.
    pub unsubscribed: Vec<String>,
}

struct Row {
    schedule_id: i64,
    site_id: i32,
    name: String,
    frequency: String,
    weekday: Option<i16>,
    month_day: Option<i16>,
    hour: i16,
    time_zone: String,
    recipients: Vec<String>,
    format: String,
    attach_csv: bool,
    language: String,
    filters: Value,
    enabled: bool,
    due_after: DateTime<Utc>,
    last_slot: Option<DateTime<Utc>>,
    unsubscribed: Vec<String>,
}

impl TryFrom<Row> for Schedule {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        let id = row.schedule_id;
        let day = |day: Option<i16>| day.and_then(|day| u32::try_from(day).ok()).unwrap_or(1);
        Ok(Self {
            id,
            site_id: row.site_id,
            plan: Plan {
                name: row.name,
                timing: Timing {
                    frequency: match row.frequency.as_str() {
                        "weekly" => Frequency::Weekly(weekday(day(row.weekday))),
                        "monthly" => Frequency::Monthly(day(row.month_day)),
                        _ => Frequency::Daily,
                    },
                    hour: u32::try_from(row.hour).unwrap_or(0),
                    zone: row
                        .time_zone
                        .parse()
                        .ok()
                        .with_context(|| format!("schedule {id}: unknown time zone"))?,
                },
                recipients: row.recipients,
                format: Format::from_name(&row.format).unwrap_or(Format::Html),
                attach_csv: row.attach_csv,
                language: row.language,
                filters: read_filters(row.filters).with_context(|| format!("schedule {id}: filters"))?,
                enabled: row.enabled,
            },
            due_after: row.due_after,
            last_slot: row.last_slot,
            unsubscribed: row.unsubscribed,
        })
    }
}

/// Filters as they are stored.
///
/// # Errors
/// When they are not an object of lists, or name a dimension that is gone.
pub fn read_filters(stored: Value) -> anyhow::Result<Filters> {
    let values: BTreeMap<String, Vec<String>> = serde_json::from_value(stored)?;
    Ok(Filters::from_stored(&values)?)
}

/// Schedules of one site or of all, or the one with a number, by number.
///
/// # Errors
/// The database's, or a row that cannot be read (it is named).
pub async fn list(db: impl PgExecutor<'_>, site_id: Option<i32>, id: Option<i64>) -> anyhow::Result<Vec<Schedule>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select schedule_id, site_id, name, frequency, weekday, month_day, hour, time_zone, recipients, format, attach_csv, language,
            filters, enabled, due_after,
            (select max(slot_at) from report_runs r where r.schedule_id = s.schedule_id) as last_slot,
            array(select address from report_unsubscribes u where u.schedule_id = s.schedule_id order by address) as "unsubscribed!"
        from report_schedules s
        where ($1::integer is null or site_id = $1) and ($2::bigint is null or schedule_id = $2) order by schedule_id"#,
        site_id,
        id,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Schedule::try_from).collect()
}

/// Holds off every other change of a schedule until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "select 1 as one from report_schedules where schedule_id = $1 for update",
        id
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

/// Stores a new schedule and answers its number; slots after `now` are due.
///
/// # Errors
/// The database's.
pub async fn insert(db: impl PgExecutor<'_>, site_id: i32, plan: &Plan, now: DateTime<Utc>) -> anyhow::Result<i64> {
    let (weekday, month_day) = days(plan.timing.frequency);
    let id = sqlx::query_scalar!(
        "insert into report_schedules (site_id, name, frequency, weekday, month_day, hour, time_zone, recipients, format, attach_csv,
            language, filters, enabled, due_after, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) returning schedule_id",
        site_id,
        plan.name,
        plan.timing.frequency.name(),
        weekday,
        month_day,
        i16::try_from(plan.timing.hour)?,
        plan.timing.zone.name(),
        &plan.recipients,
        plan.format.name(),
        plan.attach_csv,
        plan.language,
        serde_json::to_value(&plan.filters)?,
        plan.enabled,
        now,
    )
    .fetch_one(db)
    .await?;
    Ok(id)
}

/// Replaces what a schedule says. Who is no longer in its list is no longer unsubscribed either. `due_after` moves only where it is given.
///
/// # Errors
/// The database's.
pub async fn update(
    db: &mut PgConnection,
    id: i64,
    plan: &Plan,
    due_after: Option<DateTime<Utc>>,
) -> anyhow::Result<()> {
    let (weekday, month_day) = days(plan.timing.frequency);
    sqlx::query!(
        "update report_schedules set name = $2, frequency = $3, weekday = $4, month_day = $5, hour = $6, time_zone = $7, recipients = $8,
            format = $9, attach_csv = $10, language = $11, filters = $12, enabled = $13, due_after = coalesce($14, due_after)
        where schedule_id = $1",
        id,
        plan.name,
        plan.timing.frequency.name(),
        weekday,
        month_day,
        i16::try_from(plan.timing.hour)?,
        plan.timing.zone.name(),
        &plan.recipients,
        plan.format.name(),
        plan.attach_csv,
        plan.language,
        serde_json::to_value(&plan.filters)?,
        plan.enabled,
        due_after,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "delete from report_unsubscribes where schedule_id = $1 and not address = any($2)",
        id,
        &plan.recipients
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Columns `weekday` and `month_day`.
fn days(frequency: Frequency) -> (Option<i16>, Option<i16>) {
    match frequency {
        Frequency::Daily => (None, None),
        Frequency::Weekly(weekday) => (i16::try_from(weekday.number_from_monday()).ok(), None),
        Frequency::Monthly(day) => (None, i16::try_from(day).ok()),
    }
}

/// Removes a schedule with its runs; false when there was none.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!("delete from report_schedules where schedule_id = $1", id)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes an address out of a schedule's mails.
///
/// # Errors
/// The database's.
pub async fn unsubscribe(db: impl PgExecutor<'_>, id: i64, address: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into report_unsubscribes (schedule_id, address, unsubscribed_at) values ($1, $2, $3) on conflict do nothing",
        id,
        address,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}
