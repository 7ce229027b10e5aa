//! Few writers gather what many requests bring: while a transaction runs, whatever arrives waits for the next one, so that a single
//! event is written at once when nothing else is going on, and in company under load. A second transaction beside the first begins only
//! when it has enough to do: each costs the database about as much as thirty events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use sqlx::PgPool;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::dead_letters::NewDeadLetter;
use crate::devices::Devices;
use crate::error::ApiError;
use crate::ingest::admission::{Admission, Share};
use crate::ingest::envelope::Item;
use crate::ingest::known_sessions::KnownSessions;
use crate::ingest::record::Record;
use crate::ingest::transaction::{self, KnownAgents, Outcome, Unavailable};
use crate::ingest::validate::Refusal;

/// Events that one transaction gathers before it starts; a single request may bring more.
const GATHER: usize = 1_000;

/// Events that are worth a transaction beside one that runs; fewer wait for its end.
const COMPANY: usize = 100;
/// But no longer than this: the one that runs may itself wait, for a row that somebody holds.
const PATIENCE: Duration = Duration::from_millis(20);

/// Seconds after which a caller may try again when the database is away.
const RETRY_AFTER_SECONDS: u32 = 5;

/// What one request wants stored.
#[derive(Debug)]
pub struct Delivery {
    /// The site.
    pub site_id: i32,
    /// `ingest` or `server_events`, for dead letters.
    pub kind: &'static str,
    /// The batch, for dead letters.
    pub batch_id: Option<Uuid>,
    /// What came, uncompressed: the items point into it.
    pub body: Bytes,
    /// The events.
    pub items: Vec<Item>,
    /// Keep what is refused as dead letters; a replay does not, it notes the outcome on the one there is.
    pub keep_refused: bool,
    /// Its share of memory.
    pub share: Option<Share>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Stored now.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Not stored; kept as a dead letter.
    Rejected(Refusal),
}

struct Job {
    delivery: Delivery,
    letters: Vec<NewDeadLetter>,
    answer: oneshot::Sender<Result<Vec<Verdict>, Unavailable>>,
}

/// The way in. Clones share the writers.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// Decides how much may be in flight.
    pub admission: Admission,
    /// Knows devices.
    pub devices: Devices,
    /// Sessions that server-side events asked for.
    pub known_sessions: KnownSessions,
    jobs: mpsc::UnboundedSender<Job>,
    load: Arc<Load>,
}

/// What waits and what is being written, so that a writer knows whether to begin.
#[derive(Debug, Default)]
struct Load {
    /// Events that no writer has taken.
    waiting: AtomicUsize,
    /// Writers with a transaction.
    writing: AtomicUsize,
    /// Something changed that a writer may wait for: enough events, or the end of a transaction.
    changed: Notify,
}

impl Load {
    fn add(&self, events: usize) {
        let before = self.waiting.fetch_add(events, Ordering::Relaxed);
        if before < COMPANY && before + events >= COMPANY {
            self.changed.notify_one();
        }
    }

    fn take(&self, events: usize) {
        self.waiting.fetch_sub(events, Ordering::Relaxed);
    }

    fn is_worth_a_transaction(&self) -> bool {
        self.writing.load(Ordering::Relaxed) == 0 || self.waiting.load(Ordering::Relaxed) >= COMPANY
    }

    /// Waits until what waits is worth a transaction, or has waited long enough.
    async fn worth_a_transaction(&self) {
        let worth = async {
            while !self.is_worth_a_transaction() {
                self.changed.notified().await;
            }
        };
        if !self.is_worth_a_transaction() {
            let _ = tokio::time::timeout(PATIENCE, worth).await;
        }
    }

    fn write(&self) -> Writing<'_> {
        self.writing.fetch_add(1, Ordering::Relaxed);
        Writing(self)
    }
}

/// A writer has a transaction, until this is dropped.
struct Writing<'a>(&'a Load);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_one();
    }
}

