//! `ltv-comparison`: what a session of each source is worth, and what may be paid for it.

use axum::Json;
use axum::routing::get;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Dimension, Metric, Text};
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::filter::NOT_SET;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::sheet::{Column as SheetColumn, Kind, Sheet};
use crate::reports::sql::{Column, Question, Sort};
use crate::reports::table::{self, Row};
use crate::site::SiteSettings;

const METRICS: [Metric; 7] = [
    Metric::Sessions,
    Metric::Conversions,
    Metric::Revenue,
    Metric::RevenuePerSession,
    Metric::AvgOrderValue,
    Metric::OrdersPerSession,
    Metric::Orders,
];

/// Rows unless asked otherwise.
const DEFAULT_LIMIT: i64 = 20;

/// How a source's LTV per session stands against the site's two thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// At least the upper one.
    Good,
    /// At least the lower one.
    Fair,
    /// Below both.
    Poor,
}

/// One source.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceLtv {
    /// Normalised source; null: not set.
    pub(crate) utm_source: Option<String>,
    /// Sessions.
    pub(crate) total_sessions: Figure,
    /// Sessions with a lead or purchase.
    pub(crate) converted_sessions: Figure,
    /// Net revenue, in the site's currency.
    pub(crate) total_revenue: Figure,
    /// Net revenue per session.
    pub(crate) ltv_per_session: Figure,
    /// Net revenue per paid order.
    avg_order_value: Figure,
    /// Orders per session.
    orders_per_session: Figure,
    /// Orders of any payment status.
    pub(crate) total_orders: Figure,
    /// The share of the LTV per session that may be spent on acquiring it, a setting of the site (0.7 unless set), in its currency.
    pub(crate) max_cpa: Figure,
    /// Where the LTV stands against the site's thresholds.
    pub(crate) level: Option<Level>,
}

impl SourceLtv {
    fn new(row: &Row, settings: &SiteSettings) -> Self {
        let of = |metric| row.figure(metric);
        let (revenue, sessions, ltv) = (of(Metric::Revenue), of(Metric::Sessions), of(Metric::RevenuePerSession));
        let affordable = revenue
            .0
            .and_then(|revenue| revenue.checked_mul(settings.max_cpa_share));
        Self {
            utm_source: row.text(Dimension::UtmSource.key()).map(str::to_owned),
            total_sessions: sessions,
            converted_sessions: of(Metric::Conversions),
            total_revenue: revenue,
            ltv_per_session: ltv,
            avg_order_value: of(Metric::AvgOrderValue),
            orders_per_session: of(Metric::OrdersPerSession),
            total_orders: of(Metric::Orders),
            // Of the sums, so that it is rounded once.
            max_cpa: Figure::ratio(1, Figure(affordable), sessions),
            level: ltv.0.map(|ltv| level(ltv, settings.ltv_thresholds)),
        }
    }
}

fn level(ltv: Decimal, (good, fair): (Decimal, Decimal)) -> Level {
    if ltv >= good {
        Level::Good
    } else if ltv >= fair {
        Level::Fair
    } else {
        Level::Poor
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    ltv_comparison: Vec<SourceLtv>,
    total_rows: i64,
    limit: i64,
    offset: i64,
}

async fn ltv_comparison(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    let (limit, offset) = asked.page(DEFAULT_LIMIT)?;
    asked.params.finish()?;
    let (ltv_comparison, total_rows) = ask(&asked.pool, &scope, limit, offset).await?;
    Ok(Json(Answer {
        scope: scope.describe(),
        total_rows,
        ltv_comparison,
        limit,
        offset,
    }))
}

/// Sources by net revenue per session, the highest first, and how many there are.
///
/// # Errors
/// The database's.
pub(crate) async fn ask(pool: &PgPool, scope: &Scope, limit: i64, offset: i64) -> sqlx::Result<(Vec<SourceLtv>, i64)> {
    let question = Question {
        scope,
        dimensions: &[Dimension::UtmSource],
        metrics: &METRICS,
        sort: Some(Sort {
            by: Column::Metric(Metric::RevenuePerSession),
            descending: true,
        }),
        limit: Some(limit),
        offset,
    };
    let table = table::ask(pool, &question).await?;
    let settings = &scope.site.settings;
    let rows = table.rows.iter().map(|row| SourceLtv::new(row, settings)).collect();
    Ok((rows, table.total_rows))
}

/// The same as a table of all sources.
pub(super) async fn sheet(mut asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    let (sources, _) = ask(&asked.pool, &scope, i64::MAX, 0).await?;
    let max_cpa = Text {
        uk: "Max CPA",
        en: "Max CPA",
    };
    let mut columns = vec![SheetColumn::text(Dimension::UtmSource.definition().label, language)];
    columns.extend(METRICS.map(|metric| SheetColumn::of(metric, language)));
    columns.push(SheetColumn::new(max_cpa, Kind::Fraction, language));
    let rows = sources.iter().map(|source| {
        vec![
            source.utm_source.as_deref().unwrap_or(NOT_SET).into(),
            source.total_sessions.into(),
            source.converted_sessions.into(),
            source.total_revenue.into(),
            source.ltv_per_session.into(),
            source.avg_order_value.into(),
            source.orders_per_session.into(),
            source.total_orders.into(),
            source.max_cpa.into(),
        ]
    });
    Ok(Sheet {
        columns,
        rows: rows.collect(),
    })
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<SourceLtv>(&mut schemas);
    let mut parameters = describe::scope_parameters();
    parameters.extend(describe::page(DEFAULT_LIMIT));
    Endpoint {
        path: "ltv-comparison",
        alias: None,
        handler: get(ltv_comparison),
        operations: describe::get(describe::operation(
            "ltv_comparison",
            "LTV by source",
            "Sources by net revenue per session, the highest first.",
            parameters,
            describe::scoped([
                ("ltv_comparison", describe::array_of(describe::reference::<SourceLtv>())),
                ("total_rows", describe::integer("Rows without limit and offset.")),
                ("limit", describe::integer("As asked.")),
                ("offset", describe::integer("As asked.")),
            ]),
        )),
        schemas,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reports::table::Cell;

    #[test]
    fn what_may_be_spent_is_the_sites_share_of_the_exact_ltv() {
        let settings = SiteSettings::default();
        let cells = [("sessions", 3), ("revenue", 1_000)].map(|(key, n)| (key, Cell::Number(n.into())));
        let ltv = SourceLtv::new(&Row(cells.to_vec()), &settings);
        // 0.7 × 1000 / 3, not 0.7 × 333.33.
        assert_eq!(ltv.max_cpa.to_string(), "233.33");
        let nothing = SourceLtv::new(&Row(vec![("sessions", Cell::Number(0.into()))]), &settings);
        assert_eq!((nothing.max_cpa, nothing.level), (Figure(None), None));
    }

    #[test]
    fn a_threshold_belongs_to_the_better_level() {
        let of = |ltv: i64| level(ltv.into(), SiteSettings::default().ltv_thresholds);
        assert_eq!(
            [of(500), of(499), of(200), of(199)],
            [Level::Good, Level::Fair, Level::Fair, Level::Poor]
        );
    }
}
