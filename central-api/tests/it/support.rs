#![allow(dead_code, reason = "not every build of the tests uses all of it")]
//! Boots the real application on a free port and a database of its own, cloned from a template that the migrations made once.

use std::str::FromStr;
use std::sync::Arc;

use central_api::clock::Clock;
use central_api::config::Config;
use central_api::site::Sites;
use central_api::state::AppState;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

fn server() -> PgConnectOptions {
    let url = std::env::var("UD_TEST_DATABASE_URL")
        .expect("UD_TEST_DATABASE_URL names the Postgres server for tests; ./dev test sets it");
    PgConnectOptions::from_str(&url).expect("UD_TEST_DATABASE_URL is a Postgres URL")
}

/// A database of its own, dropped with the value.
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

impl Drop for TestDb {
    fn drop(&mut self) {
        let name = self.name.clone();
        // The test's runtime is going down: a thread with its own one drops the database, and the test waits for it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                if let Ok(mut admin) = PgConnection::connect_with(&server()).await {
                    let _ = sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
                        .execute(&mut admin)
                        .await;
                }
            });
        })
        .join()
        .ok();
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
        let db = TestDb::new().await;
        let state = AppState {
            config: Arc::new(Config::for_tests()),
            pool: db.pool.clone(),
            read_pool: db.pool.clone(),
            clock,
            sites: Sites::default(),
        };
        state
            .sites
            .replace(central_api::db::sites::all(&db.pool).await.unwrap());
        let (router, _) = central_api::router::build(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
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
}
