//! The real program on a database of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use central_api::auth::{Scope, token};
use central_api::db::{api_keys, ingest_keys, partitions, sites};
use central_api::secret::Secret;
use central_api::site::Site;
use chrono::{TimeDelta, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::process::{Child, Command};

const SECRET: &str = "the secret of a bench is at least thirty-two characters";

/// A running program, and what is needed to talk to it.
pub struct Server {
    child: Child,
    admin: PgConnectOptions,
    database: String,
    /// To the database, for the reference.
    pub pool: PgPool,
    /// Where it listens.
    pub address: SocketAddr,
    /// The site that is sent to.
    pub ours: Arc<Site>,
    /// The reference's site.
    pub bare: Arc<Site>,
    /// Signs batches.
    pub key_id: String,
    /// See `key_id`.
    pub key: String,
    /// API key.
    pub token: String,
}

impl Server {
    /// Makes a database, sites and keys, and starts the program on a free port.
    pub async fn start(program: &Path, url: &str) -> anyhow::Result<Self> {
        let admin = PgConnectOptions::from_str(url)?;
        let database = format!("ud_bench_{}", std::process::id());
        let mut connection = PgConnection::connect_with(&admin)
            .await
            .context("connecting to the bench's database server")?;
        sqlx::query(AssertSqlSafe(format!("create database {database}")))
            .execute(&mut connection)
            .await?;
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect_with(admin.clone().database(&database))
            .await?;
        central_api::MIGRATOR.run(&pool).await?;
        let now = Utc::now();
        partitions::ensure_months(&pool, now - TimeDelta::days(31), now + TimeDelta::days(31)).await?;
        let mut made = Vec::new();
        for key in ["ours", "bare"] {
            let site = sites::NewSite {
                key,
                name: key,
                domains: &["shop.example".to_owned()],
                time_zone: "Europe/Kyiv",
                currency: "UAH",
                country: "UA",
                language: "uk",
            };
            made.push(sites::insert(&pool, &site).await?.context("a new site")?);
        }
        let list = sites::all(&pool).await?;
        let site = |id: i32| {
            list.iter()
                .find(|site| site.id == id)
                .cloned()
                .map(Arc::new)
                .context("the site that was just made")
        };
        let key_id = "bench".to_owned();
        ingest_keys::insert(&pool, &key_id, made[0], "bench", now).await?;
        let api = token::api_token([7; 32]);
        api_keys::insert(
            &pool,
            "bench",
            made[0],
            &token::digest(api.expose()),
            "bench",
            &[Scope::Events],
            now,
        )
        .await?;

        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        drop(listener);
        let mut database_url = admin.clone().database(&database);
        database_url = database_url.application_name("central-api");
        let child = Command::new(program)
            .arg("serve")
            .env_clear()
            .env(
                "DATABASE_URL",
                sqlx::ConnectOptions::to_url_lossy(&database_url).as_str(),
            )
            .env("UD_SECRET", SECRET)
            .env("UD_LISTEN", address.to_string())
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "starting {}; build it with cargo build --release -p central-api",
                    program.display()
                )
            })?;
        let server = Self {
            child,
            admin,
            database,
            address,
            ours: site(made[0])?,
            bare: site(made[1])?,
            key: Secret::new(SECRET).ingest_key(&key_id),
            key_id,
            token: api.expose().to_owned(),
            pool,
        };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the program does not listen on {address}")
    }

    /// Stops the program and drops the database.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.pool.close().await;
        let mut connection = PgConnection::connect_with(&self.admin).await?;
        sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.database)))
            .execute(&mut connection)
            .await?;
        Ok(())
    }

    /// Events in the table.
    pub async fn stored_events(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("select count(*) from events")
            .fetch_one(&self.pool)
            .await?)
    }

    /// Bytes of events and sessions with all indexes, per event.
    pub async fn bytes_per_event(&self) -> anyhow::Result<f64> {
        let bytes: i64 = sqlx::query_scalar(
            "select (select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'events'::regclass)::bigint
                    + pg_total_relation_size('sessions') + pg_total_relation_size('user_agents')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(bytes as f64 / self.stored_events().await? as f64)
    }

    /// Resident memory now.
    pub fn rss_mib(&self) -> anyhow::Result<f64> {
        self.status("VmRSS:")
    }

    /// The most resident memory there ever was.
    pub fn peak_rss_mib(&self) -> anyhow::Result<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> anyhow::Result<f64> {
        let id = self.child.id().context("the program has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status
            .lines()
            .find(|line| line.starts_with(field))
            .context("memory in /proc")?;
        let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kib / 1_024.0)
    }
}
