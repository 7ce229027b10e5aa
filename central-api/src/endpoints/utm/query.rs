//! `query`: any metrics by any dimensions, in one request.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, HttpMethod, RefOr, Required, request_body::RequestBodyBuilder};

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use super::time_series::BUCKETS;
use crate::auth::Viewer;
use crate::catalogue::{Dimension, Metric};
use crate::error::ApiError;
use crate::reports::params::Params;
use crate::reports::scope::ScopeAnswer;
use crate::reports::series;
use crate::reports::sql::Question;
use crate::reports::table::{self, Row};
use crate::state::AppState;

/// Dimensions of one question; more make rows of one session each.
const MAX_DIMENSIONS: usize = 6;
const DEFAULT_LIMIT: i64 = 100;

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    metrics: Vec<&'static str>,
    dimensions: Vec<&'static str>,
    bucket: Option<&'static str>,
    rows: Vec<Row>,
    total_rows: i64,
    totals: Row,
}

/// Keys that stand alone or joined by commas (no key holds one), each once.
fn keys<T: Copy + PartialEq>(
    params: &mut Params,
    name: &'static str,
    find: impl Fn(&str) -> Option<T>,
    allowed: impl Iterator<Item = &'static str>,
) -> Result<Vec<T>, ApiError> {
    let mut found = Vec::new();
    let texts = params.all(name);
    for key in texts.iter().flat_map(|text| text.split(',')) {
        let Some(item) = find(key) else {
            let allowed: Vec<_> = allowed.collect();
            return Err(ApiError::invalid(name, format!("allowed are {}", allowed.join(", "))));
        };
        if found.contains(&item) {
            return Err(ApiError::invalid(name, "each may be given once"));
        }
        found.push(item);
    }
    Ok(found)
}

async fn answer(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    let metric_keys = Metric::all().map(|m| m.key());
    let metrics = keys(&mut asked.params, "metrics", Metric::from_key, metric_keys)?;
    if metrics.is_empty() {
        return Err(ApiError::invalid(
            "metrics",
            "at least one is needed; /api/utm/catalogue lists them",
        ));
    }
    let untimed = || Dimension::filters();
    let find = |key: &str| untimed().find(|d| d.key() == key);
    let mut dimensions = keys(&mut asked.params, "dimensions", find, untimed().map(|d| d.key()))?;
    if dimensions.len() > MAX_DIMENSIONS {
        return Err(ApiError::invalid("dimensions", format!("at most {MAX_DIMENSIONS}")));
    }
    let allowed = BUCKETS.map(|(key, bucket)| (key, Some(bucket)));
    let bucket = asked.params.choice("bucket", &allowed, None)?;
    if let Some(bucket) = bucket {
        dimensions.insert(0, bucket);
    }
    let (limit, offset) = asked.page(DEFAULT_LIMIT)?;
    let sort = asked.sort(&dimensions, &metrics)?;
    let search = asked.search()?;
    if search.is_some() && (bucket.is_some() || dimensions.is_empty()) {
        return Err(ApiError::invalid("search", "needs dimensions, and no bucket"));
    }
    asked.params.finish()?;

    let only_bucket = bucket.filter(|_| dimensions.len() == 1 && sort.is_none());
    let question = Question {
        scope: &scope,
        dimensions: &dimensions,
        metrics: &metrics,
        sort,
        // A series is filled first and cut after.
        limit: only_bucket.is_none().then_some(limit),
        offset: if only_bucket.is_none() { offset } else { 0 },
    };
    let (mut table, totals) = tokio::try_join!(
        table::found(&asked.pool, &question, search.as_ref()),
        table::totals(&asked.pool, &question)
    )?;
    if let Some(bucket) = only_bucket {
        let filled = series::fill(table.rows, bucket, &table::nothing_of(&question), &scope.period)?;
        table.total_rows = i64::try_from(filled.len()).unwrap_or(i64::MAX);
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        table.rows = filled
            .into_iter()
            .skip(skip)
            .take(usize::try_from(limit).unwrap_or(0))
            .collect();
    }
    Ok(Json(Answer {
        scope: scope.describe(),
        metrics: metrics.iter().map(|m| m.key()).collect(),
        dimensions: dimensions.iter().map(|d| d.key()).collect(),
        bucket: bucket.map(Dimension::key),
        rows: table.rows,
        total_rows: table.total_rows,
        totals,
    }))
}

/// The body's members as parameters; `filters` holds filters by dimension.
fn params_of(body: Value) -> Result<Params, ApiError> {
    let Value::Object(members) = body else {
        return Err(ApiError::invalid("body", "must be a JSON object"));
    };
    let mut pairs = Vec::new();
    for (name, value) in members {
        match value {
            Value::Object(filters) if name == "filters" => {
                for (name, value) in filters {
                    if Dimension::filters().all(|d| d.key() != name) {
                        let allowed: Vec<_> = Dimension::filters().map(|d| d.key()).collect();
                        return Err(ApiError::invalid(
                            "filters",
                            format!("allowed are {}", allowed.join(", ")),
                        ));
                    }
                    add(&mut pairs, name, value)?;
                }
            }
            value => add(&mut pairs, name, value)?,
        }
    }
    Ok(Params::from_pairs(pairs))
}

