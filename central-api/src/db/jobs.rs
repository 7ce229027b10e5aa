//! Table `jobs`: which slot of each job is done, and how the last run went.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// The latest slot that is done; `None` when the job never succeeded.
///
/// # Errors
/// The database's.
pub async fn done_slot(db: impl PgExecutor<'_>, job: &str) -> sqlx::Result<Option<i64>> {
    let slot = sqlx::query_scalar!("select done_slot from jobs where job_name = $1", job)
        .fetch_optional(db)
        .await?;
    Ok(slot.flatten())
}

/// Writes down a run; `done` is the slot it finished, if it did.
///
/// # Errors
/// The database's.
pub async fn record(
    db: impl PgExecutor<'_>,
    job: &str,
    ran_at: DateTime<Utc>,
    done: Option<i64>,
    ok: bool,
    outcome: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into jobs (job_name, ran_at, done_slot, ok, outcome) values ($1, $2, $3, $4, $5)
         on conflict (job_name) do update set
           ran_at = excluded.ran_at, done_slot = coalesce(excluded.done_slot, jobs.done_slot), ok = excluded.ok, outcome = excluded.outcome",
        job,
        ran_at,
        done,
        ok,
        outcome,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How the last run of a job went.
pub struct LastRun {
    /// Its name.
    pub job_name: String,
    /// When it began.
    pub ran_at: DateTime<Utc>,
    /// Whether it succeeded.
    pub ok: bool,
    /// What it did, or why it failed.
    pub outcome: String,
}

/// The last run of every job, by name.
///
/// # Errors
/// The database's.
pub async fn last_runs(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<LastRun>> {
    sqlx::query_as!(
        LastRun,
        "select job_name, ran_at, ok, outcome from jobs order by job_name"
    )
    .fetch_all(db)
    .await
}
