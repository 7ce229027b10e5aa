//! The centre: takes in events and orders, computes the analytics, serves the panel, mails the reports.
//!
//! Handlers in [`endpoints`] call queries in [`db`] directly; there is no service layer. Logic worth testing alone is a pure module.

pub mod auth;
pub mod business;
pub mod catalogue;
pub mod channel_rules;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod connections;
pub mod currency;
pub mod database;
pub mod db;
pub mod demo;
pub mod devices;
pub mod doctor;
pub mod endpoints;
pub mod error;
pub mod extract;
pub mod geo;
pub mod import;
pub mod ingest;
pub mod installation;
pub mod jobs;
pub mod mail;
pub mod number;
pub mod orders;
pub mod postgres;
pub mod privacy;
pub mod record;
pub mod reports;
pub mod rollup;
pub mod router;
pub mod secret;
pub mod serve;
pub mod site;
pub mod site_change;
pub mod site_check;
pub mod site_rules;
pub mod spend;
pub mod state;
pub mod statistics;
pub mod telemetry;
pub mod worker_settings;

/// Every migration, compiled in.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");
