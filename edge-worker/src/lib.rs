//! What JavaScript calls: synchronous functions from text to text around edge-core.
//!
//! In scope: reading the texts, and holding the site's settings. Out of scope: every rule (edge-core) and everything that waits
//! (`entry.js` and `js/`). No future ever lives in here, so a panic can harm only the call it happens in; JavaScript then
//! replaces the instance and nothing is lost with it but the settings, which it hands over again.

mod batch;
mod collect;
mod console;
mod exchange;
mod request;
mod site;

use std::cell::RefCell;

use edge_core::hit::Hit;
use edge_core::landing::{self, ACCEPT_CH, Kind, Outcome};
use edge_core::rate::Rate;
use edge_core::wire;
use uuid::Uuid;
use wasm_bindgen::prelude::*;

use crate::site::site;

/// Takes the texts of the worker's settings and secrets. Answers what JavaScript needs to know of them, as JSON; the error names
/// the setting and what is allowed, never a secret. `followed` is the panel's answer that [`adopt`] took before, or empty.
#[wasm_bindgen]
pub fn configure(
    settings: &str,
    centre_url: &str,
    cookie_keys: &str,
    ingest_key: &str,
    hash_key: &str,
    followed: &str,
) -> Result<String, JsError> {
    console::log_panics();
    site::configure(settings, centre_url, cookie_keys, ingest_key, hash_key, followed)
        .map_err(|reason| JsError::new(&reason))
}

/// What became of the panel's settings, for JavaScript.
#[derive(serde::Serialize)]
struct Adopted {
    /// As [`configure`] answers; empty when nothing changed.
    site: String,
    /// Why they cannot be used; empty when they can.
    error: String,
}

/// Takes over the panel's settings from the central API's answer and its signature header. Answers [`Adopted`] as JSON; settings that
/// cannot be used change nothing.
#[wasm_bindgen]
pub fn adopt(answer: &str, signature: &str, now_ms: f64) -> Result<String, JsError> {
    let (site, error) = match site::adopt(answer, signature, now_ms) {
        Ok(site) => (site, String::new()),
        Err(error) => (String::new(), error),
    };
    Ok(serde_json::to_string(&Adopted { site, error })?)
}

/// Decides about the request in the [`exchange`] for an origin that answers with `status`: 64 random bytes, then the request as a text
/// of `bytes` bytes (as `js/request.js` writes it). Answers how many bytes the answer has, which stands at [`exchange::answer`]. The same
/// request gets the same answer, so that JavaScript asks before the origin's answer is known, for a page, and once more only when it was none.
///
/// Lines: `track` or `pass`, visitor, session, `Accept-CH`, then `Set-Cookie` values, one a line, then the event as JSON.
/// Any of them may be empty; the event is always the last line.
#[wasm_bindgen]
pub fn decide(bytes: usize, now_ms: f64, status: u16, is_html: bool) -> usize {
    answer_about(bytes, now_ms, status, is_html, None)
}

/// As [`decide`], for an origin that answers with a redirect to `location`, its header.
#[wasm_bindgen]
pub fn redirected(bytes: usize, now_ms: f64, status: u16, location: &str) -> usize {
    answer_about(bytes, now_ms, status, false, Some(location))
}

/// Once in the program: what is decided here is the largest part of its code.
#[inline(never)]
fn answer_about(bytes: usize, now_ms: f64, status: u16, is_html: bool, location: Option<&str>) -> usize {
    let site = site();
    exchange::with(bytes, |random, request, answer| {
        let mut hit = request::read(request);
        hit.crowded = is_crowded(&hit, now_ms as i64, status == PAGE && is_html);
        #[cfg(feature = "trap")]
        assert!(!hit.url.contains("ud_trap=panic"), "the test asked for it");
        let decision = landing::decide(&hit, &site.settings, now_ms as i64, random);
        let asked = (decision.kind, decision.visitor, decision.session);
        let outcome = match location {
            None => decision.outcome(status, is_html),
            Some(location) => decision.redirected(status, location, &hit, &site.settings),
        };
        write(asked, outcome, answer);
    })
}

