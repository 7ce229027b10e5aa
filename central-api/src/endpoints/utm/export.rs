//! `export-csv`: any list as a file, CSV or XLSX, row by row.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use tokio::sync::mpsc;
use utoipa::openapi::ContentBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use super::lists::{DEFAULT_SORT, LIST_METRICS, LISTS, List};
use super::time_series::BUCKETS;
use crate::catalogue::{Dimension, Metric, Text};
use crate::endpoints::download::{self, FORMATS, File, Format, WAITING, XLSX};
use crate::error::ApiError;
use crate::reports::csv::Chunks;
use crate::reports::filter::NOT_SET;
use crate::reports::scope::Scope;
use crate::reports::session::SessionRow;
use crate::reports::sheet::{self, Cell, Column, Part};
use crate::reports::sql::{self, Question, Sort};
use crate::reports::table;
use crate::state::AppState;

/// Rows that travel together.
const BATCH: usize = 500;
/// What can be exported.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Sessions,
    Rows(&'static [Dimension]),
}

/// Figures by time, in the order of [`BUCKETS`]; without rows for times in which nothing happened.
static BY_TIME: [&[Dimension]; 4] = [
    &[Dimension::Hour],
    &[Dimension::Day],
    &[Dimension::Week],
    &[Dimension::Month],
];

/// The values of `type`.
fn kinds() -> Vec<(&'static str, Kind)> {
    let lists = LISTS.iter().map(|list| (list.path, Kind::Rows(list.dimensions)));
    [
        ("sessions", Kind::Sessions),
        ("countries", Kind::Rows(&[Dimension::Country])),
        ("cities", Kind::Rows(&[Dimension::City, Dimension::Country])),
    ]
    .into_iter()
    .chain(lists)
    .chain(
        BUCKETS
            .iter()
            .zip(BY_TIME)
            .map(|((name, _), bucket)| (*name, Kind::Rows(bucket))),
    )
    .collect()
}

const YES_NO: (Text, Text) = (
    Text {
        uk: "так", en: "yes"
    },
    Text { uk: "ні", en: "no" },
);
const TOTAL: Text = Text {
    uk: "Разом",
    en: "Total",
};

type ValueOf = fn(&SessionRow, &Scope, &str) -> Cell;
/// A column of the sessions' file.
type SessionColumn = (Text, sheet::Kind, ValueOf);

fn or_not_set(text: Option<&str>) -> Cell {
    Cell::Text(text.unwrap_or(NOT_SET).to_owned())
}

fn local(at: chrono::DateTime<chrono::Utc>, scope: &Scope) -> Cell {
    Cell::Time(at.with_timezone(&scope.site.time_zone).naive_local())
}

fn yes_no(flag: bool, language: &str) -> Cell {
    Cell::Text(if flag { YES_NO.0 } else { YES_NO.1 }.get(language).to_owned())
}

/// The columns of the sessions' file; times are local.
fn session_columns() -> Vec<SessionColumn> {
    let text = |uk, en| (Text { uk, en }, sheet::Kind::Text);
    let time = |uk, en| (Text { uk, en }, sheet::Kind::Time);
    let of = |metric: Metric| (metric.definition().label, sheet::Kind::of(metric));
    let label = |dimension: Dimension| (dimension.definition().label, sheet::Kind::Text);
    let columns: Vec<((Text, sheet::Kind), ValueOf)> = vec![
        (text("Сесія", "Session"), |r, _, _| {
            Cell::Text(r.session_id.to_string())
        }),
        (text("Відвідувач", "Visitor"), |r, _, _| {
            Cell::Text(r.visitor_id.to_string())
        }),
        (
            time("Початок (місцевий час)", "Began (local time)"),
            |r, s, _| local(r.first_seen, s),
        ),
        (
            time("Остання дія (місцевий час)", "Last action (local time)"),
            |r, s, _| local(r.last_seen, s),
        ),
        (label(Dimension::UtmSource), |r, _, _| {
            or_not_set(r.utm_source.as_deref())
        }),
        (label(Dimension::UtmMedium), |r, _, _| {
            or_not_set(r.utm_medium.as_deref())
        }),
        (label(Dimension::UtmCampaign), |r, _, _| {
            or_not_set(r.utm_campaign.as_deref())
        }),
        (label(Dimension::UtmContent), |r, _, _| {
            or_not_set(r.utm_content.as_deref())
        }),
        (label(Dimension::UtmTerm), |r, _, _| or_not_set(r.utm_term.as_deref())),
        (label(Dimension::Channel), |r, _, _| or_not_set(r.channel.as_deref())),
        (label(Dimension::ClickPlatform), |r, _, _| {
            or_not_set(r.click_platform.as_deref())
        }),
        (label(Dimension::Referrer), |r, _, _| {
            or_not_set(r.referrer_host.as_deref())
        }),
        (label(Dimension::LandingPage), |r, _, _| {
            or_not_set(r.landing_path.as_deref())
        }),
        (label(Dimension::Country), |r, _, _| or_not_set(r.country.as_deref())),
        (label(Dimension::Region), |r, _, _| or_not_set(r.region.as_deref())),
        (label(Dimension::City), |r, _, _| or_not_set(r.city.as_deref())),
        (label(Dimension::DeviceType), |r, _, _| {
            or_not_set(r.device_type.as_deref())
        }),
        (label(Dimension::OsName), |r, _, _| or_not_set(r.os_name.as_deref())),
        (label(Dimension::BrowserName), |r, _, _| {
            or_not_set(r.browser_name.as_deref())
        }),
        (label(Dimension::Language), |r, _, _| or_not_set(r.language.as_deref())),
        (of(Metric::Visits), |r, _, _| r.visit_count.into()),
        (of(Metric::PageViews), |r, _, _| r.page_views.into()),
        (of(Metric::TotalScore), |r, _, _| r.points.into()),
        (text("Конверсія", "Converted"), |r, _, language| {
            yes_no(r.is_converted, language)
        }),
        (of(Metric::Orders), |r, _, _| r.orders.into()),
        (of(Metric::Revenue), |r, s, _| {
            let from_events = s.site.settings.revenue_from_events;
            Cell::Number(if from_events { r.event_revenue } else { r.revenue })
        }),
        (text("Бот", "Bot"), |r, _, language| {
            yes_no(r.bot_reason.is_some(), language)
        }),
    ];
    columns
        .into_iter()
        .map(|((label, kind), value)| (label, kind, value))
        .collect()
}

