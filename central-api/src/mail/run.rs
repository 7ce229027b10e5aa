//! Claims what is due and sees every recipient through. How often somebody gets a mail: see [`super`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::content::{self, Content, Subject};
use super::message::{Mailing, Occasion};
use super::page::{Circumstances, Page};
use super::timing::{LATE_AFTER, covered_days};
use super::transport::{self, Link, Outcome, Transport};
use crate::db::report_runs::{self, NewRun, Run};
use crate::db::report_schedules::{self, Schedule};
use crate::db::users;
use crate::error::ApiError;
use crate::site::Site;
use crate::state::AppState;

/// Pauses between attempts; after the last one it is given up. Somewhat over half a day in all.
const PAUSES: [TimeDelta; 7] = [
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(15),
    TimeDelta::hours(1),
    TimeDelta::hours(2),
    TimeDelta::hours(4),
    TimeDelta::hours(6),
];
/// Slots that passed while nobody asked are recorded as missed, at most so many of a schedule.
const MOST_SLOTS: usize = 31;
/// Runs that a process sends at once; each holds a connection to the database and some to the mail server.
const AT_ONCE: usize = 4;
/// How long one attempt takes further recipients: a server that is slow with each of many would hold its place for hours. Who is left is
/// due as before, after the runs that wait.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(600);
/// The lock of run 0; the runs' follow it. Any number whose neighbours nobody else uses.
const LOCKS: i64 = 0x7564_6d61_0000_0000;
const ORPHANED: &str = "the process that was sending ended; nobody knows whether the server had accepted it";

/// Mails waiting to be sent: whoever makes a run wakes the loop that sends.
#[derive(Debug, Default)]
pub struct Wake(tokio::sync::Notify);

impl Wake {
    /// There is something to send.
    pub fn now(&self) {
        self.0.notify_one();
    }

    /// Waits until there is.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// Claims every slot that is due at `now` and answers the new runs. A slot is claimed once, by however many processes and however often.
///
/// # Errors
/// The database's.
pub async fn claim_due(state: &AppState, now: DateTime<Utc>) -> anyhow::Result<Vec<i64>> {
    let mut claimed = Vec::new();
    for schedule in report_schedules::list(&state.pool, None, None).await? {
        if !schedule.plan.enabled {
            continue;
        }
        let Some(site) = state.sites.by_id(schedule.site_id) else {
            continue;
        };
        let after = schedule
            .last_slot
            .map_or(schedule.due_after, |last| last.max(schedule.due_after));
        let slots = schedule.plan.timing.slots(after, now, MOST_SLOTS);
        for (at, slot) in slots.iter().enumerate() {
            let missed = at + 1 < slots.len() || now - *slot > schedule.plan.timing.frequency.late_window();
            let kind = Kind::Scheduled { slot: *slot, missed };
            if let Some(run) = start(state, &site, &schedule, kind, None, now).await? {
                if missed {
                    metrics::counter!("ud_report_runs_total", "outcome" => "missed").increment(1);
                    tracing::warn!(schedule = schedule.id, slot = %slot, "a report was missed: nobody asked for it in time");
                } else {
                    claimed.push(run);
                }
            }
        }
    }
    Ok(claimed)
}

/// Why a run of a schedule is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its time has come.
    Scheduled {
        /// When.
        slot: DateTime<Utc>,
        /// It is too late to send it.
        missed: bool,
    },
    /// Somebody asked for it.
    Manual,
    /// Somebody wants to see it.
    Test,
}

