//! Reports of ad spend: read whole, since rows of one day and campaign add up, and stored in one transaction.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;

use super::run::{Rejects, Summary};
use super::source::Input;
use crate::db::{ad_spend, data_versions};
use crate::site::Site;
use crate::spend::file::{Defaults, read};

/// Bytes of one report, decompressed.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Imports one report. The same report again changes nothing.
///
/// # Errors
/// The file cannot be read, has no header that is known, or the database does not answer; then nothing was stored.
pub async fn file(
    pool: &PgPool,
    site: &Site,
    input: &Input,
    rejected: Option<PathBuf>,
    defaults: &Defaults,
    now: DateTime<Utc>,
) -> anyhow::Result<Summary> {
    let from = input.clone();
    let bytes = tokio::task::spawn_blocking(move || bytes(&from)).await??;
    let report = read(&bytes, site, defaults, now)?;
    let rows: Vec<_> = report.spend.iter().collect();
    let bar = ProgressBar::new(rows.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>8} [{elapsed_precise}] {bar:30} {pos}/{len} ({eta} left)")
    {
        bar.set_style(style);
    }
    bar.set_prefix("spend");
    let mut tx = pool.begin().await?;
    let changed = ad_spend::upsert(&mut tx, site.id, &rows, |done| bar.set_position(done as u64)).await?;
    data_versions::bump_all(&mut *tx, site.id).await?;
    tx.commit().await?;
    bar.finish_and_clear();
    let mut rejects = Rejects::new("spend", input, rejected.as_deref(), false);
    rejects.write(&report.refused)?;
    let stored = changed.new + changed.changed;
    Ok(Summary {
        skipped: 0,
        stored,
        unchanged: rows.len() as u64 - stored,
        rejected: report.refused.len() as u64,
        rejected_file: rejects.close()?,
    })
}

fn bytes(input: &Input) -> anyhow::Result<Vec<u8>> {
    let mut raw = Vec::new();
    let (name, read) = match input {
        Input::Stdin => (
            "the standard input".to_owned(),
            std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut raw),
        ),
        Input::File(path) => {
            let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut raw));
            (path.display().to_string(), read)
        }
    };
    read.with_context(|| format!("cannot read {name}"))?;
    if raw.starts_with(&[0x1f, 0x8b]) {
        let mut text = Vec::new();
        MultiGzDecoder::new(&raw[..])
            .take(MAX_BYTES + 1)
            .read_to_end(&mut text)
            .with_context(|| format!("cannot decompress {name}"))?;
        raw = text;
    }
    if raw.len() as u64 > MAX_BYTES {
        bail!("{name} is larger than {MAX_BYTES} bytes; import it in parts");
    }
    Ok(raw)
}
