//! `roi`: what the spend brought, given by hand or stored.

use axum::Json;
use axum::routing::get;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;

use super::Endpoint;
use super::asked::{Asked, MAX_LIMIT};
use super::describe;
use crate::catalogue::{Dimension, Metric, Text};
use crate::error::ApiError;
use crate::reports::figure::Figure;
use crate::reports::filter::NOT_SET;
use crate::reports::scope::ScopeAnswer;
use crate::reports::sheet::{Cell, Column, Kind, Sheet};
use crate::reports::spend::{self, Joined, WithoutRate};

const METRICS: [Metric; 5] = [
    Metric::Sessions,
    Metric::Conversions,
    Metric::Purchases,
    Metric::ValuedPurchases,
    Metric::Revenue,
];

/// What spend brought. Null wherever the divisor is 0.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct Roi {
    /// Money spent, in the site's currency.
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

/// `brought` tells a metric of [`METRICS`].
fn roi_of(ad_spend: Figure, brought: impl Fn(Metric) -> Figure) -> Roi {
    let [sessions, conversions, purchases, valued, revenue] = METRICS.map(brought);
    let profit = revenue.minus(ad_spend);
    let average = || {
        let (spend, revenue, valued) = (ad_spend.0?, revenue.0?, valued.0?);
        // spend / (revenue / valued purchases), in one division, so that no rounding comes before it.
        let needed = spend.checked_mul(valued)?.checked_div(revenue)?;
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

/// Where the spend comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SpendFrom {
    /// The parameter `ad_spend`.
    Given,
    /// The reports that were uploaded or imported.
    Stored,
}

/// What one source, campaign, day … was paid and brought.
#[derive(Serialize, ToSchema)]
struct RoiRow {
    /// The value that the row is of; null: not set.
    value: Option<String>,
    #[serde(flatten)]
    roi: Roi,
    /// Clicks by the platforms' count.
    ad_clicks: Figure,
    /// Impressions by the platforms' count.
    ad_impressions: Figure,
}

/// Where the spend comes from, and what of it is left out.
#[derive(Serialize, ToSchema)]
struct Spent {
    /// Where the spend comes from.
    spend_from: SpendFrom,
    /// Clicks by the platforms' count; null where the spend was given.
    ad_clicks: Figure,
    /// Impressions by the platforms' count; null where the spend was given.
    ad_impressions: Figure,
    /// Filters that sessions and orders follow and spend cannot: the spend is that of everything.
    spend_not_filtered_by: Vec<&'static str>,
    /// Spend that is in no figure because its exchange rate is unknown.
    spend_without_rate: Vec<WithoutRate>,
    /// What the rows are split by; null without `by`.
    by: Option<&'static str>,
    /// With `by`: the largest spend first. Spend without sessions and sessions without spend are both there.
    rows: Vec<RoiRow>,
    /// Rows without limit.
    total_rows: usize,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    roi: Roi,
    #[serde(flatten)]
    spent: Spent,
}

/// What stored spend can be split by.
fn splits() -> Vec<(&'static str, Option<Dimension>)> {
    let known = Dimension::all().filter(|d| d.spend_sql().is_some());
    known.map(|d| (d.key(), Some(d))).collect()
}

const ALLOWED: &str =
    "must be an amount in the site's currency: digits, at most four of them after a point, below 1000000000000";
/// Rows unless asked otherwise.
const DEFAULT_LIMIT: i64 = 100;

fn money(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let amount: Decimal = text.parse().ok().filter(|_| plain)?;
    (amount.scale() <= 4 && amount < Decimal::from(10_i64.pow(12))).then_some(amount)
}

impl Joined {
    fn roi(&self, given: Option<Decimal>) -> Roi {
        let ad_spend = given.map_or_else(|| self.spent.figure(Metric::AdSpend), Figure::from);
        roi_of(ad_spend, |metric| self.brought.figure(metric))
    }

    fn row(self) -> RoiRow {
        RoiRow {
            roi: self.roi(None),
            ad_clicks: self.spent.figure(Metric::AdClicks),
            ad_impressions: self.spent.figure(Metric::AdImpressions),
            value: self.value,
        }
    }
}

async fn roi(mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let limit = asked.params.number("limit", 1..=MAX_LIMIT, DEFAULT_LIMIT)?;
    answer(asked, usize::try_from(limit).unwrap_or(usize::MAX))
        .await
        .map(Json)
}

/// With so many rows at most.
async fn answer(mut asked: Asked, limit: usize) -> Result<Answer, ApiError> {
    let scope = asked.scope()?;
    let given = asked
        .params
        .one("ad_spend")?
        .map(|text| money(&text).ok_or_else(|| ApiError::invalid("ad_spend", ALLOWED)))
        .transpose()?;
    let by = asked.params.choice("by", &splits(), None)?;
    asked.params.finish()?;
    if given.is_some() && by.is_some() {
        return Err(ApiError::invalid(
            "by",
            "a spend that is given as one amount cannot be split; leave ad_spend out to use the stored spend",
        ));
    }
    let (spend_scope, unknown) = spend::known(&scope);
    let without_rate = async {
        match given {
            Some(_) => Ok(Vec::new()),
            None => spend::without_rate(&asked.pool, &spend_scope).await,
        }
    };
    let rows = async {
        match by {
            Some(by) => spend::joined(&asked.pool, &scope, by, &METRICS).await,
            None => Ok(Vec::new()),
        }
    };
    let (totals, without_rate, rows) =
        tokio::try_join!(spend::totals(&asked.pool, &scope, &METRICS), without_rate, rows)?;
    let mut rows: Vec<RoiRow> = rows.into_iter().map(Joined::row).collect();
    rows.sort_by(|a, b| {
        let order = |row: &RoiRow| (row.roi.ad_spend, row.roi.revenue);
        order(b).cmp(&order(a)).then_with(|| a.value.cmp(&b.value))
    });
    let total_rows = rows.len();
    rows.truncate(limit);
    let counted = |metric| match given {
        Some(_) => Figure(None),
        None => totals.spent.figure(metric),
    };
    Ok(Answer {
        scope: scope.describe(),
        roi: totals.roi(given),
        spent: Spent {
            spend_from: if given.is_some() {
                SpendFrom::Given
            } else {
                SpendFrom::Stored
            },
            ad_clicks: counted(Metric::AdClicks),
            ad_impressions: counted(Metric::AdImpressions),
            spend_not_filtered_by: if given.is_some() { Vec::new() } else { unknown },
            spend_without_rate: without_rate,
            by: by.map(Dimension::key),
            rows,
            total_rows,
        },
    })
}

/// The same as a table: everything in one row, then a row by each value that it was split by.
pub(super) async fn sheet(asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let answer = answer(asked, usize::MAX).await?;
    let text = |uk, en| Text { uk, en };
    let fraction = |uk, en| Column::new(text(uk, en), Kind::Fraction, language);
    let of = |metric| Column::of(metric, language);
    let split = answer.spent.by.and_then(Dimension::from_key);
    let columns = vec![
        split.map_or_else(
            || Column::text(text("Рядок", "Row"), language),
            |dimension| Column::by(dimension, language),
        ),
        of(Metric::AdSpend),
        of(Metric::Sessions),
        of(Metric::Conversions),
        of(Metric::Purchases),
        of(Metric::Revenue),
        fraction("Прибуток", "Profit"),
        fraction("ROI, %", "ROI, %"),
        of(Metric::Roas),
        of(Metric::CostPerConversion),
        of(Metric::CostPerSession),
        fraction("Покупок до окупності", "Purchases to break even"),
        fraction("CPA окупності", "Break-even CPA"),
    ];
    let kind = columns[0].kind;
    let row = |name: &str, roi: &Roi| {
        let figures = [
            roi.ad_spend,
            roi.sessions,
            roi.conversions,
            roi.purchases,
            roi.revenue,
            roi.profit,
            roi.roi,
            roi.roas,
            roi.cpa,
            roi.cost_per_session,
            roi.break_even_purchases,
            roi.break_even_cpa,
        ];
        std::iter::once(Cell::value(name, kind))
            .chain(figures.map(Cell::from))
            .collect()
    };
    let total = row(text("Разом", "Total").get(language), &answer.roi);
    let split = answer
        .spent
        .rows
        .iter()
        .map(|one| row(one.value.as_deref().unwrap_or(NOT_SET), &one.roi));
    Ok(Sheet {
        columns,
        rows: std::iter::once(total).chain(split).collect(),
    })
}

/// Its own parameters, but how many rows.
pub(super) fn parameters() -> Vec<RefOr<Parameter>> {
    let names: Vec<_> = splits().into_iter().map(|(name, _)| name).collect();
    vec![
        describe::text(
            "ad_spend",
            "Money spent, in the site's currency, for example 5000 or 4999.90; the stored spend of the period's days unless given.",
        ),
        describe::choice("by", &names, "Rows by this, from the stored spend."),
    ]
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Roi>(&mut schemas);
    describe::schemas_of::<Spent>(&mut schemas);
    let mut parameters = describe::scope_parameters();
    parameters.extend(self::parameters());
    parameters.push(describe::number(
        "limit",
        (1, MAX_LIMIT),
        "Rows at most, the largest spend first; 100 unless given.",
    ));
    Endpoint {
        path: "roi",
        alias: None,
        handler: get(roi),
        operations: describe::get(describe::operation(
            "roi",
            "Return on ad spend",
            "Spend, given or stored, against the revenue of the period and filters. Stored spend counts on its own local day, whatever attribution_date says.",
            parameters,
            utoipa::openapi::schema::AllOfBuilder::new()
                .item(describe::reference::<ScopeAnswer>())
                .item(describe::reference::<Roi>())
                .item(describe::reference::<Spent>())
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
        let brought = |metric| match metric {
            Metric::Sessions => 1_000.into(),
            Metric::Conversions => 60.into(),
            // Two of them in a currency without a rate: in no sum, so in no average either.
            Metric::Purchases => 42.into(),
            Metric::ValuedPurchases => 40.into(),
            _ => 12_000.into(),
        };
        let roi = roi_of(5_000.into(), brought);
        let shown = |figure: Figure| figure.to_string();
        assert_eq!(shown(roi.profit), "7000");
        assert_eq!(shown(roi.roi), "140");
        assert_eq!(shown(roi.roas), "2.4");
        assert_eq!(shown(roi.cpa), "83.33");
        assert_eq!(shown(roi.cost_per_session), "5");
        // 5000 / 300 = 16.67
        assert_eq!(shown(roi.break_even_purchases), "17");
        assert_eq!(shown(roi.break_even_cpa), "200");
        assert_eq!(shown(roi.purchases), "42");
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let nothing = roi_of(0.into(), |_| 0.into());
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
