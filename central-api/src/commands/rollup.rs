//! `central-api rollup verify|rebuild`

use anyhow::bail;
use chrono::{DateTime, Days, NaiveDate, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;

use super::output::say;
use super::{WrongArguments, in_order, sums, the_site, with_state};
use crate::config::Config;
use crate::reports::period::start_of_day;
use crate::rollup::{cohorts, upkeep};
use crate::site::Site;

/// What to do with the sums.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Compare the sums with the sessions; exit code 1 when an hour differs.
    Verify(Range),
    /// Make the sums anew from the sessions, while the system runs.
    Rebuild(Range),
}

#[derive(Debug, clap::Args)]
struct Range {
    /// Key of the site; the only one when absent.
    #[arg(long)]
    site: Option<String>,
    /// First local day (YYYY-MM-DD); the first there is when absent.
    #[arg(long)]
    from: Option<NaiveDate>,
    /// Last local day, included; today when absent.
    #[arg(long)]
    to: Option<NaiveDate>,
}

/// Does it, with a bar.
///
/// # Errors
/// The range is empty; the database's; or the sums differ.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    let (Command::Verify(range) | Command::Rebuild(range)) = &args.command;
    in_order(range.from, range.to)?;
    with_state(config, async |state| {
        let site = the_site(state, range.site.as_deref())?;
        let first = sqlx::query_scalar!("select min(first_seen) from sessions where site_id = $1", site.id)
            .fetch_one(&state.pool)
            .await?;
        let now = state.clock.now();
        let Some((from, to)) = period(range, &site, first, now) else {
            say!("Site {} has no sessions yet.", site.key);
            return Ok(());
        };
        if (range.from.is_some() || range.to.is_some()) && from >= to {
            // One end alone is given, and the other lies on its wrong side.
            return Err(WrongArguments(match range.from {
                Some(_) => "--from must not lie after today".into(),
                None => format!("--to lies before the first session of site {}", site.key),
            })
            .into());
        }
        let style = ProgressStyle::with_template("{msg} {bar:40} {human_pos}/{human_len} ({eta} left)")?;
        match args.command {
            Command::Verify(_) => {
                let bar = ProgressBar::new((to - from).num_days().max(1) as u64).with_style(style).with_message("days");
                let wrong = upkeep::verify(&state.pool, site.id, from, to, |_| bar.inc(1)).await?;
                bar.finish_and_clear();
                if let (Some(first), Some(last)) = (wrong.first(), wrong.last()) {
                    bail!(
                        "{} hours differ from the sessions, from {first} to {last}; `central-api rollup rebuild` makes them anew",
                        wrong.len()
                    );
                }
                say!("Every sum equals what the sessions say.");
                verify_cohorts(&state.pool, &site).await?;
            }
            Command::Rebuild(_) => {
                upkeep::mark_period(&state.pool, site.id, from, to).await?;
                cohorts::upkeep::forget(&state.pool, site.id).await?;
                sums::bring_up_to_date(state, &site, (from, now), false).await?;
                say!("Made anew; the hour that is open follows when it is over.");
            }
        }
        Ok(())
    })
    .await
}

async fn verify_cohorts(pool: &PgPool, site: &Site) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{msg} {human_pos} ({per_sec})")?;
    let bar = ProgressBar::new_spinner().with_style(style).with_message("visitors");
    let wrong = cohorts::verify::verify(pool, site, |done| bar.set_position(done)).await?;
    bar.finish_and_clear();
    match wrong {
        None => say!("Cohorts have not been made yet, or for another time zone: reports read the sessions."),
        Some(wrong) if wrong == cohorts::verify::Wrong::default() => {
            say!("Every cohort equals what the sessions say.")
        }
        Some(wrong) => bail!(
            "{} visitors and {} sums of cohorts differ from the sessions; `central-api rollup rebuild` makes them anew",
            wrong.visitors,
            wrong.sums
        ),
    }
    Ok(())
}

fn period(
    range: &Range,
    site: &Site,
    first: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let from = match range.from {
        Some(day) => start_of_day(day, site.time_zone),
        None => first?,
    };
    let to = range
        .to
        .map_or(now, |day| start_of_day(day + Days::new(1), site.time_zone));
    Some((from, to))
}
