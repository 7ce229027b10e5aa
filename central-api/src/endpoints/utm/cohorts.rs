//! `cohort-analysis`: what visitors did after the day, week or month in which they first came.

use axum::Json;
use axum::routing::get;
use chrono::NaiveDate;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Metric, Text};
use crate::error::ApiError;
use crate::reports::cohorts;
use crate::reports::figure::Figure;
use crate::reports::scope::ScopeAnswer;
use crate::reports::sheet::{Cell, Column, Kind, Sheet};
use crate::statistics::cohorts::{Bucket, CohortMetric, MAX_PERIODS, Total, matrix, starts};

/// Days unless a period is given.
const DEFAULT_DAYS: u64 = 90;
/// Periods unless asked otherwise.
const DEFAULT_PERIODS: i64 = 12;
/// Rows of the matrix at most.
const MAX_COHORTS: usize = 400;
/// The values of `lang`.
const LANGUAGES: [(&str, &str); 2] = [("uk", "uk"), ("en", "en")];

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    cohorts: Vec<NaiveDate>,
    periods: Vec<String>,
    matrix: Vec<Vec<Figure>>,
    averages: Vec<Figure>,
    totals: Vec<Total>,
    metric: CohortMetric,
    cohort_type: Bucket,
}

async fn cohort_analysis(asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    answer(asked).await.map(Json)
}

async fn answer(mut asked: Asked) -> Result<Answer, ApiError> {
    let scope = asked.scope_or_last_days(DEFAULT_DAYS)?;
    Asked::only_by_session(&scope)?;
    let bucket = asked.params.choice("cohort_type", &Bucket::ALLOWED, Bucket::Week)?;
    let metric = asked
        .params
        .choice("metric", &CohortMetric::ALLOWED, CohortMetric::Retention)?;
    let periods = asked
        .params
        .number("periods", 1..=i64::from(MAX_PERIODS), DEFAULT_PERIODS)?;
    let own = if scope.site.language == "en" { "en" } else { "uk" };
    let language = asked.params.choice("lang", &LANGUAGES, own)?;
    asked.params.finish()?;

    let today = asked.now.with_timezone(&scope.site.time_zone).date_naive();
    let last = scope.period.last_day.min(today);
    let too_many = |count: usize| {
        ApiError::invalid(
            "cohort_type",
            format!(
                "the period holds {count} cohorts, at most {MAX_COHORTS} are answered: take a longer cohort_type or a shorter period"
            ),
        )
    };
    if let Some(first) = scope.period.first_day {
        let count = starts(bucket, first, last).len();
        if count > MAX_COHORTS {
            return Err(too_many(count));
        }
    }
    let counted = cohorts::count(&asked.pool, &scope, bucket, metric == CohortMetric::Retention).await?;
    // Of all time: from the first cohort there is.
    let first = scope.period.first_day.or_else(|| counted.keys().next().copied());
    let starts = first.map_or_else(Vec::new, |first| starts(bucket, first, last));
    if starts.len() > MAX_COHORTS {
        return Err(too_many(starts.len()));
    }
    // No more periods than have begun since the first cohort.
    let begun = starts
        .first()
        .map_or(1, |first| bucket.distance(*first, bucket.first_day(today)) + 1);
    let periods = u32::try_from(periods.min(begun.max(1))).unwrap_or(1);
    let matrix = matrix(
        metric,
        bucket,
        &starts,
        periods,
        &counted,
        (asked.now, scope.site.time_zone),
    );
    Ok(Answer {
        scope: scope.describe(),
        cohorts: starts,
        periods: (0..periods).map(|k| bucket.label(k, language)).collect(),
        matrix: matrix.rows,
        averages: matrix.averages,
        totals: matrix.totals,
        metric,
        cohort_type: bucket,
    })
}

/// The same as a table: a cohort a row, its sums, then its periods; the averages last.
pub(super) async fn sheet(mut asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    asked.params.give("lang", language.to_owned());
    let answer = answer(asked).await?;
    let text = |uk, en| Text { uk, en };
    let mut columns = vec![
        Column::new(text("Когорта", "Cohort"), Kind::Day, language),
        Column::of(Metric::Visitors, language),
        Column::new(text("З конверсією", "Converted"), Kind::Count, language),
        Column::of(Metric::Orders, language),
        Column::of(Metric::Revenue, language),
    ];
    let kind = match answer.metric {
        CohortMetric::Orders => Kind::Count,
        CohortMetric::Retention | CohortMetric::Ltv | CohortMetric::Revenue => Kind::Fraction,
    };
    columns.extend(answer.periods.into_iter().map(|label| Column {
        label: label.into(),
        kind,
    }));
    let mut rows: Vec<Vec<Cell>> = answer
        .totals
        .iter()
        .zip(&answer.matrix)
        .map(|(total, periods)| {
            let sums = [
                total.cohort.into(),
                total.size.into(),
                total.converted.into(),
                total.orders.into(),
                total.revenue.into(),
            ];
            sums.into_iter()
                .chain(periods.iter().map(|figure| (*figure).into()))
                .collect()
        })
        .collect();
    if !rows.is_empty() {
        let averages = answer.averages.iter().map(|figure| (*figure).into());
        let name = text("Середнє", "Average").get(language).into();
        let empty = [name, Cell::Nothing, Cell::Nothing, Cell::Nothing, Cell::Nothing];
        rows.push(empty.into_iter().chain(averages).collect());
    }
    Ok(Sheet { columns, rows })
}

/// Its own parameters that change the figures.
pub(super) fn parameters() -> Vec<RefOr<Parameter>> {
    vec![
        describe::choice(
            "cohort_type",
            &["day", "week", "month"],
            "Length of a cohort and of a period; week unless given.",
        ),
        describe::choice(
            "metric",
            &["retention", "ltv", "orders", "revenue"],
            "What the matrix holds; retention unless given.",
        ),
        describe::number("periods", (1, MAX_PERIODS.into()), "Periods at most; 12 unless given."),
    ]
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Total>(&mut schemas);
    describe::schemas_of::<Bucket>(&mut schemas);
    describe::schemas_of::<CohortMetric>(&mut schemas);
    let mut parameters = describe::scope_parameters();
    parameters.extend(self::parameters());
    parameters.push(describe::choice(
        "lang",
        &["uk", "en"],
        "Language of the periods' labels; the site's unless given.",
    ));
    let figures = || describe::array_of(describe::reference::<Figure>());
    let text = || {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .into()
    };
    Endpoint {
        path: "cohort-analysis",
        alias: None,
        handler: get(cohort_analysis),
        operations: describe::get(describe::operation(
            "cohort_analysis",
            "Cohorts: retention, LTV, orders, revenue",
            "Visitors by the local day, ISO week or calendar month of their first session ever, where that lies in the period (the last \
             90 days unless given); filters are about that first session. retention: percent of them with any action in the period. ltv: \
             net revenue until the end of the period per visitor. orders, revenue: until the end of the period. A period that has not \
             ended is null, but retention of period 0 is 100. averages: per period over the cohorts in which it has ended, retention and \
             ltv weighted by size, orders and revenue per cohort.",
            parameters,
            describe::scoped([
                ("cohorts", describe::array_of(text())),
                ("periods", describe::array_of(text())),
                ("matrix", describe::array_of(figures())),
                ("averages", figures()),
                ("totals", describe::array_of(describe::reference::<Total>())),
                ("metric", describe::reference::<CohortMetric>()),
                ("cohort_type", describe::reference::<Bucket>()),
            ]),
        )),
        schemas,
    }
}
