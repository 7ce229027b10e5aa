//! `central-api send-report`

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::output::{note, say};
use super::{WrongArguments, the_site, with_state};
use crate::auth::Role;
use crate::config::Config;
use crate::db::report_runs::{self, NewRun};
use crate::db::users;
use crate::mail::content::Subject;
use crate::mail::message::{Mailing, Occasion};
use crate::mail::page::Circumstances;
use crate::mail::plan::Format;
use crate::mail::timing::Covered;
use crate::mail::transport::{Transport, sender};
use crate::mail::{address, run};
use crate::reports::filter::Filters;
use crate::site::Site;
use crate::state::AppState;

/// What is sent to whom.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Since midnight, the last 7 or 30 days, or everything; up to now.
    #[arg(long, default_value = "week", value_parser = ["today", "week", "month", "all_time"])]
    pub period: String,
    /// E-mail addresses, separated by commas; the site's admins unless given.
    #[arg(long, value_name = "LIST")]
    pub recipients: Option<String>,
    /// HTML with a chart (and the same as text beside it), or text alone.
    #[arg(long, value_enum, default_value = "html")]
    pub format: Format,
    /// Attach utm_sources.csv and utm_campaigns.csv.
    #[arg(long)]
    pub attach_csv: bool,
    /// Put the report together and show it, but send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Key of the site; need not be given when there is only one.
    #[arg(long, value_name = "KEY")]
    pub site: Option<String>,
    /// uk or en; the site's language unless given.
    #[arg(long, value_parser = ["uk", "en"])]
    pub lang: Option<String>,
    /// Write the report to a file and send nothing: the whole mail when it is called .eml, else the page or the text alone.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Sends a report, or shows it.
///
/// # Errors
/// Arguments that are wrong; what kept it from being sent, or from whom.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    let given = match &args.recipients {
        Some(list) => Some(address::listed(list).map_err(|error| WrongArguments(format!("--recipients: {error}")))?),
        None => None,
    };
    with_state(config, async |state| {
        let site = the_site(state, args.site.as_deref())?;
        let recipients = match given {
            Some(given) => given,
            None => users::addresses(&state.pool, site.id, Some(Role::Admin)).await?,
        };
        if recipients.is_empty() {
            let says =
                "no recipients: give --recipients, or make an admin of this site with `central-api create-admin`";
            return Err(WrongArguments(says.into()).into());
        }
        match args.dry_run || args.out.is_some() {
            true => show(state, &site, &recipients, &args).await,
            false => send(state, &site, &recipients, &args).await,
        }
    })
    .await
}

fn covered(args: &Args) -> Covered {
    Covered::from_name(&args.period).unwrap_or(Covered::Week)
}

async fn show(state: &AppState, site: &Arc<Site>, recipients: &[String], args: &Args) -> anyhow::Result<()> {
    let now = state.clock.now();
    let subject = Subject::until(site.clone(), covered(args), now, Filters::default())?;
    let language = args.lang.as_deref().unwrap_or(&site.language);
    let (page, content) = run::shown(state, subject, args.attach_csv, language, &Circumstances::default()).await?;
    if let Some(file) = &args.out {
        let is_mail = file.extension().is_some_and(|extension| extension == "eml");
        let bytes = if is_mail {
            let from = sender(&state.config)?;
            let occasion = Occasion {
                run_id: 0,
                schedule_id: None,
                users: Default::default(),
            };
            let mailing = Mailing::new(&state.config, from, page, content, args.format, occasion).await?;
            mailing.to(&recipients[0], now)?.bytes
        } else {
            Mailing::alone(&page, &content, args.format)?.into_bytes()
        };
        std::fs::write(file, bytes).with_context(|| format!("--out: writing {}", file.display()))?;
        note!("Written to {}; nothing was sent.", file.display());
        return Ok(());
    }
    say!("Subject: {}", page.subject());
    say!("To: {}", recipients.join(", "));
    for file in &content.files {
        match &file.bytes {
            Some(bytes) => say!("Attached: {}, {} bytes", file.name, bytes.len()),
            None => say!("Not attached: {} is too long for a mail", file.name),
        }
    }
    say!("\n{}", page.text(None)?);
    note!("Nothing was sent: this was a dry run.");
    Ok(())
}

/// Sends a report to addresses that are given.
///
/// # Errors
/// As [`run`].
pub async fn send_now(state: &AppState, args: Args) -> anyhow::Result<()> {
    let site = the_site(state, args.site.as_deref())?;
    let recipients = address::listed(args.recipients.as_deref().unwrap_or_default())?;
    send(state, &site, &recipients, &args).await
}

async fn send(state: &AppState, site: &Site, recipients: &[String], args: &Args) -> anyhow::Result<()> {
    // Before anything is stored.
    Transport::of(&state.config)?;
    sender(&state.config)?;
    let now = state.clock.now();
    let covered = covered(args);
    let language = args.lang.as_deref().unwrap_or(&site.language);
    let (filters, today) = (Filters::default(), now.with_timezone(&site.time_zone).date_naive());
    let first_day = match covered {
        Covered::Week => Some(today - chrono::Days::new(6)),
        Covered::Month => Some(today - chrono::Days::new(29)),
        Covered::AllTime => None,
        _ => Some(today),
    };
    let new = NewRun {
        schedule_id: None,
        site_id: site.id,
        kind: "manual",
        slot_at: None,
        covered,
        first_day,
        last_day: today,
        until_now: true,
        format: args.format,
        attach_csv: args.attach_csv,
        language,
        filters: &filters,
        missed: false,
        created_at: now,
    };
    let stored = run::store(state, &new, recipients, &[]).await?;
    let run_id = stored.context("a run without a slot was taken for claimed")?;
    run::deliver_in_turn(state, run_id).await?;
    report(state, run_id).await
}

/// Prints what came of a run, and fails when somebody did not get it.
pub async fn report(state: &AppState, run_id: i64) -> anyhow::Result<()> {
    let deliveries = report_runs::deliveries(&state.pool, &[run_id]).await?;
    let mut unreached = 0;
    for delivery in &deliveries {
        let detail = delivery.detail.as_deref().unwrap_or_default();
        match delivery.state.as_str() {
            "sent" => say!("sent       {}", delivery.address),
            "pending" => {
                unreached += 1;
                let again = delivery.try_after.format("%H:%M UTC");
                say!(
                    "waiting    {}: {detail} (a running `serve` tries again at {again})",
                    delivery.address
                );
            }
            other => {
                unreached += usize::from(!matches!(other, "unsubscribed" | "withdrawn"));
                say!("{other:<10} {}: {detail}", delivery.address);
            }
        }
    }
    match unreached {
        0 => Ok(()),
        1 => bail!("1 of {} recipients did not get the report", deliveries.len()),
        _ => bail!("{unreached} of {} recipients did not get the report", deliveries.len()),
    }
}
