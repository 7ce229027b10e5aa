//! Device, system and browser of a visitor, from three witnesses: client hints, the user agent, and what the edge made of both.
//! [`parse`] reads the user agent with uap-core's patterns, [`merge`] says which witness is believed for which field.

pub mod merge;
pub mod names;
pub mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use shared::event::{Context, Device};
use shared::limits::MAX_USER_AGENT_CHARS;
use shared::text::clean;

/// User agents remembered. A shop sees a few thousand a day; an entry takes some 500 bytes.
const REMEMBERED: usize = 8_192;

/// A user agent that was seen: what it says, and how it is stored.
#[derive(Debug)]
pub struct Known {
    /// Cleaned and cut.
    pub text: Arc<str>,
    /// First eight bytes of its SHA-256: the same on every machine and in every version.
    pub hash: i64,
    /// What it says.
    pub device: Device,
}

/// Reads user agents and remembers what they said. Clones share the memory.
#[derive(Clone)]
pub struct Devices(Arc<quick_cache::sync::Cache<String, Arc<Known>>>);

impl std::fmt::Debug for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Devices({} remembered)", self.0.len())
    }
}

impl Default for Devices {
    fn default() -> Self {
        Self(Arc::new(quick_cache::sync::Cache::new(REMEMBERED)))
    }
}

impl Devices {
    /// Builds the patterns, if nobody did: a fifth of a second, so not at start and not on a thread that serves.
    pub async fn warm() {
        if !parse::is_warm() {
            // A failure shows where they are used.
            tokio::task::spawn_blocking(parse::warm).await.ok();
        }
    }

    /// The most specific device that a context supports.
    pub fn refine(&self, context: &Context) -> Device {
        let agent = context.user_agent.as_deref().map(|text| self.known(text));
        let modelled = merge::hinted_model(&context.hints).map(|model| self.known(&parse::agent_of_model(&model)));
        merge::merge(
            agent.as_ref().map(|known| &known.device),
            modelled.as_ref().map(|known| &known.device),
            context,
        )
    }

    /// A user agent as it is stored: hash and text. `None` when it is empty.
    pub fn stored(&self, text: &str) -> Option<(i64, Arc<str>)> {
        let known = self.known(text);
        (!known.text.is_empty()).then(|| (known.hash, known.text.clone()))
    }

    fn known(&self, text: &str) -> Arc<Known> {
        if let Some(known) = self.0.get(text) {
            return known;
        }
        let kept = clean(text, MAX_USER_AGENT_CHARS).unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(kept.as_bytes()).into();
        let mut first = [0u8; 8];
        first.copy_from_slice(&digest[..8]);
        let known = Arc::new(Known {
            device: parse::device(&kept),
            hash: i64::from_be_bytes(first),
            text: kept.into(),
        });
        // A text that no browser sends is read each time rather than remembered in full.
        if text.len() <= 4 * MAX_USER_AGENT_CHARS {
            self.0.insert(text.to_owned(), known.clone());
        }
        known
    }
}
