//! Payment status, and the one definition of revenue.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::record::money_limit;

/// Where the payment of an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing has been paid.
    Unpaid,
    /// A part was paid ahead: a lead.
    Prepaid,
    /// Paid: a purchase.
    Paid,
    /// All of it was paid back.
    Refunded,
    /// A part, `refunded`, was paid back: still a purchase.
    PartiallyRefunded,
    /// Called off.
    Cancelled,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Unpaid,
        Self::Prepaid,
        Self::Paid,
        Self::Refunded,
        Self::PartiallyRefunded,
        Self::Cancelled,
    ];

    /// The name in the API and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Prepaid => "prepaid",
            Self::Paid => "paid",
            Self::Refunded => "refunded",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the order counts as a purchase.
    pub const fn is_purchase(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded)
    }
}

/// What an order adds to revenue, in the site's currency, rounded half-even to four places: a purchase's total less what was
/// refunded, times the rate (units of the site's currency for one of the order's); every other status adds 0.
///
/// `total` is what the customer is charged for the order: goods after discounts, with tax and shipping. `refunded` is how much
/// of it went back; when it is more than the total, of different states, nothing is left. `None` when a purchase has no rate, or the product exceeds what a column of money holds: then the order is
/// kept, flagged and left out of sums.
pub fn revenue(status: PaymentStatus, total: Decimal, refunded: Decimal, rate: Option<Decimal>) -> Option<Decimal> {
    let net = if status.is_purchase() {
        (total - refunded).max(Decimal::ZERO)
    } else {
        Decimal::ZERO
    };
    if net.is_zero() {
        return Some(Decimal::ZERO);
    }
    net.checked_mul(rate?)
        .map(|amount| amount.round_dp_with_strategy(4, RoundingStrategy::MidpointNearestEven))
        .filter(|amount| amount.abs() < money_limit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn only_purchases_bring_revenue_and_refunds_take_it_back() {
        for (status, refunded, expected) in [
            (PaymentStatus::Unpaid, "0", "0"),
            (PaymentStatus::Prepaid, "0", "0"),
            (PaymentStatus::Paid, "0", "100.50"),
            (PaymentStatus::Paid, "0.50", "100"),
            (PaymentStatus::PartiallyRefunded, "40.25", "60.25"),
            (PaymentStatus::PartiallyRefunded, "100.51", "0"),
            (PaymentStatus::Refunded, "100.50", "0"),
            (PaymentStatus::Cancelled, "0", "0"),
        ] {
            assert_eq!(
                revenue(status, dec("100.50"), dec(refunded), Some(Decimal::ONE)),
                Some(dec(expected)),
                "{status:?}"
            );
        }
    }

    #[test]
    fn another_currency_is_rounded_half_even_to_four_places() {
        assert_eq!(
            revenue(PaymentStatus::Paid, dec("1"), dec("0"), Some(dec("0.00005"))),
            Some(dec("0.0000"))
        );
        assert_eq!(
            revenue(PaymentStatus::Paid, dec("3"), dec("0"), Some(dec("0.00005"))),
            Some(dec("0.0002"))
        );
        assert_eq!(
            revenue(PaymentStatus::Paid, dec("10"), dec("0"), Some(dec("41.25"))),
            Some(dec("412.50"))
        );
    }

    #[test]
    fn a_purchase_without_a_rate_has_no_revenue_but_an_unpaid_order_has_zero() {
        assert_eq!(revenue(PaymentStatus::Paid, dec("1"), dec("0"), None), None);
        assert_eq!(
            revenue(PaymentStatus::Cancelled, dec("1"), dec("0"), None),
            Some(Decimal::ZERO)
        );
        assert_eq!(
            revenue(
                PaymentStatus::Paid,
                dec("99999999999999.9999"),
                dec("0"),
                Some(dec("9999999999"))
            ),
            None
        );
    }

    #[test]
    fn every_status_is_found_again_by_name() {
        for status in PaymentStatus::ALL {
            assert_eq!(PaymentStatus::from_name(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }
}
