//! The Postgres that central-api starts and owns when no `DATABASE_URL` is given.
//!
//! [`discover`] finds the programs, [`npm`] makes those of the npm package usable, [`account`] says whom to run them as, [`cluster`]
//! keeps one server per data directory, shared by every central-api on it.

pub mod account;
pub mod cluster;
pub mod discover;
pub mod npm;
mod process;
mod run;

pub use cluster::Cluster;
