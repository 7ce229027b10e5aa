//! `central-api demo-data`

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};

use super::output::say;
use super::{sums, the_site, with_state};
use crate::config::Config;
use crate::demo::{self, DemoOptions};

/// How much to invent.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Key of the site; the only one when absent. It must have no session yet.
    #[arg(long)]
    site: Option<String>,
    /// Sessions, with about 5 events each.
    #[arg(long, default_value_t = 100_000)]
    sessions: u64,
    /// Orders; a tenth of the sessions when absent.
    #[arg(long)]
    orders: Option<u64>,
    /// Days that they are spread over.
    #[arg(long, default_value_t = 395, value_parser = clap::value_parser!(u16).range(1..=1500))]
    days: u16,
    /// End of the data, RFC 3339; now when absent.
    #[arg(long)]
    until: Option<DateTime<Utc>>,
    /// The same seed, numbers and end give the same data.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Makes and stores the data, then its sums.
///
/// # Errors
/// The site is not empty, or the database's.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    with_state(config, async |state| {
        let site = the_site(state, args.site.as_deref())?;
        let until = args.until.unwrap_or_else(|| state.clock.now());
        let options = DemoOptions {
            sessions: args.sessions,
            orders: args.orders.unwrap_or(args.sessions / 10),
            days: args.days,
            until,
            seed: args.seed,
        };
        let style = "{msg} {bar:40} {human_pos}/{human_len} ({per_sec}, {eta} left)";
        let bar = ProgressBar::new(args.sessions)
            .with_style(ProgressStyle::with_template(style)?)
            .with_message("sessions");
        let started = std::time::Instant::now();
        demo::generate(&state.pool, &site, options, |stored| bar.set_position(stored)).await?;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        say!(
            "{} sessions in {seconds:.1} s ({:.0}/s).",
            args.sessions,
            args.sessions as f64 / seconds
        );

        sqlx::query("analyze").execute(&state.pool).await?;
        let from = until - chrono::Duration::days(i64::from(args.days));
        sums::bring_up_to_date(state, &site, (from, until), true).await?;
        Ok(())
    })
    .await
}
