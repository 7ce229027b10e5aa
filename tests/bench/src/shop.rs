//! An invented shop in a database, and the program running on it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use central_api::auth::{Scope, token};
use central_api::db::api_keys;
use chrono::Utc;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, PgConnection, PgPool};
use tokio::process::{Child, Command};

const SECRET: &str = "the secret of a bench is at least thirty-two characters";
/// 1,000,000.
pub const MILLION: u64 = 1_000_000;

/// What is measured, and where.
#[derive(clap::Args)]
pub struct Target {
    /// The program, built for release.
    #[arg(long, default_value = "target/release/central-api")]
    pub program: PathBuf,
    /// Server on which databases are made and dropped; the role must be allowed to.
    #[arg(long, env = "UD_BENCH_DATABASE_URL")]
    pub database_url: String,
    /// Measures a database that is there, filled by demo-data, instead of making any; its sums are brought up to date first.
    #[arg(long)]
    pub database: Option<String>,
    /// Orders.
    #[arg(long, default_value_t = MILLION)]
    pub orders: u64,
}

/// A running program on a filled database.
pub struct Shop {
    child: Child,
    /// The database.
    pub pool: PgPool,
    admin: PgConnectOptions,
    database: String,
    /// Where the program listens.
    pub address: SocketAddr,
    /// May read.
    pub token: String,
}

impl Shop {
    /// Makes a database and fills it. Answers sessions stored per second.
    pub async fn fill(args: &Target, database: &str, sessions: u64) -> anyhow::Result<f64> {
        let admin = PgConnectOptions::from_str(&args.database_url)?;
        let mut connection = PgConnection::connect_with(&admin).await?;
        sqlx::query(AssertSqlSafe(format!("create database {database}")))
            .execute(&mut connection)
            .await?;
        let (sessions, orders) = (sessions.to_string(), args.orders.to_string());
        for arguments in [
            vec!["migrate"],
            vec!["create-site", "shop"],
            vec!["demo-data", "--sessions", &sessions, "--orders", &orders],
        ] {
            let output = command(&args.program, &admin, database)
                .args(&arguments)
                .env("RUST_LOG", "error")
                .stderr(Stdio::inherit())
                .output()
                .await
                .with_context(|| format!("starting {}", args.program.display()))?;
            ensure!(output.status.success(), "{arguments:?} failed");
            let said = String::from_utf8_lossy(&output.stdout);
            // "1000000 sessions in 12.3 s (81300/s)."
            if let Some((_, rest)) = said.split_once(" s (") {
                let number = rest.split('/').next().unwrap_or_default();
                return number.parse().context("the speed of demo-data");
            }
        }
        bail!("demo-data did not say how fast it was")
    }

    /// Starts the program on a database and waits until it listens.
    pub async fn open(args: &Target, database: &str) -> anyhow::Result<Self> {
        let admin = PgConnectOptions::from_str(&args.database_url)?;
        let migrated = command(&args.program, &admin, database)
            .arg("migrate")
            .stdout(Stdio::null())
            .status()
            .await?;
        ensure!(migrated.success(), "migrate failed");
        let pool = PgPoolOptions::new()
            .max_connections(2)
            .connect_with(admin.clone().database(database).disable_statement_logging())
            .await?;
        central_api::rollup::upkeep::catch_up(&pool, Utc::now(), |_| {}).await?;
        sqlx::query("vacuum analyze").execute(&pool).await?;
        let site_id: i32 = sqlx::query_scalar("select min(site_id) from sessions")
            .fetch_one(&pool)
            .await?;
        let api = token::api_token([7; 32]);
        sqlx::query("delete from api_keys where key_id = 'bench'")
            .execute(&pool)
            .await?;
        let digest = token::digest(api.expose());
        api_keys::insert(&pool, "bench", site_id, &digest, "bench", &[Scope::Read], Utc::now()).await?;

        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        drop(listener);
        let child = command(&args.program, &admin, database)
            .arg("serve")
            .env("UD_LISTEN", address.to_string())
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let shop = Self {
            child,
            pool,
            admin,
            database: database.to_owned(),
            address,
            token: api.expose().to_owned(),
        };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Ok(shop);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the program does not listen on {address}")
    }

    /// Resident memory of the program, in MiB.
    ///
    /// # Errors
    /// It does not run any more.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        let id = self.child.id().context("the program ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = line
            .and_then(|line| line.split_whitespace().next())
            .context("no VmRSS")?
            .parse()?;
        Ok(kib / 1_024.0)
    }

    /// Ends the program; `drop_it`: drops the database as well.
    pub async fn stop(mut self, drop_it: bool) -> anyhow::Result<()> {
        self.child.kill().await?;
        self.pool.close().await;
        if drop_it {
            let mut connection = PgConnection::connect_with(&self.admin).await?;
            sqlx::query(AssertSqlSafe(format!("drop database {} with (force)", self.database)))
                .execute(&mut connection)
                .await?;
        }
        Ok(())
    }
}

/// Drops a database, whoever uses it.
pub async fn drop_database(args: &Target, database: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect_with(&PgConnectOptions::from_str(&args.database_url)?).await?;
    sqlx::query(AssertSqlSafe(format!(
        "drop database if exists {database} with (force)"
    )))
    .execute(&mut connection)
    .await?;
    Ok(())
}

fn command(program: &Path, admin: &PgConnectOptions, database: &str) -> Command {
    let url = admin.clone().database(database).application_name("central-api");
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("DATABASE_URL", url.to_url_lossy().as_str())
        .env("UD_SECRET", SECRET);
    command
}
