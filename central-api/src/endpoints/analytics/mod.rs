//! `/api/v1/analytics/…`: what the shop's owner looks at. Figures for whoever may look; customers by number and campaigns' changes for
//! admins alone.

mod asked;
mod campaign_changes;
mod campaigns;
mod customers;
mod dashboard;
mod export;
mod segments;
mod streams;
mod traffic;

use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::business::segments::Segment;
use crate::catalogue::Text;
use crate::reports::figure::Figure;
use crate::reports::filter::Filters;
use crate::reports::period::PeriodAnswer;
use crate::state::AppState;
use crate::statistics::verdict::Words;

/// What an answer is about.
#[derive(Debug, Serialize, ToSchema)]
pub struct BusinessScope {
    /// The site's key.
    site: String,
    /// ISO 4217 code of all money.
    currency: String,
    /// The period, in local days. An order counts on the day on which it was placed.
    period: PeriodAnswer,
    /// Which orders count: dimension → values as they would be asked for again; empty: all.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>)]
    filters: Filters,
}

impl From<Text> for Words {
    fn from(text: Text) -> Self {
        Self {
            uk: text.uk.into(),
            en: text.en.into(),
        }
    }
}

impl From<(String, String)> for Words {
    fn from((uk, en): (String, String)) -> Self {
        Self { uk, en }
    }
}

/// A name of a segment.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct SegmentName {
    /// `vip`, `loyal`, `active`, `new`, `at_risk` or `lost`.
    segment: Segment,
    /// For people.
    label: Text,
}

impl SegmentName {
    fn of_code(code: Option<i16>) -> Option<Self> {
        let segment = Segment::from_code(code?)?;
        Some(Self {
            segment,
            label: segment.label(),
        })
    }
}

/// `part` in percent of `whole`.
fn share(part: Decimal, whole: Decimal) -> Figure {
    Figure::ratio(100, part.into(), whole.into())
}

/// The catalogue's average order value, of sums over business figures: revenue by purchases of known value, in the site's currency. A
/// purchase in a currency without a known rate is neither in the revenue nor in the divisor; null where all are such.
fn average_order(revenue: Decimal, purchases: i64, unvalued: i64) -> Figure {
    Figure::ratio(1, revenue.into(), (purchases - unvalued).into())
}

/// Every route of the business analytics.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(dashboard::dashboard))
        .routes(routes!(dashboard::daily_revenue))
        .routes(routes!(streams::revenue_streams))
        .routes(routes!(customers::customers))
        .routes(routes!(segments::customer_segments))
        .routes(routes!(customers::customer))
        .routes(routes!(customers::customer_metrics))
        .routes(routes!(campaigns::list, campaign_changes::create))
        .routes(routes!(
            campaigns::show,
            campaign_changes::change,
            campaign_changes::remove
        ))
        .routes(routes!(traffic::page_views))
        .routes(routes!(traffic::conversion_events))
        .routes(routes!(export::export))
        // Where the original module had them.
        .route(
            "/analytics/api/daily-revenue",
            axum::routing::get(dashboard::daily_revenue),
        )
        .route(
            "/analytics/api/customer-segments",
            axum::routing::get(segments::customer_segments),
        )
}
