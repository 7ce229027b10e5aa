//! A file of rows as an answer, CSV or XLSX, sent as the rows are read.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::error::ApiError;
use crate::reports::csv::Chunks;
use crate::reports::sheet::{Column, Part};
use crate::reports::xlsx;
use crate::state::AppState;

/// Files at once in one process: each holds a connection for reading as long as somebody saves it.
pub const AT_ONCE: usize = 2;
/// How long a file waits for its turn: most are written in less.
const TURN: Duration = Duration::from_secs(5);
/// How long somebody may take nothing.
const STALLED: Duration = Duration::from_secs(60);
/// Bytes gathered before they are sent.
const CHUNK: usize = 64 * 1024;
/// Chunks waiting for a slow reader; the database waits with them.
pub const WAITING: usize = 4;
const CSV: &str = "text/csv; charset=utf-8";
/// Media type of a workbook.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, UTF-8 with a byte order mark.
    Csv,
    /// A workbook.
    Xlsx,
}

/// The values of `format`.
pub const FORMATS: [(&str, Format); 2] = [("csv", Format::Csv), ("xlsx", Format::Xlsx)];

/// What a file is called and how its rows look.
#[derive(Debug)]
pub struct File {
    /// Of each row.
    pub columns: Vec<Column>,
    /// Name of the file, without its extension.
    pub name: String,
    /// Name of the workbook's sheet.
    pub sheet: &'static str,
    /// How it is written.
    pub format: Format,
}

/// Answers with the file. `read` hands the rows on and then their totals; when it fails the connection is cut, so that half a file does
/// not pass for a whole one.
///
/// # Errors
/// 429 while others are under way and none ends within five seconds.
pub async fn send<F>(
    state: &AppState,
    file: File,
    read: impl FnOnce(mpsc::Sender<Part>) -> F,
) -> Result<Response, ApiError>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let permit = tokio::time::timeout(TURN, state.exports.clone().acquire_owned())
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or(ApiError::TooManyRequests(10))?;
    let (parts, gathered) = mpsc::channel(WAITING);
    let (sender, receiver) = mpsc::channel(WAITING);
    let reading = read(parts);
    let sheet = file.sheet;
    tokio::spawn(async move {
        // Given back when both are done: the writer ends when the reader's end of the channel is gone.
        let _permit = permit;
        if let Err(error) = reading.await {
            tracing::error!(error = format!("{error:#}"), export = sheet, "an export broke off");
        }
    });
    let (media_type, extension) = match file.format {
        Format::Csv => (CSV, "csv"),
        Format::Xlsx => (XLSX, "xlsx"),
    };
    let disposition = format!("attachment; filename=\"{}.{extension}\"", file.name);
    let mut out = Out {
        gathered: Vec::new(),
        sender,
        runtime: Handle::current(),
    };
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&file, gathered, &mut out) {
            tracing::warn!(
                error = format!("{error:#}"),
                export = sheet,
                "an export was not finished"
            );
            // The connection is cut before the last chunk: a file that is not whole must not look whole.
            let broken = out.sender.send(Err(std::io::Error::other("the export broke off")));
            let _ = out.runtime.block_on(tokio::time::timeout(STALLED, broken));
        }
    });
    let chunks = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    Ok((
        [
            (CONTENT_TYPE, media_type.to_owned()),
            (CONTENT_DISPOSITION, disposition),
        ],
        Body::from_stream(chunks),
    )
        .into_response())
}

/// Writes the file from what was read. Blocks.
fn write(file: &File, mut parts: mpsc::Receiver<Part>, out: &mut Out) -> anyhow::Result<()> {
    let mut next = || parts.blocking_recv();
    if file.format == Format::Xlsx {
        xlsx::write(&file.columns, file.sheet, next, &mut *out)?;
        out.flush()?;
        return Ok(());
    }
    let mut chunks = Chunks::default();
    chunks.header(&file.columns)?;
    loop {
        match next() {
            Some(Part::Rows(rows)) => {
                for row in rows {
                    chunks.cells(&row)?;
                }
                if chunks.gathered() >= CHUNK {
                    out.send(chunks.take()?)?;
                }
            }
            // Data and nothing else: whoever reads it by program need not know which row is none.
            Some(Part::Totals(_)) => return Ok(out.send(chunks.take()?)?),
            None => anyhow::bail!("the rows broke off"),
        }
    }
}

/// The body of the answer, as the writer of the file sees it: bytes gather and leave in chunks. Blocks while the reader is slow.
struct Out {
    gathered: Vec<u8>,
    sender: mpsc::Sender<Result<Vec<u8>, std::io::Error>>,
    runtime: Handle,
}

impl Out {
    fn send(&mut self, chunk: Vec<u8>) -> std::io::Result<()> {
        let sent = self
            .runtime
            .block_on(tokio::time::timeout(STALLED, self.sender.send(Ok(chunk))));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(std::io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK {
            let chunk = std::mem::take(&mut self.gathered);
            self.send(chunk)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let chunk = std::mem::take(&mut self.gathered);
        self.send(chunk)
    }
}
