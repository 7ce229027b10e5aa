//! `central-api doctor`

use std::time::Duration;

use anyhow::bail;

use super::output::say;
use crate::config::Config;
use crate::doctor::{self, Finding};
use crate::installation::Installation;

/// How long it waits for a database that is away: whoever asks what is wrong wants to be told.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is looked at beside everything.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also connect to the mail server and log in; nothing is sent.
    #[arg(long)]
    mail: bool,
}

/// Prints a line a check.
///
/// # Errors
/// When a check found something that keeps the installation from working.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    let installation = Installation::open_existing(config, PATIENCE).await?;
    let findings = doctor::examine(&installation, args.mail).await;
    installation.close().await?;
    let mut bad = 0;
    for Finding { check, verdict } in &findings? {
        match verdict {
            doctor::Verdict::Fine(says) => say!("ok      {check}: {says}"),
            doctor::Verdict::Notice(says, fix) => say!("notice  {check}: {says} {fix}"),
            doctor::Verdict::Bad(says, fix) => {
                bad += 1;
                say!("PROBLEM {check}: {says} {fix}");
            }
        }
    }
    match bad {
        0 => Ok(()),
        1 => bail!("1 problem"),
        bad => bail!("{bad} problems"),
    }
}
