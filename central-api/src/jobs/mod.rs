//! Work that is due now and then. One process at a time does it, whoever asks: this process's timer, another's, or the worker's cron.
//!
//! A job has a period; the clock cut into periods gives slots; a slot is done once. Asking again in the same slot does nothing, a job that
//! failed is tried again at the next asking, and slots that passed while nobody asked are made up for by one run.

pub mod link_orders;
mod partitions;
mod retention;

use std::pin::Pin;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Connection;

use crate::db::jobs;
use crate::state::AppState;

type Outcome = Pin<Box<dyn Future<Output = anyhow::Result<String>> + Send>>;

/// One kind of work.
pub struct Job {
    /// As stored and as shown.
    pub name: &'static str,
    /// Length of a slot, in seconds.
    pub every_seconds: i64,
    /// Does the work as of the time given, and says in a few words what it did. Must bear being interrupted and run again.
    pub run: fn(AppState, DateTime<Utc>) -> Outcome,
}

/// Every job, in the order they run in.
pub static JOBS: &[Job] = &[
    Job {
        name: "partitions",
        every_seconds: 3_600,
        run: |state, now| Box::pin(partitions::run(state, now)),
    },
    Job {
        name: "retention",
        every_seconds: 86_400,
        run: |state, now| Box::pin(retention::run(state, now)),
    },
];

/// What became of a job that was due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Ran {
    /// Its name.
    pub job: String,
    /// Whether it succeeded; one that did not is tried again at the next asking.
    pub ok: bool,
    /// What it did. Why it failed is in the log alone.
    pub outcome: String,
}

/// Any fixed number: one process at a time runs jobs.
const LOCK: i64 = 0x7564_6a6f_6273;

/// Runs what is due at `now`; `None` when another process is at it.
///
/// # Errors
/// The database's; a failed job is not an error but an outcome.
pub async fn run_due(state: &AppState, now: DateTime<Utc>) -> sqlx::Result<Option<Vec<Ran>>> {
    // The lock belongs to the connection: one taken out of the pool and closed at the end, so that it cannot stay locked.
    let mut connection = state.pool.acquire().await?.detach();
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "ours!""#, LOCK)
        .fetch_one(&mut connection)
        .await?;
    let mut ran = Vec::new();
    if ours {
        for job in JOBS {
            let slot = slot(job.every_seconds, now);
            if jobs::done_slot(&mut connection, job.name)
                .await?
                .is_some_and(|done| is_done(slot, done))
            {
                continue;
            }
            let result = (job.run)(state.clone(), now).await;
            let done = result.as_ref().ok().map(|_| slot);
            let outcome = match &result {
                Ok(outcome) => outcome.clone(),
                Err(error) => format!("{error:#}"),
            };
            jobs::record(&mut connection, job.name, now, done, result.is_ok(), &outcome).await?;
            metrics::counter!("ud_jobs_total", "job" => job.name, "ok" => result.is_ok().to_string()).increment(1);
            match result {
                Ok(outcome) => {
                    tracing::info!(job = job.name, outcome, "job done");
                    ran.push(Ran {
                        job: job.name.into(),
                        ok: true,
                        outcome,
                    });
                }
                Err(error) => {
                    tracing::error!(
                        job = job.name,
                        error = format!("{error:#}"),
                        "job failed; it is tried again"
                    );
                    let outcome = "failed; see the log".into();
                    ran.push(Ran {
                        job: job.name.into(),
                        ok: false,
                        outcome,
                    });
                }
            }
        }
    }
    connection.close().await?;
    Ok(ours.then_some(ran))
}

/// Whether a slot needs no run when `done` is the last that was. One ahead is another process's clock; one further ahead is a clock that was
/// wrong, and waiting for its time would leave the job undone until then.
fn is_done(slot: i64, done: i64) -> bool {
    (slot..=slot + 1).contains(&done)
}

/// Number of the slot that `now` lies in, counted from 1970.
fn slot(every_seconds: i64, now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(every_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_begins_at_its_period_s_edge_also_before_1970() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(slot(3_600, at("1970-01-01T01:00:00Z")), 1);
        assert_eq!(slot(3_600, at("1970-01-01T01:59:59Z")), 1);
        assert_eq!(slot(86_400, at("1969-12-31T23:59:59Z")), -1);
    }

    #[test]
    fn names_of_jobs_are_unique() {
        let mut names: Vec<_> = JOBS.iter().map(|job| job.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), JOBS.len());
    }
}
