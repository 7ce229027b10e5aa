//! `first-and-last-touch`: what begins purchases, beside what closes them.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Dimension, Text};
use crate::error::ApiError;
use crate::orders::identity::Identifier;
use crate::reports::figure::Figure;
use crate::reports::filter::NOT_SET;
use crate::reports::scope::ScopeAnswer;
use crate::reports::sheet::{Cell, Column, Kind, Sheet};
use crate::reports::touches::{self, Credit, DIMENSIONS, Sum};
use crate::state::AppState;

/// Rows unless asked otherwise.
const DEFAULT_LIMIT: i64 = 20;

/// One value of the dimension.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct TouchRow {
    /// The dimension's value; null: not set.
    value: Option<String>,
    /// Purchases of people whose first touch it was.
    first_touch_purchases: i64,
    /// What these purchases brought: net revenue, in the site's currency.
    first_touch_revenue: Figure,
    /// Purchases that are linked to it, as every other figure counts them.
    last_touch_purchases: i64,
    /// What these purchases brought: net revenue, in the site's currency.
    last_touch_revenue: Figure,
}

impl TouchRow {
    fn new((value, Credit { first, last }): (Option<String>, Credit)) -> Self {
        Self {
            value,
            first_touch_purchases: first.purchases,
            first_touch_revenue: first.revenue.into(),
            last_touch_purchases: last.purchases,
            last_touch_revenue: last.revenue.into(),
        }
    }
}

/// A figure of a row.
struct RowFigure {
    /// In answers and as `sort`.
    key: &'static str,
    label: Text,
    kind: Kind,
    of: fn(&TouchRow) -> Figure,
}

/// The figures of a row.
const FIGURES: [RowFigure; 4] = [
    RowFigure {
        key: "first_touch_purchases",
        label: Text {
            uk: "Покупки за першим дотиком",
            en: "Purchases by first touch",
        },
        kind: Kind::Count,
        of: |row| row.first_touch_purchases.into(),
    },
    RowFigure {
        key: "first_touch_revenue",
        label: Text {
            uk: "Дохід за першим дотиком",
            en: "Revenue by first touch",
        },
        kind: Kind::Fraction,
        of: |row| row.first_touch_revenue,
    },
    RowFigure {
        key: "last_touch_purchases",
        label: Text {
            uk: "Покупки за останнім дотиком",
            en: "Purchases by last touch",
        },
        kind: Kind::Count,
        of: |row| row.last_touch_purchases.into(),
    },
    RowFigure {
        key: "last_touch_revenue",
        label: Text {
            uk: "Дохід за останнім дотиком",
            en: "Revenue by last touch",
        },
        kind: Kind::Fraction,
        of: |row| row.last_touch_revenue,
    },
];

/// The order unless asked otherwise.
const DEFAULT_SORT: &str = "-last_touch_revenue";

/// The rest of the answer.
#[derive(Serialize, ToSchema)]
struct Touches {
    /// What the rows are values of.
    dimension: &'static str,
    /// A first touch is at most so many days before its purchase: a setting of the site.
    look_back_days: u16,
    /// All purchases; either column of purchases adds up to it.
    purchases: i64,
    /// What they brought: net revenue, in the site's currency; either column of revenue adds up to it.
    revenue: Figure,
    /// Those of the purchases whose first touch is of an earlier session than the one that they are linked to.
    purchases_begun_earlier: i64,
    /// What those brought.
    revenue_begun_earlier: Figure,
    /// By value of the dimension.
    first_and_last_touch: Vec<TouchRow>,
    /// Rows without limit and offset.
    total_rows: usize,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    touches: Touches,
    limit: i64,
    offset: i64,
}

async fn first_and_last_touch(
    State(state): State<AppState>,
    mut asked: Asked,
) -> Result<Json<impl Serialize>, ApiError> {
    let (limit, offset) = asked.page(DEFAULT_LIMIT)?;
    let (scope, _, mut touches) = all(&state, asked).await?;
    let page = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
    let rows = std::mem::take(&mut touches.first_and_last_touch).into_iter();
    touches.first_and_last_touch = rows.skip(page(offset)).take(page(limit)).collect();
    Ok(Json(Answer {
        scope,
        touches,
        limit,
        offset,
    }))
}

