//! An import from beginning to end: batches, progress, refused rows.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use shared::attribution::Aliases;
use sqlx::{Connection, PgPool};
use uuid::Uuid;

use super::ids::ImportIds;
use super::source::{Content, Format, Input, Row, Source, open};
use super::{Kind, events, orders, sessions};
use crate::db::{events as db_events, import_progress, orders as db_orders, sites};
use crate::devices::Devices;
use crate::ingest::record::Record as EventRecord;
use crate::ingest::transaction::{self, KnownAgents, Outcome};
use crate::ingest::validate::{self, Rules};
use crate::orders::identity::Identifier;
use crate::orders::merge::Outcome as OrderOutcome;
use crate::orders::state::OrderState;
use crate::orders::store::{Freshness, StoreError, refresh_due, store_in};
use crate::record::FieldError;
use crate::secret::Secret;
use crate::site::Site;

/// One site's import.
pub struct Import<'a> {
    pool: &'a PgPool,
    site: &'a Site,
    now: DateTime<Utc>,
    /// Of times in tables that name none.
    zone: Tz,
    ids: ImportIds,
    identifier: Identifier,
    aliases: Aliases,
    devices: Devices,
    agents: KnownAgents,
}

impl std::fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Import({})", self.site.key)
    }
}

/// How one file is to be read.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it holds.
    pub kind: Kind,
    /// Where it is.
    pub input: Input,
    /// How it is written; else found out.
    pub format: Option<Format>,
    /// Stop after this many rows; a later run goes on there.
    pub max_rows: Option<u64>,
    /// Where refused rows go; `<file>.rejected.ndjson` when absent.
    pub rejected: Option<PathBuf>,
}

/// What one file came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows that an earlier run had done.
    pub skipped: u64,
    /// Rows that stored something new.
    pub stored: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
    /// Rows that were refused.
    pub rejected: u64,
    /// The file that holds them, when there are any.
    pub rejected_file: Option<PathBuf>,
}

/// A row, and why it is not taken.
pub(super) type Refused = (Row, FieldError);

/// Digest of the file, and the rows of it that are done with the batch at hand; none where the file cannot be known again.
type Mark<'a> = Option<(&'a [u8], u64)>;

/// Rows of a batch that stored something new, changed nothing, and were refused.
type Done = (u64, u64, u64);

impl<'a> Import<'a> {
    /// For a site of the installation; `zone` is that of times in tables that name none, `now` limits the times that rows may carry.
    pub async fn new(pool: &'a PgPool, secret: &Secret, site: &'a Site, zone: Tz, now: DateTime<Utc>) -> Self {
        Devices::warm().await;
        Self {
            pool,
            site,
            now,
            zone,
            ids: ImportIds::new(secret, site.id),
            identifier: Identifier::new(secret, site),
            aliases: crate::endpoints::ingest::aliases(site),
            devices: Devices::default(),
            agents: KnownAgents::default(),
        }
    }