/// A file being read from the database and written to whoever asked.
struct Export {
    scope: Scope,
    kind: Kind,
    language: &'static str,
}

impl Export {
    fn columns(&self) -> Vec<Column> {
        match self.kind {
            Kind::Sessions => session_columns()
                .iter()
                .map(|(label, kind, _)| Column {
                    label: label.get(self.language),
                    kind: *kind,
                })
                .collect(),
            Kind::Rows(dimensions) => {
                let dimensions = dimensions.iter().map(|d| (d.definition().label, sheet::Kind::Text));
                let metrics = LIST_METRICS.iter().map(|m| (m.definition().label, sheet::Kind::of(*m)));
                dimensions
                    .chain(metrics)
                    .map(|(label, kind)| Column {
                        label: label.get(self.language),
                        kind,
                    })
                    .collect()
            }
        }
    }

    fn question<'a>(&'a self, dimensions: &'a [Dimension]) -> Question<'a> {
        let by_time = dimensions.iter().find(|d| d.is_time());
        Question {
            scope: &self.scope,
            dimensions,
            metrics: &LIST_METRICS,
            sort: Some(by_time.map_or(DEFAULT_SORT, |bucket| Sort {
                by: sql::Column::Dimension(*bucket),
                descending: false,
            })),
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
        match self.kind {
            Kind::Sessions => {
                let columns = session_columns();
                totals = columns.iter().map(|_| Cell::Nothing).collect();
                let mut statement = sql::sessions(&self.scope, None, None);
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
            Kind::Rows(dimensions) => {
                let question = self.question(dimensions);
                let rolled = table::rolled(&mut tx, &question).await?;
                let mut statement = sql::statement(&question, rolled.as_ref());
                let mut rows = statement.build().persistent(false).fetch(&mut *tx);
                while let Some(row) = rows.try_next().await? {
                    batch.push(cells(table::read(&row, &question)?));
                    if batch.len() == BATCH && parts.send(Part::Rows(std::mem::take(&mut batch))).await.is_err() {
                        return Ok(());
                    }
                }
                totals = dimensions.iter().map(|_| Cell::Nothing).collect();
                totals.extend(cells(table::totals(pool, &question).await?));
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

/// A row of a list, absent values named.
fn cells(row: table::Row) -> Vec<Cell> {
    row.0
        .into_iter()
        .map(|(_, cell)| match cell {
            table::Cell::Text(text) => or_not_set(text.as_deref()),
            table::Cell::Number(figure) => figure.into(),
        })
        .collect()
}

async fn export(State(state): State<AppState>, mut asked: Asked) -> Result<Response, ApiError> {
    let scope = asked.scope()?;
    let kinds = kinds();
    let named: Vec<_> = kinds.iter().map(|(name, kind)| (*name, (*name, *kind))).collect();
    let (name, kind) = asked.params.choice("type", &named, ("sessions", Kind::Sessions))?;
    let format = asked.params.choice("format", &FORMATS, Format::Csv)?;
    let own = if scope.site.language == "en" { "en" } else { "uk" };
    let language = asked.params.choice("locale", &[("uk", "uk"), ("en", "en")], own)?;
    asked.params.finish()?;
    let export = Arc::new(Export { scope, kind, language });
    let file = File {
        columns: export.columns(),
        name: format!("utm_{}", name.replace('-', "_")),
        sheet: name,
        format,
    };
    download::send(&state, file, move |parts| async move {
        export.read(&asked.pool, &parts).await
    })
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
        kind: Kind::Rows(list.dimensions),
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
                "All rows, however many, sent as they are read. Times are local. CSV: numbers plain; a cell that a spreadsheet would take for a \
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
