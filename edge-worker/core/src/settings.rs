//! A site's settings at the edge: one JSON text, and the secrets beside it.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::ids::SiteKey;
use shared::limits::DEFAULT_SESSION_LIFE_MS;

use crate::glob::Glob;
use crate::keys::{Key, Keys};

/// Everything the capture needs to know about the site. Made once per isolate.
#[derive(Clone)]
pub struct Settings {
    /// `site`: the site's key in the centre.
    pub site: SiteKey,
    /// `hosts`: the shop's own hosts, canonical; their subdomains count as own.
    pub hosts: Vec<String>,
    /// `hosts` and `payment_hosts` (the shop's own payment gateways, beside the well-known ones): a visitor who comes back from
    /// there has no new source.
    pub not_sources: Vec<String>,
    /// `cookie_domain`: cookies are shared by all hosts below it; without it they belong to the one host.
    pub cookie_domain: Option<String>,
    /// `secure_cookies`, default true: cookies are `Secure` and named `__Secure-…`. Off only for plain http in development.
    pub secure_cookies: bool,
    /// `session_life_hours`, default 336 (14 days), here in milliseconds.
    pub session_life_ms: i64,
    /// `excluded_paths`: no landing there. A path and what lies below it (`/admin`), or a pattern with `*` (`*/feed`).
    pub excluded_paths: Vec<Glob>,
    /// `consent`: see [`ConsentSettings`].
    pub consent: ConsentSettings,
    /// `ip`, default `truncated`.
    pub ip: IpPrivacy,
    /// `bots`, default `keep`.
    pub bots: Bots,
    /// `script_prefix`, default `/_ud/`: where the browser script and the collect endpoint live.
    pub script_prefix: String,
    /// `client_hints`, default true: ask browsers for model and platform version.
    pub client_hints: bool,
    /// `meta_cookies`, default false: write Meta's `_fbc` and `_fbp`. Leave it off where Meta's pixel runs.
    pub meta_cookies: bool,
    pub(crate) keys: Keys,
    pub(crate) hash_key: Key,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys stay out.
        f.debug_struct("Settings")
            .field("site", &self.site)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// `consent`: what decides whether a visitor may be remembered.
#[derive(Debug, Clone)]
pub struct ConsentSettings {
    /// `mode`, default `respect`.
    pub mode: ConsentMode,
    /// `cookie`: name of the cookie in which the shop's consent banner keeps the choice.
    pub cookie: Option<String>,
    /// `accepted`: values of it that allow everything. `*` stands for any text.
    pub accepted: Vec<Glob>,
    /// `limited`: values that allow measuring, but nothing for advertising platforms.
    pub limited: Vec<Glob>,
    /// `refused`: values that refuse. Asked before the others.
    pub refused: Vec<Glob>,
    /// `without_cookie`, default `refused`: what holds where the cookie is named but missing or has another value.
    pub without_cookie: Unsaid,
    /// `gpc`, default `refuse`: what Global Privacy Control means.
    pub gpc: Gpc,
    /// `dnt`, default `ignore`: what Do Not Track means.
    pub dnt: Dnt,
}

/// `consent.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentMode {
    /// No cookie and no id for anybody: only counts.
    Off,
    /// The consent cookie and the browser's signals decide.
    Respect,
    /// The site needs no consent, or has it.
    Granted,
}

/// `consent.without_cookie`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsaid {
    /// As accepted.
    Granted,
    /// As limited.
    Limited,
    /// As refused.
    Refused,
}

/// `consent.gpc`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gpc {
    /// No id.
    Refuse,
    /// Measured, but nothing for advertising platforms.
    Limit,
}

/// `consent.dnt`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dnt {
    /// It says nothing.
    Ignore,
    /// No id.
    Refuse,
}

/// `ip`: what is kept of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpPrivacy {
    /// All of it, and a keyed hash.
    Full,
    /// The network, /24 or /48, and a keyed hash of the whole.
    Truncated,
    /// Nothing, no hash either.
    None,
}

/// `bots`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bots {
    /// Sent with the reason, without ids and cookies.
    Keep,
    /// Not sent.
    Drop,
}

