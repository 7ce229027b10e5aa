//! The centre: takes in events and orders, computes the analytics, serves the panel, mails the reports.
//!
//! Handlers in [`endpoints`] call queries in [`db`] directly; there is no service layer. Logic worth testing alone is a pure module.

pub mod auth;
pub mod catalogue;
pub mod clock;
pub mod config;
pub mod db;
pub mod devices;
pub mod endpoints;
pub mod error;
pub mod extract;
pub mod geo;
pub mod ingest;
pub mod orders;
pub mod record;
pub mod reports;
pub mod router;
pub mod secret;
pub mod site;
pub mod state;
pub mod statistics;

/// Every migration, compiled in.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
