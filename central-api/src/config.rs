//! All configuration in one place: environment variables over an optional TOML file over defaults.

use crate::secret::Secret;

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// `UD_LISTEN`: address to serve on.
    pub listen: String,
    /// `DATABASE_URL`: Postgres; absent: central-api starts and owns one in `data_dir`.
    pub database_url: Option<Secret>,
    /// `UD_SECRET`: the installation's secret, at least 32 characters.
    pub secret: Secret,
}

impl Config {
    /// For tests: everything default, a fixed secret.
    pub fn for_tests() -> Self {
        Self {
            listen: "127.0.0.1:0".into(),
            database_url: None,
            secret: Secret::new("a secret of at least thirty-two characters"),
        }
    }
}
