//! Serving: everything a process does from ready to gone.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::auth::password_link;
use crate::connections::{self, Deadlines};
use crate::db::{sites, users};
use crate::installation::{Installation, Unknown};
use crate::mail::run;
use crate::postgres::Cluster;
use crate::rollup::upkeep::{self, Take};
use crate::rollup::{cohorts, collect};
use crate::state::AppState;
use crate::{business, jobs, router, telemetry};

/// How often the list of sites is read again: a change made by another process is known here after at most this.
const SITES: Duration = Duration::from_secs(5);
/// How often marks are moved on: the fewer wait, the shorter a report looks through them for dirty hours.
const MARKS: Duration = Duration::from_secs(1);
/// How often dirty hours are recomputed. Reports are exact in between; they read those hours from the sessions.
const ROLLUPS: Duration = Duration::from_secs(5);
/// How often changed orders are brought into the customer and business figures.
const BUSINESS: Duration = Duration::from_secs(2);
/// How often due jobs are looked for.
const JOBS: Duration = Duration::from_secs(60);
/// How often orders that wait for their session are looked at.
const LINKS: Duration = Duration::from_secs(3);
/// How often the embedded Postgres is looked at.
const POSTGRES: Duration = Duration::from_millis(500);
/// How often metrics and memory are tidied: until then the time that each request took is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT, then finishes what was accepted, then leaves the database.
///
/// # Errors
/// What kept it from starting, in a sentence.
pub async fn run(installation: Installation) -> anyhow::Result<()> {
    telemetry::metrics();
    let state = installation.state(Unknown::Keep).await?;
    let config = state.config.clone();
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {} (UD_LISTEN)", config.listen))?;
    let address = listener.local_addr().context("asking for the address")?;
    let router = build_router(state.clone())?;

    let (stop, stopped) = watch::channel(false);
    let mut background = background(&state, &stopped);
    tracing::info!(%address, "ready");
    if !users::any_admin(&state.pool).await? {
        let link = password_link::setup_link(&config);
        tracing::warn!(link, "there is no admin yet; this link makes the first one");
    }

    let server = connections::serve(listener, router, Deadlines::default(), stopped);
    let mut server = tokio::spawn(server);

    tokio::select! {
        signal = stop_signal() => tracing::info!(signal = signal?, "shutting down"),
        ended = &mut server => {
            ended.context("the server's task ended")?;
        }
    }
    state.shutting_down.store(true, Ordering::Relaxed);
    let _ = stop.send(true);
    let patience = Duration::from_secs(u64::from(config.shutdown_timeout_seconds));
    match tokio::time::timeout(patience, &mut server).await {
        Ok(ended) => ended.context("the server's task ended")?,
        Err(_) => {
            tracing::warn!("requests were still in flight when the time for a shutdown was over");
            server.abort();
        }
    }
    // A job that is running finishes within the same patience or is run again by the next process.
    if tokio::time::timeout(patience, async { while background.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        background.shutdown().await;
    }
    state.pool.close().await;
    state.read_pool.close().await;
    drop(state);
    installation.close().await?;
    tracing::info!("gone");
    Ok(())
}

/// Has the allocator give back to the system what was freed a while ago: it looks for that when something large is freed, which in a quiet
/// process does not happen. What is asked for here is never written to, so it takes no memory itself.
fn give_back_memory() {
    const LARGE: usize = 4 * 1024 * 1024;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// The router, made on a thread of its own. The API's description is made on the way, megabytes of small pieces; the allocator gives them
/// back when the thread that asked for them is gone.
fn build_router(state: AppState) -> anyhow::Result<axum::Router> {
    let building = std::thread::Builder::new()
        .name("router".into())
        .spawn(move || router::build(state).0)
        .context("starting a thread")?;
    building
        .join()
        .map_err(|_| anyhow::anyhow!("the router cannot be made"))
}

/// Waits for the signal to stop, and says which it was.
///
/// # Errors
/// When signals cannot be listened for.
pub async fn stop_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// What goes on beside the requests.
fn background(state: &AppState, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let shared = state.clone();
    every(&mut tasks, stopped, SITES, move || read_sites(shared.clone()));
    every(&mut tasks, stopped, UPKEEP, || async {
        telemetry::metrics().run_upkeep();
        give_back_memory();
    });
    if state.config.run_jobs {
        let shared = state.clone();
        every(&mut tasks, stopped, JOBS, move || run_jobs(shared.clone()));
        let shared = state.clone();
        every(&mut tasks, stopped, LINKS, move || {
            jobs::link_orders::run(shared.clone())
        });
        let shared = state.clone();
        every(&mut tasks, stopped, MARKS, move || collect_marks(shared.clone()));
        let shared = state.clone();
        every(&mut tasks, stopped, ROLLUPS, move || keep_rollups(shared.clone()));
        let shared = state.clone();
        every(&mut tasks, stopped, BUSINESS, move || keep_business(shared.clone()));
        let shared = state.clone();
        every(&mut tasks, stopped, ROLLUPS, move || keep_cohorts(shared.clone()));
    }
    send_mails(&mut tasks, state, stopped);
    if let Some(cluster) = &state.cluster {
        let cluster = cluster.clone();
        every(&mut tasks, stopped, POSTGRES, move || revive(cluster.clone()));
    }
    tasks
}

async fn read_sites(state: AppState) {
    if let Err(error) = state.sites.read(sites::all(&state.pool)).await {
        tracing::warn!(error = format!("{error:#}"), "the list of sites was not read again");
    }
}

async fn run_jobs(state: AppState) {
    if let Err(error) = jobs::run_due(&state, state.clock.now()).await {
        tracing::warn!(%error, "due jobs were not looked for");
    }
}

/// With rests twice as long as the work, so that it has a third of one core at most beside those who write.
async fn collect_marks(state: AppState) {
    const REST_SHARE: u32 = 2;
    let state = &state;
    let rest = |took| async move {
        tokio::time::sleep(took * REST_SHARE).await;
        !state.shutting_down.load(Ordering::Relaxed)
    };
    if let Err(error) = collect::collect(&state.pool, state.clock.now(), rest).await {
        tracing::warn!(%error, "marks of changed sessions were not moved on");
    }
}

async fn keep_rollups(state: AppState) {
    with_rests(&state, rollup_round).await;
}

/// Whether there is more to do.
async fn rollup_round(state: AppState) -> bool {
    match upkeep::renew(&state.pool, state.clock.now(), Take::Due).await {
        Ok(round) => round.is_some_and(|round| round.more),
        Err(error) => {
            tracing::warn!(%error, "rollups were not brought up to date; reports read the sessions instead");
            false
        }
    }
}

async fn keep_cohorts(state: AppState) {
    with_rests(&state, cohort_round).await;
}

/// Whether there is more to do.
async fn cohort_round(state: AppState) -> bool {
    let round = async {
        // As they are stored: a process that has not read a new time zone yet must not undo another's work.
        let sites = sites::all(&state.pool).await?;
        anyhow::Ok(cohorts::upkeep::round(&state.pool, &sites, state.clock.now(), Take::Due).await?)
    };
    match round.await {
        Ok(round) => round.is_some_and(|round| round.more),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(
                error,
                "cohorts were not brought up to date; reports read the sessions instead"
            );
            false
        }
    }
}

/// As many rounds as there is work for, with rests in between that leave the database to others, and never so long that a shutdown
/// would have to wait.
async fn with_rests<F: Future<Output = bool>>(state: &AppState, round: fn(AppState) -> F) {
    const REST_SHARE: u32 = 4;
    const STEP: Duration = Duration::from_millis(200);
    while !state.shutting_down.load(Ordering::Relaxed) {
        let started = Instant::now();
        if !round(state.clone()).await {
            return;
        }
        let rested = started + started.elapsed() * (REST_SHARE + 1);
        while Instant::now() < rested && !state.shutting_down.load(Ordering::Relaxed) {
            tokio::time::sleep(STEP.min(rested - Instant::now())).await;
        }
    }
}

async fn keep_business(state: AppState) {
    // As they are stored: a process that has not read a new time zone or block list yet would make all figures anew by the old one, and the
    // process that has would do it once more.
    let sites = match sites::all(&state.pool).await {
        Ok(sites) => sites,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "customer and business figures were not brought up to date");
            return;
        }
    };
    for site in sites {
        while !state.shutting_down.load(Ordering::Relaxed) {
            match business::upkeep::round(&state.pool, &state.config.secret, &site, state.clock.now()).await {
                Ok(Some(round)) if round.more => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(site = site.key, %error, "customer and business figures were not brought up to date");
                    break;
                }
            }
        }
    }
}

