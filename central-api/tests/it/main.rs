//! Tests on a real Postgres with a database each. `UD_TEST_DATABASE_URL` names the server; the role must be allowed to create databases.

mod account;
mod health;
mod keys;
mod session;
mod support;
