//! `general-stats`: the figures of the first page.

use axum::Json;
use axum::routing::get;
use serde::{Serialize, Serializer};

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::Metric;
use crate::db::coverage::{self, OrderCoverage};
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::sql::Question;
use crate::reports::table;

/// The general figures: name in the answer, metric.
pub const GENERAL: [(&str, Metric); 18] = [
    ("total_sessions", Metric::Sessions),
    ("unique_visitors", Metric::Visitors),
    ("total_visits", Metric::Visits),
    ("total_conversions", Metric::Conversions),
    ("conversion_rate", Metric::ConversionRate),
    ("total_revenue", Metric::Revenue),
    ("avg_order_value", Metric::AvgOrderValue),
    ("revenue_per_session", Metric::RevenuePerSession),
    ("orders", Metric::Orders),
    ("leads", Metric::Leads),
    ("purchases", Metric::Purchases),
    ("total_score", Metric::TotalScore),
    ("avg_score_per_session", Metric::AvgScorePerSession),
    ("bounce_rate", Metric::BounceRate),
    ("avg_session_duration", Metric::AvgSessionDuration),
    ("page_views", Metric::PageViews),
    ("pages_per_session", Metric::PagesPerSession),
    ("registrations", Metric::Registrations),
];

/// Values of [`GENERAL`], in its order.
#[derive(Debug, Clone)]
pub struct GeneralFigures(pub Vec<Figure>);

impl Serialize for GeneralFigures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(GENERAL.iter().map(|(key, _)| key).zip(&self.0))
    }
}

impl GeneralFigures {
    /// Asks for them.
    pub async fn ask(pool: &sqlx::PgPool, scope: &Scope) -> sqlx::Result<Self> {
        let metrics = GENERAL.map(|(_, metric)| metric);
        let question = Question {
            scope,
            dimensions: &[],
            metrics: &metrics,
            sort: None,
            limit: None,
            offset: 0,
        };
        let row = table::totals(pool, &question).await?;
        Ok(Self(metrics.iter().map(|metric| row.figure(*metric)).collect()))
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    figures: GeneralFigures,
    coverage: OrderCoverage,
}

async fn general_stats(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    let (figures, (coverage, _)) = tokio::try_join!(
        GeneralFigures::ask(&asked.pool, &scope),
        coverage::of_orders(&asked.pool, &scope.site, &scope.period),
    )?;
    Ok(Json(Answer {
        scope: scope.describe(),
        figures,
        coverage,
    }))
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<OrderCoverage>(&mut schemas);
    let figures = GENERAL.map(|(key, metric)| (key, describe::figure(metric)));
    let answer = describe::scoped(
        figures
            .into_iter()
            .chain([("coverage", describe::reference::<OrderCoverage>())]),
    );
    Endpoint {
        path: "general-stats",
        alias: None,
        handler: get(general_stats),
        operations: describe::get(describe::operation(
            "general_stats",
            "General figures",
            "Sessions, visitors, conversions, revenue and what goes with them, over the whole period.",
            describe::scope_parameters(),
            answer,
        )),
        schemas,
    }
}
