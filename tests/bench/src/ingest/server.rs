//! The real program on a database of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use central_api::auth::{Scope, token};
use central_api::db::{api_keys, ingest_keys, partitions, sites};
use central_api::secret::Secret;
use central_api::site::Site;
use chrono::{TimeDelta, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::process::{Child, Command};

use super::http;

const SECRET: &str = "the secret of a bench is at least thirty-two characters";

/// Processor time: seconds spent so far, or microseconds for one event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// Of central-api.
    pub program: f64,
    /// Of Postgres' processes for its database.
    pub database: f64,
}

impl Cpu {
    /// What came on top of `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            program: self.program - before.program,
            database: self.database - before.database,
        }
    }

    /// Microseconds for one of so many events.
    pub fn per(self, events: usize) -> Self {
        let one = 1e6 / events as f64;
        Self {
            program: self.program * one,
            database: self.database * one,
        }
    }
}

/// A running program, and what is needed to talk to it.
pub struct Server {
    child: Child,
    program: PathBuf,
    database_url: String,
    admin: PgConnectOptions,
    database: String,
    /// Made here, to be dropped again.
    own: bool,
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
        let (ours, bare) = (site(made[0])?, site(made[1])?);
        Self::serve(program, admin, database, pool, ours, bare, true).await
    }

    /// Starts the program on a database that is filled already, to send to its first site.
    pub async fn on_filled(program: &Path, url: &str, database: &str) -> anyhow::Result<Self> {
        let admin = PgConnectOptions::from_str(url)?;
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect_with(admin.clone().database(database))
            .await?;
        let now = Utc::now();
        partitions::ensure_months(&pool, now - TimeDelta::days(31), now + TimeDelta::days(31)).await?;
        let first = sites::all(&pool).await?.into_iter().min_by_key(|site| site.id);
        let site = Arc::new(first.with_context(|| format!("{database} has no site"))?);
        Self::serve(program, admin, database.to_owned(), pool, site.clone(), site, false).await
    }

    /// Makes keys and starts the program on a free port.
    async fn serve(
        program: &Path,
        admin: PgConnectOptions,
        database: String,
        pool: PgPool,
        ours: Arc<Site>,
        bare: Arc<Site>,
        own: bool,
    ) -> anyhow::Result<Self> {
        let now = Utc::now();
        let key_id = format!("bench{}", std::process::id());
        ingest_keys::insert(&pool, &key_id, ours.id, "bench", now).await?;
        let api = token::api_token(rand::random());
        api_keys::insert(
            &pool,
            &key_id,
            ours.id,
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
        let database_url = sqlx::ConnectOptions::to_url_lossy(&database_url).to_string();
        let server = Self {
            child: spawn(program, &database_url, address)?,
            program: program.to_owned(),
            database_url,
            admin,
            database,
            own,
            address,
            ours,
            bare,
            key: Secret::new(SECRET).ingest_key(&key_id),
            key_id,
            token: api.expose().to_owned(),
            pool,
        };
        server.ready().await?;
        Ok(server)
    }

    /// Ends the program.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        if self.child.id().is_some() {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Ends the program and starts it again; seconds until it was ready.
    pub async fn restart(&mut self) -> anyhow::Result<f64> {
        self.end().await?;
        let started = Instant::now();
        self.child = spawn(&self.program, &self.database_url, self.address)?;
        self.ready().await?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Asks again and again whether it is ready.
    async fn ready(&self) -> anyhow::Result<()> {
        const ASK: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: bench\r\n\r\n";
        for _ in 0..2_000 {
            if let Ok(mut connection) = http::Connection::open(self.address).await
                && connection.send(ASK).await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the program is not ready on {}", self.address)
    }

    /// Stops the program and drops the database, or in one that was there revokes the keys.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.end().await?;
        if !self.own {
            ingest_keys::revoke(&self.pool, &self.key_id, Utc::now()).await?;
            api_keys::revoke(&self.pool, &self.key_id, Utc::now()).await?;
            self.pool.close().await;
            return Ok(());
        }
        self.pool.close().await;
        let mut connection = PgConnection::connect_with(&self.admin).await?;
        sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.database)))
            .execute(&mut connection)
            .await?;
        Ok(())
    }

    /// Stores copies of up to so many events and a quarter as many sessions under other visitors, each `copy` under others.
    pub async fn multiply(&self, copy: i32, events: i64) -> anyhow::Result<()> {
        let columns: Vec<String> = sqlx::query_scalar(
            "select column_name::text from information_schema.columns where table_name = 'sessions' and column_name <> 'visitor_id' order by ordinal_position",
        )
        .fetch_all(&self.pool)
        .await?;
        let columns = columns.join(", ");
        let copied = "md5(visitor_id::text || $1::int)::uuid";
        let event_columns: Vec<String> = sqlx::query_scalar(
            "select column_name::text from information_schema.columns where table_name = 'events' and column_name <> 'visitor_id' order by ordinal_position",
        )
        .fetch_all(&self.pool)
        .await?;
        let event_columns = event_columns.join(", ");
        sqlx::query(AssertSqlSafe(format!(
            "insert into events (visitor_id, {event_columns}) select {copied}, {event_columns} from events limit $2 on conflict do nothing"
        )))
        .bind(copy)
        .bind(events)
        .execute(&self.pool)
        .await?;
        sqlx::query(AssertSqlSafe(format!(
            "insert into sessions (visitor_id, {columns}) select {copied}, {columns} from sessions limit $2 / 4 on conflict do nothing"
        )))
        .bind(copy)
        .bind(events)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets the database write down what it holds back, so that it does not do so while something is measured.
    pub async fn settle(&self) -> anyhow::Result<()> {
        for statement in ["vacuum analyze events", "vacuum analyze sessions", "checkpoint"] {
            sqlx::query(statement).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Processor time spent so far.
    pub async fn cpu(&self) -> anyhow::Result<Cpu> {
        let backends: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity where application_name = 'central-api' and datname = current_database()",
        )
        .fetch_all(&self.pool)
        .await?;
        let program = self.child.id().context("the program has ended")?;
        Ok(Cpu {
            program: cpu_seconds(program)?,
            // Only where Postgres runs here too.
            database: backends
                .iter()
                .filter_map(|pid| cpu_seconds(pid.unsigned_abs()).ok())
                .sum(),
        })
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

fn spawn(program: &Path, database_url: &str, address: SocketAddr) -> anyhow::Result<Child> {
    Command::new(program)
        .arg("serve")
        .env_clear()
        .env("DATABASE_URL", database_url)
        .env("UD_SECRET", SECRET)
        .env("UD_LISTEN", address.to_string())
        // As the files in deploy/ have it.
        .env("MIMALLOC_PURGE_DELAY", "10")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!(
                "starting {}; build it with cargo build --release -p central-api",
                program.display()
            )
        })
}

/// User and system time of a process and all its threads, from `/proc`.
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    /// Fixed by the kernel's interface on every architecture that this runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name stands in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')').context("a name in /proc")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("times in /proc")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
