//! A file as rows: NDJSON or CSV, plain or gzip, in bounded memory. Reading happens on a thread of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::csv_rows::Rows;
use crate::record::{FieldError, Record};

/// Rows that travel together from the reader, and to the database.
pub const BATCH: usize = 1_000;
/// Bytes of rows that travel together, about: long rows go in smaller companies, so that a file of them does not fill the memory.
const BATCH_BYTES: usize = 2 * MAX_ROW_BYTES;
/// Bytes of one row.
pub const MAX_ROW_BYTES: usize = 1024 * 1024;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// A header and rows; separated by comma, semicolon or tab.
    Csv,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        if text == "-" {
            Self::Stdin
        } else {
            Self::File(text.into())
        }
    }
}

/// A row as it stands in the file.
#[derive(Debug)]
pub struct Row {
    /// Line that it begins on, from 1.
    pub line: u64,
    /// What stands there, or why it cannot be read.
    pub content: Result<Content, String>,
}

/// See [`Row`].
#[derive(Debug)]
pub enum Content {
    /// A line of NDJSON.
    Json(String),
    /// Cells under these headers.
    Cells(Arc<Vec<String>>, Vec<String>),
}

impl Content {
    /// The row's fields.
    pub fn record(&self) -> Result<Record<'_>, FieldError> {
        match self {
            Self::Json(text) => Record::from_json(text),
            Self::Cells(headers, cells) => Ok(Record::from_row(headers, cells.iter().map(String::as_str))),
        }
    }

    /// For the file of refused rows.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
            Self::Cells(headers, cells) => headers
                .iter()
                .cloned()
                .zip(cells.iter().map(|cell| cell.clone().into()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// An opened input.
#[derive(Debug)]
pub struct Source {
    /// Rows in the order of the file, [`BATCH`] at a time.
    pub rows: mpsc::Receiver<anyhow::Result<Vec<Row>>>,
    /// Headers of a CSV file.
    pub headers: Option<Arc<Vec<String>>>,
    /// Bytes read so far, before decompression.
    pub bytes_read: Arc<AtomicU64>,
    /// Bytes of the file.
    pub bytes: Option<u64>,
    /// SHA-256 of the file; the standard input has none, so it cannot be resumed.
    pub digest: Option<Vec<u8>>,
}

struct Counting<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Opens an input. `format` decides when given, else the file's extension, else its first character (`{` is NDJSON).
///
/// # Errors
/// The file cannot be read, or has no header.
pub fn open(input: &Input, format: Option<Format>) -> anyhow::Result<Source> {
    let bytes_read = Arc::new(AtomicU64::new(0));
    let (raw, bytes, digest): (Box<dyn Read + Send>, _, _) = match input {
        Input::Stdin => (Box::new(std::io::stdin()), None, None),
        Input::File(path) => {
            let named = || format!("cannot read {}", path.display());
            let digest = digest(path).with_context(named)?;
            let file = File::open(path).with_context(named)?;
            let bytes = file.metadata().with_context(named)?.len();
            (Box::new(file), Some(bytes), Some(digest))
        }
    };
    let mut raw = BufReader::with_capacity(64 * 1024, Counting(raw, bytes_read.clone()));
    let gzip = raw.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let decoded: Box<dyn Read + Send> = if gzip {
        Box::new(MultiGzDecoder::new(raw))
    } else {
        Box::new(raw)
    };
    let mut text = BufReader::with_capacity(64 * 1024, decoded);
    let format = match format.or_else(|| by_extension(input)) {
        Some(format) => format,
        None => {
            let head = text.fill_buf()?;
            let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
            if head.trim_ascii_start().starts_with(b"{") {
                Format::Ndjson
            } else {
                Format::Csv
            }
        }
    };
    if is_utf16(text.fill_buf()?) {
        bail!("the file is UTF-16: save it as UTF-8 (iconv -f utf-16 -t utf-8)");
    }
    if format == Format::Ndjson && text.fill_buf()?.trim_ascii_start().starts_with(b"[") {
        bail!("the file is one JSON array; write an object a line (jq -c '.[]')");
    }
    let (sender, rows) = mpsc::channel(2);
    let headers = match format {
        Format::Ndjson => {
            std::thread::spawn(move || send_lines(text, &sender));
            None
        }
        Format::Csv => {
            let separator = separator(text.fill_buf()?);
            let mut rows = Rows::new(text, separator);
            let header = rows.header().context("the header cannot be read")?;
            if std::str::from_utf8(&header).is_err() {
                bail!(
                    "the header is not UTF-8: save the file as UTF-8 (in Excel \"CSV UTF-8\"; else iconv -f windows-1251 -t utf-8)"
                );
            }
            let mut records = parser(&header, separator).into_records();
            let headers: Vec<String> = records
                .next()
                .transpose()
                .context("the header cannot be read")?
                .unwrap_or_default()
                .iter()
                .map(|name| name.trim().to_owned())
                .collect();
            // Lines of an old Mac: all of the file would be taken for its first row, and nothing of it read.
            if records.next().is_some() {
                bail!("the file's lines end with CR alone: save it with LF or CRLF (tr '\\r' '\\n')");
            }
            if headers.iter().all(String::is_empty) {
                bail!("the file is empty: a CSV file begins with a header");
            }
            let headers = Arc::new(headers);
            let shared = headers.clone();
            std::thread::spawn(move || send_records(rows, separator, &shared, &sender));
            Some(headers)
        }
    };
    Ok(Source {
        rows,
        headers,
        bytes_read,
        bytes,
        digest,
    })
}

fn digest(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_vec()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn by_extension(input: &Input) -> Option<Format> {
    let Input::File(path) = input else { return None };
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        "csv" | "tsv" => Some(Format::Csv),
        _ => None,
    }
}

/// Whether the text is UTF-16, with its mark or, in a header or an opening brace, with every other byte 0.
fn is_utf16(head: &[u8]) -> bool {
    let marked = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    marked || matches!(head, [0, a, 0, b, ..] | [a, 0, b, 0, ..] if *a != 0 && *b != 0)
}

/// The one that stands most often in the header.
fn separator(head: &[u8]) -> u8 {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
    [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|byte| (count(*byte), *byte == b','))
        .unwrap_or(b',')
}

type Sender = mpsc::Sender<anyhow::Result<Vec<Row>>>;

fn send_lines(mut text: impl BufRead, sender: &Sender) {
    let mut batch = Vec::new();
    let mut number = 0;
    let mut bytes = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut text).take(MAX_ROW_BYTES as u64 + 1).read_until(b'\n', &mut line);
        let content = match read {
            Err(error) => {
                let _ = sender.blocking_send(Ok(std::mem::take(&mut batch)));
                let _ = sender.blocking_send(Err(error.into()));
                return;
            }
            Ok(0) => break,
            Ok(_) if line.len() > MAX_ROW_BYTES && !line.ends_with(b"\n") => {
                if let Err(error) = skip_line(&mut text) {
                    let _ = sender.blocking_send(Err(error.into()));
                    return;
                }
                Err(format!("the line is longer than {MAX_ROW_BYTES} bytes"))
            }
            Ok(_) => {
                let trimmed = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
                if trimmed.is_empty() {
                    number += 1;
                    continue;
                }
                String::from_utf8(trimmed.to_vec())
                    .map(Content::Json)
                    .map_err(|_| "the line is not UTF-8".to_owned())
            }
        };
        number += 1;
        bytes += line.len();
        batch.push(Row { line: number, content });
        if batch.len() == BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            if sender.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                return;
            }
        }
    }
    let _ = sender.blocking_send(Ok(batch));
}

