//! From events to queue messages, from messages to batches for the centre, and what the centre's answer means.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::event::{BatchAnswer, Device, Event, SCHEMA};
use shared::ids::SiteKey;
use shared::limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use uuid::Uuid;

use crate::{device, wire};

/// Version of the message layout.
const VERSION: u8 = 1;
/// What stands before a message's events, which commas join; [`MESSAGE_END`] stands behind them. The worker gathers events that are text
/// already; [`pack`] writes the same. The site is named, so that a queue that two sites' workers share mixes nothing.
pub fn message_start(site: &SiteKey) -> String {
    format!(r#"{{"v":{VERSION},"site":"{site}","events":["#)
}
/// See [`message_start`].
pub const MESSAGE_END: &str = "]}";
/// Bytes of one message. The platform refuses more than 128,000 including its own overhead.
pub const MAX_MESSAGE_BYTES: usize = 120_000;
/// Room for the batch's envelope beside its events.
const ENVELOPE_BYTES: usize = 512;

#[derive(Deserialize)]
struct Message<'a> {
    v: u8,
    /// Absent in messages of workers from before it was named.
    #[serde(default)]
    site: Option<String>,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Packs events of a site into messages, `{"v":1,"site":"…","events":[…]}` each, in order. An event is far smaller than a message by construction;
/// one that is not stands alone, so that the queue refuses it aloud and not its neighbours.
pub fn pack(events: &[Event], site: &SiteKey) -> Vec<String> {
    let start = message_start(site);
    let mut messages: Vec<String> = Vec::new();
    let mut count = 0;
    for event in events {
        let json = wire::to_string(event);
        match messages.last_mut() {
            Some(last)
                if count < MAX_BATCH_EVENTS && last.len() + json.len() + 1 + MESSAGE_END.len() <= MAX_MESSAGE_BYTES =>
            {
                last.push(',');
                last.push_str(&json);
                count += 1;
            }
            _ => {
                messages.push(format!("{start}{json}"));
                count = 1;
            }
        }
    }
    for message in &mut messages {
        message.push_str(MESSAGE_END);
    }
    messages
}

/// What a delivery of messages opens to.
#[derive(Debug, Default)]
pub struct Opened {
    /// Batches to send, each on its own.
    pub bodies: Vec<Body>,
    /// Messages that cannot be read, with the reason, which quotes nothing of them: retry them, so that they end where dead letters are kept.
    pub poison: Vec<(usize, &'static str)>,
}

/// Events for one batch, as JSON texts.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// Positions in the delivery of the messages that it carries, whole.
    pub messages: Vec<usize>,
    events: Vec<String>,
    /// Where the events of each message end in `events`.
    ends: Vec<usize>,
    bytes: usize,
}

/// Opens messages of `site` and groups them into batches within the centre's limits. Each event gets its device here, off the visitor's
/// path. An event that this version cannot read goes on as it is: the centre keeps it with a reason.
pub fn open(messages: &[&str], site: &SiteKey) -> Opened {
    let mut opened = Opened::default();
    let mut devices = HashMap::new();
    let mut body = Body::default();
    for (position, text) in messages.iter().enumerate() {
        let events = match read_message(text, site) {
            Ok(events) => events,
            Err(reason) => {
                opened.poison.push((position, reason));
                continue;
            }
        };
        let events: Vec<String> = events.into_iter().map(|raw| enrich(raw, &mut devices)).collect();
        let bytes: usize = events.iter().map(|event| event.len() + 1).sum();
        if !body.messages.is_empty()
            && (body.events.len() + events.len() > MAX_BATCH_EVENTS
                || body.bytes + bytes > MAX_BATCH_BYTES - ENVELOPE_BYTES)
        {
            opened.bodies.push(std::mem::take(&mut body));
        }
        body.push(position, events, bytes);
    }
    if !body.messages.is_empty() {
        opened.bodies.push(body);
    }
    opened
}

fn read_message<'a>(text: &'a str, site: &SiteKey) -> Result<Vec<&'a RawValue>, &'static str> {
    let message: Message = serde_json::from_str(text).map_err(|_| "it is no message of this worker's")?;
    if message.v != VERSION {
        return Err("it has another version");
    }
    if message.site.is_some_and(|of| of != site.as_str()) {
        return Err("it is another site's: each site's worker needs a queue of its own");
    }
    if message.events.len() > MAX_BATCH_EVENTS {
        return Err("it has more events than a batch");
    }
    Ok(message.events)
}

/// Puts the device into an event's context. Many events of a delivery come from the same few devices.
fn enrich(raw: &RawValue, devices: &mut HashMap<String, Device>) -> String {
    let Ok(mut event) = serde_json::from_str::<Event>(raw.get()) else {
        return raw.get().to_owned();
    };
    let Some(context) = event.context.as_mut().filter(|context| context.device.is_none()) else {
        return raw.get().to_owned();
    };
    let agent = context.user_agent.as_deref().unwrap_or_default();
    if agent.is_empty() && context.hints.is_empty() {
        return raw.get().to_owned();
    }
    let mut key = agent.to_owned();
    for (name, value) in &context.hints {
        key.extend(["\0", name, "=", value]);
    }
    let device = devices
        .entry(key)
        .or_insert_with(|| device::classify(agent, &context.hints));
    context.device = Some(device.clone());
    wire::to_string(&event)
}