/// The secrets of a site at the edge.
#[derive(Clone)]
pub struct Secrets {
    /// Keys that cookies are signed with, with their ids: the first signs, all verify.
    pub cookie_keys: Vec<(String, Vec<u8>)>,
    /// Key of the hash of addresses.
    pub hash_key: Vec<u8>,
}

impl Secrets {
    /// Reads `id:secret,id:secret` and the hash key. A secret is text of at least 32 characters without commas.
    pub fn parse(cookie_keys: &str, hash_key: &str) -> Result<Secrets, SettingsError> {
        let cookie_keys = cookie_keys
            .split(',')
            .map(|pair| {
                let (id, secret) = pair.trim().split_once(':').ok_or_else(|| {
                    SettingsError::new("cookie keys", "must read id:secret, several joined by commas")
                })?;
                Ok((id.to_owned(), secret.as_bytes().to_vec()))
            })
            .collect::<Result<_, SettingsError>>()?;
        Ok(Secrets {
            cookie_keys,
            hash_key: hash_key.as_bytes().to_vec(),
        })
    }
}

/// Why settings cannot be used. Names the field, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("edge settings: {field}: {reason}")]
pub struct SettingsError {
    /// The field.
    pub field: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

impl SettingsError {
    fn new(field: &str, reason: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Where nobody lands, unless `excluded_paths` says otherwise. Files are left out by their extension as well.
pub const DEFAULT_EXCLUDED_PATHS: &[&str] = &[
    "/admin",
    "/wp-admin",
    "/wp-login.php",
    "/wp-json",
    "/wp-cron.php",
    "/xmlrpc.php",
    "/feed",
    "*/feed",
    "*/feed/",
    "/rss",
    "/health",
    "/healthz",
    "/readyz",
    "/livez",
    "/ping",
    "/metrics",
    "/cdn-cgi",
    "/.well-known",
];

impl Settings {
    /// Reads the settings' JSON text. Unknown fields are errors.
    pub fn new(json: &str, secrets: Secrets) -> Result<Settings, SettingsError> {
        let mut fields = Fields::read("", json)?;
        let site = fields
            .take::<String>("site")?
            .ok_or_else(|| SettingsError::new("site", "is missing"))?
            .parse()
            .map_err(|error: shared::ids::BadSiteKey| SettingsError::new("site", error.to_string()))?;
        let hosts = fields.hosts("hosts")?;
        if hosts.is_empty() {
            return Err(SettingsError::new(
                "hosts",
                "names no host; the shop's own hosts are needed to tell outside referrers",
            ));
        }
        let cookie_domain = fields
            .take::<String>("cookie_domain")?
            .map(|domain| {
                shared::source::canonical_host(domain.trim_start_matches('.'))
                    // Browsers drop a cookie whose Domain is not ASCII.
                    .filter(|domain| domain.is_ascii() && domain.contains('.') && !domain.contains(['[', ':']))
                    .ok_or_else(|| {
                        SettingsError::new(
                            "cookie_domain",
                            "must be a domain such as shop.ua, one with other letters in its ASCII form (xn--…)",
                        )
                    })
            })
            .transpose()?;
        let hours = fields.take::<u32>("session_life_hours")?;
        let script_prefix = fields
            .take::<String>("script_prefix")?
            .unwrap_or_else(|| "/_ud/".to_owned());
        let in_a_url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'.' | b'~');
        if !(script_prefix.starts_with('/')
            && script_prefix.ends_with('/')
            && script_prefix.bytes().any(|b| b != b'/')
            && script_prefix.bytes().all(in_a_url))
        {
            return Err(SettingsError::new(
                "script_prefix",
                "must begin and end with / and have a name of A-Z a-z 0-9 _ - . ~ between, as /_ud/",
            ));
        }
        let mut not_sources = hosts.clone();
        not_sources.extend(fields.hosts("payment_hosts")?);
        let keys = Keys::new(secrets.cookie_keys, &site).map_err(|reason| SettingsError::new("cookie keys", reason))?;
        let hash_key =
            Key::new("hash", &secrets.hash_key, &site).map_err(|reason| SettingsError::new("hash key", reason))?;
        let settings = Settings {
            site,
            hosts,
            not_sources,
            cookie_domain,
            secure_cookies: fields.take("secure_cookies")?.unwrap_or(true),
            session_life_ms: match hours {
                None => DEFAULT_SESSION_LIFE_MS,
                Some(hours @ 1..=9_600) => i64::from(hours) * 3_600_000,
                Some(_) => return Err(SettingsError::new("session_life_hours", "must be 1 to 9600 (400 days)")),
            },
            excluded_paths: globs(fields.take("excluded_paths")?)
                .unwrap_or_else(|| DEFAULT_EXCLUDED_PATHS.iter().map(|path| Glob::new(path)).collect()),
            consent: match fields.take::<Map<String, Value>>("consent")? {
                None => ConsentSettings::read(Fields {
                    prefix: "consent.",
                    map: Map::new(),
                })?,
                Some(map) => ConsentSettings::read(Fields {
                    prefix: "consent.",
                    map,
                })?,
            },
            ip: fields.take("ip")?.unwrap_or(IpPrivacy::Truncated),
            bots: fields.take("bots")?.unwrap_or(Bots::Keep),
            script_prefix,
            client_hints: fields.take("client_hints")?.unwrap_or(true),
            meta_cookies: fields.take("meta_cookies")?.unwrap_or(false),
            keys,
            hash_key,
        };
        fields.finish(
            "site, hosts, payment_hosts, cookie_domain, secure_cookies, session_life_hours, excluded_paths, consent, ip, bots, script_prefix, \
             client_hints, meta_cookies",
        )?;
        Ok(settings)
    }
}

impl ConsentSettings {
    fn read(mut fields: Fields) -> Result<Self, SettingsError> {
        let settings = ConsentSettings {
            mode: fields.take("mode")?.unwrap_or(ConsentMode::Respect),
            cookie: fields.take("cookie")?,
            accepted: globs(fields.take("accepted")?).unwrap_or_default(),
            limited: globs(fields.take("limited")?).unwrap_or_default(),
            refused: globs(fields.take("refused")?).unwrap_or_default(),
            without_cookie: fields.take("without_cookie")?.unwrap_or(Unsaid::Refused),
            gpc: fields.take("gpc")?.unwrap_or(Gpc::Refuse),
            dnt: fields.take("dnt")?.unwrap_or(Dnt::Ignore),
        };
        if settings.cookie.is_some() && settings.accepted.is_empty() && settings.limited.is_empty() {
            return Err(SettingsError::new(
                "consent.accepted",
                "names no value, so that the cookie could never allow anything",
            ));
        }
        fields.finish("mode, cookie, accepted, limited, refused, without_cookie, gpc, dnt")?;
        Ok(settings)
    }
}

fn globs(patterns: Option<Vec<String>>) -> Option<Vec<Glob>> {
    Some(patterns?.iter().map(|pattern| Glob::new(pattern)).collect())
}

/// Fields taken one by one, so that an error names the one that is wrong and what is left over is unknown.
struct Fields {
    prefix: &'static str,
    map: Map<String, Value>,
}

impl Fields {
    fn read(prefix: &'static str, json: &str) -> Result<Self, SettingsError> {
        let map = serde_json::from_str(json)
            .map_err(|error| SettingsError::new("text", format!("is not a JSON object: {error}")))?;
        Ok(Self { prefix, map })
    }

    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, SettingsError> {
        match self.map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| SettingsError::new(&format!("{}{name}", self.prefix), error.to_string())),
        }
    }

