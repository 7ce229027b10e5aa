#![allow(dead_code, reason = "not every build of the tests uses all of it")]
//! Boots the real application on a free port and a database of its own, cloned from a template that the migrations made once.

use std::str::FromStr;
use std::sync::{Arc, OnceLock, mpsc};

use central_api::auth::{Role, Scope, session, token};
use central_api::clock::Clock;
use central_api::config::Config;
use central_api::db::sites::NewSite;
use central_api::db::{admin_sessions, api_keys, ingest_keys, sites, users};
use central_api::site::Site;
use central_api::state::AppState;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

fn server() -> PgConnectOptions {
    let url = std::env::var("UD_TEST_DATABASE_URL")
        .expect("UD_TEST_DATABASE_URL names the Postgres server for tests; ./dev test sets it");
    PgConnectOptions::from_str(&url).expect("UD_TEST_DATABASE_URL is a Postgres URL")
}

/// A database of its own, dropped soon after the value; the last ones of a run stay.
pub struct TestDb {
    pub name: String,
    pub pool: PgPool,
}

impl TestDb {
    pub async fn new() -> Self {
        // A database per run, not per migration set: a changed migration must never meet an old template.
        let template = TEMPLATE
            .get_or_init(|| async {
                let name = format!("ud_template_{}", uuid::Uuid::from_u128(rand::random()).simple());
                let mut admin = PgConnection::connect_with(&server())
                    .await
                    .expect("the test server answers");
                sqlx::query(AssertSqlSafe(format!("create database {name}")))
                    .execute(&mut admin)
                    .await
                    .unwrap();
                let mut template = PgConnection::connect_with(&server().database(&name)).await.unwrap();
                central_api::MIGRATOR
                    .run(&mut template)
                    .await
                    .expect("the migrations apply to an empty database");
                template.close().await.unwrap();
                name
            })
            .await;
        let name = format!("ud_test_{}", uuid::Uuid::from_u128(rand::random()).simple());
        let mut admin = PgConnection::connect_with(&server()).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("create database {name} template {template}")))
            .execute(&mut admin)
            .await
            .unwrap();
        let pool = PgPoolOptions::new()
            .max_connections(6)
            .connect_with(server().database(&name))
            .await
            .unwrap();
        Self { name, pool }
    }
}

/// Takes the names of databases that nobody needs any more.
static DROPPER: OnceLock<mpsc::Sender<String>> = OnceLock::new();

/// Drops databases one after another. A test must not wait for it: a connection that its pool was just opening stays half open while the test's
/// runtime stands still, and Postgres drops no database before that connection has spoken or a minute has passed.
fn dropper() -> mpsc::Sender<String> {
    let (sender, names) = mpsc::channel::<String>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        for name in names {
            runtime.block_on(async {
                if let Ok(mut admin) = PgConnection::connect_with(&server()).await {
                    let _ = sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
                        .execute(&mut admin)
                        .await;
                }
            });
        }
    });
    sender
}

impl Drop for TestDb {
    fn drop(&mut self) {
        DROPPER.get_or_init(dropper).send(self.name.clone()).ok();
    }
}

/// The whole application on a free port.
pub struct TestApp {
    pub db: TestDb,
    pub state: AppState,
    pub client: reqwest::Client,
    address: std::net::SocketAddr,
}

impl TestApp {
    /// With the machine's clock.
    pub async fn start() -> Self {
        Self::start_at(Clock::system()).await
    }

    /// With a given clock.
    pub async fn start_at(clock: Clock) -> Self {
        Self::start_configured(clock, |_| {}).await
    }