    /// Imports one file. Running it again goes on where it stopped, or changes nothing.
    ///
    /// # Errors
    /// The file cannot be read, a column is unknown, or the database does not answer; what was stored stays.
    pub async fn file(&self, options: &Options) -> anyhow::Result<Summary> {
        let Options {
            kind,
            ref input,
            format,
            max_rows,
            ..
        } = *options;
        let opening = (input.clone(), format);
        let mut source = tokio::task::spawn_blocking(move || open(&opening.0, opening.1)).await??;
        check_columns(kind, &source)?;
        // The lock belongs to the connection: one taken out of the pool, so that it ends with this.
        let mut connection = self.pool.acquire().await?.detach();
        if let Some(digest) = &source.digest
            && !import_progress::try_lock(&mut connection, self.site.id, kind.name(), digest).await?
        {
            bail!(
                "another process is importing the same rows; let it end, then run this again: it goes on where that one stopped"
            );
        }
        let mut done = match &source.digest {
            Some(digest) => import_progress::rows_done(self.pool, self.site.id, kind.name(), digest).await?,
            None => 0,
        };
        let mut summary = Summary {
            skipped: done,
            ..Summary::default()
        };
        let mut rejects = Rejects::new(kind.name(), input, options.rejected.as_deref(), done > 0);
        let mut progress = Progress::new(kind, &source);
        let mut seen = 0;
        let end = max_rows.map(|max| done + max);
        while let Some(batch) = source.rows.recv().await {
            let mut rows = batch.with_context(|| format!("after {seen} rows"))?;
            let read = rows.len() as u64;
            // What an earlier run did, and what this one is not to do.
            rows.drain(..(done.saturating_sub(seen).min(read)) as usize);
            if let Some(end) = end {
                rows.truncate(end.saturating_sub(done.max(seen)) as usize);
            }
            seen += read;
            if rows.is_empty() {
                if end.is_some_and(|end| seen >= end) {
                    break;
                }
                continue;
            }
            done += rows.len() as u64;
            let mark = source.digest.as_deref().map(|digest| (digest, done));
            let (stored, unchanged, refused) = match kind {
                Kind::Orders => self.orders(rows, mark, &mut rejects).await?,
                Kind::Sessions => self.sessions(rows, mark, &mut rejects).await?,
                Kind::Events => self.events(rows, mark, &mut rejects).await?,
            };
            summary.stored += stored;
            summary.unchanged += unchanged;
            summary.rejected += refused;
            progress.show(&source, &summary);
        }
        summary.rejected_file = rejects.close()?;
        progress.finish();
        connection.close().await?;
        Ok(summary)
    }

    /// Has the site's orders looked at again, now that all files are in: an order may stand in front of the row that links it.
    ///
    /// # Errors
    /// The database's.
    pub async fn link_orders(&self) -> anyhow::Result<usize> {
        let mut tx = self.pool.begin().await?;
        // All orders at once are locked in no order: whoever stores some of them meanwhile and this would wait for each other.
        sites::lock(&mut *tx, self.site.id).await?;
        db_orders::wake_all(&mut *tx, self.site.id, self.now).await?;
        tx.commit().await?;
        Ok(refresh_due(self.pool, self.site, self.now).await?)
    }

