//! From queue messages to signed posts, and what the centre's answer means for them.

use edge_core::queue::{self, Verdict};
use serde::Serialize;
use shared::ids::uuid_v7;
use wasm_bindgen::prelude::*;

use crate::request;
use crate::site::site;

#[derive(Serialize)]
struct Plan {
    posts: Vec<Post>,
    /// Positions of messages that cannot be read, and why.
    unreadable: Vec<(usize, &'static str)>,
}

#[derive(Serialize)]
struct Post {
    /// Positions of the messages that it carries.
    messages: Vec<usize>,
    /// How many events those hold.
    events: usize,
    /// Found again in the centre's log.
    request_id: String,
    signature: String,
    body: String,
}

/// Groups messages (texts as the queue keeps them) into signed posts. Answers a [`Plan`] as JSON.
#[wasm_bindgen]
pub fn plan(messages: Vec<String>, now_ms: f64, random: &[u8]) -> Result<String, JsError> {
    let site = site();
    let texts: Vec<&str> = messages.iter().map(String::as_str).collect();
    let opened = queue::open(&texts, &site.settings.site);
    let random = request::random(random);
    let posts = opened.bodies.into_iter().enumerate().map(|(number, batch)| {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&random[..10]);
        // The id only has to be another one for each batch of a delivery.
        bytes[9] ^= number as u8;
        let id = uuid_v7(now_ms as i64, bytes);
        let body = batch.json(&site.settings.site, now_ms as i64, id);
        Post {
            events: batch.len(),
            signature: site.sign(&body, now_ms),
            request_id: id.to_string(),
            messages: batch.messages,
            body,
        }
    });
    let plan = Plan {
        posts: posts.collect(),
        unreadable: opened.poison,
    };
    Ok(serde_json::to_string(&plan)?)
}

/// What an answer means, for JavaScript.
#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum Judged {
    Ack { rejected: usize },
    Retry { delay_seconds: u32 },
    Split { delay_seconds: u32 },
}

/// Judges the centre's answer to a post for a message that was delivered `attempts` times; `status` is 0 when there was none.
/// Answers [`Judged`] as JSON. A split that is not possible is a retry after `delay_seconds`.
#[wasm_bindgen]
pub fn judge(status: u16, retry_after: &str, answer: &str, attempts: u32, random: f64) -> Result<String, JsError> {
    let status = (status != 0).then_some(status);
    let random = (random * f64::from(u32::MAX)) as u64;
    let judged = match queue::judge(status, Some(retry_after), attempts, answer, random) {
        Verdict::Ack(answer) => Judged::Ack {
            rejected: answer.rejected.len(),
        },
        Verdict::Retry { delay_seconds } => Judged::Retry { delay_seconds },
        Verdict::Split { delay_seconds } => Judged::Split { delay_seconds },
    };
    Ok(serde_json::to_string(&judged)?)
}
