//! The capture logic of the edge: functions of a request, the site's settings, a clock and random bytes.
//!
//! In scope: what is a landing, who the visitor is, what the touch was, what may be kept, which events leave and how they are
//! packed. Out of scope: the Workers runtime, I/O, clocks and randomness; the worker crate adapts them.
//!
//! Reading order: [`settings`], [`hit`], [`landing`] (the decision about a request), [`collect`] (the browser script's events),
//! [`wire`] (an event as its JSON text), [`queue`] (from events to signed batches and back), [`device`].

pub mod collect;
pub mod device;
pub mod glob;
pub mod hit;
pub mod landing;
pub mod queue;
pub mod rate;
pub mod settings;
pub mod wire;

mod bots;
mod consent;
mod context;
mod cookie;
mod entropy;
mod keys;
mod meta_ids;
mod money;
mod place;
mod privacy;
mod redirect;
mod session;
mod touch;
