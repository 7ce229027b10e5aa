//! `central-api revoke-key`

use anyhow::bail;

use super::output::say;
use super::with_state;
use crate::config::Config;
use crate::db::{api_keys, ingest_keys};

/// Which key.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `list-keys` shows it.
    key_id: String,
}

/// Revokes the key, of whichever kind.
///
/// # Errors
/// There is no live key with this id.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    with_state(config, async |state| {
        let now = state.clock.now();
        let revoked = api_keys::revoke(&state.pool, &args.key_id, now).await?
            || ingest_keys::revoke(&state.pool, &args.key_id, now).await?;
        if !revoked {
            bail!(
                "there is no live key {}; `central-api list-keys` shows them",
                args.key_id
            );
        }
        say!(
            "Key {} revoked; running processes refuse it within 5 seconds.",
            args.key_id
        );
        Ok(())
    })
    .await
}
