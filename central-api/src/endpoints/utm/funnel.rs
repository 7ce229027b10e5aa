//! `funnel`: how many sessions came how far.

use axum::Json;
use axum::routing::get;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Metric, Text};
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::sheet::{Column, Kind, Sheet};
use crate::reports::sql::Question;
use crate::reports::table;

/// Stages: name of the count, sessions that had it at any time, sessions that came to it in order.
const STAGES: [(&str, Metric, Metric); 5] = [
    ("product_views", Metric::ProductViews, Metric::ProductViews),
    ("add_to_cart", Metric::AddToCart, Metric::StrictAddToCart),
    (
        "initiate_checkout",
        Metric::InitiateCheckout,
        Metric::StrictInitiateCheckout,
    ),
    ("leads", Metric::LeadSessions, Metric::StrictLeadSessions),
    ("purchases", Metric::PurchaseSessions, Metric::StrictPurchaseSessions),
];

/// One stage.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stage {
    /// Its key.
    pub(crate) key: &'static str,
    /// Its name.
    pub(crate) label: Text,
    /// Unique sessions.
    pub(crate) sessions: Figure,
    /// In percent of all sessions; null without sessions.
    pub(crate) rate: Figure,
}

/// The funnel's figures.
#[derive(Serialize, ToSchema)]
pub(crate) struct Funnel {
    /// Whether stages count only in the funnel's order.
    strict: bool,
    /// All sessions.
    pub(crate) total: Figure,
    /// Sessions in which a product was viewed.
    product_views: Figure,
    /// Sessions in which a product was added to the cart.
    add_to_cart: Figure,
    /// Sessions in which the checkout was entered.
    initiate_checkout: Figure,
    /// Sessions with a lead.
    leads: Figure,
    /// Sessions with a purchase.
    purchases: Figure,
    /// Percent of all sessions.
    product_view_rate: Figure,
    /// Percent of all sessions.
    add_to_cart_rate: Figure,
    /// Percent of all sessions.
    initiate_checkout_rate: Figure,
    /// Percent of all sessions.
    lead_rate: Figure,
    /// Percent of all sessions.
    purchase_rate: Figure,
    /// The same as a list, in order, beginning with all sessions.
    pub(crate) stages: Vec<Stage>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    funnel: Funnel,
}

async fn funnel(asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    answer(asked).await.map(Json)
}

async fn answer(mut asked: Asked) -> Result<Answer, ApiError> {
    let scope = asked.scope()?;
    let strict = asked
        .params
        .choice("strict", &[("true", true), ("false", false)], false)?;
    asked.params.finish()?;
    Ok(Answer {
        scope: scope.describe(),
        funnel: ask(&asked.pool, &scope, strict).await?,
    })
}

/// The same as a table, a stage a row.
pub(super) async fn sheet(asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let funnel = answer(asked).await?.funnel;
    let (stage, rate) = (
        Text {
            uk: "Крок",
            en: "Stage",
        },
        Text {
            uk: "Від усіх сесій, %",
            en: "Of all sessions, %",
        },
    );
    Ok(Sheet {
        columns: vec![
            Column::text(stage, language),
            Column::of(Metric::Sessions, language),
            Column::new(rate, Kind::Fraction, language),
        ],
        rows: funnel
            .stages
            .iter()
            .map(|stage| {
                vec![
                    stage.label.get(language).into(),
                    stage.sessions.into(),
                    stage.rate.into(),
                ]
            })
            .collect(),
    })
}

/// Counts the stages.
///
/// # Errors
/// The database's.
pub(crate) async fn ask(pool: &PgPool, scope: &Scope, strict: bool) -> sqlx::Result<Funnel> {
    let of_stages = STAGES.map(|(_, any, in_order)| if strict { in_order } else { any });
    let metrics: Vec<Metric> = std::iter::once(Metric::Sessions).chain(of_stages).collect();
    let question = Question {
        scope,
        dimensions: &[],
        metrics: &metrics,
        sort: None,
        limit: None,
        offset: 0,
    };
    let row = table::totals(pool, &question).await?;
    let total = row.figure(Metric::Sessions);
    let counts = of_stages.map(|metric| row.figure(metric));
    let rates = counts.map(|count| Figure::ratio(100, count, total));
    let all = Stage {
        key: "sessions",
        label: Metric::Sessions.definition().label,
        sessions: total,
        rate: Figure::ratio(100, total, total),
    };
    let stages = STAGES
        .iter()
        .zip(counts.iter().zip(&rates))
        .map(|((key, any, _), (count, rate))| Stage {
            key,
            label: any.definition().label,
            sessions: *count,
            rate: *rate,
        });
    Ok(Funnel {
        strict,
        total,
        product_views: counts[0],
        add_to_cart: counts[1],
        initiate_checkout: counts[2],
        leads: counts[3],
        purchases: counts[4],
        product_view_rate: rates[0],
        add_to_cart_rate: rates[1],
        initiate_checkout_rate: rates[2],
        lead_rate: rates[3],
        purchase_rate: rates[4],
        stages: std::iter::once(all).chain(stages).collect(),
    })
}

/// Its own parameters.
pub(super) fn parameters() -> Vec<RefOr<Parameter>> {
    vec![describe::choice(
        "strict",
        &["true", "false"],
        "true: a stage counts only when those before it came first, by their first times (a purchase needs no lead before it); false unless given.",
    )]
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Funnel>(&mut schemas);
    let mut parameters = describe::scope_parameters();
    parameters.extend(self::parameters());
    Endpoint {
        path: "funnel",
        alias: None,
        handler: get(funnel),
        operations: describe::get(describe::operation(
            "funnel",
            "Conversion funnel",
            "Unique sessions that had a stage at any time, and their share of all sessions.",
            parameters,
            utoipa::openapi::schema::AllOfBuilder::new()
                .item(describe::reference::<ScopeAnswer>())
                .item(describe::reference::<Funnel>())
                .into(),
        )),
        schemas,
    }
}