impl Body {
    fn push(&mut self, position: usize, events: Vec<String>, bytes: usize) {
        self.messages.push(position);
        self.events.extend(events);
        self.ends.push(self.events.len());
        self.bytes += bytes;
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event: its messages can be acknowledged without asking.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The batch as the centre reads it. `sent_at_ms` is in milliseconds since 1970, UTC; the batch's id is only for logs.
    pub fn json(&self, site: &SiteKey, sent_at_ms: i64, batch_id: Uuid) -> String {
        let mut json = String::with_capacity(self.bytes + ENVELOPE_BYTES);
        json.push_str(&format!(
            "{{\"schema\":{SCHEMA},\"batch_id\":\"{batch_id}\",\"sent_at\":{sent_at_ms},\"site\":\"{site}\",\"events\":["
        ));
        for (index, event) in self.events.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(event);
        }
        json.push_str("]}");
        json
    }

    /// Two halves, message by message, after a 413. `None` for a single message.
    pub fn split(&self) -> Option<[Body; 2]> {
        let middle = self.messages.len() / 2;
        if middle == 0 {
            return None;
        }
        let mut halves = [Body::default(), Body::default()];
        let mut start = 0;
        for (index, (position, end)) in self.messages.iter().zip(&self.ends).enumerate() {
            let events = self.events[start..*end].to_vec();
            let bytes = events.iter().map(|event| event.len() + 1).sum();
            halves[usize::from(index >= middle)].push(*position, events, bytes);
            start = *end;
        }
        Some(halves)
    }
}

/// What to do with the messages of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The centre has them. Single events that it rejected are kept there with their reasons.
    Ack(BatchAnswer),
    /// Not now. Messages that used up their attempts end in the dead-letter queue.
    Retry {
        /// Seconds until the next delivery.
        delay_seconds: u32,
    },
    /// Too large, or refused as a whole: send the halves of [`Body::split`]; when it cannot be split, treat it as `Retry`.
    Split {
        /// Seconds until the next delivery of what cannot be split.
        delay_seconds: u32,
    },
}

/// First delay, in seconds.
const FIRST_DELAY: u32 = 10;
/// Longest delay of our own, in seconds.
pub const MAX_DELAY: u32 = 3_600;
/// Longest delay that the queue takes, in seconds.
const MAX_QUEUE_DELAY: u32 = 43_200;

/// Judges the centre's answer. `status` is `None` when there was none (network fault, timeout); `attempts` counts deliveries
/// from 1; `answer` is the answer's body; `random` spreads the retries.
///
/// Only a 200 with a readable answer acknowledges: a proxy's friendly page with status 200 has stored nothing. No 4xx
/// acknowledges either. 401 and 403 are keys that are being rotated or are wrong, 404 a wrong address, 400 a defect of ours:
/// each can be put right, and until then the messages wait and end in the dead-letter queue, from where they are sent again.
/// Acknowledging would delete them. Verdicts on single events come inside a 200, so that good ones never wait for bad ones. Where
/// something in front of the centre takes offence at a batch (a firewall at what a scanner asked the shop for), its halves find the one message
/// that waits alone.
pub fn judge(status: Option<u16>, retry_after: Option<&str>, attempts: u32, answer: &str, random: u64) -> Verdict {
    let doubled = FIRST_DELAY
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(MAX_DELAY);
    // Half of it fixed, half by chance, so that a centre that comes back is not met by everybody at once.
    let delay = doubled / 2 + (random % u64::from(doubled / 2 + 1)) as u32;
    let retry = |delay_seconds: u32| Verdict::Retry { delay_seconds };
    match status {
        Some(200) => serde_json::from_str(answer).map_or(retry(delay), Verdict::Ack),
        Some(413) => Verdict::Split {
            delay_seconds: MAX_DELAY,
        },
        // Not at once: it may have been a restart, and a centre that refuses everybody is not asked for each message.
        Some(400 | 403 | 406 | 422) if attempts > 1 => Verdict::Split {
            delay_seconds: delay.max(MAX_DELAY / 4),
        },
        Some(429 | 503) => {
            // Seconds only: an HTTP date would need a clock that agrees with the centre's.
            let asked = retry_after
                .and_then(|text| text.trim().parse::<u32>().ok())
                .unwrap_or(0);
            retry(delay.max(asked).min(MAX_QUEUE_DELAY))
        }
        // What time does not heal waits longer: somebody has to put it right.
        Some(400..=499) if !matches!(status, Some(401 | 408 | 425)) => retry(delay.max(MAX_DELAY / 4)),
        _ => retry(delay),
    }
}
