//! `export-csv`: everything that the analytics answer as a file, CSV or XLSX: lists and sessions row by row, the rest as it is answered.

mod sessions;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use tokio::sync::mpsc;
use utoipa::openapi::ContentBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use self::sessions::session_columns;
use super::asked::Asked;
use super::describe;
use super::lists::{LIST_METRICS, LISTS, List};
use super::time_series::BUCKETS;
use super::{Endpoint, ab_test, cohorts, compare, customers, funnel, ltv, returning, roi, touches};
use crate::catalogue::{Dimension, Metric, Text};
use crate::endpoints::download::{self, FORMATS, File, Format, WAITING, XLSX};
use crate::error::ApiError;
use crate::reports::csv::Chunks;
use crate::reports::filter::NOT_SET;
use crate::reports::scope::Scope;
use crate::reports::search::Search;
use crate::reports::session::{self, Order, SessionRow};
use crate::reports::sheet::{self, Cell, Column, Part};
use crate::reports::sql::{self, Question, Sort};
use crate::reports::table;
use crate::state::AppState;

/// Rows that travel together.
const BATCH: usize = 500;
/// What can be exported.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Row by row, however many.
    Stream(Stream),
    /// As the endpoint of that name answers it, with the parameters of that endpoint.
    Answer(Answer),
}

/// What is read while it is sent.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Sessions,
    /// By these, with these figures; the largest of the first figure first, or by time.
    Rows(&'static [Dimension], &'static [Metric]),
}

/// What is small enough to be answered at once.
#[derive(Debug, Clone, Copy)]
enum Answer {
    General,
    Funnel,
    Returning,
    Ltv,
    Touches,
    Repeat,
    Cohorts,
    AbTest,
    Roi,
}

/// Figures of the registrations' file.
static REGISTRATIONS: [Metric; 2] = [Metric::Registrations, Metric::Sessions];

/// Figures by time, in the order of [`BUCKETS`]; without rows for times in which nothing happened.
static BY_TIME: [&[Dimension]; 4] = [
    &[Dimension::Hour],
    &[Dimension::Day],
    &[Dimension::Week],
    &[Dimension::Month],
];

/// The values of `type`.
fn kinds() -> Vec<(&'static str, Kind)> {
    let rows = |dimensions| Kind::Stream(Stream::Rows(dimensions, &LIST_METRICS));
    let lists = LISTS.iter().map(|list| (list.path, rows(list.dimensions)));
    let by_time = BUCKETS
        .iter()
        .zip(BY_TIME)
        .map(|((name, _), bucket)| (*name, rows(bucket)));
    [
        ("sessions", Kind::Stream(Stream::Sessions)),
        (
            "registrations",
            Kind::Stream(Stream::Rows(&[Dimension::UtmSource], &REGISTRATIONS)),
        ),
    ]
    .into_iter()
    .chain(lists)
    .chain(by_time)
    .chain([
        ("general-stats", Kind::Answer(Answer::General)),
        ("funnel", Kind::Answer(Answer::Funnel)),
        ("returning-visitors", Kind::Answer(Answer::Returning)),
        ("ltv-comparison", Kind::Answer(Answer::Ltv)),
        ("first-and-last-touch", Kind::Answer(Answer::Touches)),
        ("repeat-rate", Kind::Answer(Answer::Repeat)),
        ("cohort-analysis", Kind::Answer(Answer::Cohorts)),
        ("ab-test", Kind::Answer(Answer::AbTest)),
        ("roi", Kind::Answer(Answer::Roi)),
    ])
    .collect()
}

const TOTAL: Text = Text {
    uk: "Разом",
    en: "Total",
};

fn or_not_set(text: Option<&str>) -> Cell {
    Cell::Text(text.unwrap_or(NOT_SET).to_owned())
}

/// A file being read from the database and written to whoever asked.
struct Export {
    scope: Scope,
    stream: Stream,
    /// Only rows that it finds.
    search: Option<Search>,
    language: &'static str,
}

impl Export {
    fn columns(&self) -> Vec<Column> {
        match self.stream {
            Stream::Sessions => session_columns()
                .iter()
                .map(|(label, kind, _)| Column::local(*label, *kind, self.scope.site.time_zone, self.language))
                .collect(),
            Stream::Rows(dimensions, metrics) => {
                let dimensions = dimensions.iter().map(|d| Column::by(*d, self.language));
                let metrics = metrics.iter().map(|m| Column::of(*m, self.language));
                dimensions.chain(metrics).collect()
            }
        }
    }

