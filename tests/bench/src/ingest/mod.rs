//! Ingest: the real program over HTTP with signatures, interleaved with the bare SQL on the same tables.

mod bare;
mod generate;
mod growth;
pub(crate) mod http;
mod load;
mod server;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;

use crate::table::{Row, median, percentile, publish};
use generate::{BATCH, Generator};
use server::{Cpu, Server};

/// One of the things that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Start to ready, memory when idle.
    Start,
    /// Batches as fast as they go, against the bare SQL.
    Batches,
    /// Batches at half that load.
    Half,
    /// One event per request.
    Single,
    /// Batches again with many more events stored.
    Growth,
}

/// What to measure, and with what.
#[derive(clap::Args)]
pub struct Args {
    /// The program, built for release.
    #[arg(long, default_value = "target/release/central-api")]
    program: PathBuf,
    /// Server on which a database is made and dropped; the role must be allowed to.
    #[arg(long, env = "UD_BENCH_DATABASE_URL")]
    database_url: String,
    /// Seconds for which each load is measured; few for a try.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Seconds of a slice: ours and the reference take turns.
    #[arg(long, default_value_t = 6.0)]
    slice: f64,
    /// Which parts; all without.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Events stored for the last part; ten times and more of the first million takes minutes and gigabytes.
    #[arg(long, default_value_t = 10_000_000)]
    grow_to: i64,
    /// Requests at once.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Requests at once when each holds one event.
    #[arg(long, default_value_t = 256)]
    single_connections: usize,
    /// A database on that server that is filled already, with the bench's secret, for the last part; it is written to.
    #[arg(long)]
    database: Option<String>,
    /// Where the figures go.
    #[arg(long, default_value = ".dev/bench-ingest.json")]
    out: PathBuf,
    /// Where each request at half the load goes, a line each: when it was due in milliseconds since 1970, and milliseconds to its answer.
    #[arg(long)]
    waits: Option<PathBuf>,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Runs everything, prints the table, writes the JSON.
///
/// # Errors
/// Anything that keeps it from measuring; a budget that is not met is a row of the table, not an error.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut server = Server::start(&args.program, &args.database_url).await?;
    let result = measure(&args, &mut server).await;
    server.stop().await?;
    publish(&result?, &args.out)
}

async fn measure(args: &Args, server: &mut Server) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    if args.wants(Part::Start) {
        start(server, &mut rows).await?;
    }
    let mut generator = Generator::new(server.ours.clone(), server.bare.clone());
    // Nobody measures a cold start from here on: one short load for both that does not count, and tells how much a slice is.
    let mut ours = Pace::new();
    let mut bare = Pace::new();
    for seconds in [0.5, 1.0] {
        ours.ours(args, server, &mut generator, seconds).await?;
        bare.bare(server, &mut generator, seconds).await?;
    }
    ours.rates.clear();
    bare.rates.clear();
    let mut rss: f64 = 0.0;
    if args.wants(Part::Batches) {
        let before = server.stored_events().await?;
        let (mut spent, mut sent) = (0.0, 0);
        while spent < args.seconds {
            let (events, seconds) = ours.ours(args, server, &mut generator, args.slice).await?;
            rss = rss.max(server.rss_mib()?);
            let (events_bare, _) = bare.bare(server, &mut generator, args.slice).await?;
            println!(
                "{spent:.0} s: ours {:.0} events/s, bare SQL {:.0}",
                ours.last, bare.last
            );
            spent += seconds;
            sent += events + events_bare;
        }
        let stored = server.stored_events().await? - before;
        ensure!(
            stored == sent as i64,
            "{stored} events are stored, {sent} were acknowledged"
        );
        rows.push(Row::ratio(
            "ingest, batches of 500",
            "events/s",
            median(ours.rates.clone()),
            median(bare.rates.clone()),
            0.65,
        ));
        rows.push(Row::told(
            "its processor time, central-api",
            "µs/event",
            ours.cpu.program,
        ));
        rows.push(Row::told("its processor time, Postgres", "µs/event", ours.cpu.database));
    }
    if args.wants(Part::Half) {
        let rate = ours.median() / 2.0;
        let requests = generator.requests((rate * args.seconds) as usize / BATCH, server);
        let waits = load::on_time(server, requests, rate).await?;
        if let Some(file) = &args.waits {
            let lines: String = waits
                .iter()
                .map(|wait| format!("{} {:.1}\n", wait.due_ms, wait.took_ms))
                .collect();
            std::fs::write(file, lines)?;
        }
        let mut waits: Vec<f64> = waits.iter().map(|wait| wait.took_ms).collect();
        let name = "ingest at half that load";
        rows.push(Row::at_most(
            &format!("{name}, p99"),
            "ms",
            percentile(&mut waits, 0.99),
            50.0,
        ));
        rows.push(Row::told(&format!("{name}, p50"), "ms", percentile(&mut waits, 0.5)));
        rows.push(Row::told(
            &format!("{name}, longest"),
            "ms",
            percentile(&mut waits, 1.0),
        ));
        rss = rss.max(server.rss_mib()?);
    }
    if args.wants(Part::Single) {
        single(args, server, &generator, &mut rows).await?;
        rss = rss.max(server.rss_mib()?);
    }
    if [Part::Batches, Part::Half, Part::Single]
        .into_iter()
        .any(|part| args.wants(part))
    {
        let peak = rss.max(server.peak_rss_mib()?);
        rows.push(Row::at_most("resident memory under ingest", "MiB", peak, 100.0));
        rows.push(Row::at_most(
            "stored per event, sessions and indexes in",
            "bytes",
            server.bytes_per_event().await?,
            480.0,
        ));
    }
    if args.wants(Part::Growth) {
        growth::measure(args, server, &mut generator, &mut ours, &mut rows).await?;
    }
    Ok(rows)
}

