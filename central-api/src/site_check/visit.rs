//! The requests of a test visit.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, LOCATION, SET_COOKIE, USER_AGENT};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use shared::source::is_within;

use super::TEST_SOURCE;
use super::address::{self, NotPublic, PublicOnly};
use super::hop::{Page, Problem};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 5;
/// More of an answer is not read.
const MAX_HEALTH_BYTES: usize = 64 * 1024;
/// As a person's browser says; anything else would be captured otherwise.
const BROWSER: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
/// Where the worker answers itself, unless it was deployed with another prefix.
const HEALTH: &str = "/_ud/health";

/// What the worker says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Health {
    status: String,
    #[serde(default)]
    error: Option<String>,
    /// Of the worker.
    pub version: String,
    #[serde(default)]
    site: Option<String>,
    /// Version of the panel's settings that it follows, or `deployed`.
    #[serde(default)]
    pub settings: String,
    /// `queue` or `direct`.
    #[serde(default)]
    pub delivery: String,
    #[serde(default)]
    counters: serde_json::Map<String, serde_json::Value>,
}

impl Health {
    /// What one isolate has counted since it started.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0)
    }
}

/// Says with which cryptography HTTPS is spoken: that of the database's connections. Once a process; every client needs it.
pub fn choose_cryptography() {
    // An error says that it was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Visits shops.
pub struct Visitor {
    client: Client,
    private_shops: bool,
}

/// Follows no redirects by itself: each target is looked at first. Unless `private_shops`, it connects to no address that is not public.
///
/// # Errors
/// The system's, about certificates.
pub fn client(private_shops: bool) -> anyhow::Result<Visitor> {
    let builder = Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let builder = match private_shops {
        true => builder,
        // A proxy would look names up itself.
        false => builder.no_proxy().dns_resolver(PublicOnly),
    };
    let client = builder.build().context("making the client")?;
    Ok(Visitor { client, private_shops })
}

impl Visitor {
    /// A question to an address. Where a name leads is decided when it is looked up; an address that stands in the URL itself is not looked up.
    fn get(&self, url: Url) -> Result<RequestBuilder, NotPublic> {
        if !self.private_shops && address::of(&url).is_some_and(|ip| !address::is_public(ip)) {
            return Err(NotPublic);
        }
        Ok(self.client.get(url))
    }
}

/// Asks the worker how it is.
pub async fn worker(visitor: &Visitor, url: &str, site: &str) -> Result<Health, Problem> {
    let url = Url::parse(url)
        .and_then(|url| url.join(HEALTH))
        .map_err(|_| Problem::NotReached)?;
    let asked = visitor.get(url).map_err(|NotPublic| Problem::Private)?;
    let answer = asked.header(USER_AGENT, BROWSER).send().await;
    let answer = answer.map_err(|error| match address::was_refused(&error) {
        true => Problem::Private,
        false => Problem::NotReached,
    })?;
    let status = answer.status().as_u16();
    let body = read(answer).await.ok_or(Problem::NotReached)?;
    let health: Health = serde_json::from_slice(&body).map_err(|_| Problem::NotOurs(status))?;
    if health.status != "ok" {
        return Err(Problem::Misconfigured(health.error.unwrap_or_default()));
    }
    match health.site.as_deref() {
        Some(own) if own == site => Ok(health),
        other => Err(Problem::OtherSite(other.unwrap_or_default().to_owned())),
    }
}

async fn read(mut answer: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_HEALTH_BYTES {
            break;
        }
    }
    Some(body)
}

/// Opens the shop's page as a visitor who clicked a tagged link; follows redirects within the site.
pub async fn page(visitor: &Visitor, url: &str, domains: &[String], campaign: &str) -> Page {
    let Ok(mut url) = Url::parse(url) else {
        return Page::NotReached;
    };
    url.query_pairs_mut()
        .append_pair("utm_source", TEST_SOURCE)
        .append_pair("utm_medium", "test")
        .append_pair("utm_campaign", campaign);
    for _ in 0..=MAX_REDIRECTS {
        let Ok(asked) = visitor.get(url.clone()) else {
            return Page::NotReached;
        };
        let asked = asked
            .header(USER_AGENT, BROWSER)
            .header(
                ACCEPT,
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            )
            .header(ACCEPT_LANGUAGE, "uk-UA,uk;q=0.9,en;q=0.8")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-user", "?1")
            .header("upgrade-insecure-requests", "1");
        let Ok(answer) = asked.send().await else {
            return Page::NotReached;
        };
        let status = answer.status();
        if status.is_redirection() {
            let target = answer.headers().get(LOCATION).and_then(|target| target.to_str().ok());
            let next = target.and_then(|target| url.join(target).ok());
            let within = |host: &str| domains.iter().any(|domain| is_within(host, domain));
            match next.filter(|next| next.host_str().is_some_and(within)) {
                Some(next) => url = next,
                None => return Page::Status(status.as_u16()),
            }
            continue;
        }
        let html = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("text/html") || value.starts_with("application/xhtml"));
        if !status.is_success() || !html {
            return Page::Status(status.as_u16());
        }
        let remembered = answer
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .any(|cookie| cookie.to_str().is_ok_and(|cookie| cookie.contains("ud_v=")));
        return Page::Shown { remembered };
    }
    Page::NotReached
}
