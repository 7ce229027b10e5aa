//! `roi`: what the spend brought.

use axum::Json;
use axum::routing::get;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;
use utoipa::ToSchema;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::Metric;
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::scope::ScopeAnswer;
use crate::reports::sql::Question;
use crate::reports::table;

const METRICS: [Metric; 5] = [
    Metric::Sessions,
    Metric::Conversions,
    Metric::Purchases,
    Metric::Revenue,
    Metric::AvgOrderValue,
];

/// What the spend brought. Null wherever the divisor is 0.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Roi {
    /// Money spent, in the site's currency, as given.
    ad_spend: Figure,
    /// Revenue of the sessions (or orders) of the period and filters.
    revenue: Figure,
    /// Revenue less spend.
    profit: Figure,
    /// Profit in percent of the spend.
    roi: Figure,
    /// Revenue / spend.
    roas: Figure,
    /// Spend / conversions.
    cpa: Figure,
    /// Spend / sessions.
    cost_per_session: Figure,
    /// Purchases at the average order value that would have paid for the spend, rounded up.
    break_even_purchases: Figure,
    /// Spend per conversion at which the profit is 0: revenue / conversions.
    break_even_cpa: Figure,
    /// Sessions.
    sessions: Figure,
    /// Conversions.
    conversions: Figure,
    /// Purchases.
    purchases: Figure,
}

fn roi_of(spend: Decimal, revenue: Figure, sessions: Figure, conversions: Figure, purchases: Figure) -> Roi {
    let ad_spend = Figure::from(spend);
    let profit = revenue.minus(ad_spend);
    let average = || {
        let (revenue, purchases) = (revenue.0?, purchases.0?);
        // spend / (revenue / purchases), in one division, so that no rounding comes before it.
        let needed = spend.checked_mul(purchases)?.checked_div(revenue)?;
        Some(needed.round_dp_with_strategy(0, RoundingStrategy::ToPositiveInfinity))
    };
    Roi {
        ad_spend,
        revenue,
        profit,
        roi: Figure::ratio(100, profit, ad_spend),
        roas: Figure::ratio(1, revenue, ad_spend),
        cpa: Figure::ratio(1, ad_spend, conversions),
        cost_per_session: Figure::ratio(1, ad_spend, sessions),
        break_even_purchases: Figure(average()),
        break_even_cpa: Figure::ratio(1, revenue, conversions),
        sessions,
        conversions,
        purchases,
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    roi: Roi,
}

fn money(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let amount: Decimal = text.parse().ok().filter(|_| plain)?;
    (amount.scale() <= 4 && amount < Decimal::from(10_i64.pow(12))).then_some(amount)
}

async fn roi(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    const ALLOWED: &str =
        "must be an amount in the site's currency: digits, at most four of them after a point, below 1000000000000";
    let spend = asked
        .params
        .one("ad_spend")?
        .ok_or_else(|| ApiError::invalid("ad_spend", format!("is needed; it {ALLOWED}")))?;
    let spend = money(&spend).ok_or_else(|| ApiError::invalid("ad_spend", ALLOWED))?;
    asked.params.finish()?;
    let question = Question {
        scope: &scope,
        dimensions: &[],
        metrics: &METRICS,
        sort: None,
        limit: None,
        offset: 0,
    };
    let row = table::totals(&asked.pool, &question).await?;
    let of = |metric| row.figure(metric);
    Ok(Json(Answer {
        scope: scope.describe(),
        roi: roi_of(
            spend,
            of(Metric::Revenue),
            of(Metric::Sessions),
            of(Metric::Conversions),
            of(Metric::Purchases),
        ),
    }))
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Roi>(&mut schemas);
    let mut parameters = describe::scope_parameters();
    parameters.push(describe::text(
        "ad_spend",
        "Required: money spent, in the site's currency, for example 5000 or 4999.90.",
    ));
    Endpoint {
        path: "roi",
        alias: None,
        handler: get(roi),
        operations: describe::get(describe::operation(
            "roi",
            "Return on ad spend",
            "Spend as given against the revenue of the period and filters.",
            parameters,
            utoipa::openapi::schema::AllOfBuilder::new()
                .item(describe::reference::<ScopeAnswer>())
                .item(describe::reference::<Roi>())
                .into(),
        )),
        schemas,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profit_and_costs_follow_from_spend_and_revenue() {
        let roi = roi_of(Decimal::from(5_000), 12_000.into(), 1_000.into(), 60.into(), 40.into());
        let shown = |figure: Figure| figure.to_string();
        assert_eq!(shown(roi.profit), "7000");
        assert_eq!(shown(roi.roi), "140");
        assert_eq!(shown(roi.roas), "2.4");
        assert_eq!(shown(roi.cpa), "83.33");
        assert_eq!(shown(roi.cost_per_session), "5");
        // 5000 / 300 = 16.67
        assert_eq!(shown(roi.break_even_purchases), "17");
        assert_eq!(shown(roi.break_even_cpa), "200");
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let nothing = roi_of(Decimal::ZERO, 0.into(), 0.into(), 0.into(), 0.into());
        for figure in [
            nothing.roi,
            nothing.roas,
            nothing.cpa,
            nothing.cost_per_session,
            nothing.break_even_purchases,
        ] {
            assert_eq!(figure, Figure(None));
        }
    }

    #[test]
    fn an_amount_is_plain_digits() {
        for bad in [
            "",
            "-1",
            "1e5",
            "1,5",
            " 1",
            "1.00001",
            "1000000000000",
            "NaN",
            "1_0",
            ".",
            "0x1",
            "99999999999999999999999999999999",
        ] {
            assert_eq!(money(bad), None, "{bad}");
        }
        assert_eq!(money("4999.90"), Some(Decimal::new(499_990, 2)));
    }
}
