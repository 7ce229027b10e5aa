//! Everything that is summed up of a site, brought up to date with a bar each: after an import, a rebuild, demo data.

use std::future::ready;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output::say;
use crate::business;
use crate::rollup::{cohorts, collect, upkeep};
use crate::site::Site;
use crate::state::AppState;

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Hours summed up.
    pub hours: usize,
    /// Visitors put into cohorts.
    pub visitors: usize,
}

/// Sums up every closed hour that is dirty, of any site, and every visitor of this one who is, beside one another; where `with_business`, the
/// figures of customers and days as well. `from` and `until` are where the hours lie, for the bar.
///
/// # Errors
/// The database's; what was not done stays dirty.
pub async fn bring_up_to_date(
    state: &AppState,
    site: &Site,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    with_business: bool,
) -> anyhow::Result<Done> {
    let pool = &state.pool;
    // Before anything else: who puts visitors into cohorts does not wait for marks that whoever sums up hours is still moving.
    while collect::collect(pool, state.clock.now(), |_| ready(true))
        .await?
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let dirty = upkeep::dirty(pool, site.id, from, until).await?.len();
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{msg:20} {bar:40} {human_pos}/{human_len} ({eta} left)")?;
    let bar = ProgressBar::new(dirty as u64).with_style(style).with_message("hours");
    let hours = bars.add(bar);
    let style = ProgressStyle::with_template("{msg:20} {human_pos} ({per_sec})")?;
    let bar = ProgressBar::new_spinner().with_style(style).with_message("visitors");
    let visitors = bars.add(bar);
    let style = ProgressStyle::with_template("{msg}")?;
    let customers = with_business.then(|| bars.add(ProgressBar::new_spinner().with_style(style)));
    let say = |text: String| bars.suspend(|| say!("{text}"));
    let now = state.clock.now();
    let sum_up = async {
        let started = Instant::now();
        let done = upkeep::catch_up(pool, until, |done| hours.set_position(done as u64)).await?;
        hours.finish_and_clear();
        say(told(done, "hours summed up", started));
        anyhow::Ok(done)
    };
    let put_into_cohorts = async {
        let started = Instant::now();
        let done = cohorts::upkeep::catch_up(pool, site, now, |done| visitors.set_position(done as u64)).await?;
        visitors.finish_and_clear();
        say(told(done, "visitors put into cohorts", started));
        anyhow::Ok(done)
    };
    let know_customers = async {
        let Some(bar) = customers else { return Ok(()) };
        bar.set_message("customers");
        let started = Instant::now();
        let done = business::upkeep::catch_up(pool, &state.config.secret, site, now).await?;
        bar.finish_and_clear();
        say(match done {
            0 => format!(
                "Customers and business figures made in {:.1} s.",
                started.elapsed().as_secs_f64()
            ),
            done => told(done, "orders put into business figures", started),
        });
        anyhow::Ok(())
    };
    let (hours, visitors, ()) = tokio::try_join!(sum_up, put_into_cohorts, know_customers)?;
    Ok(Done { hours, visitors })
}

fn told(done: usize, what: &str, started: Instant) -> String {
    format!("{done} {what} in {:.1} s.", started.elapsed().as_secs_f64())
}
