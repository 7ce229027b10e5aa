//! Makes the months that events will fall into, ahead of time.

use chrono::{DateTime, TimeDelta, Utc};
use shared::limits::{MAX_CLOCK_AHEAD_MS, MAX_EVENT_AGE_MS};

use crate::db::partitions;
use crate::state::AppState;

/// So far ahead, a month of nobody running this job goes unnoticed.
const AHEAD: TimeDelta = TimeDelta::days(62);

/// From the oldest event that ingest takes to well ahead of now.
pub(super) async fn run(state: AppState, now: DateTime<Utc>) -> anyhow::Result<String> {
    let from = now - TimeDelta::milliseconds(MAX_EVENT_AGE_MS);
    let to = now + AHEAD + TimeDelta::milliseconds(MAX_CLOCK_AHEAD_MS);
    let made = partitions::ensure_months(&state.pool, from, to).await?;
    Ok(format!("{made} tables made"))
}
