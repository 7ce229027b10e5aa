//! `time-series`: figures by hour, day, week or month, without gaps.

use axum::Json;
use axum::routing::get;
use serde::Serialize;
use sqlx::PgPool;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Dimension, Metric};
use crate::error::ApiError;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::series;
use crate::reports::sql::Question;
use crate::reports::table::{self, Row};

/// The values of `bucket`.
pub const BUCKETS: [(&str, Dimension); 4] = [
    ("hour", Dimension::Hour),
    ("day", Dimension::Day),
    ("week", Dimension::Week),
    ("month", Dimension::Month),
];

const METRICS: [Metric; 8] = [
    Metric::Sessions,
    Metric::Visitors,
    Metric::Conversions,
    Metric::ConversionRate,
    Metric::Revenue,
    Metric::Orders,
    Metric::Purchases,
    Metric::TotalScore,
];

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    bucket: &'static str,
    series: Vec<Row>,
}

async fn time_series(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    let bucket = asked.params.choice("bucket", &BUCKETS, Dimension::Day)?;
    asked.params.finish()?;
    Ok(Json(Answer {
        scope: scope.describe(),
        bucket: bucket.key(),
        series: ask(&asked.pool, &scope, bucket).await?,
    }))
}

/// One row a bucket, without gaps.
///
/// # Errors
/// The database's; 400 for more buckets than one answer may have.
pub(crate) async fn ask(pool: &PgPool, scope: &Scope, bucket: Dimension) -> Result<Vec<Row>, ApiError> {
    let question = Question {
        scope,
        dimensions: &[bucket],
        metrics: &METRICS,
        sort: None,
        limit: None,
        offset: 0,
    };
    let table = table::ask(pool, &question).await?;
    series::fill(table.rows, bucket, &table::nothing_of(&question), &scope.period)
}

pub(super) fn endpoint() -> Endpoint {
    let mut parameters = describe::scope_parameters();
    parameters.push(describe::choice(
        "bucket",
        &BUCKETS.map(|b| b.0),
        "hour, day, week (from Monday) or month, in the site's zone; day unless given. At most 10,000 buckets.",
    ));
    let bucket_column = |bucket: Dimension| (bucket.key(), describe::nullable_text(bucket.definition().definition.en));
    let mut row = describe::object(describe::row(&[], &METRICS));
    for (_, bucket) in BUCKETS {
        let (key, schema) = bucket_column(bucket);
        row = row.property(key, schema);
    }
    Endpoint {
        path: "time-series",
        alias: None,
        handler: get(time_series),
        operations: describe::get(describe::operation(
            "time_series",
            "Figures over time",
            "One row a bucket, under the bucket's name; buckets in which nothing happened are there too, with counts of 0. \
             For all time the series begins with the first bucket that holds something.",
            parameters,
            describe::scoped([
                ("bucket", describe::nullable_text("As asked.")),
                ("series", describe::array_of(row.into())),
            ]),
        )),
        schemas: describe::common_schemas(),
    }
}
