//! Ingest: the real program over HTTP with signatures, interleaved with the bare SQL on the same tables.

mod bare;
mod generate;
mod http;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::table::{Row, median, percentile, publish};
use generate::Generator;
use server::Server;

/// What to measure, and with what.
#[derive(clap::Args)]
pub struct Args {
    /// The program, built for release.
    #[arg(long, default_value = "target/release/central-api")]
    program: PathBuf,
    /// Server on which a database is made and dropped; the role must be allowed to.
    #[arg(long, env = "UD_BENCH_DATABASE_URL")]
    database_url: String,
    /// Rounds of ours and the reference in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Batches of 500 in a round; 1,600 take about twelve seconds.
    #[arg(long, default_value_t = 1_600)]
    batches: usize,
    /// Events stored before measuring, to see whether it slows down as data grows.
    #[arg(long, default_value_t = 0)]
    preload: usize,
    /// Requests at once.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Requests at once when each holds one event.
    #[arg(long, default_value_t = 64)]
    single_connections: usize,
    /// Where the figures go.
    #[arg(long, default_value = ".dev/bench-ingest.json")]
    out: PathBuf,
}

/// Runs everything, prints the table, writes the JSON.
///
/// # Errors
/// Anything that keeps it from measuring; a budget that is not met is a row of the table, not an error.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let server = Server::start(&args.program, &args.database_url).await?;
    let result = measure(&args, &server).await;
    server.stop().await?;
    publish(&result?, &args.out)
}

async fn measure(args: &Args, server: &Server) -> anyhow::Result<Vec<Row>> {
    let mut generator = Generator::new(server.ours.clone(), server.bare.clone());
    if args.preload > 0 {
        let batches = generator.records(args.preload / generate::BATCH);
        bare::run(&server.pool, batches).await?;
    }
    // Nobody measures a cold start here: one round for both that does not count.
    batches_round(args, server, generator.requests(args.batches / 8, server)).await?;
    bare::run(&server.pool, generator.records(args.batches / 8)).await?;

    let (mut ours, mut bare_rates) = (Vec::new(), Vec::new());
    let mut rss: f64 = 0.0;
    let before = server.stored_events().await?;
    for round in 0..args.rounds {
        let requests = generator.requests(args.batches, server);
        let rate = batches_round(args, server, requests).await?;
        rss = rss.max(server.rss_mib()?);
        let records = generator.records(args.batches);
        let reference = bare::run(&server.pool, records).await?;
        println!("round {}: ours {rate:.0} events/s, bare SQL {reference:.0}", round + 1);
        ours.push(rate);
        bare_rates.push(reference);
    }
    let stored = server.stored_events().await? - before;
    let sent = (2 * args.rounds * args.batches * generate::BATCH) as i64;
    ensure!(stored == sent, "{stored} events are stored, {sent} were acknowledged");
    let rate = median(ours);
    let mut rows = vec![Row::ratio(
        "ingest, batches of 500",
        "events/s",
        rate,
        median(bare_rates),
        0.65,
    )];

    let mut latencies = half_load(server, generator.requests(args.batches / 2, server), rate / 2.0).await?;
    rows.push(Row::at_most(
        "ingest at half that load, p99",
        "ms",
        percentile(&mut latencies, 0.99),
        50.0,
    ));
    rss = rss.max(server.rss_mib()?);

    let (singles, mut waits) = single_events(args, server, &generator).await?;
    rows.push(Row::at_least(
        "one event per request, durable",
        "requests/s",
        singles,
        15_000.0,
    ));
    rows.push(Row::at_most(
        "one event per request at full load, p99",
        "ms",
        percentile(&mut waits, 0.99),
        50.0,
    ));
    rss = rss.max(server.rss_mib()?);
    rows.push(Row::at_most(
        "resident memory under ingest",
        "MiB",
        rss.max(server.peak_rss_mib()?),
        100.0,
    ));
    rows.push(Row::at_most(
        "stored per event, sessions and indexes in",
        "bytes",
        server.bytes_per_event().await?,
        480.0,
    ));
    Ok(rows)
}

/// Sends all requests over so many connections; events per second.
async fn batches_round(args: &Args, server: &Server, requests: Vec<Vec<u8>>) -> anyhow::Result<f64> {
    let events = requests.len() * generate::BATCH;
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = (0..args.connections)
        .map(|_| {
            let (requests, next, address) = (requests.clone(), next.clone(), server.address);
            tokio::spawn(async move {
                let mut connection = http::Connection::open(address).await?;
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let body = connection.send(request).await?;
                    ensure!(
                        body.starts_with(br#"{"accepted":500,"duplicates":0,"#),
                        "{}",
                        String::from_utf8_lossy(&body)
                    );
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

/// Sends on a fixed timetable, whether or not earlier ones were answered; milliseconds from the time each was due.
async fn half_load(server: &Server, requests: Vec<Vec<u8>>, events_per_second: f64) -> anyhow::Result<Vec<f64>> {
    const CONNECTIONS: usize = 16;
    let gap = Duration::from_secs_f64(generate::BATCH as f64 / events_per_second);
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now() + Duration::from_millis(50);
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (requests, next, address) = (requests.clone(), next.clone(), server.address);
            tokio::spawn(async move {
                let mut connection = http::Connection::open(address).await?;
                let mut waits = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(n) else {
                        return anyhow::Ok(waits);
                    };
                    let due = start + gap * u32::try_from(n)?;
                    tokio::time::sleep_until(due.into()).await;
                    connection.send(request).await?;
                    waits.push(due.elapsed().as_secs_f64() * 1_000.0);
                }
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await??);
    }
    Ok(waits)
}

/// One event per request for ten seconds; requests per second, and milliseconds each took.
async fn single_events(args: &Args, server: &Server, generator: &Generator) -> anyhow::Result<(f64, Vec<f64>)> {
    let requests = Arc::new(generator.single_requests(server));
    let started = Instant::now();
    let end = started + Duration::from_secs(10);
    let tasks: Vec<_> = (0..args.single_connections)
        .map(|lane| {
            let (requests, address) = (requests.clone(), server.address);
            tokio::spawn(async move {
                let mut connection = http::Connection::open(address).await?;
                let mut waits = Vec::new();
                let mut n = lane * 97;
                while Instant::now() < end {
                    let sent = Instant::now();
                    let body = connection.send(&requests[n % requests.len()]).await?;
                    n += 1;
                    ensure!(
                        body.windows(8).any(|part| part == b"accepted"),
                        "{}",
                        String::from_utf8_lossy(&body)
                    );
                    waits.push(sent.elapsed().as_secs_f64() * 1_000.0);
                }
                anyhow::Ok(waits)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.context("a load task ended")??);
    }
    Ok((waits.len() as f64 / started.elapsed().as_secs_f64(), waits))
}