    fn question<'a>(&'a self, dimensions: &'a [Dimension], metrics: &'a [Metric]) -> Question<'a> {
        let by_time = dimensions.iter().find(|d| d.is_time()).map(|bucket| Sort {
            by: sql::Column::Dimension(*bucket),
            descending: false,
        });
        let by_first = metrics.first().map(|metric| Sort {
            by: sql::Column::Metric(*metric),
            descending: true,
        });
        Question {
            scope: &self.scope,
            dimensions,
            metrics,
            sort: by_time.or(by_first),
            limit: None,
            offset: 0,
        }
    }

    /// Reads all rows and hands them on; stops early when nobody takes them any more.
    async fn read(&self, pool: &PgPool, parts: &mpsc::Sender<Part>) -> anyhow::Result<()> {
        let mut tx = table::snapshot(pool).await?;
        // As long as it takes somebody to save the file; whoever takes nothing for a minute is cut off.
        sqlx::query("set local statement_timeout = '2h'")
            .execute(&mut *tx)
            .await?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut totals: Vec<Cell>;
        match self.stream {
            Stream::Sessions => {
                let columns = session_columns();
                totals = columns.iter().map(|_| Cell::Nothing).collect();
                let mut statement = session::all(&self.scope, Order::NewestFirst, self.search.as_ref());
                let mut rows = statement
                    .build_query_as::<SessionRow>()
                    .persistent(false)
                    .fetch(&mut *tx);
                while let Some(row) = rows.try_next().await? {
                    let cells: Vec<Cell> = columns
                        .iter()
                        .map(|(_, _, cell)| cell(&row, &self.scope, self.language))
                        .collect();
                    for (total, cell) in totals.iter_mut().zip(&cells) {
                        if let Cell::Number(number) = cell {
                            match total {
                                Cell::Number(sum) => *sum += number,
                                total => *total = cell.clone(),
                            }
                        }
                    }
                    batch.push(cells);
                    if batch.len() == BATCH && parts.send(Part::Rows(std::mem::take(&mut batch))).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Stream::Rows(dimensions, metrics) => {
                let question = self.question(dimensions, metrics);
                let kinds: Vec<_> = self.columns().into_iter().map(|column| column.kind).collect();
                let mut statement = table::searched(&mut tx, &question, self.search.as_ref()).await?;
                let mut rows = statement.build().persistent(false).fetch(&mut *tx);
                while let Some(row) = rows.try_next().await? {
                    batch.push(cells(table::read(&row, &question)?, &kinds));
                    if batch.len() == BATCH && parts.send(Part::Rows(std::mem::take(&mut batch))).await.is_err() {
                        return Ok(());
                    }
                }
                drop(rows);
                totals = dimensions.iter().map(|_| Cell::Nothing).collect();
                // Of the same moment as the rows, however long they took, and on the same connection.
                totals.extend(cells(
                    table::totals_in(&mut tx, &question).await?,
                    &kinds[dimensions.len()..],
                ));
            }
        }
        if let Some(first) = totals.first_mut() {
            *first = Cell::Text(TOTAL.get(self.language).to_owned());
        }
        // Nobody reads any more, or everybody has it all.
        let _ = parts.send(Part::Rows(batch)).await;
        let _ = parts.send(Part::Totals(totals)).await;
        Ok(())
    }
}

/// A row of a list in columns of these kinds, absent values named.
fn cells(row: table::Row, kinds: &[sheet::Kind]) -> Vec<Cell> {
    row.0
        .into_iter()
        .zip(kinds)
        .map(|((_, cell), kind)| match cell {
            table::Cell::Text(text) => Cell::value(text.as_deref().unwrap_or(NOT_SET), *kind),
            table::Cell::Number(figure) => figure.into(),
        })
        .collect()
}

async fn export(State(state): State<AppState>, mut asked: Asked) -> Result<Response, ApiError> {
    let kinds = kinds();
    let named: Vec<_> = kinds.iter().map(|(name, kind)| (*name, (*name, *kind))).collect();
    let (name, kind) = asked
        .params
        .choice("type", &named, ("sessions", Kind::Stream(Stream::Sessions)))?;
    let format = asked.params.choice("format", &FORMATS, Format::Csv)?;
    let own = if asked.site.language == "en" { "en" } else { "uk" };
    let language = asked.params.choice("locale", &[("uk", "uk"), ("en", "en")], own)?;
    match kind {
        Kind::Stream(stream) => streamed(&state, asked, (name, stream), format, language).await,
        Kind::Answer(answer) => {
            let sheet = match answer {
                Answer::General => compare::sheet(asked, language).await,
                Answer::Funnel => funnel::sheet(asked, language).await,
                Answer::Returning => returning::sheet(asked, language).await,
                Answer::Ltv => ltv::sheet(asked, language).await,
                Answer::Touches => touches::sheet(&state, asked, language).await,
                Answer::Repeat => customers::sheet(&state, asked, language).await,
                Answer::Cohorts => cohorts::sheet(asked, language).await,
                Answer::AbTest => ab_test::sheet(asked, language).await,
                Answer::Roi => roi::sheet(asked, language).await,
            }?;
            let file = File {
                columns: sheet.columns,
                name: file_name(name),
                sheet: name,
                format,
            };
            download::send(&state, file, move |parts| async move {
                // Without a row of totals: what adds up here is a row of its own. Nobody reads any more, or everybody has it all.
                let _ = parts.send(Part::Rows(sheet.rows)).await;
                let _ = parts.send(Part::Totals(Vec::new())).await;
                Ok(())
            })
            .await
        }
    }
}

/// Begins to read, and answers with what comes.
async fn streamed(
    state: &AppState,
    mut asked: Asked,
    (name, stream): (&'static str, Stream),
    format: Format,
    language: &'static str,
) -> Result<Response, ApiError> {
    let scope = asked.scope()?;
    let search = asked.search()?;
    if search.is_some() && matches!(stream, Stream::Rows(dimensions, _) if dimensions.iter().any(|d| d.is_time())) {
        return Err(ApiError::invalid(
            "search",
            "finds sessions and rows of lists, not times",
        ));
    }
    asked.params.finish()?;
    let export = Arc::new(Export {
        scope,
        stream,
        search,
        language,
    });
    let file = File {
        columns: export.columns(),
        name: file_name(name),
        sheet: name,
        format,
    };
    download::send(state, file, move |parts| async move {
        export.read(&asked.pool, &parts).await
    })
    .await
}

/// What the file of a type is called, without its ending.
fn file_name(kind: &str) -> String {
    format!("utm_{}", kind.replace('-', "_"))
}

/// A list's whole file, as the endpoint sends it; none when it is longer than `max_bytes`.
///
/// # Errors
/// The database's.
pub(crate) async fn list_file(
    pool: &PgPool,
    scope: &Scope,
    list: &'static List,
    language: &str,
    max_bytes: usize,
) -> anyhow::Result<Option<Vec<u8>>> {
    let export = &Export {
        scope: scope.clone(),
        stream: Stream::Rows(list.dimensions, &LIST_METRICS),
        search: None,
        language: if language == "en" { "en" } else { "uk" },
    };
    let (parts, mut read) = mpsc::channel(WAITING);
    let reading = async move { export.read(pool, &parts).await };
    let gathered = async move {
        let mut chunks = Chunks::default();
        chunks.header(&export.columns())?;
        while let Some(part) = read.recv().await {
            let Part::Rows(rows) = part else {
                return Ok(Some(chunks.take()?).filter(|file| file.len() <= max_bytes));
            };
            for row in rows {
                chunks.cells(&row)?;
            }
            if chunks.gathered() > max_bytes {
                // Leaving ends the reading too.
                return Ok(None);
            }
        }
        anyhow::bail!("the rows broke off")
    };
    let ((), file) = tokio::try_join!(reading, gathered)?;
    Ok(file)
}

pub(super) fn endpoint() -> Endpoint {
    let kinds = kinds();
    let names: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
    let mut parameters = describe::scope_parameters();
    parameters.push(describe::choice(
        "type",
        &names,
        "What is exported; sessions unless given.",
    ));
    parameters.push(describe::choice("format", &FORMATS.map(|f| f.0), "csv unless given."));
    parameters.push(describe::choice(
        "locale",
        &["uk", "en"],
        "Language of the header; the site's unless given.",
    ));
    parameters.push(describe::text(
        "search",
        "For sessions, registrations and lists: only rows that the endpoint of that name finds by this text. Totals of a list are those of all its rows, as the endpoint answers them.",
    ));
    // Those of the endpoints whose answers are exported, but how many rows: a file has all.
    for own in [
        funnel::parameters(),
        cohorts::parameters(),
        ab_test::parameters(),
        roi::parameters(),
        touches::parameters(),
    ] {
        parameters.extend(own);
    }
    let file = || {
        ContentBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    };
    let answer = utoipa::openapi::ResponseBuilder::new()
        .description("The file: UTF-8 with a byte order mark, or a workbook.")
        .content("text/csv", file())
        .content(XLSX, file())
        .build();
    Endpoint {
        path: "export-csv",
        alias: Some("export"),
        handler: get(export),
        operations: describe::get(
            describe::operation(
                "export_csv",
                "Export as CSV or XLSX",
                "Lists, times, sessions, registrations: all rows, however many, sent as they are read. The other types are what the endpoint of that \
                 name answers, general-stats with the period before, and take its parameters too. Times are local. CSV: numbers plain; a cell that a spreadsheet would take for a \
                 formula has an apostrophe before it. XLSX: numbers with a format, a frozen header, a row of totals; beyond 1,048,574 rows another sheet. \
                 When something breaks on the way, the connection is cut, so that half a file does not pass for a whole one.",
                parameters,
                describe::nullable_text(""),
            )
            .response("200", answer)
            .response(
                "429",
                describe::error("Other exports are under way; Retry-After says when to ask again."),
            ),
        ),
        schemas: describe::common_schemas(),
    }
}
