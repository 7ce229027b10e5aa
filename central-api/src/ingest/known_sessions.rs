//! Sessions that server-side events name: remembered, and looked up for many requests in one statement. A statement for each request
//! would cost more than storing its event.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use quick_cache::sync::Cache;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::db::sessions::{self, Found};

/// Sessions remembered.
const REMEMBERED: usize = 32_768;
/// How long one is remembered: a session may be erased meanwhile, by another process too, and an event that names it is then one of a
/// session that nobody knows.
const FRESH: TimeDelta = TimeDelta::seconds(60);
/// Ids in one statement.
const GATHER: usize = 1_000;

/// A session, and when it was asked for.
type Remembered = (Found, DateTime<Utc>);

/// Clones share what is remembered.
#[derive(Debug, Clone)]
pub struct KnownSessions {
    pool: PgPool,
    seen: Arc<Cache<(i32, Uuid), Remembered>>,
    lookups: mpsc::UnboundedSender<Lookup>,
}

/// What one request asks for; no answer means that the statement failed.
#[derive(Debug)]
struct Lookup {
    site_id: i32,
    ids: Vec<Uuid>,
    answer: oneshot::Sender<Vec<Found>>,
}

impl KnownSessions {
    /// Remembers nothing yet. Within a runtime.
    pub fn start(pool: PgPool) -> Self {
        let (lookups, asked) = mpsc::unbounded_channel();
        tokio::spawn(answer(pool.clone(), asked));
        Self {
            pool,
            seen: Arc::new(Cache::new(REMEMBERED)),
            lookups,
        }
    }

    /// The sessions with these ids, by id; of several with one id, the earliest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(
        &self,
        site_id: i32,
        ids: impl Iterator<Item = Uuid>,
        now: DateTime<Utc>,
    ) -> sqlx::Result<BTreeMap<Uuid, Vec<Found>>> {
        let mut by_id: BTreeMap<Uuid, Vec<Found>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for id in ids {
            match self.seen.get(&(site_id, id)) {
                Some((found, asked_at)) if now - asked_at < FRESH => by_id.entry(id).or_insert_with(|| vec![found]),
                _ => {
                    unknown.push(id);
                    continue;
                }
            };
        }
        if unknown.is_empty() {
            return Ok(by_id);
        }
        for found in self.look_up(site_id, unknown).await? {
            self.seen.insert((site_id, found.session_id), (found, now));
            by_id.entry(found.session_id).or_default().push(found);
        }
        Ok(by_id)
    }

    async fn look_up(&self, site_id: i32, ids: Vec<Uuid>) -> sqlx::Result<Vec<Found>> {
        let (answer, answered) = oneshot::channel();
        let lookup = Lookup {
            site_id,
            ids: ids.clone(),
            answer,
        };
        if self.lookups.send(lookup).is_ok()
            && let Ok(found) = answered.await
        {
            return Ok(found);
        }
        // It failed for all who asked together; each learns the reason from a try of its own.
        Box::pin(sessions::by_ids(&self.pool, site_id, &ids)).await
    }
}

/// Answers whatever waits with one statement a site, then whatever came meanwhile.
async fn answer(pool: PgPool, mut asked: mpsc::UnboundedReceiver<Lookup>) {
    while let Some(first) = asked.recv().await {
        let mut count = first.ids.len();
        let mut by_site: HashMap<i32, Vec<Lookup>> = HashMap::from([(first.site_id, vec![first])]);
        while count < GATHER
            && let Ok(next) = asked.try_recv()
        {
            count += next.ids.len();
            by_site.entry(next.site_id).or_default().push(next);
        }
        for (site_id, lookups) in by_site {
            let mut ids: Vec<Uuid> = lookups.iter().flat_map(|lookup| &lookup.ids).copied().collect();
            ids.sort_unstable();
            ids.dedup();
            let found = match sessions::by_ids(&pool, site_id, &ids).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "sessions of server-side events were not found together");
                    continue;
                }
            };
            for lookup in lookups {
                let theirs = found.iter().filter(|found| lookup.ids.contains(&found.session_id));
                let _ = lookup.answer.send(theirs.copied().collect());
            }
        }
    }
}
