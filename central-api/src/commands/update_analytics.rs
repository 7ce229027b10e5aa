//! `central-api update-analytics`

use std::cell::Cell;

use chrono::NaiveDate;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::say;
use super::{in_order, the_site, with_state};
use crate::business::upkeep::{self, Rules, Stage, Standing};
use crate::config::Config;

/// What to make anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Key of the site; the only one when absent.
    #[arg(long)]
    site: Option<String>,
    /// One local day (YYYY-MM-DD).
    #[arg(long, conflicts_with_all = ["from", "to"])]
    date: Option<NaiveDate>,
    /// First local day of a range.
    #[arg(long, requires = "to")]
    from: Option<NaiveDate>,
    /// Last local day of the range, included.
    #[arg(long, requires = "from")]
    to: Option<NaiveDate>,
}

/// Makes a range of days anew, or without one everything, while the system runs.
///
/// # Errors
/// The range is empty; the database's.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    in_order(args.from, args.to)?;
    with_state(config, async |state| {
        let site = the_site(state, args.site.as_deref())?;
        let (pool, secret, now) = (&state.pool, &state.config.secret, state.clock.now());
        let range = args.date.map(|day| (day, day)).or(args.from.zip(args.to));
        let standing = upkeep::standing(pool, site.id, &Rules::of(secret, &site)).await?;
        match range {
            Some((first, last)) if standing == Standing::Built => {
                let days = (last - first).num_days().unsigned_abs() + 1;
                let style = ProgressStyle::with_template("{msg} {bar:40} {human_pos}/{human_len} ({eta} left)")?;
                let bar = ProgressBar::new(days).with_style(style).with_message("days");
                let corrected =
                    upkeep::rebuild_days(pool, secret, &site, (first, last), |done| bar.set_position(done)).await?;
                bar.finish_and_clear();
                say!("{days} days made anew; {corrected} orders were not as they should be.");
            }
            _ => {
                if range.is_some() {
                    say!(
                        "The figures of site {} are made for the first time, so all days are.",
                        site.key
                    );
                }
                let bar = ProgressBar::new_spinner();
                let customers = Cell::new(0);
                upkeep::rebuild(pool, secret, &site, now, |stage| match stage {
                    Stage::Customers => bar.set_message("joining customers"),
                    Stage::Facts => bar.set_message("reading orders"),
                    Stage::Metrics(done) => {
                        customers.set(done);
                        bar.set_message(format!("customers: {done}"));
                    }
                    Stage::Days => bar.set_message("summing up days"),
                })
                .await?;
                bar.finish_and_clear();
                say!("Everything made anew: {} customers with a purchase.", customers.get());
            }
        }
        Ok(())
    })
    .await
}
