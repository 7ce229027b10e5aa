//! Demo data: a shop's year of sessions, events, orders and ad spend, for trying the product out and for measuring it.
//!
//! Written in the order of time, as ingest would have written it, through binary COPY. The same seed, number and end give the same rows.
//! Sessions hold what [`crate::ingest::fold`] would have made of their events; a test compares them.

mod basket;
mod copy;
mod shop;
mod story;
mod tables;

use anyhow::Context;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::db::partitions;
use crate::rollup::{cohorts, upkeep};
use crate::site::Site;
use copy::Rows;
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

/// A table and its columns, as [`tables`] writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Events,
    Sessions,
    Orders,
    Spend,
}

impl Table {
    /// Those that a session writes to.
    const ALL: [Table; 3] = [Table::Events, Table::Sessions, Table::Orders];

    const fn copy_statement(self) -> &'static str {
        match self {
            Table::Events => tables::COPY_EVENTS,
            Table::Sessions => tables::COPY_SESSIONS,
            Table::Orders => tables::COPY_ORDERS,
            Table::Spend => tables::COPY_SPEND,
        }
    }
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

    // Two connections: the generator and they share two cores, more would only wait.
    let (chunks, first) = mpsc::channel::<(Table, Vec<u8>, u64)>(4);
    let first = std::sync::Arc::new(tokio::sync::Mutex::new(first));
    let (done, mut finished) = mpsc::unbounded_channel::<anyhow::Result<u64>>();
    for _ in 0..2 {
        let (pool, chunks, done) = (pool.clone(), first.clone(), done.clone());
        tokio::spawn(async move {
            loop {
                let Some((table, bytes, sessions)) = chunks.lock().await.recv().await else {
                    return;
                };
                let outcome = store(&pool, table, bytes).await.map(|()| sessions);
                if done.send(outcome).is_err() {
                    return;
                }
            }
        });
    }
    drop(done);
    let (site_id, zone, until) = (site.id, site.time_zone, options.until);
    let generator = tokio::task::spawn_blocking(move || write(site_id, zone, &options, &chunks));
    let mut stored = 0;
    while let Some(outcome) = finished.recv().await {
        stored += outcome?;
        progress(stored);
    }
    generator.await.context("the generator stopped")?;
    // A server's upkeep may have summed hours up, or begun cohorts anew, while only some of their rows were there.
    upkeep::mark_every_hour(pool, site.id, from, until).await?;
    cohorts::upkeep::forget(pool, site.id).await?;
    Ok(())
}

async fn store(pool: &PgPool, table: Table, bytes: Vec<u8>) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw(table.copy_statement()).await?;
    copy.send(bytes).await?;
    copy.finish().await?;
    Ok(())
}

/// Tells the story and hands its rows on; returns early when nobody takes them any more.
fn write(site_id: i32, zone: Tz, options: &DemoOptions, chunks: &mpsc::Sender<(Table, Vec<u8>, u64)>) {
    let mut rows: [Rows; 3] = Default::default();
    let mut sessions = 0;
    let mut paid = PaidSessions::new();
    for chapter in Story::new(site_id, options) {
        chapter.count_paid(zone, &mut paid);
        chapter.write(&mut rows);
        sessions += 1;
        for table in Table::ALL {
            if rows[table as usize].len() > CHUNK {
                let told = if table == Table::Sessions {
                    std::mem::take(&mut sessions)
                } else {
                    0
                };
                if chunks
                    .blocking_send((table, rows[table as usize].take(), told))
                    .is_err()
                {
                    return;
                }
            }
        }
    }
    for table in Table::ALL {
        let told = if table == Table::Sessions { sessions } else { 0 };
        let _ = chunks.blocking_send((table, rows[table as usize].take(), told));
    }
    let mut spend = Rows::new();
    tables::write_spend(site_id, &paid, &mut spend);
    let _ = chunks.blocking_send((Table::Spend, spend.take(), 0));
}
