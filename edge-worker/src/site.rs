//! The site that this instance works for: the texts of the worker's settings and secrets, and over them what the panel says.

use std::cell::RefCell;
use std::rc::Rc;

use edge_core::collect::MAX_BODY_BYTES;
use edge_core::queue::{MAX_MESSAGE_BYTES, MESSAGE_END, message_start};
use edge_core::settings::{Secrets, Settings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared::signature;

use crate::request::{HEADERS, Headers, PLACE};

thread_local! {
    static SITE: RefCell<Option<Rc<Site>>> = const { RefCell::new(None) };
}

/// Settings that were read and found good.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) settings: Settings,
    /// The settings as deployed, which the panel's go over.
    deployed: String,
    secrets: Secrets,
    centre_url: String,
    /// Of the panel's settings; empty while the deployed ones hold alone.
    version: String,
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
    headers: Headers,
    place: [&'static str; PLACE.len()],
    /// What stands around the events of a queue message.
    message: [&'a str; 2],
    max_message_bytes: usize,
    /// Of the panel's settings that are followed; empty: the deployed ones hold alone.
    version: &'a str,
}

/// The panel's settings, as the centre serves them.
#[derive(Deserialize)]
struct Served {
    version: String,
    settings: Map<String, Value>,
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
pub(crate) fn site() -> Rc<Site> {
    SITE.with_borrow(|site| site.clone()).expect("configured")
}

/// Reads the texts and keeps the site. `followed` is what [`adopt`] took before this instance was made, or empty.
pub(crate) fn configure(
    settings: &str,
    centre_url: &str,
    cookie_keys: &str,
    ingest_key: &str,
    hash_key: &str,
    followed: &str,
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
    let mut site = Site {
        settings: Settings::new(settings, secrets.clone())
            .map_err(|error| format!("UD_SETTINGS or its secrets: {error}"))?,
        deployed: settings.to_owned(),
        secrets,
        centre_url: centre_url.to_owned(),
        version: String::new(),
        ingest_key_id: ingest_key_id.to_owned(),
        ingest_secret: ingest_secret.to_owned(),
    };
    if !followed.is_empty() {
        site = follow(site, followed)?;
    }
    keep(site)
}

/// Takes over what the centre serves, when its signature is by our own key. Answers as [`configure`] does; an empty text when these
/// settings are followed already. What cannot be used changes nothing.
pub(crate) fn adopt(answer: &str, header: &str, now_ms: f64) -> Result<String, String> {
    let site = site();
    signature::parse(header)
        .and_then(|signed| {
            signed.verify(site.ingest_secret.as_bytes(), now_ms as i64 / 1_000, answer.as_bytes())?;
            (signed.key_id == site.ingest_key_id)
                .then_some(())
                .ok_or(signature::BadSignature::Mismatch)
        })
        .map_err(|error| error.to_string())?;
    let next = follow(Site::clone(&site), answer)?;
    if next.version == site.version {
        return Ok(String::new());
    }
    keep(next)
}

/// Puts the panel's fields over the deployed ones. Whose site it is stays the deployment's to say.
fn follow(site: Site, answer: &str) -> Result<Site, String> {
    let unreadable = |error: serde_json::Error| error.to_string();
    let served: Served = serde_json::from_str(answer).map_err(unreadable)?;
    let mut fields: Map<String, Value> = serde_json::from_str(&site.deployed).map_err(unreadable)?;
    fields.extend(served.settings.into_iter().filter(|(name, _)| name != "site"));
    let fields = Value::Object(fields).to_string();
    let settings = Settings::new(&fields, site.secrets.clone()).map_err(|error| error.to_string())?;
    Ok(Site {
        settings,
        version: served.version,
        ..site
    })
}

fn keep(site: Site) -> Result<String, String> {
    let for_javascript = ForJavaScript {
        site: site.settings.site.as_str(),
        prefix: &site.settings.script_prefix,
        centre_url: &site.centre_url,
        cookie_mark: "ud_v=",
        max_collect_bytes: MAX_BODY_BYTES,
        headers: HEADERS,
        place: PLACE,
        message: [&message_start(&site.settings.site), MESSAGE_END],
        max_message_bytes: MAX_MESSAGE_BYTES,
        version: &site.version,
    };
    let text = serde_json::to_string(&for_javascript).map_err(|error| error.to_string())?;
    SITE.set(Some(Rc::new(site)));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: f64 = 1_763_600_000_000.0;
    const SECRET: &[u8] = b"the secret of the ingest key";

    fn deploy() {
        let keys = format!("k1:{}", "a".repeat(32));
        let ingest = format!("k_1:{}", std::str::from_utf8(SECRET).unwrap());
        let deployed = r#"{"site":"shop","hosts":["shop.ua"]}"#;
        configure(deployed, "https://centre.example/", &keys, &ingest, &"h".repeat(32), "").unwrap();
    }

    fn signed(answer: &str) -> String {
        signature::sign("k_1", SECRET, NOW as i64 / 1_000, answer.as_bytes())
    }

    /// `text` with the character at `at` replaced.
    fn changed(text: &str, at: prop::sample::Index, by: &str) -> String {
        let at = at.index(text.len());
        format!("{}{by}{}", &text[..at], &text[at + 1..])
    }

    proptest! {
        #[test]
        fn settings_are_followed_only_as_the_centre_signed_them(
            in_header: bool, at in any::<prop::sample::Index>(), by in "[ -~]", late in -400i64..400,
        ) {
            deploy();
            let answer = r#"{"version":"7","settings":{"bots":"drop"}}"#;
            let header = signed(answer);
            let (other_answer, other_header) =
                if in_header { (answer.to_owned(), changed(&header, at, &by)) } else { (changed(answer, at, &by), header.clone()) };
            // A header's hex digits may be capitals.
            prop_assume!(other_answer != answer || !other_header.eq_ignore_ascii_case(&header));
            prop_assert!(adopt(&other_answer, &other_header, NOW).is_err(), "{other_answer} {other_header}");
            prop_assert_eq!(&site().version, "");

            let followed = adopt(answer, &header, NOW + late as f64 * 1_000.0);
            prop_assert_eq!(followed.is_ok(), late.abs() <= 300, "{:?}", followed);
            prop_assert_eq!(&site().version, if late.abs() <= 300 { "7" } else { "" });
        }

        #[test]
        fn whatever_the_centre_signs_is_followed_whole_or_changes_nothing(
            text in "(?s).{0,60}", whole: bool, version in ".{1,5}", prefix in "/[a-z]{1,4}/|/[a-z/ ї]{0,4}", hosts in prop::collection::vec("[a-z]{1,4}\\.ua|[a-z.ї ]{0,6}", 0..3), other in prop::option::weighted(0.3, "[a-z_]{1,6}"),
        ) {
            deploy();
            let before = format!("{:?}", site().settings);
            let mut served = json!({"version": version, "settings": {"site": "other", "script_prefix": prefix, "hosts": hosts}});
            if let Some(other) = other {
                served["settings"][other] = text.clone().into();
            }
            let answer = if whole { served.to_string() } else { text };
            let adopted = adopt(&answer, &signed(&answer), NOW);
            let site = site();
            match adopted {
                Ok(_) => {
                    prop_assert_eq!(&site.settings.script_prefix, &prefix);
                    prop_assert_eq!((site.settings.site.as_str(), &site.version), ("shop", &version));
                }
                Err(reason) => {
                    prop_assert!(!reason.is_empty() && !reason.contains("aaaa"), "{reason}");
                    prop_assert_eq!((format!("{:?}", site.settings), site.version.as_str()), (before, ""));
                }
            }
        }
    }
}
