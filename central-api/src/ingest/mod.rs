//! From a request's bytes to durable rows, in the order that a batch passes through:
//!
//! 1. [`admission`]: how much may be in flight, so that memory stays bounded and the caller is told to wait before it grows;
//! 2. [`envelope`]: bytes to JSON events, each with its own verdict;
//! 3. [`validate`]: an event to an [`record::EventRecord`], or the reason why not (pure);
//! 4. [`writer`]: gathers records across requests;
//! 5. [`transaction`]: one transaction for all of them, retried as a whole, bisected when a record is refused by the database;
//! 6. [`fold`]: the newly stored events as one change per session (pure).
//!
//! A 200 is given after the commit and covers events, sessions, rollup marks and dead letters alike.

pub mod admission;
pub mod envelope;
pub mod fold;
pub mod record;
pub mod transaction;
pub mod validate;
pub mod writer;
