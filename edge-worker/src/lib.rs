//! What JavaScript calls: synchronous functions from text to text around edge-core.
//!
//! In scope: reading the texts, and holding the site's settings. Out of scope: every rule (edge-core) and everything that waits
//! (`entry.js` and `js/`). No future ever lives in here, so a panic can harm only the call it happens in; JavaScript then
//! replaces the instance and nothing is lost with it but the settings, which it hands over again.

mod batch;
mod collect;
mod console;
mod request;
mod site;

use std::cell::RefCell;

use edge_core::hit::Hit;
use edge_core::landing::{self, ACCEPT_CH, Kind};
use edge_core::rate::Rate;
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

/// Decides about a request (a text as `js/request.js` writes it) for an origin that answers with `status`. The same arguments give
/// the same answer, so that JavaScript asks before the origin's answer is known, for a page, and once more only when it was none.
///
/// Lines: `track` or `pass`, visitor, session, `Accept-CH`, then `Set-Cookie` values, one a line, then the event as JSON.
/// Any of them may be empty; the event is always the last line.
#[wasm_bindgen]
pub fn decide(request: &str, now_ms: f64, random: &[u8], status: u16, is_html: bool) -> String {
    let site = site();
    let mut hit = request::read(request);
    hit.crowded = is_crowded(&hit, now_ms as i64, status == PAGE && is_html);
    #[cfg(feature = "trap")]
    assert!(!hit.url.contains("ud_trap=panic"), "the test asked for it");
    let decision = landing::decide(&hit, &site.settings, now_ms as i64, request::random(random));
    let visitor = decision.visitor.clone();
    let session = decision.session.clone();
    let kind = if decision.kind == Kind::Track { "track" } else { "pass" };
    let outcome = decision.outcome(status, is_html);
    let mut text = Vec::with_capacity(4_096);
    let mut line = |value: &str| {
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    };
    line(kind);
    line(visitor.as_deref().unwrap_or_default());
    line(session.as_deref().unwrap_or_default());
    line(if outcome.accept_ch { ACCEPT_CH } else { "" });
    outcome.set_cookies.iter().for_each(|cookie| line(cookie));
    if let Some(event) = outcome.event {
        // Writes to memory and keys that are texts: nothing here can fail.
        let _ = serde_json::to_writer(&mut text, &event);
    }
    String::from_utf8(text).unwrap_or_default()
}

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
