//! Demo data: a shop's year of sessions, events, orders and ad spend, for trying the product out and for measuring it.
//!
//! Written in the order of time, as ingest would have written it, through binary COPY. The same seed, number and end give the same rows.
//! Sessions hold what [`crate::ingest::fold`] would have made of their events; a test compares them.

mod basket;
mod shop;
mod story;
mod tables;

use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::business;
use crate::db::ad_spend;
use crate::db::copy::{self, Rows};
use crate::db::partitions;
use crate::rollup::{cohorts, upkeep};
use crate::site::Site;
use futures_util::{StreamExt, TryStreamExt, stream};
use story::Story;
use tables::PaidSessions;

/// Bytes of one COPY.
const CHUNK: usize = 4 << 20;

/// What to make.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Sessions.
    pub sessions: u64,
    /// Orders; about one in seven comes without a session.
    pub orders: u64,
    /// Days that they are spread over, up to `until`.
    pub days: u16,
    /// When the data ends, UTC.
    pub until: DateTime<Utc>,
    /// Same seed, same data.
    pub seed: u64,
}

/// Rows on their way to a table.
struct Chunk {
    /// `copy … from stdin`
    statement: Arc<str>,
    rows: Vec<u8>,
    /// Sessions among them.
    sessions: u64,
    /// The site and the local days to sum up with them, where they are ad spend.
    spend_of: Option<(i32, (NaiveDate, NaiveDate))>,
}

/// What is to be sent to one table.
struct Stream {
    statement: Arc<str>,
    rows: Rows,
    sessions: u64,
}

impl Stream {
    fn new(statement: impl Into<Arc<str>>) -> Self {
        Self {
            statement: statement.into(),
            rows: Rows::new(),
            sessions: 0,
        }
    }

    /// What there is; nothing if it is less than `at_least` bytes.
    fn take(&mut self, at_least: usize) -> Option<Chunk> {
        (self.rows.len() > at_least && !self.rows.is_empty()).then(|| Chunk {
            statement: self.statement.clone(),
            rows: self.rows.take(),
            sessions: std::mem::take(&mut self.sessions),
            spend_of: None,
        })
    }
}

/// Where events of a time go to.
struct EventStream {
    /// Milliseconds since 1970.
    from: i64,
    stream: Stream,
}

/// Makes the data and stores it. `progress` is told the number of sessions stored so far. Stops with an error when the site already
/// has sessions in that time: demo data is never mixed into a shop's own.
///
/// # Errors
/// The database's; or the site is not empty.
pub async fn generate(pool: &PgPool, site: &Site, options: DemoOptions, progress: impl Fn(u64)) -> anyhow::Result<()> {
    let has_sessions = sqlx::query_scalar!("select exists (select 1 from sessions where site_id = $1)", site.id)
        .fetch_one(pool)
        .await?;
    anyhow::ensure!(
        has_sessions == Some(false),
        "site {} already has sessions; demo data goes into an empty site",
        site.key
    );
    let from = options.until - chrono::Duration::days(i64::from(options.days));
    partitions::ensure_months(pool, from, options.until).await?;
    // Before the first row, so that no report takes an hour without sums for an hour without sessions.
    upkeep::mark_every_hour(pool, site.id, from, options.until).await?;
    cohorts::upkeep::forget(pool, site.id).await?;

    let months = partitions::begin_filling(pool, from, options.until).await?;
    let copy_events =
        |table: &str| Stream::new(format!("copy {table} ({}) from stdin (format binary)", tables::EVENTS));
    // Sorted by time.
    let events: Vec<EventStream> = match &months {
        Some(months) => (months.iter())
            .map(|month| EventStream {
                from: month.bounds().0.timestamp_millis(),
                stream: copy_events(&month.table),
            })
            .collect(),
        None => vec![EventStream {
            from: i64::MIN,
            stream: copy_events("events"),
        }],
    };

    // Two connections: the generator and they share two cores, more would only wait.
    let (chunks, first) = mpsc::channel::<Chunk>(4);
    let first = Arc::new(tokio::sync::Mutex::new(first));
    let (done, mut finished) = mpsc::unbounded_channel::<sqlx::Result<u64>>();
    for _ in 0..2 {
        let (pool, chunks, done) = (pool.clone(), first.clone(), done.clone());
        tokio::spawn(async move {
            loop {
                let Some(chunk) = chunks.lock().await.recv().await else {
                    return;
                };
                let sessions = chunk.sessions;
                let outcome = store(&pool, chunk).await.map(|()| sessions);
                if done.send(outcome).is_err() {
                    return;
                }
            }
        });
    }
    drop(done);
    let (site_id, zone, until) = (site.id, site.time_zone, options.until);
    let generator = tokio::task::spawn_blocking(move || write(site_id, zone, &options, events, &chunks));
    let mut stored = 0;
    while let Some(outcome) = finished.recv().await {
        stored += outcome?;
        progress(stored);
    }
    generator.await.context("the generator stopped")?;
    // Two months' keys at once, for as many cores.
    let mut keys = stream::iter(
        months
            .iter()
            .flatten()
            .map(|month| partitions::end_filling(pool, month)),
    )
    .buffer_unordered(2);
    while keys.try_next().await?.is_some() {}
    // A server's upkeep may have summed hours up, or begun cohorts anew, while only some of their rows were there.
    upkeep::mark_every_hour(pool, site.id, from, until).await?;
    cohorts::upkeep::forget(pool, site.id).await?;
    // It also knows the customers of the empty site, and from then on looks at marked orders only; these came without marks.
    business::upkeep::forget(pool, site.id).await?;
    Ok(())
}

