//! The six segments of the customers, and who moved between them.

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, FilterParams, PeriodParams};
use super::{BusinessScope, Words, average_order, share};
use crate::business::people;
use crate::business::segments::Segment;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::reports::figure::Figure;
use crate::reports::period::Period;

/// A segment at the end of the period.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct SegmentRow {
    /// `vip`, `loyal`, `active`, `new`, `at_risk` or `lost`.
    segment: Segment,
    /// For people.
    label: Words,
    /// Who is in it, in words, with the site's thresholds.
    definition: Words,
    /// Customers in it.
    customers: i64,
    /// Of all customers, in percent.
    share: Figure,
    /// What they spent in all, net of refunds.
    revenue: Figure,
    /// Their purchases in all.
    orders: i64,
    /// Revenue per purchase of known value; null without one.
    avg_order_value: Figure,
    /// Customers in it on the day before the period.
    previous_customers: i64,
    /// Customers now less customers then.
    change: i64,
    /// Customers who are in it and were not, new customers included.
    entered: i64,
    /// Customers who were in it and are not.
    left: i64,
}

/// Customers who were in one segment and are in another.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Movement {
    /// Where they were on the day before the period; null: no customer yet.
    from: Option<Segment>,
    /// Where they are.
    to: Segment,
    /// How many.
    customers: i64,
}

/// Segments of the customers: at the end of the period, and what moved since the day before it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerSegments {
    #[serde(flatten)]
    scope: BusinessScope,
    /// Customers with at least one purchase.
    total_customers: i64,
    /// The six, in the order in which they are shown; each customer is in exactly one.
    segments: Vec<SegmentRow>,
    /// Who changed segment.
    movements: Vec<Movement>,
}

/// The day before a period began, and the day on whose evening its segments stand.
pub(super) fn ends(period: &Period, today: NaiveDate) -> (NaiveDate, NaiveDate) {
    let beginning = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap_or_default();
    (
        period.first_day.map_or(beginning, |first| first - Days::new(1)),
        period.last_day.min(today),
    )
}

/// Segments as they are answered.
pub(super) fn segments(
    asked: &Asked,
    period: &Period,
    sums: &[people::SegmentSum],
    moves: &[people::Move],
) -> CustomerSegments {
    let rules = &asked.site.settings.customer_segments;
    let whole: i64 = sums.iter().map(|sum| sum.customers).sum();
    let segments = Segment::ALL
        .into_iter()
        .map(|segment| {
            let code = segment.code();
            let own = sums.iter().find(|sum| sum.segment == code);
            let (customers, previous) = own.map_or((0, 0), |sum| (sum.customers, sum.before));
            let (orders, unvalued) = own.map_or((0, 0), |sum| (sum.orders, sum.unvalued_orders));
            let revenue = own.map_or(Decimal::ZERO, |sum| sum.revenue);
            let moved = |counts: &dyn Fn(&people::Move) -> bool| -> i64 {
                let found = moves.iter().filter(|moved| counts(moved));
                found.map(|moved| moved.customers).sum()
            };
            SegmentRow {
                segment,
                label: segment.label().into(),
                definition: segment.definition(rules, &asked.site.currency).into(),
                customers,
                share: share(customers.into(), whole.into()),
                revenue: revenue.into(),
                orders,
                avg_order_value: average_order(revenue, orders, unvalued),
                previous_customers: previous,
                change: customers - previous,
                entered: moved(&|moved| moved.to == code),
                left: moved(&|moved| moved.from == Some(code)),
            }
        })
        .collect();
    let mut movements: Vec<Movement> = moves
        .iter()
        .filter_map(|moved| {
            Some(Movement {
                from: moved.from.and_then(Segment::from_code),
                to: Segment::from_code(moved.to)?,
                customers: moved.customers,
            })
        })
        .collect();
    movements.sort_by_key(|moved| (moved.from, moved.to));
    CustomerSegments {
        scope: asked.scope(period),
        total_customers: whole,
        segments,
        movements,
    }
}

/// Customers by segment at the end of the period, and who moved since the day before it; of those with the first purchase filtered by. Also
/// answered at `/analytics/api/customer-segments/`.
#[utoipa::path(get, path = "/api/v1/analytics/customer-segments", operation_id = "customer_segments", tag = "business", params(PeriodParams, FilterParams), responses(
    (status = 200, body = CustomerSegments, description = "the six segments"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn customer_segments(mut asked: Asked) -> Result<Json<CustomerSegments>, ApiError> {
    let period = asked.period()?;
    asked.filters()?;
    asked.params.clone().finish()?;
    let today = asked.today();
    let found = people::makeup(&asked.pool, asked.whom(), ends(&period, today), today).await?;
    Ok(Json(segments(&asked, &period, &found.segments, &found.moves)))
}
