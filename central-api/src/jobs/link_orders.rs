//! Looks again at orders whose session was not here yet, or has changed since.
//!
//! Not one of [`super::JOBS`]: it runs every few seconds, and two processes at it would only share the work.

use crate::orders::store::refresh_due;
use crate::state::AppState;

/// One look at every site. Failures are logged: the next look is seconds away.
pub async fn run(state: AppState) {
    for site in state.sites.all() {
        match refresh_due(&state.pool, &site, state.clock.now()).await {
            Ok(0) => {}
            Ok(changed) => {
                metrics::counter!("ud_orders_relinked_total").increment(changed as u64);
                tracing::debug!(
                    site = site.key,
                    changed,
                    "orders were linked or changed with their sessions"
                );
            }
            Err(error) => tracing::warn!(site = site.key, %error, "orders were not looked at again"),
        }
    }
}
