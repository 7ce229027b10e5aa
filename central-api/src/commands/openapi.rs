//! `central-api openapi`

use super::output::say;
use crate::config::Config;

/// Prints the API's description as JSON; no database is needed.
///
/// # Errors
/// None that a build which starts could meet: the description is plain data.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let api = crate::router::description(config);
    say!("{}", serde_json::to_string_pretty(&api)?);
    Ok(())
}
