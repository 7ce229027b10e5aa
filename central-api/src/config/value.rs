//! How a setting's text becomes a value, and how a value is shown.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::HeaderName;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::secret::Secret;

/// A type that a setting can have.
pub trait Value: Sized {
    /// Reads the text; the error says what is allowed, and never repeats the text.
    fn read(text: &str) -> Result<Self, String>;
    /// As `central-api config` shows it; secrets are hidden.
    fn show(&self) -> String;
    /// May only stand in the environment.
    const SECRET: bool = false;
}

impl Value for SocketAddr {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "an address and port such as 127.0.0.1:8080 or [::]:8080".into())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    fn read(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number @ 1..=1_000_000) => Ok(number),
            _ => Err("a whole number from 1 to 1000000".into()),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "true or false".into())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("text without control characters".into());
        }
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a path".into()),
            _ => Ok(text.into()),
        }
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Secret {
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
    fn show(&self) -> String {
        match self.expose() {
            "" => String::new(),
            _ => "(hidden)".into(),
        }
    }
}

impl<T: Value> Value for Option<T> {
    const SECRET: bool = T::SECRET;

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(None),
            _ => T::read(text).map(Some),
        }
    }
    fn show(&self) -> String {
        self.as_ref().map_or(String::new(), T::show)
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(T::read)
            .collect()
    }
    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(",")
    }
}

/// Scheme, host and port of a web address, as browsers send them in `Origin`: no path, no slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its scheme is https.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl Value for Origin {
    fn read(text: &str) -> Result<Self, String> {
        const ALLOWED: &str = "an origin such as https://stats.shop.example, without a path";
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let fine = host.is_some_and(|host| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
        }) && text
            .parse::<axum::http::Uri>()
            .is_ok_and(|uri| uri.authority().is_some());
        if fine { Ok(Self(text)) } else { Err(ALLOWED.into()) }
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text)
    }
}

/// A setting of Postgres, `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSetting(String);

impl PostgresSetting {
    /// As Postgres takes it on its command line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for PostgresSetting {
    fn read(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        };
        match text.split_once('=') {
            Some((name, value)) if is_name(name) && !value.is_empty() && !value.chars().any(char::is_control) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("settings such as shared_buffers=2GB, separated by commas".into()),
        }
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for HeaderName {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "a header's name such as CF-Connecting-IP".into())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirectives(String);

impl LogDirectives {
    /// As the log's filter reads them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for LogDirectives {
    fn read(text: &str) -> Result<Self, String> {
        // To the filter, a word that is no level is the name of a module: it would log that one alone, which is nothing.
        let is_level = |text: &str| text.trim().parse::<LevelFilter>().is_ok();
        let fine = text.split(',').all(|part| match part.rsplit_once('=') {
            Some((target, level)) => !target.trim().is_empty() && is_level(level),
            None => is_level(part),
        });
        match fine && EnvFilter::try_new(text).is_ok() {
            true => Ok(Self(text.to_owned())),
            false => Err(
                "a level (error, warn, info, debug, trace or off), or directives as info,central_api::jobs=debug"
                    .into(),
            ),
        }
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// An object a line, for machines.
    Json,
    /// For people.
    Text,
}

impl Value for LogFormat {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err("json or text".into()),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Json => "json".into(),
            Self::Text => "text".into(),
        }
    }
}

/// How mails leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTransport {
    /// They do not.
    None,
    /// To an SMTP server.
    Smtp,
    /// Into files.
    File,
    /// To standard output.
    Console,
}

impl Value for MailTransport {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "smtp" => Ok(Self::Smtp),
            "file" => Ok(Self::File),
            "console" => Ok(Self::Console),
            _ => Err("smtp, file, console or none".into()),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::None => "none",
            Self::Smtp => "smtp",
            Self::File => "file",
            Self::Console => "console",
        }
        .into()
    }
}

/// How the connection to an SMTP server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// After a greeting in the clear.
    StartTls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

impl Value for SmtpSecurity {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "starttls" => Ok(Self::StartTls),
            "tls" => Ok(Self::Tls),
            "none" => Ok(Self::None),
            _ => Err("starttls, tls or none".into()),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
        .into()
    }
}