    /// With settings changed.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_configured(Clock::system(), change).await
    }

    /// With a given clock and settings changed.
    pub async fn start_configured(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let db = TestDb::new().await;
        let mut config = Config::for_tests();
        change(&mut config);
        let state = AppState::new(config, db.pool.clone(), db.pool.clone(), clock, None).unwrap();
        state
            .sites
            .replace(central_api::db::sites::all(&db.pool).await.unwrap());
        let (router, _) = central_api::router::build(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            axum::serve(
                listener,
                router.into_make_service_with_connect_info::<std::net::SocketAddr>(),
            )
            .await
            .unwrap();
        });
        Self {
            db,
            state,
            client: reqwest::Client::new(),
            address,
        }
    }

    /// Absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Makes a site in Kyiv that counts in hryvnias.
    pub async fn site(&self, key: &str) -> Arc<Site> {
        let site = NewSite {
            key,
            name: key,
            domains: &[format!("{key}.example")],
            time_zone: "Europe/Kyiv",
            currency: "UAH",
            country: "UA",
            language: "uk",
        };
        let id = sites::insert(&self.db.pool, &site).await.unwrap().expect("a new key");
        self.reload_sites().await;
        self.state.sites.by_id(id).unwrap()
    }

    /// Reads the sites again, after a test changed the table.
    pub async fn reload_sites(&self) {
        self.state.sites.replace(sites::all(&self.db.pool).await.unwrap());
    }

    /// A user, without a usable password unless a hash is given.
    pub async fn user(&self, email: &str, role: Role, site: Option<&Site>, password_hash: &str) -> Uuid {
        let id = Uuid::from_u128(rand::random());
        let now = self.state.clock.now();
        let site_id = site.map(|site| site.id);
        assert!(
            users::insert(&self.db.pool, id, email, password_hash, role, site_id, now)
                .await
                .unwrap()
        );
        id
    }

    /// A client that is logged in with this role, to one site or all.
    pub async fn logged_in(&self, role: Role, site: Option<&Site>) -> reqwest::Client {
        let email = format!("{}@test.example", Uuid::from_u128(rand::random()).simple());
        let user = self.user(&email, role, site, "none").await;
        let token = token::session_token(rand::random());
        let now = self.state.clock.now();
        let hash = token::digest(token.expose());
        admin_sessions::insert(&self.db.pool, &hash, user, now, now + session::LIFE, None)
            .await
            .unwrap();
        client_with("cookie", &format!("{}={}", session::COOKIE, token.expose()))
    }

    /// A client that is logged in as admin of everything.
    pub async fn admin(&self) -> reqwest::Client {
        self.logged_in(Role::Admin, None).await
    }

    /// A new API key's token.
    pub async fn api_key(&self, site: &Site, scopes: &[Scope]) -> String {
        let token = token::api_token(rand::random());
        let (id, hash) = (token::key_id(rand::random()), token::digest(token.expose()));
        api_keys::insert(
            &self.db.pool,
            &id,
            site.id,
            &hash,
            "test",
            scopes,
            self.state.clock.now(),
        )
        .await
        .unwrap();
        self.state.keys.forget();
        token.expose().to_owned()
    }

    /// A client that sends a new API key with every request.
    pub async fn bearer(&self, site: &Site, scopes: &[Scope]) -> reqwest::Client {
        client_with("authorization", &format!("Bearer {}", self.api_key(site, scopes).await))
    }

    /// A new ingest key: its id, and the secret that batches are signed with.
    pub async fn ingest_key(&self, site: &Site) -> (String, String) {
        let id = token::key_id(rand::random());
        assert!(
            ingest_keys::insert(&self.db.pool, &id, site.id, "test", self.state.clock.now())
                .await
                .unwrap(),
            "a site has at most two live ingest keys"
        );
        self.state.keys.forget();
        let secret = self.state.config.secret.ingest_key(&id);
        (id, secret)
    }
}

/// Whether some connection to this database comes to wait for a lock before `other` is over.
pub async fn waits_for_a_lock<T>(pool: &PgPool, other: &tokio::task::JoinHandle<T>) -> bool {
    wait_for_locks(pool, 1, other).await
}

/// Whether so many connections to this database come to wait for locks before `other` is over.
pub async fn wait_for_locks<T>(pool: &PgPool, connections: i64, other: &tokio::task::JoinHandle<T>) -> bool {
    while !other.is_finished() {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        if waiting >= connections {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    false
}

/// A client that sends this header with every request.
pub fn client_with(name: &'static str, value: &str) -> reqwest::Client {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    reqwest::Client::builder().default_headers(headers).build().unwrap()
}
