//! One transaction for many records: events, sessions, marks, user agents, contacts and dead letters stand or fall together. It is retried as a
//! whole while the database is away or busy; when the database refuses a record that validation let through, halves are tried until
//! the culprit stands alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::PgPool;

use crate::database::{Fault, fault};
use crate::db::dead_letters::{self, NewDeadLetter};
use crate::db::{anonymous_hits, customer_contacts, events, partitions, rollup_marks, sessions, user_agents};
use crate::ingest::fold::{SessionChange, SessionKey, fold};
use crate::ingest::record::{AnonymousRecord, EventRecord, Record};
use crate::orders::identity;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored now.
    Accepted,
    /// Stored before.
    Duplicate,
    /// The database will never take it; the sentence says why.
    Refused(String),
}

/// The database cannot take anything now. Nothing is lost: who sent it sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// Pauses between tries, in milliseconds; after the last one the caller is told to come back.
const PAUSES_MS: [u64; 5] = [20, 100, 300, 800, 1_500];

/// User agents that stand in the table, by hash and hour of the last look: what retention removes comes back within the hour.
#[derive(Debug, Clone)]
pub struct KnownAgents(Arc<quick_cache::sync::Cache<(i64, i64), ()>>);

impl Default for KnownAgents {
    fn default() -> Self {
        Self(Arc::new(quick_cache::sync::Cache::new(16_384)))
    }
}

/// Stores `records` and `letters`, and answers what became of each record.
///
/// # Errors
/// [`Unavailable`] when the database could not take them within some tries. Part of them may be stored then; sending all again
/// changes nothing about those.
pub async fn store(
    pool: &PgPool,
    records: &[&Record],
    letters: &[&NewDeadLetter],
    agents: &KnownAgents,
    now: DateTime<Utc>,
) -> Result<Vec<Outcome>, Unavailable> {
    let mut outcomes = vec![Outcome::Duplicate; records.len()];
    let mut pending: Vec<(Range<usize>, &[&NewDeadLetter])> = vec![(0..records.len(), letters)];
    while let Some((range, letters)) = pending.pop() {
        match with_retries(pool, &records[range.clone()], letters, agents, now).await? {
            Ok(new) => {
                for (outcome, new) in outcomes[range].iter_mut().zip(new) {
                    *outcome = if new { Outcome::Accepted } else { Outcome::Duplicate };
                }
            }
            Err(reason) if range.len() == 1 && letters.is_empty() => outcomes[range.start] = Outcome::Refused(reason),
            Err(reason) if range.is_empty() => {
                // Bytes, codes and sentences of ours: a fault of this program, to be found by its log, never a silent loss.
                tracing::error!(reason, "dead letters were refused by the database");
                return Err(Unavailable);
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                if !letters.is_empty() {
                    pending.push((range.start..range.start, letters));
                }
                if middle > range.start {
                    pending.push((range.start..middle, &[]));
                }
                pending.push((middle..range.end, &[]));
            }
        }
    }
    Ok(outcomes)
}

/// `Ok(Err(reason))` when the database refused the data.
async fn with_retries(
    pool: &PgPool,
    records: &[&Record],
    letters: &[&NewDeadLetter],
    agents: &KnownAgents,
    now: DateTime<Utc>,
) -> Result<Result<Vec<bool>, String>, Unavailable> {
    let mut months_made = false;
    for pause in PAUSES_MS.into_iter().map(Some).chain([None]) {
        let error = match attempt(pool, records, letters, agents, now).await {
            Ok(new) => return Ok(Ok(new)),
            Err(error) => error,
        };
        // A check violation is how a month without partition looks.
        if !months_made
            && error
                .as_database_error()
                .is_some_and(|db| db.code().as_deref() == Some("23514"))
        {
            months_made = true;
            if make_months(pool, records).await.is_ok() {
                continue;
            }
        }
        // Whatever is not about the data, a table that is missing during a restore too, may be over at the next try.
        if fault(&error) == Fault::Data {
            return Ok(Err(error.to_string()));
        }
        metrics::counter!("ud_ingest_transaction_retries_total").increment(1);
        tracing::warn!(%error, records = records.len(), "ingest transaction failed");
        match pause {
            Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            None => return Err(Unavailable),
        }
    }
    Err(Unavailable)
}

async fn make_months(pool: &PgPool, records: &[&Record]) -> sqlx::Result<()> {
    let times = records.iter().map(|record| match record {
        Record::Event(event) => event.minted_at,
        Record::Anonymous(hit) => hit.minted_at,
    });
    let months: BTreeSet<DateTime<Utc>> = times
        .map(|at| at.duration_trunc(TimeDelta::days(1)).unwrap_or(at))
        .collect();
    for day in months {
        partitions::ensure_months(pool, day, day).await?;
    }
    Ok(())
}

