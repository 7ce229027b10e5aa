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
use crate::error::ApiError;
use crate::reports::compare::{Change, change};
use crate::reports::period::PeriodAnswer;
use crate::reports::scope::{Scope, ScopeAnswer};

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
