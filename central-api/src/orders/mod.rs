//! Orders from the shop's backend: the truth about money.
//!
//! Reading order: [`payment`] (what an order adds to revenue), [`state`] (one state of an order as the shop sends it),
//! [`identity`] (who, as keyed hashes), [`linking`] (which session an order belongs to), [`merge`] (what a state does to its order),
//! [`store`] (how states become rows), [`rates`] (other currencies).

pub mod identity;
pub mod linking;
pub mod merge;
pub mod payment;
pub mod rates;
pub mod state;
pub mod store;
