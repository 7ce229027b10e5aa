//! Lists by one or two dimensions: sources, campaigns, content and the others.

use std::collections::BTreeMap;

use axum::Json;
use axum::routing::get;
use serde::Serialize;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Dimension, Metric};
use crate::error::ApiError;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::sql::{Column, Question, Sort};
use crate::reports::table::{self, Row};

/// One list.
pub struct List {
    /// Last part of the path, and the export's `type`.
    pub path: &'static str,
    /// Name of the rows in the answer.
    pub rows: &'static str,
    /// Split by these.
    pub dimensions: &'static [Dimension],
    summary: &'static str,
}

/// Every list.
pub const LISTS: [List; 13] = [
    List {
        path: "sources",
        rows: "sources",
        dimensions: &[Dimension::UtmSource],
        summary: "By source",
    },
    List {
        path: "campaigns",
        rows: "campaigns",
        dimensions: &[Dimension::UtmCampaign, Dimension::UtmSource],
        summary: "By campaign and source",
    },
    List {
        path: "content",
        rows: "content",
        dimensions: &[Dimension::UtmContent, Dimension::UtmCampaign],
        summary: "By content (creative) and campaign",
    },
    List {
        path: "mediums",
        rows: "mediums",
        dimensions: &[Dimension::UtmMedium],
        summary: "By medium",
    },
    List {
        path: "terms",
        rows: "terms",
        dimensions: &[Dimension::UtmTerm],
        summary: "By term (keyword)",
    },
    List {
        path: "channels",
        rows: "channels",
        dimensions: &[Dimension::Channel],
        summary: "By channel",
    },
    List {
        path: "landing-pages",
        rows: "landing_pages",
        dimensions: &[Dimension::LandingPage],
        summary: "By landing page",
    },
    List {
        path: "referrers",
        rows: "referrers",
        dimensions: &[Dimension::Referrer],
        summary: "By referrer's host",
    },
    List {
        path: "countries",
        rows: "countries",
        dimensions: &[Dimension::Country],
        summary: "By country",
    },
    List {
        path: "cities",
        rows: "cities",
        dimensions: &[Dimension::City, Dimension::Country],
        summary: "By city and country",
    },
    List {
        path: "devices",
        rows: "devices",
        dimensions: &[Dimension::DeviceType],
        summary: "By kind of device",
    },
    List {
        path: "browsers",
        rows: "browsers",
        dimensions: &[Dimension::BrowserName],
        summary: "By browser",
    },
    List {
        path: "operating-systems",
        rows: "operating_systems",
        dimensions: &[Dimension::OsName],
        summary: "By operating system",
    },
];

/// The figures of every list.
pub const LIST_METRICS: [Metric; 15] = [
    Metric::Sessions,
    Metric::Visitors,
    Metric::Conversions,
    Metric::ConversionRate,
    Metric::Revenue,
    Metric::AvgOrderValue,
    Metric::Orders,
    Metric::Leads,
    Metric::Purchases,
    Metric::TotalScore,
    Metric::BounceRate,
    Metric::PagesPerSession,
    Metric::RevenuePerSession,
    Metric::AdSpend,
    Metric::Roas,
];

/// Rows unless asked otherwise.
const DEFAULT_LIMIT: i64 = 20;

/// The order of a list unless asked otherwise.
pub const DEFAULT_SORT: Sort = Sort {
    by: Column::Metric(Metric::Sessions),
    descending: true,
};

impl List {
    /// The question that the list answers.
    pub fn question<'a>(&'a self, scope: &'a Scope) -> Question<'a> {
        Question {
            scope,
            dimensions: self.dimensions,
            metrics: &LIST_METRICS,
            sort: Some(DEFAULT_SORT),
            limit: None,
            offset: 0,
        }
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    /// Under the list's own name.
    #[serde(flatten)]
    rows: BTreeMap<&'static str, Vec<Row>>,
    total_rows: i64,
    totals: Row,
    limit: i64,
    offset: i64,
}

async fn answer(list: &'static List, mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    let (limit, offset) = asked.page(DEFAULT_LIMIT)?;
    let sort = asked.sort(list.dimensions, &LIST_METRICS)?;
    let search = asked.search()?;
    asked.params.finish()?;
    let question = Question {
        sort: sort.or(Some(DEFAULT_SORT)),
        limit: Some(limit),
        offset,
        ..list.question(&scope)
    };
    let (table, totals) = tokio::try_join!(
        table::found(&asked.pool, &question, search.as_ref()),
        table::totals(&asked.pool, &question)
    )?;
    Ok(Json(Answer {
        scope: scope.describe(),
        total_rows: table.total_rows,
        rows: BTreeMap::from([(list.rows, table.rows)]),
        totals,
        limit,
        offset,
    }))
}

pub(super) fn endpoints() -> impl Iterator<Item = Endpoint> {
    LISTS.iter().map(|list| {
        let mut parameters = describe::scope_parameters();
        parameters.extend(describe::page(DEFAULT_LIMIT));
        parameters.push(describe::sort(list.dimensions, &LIST_METRICS, "-sessions"));
        parameters.push(describe::search());
        let row = || describe::row(list.dimensions, &LIST_METRICS);
        Endpoint {
            path: list.path,
            alias: None,
            handler: get(move |asked: Asked| answer(list, asked)),
            operations: describe::get(describe::operation(
                list.rows,
                list.summary,
                "Rows are groups of sessions; totals are the figures of all of them together, whatever is searched for; visitors are counted once.",
                parameters,
                describe::scoped([
                    (list.rows, describe::array_of(describe::object(row()).into())),
                    ("total_rows", describe::integer("Rows without limit and offset, of a search those that it finds.")),
                    ("totals", describe::object(describe::row(&[], &LIST_METRICS)).into()),
                    ("limit", describe::integer("As asked.")),
                    ("offset", describe::integer("As asked.")),
                ]),
            )),
            schemas: describe::common_schemas(),
        }
    })
}
