//! How much may be in flight. Memory is bounded by refusing before a body is read, never by dropping what was taken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Body bytes that may be in flight (read, parsed, waiting to be written), in KiB. Parsed events take about three times as much.
pub const MAX_IN_FLIGHT_KIB: u32 = 16 * 1024;

/// What may be read at a time for those who name no live key. Whoever that is has something to send only by mistake.
const STRANGERS_KIB: u32 = 4 * 1024;

/// How long a request waits for its share before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hands out shares of the memory that ingest may use. Clones share it.
#[derive(Debug, Clone)]
pub struct Admission {
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

/// A share; returned when dropped.
#[derive(Debug)]
pub struct Share(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Default for Admission {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_IN_FLIGHT_KIB as usize)),
            strangers: Arc::new(Semaphore::new(STRANGERS_KIB as usize)),
        }
    }
}

impl Admission {
    /// A share for `bytes` of body; waits a moment, in the order of arrival.
    ///
    /// # Errors
    /// 429 with Retry-After when nothing came free in time.
    pub async fn share(&self, bytes: usize) -> Result<Share, ApiError> {
        within(&self.places, MAX_IN_FLIGHT_KIB, bytes, PATIENCE).await
    }

    /// A share for `bytes` of a body that no live key is named for. They have a place of their own: a body that is announced and arrives
    /// slowly holds its share, and some of them would keep every worker out.
    ///
    /// # Errors
    /// As [`Self::share`].
    pub async fn strangers_share(&self, bytes: usize) -> Result<Share, ApiError> {
        within(&self.strangers, STRANGERS_KIB, bytes, PATIENCE).await
    }

    /// KiB in flight now.
    pub fn in_flight_kib(&self) -> usize {
        (MAX_IN_FLIGHT_KIB as usize).saturating_sub(self.places.available_permits())
    }
}

async fn within(places: &Arc<Semaphore>, most: u32, bytes: usize, patience: Duration) -> Result<Share, ApiError> {
    let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(most);
    match tokio::time::timeout(patience, places.clone().acquire_many_owned(kib)).await {
        Ok(Ok(permit)) => Ok(Share(permit)),
        Ok(Err(_)) | Err(_) => {
            metrics::counter!("ud_ingest_turned_away_total").increment(1);
            Err(ApiError::TooManyRequests(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_get_a_share_in_time_is_told_to_come_back() {
        let admission = Admission::default();
        let all = admission.share(MAX_IN_FLIGHT_KIB as usize * 1024).await.unwrap();
        assert!(matches!(
            within(&admission.places, MAX_IN_FLIGHT_KIB, 1, Duration::ZERO).await,
            Err(ApiError::TooManyRequests(1))
        ));
        drop(all);
        assert!(admission.share(1).await.is_ok());
        assert_eq!(admission.in_flight_kib(), 0);
    }
}
