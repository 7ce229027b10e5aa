//! `central-api import`: history from files.

use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;

use super::output::say;
use super::{sums, the_site, with_state};
use crate::business;
use crate::config::Config;
use crate::endpoints::ad_spend;
use crate::import::run::{Import, Options, Summary};
use crate::import::source::{Format, Input};
use crate::import::{Kind, spend};
use crate::secret::Secret;
use crate::site::Site;

/// Brings history in from NDJSON or CSV files, plain or gzip; `-` is the standard input. The columns stand in docs/import.md; exports
/// of the Django module's tables storefront_utmsession, storefront_useraction and orders_order are understood by their columns.
/// Running it again goes on where it stopped, or changes nothing.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Key of the site; may be left out when there is only one.
    #[arg(long)]
    pub site: Option<String>,
    /// File of sessions; they come first whatever the order of the options.
    #[arg(long, value_name = "FILE", visible_alias = "django-sessions")]
    pub sessions: Vec<String>,
    /// File of actions.
    #[arg(long, value_name = "FILE", visible_alias = "django-actions")]
    pub events: Vec<String>,
    /// File of orders.
    #[arg(long, value_name = "FILE", visible_alias = "django-orders")]
    pub orders: Vec<String>,
    /// Report of ad spend: CSV by day, our own layout or the export of Meta Ads Manager, Google Ads or TikTok Ads Manager.
    #[arg(long, value_name = "FILE")]
    pub spend: Vec<String>,
    /// utm_source of ad spend whose row names none.
    #[arg(long, value_name = "SOURCE")]
    pub spend_source: Option<String>,
    /// utm_medium of ad spend whose row names none.
    #[arg(long, value_name = "MEDIUM")]
    pub spend_medium: Option<String>,
    /// Currency (ISO 4217) of ad spend whose report names none; the site's when absent.
    #[arg(long, value_name = "CODE")]
    pub spend_currency: Option<String>,
    /// IANA time zone of times in CSV files of sessions, actions and orders that name none; UTC when absent.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub time_zone: Option<Tz>,
    /// How the files are written, when neither extension nor content tells.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Stop each file after this many rows; a later run goes on there.
    #[arg(long, value_name = "ROWS")]
    pub max_rows: Option<u64>,
}

fn zone(text: &str) -> Result<Tz, String> {
    text.parse()
        .map_err(|_| "a time zone is an IANA name such as Europe/Kyiv".to_owned())
}

/// Imports and says what each file came to.
///
/// # Errors
/// As [`import`], or there is no such site.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    with_state(config, async |state| {
        let site = the_site(state, args.site.as_deref())?;
        let now = state.clock.now();
        for (file, kind, summary) in import(&args, &state.pool, &state.config.secret, &site, now).await? {
            say!(
                "{} from {}: {} stored, {} unchanged, {} refused, {} done before",
                kind,
                file.display(),
                summary.stored,
                summary.unchanged,
                summary.rejected,
                summary.skipped
            );
            if let Some(rejected) = &summary.rejected_file {
                say!("  refused rows and their reasons: {}", rejected.display());
            }
        }
        // A running server would get there as well, later: it leaves the database to others most of the time.
        sums::bring_up_to_date(state, &site, (DateTime::UNIX_EPOCH, now), true).await?;
        Ok(())
    })
    .await
}

/// Imports all files, joins the customers, then links the orders. Answers what each came to.
///
/// # Errors
/// A file cannot be read, a column is unknown, or the database does not answer.
pub async fn import(
    args: &Args,
    pool: &PgPool,
    secret: &Secret,
    site: &Site,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<(PathBuf, &'static str, Summary)>> {
    let files: Vec<(Kind, &String)> = [
        (Kind::Sessions, &args.sessions),
        (Kind::Events, &args.events),
        (Kind::Orders, &args.orders),
    ]
    .into_iter()
    .flat_map(|(kind, files)| files.iter().map(move |file| (kind, file)))
    .collect();
    if files.is_empty() && args.spend.is_empty() {
        bail!("name at least one file: --sessions, --events, --orders or --spend");
    }
    let every = files.iter().map(|(_, file)| *file).chain(&args.spend);
    if every.filter(|file| *file == "-").count() > 1 {
        bail!("the standard input can be read only once");
    }
    let mut summaries = Vec::new();
    let defaults = ad_spend::defaults(
        args.spend_source.clone(),
        args.spend_medium.clone(),
        args.spend_currency.clone(),
    )?;
    for file in &args.spend {
        let summary = spend::file(pool, site, &Input::from(file.as_str()), None, &defaults, now)
            .await
            .with_context(|| format!("spend from {file}"))?;
        summaries.push((PathBuf::from(file), "spend", summary));
    }
    if files.is_empty() {
        return Ok(summaries);
    }
    let run = Import::new(pool, secret, site, args.time_zone.unwrap_or(Tz::UTC), now).await;
    for (kind, file) in files {
        let options = Options {
            kind,
            input: Input::from(file.as_str()),
            format: args.format,
            max_rows: args.max_rows,
            rejected: None,
        };
        let summary = run
            .file(&options)
            .await
            .with_context(|| format!("{} from {file}", kind.name()))?;
        summaries.push((PathBuf::from(file), kind.name(), summary));
    }
    // Which contacts too many people share is known only when all orders are in; an order must not go to a stranger by one.
    business::upkeep::catch_up(pool, secret, site, now).await?;
    run.link_orders().await?;
    Ok(summaries)
}
