//! What every handler shares.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sqlx::PgPool;
use tokio::sync::{Mutex, Semaphore};

use crate::auth::{Attempts, KeyRing};
use crate::clock::Clock;
use crate::config::Config;
use crate::endpoints::download;
use crate::endpoints::utm::InFlight;
use crate::ingest::writer::Ingest;
use crate::mail::run::Wake;
use crate::postgres::Cluster;
use crate::site::Sites;

/// What all requests share; reads as [`Shared`]. A clone is one count: handlers and layers clone it several times a request.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Shared>);

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// See [`AppState`].
#[derive(Debug)]
pub struct Shared {
    /// Configuration as read at start.
    pub config: Arc<Config>,
    /// Connections that write.
    pub pool: PgPool,
    /// Connections that read reports: few, with a statement timeout, possibly on a replica.
    pub read_pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Every site.
    pub sites: Sites,
    /// Every live key.
    pub keys: KeyRing,
    /// Failed logins.
    pub attempts: Attempts,
    /// The writers of events.
    pub ingest: Ingest,
    /// Answers being computed that others wait for.
    pub in_flight: InFlight,
    /// Exports under way.
    pub exports: Arc<Semaphore>,
    /// The embedded Postgres, if that is the database.
    pub cluster: Option<Arc<Cluster>>,
    /// Held while a dead letter is replayed.
    pub replays: Mutex<()>,
    /// Wakes the loop that sends reports.
    pub mail: Wake,
    /// This process is going down: it finishes what it accepted and is not ready for more.
    pub shutting_down: AtomicBool,
}

impl AppState {
    /// Everything empty but the writers, which start; `sites` is to be filled before the first request. Within a runtime.
    ///
    /// # Errors
    /// The writers' thread could not be started.
    pub fn new(
        config: Config,
        pool: PgPool,
        read_pool: PgPool,
        clock: Clock,
        cluster: Option<Arc<Cluster>>,
    ) -> std::io::Result<Self> {
        crate::site_check::choose_cryptography();
        Ok(Self(Arc::new(Shared {
            config: Arc::new(config),
            ingest: Ingest::start(&pool, clock.clone())?,
            pool,
            read_pool,
            clock,
            sites: Sites::default(),
            keys: KeyRing::default(),
            attempts: Attempts::default(),
            in_flight: InFlight::default(),
            exports: Arc::new(Semaphore::new(download::AT_ONCE)),
            cluster,
            replays: Mutex::default(),
            mail: Wake::default(),
            shutting_down: AtomicBool::default(),
        })))
    }
}
