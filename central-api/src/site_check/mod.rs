//! "Is it working": a test visit through the deployed worker, followed hop by hop until it can be seen in reports.
//!
//! The visit looks like a person's, since anything else would be treated otherwise, and carries a source of its own by which the
//! centre takes it for a bot's: it is kept and in no figure.

mod address;
mod follow;
mod hop;
mod visit;

use std::time::Instant;

use serde::Serialize;
use shared::ids::uuid_v7;

pub use hop::Hop;
pub use visit::choose_cryptography;

use crate::secret::hex;
use crate::site::Site;
use crate::state::AppState;
use crate::worker_settings;

/// The source that marks a test visit. Its event is kept, taken for a bot's, and in no figure.
pub const TEST_SOURCE: &str = "ud-check";

/// What became of a test visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Report {
    /// Every hop worked.
    pub ok: bool,
    /// The address that was visited.
    pub url: String,
    /// In order; those after a failed one are not tried.
    pub hops: Vec<Hop>,
}

/// Visits the shop at `url` and follows the visit.
pub async fn run(state: &AppState, site: &Site, url: &str) -> Report {
    let mut hops = Vec::new();
    walk(state, site, url, &mut hops).await;
    Report {
        ok: hops.len() == hop::NAMES.len() && hops.iter().all(|hop| hop.ok),
        url: url.to_owned(),
        hops,
    }
}

async fn walk(state: &AppState, site: &Site, url: &str, hops: &mut Vec<Hop>) -> Option<()> {
    let client = match visit::client(state.config.private_shops) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "no client for test visits");
            hops.push(Hop::worker(0, Err(hop::Problem::NotReached)));
            return None;
        }
    };
    let began = Instant::now();
    let worker = visit::worker(&client, url, &site.key).await;
    hops.push(Hop::worker(took(began), worker.clone()));
    let worker = worker.ok()?;

    let followed = worker_settings::served(site).version == worker.settings;
    let campaign = format!("check-{}", hex(&rand::random::<[u8; 8]>()));
    let start = state.clock.now();
    let began = Instant::now();
    let page = visit::page(&client, url, &site.domains, &campaign).await;
    hops.push(Hop::page(took(began), page));
    page.ok()?;

    let began = Instant::now();
    let first_id = uuid_v7(start.timestamp_millis() - 60_000, [0; 10]);
    let arrived = follow::arrival(state, site.id, &campaign, start, first_id).await;
    let counters = match &arrived {
        Err(_) => visit::worker(&client, url, &site.key).await.ok(),
        Ok(_) => None,
    };
    hops.push(Hop::delivery(took(began), &arrived, &worker, counters.as_ref()));
    let arrived = arrived.ok()?;

    let began = Instant::now();
    let visible = follow::visible(state, site.id, &campaign, start, &arrived).await;
    hops.push(Hop::visible(took(began), visible, &arrived, followed));
    Some(())
}

fn took(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
