//! What the runtime gives for one request: a clock's time, and 64 random bytes, dealt out so that no two uses share any.

use sha2::{Digest, Sha256};
use shared::ids::uuid_v7;
use uuid::Uuid;

/// A time that a UUIDv7 can hold (its 48 bits of milliseconds reach the year 10889), so that a broken clock breaks no sum.
pub(crate) fn possible(now_ms: i64) -> i64 {
    now_ms.clamp(0, (1 << 48) - 1)
}

/// Random bytes given by the runtime for one request.
pub(crate) struct Entropy([u8; 64]);

impl Entropy {
    pub(crate) fn new(random: [u8; 64]) -> Self {
        Self(random)
    }

    /// Time first, like the others: rows of new visitors then lie side by side in every index that begins with the visitor, where ids
    /// that are random throughout would each touch a page of their own. 74 random bits keep ids apart; what proves one is the signature.
    pub(crate) fn visitor(&self, now_ms: i64) -> Uuid {
        uuid_v7(now_ms, self.part(0))
    }

    pub(crate) fn session(&self, now_ms: i64) -> Uuid {
        uuid_v7(now_ms, self.part(16))
    }

    pub(crate) fn event(&self, now_ms: i64) -> Uuid {
        uuid_v7(now_ms, self.part(26))
    }

    pub(crate) fn fbp(&self) -> [u8; 4] {
        self.part(36)
    }

    /// Id of the `index`-th event of a request that brings many: the last 24 bytes stretched by SHA-256.
    pub(crate) fn nth_event(&self, index: usize, now_ms: i64) -> Uuid {
        let mut hash = Sha256::new();
        hash.update(&self.0[40..]);
        hash.update((index as u64).to_be_bytes());
        let stretched: [u8; 32] = hash.finalize().into();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&stretched[..10]);
        uuid_v7(now_ms, bytes)
    }

    fn part<const N: usize>(&self, from: usize) -> [u8; N] {
        let mut part = [0; N];
        part.copy_from_slice(&self.0[from..from + N]);
        part
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_of_a_request_has_its_own_id() {
        let entropy = Entropy::new([7; 64]);
        let ids: BTreeSet<_> = (0..1_000).map(|index| entropy.nth_event(index, 5)).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| shared::ids::minted_at_ms(*id) == Some(5)));
    }
}
