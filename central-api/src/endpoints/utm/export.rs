//! `export-csv`: any list as a file, row by row.

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{TryStreamExt, stream};
use sqlx::PgPool;
use tokio::sync::mpsc;
use utoipa::openapi::ContentBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use super::lists::{DEFAULT_SORT, LIST_METRICS, LISTS, List};
use crate::catalogue::{Dimension, Metric, Text};
use crate::error::ApiError;
use crate::reports::csv::{Chunks, harmless};
use crate::reports::filter::NOT_SET;
use crate::reports::scope::Scope;
use crate::reports::session::SessionRow;
use crate::reports::sql::{self, Question};
use crate::reports::table::{self, Cell};

/// Bytes gathered before they are sent.
const CHUNK: usize = 64 * 1024;
/// Chunks waiting for a slow reader; the database waits with them.
const WAITING: usize = 4;

/// What can be exported.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Sessions,
    Rows(&'static [Dimension]),
}

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
    .collect()
}

const YES_NO: (Text, Text) = (
    Text {
        uk: "так", en: "yes"
    },
    Text { uk: "ні", en: "no" },
);

/// A column of the sessions' file.
type SessionColumn = (Text, fn(&SessionRow, &Scope, &str) -> String);

fn or_not_set(text: Option<&str>) -> String {
    harmless(text.unwrap_or(NOT_SET)).into_owned()
}

fn local(at: chrono::DateTime<chrono::Utc>, scope: &Scope) -> String {
    at.with_timezone(&scope.site.time_zone)
        .format("%Y-%m-%d %H:%M:%S")
        .to_string()
}

fn yes_no(flag: bool, language: &str) -> String {
    if flag { YES_NO.0 } else { YES_NO.1 }.get(language).to_owned()
}

