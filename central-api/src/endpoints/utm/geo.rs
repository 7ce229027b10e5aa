//! `geo`: countries and cities.

use axum::Json;
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use super::lists::DEFAULT_SORT;
use crate::catalogue::{Dimension, Metric};
use crate::error::ApiError;
use crate::geo::country_name;
use crate::reports::scope::ScopeAnswer;
use crate::reports::sql::Question;
use crate::reports::table::{self, Row, Table};

const METRICS: [Metric; 7] = [
    Metric::Sessions,
    Metric::Visitors,
    Metric::Conversions,
    Metric::ConversionRate,
    Metric::Revenue,
    Metric::AvgOrderValue,
    Metric::Orders,
];

const COUNTRIES: [Dimension; 1] = [Dimension::Country];
const CITIES: [Dimension; 2] = [Dimension::City, Dimension::Country];

const DEFAULT_LIMIT: i64 = 20;

/// A country's name in the panel's languages; null for a code without one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CountryName {
    /// Ukrainian.
    pub uk: Option<String>,
    /// English.
    pub en: Option<String>,
}

impl CountryName {
    /// Of an ISO 3166-1 alpha-2 code.
    pub fn of(code: Option<&str>) -> Option<Self> {
        code.map(|code| Self {
            uk: country_name(code, "uk"),
            en: country_name(code, "en"),
        })
    }
}

#[derive(Serialize)]
struct Place {
    #[serde(flatten)]
    row: Row,
    country_name: Option<CountryName>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    countries: Vec<Place>,
    cities: Vec<Place>,
    total_countries: i64,
    total_cities: i64,
}

fn places(table: Table) -> Vec<Place> {
    let place = |row: Row| Place {
        country_name: CountryName::of(row.text(Dimension::Country.key())),
        row,
    };
    table.rows.into_iter().map(place).collect()
}

async fn geo(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    let (limit, offset) = asked.page(DEFAULT_LIMIT)?;
    let sort = asked.sort(&[], &METRICS)?;
    asked.params.finish()?;
    let question = |dimensions| Question {
        scope: &scope,
        dimensions,
        metrics: &METRICS,
        sort: sort.or(Some(DEFAULT_SORT)),
        limit: Some(limit),
        offset,
    };
    let (of_countries, of_cities) = (question(&COUNTRIES[..]), question(&CITIES[..]));
    let (countries, cities) = tokio::try_join!(
        table::ask(&asked.pool, &of_countries),
        table::ask(&asked.pool, &of_cities)
    )?;
    Ok(Json(Answer {
        scope: scope.describe(),
        total_countries: countries.total_rows,
        total_cities: cities.total_rows,
        countries: places(countries),
        cities: places(cities),
    }))
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<CountryName>(&mut schemas);
    let mut parameters = describe::scope_parameters();
    parameters.extend(describe::page(DEFAULT_LIMIT));
    parameters.push(describe::sort(&[], &METRICS, "-sessions"));
    let rows = |dimensions: &[Dimension]| {
        let name = ("country_name", describe::nullable(describe::reference::<CountryName>()));
        describe::array_of(describe::object(describe::row(dimensions, &METRICS).into_iter().chain([name])).into())
    };
    Endpoint {
        path: "geo",
        alias: None,
        handler: get(geo),
        operations: describe::get(describe::operation(
            "geo",
            "Countries and cities",
            "limit, offset and sort hold for both lists.",
            parameters,
            describe::scoped([
                ("countries", rows(&COUNTRIES)),
                ("cities", rows(&CITIES)),
                (
                    "total_countries",
                    describe::integer("Countries without limit and offset."),
                ),
                ("total_cities", describe::integer("Cities without limit and offset.")),
            ]),
        )),
        schemas,
    }
}
