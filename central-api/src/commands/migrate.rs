//! `central-api migrate`

use super::output::say;
use crate::config::Config;
use crate::database;
use crate::installation::Installation;

/// Applies what migrations are missing.
///
/// # Errors
/// The migration that failed.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let installation = Installation::open(config).await?;
    let applied = database::migrate(&installation.options).await;
    installation.close().await?;
    match applied? {
        0 => say!("The database is up to date."),
        1 => say!("1 migration applied."),
        applied => say!("{applied} migrations applied."),
    }
    Ok(())
}
