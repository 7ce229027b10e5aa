//! Loads: as fast as so many connections can, on a timetable, and one event a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::generate::BATCH;
use super::http;
use super::server::Server;

/// Sends all requests over so many connections; seconds that it took.
pub async fn flat_out(connections: usize, server: &Server, requests: Vec<Vec<u8>>) -> anyhow::Result<f64> {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let expected = format!(r#"{{"accepted":{BATCH},"duplicates":0,"#);
    let started = Instant::now();
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (requests, next, address, expected) =
                (requests.clone(), next.clone(), server.address, expected.clone());
            tokio::spawn(async move {
                let mut connection = http::Connection::open(address).await?;
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let body = connection.send(request).await?;
                    ensure!(
                        body.starts_with(expected.as_bytes()),
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
    Ok(started.elapsed().as_secs_f64())
}

/// A request of a timetable.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// When it was due, in milliseconds since 1970.
    pub due_ms: i64,
    /// Milliseconds from then to the answer.
    pub took_ms: f64,
}

/// Sends on a fixed timetable, whether or not earlier ones were answered.
pub async fn on_time(server: &Server, requests: Vec<Vec<u8>>, events_per_second: f64) -> anyhow::Result<Vec<Wait>> {
    const CONNECTIONS: usize = 16;
    let gap = Duration::from_secs_f64(BATCH as f64 / events_per_second);
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now() + Duration::from_millis(50);
    let start_ms = chrono::Utc::now().timestamp_millis() + 50;
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
                    let after = gap * u32::try_from(n)?;
                    let due = start + after;
                    tokio::time::sleep_until(due.into()).await;
                    connection.send(request).await?;
                    waits.push(Wait {
                        due_ms: start_ms + i64::try_from(after.as_millis())?,
                        took_ms: due.elapsed().as_secs_f64() * 1_000.0,
                    });
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

/// One event per request, over so many connections for so many seconds; requests per second, and milliseconds each took.
pub async fn one_by_one(
    connections: usize,
    seconds: f64,
    server: &Server,
    requests: Vec<Vec<u8>>,
) -> anyhow::Result<(f64, Vec<f64>)> {
    let requests = Arc::new(requests);
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(seconds);
    let tasks: Vec<_> = (0..connections)
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
