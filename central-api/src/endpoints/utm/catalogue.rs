//! `catalogue`: what can be asked for, in both languages.

use axum::Json;
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use super::time_series::BUCKETS;
use crate::business::segments::Segment;
use crate::catalogue::{Better, Dimension, Formula, Metric, Text, Unit};
use crate::error::ApiError;
use crate::reports::filter::NOT_SET;

/// A metric as the API tells it.
#[derive(Serialize, ToSchema)]
struct MetricAnswer {
    /// Name in the API.
    key: &'static str,
    /// Name for people.
    label: Text,
    /// What the number is.
    unit: Unit,
    /// Good direction.
    better: Better,
    /// Value over nothing: 0 for counts, null for quotients.
    empty: Option<u8>,
    /// Whether attribution_date=order dates it by the order.
    follows_attribution_date: bool,
    /// What it means.
    definition: Text,
}

/// A dimension as the API tells it.
#[derive(Serialize, ToSchema)]
struct DimensionAnswer {
    /// Name in the API.
    key: &'static str,
    /// Name for people.
    label: Text,
    /// Whether one can filter by it.
    filter: bool,
    /// What stands for the absent value in filters and exports.
    not_set: &'static str,
    /// What it means.
    definition: Text,
    /// Its values in words, where the values are ours; empty where they are the shop's or the platforms'.
    values: Vec<ValueAnswer>,
}

/// A value that a dimension can have.
#[derive(Serialize, ToSchema)]
struct ValueAnswer {
    /// As it stands in rows and filters.
    key: &'static str,
    /// Name for people.
    label: Text,
    /// What it means.
    definition: Text,
}

/// A customer segment.
#[derive(Serialize, ToSchema)]
struct SegmentAnswer {
    /// As it stands in answers and requests.
    key: &'static str,
    /// Name for people.
    label: Text,
}

/// Everything that can be asked for.
#[derive(Serialize, ToSchema)]
struct Catalogue {
    /// Metrics.
    metrics: Vec<MetricAnswer>,
    /// Dimensions.
    dimensions: Vec<DimensionAnswer>,
    /// Buckets of time.
    buckets: Vec<&'static str>,
    /// Customer segments; which customers are in one is a setting of the site.
    segments: Vec<SegmentAnswer>,
}

fn by_order(metric: Metric) -> bool {
    match metric.definition().formula {
        Formula::Sessions(_) | Formula::Distinct(_) | Formula::Spend(_) => false,
        Formula::Money { .. } => true,
        Formula::Ratio { of, per, .. } => by_order(of) || by_order(per),
    }
}

async fn catalogue(asked: Asked) -> Result<Json<Catalogue>, ApiError> {
    asked.params.finish()?;
    let metrics = Metric::all().map(|metric| {
        let row = metric.definition();
        MetricAnswer {
            key: row.key,
            label: row.label,
            unit: row.unit,
            better: row.better,
            empty: (!matches!(row.formula, Formula::Ratio { .. })).then_some(0),
            follows_attribution_date: by_order(metric),
            definition: row.definition,
        }
    });
    let dimensions = Dimension::all().map(|dimension| {
        let row = dimension.definition();
        DimensionAnswer {
            key: row.key,
            label: row.label,
            filter: !dimension.is_time(),
            not_set: NOT_SET,
            definition: row.definition,
            values: dimension
                .named_values()
                .into_iter()
                .map(|value| ValueAnswer {
                    key: value.key,
                    label: value.label,
                    definition: value.definition,
                })
                .collect(),
        }
    });
    Ok(Json(Catalogue {
        metrics: metrics.collect(),
        dimensions: dimensions.collect(),
        buckets: BUCKETS.map(|b| b.0).to_vec(),
        segments: Segment::ALL
            .into_iter()
            .map(|segment| SegmentAnswer {
                key: segment.key(),
                label: segment.label(),
            })
            .collect(),
    }))
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Catalogue>(&mut schemas);
    Endpoint {
        path: "catalogue",
        alias: None,
        handler: get(catalogue),
        operations: describe::get(describe::operation(
            "catalogue",
            "Metrics and dimensions",
            "The one definition of every figure: name, unit, good direction, meaning.",
            [describe::site_parameter()],
            describe::reference::<Catalogue>(),
        )),
        schemas,
    }
}
