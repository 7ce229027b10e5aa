//! `central-api schedule`

use anyhow::{Context, bail};
use serde_json::json;

use super::output::say;
use super::{WrongArguments, send_report, the_site, with_state};
use crate::config::Config;
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::report_schedules::{self, Schedule};
use crate::mail::plan::{Plan, PlanFields};
use crate::mail::run::{self, Kind};
use crate::mail::timing::Frequency;
use crate::site::Site;
use crate::state::AppState;

/// Which reports are mailed when to whom.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Every schedule with its next time.
    List {
        /// Key of a site; every site's unless given.
        #[arg(long, value_name = "KEY")]
        site: Option<String>,
    },
    /// Make a schedule.
    Add {
        /// Key of the site; need not be given when there is only one.
        #[arg(long, value_name = "KEY")]
        site: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a schedule; what is not given stays.
    Edit {
        /// Its number.
        id: i64,
        #[command(flatten)]
        fields: Fields,
        /// Send it, or leave it off.
        #[arg(long)]
        enabled: Option<bool>,
    },
    /// Remove a schedule, with the record of what it sent.
    Remove {
        /// Its number.
        id: i64,
    },
    /// Send a schedule's report now, as if it were due now.
    RunNow {
        /// Its number.
        id: i64,
    },
}

/// What a schedule says.
#[derive(Debug, Default, clap::Args)]
pub struct Fields {
    /// daily (covers the day before), weekly (the seven days before) or monthly (the calendar month before).
    #[arg(long)]
    pub frequency: Option<String>,
    /// Of a weekly one: 1 (Monday) to 7, or mon to sun.
    #[arg(long)]
    pub weekday: Option<String>,
    /// Of a monthly one: 1 to 31; the last day of a month that is shorter.
    #[arg(long)]
    pub month_day: Option<i64>,
    /// Full hour, 0 to 23.
    #[arg(long)]
    pub hour: Option<i64>,
    /// IANA name of the hour's zone; the site's unless given.
    #[arg(long)]
    pub time_zone: Option<String>,
    /// E-mail addresses, separated by commas.
    #[arg(long, value_name = "LIST")]
    pub recipients: Option<String>,
    /// html or text.
    #[arg(long)]
    pub format: Option<String>,
    /// Attach utm_sources.csv and utm_campaigns.csv.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub attach_csv: Option<bool>,
    /// uk or en; the site's language unless given.
    #[arg(long)]
    pub lang: Option<String>,
    /// Name for people.
    #[arg(long)]
    pub name: Option<String>,
    /// Only sessions with this value, as utm_source=instagram; may be given several times, a value after ! is excluded.
    #[arg(long = "filter", value_name = "DIMENSION=VALUE")]
    pub filters: Vec<String>,
}

impl Fields {
    /// As the API takes them.
    ///
    /// # Errors
    /// A weekday or filter that cannot be read.
    pub fn plan_fields(self) -> Result<PlanFields, WrongArguments> {
        let weekday = match &self.weekday {
            None => None,
            Some(text) => Some(
                text.parse()
                    .ok()
                    .or_else(|| day_number(text))
                    .ok_or_else(|| WrongArguments("--weekday: allowed are 1 (Monday) to 7, and mon to sun".into()))?,
            ),
        };
        let mut filters: Option<std::collections::BTreeMap<String, Vec<String>>> = None;
        for filter in &self.filters {
            let (dimension, value) = filter.split_once('=').ok_or_else(|| {
                WrongArguments("--filter: must read DIMENSION=VALUE, such as utm_source=instagram".into())
            })?;
            let values = filters.get_or_insert_default().entry(dimension.to_owned()).or_default();
            values.push(value.to_owned());
        }
        Ok(PlanFields {
            name: self.name,
            frequency: self.frequency,
            weekday,
            month_day: self.month_day,
            hour: self.hour,
            time_zone: self.time_zone,
            recipients: self.recipients.map(|list| list.split(',').map(str::to_owned).collect()),
            format: self.format,
            attach_csv: self.attach_csv,
            language: self.lang,
            filters,
            enabled: None,
        })
    }
}

fn day_number(text: &str) -> Option<i64> {
    let day: chrono::Weekday = text.parse().ok()?;
    Some(day.number_from_monday().into())
}