fn write((kind, visitor, session): Asked, outcome: Outcome, answer: &mut Vec<u8>) {
    let mut line = |value: &str| {
        answer.extend_from_slice(value.as_bytes());
        answer.push(b'\n');
    };
    line(if kind == Kind::Track { "track" } else { "pass" });
    for id in [visitor, session] {
        let mut digits = Uuid::encode_buffer();
        line(id.map_or("", |id| id.hyphenated().encode_lower(&mut digits)));
    }
    line(if outcome.accept_ch { ACCEPT_CH } else { "" });
    outcome.set_cookies.iter().for_each(|cookie| line(cookie));
    if let Some(event) = outcome.event {
        wire::write(&event, answer);
    }
}

/// What a request is to us, its visitor and its session.
type Asked = (Kind, Option<Uuid>, Option<Uuid>);

/// The answer that JavaScript expects of an origin when it asks for the first time.
const PAGE: u16 = 200;

/// Whether more landings come from the address than people make. Each counts once: the second question about a request, which comes
/// when the answer was no page, must get the same answer.
fn is_crowded(hit: &Hit, now_ms: i64, first: bool) -> bool {
    thread_local!(static RATE: RefCell<Rate> = RefCell::default());
    hit.ip.filter(|_| hit.method == "GET").is_some_and(|ip| {
        RATE.with_borrow_mut(|rate| {
            if first {
                rate.count(ip, now_ms)
            } else {
                rate.is_crowded(ip)
            }
        })
    })
}

/// The signature header of a post to the central API.
#[wasm_bindgen]
pub fn sign(body: &str, now_ms: f64) -> String {
    site().sign(body, now_ms)
}

#[cfg(test)]
mod tests {
    use edge_core::settings::{Secrets, Settings};
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_763_600_000_000;

    fn settings() -> Settings {
        let secrets = Secrets::parse(&format!("k1:{}", "a".repeat(32)), &"h".repeat(32)).unwrap();
        Settings::new(r#"{"site":"shop","hosts":["shop.ua"],"meta_cookies":true}"#, secrets).unwrap()
    }

    /// What a line can hold: anything but its end.
    fn line() -> impl Strategy<Value = String> {
        "[^\n]{0,40}|(%0[ad]|%22|[a-z=;.\"\\\\]){0,20}"
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_comes_apart_into_its_lines(
            v in prop::collection::vec(line(), 6), method in "GET|POST", dest in "document|", refused in "1|", status in prop_oneof![Just(200), Just(302), Just(404), any::<u16>()], is_html: bool,
        ) {
            let url = format!("https://shop.ua/{}?utm_campaign={}&fbclid={}&gclid=x", v[0], v[1], v[2]);
            let agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
            let text = [
                &method, &url, agent, &v[3], &v[4], &v[5], "none", "", "", &refused, "", "203.0.113.7", "", "", "", "", "", &dest, "navigate",
            ].join("\n");
            let hit = request::read(&text);
            let decided = || landing::decide(&hit, &settings(), NOW, [7; 64]);
            let (kind, visitor, session) = (decided().kind, decided().visitor, decided().session);
            let outcome = decided().outcome(status, is_html);

            let mut answer = Vec::new();
            write((kind, visitor, session), decided().outcome(status, is_html), &mut answer);
            let answer = String::from_utf8(answer).expect("text");
            let lines: Vec<&str> = answer.split('\n').collect();
            let id = |id: Option<Uuid>| id.map_or(String::new(), |id| id.to_string());
            let (visitor, session) = (id(visitor), id(session));
            prop_assert_eq!(&lines[..3], &[if kind == Kind::Track { "track" } else { "pass" }, &visitor, &session]);
            prop_assert_eq!(lines[3], if outcome.accept_ch { ACCEPT_CH } else { "" });
            prop_assert_eq!(&lines[4..lines.len() - 1], &outcome.set_cookies[..]);
            let event = lines.last().filter(|line| !line.is_empty());
            let event = event.map(|json| serde_json::from_str::<shared::event::Event>(json).expect("an event"));
            prop_assert_eq!(event, outcome.event);
        }
    }
}
