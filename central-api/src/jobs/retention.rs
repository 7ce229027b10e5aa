//! Deletes what is older than each site keeps.

use anyhow::Context;
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgPool};

use crate::db::{admin_sessions, data_versions, report_runs, retention, sites, user_agents};
use crate::state::AppState;

/// Sessions of the panel are kept this long after their end, for whoever asks who was logged in.
const ENDED_SESSIONS: TimeDelta = TimeDelta::days(30);

/// The record of reports by e-mail, with addresses, is kept this long.
const REPORT_RUNS: TimeDelta = TimeDelta::days(400);

/// Whole months that no site keeps are dropped, which costs nothing; the rest is deleted site by site.
pub(super) async fn run(state: AppState, now: DateTime<Utc>) -> anyhow::Result<String> {
    // As they are stored: what is deleted by a setting that this process has not read yet does not come back.
    let sites = sites::all(&state.pool).await?;
    let cutoffs: Vec<_> = sites
        .iter()
        .map(|site| (site.id, now - TimeDelta::days(i64::from(site.settings.retention_days))))
        .collect();
    let (mut dropped, mut rows) = (0, 0);
    if let Some(oldest) = cutoffs.iter().map(|(_, cutoff)| *cutoff).min() {
        for partition in retention::partitions(&state.pool).await? {
            if ends_before(&partition, oldest) {
                let waits =
                    || format!("deleting {partition}, which waits for whoever reads the events, such as a backup");
                drop_month(&state.pool, &partition).await.with_context(waits)?;
                dropped += 1;
            }
        }
        rows += user_agents::delete_before(&state.pool, oldest).await?;
    }
    for (site_id, cutoff) in cutoffs {
        let deleted = retention::delete_before(&state.pool, site_id, cutoff).await?;
        if deleted > 0 {
            data_versions::bump_all(&state.pool, site_id).await?;
        }
        rows += deleted;
    }
    let sessions = admin_sessions::delete_ended(&state.pool, now - ENDED_SESSIONS).await?;
    report_runs::delete_before(&state.pool, now - REPORT_RUNS).await?;
    Ok(format!(
        "{dropped} months dropped, {rows} rows deleted, {sessions} ended logins forgotten"
    ))
}

/// Deletes a month, unless somebody reads the table for long: every new row would wait behind the deletion.
async fn drop_month(pool: &PgPool, partition: &str) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query("set local lock_timeout = '1s'").execute(&mut *tx).await?;
    // The name is the database's own and has nothing but letters, digits and underscores, as `ends_before` checked.
    sqlx::query(AssertSqlSafe(format!("drop table {partition}")))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Whether a partition named `<table>_<year>_<month>` lies wholly before a time.
fn ends_before(partition: &str, time: DateTime<Utc>) -> bool {
    let month = || -> Option<NaiveDate> {
        if !partition
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            return None;
        }
        let (rest, month) = partition.rsplit_once('_')?;
        let (_, year) = rest.rsplit_once('_')?;
        NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1)
    };
    // The month after it begins where this one ends, so a month that is earlier than the time's own has ended.
    month().is_some_and(|month| (month.year(), month.month()) < (time.year(), time.month()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_month_that_is_wholly_past_may_be_dropped() {
        let time = "2026-03-01T00:00:00Z".parse().unwrap();
        for (partition, old) in [
            ("events_2026_02", true),
            ("anonymous_hits_2025_12", true),
            ("events_2026_03", false),
            ("events_2027_01", false),
            ("events_default", false),
            ("events", false),
            ("events_2026_13", false),
            ("events; drop table sites; --_2020_01", false),
        ] {
            assert_eq!(ends_before(partition, time), old, "{partition}");
        }
    }
}