/// One try. Answers for each record whether it is new; of two with the same key the first is.
async fn attempt(
    pool: &PgPool,
    records: &[&Record],
    letters: &[&NewDeadLetter],
    agents: &KnownAgents,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<bool>> {
    let mut events: Vec<(usize, &EventRecord)> = Vec::with_capacity(records.len());
    let mut hits: Vec<(usize, &AnonymousRecord)> = Vec::new();
    for (i, record) in records.iter().enumerate() {
        match record {
            Record::Event(event) => events.push((i, event)),
            Record::Anonymous(hit) => hits.push((i, hit)),
        }
    }
    // Stable, so that of two with one key the first to arrive is kept.
    events.sort_by_key(|(_, e)| (e.site_id, e.visitor_id, e.event_id));
    events.dedup_by_key(|(_, e)| (e.site_id, e.visitor_id, e.event_id));
    hits.sort_by_key(|(_, h)| (h.site_id, h.event_id));
    hits.dedup_by_key(|(_, h)| (h.site_id, h.event_id));

    let mut is_new = vec![false; records.len()];
    let started = std::time::Instant::now();
    let mut tx = pool.begin().await?;

    let mut seen_agents = Vec::new();
    let mut moved = Vec::new();
    if !events.is_empty() {
        let offered: Vec<&EventRecord> = events.iter().map(|(_, event)| *event).collect();
        let stored = events::insert(&mut tx, &offered).await?;
        let fresh: Vec<&EventRecord> = if stored.len() == events.len() {
            events.iter().for_each(|(i, _)| is_new[*i] = true);
            offered
        } else {
            let stored: HashSet<events::EventKey> = stored.into_iter().collect();
            events.retain(|(_, e)| stored.contains(&(e.site_id, e.visitor_id, e.event_id)));
            events.iter().for_each(|(i, _)| is_new[*i] = true);
            events.iter().map(|(_, event)| *event).collect()
        };
        if !fresh.is_empty() {
            let changes = fold(fresh.iter().copied());
            let merged = sessions::merge(&mut tx, &changes).await?;
            let hour = |at: DateTime<Utc>| at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at);
            let marks: BTreeSet<_> = merged
                .iter()
                .flat_map(|m| {
                    [Some(m.first_seen), m.moved_from]
                        .into_iter()
                        .flatten()
                        .map(|at| (m.site_id, m.visitor_id, hour(at)))
                })
                .collect();
            rollup_marks::insert(&mut tx, &marks.into_iter().collect::<Vec<_>>()).await?;
            moved = moved_among_later(&changes, &merged, now);
            let hour_no = now.timestamp() / 3_600;
            let mut unseen: Vec<(i64, &str)> = fresh
                .iter()
                .filter_map(|event| event.context.as_ref()?.user_agent.as_ref())
                .filter(|(hash, _)| agents.0.get(&(*hash, hour_no)).is_none())
                .map(|(hash, text)| (*hash, &**text))
                .collect();
            unseen.sort_unstable();
            unseen.dedup_by_key(|(hash, _)| *hash);
            if !unseen.is_empty() {
                user_agents::insert(&mut tx, &unseen, now).await?;
                seen_agents = unseen.iter().map(|(hash, _)| (*hash, hour_no)).collect();
            }
        }
    }
    // Those of a repeated event too: its first delivery may have been stored before the shop named the customer.
    let mut contacts: BTreeMap<i32, Vec<identity::Sight>> = BTreeMap::new();
    for record in records {
        if let Record::Event(event) = record
            && !event.contacts.is_empty()
        {
            let sights = event
                .contacts
                .iter()
                .map(|(kind, hash)| (*hash, event.visitor_id, *kind, event.occurred_at));
            contacts.entry(event.site_id).or_default().extend(sights);
        }
    }
    for (site_id, mut sights) in contacts {
        let hashes: Vec<Vec<u8>> = sights.iter().map(|sight| sight.0.to_vec()).collect();
        let shared = customer_contacts::shared(&mut tx, site_id, &hashes).await?;
        sights.retain(|sight| !shared.contains(&sight.0[..]));
        identity::remember(&mut tx, site_id, sights).await?;
    }
    if !hits.is_empty() {
        let offered: Vec<&AnonymousRecord> = hits.iter().map(|(_, hit)| *hit).collect();
        let stored: HashSet<_> = anonymous_hits::insert(&mut tx, &offered).await?.into_iter().collect();
        for (i, hit) in hits {
            is_new[i] = stored.contains(&(hit.site_id, hit.event_id));
        }
    }
    if !letters.is_empty() {
        let mut letters = letters.to_vec();
        letters.sort_unstable_by(|a, b| (a.site_id, &a.payload).cmp(&(b.site_id, &b.payload)));
        dead_letters::insert(&mut tx, &letters, now).await?;
    }
    if !moved.is_empty() {
        rollup_marks::insert_later(&mut tx, &moved).await?;
    }
    tx.commit().await?;
    metrics::histogram!("ud_ingest_transaction_seconds").record(started.elapsed().as_secs_f64());
    metrics::histogram!("ud_ingest_transaction_events").record(records.len() as f64);
    for seen in seen_agents {
        agents.0.insert(seen, ());
    }
    Ok(is_new)
}

/// A session that began this lately has no later one in an hour that is summed up: hours are summed up when they are over, so not within
/// an hour of its start. Half of that is left for clocks that differ.
const NOTHING_LATER: TimeDelta = TimeDelta::minutes(30);

/// Sessions that may now stand elsewhere among those of their visitor, or with other values of dimensions, and may have later ones: the hours
/// of those say which sessions they follow. Sums alone, the common change of an old session, do not matter to them.
fn moved_among_later(
    changes: &[SessionChange<'_>],
    merged: &[sessions::Merged],
    now: DateTime<Utc>,
) -> Vec<SessionKey> {
    // Whether a merge made the session or moved its start is told by its start being the change's.
    let starts: HashSet<_> = merged.iter().map(|m| (m.site_id, m.visitor_id, m.first_seen)).collect();
    let old: HashSet<_> = (merged.iter())
        .filter(|m| m.first_seen < now - NOTHING_LATER)
        .map(|m| (m.site_id, m.visitor_id))
        .collect();
    (changes.iter())
        .filter(|change| {
            let (site_id, visitor_id, _) = change.key;
            let values = change.touch.is_some() || change.context.is_some() || change.bot_reason.is_some();
            old.contains(&(site_id, visitor_id))
                && (values || change.visit_count > 1 || starts.contains(&(site_id, visitor_id, change.first_seen)))
        })
        .map(|change| change.key)
        .collect()
}