async fn start(server: &mut Server, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let mut seconds = Vec::new();
    for _ in 0..5 {
        seconds.push(server.restart().await?);
    }
    rows.push(Row::at_most(
        "start to ready, migrated database",
        "s",
        median(seconds),
        1.0,
    ));
    // Long enough for everything that goes on by itself to have happened once.
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    rows.push(Row::at_most("resident memory, idle", "MiB", server.rss_mib()?, 40.0));
    Ok(())
}

async fn single(args: &Args, server: &Server, generator: &Generator, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let before = server.cpu().await?;
    let requests = generator.single_requests(server);
    let (rate, mut waits) = load::one_by_one(args.single_connections, args.seconds, server, requests).await?;
    let cpu = server.cpu().await?.since(before).per(waits.len());
    let name = "one event per request, durable";
    rows.push(Row::at_least(name, "requests/s", rate, 15_000.0));
    rows.push(Row::told(
        "one event per request at full load, p99",
        "ms",
        percentile(&mut waits, 0.99),
    ));
    rows.push(Row::told("its processor time, central-api", "µs/event", cpu.program));
    rows.push(Row::told("its processor time, Postgres", "µs/event", cpu.database));
    Ok(())
}

/// How fast one of the two was so far.
struct Pace {
    /// Events per second of each slice.
    rates: Vec<f64>,
    /// Of the last slice.
    last: f64,
    /// Microseconds per event in the last slice.
    cpu: Cpu,
}

impl Pace {
    fn new() -> Self {
        Self {
            rates: Vec::new(),
            // Before the first slice; far from it is only a shorter or longer first slice.
            last: 50_000.0,
            cpu: Cpu::default(),
        }
    }

    fn median(&self) -> f64 {
        if self.rates.is_empty() {
            self.last
        } else {
            median(self.rates.clone())
        }
    }

    fn batches(&self, seconds: f64) -> usize {
        ((self.last * seconds) as usize / BATCH).max(4)
    }

    fn note(&mut self, events: usize, seconds: f64) -> (usize, f64) {
        self.last = events as f64 / seconds;
        self.rates.push(self.last);
        (events, seconds)
    }

    /// A slice over HTTP of about so many seconds; its events and seconds.
    async fn ours(
        &mut self,
        args: &Args,
        server: &Server,
        generator: &mut Generator,
        seconds: f64,
    ) -> anyhow::Result<(usize, f64)> {
        let requests = generator.requests(self.batches(seconds), server);
        let events = requests.len() * BATCH;
        let before = server.cpu().await?;
        let took = load::flat_out(args.connections, server, requests).await?;
        self.cpu = server.cpu().await?.since(before).per(events);
        Ok(self.note(events, took))
    }

    /// The same of the bare SQL.
    async fn bare(&mut self, server: &Server, generator: &mut Generator, seconds: f64) -> anyhow::Result<(usize, f64)> {
        let records = generator.records(self.batches(seconds));
        let events = records.iter().map(Vec::len).sum();
        let started = Instant::now();
        bare::run(&server.pool, records).await?;
        Ok(self.note(events, started.elapsed().as_secs_f64()))
    }
}
