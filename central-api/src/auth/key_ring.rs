//! Every live key, read at most every few seconds: neither a busy shop nor a flood of made-up tokens reaches the database by it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use super::{Scope, token};
use crate::db::{api_keys, ingest_keys};
use crate::error::ApiError;
use crate::state::AppState;

/// Milliseconds after which the list is read again; a revoked key lives on for at most this long in other processes.
const FRESH_MS: i64 = 5_000;
/// Milliseconds between two reads that unknown keys can cause: a new key works after at most this long.
const RETRY_MS: i64 = 1_000;
/// Milliseconds between two writes of `last_used_at` of one key.
const TOUCH_MS: i64 = 60_000;

/// A live API key.
#[derive(Debug)]
pub struct KnownKey {
    /// Public id.
    pub key_id: String,
    /// The one site it speaks for.
    pub site_id: i32,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When its use was last written down, milliseconds since 1970.
    touched_ms: AtomicI64,
}

#[cfg(test)]
impl KnownKey {
    /// A key of a site.
    pub(super) fn of(site_id: i32, scopes: Vec<Scope>) -> Self {
        Self {
            key_id: "k_test".into(),
            site_id,
            scopes,
            touched_ms: AtomicI64::new(0),
        }
    }
}

#[derive(Debug)]
struct Ring {
    read_at: DateTime<Utc>,
    api: HashMap<[u8; 32], Arc<KnownKey>>,
    ingest: HashMap<String, i32>,
}

/// The live keys of the installation. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    ring: Arc<RwLock<Option<Arc<Ring>>>>,
    /// How often keys were made or revoked here.
    changes: Arc<AtomicU64>,
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl KeyRing {
    /// The key of a bearer token.
    ///
    /// # Errors
    /// 401 when it is unknown or revoked; 503 when the list is stale and the database does not answer.
    pub async fn api_key(&self, state: &AppState, token: &str) -> Result<Arc<KnownKey>, ApiError> {
        const UNKNOWN: ApiError = ApiError::Unauthorized("this API key is unknown or revoked");
        let digest = token::api_digest(token).ok_or(UNKNOWN)?;
        let key = self
            .find(state, |ring| ring.api.get(&digest).cloned())
            .await?
            .ok_or(UNKNOWN)?;
        self.touch(state, &key);
        Ok(key)
    }

    /// The site that an ingest key signs for; `None` when the key is unknown or revoked. Its secret is
    /// [`crate::secret::Secret::ingest_key`] of the id.
    ///
    /// # Errors
    /// 503 when the list is stale and the database does not answer.
    pub async fn ingest_site(&self, state: &AppState, key_id: &str) -> Result<Option<i32>, ApiError> {
        self.find(state, |ring| ring.ingest.get(key_id).copied()).await
    }

    /// Makes the next question read the list, after a key was made or revoked here.
    pub fn forget(&self) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::Relaxed);
        *ring = None;
    }

    /// Keeps what was read, unless a key was made or revoked here since there were so many changes.
    fn keep(&self, read: &Arc<Ring>, changes: u64) -> bool {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let still = self.changes.load(Ordering::Relaxed) == changes;
        if still {
            *ring = Some(read.clone());
        }
        still
    }

    async fn find<T>(&self, state: &AppState, get: impl Fn(&Ring) -> Option<T>) -> Result<Option<T>, ApiError> {
        let fresh = |ring: &Ring, ms: i64| {
            let age = (state.clock.now() - ring.read_at).num_milliseconds();
            (0..ms).contains(&age)
        };
        let settled = |ring: &Ring| match get(ring) {
            Some(found) if fresh(ring, FRESH_MS) => Some(Some(found)),
            None if fresh(ring, RETRY_MS) => Some(None),
            _ => None,
        };
        if let Some(answer) = self.current().and_then(|ring| settled(&ring)) {
            return Ok(answer);
        }
        let _one_reader = self.reading.lock().await;
        if let Some(answer) = self.current().and_then(|ring| settled(&ring)) {
            return Ok(answer);
        }
        loop {
            let changes = self.changes.load(Ordering::Relaxed);
            let ring = Arc::new(self.read(state).await?);
            if self.keep(&ring, changes) {
                return Ok(get(&ring));
            }
        }
    }

    fn current(&self) -> Option<Arc<Ring>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read(&self, state: &AppState) -> Result<Ring, ApiError> {
        let read_at = state.clock.now();
        let old = self.current();
        let api = api_keys::live(&state.pool)
            .await?
            .into_iter()
            .map(|key| {
                // A use that is on its way to the database must not be forgotten, or each reading would cause a write.
                let known = old.as_ref().and_then(|ring| ring.api.get(&key.token_hash));
                let touched_ms = known
                    .map_or(0, |known| known.touched_ms.load(Ordering::Relaxed))
                    .max(key.last_used_at.map_or(0, |at| at.timestamp_millis()));
                let known = KnownKey {
                    key_id: key.key_id,
                    site_id: key.site_id,
                    scopes: key.scopes,
                    touched_ms: AtomicI64::new(touched_ms),
                };
                (key.token_hash, Arc::new(known))
            })
            .collect();
        let ingest = ingest_keys::live(&state.pool).await?.into_iter().collect();
        Ok(Ring { read_at, api, ingest })
    }

    /// Writes down, aside from the request, that the key was used.
    fn touch(&self, state: &AppState, key: &Arc<KnownKey>) {
        let now = state.clock.now();
        let before = key.touched_ms.load(Ordering::Relaxed);
        if now.timestamp_millis() - before < TOUCH_MS
            || key
                .touched_ms
                .compare_exchange(before, now.timestamp_millis(), Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let (pool, key) = (state.pool.clone(), key.clone());
        tokio::spawn(async move {
            if let Err(error) = api_keys::touch(&pool, &key.key_id, now).await {
                tracing::warn!(%error, key_id = key.key_id, "the use of an API key was not written down");
            }
        });
    }
}