    fn hosts(&mut self, name: &str) -> Result<Vec<String>, SettingsError> {
        let given = self.take::<Vec<String>>(name)?.unwrap_or_default();
        given
            .iter()
            .map(|host| {
                shared::source::canonical_host(host)
                    .ok_or_else(|| SettingsError::new(name, format!("{host:?} is not a host name")))
            })
            .collect()
    }

    fn finish(self, allowed: &str) -> Result<(), SettingsError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(SettingsError::new(
                &format!("{}{name}", self.prefix),
                format!("is not known; allowed are {allowed}"),
            )),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn secrets() -> Secrets {
        Secrets::parse(&format!("k2:{},k1:{}", "b".repeat(32), "a".repeat(32)), &"h".repeat(32)).unwrap()
    }

    /// Settings of a test: `site` and `hosts`, and what is given.
    pub(crate) fn settings(more: &str) -> Settings {
        let comma = if more.is_empty() { "" } else { "," };
        Settings::new(
            &format!(r#"{{"site":"shop","hosts":["shop.ua"]{comma}{more}}}"#),
            secrets(),
        )
        .unwrap()
    }

    #[test]
    fn little_is_needed_and_the_rest_has_careful_defaults() {
        let settings = settings("");
        assert!(settings.secure_cookies && settings.client_hints && !settings.meta_cookies);
        assert_eq!(
            (settings.ip, settings.bots, settings.consent.gpc),
            (IpPrivacy::Truncated, Bots::Keep, Gpc::Refuse)
        );
        assert_eq!(settings.consent.mode, ConsentMode::Respect);
        assert_eq!(settings.script_prefix, "/_ud/");
        assert!(!format!("{settings:?}").contains("aaaa"));
    }

    #[test]
    fn an_error_names_the_field_and_what_is_allowed() {
        for (json, field, part) in [
            ("", "text", "JSON"),
            ("[]", "text", "JSON"),
            (r#"{"hosts":["shop.ua"]}"#, "site", "missing"),
            (r#"{"site":"Shop","hosts":["shop.ua"]}"#, "site", "a-z"),
            (r#"{"site":"s"}"#, "hosts", "no host"),
            (r#"{"site":"s","hosts":"shop.ua"}"#, "hosts", "sequence"),
            (r#"{"site":"s","hosts":["a b"]}"#, "hosts", "a b"),
            (
                r#"{"site":"s","hosts":["a.ua"],"cookie_domain":"ua"}"#,
                "cookie_domain",
                "shop.ua",
            ),
            (
                r#"{"site":"s","hosts":["a.ua"],"session_life_hours":0}"#,
                "session_life_hours",
                "9600",
            ),
            (
                r#"{"site":"s","hosts":["a.ua"],"session_life_hours":-1}"#,
                "session_life_hours",
                "u32",
            ),
            (r#"{"site":"s","hosts":["a.ua"],"ip":"some"}"#, "ip", "truncated"),
            (
                r#"{"site":"s","hosts":["a.ua"],"consent":{"mode":"maybe"}}"#,
                "consent.mode",
                "respect",
            ),
            (
                r#"{"site":"s","hosts":["a.ua"],"consent":{"gcp":"limit"}}"#,
                "consent.gcp",
                "gpc",
            ),
            (
                r#"{"site":"s","hosts":["a.ua"],"consent":{"cookie":"c"}}"#,
                "consent.accepted",
                "never",
            ),
            (
                r#"{"site":"s","hosts":["a.ua"],"script_prefix":"_ud"}"#,
                "script_prefix",
                "/_ud/",
            ),
            (r#"{"site":"s","hosts":["a.ua"],"boots":"keep"}"#, "boots", "bots"),
        ] {
            let error = Settings::new(json, secrets()).unwrap_err();
            assert_eq!(error.field, field, "{error}");
            assert!(error.reason.contains(part), "{error}");
        }
    }

    #[test]
    fn weak_or_unreadable_secrets_are_refused_without_showing_them() {
        for (cookie, hash) in [
            ("", "h"),
            ("k1", "h"),
            ("k1:short-secret", "h"),
            ("K!:", "h"),
            (":", "h"),
        ] {
            let error = Secrets::parse(cookie, &hash.repeat(32))
                .and_then(|secrets| Settings::new(r#"{"site":"s","hosts":["a.ua"]}"#, secrets))
                .unwrap_err();
            assert!(
                error.field == "cookie keys" && !error.to_string().contains("short-secret"),
                "{error}"
            );
        }
        let same = format!("k1:{},k1:{}", "a".repeat(32), "b".repeat(32));
        assert!(
            Settings::new(
                r#"{"site":"s","hosts":["a.ua"]}"#,
                Secrets::parse(&same, &"h".repeat(32)).unwrap()
            )
            .is_err()
        );
        let weak = Secrets::parse(&format!("k1:{}", "a".repeat(32)), "h").unwrap();
        assert_eq!(
            Settings::new(r#"{"site":"s","hosts":["a.ua"]}"#, weak)
                .unwrap_err()
                .field,
            "hash key"
        );
    }
}
