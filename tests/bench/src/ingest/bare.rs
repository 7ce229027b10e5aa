//! The reference: the product's own insert and upsert statements on the same tables with rows made beforehand, two connections, no HTTP,
//! no JSON, no signature, no marks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use central_api::db::{events, sessions};
use central_api::ingest::fold::fold;
use central_api::ingest::record::EventRecord;
use sqlx::PgPool;

/// Stores all batches; events per second.
pub async fn run(pool: &PgPool, batches: Vec<Vec<EventRecord>>) -> anyhow::Result<f64> {
    let count: usize = batches.iter().map(Vec::len).sum();
    let batches = Arc::new(batches);
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let (pool, batches, next) = (pool.clone(), batches.clone(), next.clone());
            tokio::spawn(async move {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let rows: Vec<&EventRecord> = batch.iter().collect();
                    let changes = fold(batch);
                    let mut tx = pool.begin().await?;
                    events::insert(&mut tx, &rows).await?;
                    sessions::merge(&mut tx, &changes).await?;
                    tx.commit().await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}
