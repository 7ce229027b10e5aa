//! All configuration in one place: environment variables over an optional TOML file over defaults.
//!
//! The table below is the only definition of a setting: its field, its type, its variable, its default and its documentation.
//! In the TOML file a setting has the field's name. Secrets come from the environment only. Unknown settings are errors.

mod load;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use load::{ConfigError, Effective};
pub use value::{LogDirectives, LogFormat, MailTransport, Origin, PostgresSetting, SmtpSecurity};

use axum::http::HeaderName;

use crate::secret::Secret;
use load::settings;

settings! {
    /// Address and port to serve on.
    listen: SocketAddr = "127.0.0.1:8080", "UD_LISTEN";
    /// Where browsers reach the panel, such as `https://stats.shop.example`. With https, cookies are sent over https only.
    public_url: Option<Origin> = "", "UD_PUBLIC_URL";
    /// Directory for what belongs to this installation: the embedded Postgres and, unless given, the secret.
    data_dir: PathBuf = "data", "UD_DATA_DIR";
    /// Postgres 15 to 18, `postgres://user:password@host/database`. Without it central-api starts and owns one in the data directory.
    database_url: Option<Secret> = "", "DATABASE_URL";
    /// A streaming replica for reports; without it they are read from the database itself.
    database_read_url: Option<Secret> = "", "DATABASE_READ_URL";
    /// Most connections that write, per process.
    database_connections: u32 = "10", "UD_DATABASE_CONNECTIONS";
    /// Most connections that read reports, per process; so many reports are computed at a time.
    database_read_connections: u32 = "6", "UD_DATABASE_READ_CONNECTIONS";
    /// Seconds after which the database gives a report's statement up.
    read_timeout_seconds: u32 = "30", "UD_READ_TIMEOUT_SECONDS";
    /// A statement that takes longer than these milliseconds is logged, with the id of its request.
    slow_statement_ms: u32 = "500", "UD_SLOW_STATEMENT_MS";
    /// The installation's secret, at least 32 characters (`openssl rand -hex 32`). The workers' signing keys and the hashes of
    /// contacts derive from it: with another one, keys must be set anew and known contacts are not found again. Required with
    /// DATABASE_URL; without, it is made once and kept in the data directory.
    secret: Secret = "", "UD_SECRET";
    /// Directory of Postgres' programs (`initdb`, `postgres`) for the embedded one; without it they are looked for.
    postgres_bin_dir: Option<PathBuf> = "", "UD_POSTGRES_BIN_DIR";
    /// Settings of the embedded Postgres instead of its defaults (256 MB of buffers for a small shop), separated by commas, such as
    /// `shared_buffers=2GB,max_wal_size=4GB`; they hold from its next start.
    postgres_settings: Vec<PostgresSetting> = "", "UD_POSTGRES_SETTINGS";
    /// What is logged: a level, or directives as `info,central_api::jobs=debug`. Level `debug` has a line a request.
    log: LogDirectives = "info", "UD_LOG";
    /// `json` or `text`.
    log_format: LogFormat = "json", "UD_LOG_FORMAT";
    /// Other origins whose pages may ask the API with a token, separated by commas.
    cors_origins: Vec<Origin> = "", "UD_CORS_ORIGINS";
    /// Header in which the proxy in front gives the client's address, such as `CF-Connecting-IP` or `X-Forwarded-For` (its last
    /// element counts). Set it only when every request comes through that proxy. Used to slow down guessing of passwords.
    client_address_header: Option<HeaderName> = "", "UD_CLIENT_ADDRESS_HEADER";
    /// Bearer token for `/metrics`. Without it `/metrics` answers only callers on this machine that did not come through a proxy.
    metrics_token: Option<Secret> = "", "UD_METRICS_TOKEN";
    /// Seconds after which a request is given up; ingest and exports that have begun to answer are not affected.
    request_timeout_seconds: u32 = "60", "UD_REQUEST_TIMEOUT_SECONDS";
    /// Seconds that a shutdown waits for requests in flight.
    shutdown_timeout_seconds: u32 = "25", "UD_SHUTDOWN_TIMEOUT_SECONDS";
    /// Whether *Is it working* may visit a shop at an address that is not public (this machine, a private network): for trying out, and for
    /// a shop that is served there. Without it nobody can use the panel to look around in your network.
    private_shops: bool = "false", "UD_PRIVATE_SHOPS";
    /// Run due jobs (partitions, retention) in this process, on a timer. They also run when the worker's cron asks for them.
    run_jobs: bool = "true", "UD_RUN_JOBS";
    /// How reports leave: `smtp`, `file` (a `.eml` file a mail, for trying out), `console` or `none`.
    mail_transport: MailTransport = "none", "UD_MAIL_TRANSPORT";
    /// Whom reports come from, such as `Reports <reports@shop.example>`. Required with smtp.
    mail_from: Option<String> = "", "UD_MAIL_FROM";
    /// Directory of the transport `file`; `mail` in the data directory unless given.
    mail_dir: Option<PathBuf> = "", "UD_MAIL_DIR";
    /// The SMTP server's host.
    smtp_host: Option<String> = "", "UD_SMTP_HOST";
    /// Its port; unless given 587 with starttls, 465 with tls, 25 with none.
    smtp_port: Option<u32> = "", "UD_SMTP_PORT";
    /// `starttls` (required of the server, not merely tried), `tls` from the first byte, or `none`.
    smtp_security: SmtpSecurity = "starttls", "UD_SMTP_SECURITY";
    /// User name at the SMTP server; without one nobody logs in.
    smtp_user: Option<String> = "", "UD_SMTP_USER";
    /// Password at the SMTP server.
    smtp_password: Option<Secret> = "", "UD_SMTP_PASSWORD";
    /// File with a certificate (PEM) that signed the SMTP server's, where no public authority did.
    smtp_ca_file: Option<PathBuf> = "", "UD_SMTP_CA_FILE";
    /// Seconds that the SMTP server may take for an answer; ten times as long once it has the whole message.
    smtp_timeout_seconds: u32 = "60", "UD_SMTP_TIMEOUT_SECONDS";
    /// Most connections to the SMTP server at a time, per report.
    smtp_connections: u32 = "4", "UD_SMTP_CONNECTIONS";
}

impl Config {
    /// For tests: everything default, a free port, a fixed secret.
    pub fn for_tests() -> Self {
        let vars = [
            ("UD_LISTEN", "127.0.0.1:0"),
            ("UD_SECRET", "a secret of at least thirty-two characters"),
        ];
        #[expect(clippy::expect_used, reason = "a fixed text that a test reads")]
        Self::load(vars.map(|(name, value)| (name.to_owned(), value.to_owned())), None)
            .expect("the configuration for tests is valid")
            .config
    }

    /// Browsers reach the panel over https.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(Origin::is_https)
    }

    /// Origins whose pages may change things: the panel's own where it is known, and the allowed ones.
    pub fn own_and_allowed_origins(&self) -> impl Iterator<Item = &Origin> {
        self.public_url.iter().chain(&self.cors_origins)
    }

    /// central-api starts and owns its Postgres.
    pub fn is_embedded(&self) -> bool {
        self.database_url.is_none()
    }
}
