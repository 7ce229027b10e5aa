//! All configuration in one place: environment variables over an optional TOML file over defaults.

use crate::secret::Secret;

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// `UD_LISTEN`: address to serve on.
    pub listen: String,
    /// `DATABASE_URL`: Postgres; absent: central-api starts and owns one in `data_dir`.
    pub database_url: Option<Secret>,
    /// `UD_PUBLIC_URL`: where browsers reach the panel, `https://…`; without it the address asked for counts.
    pub public_url: Option<String>,
    /// `UD_CORS_ORIGINS`: other origins whose pages may ask the API.
    pub cors_origins: Vec<String>,
    /// `UD_CLIENT_ADDRESS_HEADER`: header in which the proxy in front gives the client's address.
    pub client_address_header: Option<String>,
    /// `UD_SECRET`: the installation's secret, at least 32 characters.
    pub secret: Secret,
}

impl Config {
    /// Browsers reach the panel over https.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Origins whose pages may change things: the panel's own where it is known, and the allowed ones.
    pub fn own_and_allowed_origins(&self) -> Vec<String> {
        self.public_url.iter().chain(&self.cors_origins).cloned().collect()
    }

    /// For tests: everything default, a fixed secret.
    pub fn for_tests() -> Self {
        Self {
            listen: "127.0.0.1:0".into(),
            database_url: None,
            public_url: None,
            cors_origins: Vec::new(),
            client_address_header: None,
            secret: Secret::new("a secret of at least thirty-two characters"),
        }
    }
}