/// Reads on to the end of the line.
///
/// # Errors
/// The text cannot be read.
pub(super) fn skip_line(text: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = text.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                text.consume(end + 1);
                return Ok(());
            }
            None => {
                let all = buffer.len();
                text.consume(all);
            }
        }
    }
}

fn parser(rows: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .has_headers(false)
        .from_reader(rows)
}

fn send_records(mut rows: Rows<impl BufRead>, separator: u8, headers: &Arc<Vec<String>>, sender: &Sender) {
    loop {
        let mut batch = Vec::new();
        match chunk_of_rows(&mut rows, separator, headers, &mut batch) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let _ = sender.blocking_send(Ok(batch));
                let _ = sender.blocking_send(Err(error));
                return;
            }
        }
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(BATCH));
            if sender.blocking_send(Ok(std::mem::replace(&mut batch, rest))).is_err() {
                return;
            }
        }
    }
}

/// Puts the next rows into `batch`; `false` at the end.
fn chunk_of_rows(
    rows: &mut Rows<impl BufRead>,
    separator: u8,
    headers: &Arc<Vec<String>>,
    batch: &mut Vec<Row>,
) -> anyhow::Result<bool> {
    let Some(chunk) = rows.chunk()? else { return Ok(false) };
    let mut reader = parser(&chunk.bytes, separator);
    let mut record = csv::ByteRecord::new();
    // Counted here: the reader's own count stands before the line feed of a CRLF, and before empty lines.
    let (mut line, mut counted) = (chunk.line, 0);
    while reader.read_byte_record(&mut record)? {
        let mut begins = record.position().map_or(0, |position| position.byte() as usize);
        while matches!(chunk.bytes.get(begins), Some(b'\r' | b'\n')) {
            begins += 1;
        }
        let between = &chunk.bytes[counted..begins];
        line += between.iter().filter(|byte| **byte == b'\n').count() as u64;
        counted = begins;
        batch.push(Row {
            line,
            content: cells(headers, &record),
        });
    }
    batch.extend(chunk.refused.map(|(line, reason)| Row {
        line,
        content: Err(reason),
    }));
    Ok(true)
}

fn cells(headers: &Arc<Vec<String>>, record: &csv::ByteRecord) -> Result<Content, String> {
    if record.len() > headers.len() {
        return Err(format!(
            "the row has {} cells, the header {}",
            record.len(),
            headers.len()
        ));
    }
    if record.as_slice().len() > MAX_ROW_BYTES {
        return Err(format!("the row is longer than {MAX_ROW_BYTES} bytes"));
    }
    record
        .iter()
        .map(|cell| {
            let text = std::str::from_utf8(cell).map_err(|_| "the row is not UTF-8".to_owned())?;
            // How database tools write null.
            Ok(if matches!(text, "\\N" | "NULL") {
                String::new()
            } else {
                text.to_owned()
            })
        })
        .collect::<Result<Vec<String>, String>>()
        .map(|cells| Content::Cells(headers.clone(), cells))
}