async fn store(pool: &PgPool, chunk: Chunk) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    // Some other commit at the end waits for the disk, and with it for these.
    sqlx::query("set local synchronous_commit = off")
        .execute(&mut *tx)
        .await?;
    copy::send(&mut tx, &chunk.statement, chunk.rows).await?;
    if let Some((site_id, days)) = chunk.spend_of {
        ad_spend::sum_up(&mut tx, site_id, days).await?;
    }
    tx.commit().await
}

/// Tells the story and hands its rows on; returns early when nobody takes them any more.
fn write(site_id: i32, zone: Tz, options: &DemoOptions, mut events: Vec<EventStream>, chunks: &mpsc::Sender<Chunk>) {
    let (mut sessions, mut orders) = (Stream::new(tables::COPY_SESSIONS), Stream::new(tables::COPY_ORDERS));
    let mut paid = PaidSessions::new();
    let send = |streams: &mut dyn Iterator<Item = &mut Stream>, at_least: usize| {
        streams
            .filter_map(|stream| stream.take(at_least))
            .all(|chunk| chunks.blocking_send(chunk).is_ok())
    };
    for (number, chapter) in Story::new(site_id, options).enumerate() {
        chapter.count_paid(zone, &mut paid);
        chapter.write(&mut events, &mut sessions.rows, &mut orders.rows);
        sessions.sessions += 1;
        // A few rows more than that do not matter.
        if number % 64 == 0 {
            let all = (events.iter_mut().map(|events| &mut events.stream)).chain([&mut sessions, &mut orders]);
            if !send(&mut { all }, CHUNK) {
                return;
            }
        }
    }
    let all = (events.iter_mut().map(|events| &mut events.stream)).chain([&mut sessions, &mut orders]);
    if !send(&mut { all }, 0) {
        return;
    }
    let mut spend = Stream::new(tables::COPY_SPEND);
    tables::write_spend(site_id, &paid, &mut spend.rows);
    let days = paid
        .keys()
        .next()
        .zip(paid.keys().next_back())
        .map(|(first, last)| (first.0, last.0));
    if let Some(chunk) = spend.take(0) {
        let spend_of = days.map(|days| (site_id, days));
        // Nobody takes it any more: the error is told by whoever stopped.
        let _ = chunks.blocking_send(Chunk { spend_of, ..chunk });
    }
}
