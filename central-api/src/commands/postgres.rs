//! `central-api postgres`

use std::path::PathBuf;

use super::output::say;
use crate::config::Config;
use crate::postgres::Cluster;
use crate::serve::stop_signal;

/// Where it is kept.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Data directory; the configured one when absent.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
}

/// Runs the embedded Postgres in the foreground. The one line on standard output comes when it takes connections.
///
/// # Errors
/// What kept it from starting.
pub async fn run(mut config: Config, args: Args) -> anyhow::Result<()> {
    config.data_dir = args.data_dir.unwrap_or(config.data_dir);
    let cluster = Cluster::open(&config).await?;
    say!("DATABASE_URL={}", cluster.url().expose());
    let mut look = tokio::time::interval(std::time::Duration::from_millis(500));
    let stop = stop_signal();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            signal = &mut stop => {
                signal?;
                break;
            }
            _ = look.tick() => {
                cluster.revive().await?;
            }
        }
    }
    cluster.close().await?;
    Ok(())
}
