//! Static SQL, a file a table: checked macros, a function a query, any executor.

pub mod admin_sessions;
pub mod api_keys;
pub mod ingest_keys;
pub mod sites;
pub mod users;
