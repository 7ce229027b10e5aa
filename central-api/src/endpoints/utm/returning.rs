//! `returning-visitors`: first visits and returns.

use axum::Json;
use axum::routing::get;
use serde::Serialize;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Dimension, Metric, Text};
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::scope::ScopeAnswer;
use crate::reports::sheet::{Cell, Column, Kind, Sheet};
use crate::reports::sql::Question;
use crate::reports::table::{self, Row, empty_row};

const METRICS: [Metric; 8] = [
    Metric::Sessions,
    Metric::Visitors,
    Metric::Visits,
    Metric::Conversions,
    Metric::ConversionRate,
    Metric::Revenue,
    Metric::AvgOrderValue,
    Metric::BounceRate,
];

const SPLIT: [Dimension; 1] = [Dimension::VisitorType];

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    first: Row,
    returning: Row,
    total: Row,
    first_percent: Figure,
    returning_percent: Figure,
}

async fn returning_visitors(asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    answer(asked).await.map(Json)
}

async fn answer(mut asked: Asked) -> Result<Answer, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    let question = Question {
        scope: &scope,
        dimensions: &SPLIT,
        metrics: &METRICS,
        sort: None,
        limit: None,
        offset: 0,
    };
    let (table, total) = tokio::try_join!(
        table::ask(&asked.pool, &question),
        table::totals(&asked.pool, &question)
    )?;
    let of = |kind: &str| {
        let found = table
            .rows
            .iter()
            .find(|row| row.text(Dimension::VisitorType.key()) == Some(kind));
        found.map_or_else(
            || Row(empty_row(&METRICS)),
            |row| Row(row.0.iter().skip(1).cloned().collect()),
        )
    };
    let (first, returning) = (of("new"), of("returning"));
    let percent = |row: &Row| Figure::ratio(100, row.figure(Metric::Sessions), total.figure(Metric::Sessions));
    Ok(Answer {
        scope: scope.describe(),
        first_percent: percent(&first),
        returning_percent: percent(&returning),
        first,
        returning,
        total,
    })
}

/// The same as a table: first sessions, returning ones, all.
pub(super) async fn sheet(asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let answer = answer(asked).await?;
    let share = Text {
        uk: "Від усіх сесій, %",
        en: "Of all sessions, %",
    };
    let mut columns = vec![
        Column::text(Dimension::VisitorType.definition().label, language),
        Column::new(share, Kind::Fraction, language),
    ];
    columns.extend(METRICS.map(|metric| Column::of(metric, language)));
    let row = |name: Text, share: Figure, row: &Row| {
        let figures = METRICS.iter().map(|metric| Cell::from(row.figure(*metric)));
        [name.get(language).into(), share.into()]
            .into_iter()
            .chain(figures)
            .collect()
    };
    let name = |uk, en| Text { uk, en };
    let all = Figure::ratio(
        100,
        answer.total.figure(Metric::Sessions),
        answer.total.figure(Metric::Sessions),
    );
    Ok(Sheet {
        columns,
        rows: vec![
            row(name("Перші", "First"), answer.first_percent, &answer.first),
            row(
                name("Повторні", "Returning"),
                answer.returning_percent,
                &answer.returning,
            ),
            row(name("Разом", "Total"), all, &answer.total),
        ],
    })
}

pub(super) fn endpoint() -> Endpoint {
    let row = || describe::object(describe::row(&[], &METRICS)).into();
    Endpoint {
        path: "returning-visitors",
        alias: None,
        handler: get(returning_visitors),
        operations: describe::get(describe::operation(
            "returning_visitors",
            "First visits and returns",
            "returning: sessions with several visits, or of a visitor who had an earlier session; first: all others. \
             One visitor may stand in both.",
            describe::scope_parameters(),
            describe::scoped([
                ("first", row()),
                ("returning", row()),
                ("total", row()),
                (
                    "first_percent",
                    describe::described_figure("First sessions in percent of all."),
                ),
                (
                    "returning_percent",
                    describe::described_figure("Returning sessions in percent of all."),
                ),
            ]),
        )),
        schemas: describe::common_schemas(),
    }
}
