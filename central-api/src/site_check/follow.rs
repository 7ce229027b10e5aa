//! Looking for the event of a test visit.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::db::site_check;
use crate::state::AppState;

/// How long the event may take.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The worker's clock may be behind.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// As what the event is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// In a session.
    Session,
    /// Counted only.
    Anonymous {
        /// The edge took it for a machine's.
        machine: bool,
    },
}

/// Why there is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Nothing came.
    Nothing,
    /// It came and was refused.
    Refused {
        /// Machine-readable reason.
        code: String,
        /// Sentence that names the field.
        message: String,
    },
    /// Nobody knows: the database does not answer.
    Database,
}

/// Waits for the event. `first_id` is a UUIDv7 from before the visit.
pub async fn arrival(
    state: &AppState,
    site_id: i32,
    campaign: &str,
    start: DateTime<Utc>,
    first_id: Uuid,
) -> Result<Arrival, Missing> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = look(state, site_id, campaign, start, first_id).await;
        match found {
            Ok(Some(arrival)) => return Ok(arrival),
            Ok(None) if tokio::time::Instant::now() < until => tokio::time::sleep(LOOK_EVERY).await,
            Ok(None) => {
                let refused = site_check::dead_letter(&state.pool, site_id, campaign, start - SKEW).await;
                return Err(match refused {
                    Ok(Some((code, message))) => Missing::Refused { code, message },
                    Ok(None) => Missing::Nothing,
                    Err(_) => Missing::Database,
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a test visit could not be looked for");
                return Err(Missing::Database);
            }
        }
    }
}

async fn look(
    state: &AppState,
    site_id: i32,
    campaign: &str,
    start: DateTime<Utc>,
    first_id: Uuid,
) -> sqlx::Result<Option<Arrival>> {
    if site_check::session(&state.pool, site_id, campaign, start - SKEW).await? {
        return Ok(Some(Arrival::Session));
    }
    let hit = site_check::anonymous(&state.pool, site_id, campaign, start - SKEW, first_id).await?;
    Ok(hit.map(|consent| Arrival::Anonymous {
        machine: shared::event::Consent::Granted.code() == consent,
    }))
}

/// Whether reports see it too: they may be read from a replica.
pub async fn visible(state: &AppState, site_id: i32, campaign: &str, start: DateTime<Utc>, arrived: &Arrival) -> bool {
    if *arrived != Arrival::Session {
        return true;
    }
    for _ in 0..20 {
        match site_check::session(&state.read_pool, site_id, campaign, start - SKEW).await {
            Ok(true) => return true,
            Ok(false) => tokio::time::sleep(LOOK_EVERY).await,
            Err(_) => return false,
        }
    }
    false
}