/// The columns of the sessions' file; times are local.
fn session_columns() -> Vec<SessionColumn> {
    let label = |dimension: Dimension| dimension.definition().label;
    let of = |metric: Metric| metric.definition().label;
    let text = |uk, en| Text { uk, en };
    vec![
        (text("Сесія", "Session"), |r, _, _| r.session_id.to_string()),
        (text("Відвідувач", "Visitor"), |r, _, _| {
            r.visitor_id.to_string()
        }),
        (
            text("Початок (місцевий час)", "Began (local time)"),
            |r, s, _| local(r.first_seen, s),
        ),
        (
            text("Остання дія (місцевий час)", "Last action (local time)"),
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
        (of(Metric::Visits), |r, _, _| r.visit_count.to_string()),
        (of(Metric::PageViews), |r, _, _| r.page_views.to_string()),
        (of(Metric::TotalScore), |r, _, _| r.points.to_string()),
        (text("Конверсія", "Converted"), |r, _, language| {
            yes_no(r.is_converted, language)
        }),
        (of(Metric::Orders), |r, _, _| r.orders.to_string()),
        (of(Metric::Revenue), |r, s, _| {
            let from_events = s.site.settings.revenue_from_events;
            if from_events { r.event_revenue } else { r.revenue }
                .normalize()
                .to_string()
        }),
        (text("Бот", "Bot"), |r, _, language| {
            yes_no(r.bot_reason.is_some(), language)
        }),
    ]
}

/// The reader of the file, as the writer sees it.
struct Reader {
    chunks: Chunks,
    bytes: usize,
    sender: mpsc::Sender<Result<Vec<u8>, std::io::Error>>,
}

impl Reader {
    /// Adds a row and sends what has gathered. False: nobody reads any more.
    async fn row(&mut self, cells: Vec<String>) -> anyhow::Result<bool> {
        self.bytes += cells.iter().map(|cell| cell.len() + 3).sum::<usize>();
        self.chunks.row(cells)?;
        if self.bytes < CHUNK {
            return Ok(true);
        }
        self.send().await
    }

    async fn send(&mut self) -> anyhow::Result<bool> {
        self.bytes = 0;
        Ok(self.sender.send(Ok(self.chunks.take()?)).await.is_ok())
    }
}

async fn write(reader: &mut Reader, pool: &PgPool, scope: &Scope, kind: Kind, language: &str) -> anyhow::Result<()> {
    match kind {
        Kind::Sessions => {
            let columns = session_columns();
            reader
                .row(
                    columns
                        .iter()
                        .map(|(label, _)| label.get(language).to_owned())
                        .collect(),
                )
                .await?;
            let mut statement = sql::sessions(scope, None, None);
            let mut rows = statement.build_query_as::<SessionRow>().persistent(false).fetch(pool);
            while let Some(row) = rows.try_next().await? {
                let cells = columns.iter().map(|(_, cell)| cell(&row, scope, language)).collect();
                if !reader.row(cells).await? {
                    return Ok(());
                }
            }
        }
        Kind::Rows(dimensions) => {
            let question = Question {
                scope,
                dimensions,
                metrics: &LIST_METRICS,
                sort: Some(DEFAULT_SORT),
                limit: None,
                offset: 0,
            };
            let names = dimensions.iter().map(|d| d.definition().label);
            let labels = names.chain(LIST_METRICS.iter().map(|m| m.definition().label));
            reader
                .row(labels.map(|label| label.get(language).to_owned()).collect())
                .await?;
            let mut tx = table::snapshot(pool).await?;
            let rolled = table::rolled(&mut tx, &question).await?;
            let mut statement = sql::statement(&question, rolled.as_ref());
            let mut rows = statement.build().persistent(false).fetch(&mut *tx);
            while let Some(row) = rows.try_next().await? {
                let cells = table::read(&row, &question)?.0.into_iter().map(|(_, cell)| match cell {
                    Cell::Text(text) => or_not_set(text.as_deref()),
                    Cell::Number(figure) => figure.to_string(),
                });
                if !reader.row(cells.collect()).await? {
                    return Ok(());
                }
            }
        }
    }
    reader.send().await?;
    Ok(())
}

async fn export(mut asked: Asked) -> Result<Response, ApiError> {
    let scope = asked.scope()?;
    let kinds = kinds();
    let named: Vec<_> = kinds.iter().map(|(name, kind)| (*name, (*name, *kind))).collect();
    let (name, kind) = asked.params.choice("type", &named, ("sessions", Kind::Sessions))?;
    asked.params.choice("format", &[("csv", ())], ())?;
    let own = if scope.site.language == "en" { "en" } else { "uk" };
    let language = asked.params.choice("locale", &[("uk", "uk"), ("en", "en")], own)?;
    asked.params.finish()?;

    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut reader = Reader {
            chunks: Chunks::default(),
            bytes: 0,
            sender: sender.clone(),
        };
        if let Err(error) = write(&mut reader, &asked.pool, &scope, kind, language).await {
            tracing::error!(error = format!("{error:#}"), export = name, "an export broke off");
            // The connection is cut before the last chunk: a file that is not whole must not look whole.
            let _ = sender.send(Err(std::io::Error::other("the export broke off"))).await;
        }
    });
    let chunks = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let file = name.replace('-', "_");
    Ok((
        [
            (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"utm_{file}.csv\"")),
        ],
        Body::from_stream(chunks),
    )
        .into_response())
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
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let mut reader = Reader {
        chunks: Chunks::default(),
        bytes: 0,
        sender,
    };
    let written = async move { write(&mut reader, pool, scope, Kind::Rows(list.dimensions), language).await };
    let gathered = async move {
        let mut file = Vec::new();
        while let Some(chunk) = receiver.recv().await {
            file.extend(chunk?);
            if file.len() > max_bytes {
                // Leaving ends the writing too.
                return Ok(None);
            }
        }
        anyhow::Ok(Some(file))
    };
    let ((), file) = tokio::try_join!(written, gathered)?;
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
    parameters.push(describe::choice("format", &["csv"], "csv."));
    parameters.push(describe::choice(
        "language",
        &["uk", "en"],
        "Language of the header; the site's unless given.",
    ));
    let file = ContentBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    let answer = utoipa::openapi::ResponseBuilder::new()
        .description("The file, UTF-8 with a byte order mark.")
        .content("text/csv", file)
        .build();
    Endpoint {
        path: "export-csv",
        alias: None,
        handler: get(export),
        operations: describe::get(
            describe::operation(
                "export_csv",
                "Export as CSV",
                "All rows, however many, sent as they are read. Times are local, numbers plain; a cell that a spreadsheet would take for a \
                 formula has an apostrophe before it. When something breaks on the way, the connection is cut, so that half a file does not pass for a whole one.",
                parameters,
                describe::nullable_text(""),
            )
            .response("200", answer),
        ),
        schemas: describe::common_schemas(),
    }
}
