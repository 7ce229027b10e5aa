//! What a metric is; each one's definition is a row of [`super::metric_rows`].

use serde::Serialize;
use utoipa::ToSchema;

use super::Text;
use super::metric_rows::METRICS;

/// What can be counted. The order is that of [`METRICS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each has its definition sentence in METRICS")]
pub enum Metric {
    Sessions,
    Visitors,
    Visits,
    Conversions,
    ConversionRate,
    Revenue,
    Orders,
    Leads,
    Purchases,
    ValuedPurchases,
    AvgOrderValue,
    RevenuePerSession,
    OrdersPerSession,
    TotalScore,
    AvgScorePerSession,
    Bounces,
    BounceRate,
    PageViews,
    PagesPerSession,
    Duration,
    AvgSessionDuration,
    Registrations,
    ProductViews,
    AddToCart,
    InitiateCheckout,
    LeadSessions,
    PurchaseSessions,
    ProductViewRate,
    AddToCartRate,
    InitiateCheckoutRate,
    LeadRate,
    PurchaseRate,
    StrictAddToCart,
    StrictInitiateCheckout,
    StrictLeadSessions,
    StrictPurchaseSessions,
    AdSpend,
    AdClicks,
    AdImpressions,
    Roas,
    CostPerConversion,
    CostPerSession,
    CostPerClick,
}

/// What a metric's number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A whole number of things.
    Count,
    /// Percent, 0 to 100 (or more), two decimals.
    Percent,
    /// Money in the site's currency.
    Money,
    /// Seconds.
    Seconds,
    /// Points.
    Points,
    /// A plain quotient, two decimals.
    Ratio,
}

/// Which direction is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither.
    Neither,
}

/// How a metric is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formula {
    /// An aggregate over sessions `s` that adds up over disjoint sets of them; its value over nothing is 0.
    Sessions(&'static str),
    /// An aggregate over sessions `s` that does not add up: parts of a whole share what they count.
    Distinct(&'static str),
    /// An aggregate over what orders brought; its value over nothing is 0.
    Money {
        /// Over sessions `s`: the money of their orders, whenever those were placed.
        by_session: &'static str,
        /// Over orders `o`: by the order's own date.
        by_order: &'static str,
        /// Over sessions `s` of a site whose purchase events are its revenue.
        by_event: &'static str,
    },
    /// An aggregate over rows of ad spend `a`, each with its `amount` in the site's currency; its value over nothing is 0. Null where figures are
    /// split or filtered by a dimension that spend does not have.
    Spend(&'static str),
    /// `times × of / per`, rounded half away from zero to two decimals; null where `per` is 0.
    Ratio {
        /// Numerator.
        of: Metric,
        /// Denominator.
        per: Metric,
        /// 100 for a percentage, else 1.
        times: i64,
    },
}

/// One row of the catalogue.
#[derive(Debug)]
pub struct MetricDefinition {
    /// Which.
    pub metric: Metric,
    /// Name in the API.
    pub key: &'static str,
    /// Name for people.
    pub label: Text,
    /// What the number is.
    pub unit: Unit,
    /// Good direction.
    pub better: Better,
    /// How it is computed.
    pub formula: Formula,
    /// What it means, in a sentence.
    pub definition: Text,
}

impl Metric {
    /// The table's row.
    pub fn definition(self) -> &'static MetricDefinition {
        &METRICS[self as usize]
    }

    /// Name in the API.
    pub fn key(self) -> &'static str {
        self.definition().key
    }

    /// The metric with this name.
    pub fn from_key(key: &str) -> Option<Self> {
        METRICS.iter().find(|d| d.key == key).map(|d| d.metric)
    }

    /// Whether ad spend is needed to know it.
    pub fn needs_spend(self) -> bool {
        match self.definition().formula {
            Formula::Spend(_) => true,
            Formula::Ratio { of, per, .. } => of.needs_spend() || per.needs_spend(),
            _ => false,
        }
    }

    /// Every metric, in the catalogue's order.
    pub fn all() -> impl Iterator<Item = Self> {
        METRICS.iter().map(|d| d.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_stands_where_it_is_looked_for_and_is_found_by_its_key() {
        for (i, row) in METRICS.iter().enumerate() {
            assert_eq!(row.metric as usize, i, "{}", row.key);
            assert_eq!(Metric::from_key(row.key), Some(row.metric));
        }
    }

    #[test]
    fn a_ratio_is_of_two_metrics_that_are_not_ratios() {
        for row in &METRICS {
            if let Formula::Ratio { of, per, .. } = row.formula {
                for part in [of, per] {
                    assert!(
                        !matches!(part.definition().formula, Formula::Ratio { .. }),
                        "{}",
                        row.key
                    );
                }
            }
        }
    }

    #[test]
    fn every_metric_is_named_and_defined_in_both_languages() {
        for row in &METRICS {
            for text in [row.label.uk, row.label.en, row.definition.uk, row.definition.en] {
                assert!(!text.is_empty(), "{}", row.key);
            }
            assert!(
                row.definition.en.ends_with('.') && row.definition.uk.ends_with('.'),
                "{}",
                row.key
            );
        }
    }
}
