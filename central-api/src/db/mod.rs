//! Static SQL, a file a table: checked macros, a function a query, any executor.

pub mod ad_spend;
pub mod admin_sessions;
pub mod anonymous_hits;
pub mod api_keys;
pub mod audit_log;
pub mod coverage;
pub mod dead_letters;
pub mod events;
pub mod exchange_rates;
pub mod import_progress;
pub mod ingest_keys;
pub mod jobs;
pub mod order_marks;
pub mod orders;
pub mod partitions;
pub mod password_links;
pub mod report_runs;
pub mod report_schedules;
pub mod retention;
pub mod rollup_marks;
pub mod session_detail;
pub mod sessions;
pub mod sites;
pub mod user_agents;
pub mod users;
pub mod visitor_contacts;