impl Ingest {
    /// Starts as many writers as there are cores, at most four: more connections only wait for each other. They have connections of their
    /// own, to the database of `pool`, and a thread of their own: in the queue of the requests' threads, each answer of the database would wait
    /// behind all the requests that the last commit let go. One thread is enough for all: the database does most of the work.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(pool: &PgPool, clock: Clock) -> std::io::Result<Self> {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let agents = KnownAgents::default();
        let load = Arc::new(Load::default());
        let writers = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 4);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let of_writers = runtime.enter();
        let pool = connections(pool, writers);
        let mut running = JoinSet::new();
        for _ in 0..writers {
            let (pool, clock, agents) = (pool.clone(), clock.clone(), agents.clone());
            let (receiver, load) = (receiver.clone(), load.clone());
            running.spawn(async move {
                // A panic costs the requests in its hands a 503 and no more: the next writer takes its place.
                loop {
                    let run = run(
                        pool.clone(),
                        clock.clone(),
                        agents.clone(),
                        receiver.clone(),
                        load.clone(),
                    );
                    if tokio::spawn(run).await.is_ok() {
                        break;
                    }
                    tracing::error!("an ingest writer panicked and is started again");
                }
            });
        }
        let known_sessions = KnownSessions::start(pool);
        drop(of_writers);
        // It ends with the writers, which end when nobody is left who could hand them anything.
        std::thread::Builder::new()
            .name("ingest".into())
            .spawn(move || runtime.block_on(running.join_all()))?;
        Ok(Self {
            admission: Admission::default(),
            devices: Devices::default(),
            known_sessions,
            jobs,
            load,
        })
    }

    /// Stores a delivery and answers after the commit, a verdict for each item.
    ///
    /// # Errors
    /// 503 when the database cannot take it now.
    pub async fn store(&self, delivery: Delivery) -> Result<Vec<Verdict>, ApiError> {
        const AWAY: ApiError = ApiError::Unavailable(RETRY_AFTER_SECONDS);
        let letters = if delivery.keep_refused {
            refused(&delivery)
        } else {
            Vec::new()
        };
        let (answer, answered) = oneshot::channel();
        let job = Job {
            delivery,
            letters,
            answer,
        };
        metrics::gauge!("ud_ingest_in_flight_kib").set(self.admission.in_flight_kib() as f64);
        let events = job.delivery.items.len();
        // Before it is handed over: a writer may take it at once.
        self.load.add(events);
        self.jobs.send(job).map_err(|_| AWAY)?;
        answered.await.map_err(|_| AWAY)?.map_err(|Unavailable| AWAY)
    }
}

/// A connection for each writer, and one for look-ups. Statements of ingest have sixty arrays for parameters and one possible plan: with a
/// plan made for the values each time, planning took a tenth of the database's time for single events.
fn connections(pool: &PgPool, writers: usize) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    pool.options()
        .clone()
        .min_connections(0)
        .max_connections(writers as u32 + 1)
        .connect_lazy_with(options.options([("plan_cache_mode", "force_generic_plan")]))
}

fn letter(delivery: &Delivery, item: &Item, refusal: &Refusal) -> NewDeadLetter {
    NewDeadLetter {
        site_id: delivery.site_id,
        kind: delivery.kind,
        batch_id: delivery.batch_id,
        code: refusal.code.to_owned(),
        // jsonb and text hold no NUL, and serde's sentences may quote what came.
        message: refusal.message.replace('\0', ""),
        payload: delivery.body[item.at.clone()].to_vec(),
    }
}

fn refused(delivery: &Delivery) -> Vec<NewDeadLetter> {
    delivery
        .items
        .iter()
        .filter_map(|item| Some(letter(delivery, item, item.record.as_ref().err()?)))
        .collect()
}

async fn run(
    pool: PgPool,
    clock: Clock,
    agents: KnownAgents,
    jobs: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>,
    load: Arc<Load>,
) {
    loop {
        let mut gathered = Vec::new();
        let writing = {
            let mut jobs = jobs.lock().await;
            let Some(first) = jobs.recv().await else { return };
            let mut events = first.delivery.items.len();
            gathered.push(first);
            load.worth_a_transaction().await;
            while events < GATHER
                && let Ok(job) = jobs.try_recv()
            {
                events += job.delivery.items.len();
                gathered.push(job);
            }
            load.take(events);
            metrics::gauge!("ud_ingest_queue_deliveries").set(jobs.len() as f64);
            load.write()
        };
        write(&pool, &clock, &agents, gathered).await;
        drop(writing);
    }
}

