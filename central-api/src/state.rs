//! What every handler shares.

use std::sync::Arc;

use sqlx::PgPool;

use crate::clock::Clock;
use crate::config::Config;
use crate::site::Sites;

/// Shared by all requests; clones are cheap.
#[derive(Debug, Clone)]
pub struct AppState {
    /// Configuration as read at start.
    pub config: Arc<Config>,
    /// Connections that write.
    pub pool: PgPool,
    /// Connections that read reports: few, with a statement timeout, possibly on a replica.
    pub read_pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Every site.
    pub sites: Sites,
}