/// Does what is asked.
///
/// # Errors
/// A value that is not allowed, no such schedule, or a report that did not reach everybody.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    with_state(config, async |state| {
        let now = state.clock.now();
        match args.action {
            Action::List { site } => {
                let site_id = match site {
                    Some(key) => Some(the_site(state, Some(&key))?.id),
                    None => None,
                };
                let schedules = report_schedules::list(&state.pool, site_id, None).await?;
                if schedules.is_empty() {
                    say!("There is no schedule. Make one with `central-api schedule add` or `central-api setup-email-reports`.");
                }
                for schedule in schedules {
                    say!("{}", line(state, &schedule));
                }
                Ok(())
            }
            Action::Add { site, fields } => {
                let site = the_site(state, site.as_deref())?;
                let schedule = add(state, &site, &fields.plan_fields()?).await?;
                say!("{}", line(state, &schedule));
                Ok(())
            }
            Action::Edit { id, fields, enabled } => {
                let (site, schedule) = find(state, id).await?;
                let fields = PlanFields { enabled, ..fields.plan_fields()? };
                let plan = schedule.plan.changed(&site, &fields).map_err(WrongArguments::from)?;
                let begins_anew = plan.timing != schedule.plan.timing || (plan.enabled && !schedule.plan.enabled);
                let mut transaction = state.pool.begin().await?;
                report_schedules::update(&mut transaction, id, &plan, begins_anew.then_some(now)).await?;
                log(&mut transaction, &site, "report_schedule.change", &plan, now).await?;
                transaction.commit().await?;
                say!("{}", line(state, &find(state, id).await?.1));
                Ok(())
            }
            Action::Remove { id } => {
                let (site, schedule) = find(state, id).await?;
                let mut transaction = state.pool.begin().await?;
                report_schedules::delete(&mut *transaction, id).await?;
                log(&mut transaction, &site, "report_schedule.delete", &schedule.plan, now).await?;
                transaction.commit().await?;
                say!("Schedule {id} is gone.");
                Ok(())
            }
            Action::RunNow { id } => {
                let (site, schedule) = find(state, id).await?;
                let run = run::start(state, &site, &schedule, Kind::Manual, None, now).await?;
                let run = run.context("a run without a slot was taken for claimed")?;
                run::deliver_in_turn(state, run).await?;
                send_report::report(state, run).await
            }
        }
    })
    .await
}

/// Makes a schedule.
///
/// # Errors
/// A value that is not allowed, or the database's.
pub async fn add(state: &AppState, site: &Site, fields: &PlanFields) -> anyhow::Result<Schedule> {
    let plan = Plan::new(site, fields).map_err(WrongArguments::from)?;
    let now = state.clock.now();
    let mut transaction = state.pool.begin().await?;
    let id = report_schedules::insert(&mut *transaction, site.id, &plan, now).await?;
    log(&mut transaction, site, "report_schedule.create", &plan, now).await?;
    transaction.commit().await?;
    Ok(find(state, id).await?.1)
}

async fn find(state: &AppState, id: i64) -> anyhow::Result<(std::sync::Arc<Site>, Schedule)> {
    let Some(schedule) = report_schedules::list(&state.pool, None, Some(id)).await?.pop() else {
        bail!("there is no schedule {id}; `central-api schedule list` shows them");
    };
    let site = state
        .sites
        .by_id(schedule.site_id)
        .context("the schedule's site is gone")?;
    Ok((site, schedule))
}

async fn log(
    connection: &mut sqlx::PgConnection,
    site: &Site,
    action: &str,
    plan: &Plan,
    now: chrono::DateTime<chrono::Utc>,
) -> sqlx::Result<()> {
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::CommandLine,
        action,
        subject: &plan.name,
        detail: json!({"frequency": plan.timing.frequency.name(), "recipients": plan.recipients.len(), "enabled": plan.enabled}),
    };
    audit_log::insert(connection, &entry, now).await
}

/// A schedule in a line.
pub fn line(state: &AppState, schedule: &Schedule) -> String {
    let plan = &schedule.plan;
    let site = state
        .sites
        .by_id(schedule.site_id)
        .map_or_else(|| "?".to_owned(), |site| site.key.clone());
    let day = match plan.timing.frequency {
        Frequency::Daily => "daily".to_owned(),
        Frequency::Weekly(day) => format!("weekly on {day}"),
        Frequency::Monthly(day) => format!("monthly on day {day}"),
    };
    let next = match plan.enabled {
        true => plan
            .timing
            .next(state.clock.now())
            .with_timezone(&plan.timing.zone)
            .format("next %Y-%m-%d %H:%M")
            .to_string(),
        false => "off".to_owned(),
    };
    format!(
        "{}  {site}  {}: {day} at {:02}:00 {}, {next}; {}, {}{}; to {}",
        schedule.id,
        plan.name,
        plan.timing.hour,
        plan.timing.zone.name(),
        plan.language,
        plan.format.name(),
        if plan.attach_csv { " with CSV" } else { "" },
        plan.recipients.join(", "),
    )
}
