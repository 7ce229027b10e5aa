//! Tests on a real Postgres with a database each. `UD_TEST_DATABASE_URL` names the server; the role must be allowed to create databases.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod access;
mod account;
mod ad_spend;
mod business;
mod cohorts_kept;
mod command_line;
mod cron;
mod health;
mod import;
mod ingest;
mod key_endpoints;
mod keys;
mod openapi;
mod operations;
mod orders;
mod panel;
mod parsers;
mod postgres;
mod privacy;
mod report_mails;
mod rollup;
mod rollup_random;
mod server_events;
mod session;
mod site_check;
mod sites;
mod support;
mod users;
mod utm;
mod utm_cohorts;
mod utm_creatives;
mod utm_customers;
mod utm_data;
mod utm_exact;
mod utm_plans;
