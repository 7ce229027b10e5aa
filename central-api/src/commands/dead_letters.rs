//! `central-api dead-letters list|show|replay`

use anyhow::{Context, bail};
use clap::{ArgGroup, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{note, say};
use super::{the_site, with_state};
use crate::config::Config;
use crate::db::dead_letters::{self, DeadLetter, Wanted};
use crate::error::ApiError;
use crate::ingest::replay;
use crate::state::AppState;

/// Dead letters read at a time.
const PAGE: i64 = 500;

/// What to do with dead letters.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what was refused: number, site, kind, time, code, reason.
    List {
        /// Only of this site.
        #[arg(long, value_name = "KEY")]
        site: Option<String>,
        /// Only with this code.
        #[arg(long)]
        code: Option<String>,
        /// Those that a replay settled too.
        #[arg(long)]
        settled: bool,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
    /// Show one in full, as it came. It may hold personal data.
    Show {
        /// Its number.
        id: i64,
    },
    /// Send dead letters through the same door again. One that was accepted is left alone.
    #[command(group(ArgGroup::new("which").required(true).args(["id", "all", "code"])))]
    Replay {
        /// Only this one.
        #[arg(long, value_name = "NUMBER")]
        id: Option<i64>,
        /// Every one that no replay settled.
        #[arg(long)]
        all: bool,
        /// Every open one with this code.
        #[arg(long)]
        code: Option<String>,
        /// Only of this site.
        #[arg(long, value_name = "KEY")]
        site: Option<String>,
    },
}

/// Does what was asked for.
///
/// # Errors
/// There is no such site or dead letter, everything was refused again, or the database does not answer.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    with_state(config, async |state| match args.verb {
        Verb::List {
            site,
            code,
            settled,
            limit,
        } => list(state, site.as_deref(), code.as_deref(), settled, limit).await,
        Verb::Show { id } => show(state, id).await,
        Verb::Replay { id: Some(id), site, .. } => replay_one(state, id, site.as_deref()).await,
        Verb::Replay { code, site, .. } => replay_many(state, site.as_deref(), code.as_deref()).await,
    })
    .await
}

async fn by_id(state: &AppState, id: i64) -> anyhow::Result<DeadLetter> {
    dead_letters::by_id(&state.pool, id)
        .await?
        .with_context(|| format!("there is no dead letter {id}"))
}

fn site_id(state: &AppState, key: Option<&str>) -> anyhow::Result<Option<i32>> {
    key.map(|key| the_site(state, Some(key)).map(|site| site.id))
        .transpose()
}

async fn list(
    state: &AppState,
    site: Option<&str>,
    code: Option<&str>,
    settled: bool,
    limit: i64,
) -> anyhow::Result<()> {
    let wanted = Wanted {
        site_id: site_id(state, site)?,
        code,
        settled,
        after: 0,
    };
    let total = dead_letters::count(&state.pool, &wanted).await?;
    for letter in dead_letters::list(&state.pool, &wanted, limit).await? {
        let site = state
            .sites
            .by_id(letter.site_id)
            .map_or_else(|| letter.site_id.to_string(), |site| site.key.clone());
        let outcome = letter
            .replay_outcome
            .map_or_else(String::new, |outcome| format!(" (replayed: {outcome})"));
        say!(
            "{}\t{site}\t{}\t{}\t{}\t{}{outcome}",
            letter.id,
            letter.kind,
            letter.received_at.format("%Y-%m-%dT%H:%M:%SZ"),
            letter.code,
            letter.message
        );
    }
    if total > limit {
        note!("{limit} of {total}; --limit shows more");
    }
    Ok(())
}

async fn show(state: &AppState, id: i64) -> anyhow::Result<()> {
    let letter = by_id(state, id).await?;
    say!(
        "kind: {}\nreceived: {}\ncode: {}\nmessage: {}",
        letter.kind,
        letter.received_at,
        letter.code,
        letter.message
    );
    if let (Some(at), Some(outcome)) = (letter.replayed_at, letter.replay_outcome) {
        say!("replayed: {at}: {outcome}");
    }
    say!("\n{}", String::from_utf8_lossy(&letter.payload));
    Ok(())
}

async fn replay_one(state: &AppState, id: i64, site: Option<&str>) -> anyhow::Result<()> {
    let wanted = site_id(state, site)?;
    let letter = by_id(state, id).await?;
    if let (Some(site), Some(wanted)) = (site, wanted)
        && letter.site_id != wanted
    {
        bail!("dead letter {id} is not of site {site}");
    }
    let outcome = replay::replay(state, id).await?;
    say!("{id}: {outcome}");
    match dead_letters::settles(&outcome) {
        true => Ok(()),
        false => bail!("it was refused again; `central-api dead-letters show {id}` has what was sent"),
    }
}

async fn replay_many(state: &AppState, site: Option<&str>, code: Option<&str>) -> anyhow::Result<()> {
    let mut wanted = Wanted {
        site_id: site_id(state, site)?,
        code,
        settled: false,
        after: 0,
    };
    let total = dead_letters::count(&state.pool, &wanted).await?;
    let bar = ProgressBar::new(u64::try_from(total)?).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} dead letters, {eta} left").context("the bar's template")?,
    );
    let mut outcomes = std::collections::BTreeMap::<String, u64>::new();
    loop {
        let page = dead_letters::list(&state.pool, &wanted, PAGE).await?;
        let Some(last) = page.last() else { break };
        wanted.after = last.id;
        for letter in page {
            match replay::replay(state, letter.id).await {
                Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
                // Erased since it was listed.
                Err(ApiError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if outcomes.is_empty() {
        say!("there is nothing to replay");
    }
    for (outcome, count) in &outcomes {
        say!("{outcome}: {count}");
    }
    let again: u64 = outcomes
        .iter()
        .filter(|(outcome, _)| !dead_letters::settles(outcome))
        .map(|(_, count)| count)
        .sum();
    let all: u64 = outcomes.values().sum();
    match again {
        0 => Ok(()),
        // Something was done, and the rest is told.
        again if again < all => {
            say!("{again} of {all} were refused again and wait on.");
            Ok(())
        }
        again => bail!("all {again} were refused again and wait on"),
    }
}