/// Sends reports by e-mail: whenever somebody made one to be sent, and on the timer of jobs what is due or is to be tried again. While a
/// report is being sent, others are begun.
fn send_mails(tasks: &mut JoinSet<()>, state: &AppState, stopped: &watch::Receiver<bool>) {
    let (state, mut stopped) = (state.clone(), stopped.clone());
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(JOBS);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sending = run::Sending::default();
        loop {
            let news = tokio::select! {
                _ = stopped.changed() => break,
                look_again = sending.one_ended(), if !sending.is_empty() => {
                    if !look_again {
                        continue;
                    }
                    false
                }
                () = state.mail.wait() => true,
                _ = ticks.tick(), if state.config.run_jobs => {
                    survive(claim_due(&state)).await;
                    true
                }
            };
            survive(begin_due(&mut sending, &state, news)).await;
        }
        // Told to stop, each ends after the mail that it is at.
        while !sending.is_empty() {
            sending.one_ended().await;
        }
    });
}

async fn claim_due(state: &AppState) {
    if let Err(error) = run::claim_due(state, state.clock.now()).await {
        tracing::warn!(error = format!("{error:#}"), "due reports were not looked for");
    }
}

async fn begin_due(sending: &mut run::Sending, state: &AppState, news: bool) {
    if let Err(error) = sending.begin(state, news).await {
        tracing::warn!(error = format!("{error:#}"), "due mails were not looked for");
    }
}