fn add(pairs: &mut Vec<(String, String)>, name: String, value: Value) -> Result<(), ApiError> {
    let mut push = |value: Value| match value {
        Value::String(text) => {
            pairs.push((name.clone(), text));
            Ok(())
        }
        Value::Number(number) => {
            pairs.push((name.clone(), number.to_string()));
            Ok(())
        }
        Value::Bool(flag) => {
            pairs.push((name.clone(), flag.to_string()));
            Ok(())
        }
        _ => Err(ApiError::invalid(
            name.clone(),
            "must be text, a number, true or false, or an array of them",
        )),
    };
    match value {
        Value::Array(values) => values.into_iter().try_for_each(push),
        // As if it had been left out.
        Value::Null => Ok(()),
        value => push(value),
    }
}

async fn by_body(
    viewer: Viewer,
    State(state): State<AppState>,
    crate::extract::Json(body): crate::extract::Json<Value>,
) -> Result<Json<impl Serialize>, ApiError> {
    answer(Asked::with_params(&viewer, &state, params_of(body)?)?).await
}

pub(super) fn endpoint() -> Endpoint {
    let metrics: Vec<Metric> = Metric::all().collect();
    let dimensions: Vec<Dimension> = Dimension::filters().collect();
    let mut row = ObjectBuilder::new();
    for (name, schema) in describe::row(&dimensions, &metrics) {
        row = row.property(name, schema);
    }
    for (name, bucket) in BUCKETS {
        row = row.property(name, describe::nullable_text(bucket.definition().definition.en));
    }
    let row: RefOr<Schema> = row.into();
    let row = || row.clone();
    let answer_schema = || {
        describe::scoped([
            (
                "metrics",
                describe::array_of(ObjectBuilder::new().schema_type(Type::String).into()),
            ),
            (
                "dimensions",
                describe::array_of(ObjectBuilder::new().schema_type(Type::String).into()),
            ),
            ("bucket", describe::nullable_text("As asked.")),
            ("rows", describe::array_of(row())),
            (
                "total_rows",
                describe::integer("Rows without limit and offset, of a search those that it finds."),
            ),
            ("totals", row()),
        ])
    };
    let mut parameters = describe::scope_parameters();
    parameters.push(describe::required_text(
        "metrics",
        "Keys of the catalogue, joined by commas or repeated.",
    ));
    parameters.push(describe::text(
        "dimensions",
        "Keys of the catalogue, joined by commas or repeated; at most 6.",
    ));
    parameters.push(describe::choice(
        "bucket",
        &BUCKETS.map(|b| b.0),
        "Split by time first.",
    ));
    parameters.extend(describe::page(DEFAULT_LIMIT));
    parameters.push(describe::text(
        "sort",
        "One of the asked columns, - before it for the largest first.",
    ));
    parameters.push(describe::search());
    let summary = "Any metrics by any dimensions";
    let description = "A series (bucket without dimensions and sort) has no gaps.";
    let body = ObjectBuilder::new()
        .description(Some(
            "The parameters of the GET form as members; arrays for several values; filters may stand in an object `filters`.",
        ))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .examples([serde_json::json!({
            "period": "month", "metrics": ["sessions", "revenue"], "dimensions": ["utm_source"],
            "filters": {"country": ["UA", "PL"], "utm_campaign": "!(not set)"}, "sort": "-revenue", "limit": 10
        })]);
    let post = describe::operation("query_by_body", summary, description, [], answer_schema()).request_body(Some(
        RequestBodyBuilder::new()
            .content("application/json", ContentBuilder::new().schema(Some(body)).build())
            .required(Some(Required::True))
            .build(),
    ));
    Endpoint {
        path: "query",
        alias: None,
        handler: get(answer).post(by_body),
        operations: vec![
            (
                HttpMethod::Get,
                describe::operation("query", summary, description, parameters, answer_schema()).build(),
            ),
            (HttpMethod::Post, post.build()),
        ],
        schemas: describe::common_schemas(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_the_query_string_would_be() {
        let body = serde_json::json!({
            "metrics": ["sessions", "revenue"], "limit": 5, "confirmed": true, "sort": null,
            "filters": {"utm_campaign": ["a,b", "!c"]}
        });
        let mut params = params_of(body).unwrap();
        assert_eq!(params.all("metrics"), ["sessions", "revenue"]);
        assert_eq!(params.all("utm_campaign"), ["a,b", "!c"]);
        assert_eq!(params.one("limit").unwrap().as_deref(), Some("5"));
        assert_eq!(params.one("confirmed").unwrap().as_deref(), Some("true"));
        params.finish().unwrap();
    }

    #[test]
    fn a_body_of_another_shape_is_refused_by_name() {
        for (body, field) in [
            (serde_json::json!([]), "body"),
            (serde_json::json!(null), "body"),
            (serde_json::json!({"metrics": {"a": 1}}), "metrics"),
            (serde_json::json!({"metrics": [["a"]]}), "metrics"),
            (serde_json::json!({"filters": {"nope": "x"}}), "filters"),
            (serde_json::json!({"filters": {"city": {}}}), "city"),
        ] {
            let error = params_of(body).unwrap_err();
            assert!(
                matches!(&error, ApiError::Invalid { field: Some(named), .. } if named == field),
                "{error:?}"
            );
        }
    }
}
