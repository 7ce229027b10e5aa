//! The contract between the edge worker and the central API, and nothing else.
//!
//! In scope: the events on the wire, how a batch is signed, the caps that both sides enforce, and the tables
//! that both sides must read the same way (actions, click ids, sources, channels).
//!
//! Out of scope: anything that needs a clock, randomness, I/O, a Workers runtime or a database. Time and random
//! bytes come in as arguments, so that this crate compiles to WASM without a random backend and tests natively.
//!
//! Reading order: [`event`], [`action`], [`ids`], [`signature`], [`limits`], then [`text`], [`click_id`], [`source`],
//! [`channel`] and [`attribution`].

pub mod action;
pub mod attribution;
pub mod channel;
pub mod click_id;
pub mod event;
pub mod ids;
pub mod limits;
pub mod signature;
pub mod source;
pub mod text;
