//! What the browser script sends.

use edge_core::{collect, wire};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::request;
use crate::site::site;

#[derive(Serialize)]
struct Answer {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    rejected: usize,
    set_cookies: Vec<String>,
    /// JSON texts.
    events: Vec<String>,
}

/// Takes in a body of the browser script with the request that brought it (a text as `js/request.js` writes it). Answers what to
/// reply and which events to send, as JSON.
#[wasm_bindgen]
pub fn collect(request: &str, body: &[u8], now_ms: f64, random: &[u8]) -> Result<String, JsError> {
    let hit = request::read(request);
    let collected = collect::collect(&hit, body, &site().settings, now_ms as i64, request::random(random));
    let answer = Answer {
        status: collected.status,
        reason: collected.reason,
        rejected: collected.rejected,
        set_cookies: collected.set_cookies,
        events: collected.events.iter().map(wire::to_string).collect(),
    };
    Ok(serde_json::to_string(&answer)?)
}
