//! Every endpoint of the analytics over HTTP, on an invented shop's thirteen months; at a tenth of the sessions too, to see what grows.

mod requests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use central_api::auth::{Scope, token};
use central_api::db::api_keys;
use chrono::Utc;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, PgConnection, PgPool};
use tokio::process::{Child, Command};

use crate::ingest::http::{Connection, get};
use crate::table::{Row, median, percentile, publish};

const SECRET: &str = "the secret of a bench is at least thirty-two characters";
const MILLION: u64 = 1_000_000;

/// What to measure, and with what.
#[derive(clap::Args)]
pub struct Args {
    /// The program, built for release.
    #[arg(long, default_value = "target/release/central-api")]
    program: PathBuf,
    /// Server on which databases are made and dropped; the role must be allowed to.
    #[arg(long, env = "UD_BENCH_DATABASE_URL")]
    database_url: String,
    /// Measures a database that is there, filled by demo-data, instead of making any; its sums are brought up to date first.
    #[arg(long)]
    database: Option<String>,
    /// Sessions.
    #[arg(long, default_value_t = MILLION)]
    sessions: u64,
    /// Ten million sessions after the first size; takes some 40 GB and half an hour.
    #[arg(long)]
    large: bool,
    /// Orders.
    #[arg(long, default_value_t = MILLION)]
    orders: u64,
    /// Requests of each kind, after two that warm up.
    #[arg(long, default_value_t = 20)]
    requests: usize,
    /// Where the JSON goes.
    #[arg(long, default_value = ".dev/bench/reports.json")]
    out: PathBuf,
}

/// Runs it.
///
/// # Errors
/// The program does not start, an answer is not a 200, or the database's.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    if let Some(name) = &args.database {
        let shop = Shop::open(&args, name).await?;
        let sessions: i64 = sqlx::query_scalar("select count(*) from sessions")
            .fetch_one(&shop.pool)
            .await?;
        let sessions = u64::try_from(sessions)?;
        measure(&args, &shop, sessions, &mut rows).await?;
        shop.stop(false).await?;
    } else {
        let mut sizes = vec![args.sessions / 10, args.sessions];
        if args.large {
            sizes.push(args.sessions * 10);
        }
        let mut before: Vec<(String, f64)> = Vec::new();
        for sessions in sizes {
            let name = format!("ud_bench_reports_{}", std::process::id());
            let filled = Shop::fill(&args, &name, sessions).await;
            let per_second = match filled {
                Ok(per_second) => per_second,
                Err(error) => {
                    drop_database(&args, &name).await.ok();
                    return Err(error);
                }
            };
            let shop = Shop::open(&args, &name).await?;
            let first = rows.len();
            if sessions >= MILLION {
                let label = format!("{}: demo-data", size(sessions));
                rows.push(Row::at_least(&label, "sessions/s", per_second, 50_000.0));
            }
            let measured = measure(&args, &shop, sessions, &mut rows).await;
            shop.stop(true).await?;
            measured?;
            slopes(&mut before, &mut rows, first);
        }
    }
    publish(&rows, &args.out)
}

fn size(sessions: u64) -> String {
    match sessions {
        MILLION.. => format!("{} M", sessions / MILLION),
        _ => format!("{} k", sessions / 1_000),
    }
}

/// Tells of each row how many times longer it takes than with a tenth of the sessions.
fn slopes(before: &mut Vec<(String, f64)>, rows: &mut [Row], first: usize) {
    let now: Vec<(String, f64)> = (rows[first..].iter())
        .filter_map(|row| Some((row.name.split_once(": ")?.1.to_owned(), row.ours)))
        .collect();
    for row in &mut rows[first..] {
        let name = row
            .name
            .split_once(": ")
            .map(|(_, name)| name.to_owned())
            .unwrap_or_default();
        if let Some((_, ours)) = before.iter().find(|(known, _)| *known == name) {
            row.reference = Some(*ours);
            row.ratio = Some(row.ours / ours);
        }
    }
    *before = now;
}

async fn measure(args: &Args, shop: &Shop, sessions: u64, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let today = Utc::now().with_timezone(&chrono_tz::Europe::Kyiv).date_naive();
    let budget = |(one, ten): (Option<f64>, Option<f64>)| match sessions {
        // A smaller one has to keep the larger one's.
        ..=MILLION => one,
        _ => ten,
    };
    let label = size(sessions);
    let mut connection = Connection::open(shop.address).await?;
    for asked in requests::single(today) {
        let request = get(&asked.path, &[("authorization", &format!("Bearer {}", shop.token))]);
        let mut took = Vec::with_capacity(args.requests);
        for turn in 0..args.requests + 2 {
            let started = Instant::now();
            let answer = connection.send(&request).await.with_context(|| asked.path.clone())?;
            ensure!(!answer.is_empty(), "{} answers nothing", asked.path);
            if turn >= 2 {
                took.push(started.elapsed().as_secs_f64() * 1_000.0);
            }
        }
        let p95 = percentile(&mut took, 0.95);
        let name = format!("{label}: {}", asked.name);
        rows.push(Row::latency(&name, median(took), p95, budget(asked.budget_ms)));
    }
    for (days, budget_ms) in [(30, (Some(150.0), Some(400.0))), (90, (Some(250.0), Some(600.0)))] {
        let paths = requests::dashboard(today, days);
        let mut took = Vec::new();
        for turn in 0..args.requests.min(10) + 1 {
            let started = Instant::now();
            let mut panels = tokio::task::JoinSet::new();
            for path in &paths {
                let request = get(path, &[("authorization", &format!("Bearer {}", shop.token))]);
                let address = shop.address;
                panels.spawn(async move { Connection::open(address).await?.send(&request).await });
            }
            while let Some(panel) = panels.join_next().await {
                panel??;
            }
            if turn >= 1 {
                took.push(started.elapsed().as_secs_f64() * 1_000.0);
            }
        }
        let p95 = percentile(&mut took, 0.95);
        let name = format!("{label}: dashboard, {} panels at once, {days} days", paths.len());
        rows.push(Row::latency(&name, median(took), p95, budget(budget_ms)));
    }
    Ok(())
}

/// A running program on a filled database.
struct Shop {
    child: Child,
    pool: PgPool,
    admin: PgConnectOptions,
    database: String,
    address: SocketAddr,
    token: String,
}

impl Shop {
    /// Makes a database and fills it. Answers sessions stored per second.
    async fn fill(args: &Args, database: &str, sessions: u64) -> anyhow::Result<f64> {
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

    async fn open(args: &Args, database: &str) -> anyhow::Result<Self> {
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

    async fn stop(mut self, drop_it: bool) -> anyhow::Result<()> {
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

async fn drop_database(args: &Args, database: &str) -> anyhow::Result<()> {
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