/// Makes a run of a schedule, to its recipients or to others; none when somebody else has claimed the slot.
///
/// # Errors
/// The database's.
pub async fn start(
    state: &AppState,
    site: &Site,
    schedule: &Schedule,
    kind: Kind,
    to: Option<&[String]>,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<i64>> {
    let plan = &schedule.plan;
    let covered = plan.timing.frequency.covers();
    let (name, slot, missed) = match kind {
        Kind::Scheduled { slot, missed } => ("scheduled", Some(slot), missed),
        Kind::Manual => ("manual", None, false),
        Kind::Test => ("test", None, false),
    };
    let (first_day, last_day) = covered_days(covered, slot.unwrap_or(now), site.time_zone);
    let new = NewRun {
        schedule_id: Some(schedule.id),
        site_id: schedule.site_id,
        kind: name,
        slot_at: slot,
        covered,
        first_day: Some(first_day),
        last_day,
        until_now: false,
        format: plan.format,
        attach_csv: plan.attach_csv,
        language: &plan.language,
        filters: &plan.filters,
        missed,
        created_at: now,
    };
    let (recipients, unsubscribed) = match to {
        Some(others) => (others, &[][..]),
        None => (&plan.recipients[..], &schedule.unsubscribed[..]),
    };
    store(state, &new, recipients, unsubscribed).await
}

/// Stores a run with its recipients.
///
/// # Errors
/// The database's.
pub async fn store(
    state: &AppState,
    new: &NewRun<'_>,
    recipients: &[String],
    unsubscribed: &[String],
) -> anyhow::Result<Option<i64>> {
    let mut transaction = state.pool.begin().await?;
    let run = report_runs::insert(&mut transaction, new).await?;
    if let Some(run) = run
        && !new.missed
    {
        report_runs::insert_recipients(&mut transaction, run, recipients, unsubscribed, new.created_at).await?;
    }
    transaction.commit().await?;
    Ok(run)
}

/// The runs that this process is sending, a task each: a mail server that hangs holds up the run it hangs in and no other.
pub struct Sending {
    tasks: JoinSet<i64>,
    begun: HashSet<i64>,
    /// Of those, the ones that there was something new to send of meanwhile, perhaps.
    again: HashSet<i64>,
    places: Arc<Semaphore>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            begun: HashSet::new(),
            again: HashSet::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Sending {
    /// Begins to send every run that is due and not under way here. `news`: what is under way may have been given more to send, so that
    /// [`Self::one_ended`] will ask for another look at it.
    ///
    /// # Errors
    /// The database's, about which runs are due; failures of a run are recorded with it or, when that is impossible, logged.
    pub async fn begin(&mut self, state: &AppState, news: bool) -> anyhow::Result<()> {
        for run in report_runs::due(&state.pool, state.clock.now()).await? {
            if !self.begun.insert(run) {
                if news {
                    self.again.insert(run);
                }
                continue;
            }
            let (state, places) = (state.clone(), self.places.clone());
            self.tasks.spawn(async move {
                // Never closed.
                let _place = places.acquire().await;
                if !is_stopping(&state)
                    && let Err(error) = deliver(&state, run).await
                {
                    let error = format!("{error:#}");
                    tracing::warn!(run, error, "due mails were not sent; they are looked at again");
                }
                run
            });
        }
        Ok(())
    }

    /// Waits until a run has ended, at once when none is under way, and answers whether to look again at what is due. May be given up at
    /// any time.
    pub async fn one_ended(&mut self) -> bool {
        match self.tasks.join_next().await {
            Some(Ok(run)) => {
                self.begun.remove(&run);
                self.again.remove(&run)
            }
            // Which one it was is not told: none is taken for being under way any more, and each has its lock.
            Some(Err(error)) => {
                tracing::error!(%error, "a run of a report broke off");
                self.begun.clear();
                false
            }
            None => false,
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

/// Sends what is due, and waits until that is done.
///
/// # Errors
/// The database's.
pub async fn deliver_due(state: &AppState) -> anyhow::Result<()> {
    let mut sending = Sending::default();
    sending.begin(state, true).await?;
    while !sending.is_empty() {
        sending.one_ended().await;
    }
    Ok(())
}

fn is_stopping(state: &AppState) -> bool {
    state.shutting_down.load(std::sync::atomic::Ordering::Relaxed)
}

/// Sends what is due of one run; false when somebody else is at it. Whoever holds the run's lock is the only one at it, and the lock goes
/// with its connection: what is `sending` when it is taken was left behind.
///
/// # Errors
/// The database's.
pub async fn deliver(state: &AppState, run_id: i64) -> anyhow::Result<bool> {
    let mut connection = state.pool.acquire().await?.detach();
    let ours = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "ours!""#, LOCKS + run_id)
        .fetch_one(&mut connection)
        .await?;
    if ours {
        let orphans = report_runs::give_up_orphans(&state.pool, run_id, state.clock.now(), ORPHANED).await?;
        if orphans > 0 {
            metrics::counter!("ud_report_mails_total", "outcome" => "uncertain").increment(orphans);
            tracing::error!(
                run = run_id,
                mails = orphans,
                "a process ended while it was sending; these mails are uncertain"
            );
        }
        report_runs::leave_out(&state.pool, run_id, state.clock.now()).await?;
        let failure = match report_runs::list(&state.pool, None, None, Some(run_id), 1).await?.pop() {
            Some(run) => attempt(state, &run).await?,
            None => None,
        };
        if let Some(failure) = &failure {
            metrics::counter!("ud_report_runs_total", "outcome" => "not made").increment(1);
            tracing::error!(
                run = run_id,
                error = failure,
                "a report was not sent; it is tried again"
            );
        }
        if report_runs::close(&state.pool, run_id, state.clock.now(), failure.as_deref()).await? {
            metrics::counter!("ud_report_runs_total", "outcome" => "finished").increment(1);
        }
    }
    connection.close().await?;
    Ok(ours)
}

/// [`deliver`], after whoever else is at the run.
///
/// # Errors
/// The database's.
pub async fn deliver_in_turn(state: &AppState, run_id: i64) -> anyhow::Result<()> {
    while !deliver(state, run_id).await? {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    Ok(())
}

/// One attempt at everybody who is due. Answers why nobody could be served, if so.
async fn attempt(state: &AppState, run: &Run) -> anyhow::Result<Option<String>> {
    let now = state.clock.now();
    let due = report_runs::count_due(&state.pool, run.id, now).await?;
    if due == 0 {
        return Ok(None);
    }
    let prepared = async {
        let transport = Transport::of(&state.config)?;
        anyhow::Ok((transport, prepare(state, run).await?))
    };
    let (transport, mailing) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            let failure = format!("{error:#}");
            report_runs::postpone(&state.pool, run.id, now, &failure, &pauses(now)).await?;
            return Ok(Some(failure));
        }
    };
    let most = usize::try_from(due).unwrap_or(usize::MAX);
    let connections = (state.config.smtp_connections as usize).min(most);
    let until = Instant::now() + LONGEST_ATTEMPT;
    let senders = (0..connections).map(|_| send_in_turn(state, run.id, &transport, &mailing, until));
    let failures = futures_util::future::try_join_all(senders).await?;
    Ok(failures.into_iter().flatten().next())
}

/// Takes one recipient after the other until then, over one connection as long as it lasts. Answers why the server could not be reached, if so.
async fn send_in_turn(
    state: &AppState,
    run_id: i64,
    transport: &Transport,
    mailing: &Mailing,
    until: Instant,
) -> anyhow::Result<Option<String>> {
    let mut link: Option<Link> = None;
    while !is_stopping(state) && Instant::now() < until {
        // Before anybody is taken: a server that is not there says nothing about anybody.
        if link.as_ref().is_none_or(|link| !link.is_usable()) {
            if report_runs::count_due(&state.pool, run_id, state.clock.now()).await? == 0 {
                break;
            }
            match transport.open().await {
                Ok(open) => link = Some(open),
                Err(failure) => {
                    let now = state.clock.now();
                    report_runs::postpone(&state.pool, run_id, now, &failure, &pauses(now)).await?;
                    return Ok(Some(failure));
                }
            }
        }
        let Some(open) = link.as_mut() else { break };
        let Some((address, attempts)) = report_runs::take(&state.pool, run_id, state.clock.now()).await? else {
            break;
        };
        let outcome = match mailing.to(&address, state.clock.now()) {
            Ok(packed) => open.send(&packed.envelope, &packed.bytes).await,
            Err(error) => Outcome::Refused(format!("{error:#}")),
        };
        record(state, run_id, &address, attempts, &outcome).await?;
    }
    if let Some(link) = link {
        link.close().await;
    }
    Ok(None)
}

/// Writes an outcome down. An acceptance that cannot be written must not be forgotten: it is tried for a while.
async fn record(state: &AppState, run_id: i64, address: &str, attempts: i16, outcome: &Outcome) -> anyhow::Result<()> {
    let now = state.clock.now();
    let pause = usize::try_from(attempts - 1).ok().and_then(|done| PAUSES.get(done));
    let (row, name, detail, try_after) = match (outcome, pause) {
        (Outcome::Accepted(detail), _) => ("sent", "sent", detail, None),
        (Outcome::Later(detail), Some(pause)) => ("pending", "retried", detail, Some(now + *pause)),
        (Outcome::Later(detail), None) | (Outcome::Refused(detail), _) => ("failed", "failed", detail, None),
        (Outcome::Uncertain(detail), _) => ("uncertain", "uncertain", detail, None),
    };
    metrics::counter!("ud_report_mails_total", "outcome" => name).increment(1);
    let mut tries = 0;
    loop {
        match report_runs::settle(&state.pool, run_id, address, row, detail, now, try_after).await {
            Ok(()) => return Ok(()),
            Err(error) if tries < 30 => {
                tries += 1;
                tracing::warn!(run = run_id, %error, "what came of a mail was not written down; trying again");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn pauses(now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    PAUSES.iter().map(|pause| now + *pause).collect()
}

/// Asks for the figures and draws them.
async fn prepare(state: &AppState, run: &Run) -> anyhow::Result<Mailing> {
    let from = transport::sender(&state.config)?;
    let (page, content) = written(state, run).await?;
    let users = users::addresses(&state.pool, run.site_id, None)
        .await?
        .into_iter()
        .collect();
    // A mail that somebody sent by hand is not one that one gets again and again.
    let schedule_id = run.schedule_id.filter(|_| run.kind == "scheduled");
    let occasion = Occasion {
        run_id: run.id,
        schedule_id,
        users,
    };
    Mailing::new(&state.config, from, page, content, run.format, occasion).await
}

/// The figures of a run, and how they are written.
///
/// # Errors
/// The database's; a site that is gone.
pub async fn written(state: &AppState, run: &Run) -> anyhow::Result<(Page, Content)> {
    let site = state
        .sites
        .by_id(run.site_id)
        .ok_or_else(|| anyhow::anyhow!("the site is gone"))?;
    let subject = match (run.until_now, run.first_day) {
        (false, Some(first)) => Subject::of_days(site, run.covered, (first, run.last_day), run.filters.clone()),
        _ => Subject::until(site, run.covered, run.created_at, run.filters.clone())?,
    };
    let earlier_failed = match run.schedule_id.filter(|_| run.kind == "scheduled") {
        Some(schedule) => report_runs::failed_before(&state.pool, schedule, run.id).await?,
        None => 0,
    };
    let circumstances = Circumstances {
        late: run.slot_at.filter(|slot| state.clock.now() - *slot > LATE_AFTER),
        earlier_failed,
        schedule: run.schedule_name.clone(),
    };
    Ok(shown(state, subject, run.attach_csv, &run.language, &circumstances).await?)
}

/// A report's figures, and how they are written.
///
/// # Errors
/// The database's.
pub async fn shown(
    state: &AppState,
    subject: Subject,
    attach_csv: bool,
    language: &str,
    circumstances: &Circumstances,
) -> Result<(Page, Content), ApiError> {
    let content = content::gather(state, subject, attach_csv, language).await?;
    let page = Page::new(&content, circumstances, language, state.config.public_url.as_ref());
    Ok((page, content))
}

/// What the metrics of this module mean.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "ud_report_runs_total",
        "Reports by e-mail by outcome: finished, missed (nobody asked in time), not made (tried again)"
    );
    metrics::describe_counter!(
        "ud_report_mails_total",
        "Mails by outcome: sent, retried, failed, uncertain"
    );
}