    async fn orders(&self, rows: Vec<Row>, mark: Mark<'_>, rejects: &mut Rejects) -> anyhow::Result<Done> {
        let (states, refused) = read_rows(rows, self.zone, |record| {
            orders::read(record, self.site, &self.identifier, &self.ids, self.now)
        });
        rejects.write(&refused)?;
        let states: Vec<OrderState> = states.into_iter().map(|(_, state)| state).collect();
        let mut attempt = 0;
        let stored = loop {
            let mut conn = self.pool.acquire().await?;
            let mut tx = conn.begin().await?;
            let result = async {
                let stored = store_in(&mut tx, self.site, self.now, &states, Freshness::History).await?;
                if let Some((digest, done)) = mark {
                    import_progress::set(&mut *tx, self.site.id, Kind::Orders.name(), digest, done, self.now).await?;
                }
                Ok::<_, StoreError>(stored)
            };
            match result.await {
                Ok(stored) => {
                    tx.commit().await?;
                    break stored;
                }
                Err(error) if error.is_transient() && attempt < 5 => {
                    tx.rollback().await.ok();
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(50) * attempt).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let new = stored
            .iter()
            .filter(|s| matches!(s.outcome, OrderOutcome::Created | OrderOutcome::Updated))
            .count() as u64;
        Ok((new, stored.len() as u64 - new, refused.len() as u64))
    }

    async fn sessions(&self, rows: Vec<Row>, mark: Mark<'_>, rejects: &mut Rejects) -> anyhow::Result<Done> {
        let (read, refused) = read_rows(rows, self.zone, |record| {
            sessions::read(record, &self.ids, self.now)?
                .into_iter()
                .map(|event| self.judge(event, sessions::column(record)))
                .collect::<Result<Vec<_>, _>>()
        });
        self.store(Kind::Sessions, read, refused, mark, rejects).await
    }

    async fn events(&self, rows: Vec<Row>, mark: Mark<'_>, rejects: &mut Rejects) -> anyhow::Result<Done> {
        let mut wanted: Vec<Uuid> = rows
            .iter()
            .filter_map(|row| events::session(&row.content.as_ref().ok()?.record().ok()?, &self.ids).ok()?)
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut conn = self.pool.acquire().await?;
        let mut known: HashMap<Uuid, events::Known> = db_orders::sessions_by_id(&mut conn, self.site.id, &wanted)
            .await?
            .into_iter()
            .map(|session| {
                let known = events::Known {
                    visitor: session.visitor_id,
                    started: session.first_seen,
                    events: Vec::new(),
                };
                (session.session_id, known)
            })
            .collect();
        let visitors: Vec<Uuid> = known.values().map(|session| session.visitor).collect();
        for event in db_events::imported_page_views(&mut *conn, self.site.id, &visitors, &wanted).await? {
            if let Some(session) = known.get_mut(&event.session_id) {
                session.events.push(event);
            }
        }
        drop(conn);
        let (read, refused) = read_rows(rows, self.zone, |record| {
            let event = events::read(record, &self.ids, &known, self.now)?;
            Ok(vec![self.judge(event, events::column(record))?])
        });
        self.store(Kind::Events, read, refused, mark, rejects).await
    }

    /// `column`: what the row calls a field of the event.
    fn judge(&self, event: shared::event::Event, column: impl Fn(&str) -> &str) -> Result<EventRecord, FieldError> {
        let rules = Rules {
            site: self.site,
            aliases: &self.aliases,
            devices: &self.devices,
            now_ms: self.now.timestamp_millis(),
            max_age_ms: None,
        };
        validate::record(event, &rules).map_err(|refusal| refusal.renamed(column).into())
    }

    async fn store(
        &self,
        kind: Kind,
        read: Vec<(Row, Vec<EventRecord>)>,
        mut refused: Vec<Refused>,
        mark: Mark<'_>,
        rejects: &mut Rejects,
    ) -> anyhow::Result<Done> {
        let records: Vec<&EventRecord> = read.iter().flat_map(|(_, records)| records).collect();
        let outcomes = transaction::store(self.pool, &records, &[], &self.agents, self.now)
            .await
            .map_err(|_| {
                anyhow::anyhow!("the database does not take the rows now; run the import again and it goes on here")
            })?;
        let (mut stored, mut unchanged) = (0, 0);
        let mut outcomes = outcomes.into_iter();
        for (row, records) in read {
            let of_row: Vec<Outcome> = outcomes.by_ref().take(records.len()).collect();
            let reason = of_row.iter().find_map(|outcome| match outcome {
                Outcome::Refused(reason) => Some(reason.clone()),
                _ => None,
            });
            if let Some(message) = reason {
                refused.push((
                    row,
                    FieldError {
                        code: "refused",
                        field: None,
                        message,
                    },
                ));
            } else if of_row.contains(&Outcome::Accepted) {
                stored += 1;
            } else {
                unchanged += 1;
            }
        }
        rejects.write(&refused)?;
        // After the rows, not with them: they are the same rows when they come again.
        if let Some((digest, done)) = mark {
            import_progress::set(self.pool, self.site.id, kind.name(), digest, done, self.now).await?;
        }
        Ok((stored, unchanged, refused.len() as u64))
    }
}

fn read_rows<T>(
    rows: Vec<Row>,
    zone: Tz,
    read: impl Fn(&crate::record::Record<'_>) -> Result<T, FieldError>,
) -> (Vec<(Row, T)>, Vec<Refused>) {
    let mut good = Vec::with_capacity(rows.len());
    let mut refused = Vec::new();
    for row in rows {
        let result = match &row.content {
            Ok(content) => content.record().and_then(|record| read(&record.in_zone(zone))),
            Err(reason) => Err(FieldError {
                code: "unreadable",
                field: None,
                message: reason.clone(),
            }),
        };
        match result {
            Ok(value) => good.push((row, value)),
            Err(error) => refused.push((row, error)),
        }
    }
    (good, refused)
}

/// A misspelt column would be refused a million times; better once, at the start.
fn check_columns(kind: Kind, source: &Source) -> anyhow::Result<()> {
    let Some(headers) = &source.headers else { return Ok(()) };
    // As of a JSON object's key: nobody can say which of the two was meant.
    let twice = headers
        .iter()
        .enumerate()
        .find(|(i, name)| !name.is_empty() && headers[..*i].contains(name));
    if let Some((_, name)) = twice {
        bail!("the column {name:?} stands there twice");
    }
    if headers.iter().any(|header| header == kind.django_column()) {
        return Ok(());
    }
    if let Some(unknown) = headers.iter().find(|header| !kind.columns().contains(&header.as_str())) {
        bail!(
            "{unknown:?} is not a column of {}; known are {}",
            kind.name(),
            kind.columns().join(", ")
        );
    }
    Ok(())
}

/// The file of refused rows, made when the first one comes.
pub(super) struct Rejects {
    path: PathBuf,
    /// Earlier runs of the same file wrote to it.
    append: bool,
    file: Option<File>,
}

impl Rejects {
    pub(super) fn new(kind: &str, input: &Input, path: Option<&Path>, append: bool) -> Self {
        let path = path.map(Path::to_owned).unwrap_or_else(|| match input {
            Input::Stdin => format!("stdin-{kind}.rejected.ndjson").into(),
            Input::File(path) => {
                let mut name = path.as_os_str().to_owned();
                name.push(".rejected.ndjson");
                name.into()
            }
        });
        Self {
            path,
            append,
            file: None,
        }
    }

    /// To be called before the rows count as done: whoever stops in between finds them twice, and not never.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn write(&mut self, refused: &[Refused]) -> anyhow::Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut how = OpenOptions::new();
                how.create(true).write(true).append(self.append).truncate(!self.append);
                let file = how
                    .open(&self.path)
                    .with_context(|| format!("cannot write {}", self.path.display()))?;
                self.file.insert(file)
            }
        };
        let mut lines = String::new();
        for (row, error) in refused {
            let content = row.content.as_ref().ok().map(Content::to_json);
            let line = json!({"line": row.line, "code": error.code, "field": error.field, "message": error.message, "row": content});
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        file.write_all(lines.as_bytes())
            .and_then(|()| file.sync_data())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }

    pub(super) fn close(self) -> anyhow::Result<Option<PathBuf>> {
        match self.file {
            Some(file) => {
                file.sync_all()?;
                Ok(Some(self.path))
            }
            None => Ok(None),
        }
    }
}

/// A bar on a terminal, else a line every few seconds.
struct Progress {
    bar: ProgressBar,
    kind: Kind,
    lines: bool,
    last: Instant,
}

impl Progress {
    fn new(kind: Kind, source: &Source) -> Self {
        let bar = source.bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = "{prefix:>8} [{elapsed_precise}] {bar:30} {bytes}/{total_bytes} ({eta} left) {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(kind.name());
        Self {
            bar,
            kind,
            lines: !std::io::stderr().is_terminal(),
            last: Instant::now(),
        }
    }

    fn show(&mut self, source: &Source, summary: &Summary) {
        self.bar.set_position(source.bytes_read.load(Ordering::Relaxed));
        self.bar.set_message(words(summary));
        if self.lines && self.last.elapsed() > Duration::from_secs(5) {
            self.last = Instant::now();
            say(self.kind, summary);
        }
    }

    fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn words(summary: &Summary) -> String {
    format!(
        "{} stored, {} unchanged, {} refused",
        summary.stored, summary.unchanged, summary.rejected
    )
}

fn say(kind: Kind, summary: &Summary) {
    // A closed standard error must not stop an import.
    let _ = writeln!(std::io::stderr(), "{}: {}", kind.name(), words(summary));
}