/// Every row, in the order asked for.
async fn all(state: &AppState, mut asked: Asked) -> Result<(ScopeAnswer, Dimension, Touches), ApiError> {
    let scope = asked.scope()?;
    let dimension = asked.params.choice(
        "dimension",
        &DIMENSIONS.map(|dimension| (dimension.key(), dimension)),
        Dimension::Channel,
    )?;
    let orders = orders();
    let named: Vec<_> = orders.iter().map(|(name, order)| (name.as_str(), *order)).collect();
    let usual = named.iter().find(|(name, _)| *name == DEFAULT_SORT);
    let (figure, descending) = asked
        .params
        .choice("sort", &named, usual.map_or((0, true), |(_, order)| *order))?;
    asked.params.finish()?;
    let identifier = Identifier::new(&state.config.secret, &scope.site);
    let credits = touches::credits(&asked.pool, &scope, dimension, identifier.blocked()).await?;
    let Sum { purchases, revenue } = credits.all;
    let begun_earlier = credits.begun_earlier;
    let mut rows: Vec<_> = credits.of.into_iter().map(TouchRow::new).collect();
    // Ties stay in the order of the values.
    let of = FIGURES[figure].of;
    if descending {
        rows.sort_by_key(|row| Reverse(of(row)));
    } else {
        rows.sort_by_key(of);
    }
    let touches = Touches {
        dimension: dimension.key(),
        look_back_days: scope.site.settings.look_back_days,
        purchases,
        revenue: revenue.into(),
        purchases_begun_earlier: begun_earlier.purchases,
        revenue_begun_earlier: begun_earlier.revenue.into(),
        total_rows: rows.len(),
        first_and_last_touch: rows,
    };
    Ok((scope.describe(), dimension, touches))
}

/// Every `sort`: which of the figures, and whether the largest comes first.
fn orders() -> Vec<(String, (usize, bool))> {
    let each = |(place, figure): (usize, &RowFigure)| {
        [
            (figure.key.to_owned(), (place, false)),
            (format!("-{}", figure.key), (place, true)),
        ]
    };
    FIGURES.iter().enumerate().flat_map(each).collect()
}

/// The same as a table of all rows.
pub(super) async fn sheet(state: &AppState, asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let (_, dimension, touches) = all(state, asked).await?;
    let figures = FIGURES.map(|figure| Column::new(figure.label, figure.kind, language));
    let rows = touches.first_and_last_touch.iter().map(|row| {
        let value = Cell::from(row.value.as_deref().unwrap_or(NOT_SET));
        let figures = FIGURES.iter().map(|figure| Cell::from((figure.of)(row)));
        std::iter::once(value).chain(figures).collect()
    });
    Ok(Sheet {
        rows: rows.collect(),
        columns: std::iter::once(Column::by(dimension, language))
            .chain(figures)
            .collect(),
    })
}

/// Its own parameters, but how many rows.
pub(super) fn parameters() -> Vec<RefOr<Parameter>> {
    let orders = orders();
    let names: Vec<_> = orders.iter().map(|(name, _)| name.as_str()).collect();
    vec![
        describe::choice(
            "dimension",
            &DIMENSIONS.map(Dimension::key),
            "For first-and-last-touch: what touches are told apart by; channel unless given.",
        ),
        describe::choice(
            "sort",
            &names,
            &format!(
                "For first-and-last-touch: the figure to sort by, - before it for the largest first; {DEFAULT_SORT} unless given."
            ),
        ),
    ]
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Touches>(&mut schemas);
    let mut parameters_of_all = describe::scope_parameters();
    parameters_of_all.extend(parameters());
    parameters_of_all.extend(describe::page(DEFAULT_LIMIT));
    let page = [
        ("limit", describe::integer("As asked.")),
        ("offset", describe::integer("As asked.")),
    ];
    Endpoint {
        path: "first-and-last-touch",
        alias: None,
        handler: get(first_and_last_touch),
        operations: describe::get(describe::operation(
            "first_and_last_touch",
            "Purchases by first and by last touch",
            "The same purchases credited twice: to the touch that they are linked to, as everywhere else, and to the first one that is known of \
             the same person, by the purchase's visitor or another one who was seen with its customer id, e-mail or phone, within the site's \
             look-back before the purchase. Without an earlier touch both are the same. Filters are about the last touch.",
            parameters_of_all,
            utoipa::openapi::schema::AllOfBuilder::new()
                .item(describe::reference::<ScopeAnswer>())
                .item(describe::reference::<Touches>())
                .item(describe::object(page))
                .into(),
        )),
        schemas,
    }
}
