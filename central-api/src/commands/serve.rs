//! `central-api serve`

use crate::config::Config;
use crate::installation::Installation;

/// Serves until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub async fn run(config: Config) -> anyhow::Result<()> {
    crate::serve::run(Installation::open(config).await?).await
}
