//! Every endpoint of the analytics over HTTP, on an invented shop's thirteen months; at a tenth of the sessions too, to see what grows.

mod requests;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use chrono::Utc;

use crate::ingest::http::{Connection, get};
use crate::shop::{MILLION, Shop, Target, drop_database};
use crate::table::{Row, median, percentile, publish};

/// What to measure, and with what.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Sessions.
    #[arg(long, default_value_t = MILLION)]
    sessions: u64,
    /// Ten million sessions after the first size; takes some 40 GB and half an hour.
    #[arg(long)]
    large: bool,
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
    if let Some(name) = &args.target.database {
        let shop = Shop::open(&args.target, name).await?;
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
            let filled = Shop::fill(&args.target, &name, sessions).await;
            let per_second = match filled {
                Ok(per_second) => per_second,
                Err(error) => {
                    drop_database(&args.target, &name).await.ok();
                    return Err(error);
                }
            };
            let shop = Shop::open(&args.target, &name).await?;
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
