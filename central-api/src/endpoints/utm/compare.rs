//! `compare`: every general figure against the previous period.

use std::collections::BTreeMap;

use axum::Json;
use axum::routing::get;
use serde::Serialize;
use sqlx::PgPool;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use super::general::{GENERAL, GeneralFigures};
use crate::catalogue::Text;
use crate::error::ApiError;
use crate::reports::compare::{Change, change};
use crate::reports::period::PeriodAnswer;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::sheet::{Cell, Column, Kind, Sheet};

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    comparison: Comparison,
}

/// Every general figure of a scope and of the period before it. For all time there is none before.
#[derive(Serialize)]
pub(crate) struct Comparison {
    pub(crate) previous_period: Option<PeriodAnswer>,
    pub(crate) current: GeneralFigures,
    pub(crate) previous: Option<GeneralFigures>,
    pub(crate) change: Option<BTreeMap<&'static str, Change>>,
}

async fn compare(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    Ok(Json(Answer {
        scope: scope.describe(),
        comparison: ask(&asked.pool, &scope).await?,
    }))
}

/// Asks for both periods at once.
///
/// # Errors
/// The database's.
pub(crate) async fn ask(pool: &PgPool, scope: &Scope) -> sqlx::Result<Comparison> {
    let before = scope.period.previous().map(|period| scope.in_period(period));
    let (current, previous) = tokio::try_join!(GeneralFigures::ask(pool, scope), async {
        match &before {
            Some(before) => GeneralFigures::ask(pool, before).await.map(Some),
            None => Ok(None),
        }
    })?;
    let changes = previous.as_ref().map(|previous| {
        let pairs = current.0.iter().zip(&previous.0);
        GENERAL
            .iter()
            .zip(pairs)
            .map(|((key, _), (now, then))| (*key, change(*now, *then)))
            .collect()
    });
    Ok(Comparison {
        previous_period: before.map(|before| before.period.describe()),
        current,
        previous,
        change: changes,
    })
}

const FIGURE: Text = Text {
    uk: "Показник",
    en: "Figure",
};
const COLUMNS: [Text; 4] = [
    Text {
        uk: "Цей період",
        en: "This period",
    },
    Text {
        uk: "Попередній період",
        en: "Previous period",
    },
    Text {
        uk: "Зміна",
        en: "Change",
    },
    Text {
        uk: "Зміна, %",
        en: "Change, %",
    },
];

/// The same as a table, a figure a row.
pub(super) async fn sheet(mut asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    let comparison = ask(&asked.pool, &scope).await?;
    let columns = std::iter::once(Column::text(FIGURE, language));
    let columns = columns.chain(COLUMNS.map(|label| Column::new(label, Kind::Fraction, language)));
    let rows = GENERAL.iter().enumerate().map(|(at, (key, metric))| {
        let of = |figures: &GeneralFigures| figures.0.get(at).map_or(Cell::Nothing, |figure| (*figure).into());
        let change = comparison.change.as_ref().and_then(|changes| changes.get(key));
        vec![
            metric.definition().label.get(language).into(),
            of(&comparison.current),
            comparison.previous.as_ref().map_or(Cell::Nothing, of),
            change.map_or(Cell::Nothing, |change| change.absolute.into()),
            change.map_or(Cell::Nothing, |change| change.percent.into()),
        ]
    });
    Ok(Sheet {
        columns: columns.collect(),
        rows: rows.collect(),
    })
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Change>(&mut schemas);
    let figures = || describe::object(GENERAL.map(|(key, metric)| (key, describe::figure(metric)))).into();
    let changes = describe::object(GENERAL.map(|(key, _)| (key, describe::reference::<Change>())));
    Endpoint {
        path: "compare",
        alias: None,
        handler: get(compare),
        operations: describe::get(describe::operation(
            "compare",
            "Compare with the previous period",
            "The previous period has the same number of local days and ends where this one begins, whole days even while today is not over; \
             a calendar month's is the month before. For all time there is none: previous and change are null.",
            describe::scope_parameters(),
            describe::scoped([
                (
                    "previous_period",
                    describe::nullable(describe::reference::<PeriodAnswer>()),
                ),
                ("current", figures()),
                ("previous", describe::nullable(figures())),
                ("change", describe::nullable(changes.into())),
            ]),
        )),
        schemas,
    }
}
