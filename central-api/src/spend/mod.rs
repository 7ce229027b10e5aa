//! What was paid for ads: from a platform's report to rows that meet the sessions they brought.
//!
//! Reading order: [`layout`] (which column is what, in our own layout and the platforms'), [`file`] (a whole report as sums by day and
//! tags), with [`crate::number`] for amounts as people and platforms write them. The sums are stored by [`crate::db::ad_spend`]; what they
//! mean in figures stands in the catalogue.

pub mod file;
pub mod layout;

use chrono::NaiveDate;
use rust_decimal::Decimal;

/// What an amount is told apart by; texts are normalised, and empty where the report does not say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The site's local day.
    pub day: NaiveDate,
    /// `utm_source`.
    pub source: String,
    /// `utm_medium`.
    pub medium: String,
    /// `utm_campaign`.
    pub campaign: String,
    /// `utm_content`.
    pub content: String,
    /// ISO 4217.
    pub currency: String,
}

/// What was paid and what it brought, by the platform's count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// Money in the key's currency.
    pub amount: Decimal,
    /// Clicks; none where the report does not say.
    pub clicks: Option<i64>,
    /// Impressions; none where the report does not say.
    pub impressions: Option<i64>,
    /// Name of the channel that the key's source and medium make.
    pub channel: &'static str,
}
