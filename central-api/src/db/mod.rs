//! Static SQL, a file a table: checked macros, a function a query, any executor.

pub mod sites;
