//! The site that this instance works for, set once from the texts of the worker's settings and secrets.

use std::sync::OnceLock;

use edge_core::collect::MAX_BODY_BYTES;
use edge_core::queue::{MESSAGE_END, MESSAGE_START};
use edge_core::settings::{Secrets, Settings};
use serde::Serialize;
use shared::signature;

use crate::request::{HEADERS, PLACE};

static SITE: OnceLock<Site> = OnceLock::new();

/// Settings that were read and found good.
pub(crate) struct Site {
    pub(crate) settings: Settings,
    ingest_key_id: String,
    ingest_secret: String,
}

/// What JavaScript needs to know of the settings.
#[derive(Serialize)]
struct ForJavaScript<'a> {
    site: &'a str,
    prefix: &'a str,
    centre_url: &'a str,
    /// A Cookie header without this holds nothing of ours.
    cookie_mark: &'a str,
    max_collect_bytes: usize,
    /// What of a request's headers and of its `cf` is read, in the order of the lines that it becomes.
    headers: [&'static str; HEADERS.len()],
    place: [&'static str; PLACE.len()],
    /// What stands around the events of a queue message.
    message: [&'a str; 2],
}

impl Site {
    /// Value of the signature header for `body`.
    pub(crate) fn sign(&self, body: &str, now_ms: f64) -> String {
        signature::sign(
            &self.ingest_key_id,
            self.ingest_secret.as_bytes(),
            now_ms as i64 / 1_000,
            body.as_bytes(),
        )
    }
}

/// The site. JavaScript calls nothing before [`configure`] succeeded; should it, this panics and the request passes uncaptured.
#[expect(clippy::expect_used, reason = "JavaScript calls nothing before configure succeeded")]
pub(crate) fn site() -> &'static Site {
    SITE.get().expect("configured")
}

/// Reads the texts and keeps the site; a second call changes nothing.
pub(crate) fn configure(
    settings: &str,
    centre_url: &str,
    cookie_keys: &str,
    ingest_key: &str,
    hash_key: &str,
) -> Result<String, String> {
    let centre_url = centre_url.trim_end_matches('/');
    if !(centre_url.starts_with("https://") || centre_url.starts_with("http://")) {
        return Err("UD_CENTRE_URL: must be the central API's address, https://… or http://…".to_owned());
    }
    let (ingest_key_id, ingest_secret) = ingest_key
        .split_once(':')
        .filter(|(id, secret)| !id.is_empty() && !secret.is_empty() && !id.contains(';'))
        .ok_or("UD_INGEST_KEY: must read key_id:secret, as central-api create-key prints it")?;
    let secrets =
        Secrets::parse(cookie_keys, hash_key).map_err(|error| format!("UD_COOKIE_KEYS or UD_HASH_KEY: {error}"))?;
    let settings = Settings::new(settings, secrets).map_err(|error| format!("UD_SETTINGS or its secrets: {error}"))?;
    let site = SITE.get_or_init(|| Site {
        settings,
        ingest_key_id: ingest_key_id.to_owned(),
        ingest_secret: ingest_secret.to_owned(),
    });
    let for_javascript = ForJavaScript {
        site: site.settings.site.as_str(),
        prefix: &site.settings.script_prefix,
        centre_url,
        cookie_mark: "ud_v=",
        max_collect_bytes: MAX_BODY_BYTES,
        headers: HEADERS,
        place: PLACE,
        message: [MESSAGE_START, MESSAGE_END],
    };
    serde_json::to_string(&for_javascript).map_err(|error| error.to_string())
}
