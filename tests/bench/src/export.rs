//! All sessions as CSV over HTTP, against `COPY` of the same columns out of the same database.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::ensure;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::shop::{MILLION, Shop, Target, drop_database};
use crate::table::{Row, median, publish};

/// What to measure, and with what.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Sessions, where a database is made.
    #[arg(long, default_value_t = MILLION)]
    sessions: u64,
    /// Files of each kind, one after the other in turns.
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Where the JSON goes.
    #[arg(long, default_value = ".dev/bench/export.json")]
    out: PathBuf,
}

/// The same columns in the same order, times local as in the file.
const COPY: &str = "copy (select session_id, visitor_id, first_seen at time zone 'Europe/Kyiv', last_seen at time zone 'Europe/Kyiv', \
     utm_source, utm_medium, utm_campaign, utm_content, utm_term, channel, click_platform, referrer_host, landing_path, country, region, city, \
     device_type, os_name, browser_name, language, visit_count, page_views, points, \
     lead_orders > 0 or paid_orders > 0 or lead_at is not null or purchase_at is not null, orders, revenue, bot_reason is not null \
     from sessions where bot_reason is null order by first_seen desc, visitor_id desc, session_id desc) to stdout (format csv)";

/// Runs it.
///
/// # Errors
/// The program does not start, a file is not whole, or the database's.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let (shop, made) = match &args.target.database {
        Some(name) => (Shop::open(&args.target, name).await?, false),
        None => {
            let name = format!("ud_bench_export_{}", std::process::id());
            if let Err(error) = Shop::fill(&args.target, &name, args.sessions).await {
                drop_database(&args.target, &name).await.ok();
                return Err(error);
            }
            (Shop::open(&args.target, &name).await?, true)
        }
    };
    let measured = measure(&args, &shop).await;
    shop.stop(made).await?;
    publish(&measured?, &args.out)
}

async fn measure(args: &Args, shop: &Shop) -> anyhow::Result<Vec<Row>> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let idle = shop.resident_mib()?;
    let mut most: f64 = idle;
    for _ in 0..args.turns {
        let started = Instant::now();
        // The header is a row too.
        let rows = file(shop, &mut most).await? - 1;
        ours.push(rows as f64 / started.elapsed().as_secs_f64());
        let started = Instant::now();
        let copied = copy(&shop.pool).await?;
        ensure!(rows == copied, "{rows} rows came, {copied} are there");
        theirs.push(copied as f64 / started.elapsed().as_secs_f64());
    }
    Ok(vec![
        Row::ratio(
            "export of all sessions as CSV / COPY",
            "rows/s",
            median(ours),
            median(theirs),
            0.5,
        ),
        Row::told("resident memory before", "MiB", idle),
        Row::at_most("resident memory added by exports, at most", "MiB", most - idle, 32.0),
    ])
}

/// Asks for the file and answers its lines: no text of the demo data holds the end of one.
async fn file(shop: &Shop, most: &mut f64) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(shop.address).await?;
    // In HTTP/1.0 the body is the file itself, up to the end of the connection.
    let request = format!(
        "GET /api/utm/export-csv?type=sessions&period=all_time HTTP/1.0\r\nhost: bench\r\nauthorization: Bearer {}\r\n\r\n",
        shop.token
    );
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(256 * 1_024);
    let body = loop {
        ensure!(stream.read_buf(&mut buffer).await? > 0, "the connection was closed");
        if let Some(end) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
    };
    ensure!(
        buffer.starts_with(b"HTTP/1.0 200"),
        "{}",
        String::from_utf8_lossy(&buffer)
    );
    buffer.drain(..body);
    let (mut lines, mut looked_at) = (0, Instant::now());
    loop {
        lines += ends(&buffer);
        buffer.clear();
        if looked_at.elapsed().as_millis() > 100 {
            *most = most.max(shop.resident_mib()?);
            looked_at = Instant::now();
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(lines);
        }
    }
}

async fn copy(pool: &PgPool) -> anyhow::Result<u64> {
    let mut connection = pool.acquire().await?;
    let mut chunks = connection.copy_out_raw(COPY).await?;
    let mut lines = 0;
    while let Some(chunk) = chunks.try_next().await? {
        lines += ends(&chunk);
    }
    Ok(lines)
}

fn ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
