//! Static SQL, a file a table: checked macros, a function a query, any executor.

pub mod admin_sessions;
pub mod api_keys;
pub mod exchange_rates;
pub mod ingest_keys;
pub mod orders;
pub mod sites;
pub mod users;
pub mod visitor_contacts;