async fn write(pool: &PgPool, clock: &Clock, agents: &KnownAgents, jobs: Vec<Job>) {
    let records: Vec<&Record> = jobs
        .iter()
        .flat_map(|job| &job.delivery.items)
        .filter_map(|item| item.record.as_ref().ok())
        .collect();
    let letters: Vec<&NewDeadLetter> = jobs.iter().flat_map(|job| &job.letters).collect();
    let stored = transaction::store(pool, &records, &letters, agents, clock.now()).await;
    let answers = match stored {
        Ok(outcomes) => {
            let verdicts = verdicts(&jobs, outcomes);
            keep_refused(pool, clock, agents, &jobs, &verdicts)
                .await
                .map(|()| verdicts)
        }
        Err(unavailable) => Err(unavailable),
    };
    match answers {
        Ok(verdicts) => {
            for (job, verdicts) in jobs.into_iter().zip(verdicts) {
                count(&verdicts);
                let _ = job.answer.send(Ok(verdicts));
            }
        }
        Err(unavailable) => {
            metrics::counter!("ud_ingest_unavailable_total").increment(jobs.len() as u64);
            for job in jobs {
                let _ = job.answer.send(Err(unavailable));
            }
        }
    }
}

/// A verdict for each item of each job.
fn verdicts(jobs: &[Job], outcomes: Vec<Outcome>) -> Vec<Vec<Verdict>> {
    let mut outcomes = outcomes.into_iter();
    jobs.iter()
        .map(|job| {
            job.delivery
                .items
                .iter()
                .map(|item| match &item.record {
                    Err(refusal) => Verdict::Rejected(refusal.clone()),
                    Ok(_) => match outcomes.next() {
                        Some(Outcome::Accepted) => Verdict::Accepted,
                        Some(Outcome::Refused(reason)) => {
                            Verdict::Rejected(Refusal::whole("refused_by_database", format!("the event: {reason}")))
                        }
                        Some(Outcome::Duplicate) | None => Verdict::Duplicate,
                    },
                })
                .collect()
        })
        .collect()
}

/// Keeps what validation let through and the database refused.
async fn keep_refused(
    pool: &PgPool,
    clock: &Clock,
    agents: &KnownAgents,
    jobs: &[Job],
    verdicts: &[Vec<Verdict>],
) -> Result<(), Unavailable> {
    let letters: Vec<NewDeadLetter> = jobs
        .iter()
        .zip(verdicts)
        .flat_map(|(job, verdicts)| {
            job.delivery
                .items
                .iter()
                .zip(verdicts)
                .map(move |(item, verdict)| (job, item, verdict))
        })
        .filter_map(|(job, item, verdict)| match verdict {
            Verdict::Rejected(refusal) if item.record.is_ok() => Some(letter(&job.delivery, item, refusal)),
            _ => None,
        })
        .collect();
    if letters.is_empty() {
        return Ok(());
    }
    tracing::error!(
        events = letters.len(),
        "events passed validation and were refused by the database"
    );
    transaction::store(pool, &[], &letters.iter().collect::<Vec<_>>(), agents, clock.now())
        .await
        .map(|_| ())
}

fn count(verdicts: &[Verdict]) {
    let mut accepted = 0;
    let mut duplicates = 0;
    for verdict in verdicts {
        match verdict {
            Verdict::Accepted => accepted += 1,
            Verdict::Duplicate => duplicates += 1,
            Verdict::Rejected(refusal) => {
                metrics::counter!("ud_ingest_rejected_total", "code" => refusal.code).increment(1)
            }
        }
    }
    metrics::counter!("ud_ingest_deliveries_total").increment(1);
    metrics::counter!("ud_ingest_accepted_total").increment(accepted);
    metrics::counter!("ud_ingest_duplicates_total").increment(duplicates);
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Instant;

    use super::*;

    async fn is_ready(mut future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test]
    async fn few_events_wait_for_the_transaction_that_runs_but_not_for_long() {
        let load = Load::default();
        load.add(1);
        assert!(is_ready(pin!(load.worth_a_transaction())).await, "nobody writes");
        let writing = load.write();
        let mut waits = pin!(load.worth_a_transaction());
        assert!(!is_ready(waits.as_mut()).await, "somebody writes");
        drop(writing);
        assert!(is_ready(waits).await, "nobody writes any more");

        let _writing = load.write();
        let started = Instant::now();
        load.worth_a_transaction().await;
        assert!(started.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn many_events_get_a_transaction_beside_the_one_that_runs() {
        let load = Load::default();
        let _writing = load.write();
        load.add(COMPANY - 1);
        let mut waits = pin!(load.worth_a_transaction());
        assert!(!is_ready(waits.as_mut()).await);
        load.add(1);
        assert!(is_ready(waits).await);
        load.take(COMPANY);
        assert!(!is_ready(pin!(load.worth_a_transaction())).await);
    }
}