async fn revive(cluster: Arc<Cluster>) {
    match cluster.revive().await {
        Ok(true) => tracing::warn!("the embedded Postgres had died and was started again"),
        Ok(false) => {}
        Err(error) => tracing::error!(error = format!("{error:#}"), "the embedded Postgres does not start"),
    }
}

/// Waits for background work. A panic in it costs this run and no later one.
async fn survive(work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        metrics::counter!("ud_background_panics_total").increment(1);
        tracing::error!("background work panicked; its next run comes as if nothing had been");
    }
}

/// Does `work` now and then every `period`, until told to stop; a run that has begun is finished. One that panics costs itself and no later one.
fn every<F: Future<Output = ()> + Send>(
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
    period: Duration,
    work: impl Fn() -> F + Send + 'static,
) {
    let mut stopped = stopped.clone();
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // The sender only ever says stop, or is gone.
            tokio::select! {
                _ = stopped.changed() => return,
                _ = ticks.tick() => {}
            }
            survive(work()).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[tokio::test]
    async fn background_work_that_panicked_is_done_again_until_it_is_told_to_stop() {
        let (stop, stopped) = watch::channel(false);
        let (started, mut runs) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let first = AtomicBool::new(true);
        every(&mut tasks, &stopped, Duration::from_millis(1), move || {
            let first = first.swap(false, Ordering::Relaxed);
            started.send(()).unwrap();
            async move { assert!(!first, "the first run fails") }
        });
        for _ in 0..3 {
            runs.recv().await.expect("it goes on");
        }
        stop.send(true).unwrap();
        tasks.join_next().await.unwrap().expect("it ended by itself");
    }
}
