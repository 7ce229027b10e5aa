//! A body's bytes to its events, each with its own verdict, so that one bad event does not spoil its neighbours.

use std::io::Read;
use std::ops::Range;

use axum::body::Bytes;
use serde_json::value::RawValue;
use shared::event::{BatchEnvelope, Event, SCHEMA};
use shared::limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_EVENT_BYTES};

use crate::error::ApiError;
use crate::ingest::record::Record;
use crate::ingest::validate::{self, Refusal, Rules};

/// One event of a body: where it stands in it, and what it came to.
#[derive(Debug)]
pub struct Item {
    /// Bytes of the body that hold the event.
    pub at: Range<usize>,
    /// What is to be stored, or why not.
    pub record: Result<Record, Refusal>,
}

/// The body without its gzip coating.
///
/// # Errors
/// 413 when it would be more than [`MAX_BATCH_BYTES`]: reading stops there, whatever the coating promises; 400 when it is no gzip.
pub fn unzip(body: &[u8]) -> Result<Bytes, ApiError> {
    let mut plain = Vec::with_capacity((body.len() * 6).min(MAX_BATCH_BYTES));
    flate2::read::MultiGzDecoder::new(body)
        .take(MAX_BATCH_BYTES as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| invalid("body", "its gzip coding cannot be read"))?;
    if plain.len() > MAX_BATCH_BYTES {
        return Err(too_large());
    }
    Ok(plain.into())
}

/// 413 for a body.
pub fn too_large() -> ApiError {
    ApiError::TooLarge(format!(
        "a batch has at most {MAX_BATCH_BYTES} bytes, after decompression too"
    ))
}

fn invalid(field: &str, message: impl Into<String>) -> ApiError {
    ApiError::Invalid {
        code: "invalid_envelope",
        field: Some(field.to_owned()),
        message: message.into(),
    }
}

/// Reads the envelope.
///
/// # Errors
/// 400 when it cannot be read (the message says where) or its schema is another; 413 when it holds too many events.
pub fn read(body: &[u8]) -> Result<BatchEnvelope<'_>, ApiError> {
    let envelope: BatchEnvelope<'_> =
        serde_json::from_slice(body).map_err(|error| invalid("body", format!("the batch cannot be read: {error}")))?;
    if envelope.schema != SCHEMA {
        return Err(invalid("schema", format!("must be {SCHEMA}")));
    }
    if envelope.events.len() > MAX_BATCH_EVENTS {
        return Err(ApiError::TooLarge(format!(
            "a batch has at most {MAX_BATCH_EVENTS} events"
        )));
    }
    Ok(envelope)
}

/// Judges every event of an envelope that was read from `body`.
pub fn judge(body: &[u8], events: &[&RawValue], rules: &Rules<'_>) -> Vec<Item> {
    events
        .iter()
        .map(|raw| {
            let from = raw.get().as_ptr() as usize - body.as_ptr() as usize;
            Item {
                at: from..from + raw.get().len(),
                record: event(raw.get()).and_then(|event| validate::record(event, rules)),
            }
        })
        .collect()
}

/// Reads one event.
///
/// # Errors
/// `too_large`, or `invalid_json` with the path of the field at fault.
pub fn event(raw: &str) -> Result<Event, Refusal> {
    if raw.len() > MAX_EVENT_BYTES {
        return Err(Refusal::whole(
            "too_large",
            format!("the event: must take at most {MAX_EVENT_BYTES} bytes as JSON"),
        ));
    }
    serde_json::from_str(raw).map_err(|first| {
        // Read again with the path kept: only for the message.
        let mut reader = serde_json::Deserializer::from_str(raw);
        match serde_path_to_error::deserialize::<_, Event>(&mut reader) {
            Err(error) if error.path().iter().next().is_some() => {
                Refusal::of("invalid_json", &error.path().to_string(), error.inner())
            }
            _ => Refusal::whole("invalid_json", format!("the event: {first}")),
        }
    })
}
