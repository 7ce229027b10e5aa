//! What the shop's owner looks at: customers, revenue by day and stream, segments, campaigns. Everything is made from the orders;
//! nothing is entered twice.
//!
//! ```text
//! orders ──mark──▶ order_facts ──▶ customer_contacts ──▶ customer_metrics, customer_blocks
//!                       └──▶ daily_analytics_snapshots, revenue_streams, campaign_performance, order_blocks
//! ```
//!
//! Whoever changes an order leaves a mark in the same transaction. [`upkeep`] takes the marks every second or two and, in one
//! transaction, brings the order's facts up to date ([`facts`]), joins customers anew where contacts changed ([`customers`]), then
//! the figures of the customers ([`metrics`]) and days ([`days`]) that any of it touched. Every step makes whole rows anew from the
//! rows before it, never adds differences: what is kept equals what a rebuild makes. An order counts on the local day on which it was
//! placed, with or without a session, and whoever placed it.

mod acquired;
pub mod campaigns;
mod customer_blocks;
pub mod customers;
pub mod days;
pub mod facts;
pub mod figures;
pub mod filtered;
mod influenced;
pub mod metrics;
mod order_blocks;
pub mod people;
pub mod repeat;
pub mod segments;
pub mod streams;
pub mod sums;
pub mod traffic;
pub mod upkeep;

use crate::orders::identity::ContactKind;

/// The contacts of an order, in the order in which their columns stand.
const CONTACT_KINDS: [ContactKind; 3] = [ContactKind::Customer, ContactKind::Email, ContactKind::Phone];
