//! How much may be in flight. Memory is bounded by refusing before a body is read, never by dropping what was taken.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Body bytes that may be in flight (read, parsed, waiting to be written), in KiB. Parsed events take about three times as much.
pub const MAX_IN_FLIGHT_KIB: u32 = 16 * 1024;

/// How long a request waits for its share before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hands out shares of the memory that ingest may use. Clones share it.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Semaphore>);

/// A share; returned when dropped.
#[derive(Debug)]
pub struct Share(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Default for Admission {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_IN_FLIGHT_KIB as usize)))
    }
}

impl Admission {
    /// A share for `bytes` of body; waits a moment, in the order of arrival.
    ///
    /// # Errors
    /// 429 with Retry-After when nothing came free in time.
    pub async fn share(&self, bytes: usize) -> Result<Share, ApiError> {
        self.share_within(bytes, PATIENCE).await
    }

    async fn share_within(&self, bytes: usize, patience: Duration) -> Result<Share, ApiError> {
        let kib = u32::try_from(bytes / 1024 + 1)
            .unwrap_or(u32::MAX)
            .min(MAX_IN_FLIGHT_KIB);
        match tokio::time::timeout(patience, self.0.clone().acquire_many_owned(kib)).await {
            Ok(Ok(permit)) => Ok(Share(permit)),
            Ok(Err(_)) | Err(_) => {
                metrics::counter!("ud_ingest_turned_away_total").increment(1);
                Err(ApiError::TooManyRequests(1))
            }
        }
    }

    /// KiB in flight now.
    pub fn in_flight_kib(&self) -> usize {
        (MAX_IN_FLIGHT_KIB as usize).saturating_sub(self.0.available_permits())
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
            admission.share_within(1, Duration::ZERO).await,
            Err(ApiError::TooManyRequests(1))
        ));
        drop(all);
        assert!(admission.share(1).await.is_ok());
        assert_eq!(admission.in_flight_kib(), 0);
    }
}
