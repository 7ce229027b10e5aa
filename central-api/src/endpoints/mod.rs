//! HTTP only: a file an endpoint group, with its request and response types and its handlers.

pub mod account;
pub mod ad_spend;
pub mod analytics;
pub mod audit_log;
pub mod cron;
pub mod dead_letters;
pub mod download;
pub mod health;
pub mod ingest;
pub mod keys;
pub mod openapi;
pub mod orders;
pub mod panel;
pub mod privacy;
pub mod reference_page;
pub mod report_runs;
pub mod report_schedules;
pub mod server_events;
pub mod session;
pub mod setup;
pub mod site_check;
pub mod sites;
pub mod unsubscribe;
pub mod users;
pub mod utm;
pub mod worker_settings;
