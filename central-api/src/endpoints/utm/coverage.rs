//! `coverage` and `freshness`: how much of the truth the other figures see.

use axum::Json;
use axum::routing::get;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::Metric;
use crate::db::coverage::{self, AnonymousHits, Newest, OrderCoverage, OrdersByLink};
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::scope::{Bots, Scope, ScopeAnswer};
use crate::reports::sql::Question;
use crate::reports::table;

/// The rest of coverage's answer.
#[derive(Serialize, ToSchema)]
struct Coverage {
    /// Orders in sum.
    orders: OrderCoverage,
    /// Orders by how they were linked, or why not.
    by_link: Vec<OrdersByLink>,
    /// Page views of visitors who allowed no id.
    anonymous: Vec<AnonymousHits>,
    /// People's sessions that began in the period.
    #[schema(value_type = i64)]
    sessions: Figure,
    /// Page views of these sessions.
    #[schema(value_type = i64)]
    page_views: Figure,
    /// Page views without an id in percent of all page views; null without any. Not of sessions: each page that somebody without an id
    /// looks at would weigh as much as a whole visit of somebody else.
    anonymous_percent: Figure,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    coverage: Coverage,
}

async fn coverage(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    if scope.filters.iter().next().is_some() {
        let (dimension, _) = scope.filters.iter().next().unzip();
        return Err(ApiError::invalid(
            dimension.map_or("utm_source", |d| d.key()),
            "coverage covers all orders of the period and takes no filters",
        ));
    }
    let (pool, site, period) = (&asked.pool, &asked.site, &scope.period);
    let people = Scope {
        bots: Bots::Exclude,
        confirmed: false,
        ..scope.clone()
    };
    let question = Question {
        scope: &people,
        dimensions: &[],
        metrics: &[Metric::Sessions, Metric::PageViews],
        sort: None,
        limit: None,
        offset: 0,
    };
    let ((orders, by_link), anonymous, table) = tokio::try_join!(
        coverage::of_orders(pool, site, period),
        coverage::anonymous(pool, site, period),
        table::totals(pool, &question),
    )?;
    let sessions = table.figure(Metric::Sessions);
    let hits: i64 = anonymous.iter().map(|a| a.hits).sum();
    let page_views = table.figure(Metric::PageViews);
    let all = Figure(page_views.0.map(|seen| seen + Decimal::from(hits)));
    Ok(Json(Answer {
        scope: scope.describe(),
        coverage: Coverage {
            orders,
            by_link,
            sessions,
            page_views,
            anonymous_percent: Figure::ratio(100, hits.into(), all),
            anonymous,
        },
    }))
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Coverage>(&mut schemas);
    Endpoint {
        path: "coverage",
        alias: None,
        handler: get(coverage),
        operations: describe::get(describe::operation(
            "coverage",
            "Coverage",
            "Orders without a session, by cause, and visitors who allowed no id. Takes no filters.",
            describe::scope_parameters(),
            utoipa::openapi::schema::AllOfBuilder::new()
                .item(describe::reference::<ScopeAnswer>())
                .item(describe::reference::<Coverage>())
                .into(),
        )),
        schemas,
    }
}

/// How fresh the data is.
#[derive(Serialize, ToSchema)]
struct Freshness {
    /// The site's key.
    site: String,
    /// The server's time, UTC.
    now: DateTime<Utc>,
    /// Newest rows.
    newest: Newest,
    /// Seconds since the newest session began; null without sessions.
    session_age_seconds: Option<i64>,
    /// Seconds since the newest order was placed; null without orders.
    order_age_seconds: Option<i64>,
}

async fn freshness(asked: Asked) -> Result<Json<Freshness>, ApiError> {
    asked.params.finish()?;
    let newest = coverage::newest(&asked.pool, &asked.site).await?;
    let age = |at: Option<DateTime<Utc>>| at.map(|at| (asked.now - at).num_seconds().max(0));
    Ok(Json(Freshness {
        site: asked.site.key.clone(),
        now: asked.now,
        session_age_seconds: age(newest.session_at),
        order_age_seconds: age(newest.order_at),
        newest,
    }))
}

pub(super) fn freshness_endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Freshness>(&mut schemas);
    Endpoint {
        path: "freshness",
        alias: None,
        handler: get(freshness),
        operations: describe::get(describe::operation(
            "freshness",
            "Freshness",
            "When the newest session began and the newest order was placed.",
            [describe::site_parameter()],
            describe::reference::<Freshness>(),
        )),
        schemas,
    }
}
