//! Counts failed logins, in this process, so that guessing is slow. With several processes an attacker has as many budgets.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;

use crate::error::ApiError;

/// Seconds after which a budget is full again.
const WINDOW_SECONDS: i64 = 15 * 60;
/// Entries remembered; the oldest are forgotten under a flood.
const CAPACITY: usize = 20_000;

/// What is counted, each with its own budget of failures in [`WINDOW_SECONDS`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    /// One address on one account: a person who forgot.
    Pair(String, String),
    /// One address on any account: a list of leaked passwords.
    Address(String),
    /// One account from anywhere: many machines. Wide, so that an attacker can hardly lock its owner out.
    Account(String),
}

impl Subject {
    const fn budget(&self) -> u32 {
        match self {
            Self::Pair(..) => 8,
            Self::Address(_) => 40,
            Self::Account(_) => 100,
        }
    }
}

/// Failed logins by address and account. Clones share the counts.
#[derive(Clone)]
pub struct Attempts(Arc<Cache<Subject, (u32, DateTime<Utc>)>>);

impl Default for Attempts {
    fn default() -> Self {
        Self(Arc::new(Cache::new(CAPACITY)))
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempts")
    }
}

fn subjects(address: &str, account: &str) -> [Subject; 3] {
    [
        Subject::Pair(address.to_owned(), account.to_owned()),
        Subject::Address(address.to_owned()),
        Subject::Account(account.to_owned()),
    ]
}

impl Attempts {
    /// Whether another try is allowed; asked before the password is looked at.
    ///
    /// # Errors
    /// 429 with the seconds until the window ends.
    pub fn allow(&self, address: &str, account: &str, now: DateTime<Utc>) -> Result<(), ApiError> {
        for subject in subjects(address, account) {
            if let Some((failures, since)) = self.0.get(&subject) {
                let left = WINDOW_SECONDS - (now - since).num_seconds();
                if left > 0 && failures >= subject.budget() {
                    return Err(ApiError::TooManyRequests(u32::try_from(left).unwrap_or(1)));
                }
            }
        }
        Ok(())
    }

    /// Counts a try before its outcome is known, so that parallel ones cannot slip through.
    pub fn count(&self, address: &str, account: &str, now: DateTime<Utc>) {
        for subject in subjects(address, account) {
            let (failures, since) = match self.0.get(&subject) {
                Some((failures, since)) if (now - since).num_seconds() < WINDOW_SECONDS => (failures, since),
                _ => (0, now),
            };
            self.0.insert(subject, (failures.saturating_add(1), since));
        }
    }

    /// Forgets the pair after a success; the wider budgets stay, or an attacker could refill them with an account of their own.
    pub fn succeeded(&self, address: &str, account: &str) {
        self.0.remove(&Subject::Pair(address.to_owned(), account.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_ninth_try_of_a_pair_waits_for_the_window_to_end() {
        let attempts = Attempts::default();
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..8 {
            attempts.allow("a", "x", now).unwrap();
            attempts.count("a", "x", now);
        }
        assert!(matches!(
            attempts.allow("a", "x", now + TimeDelta::seconds(60)),
            Err(ApiError::TooManyRequests(840))
        ));
        attempts.allow("b", "x", now).unwrap();
        attempts.allow("a", "x", now + TimeDelta::seconds(900)).unwrap();
    }

    #[test]
    fn one_address_cannot_go_through_many_accounts() {
        let attempts = Attempts::default();
        let now = DateTime::UNIX_EPOCH;
        for n in 0..40 {
            let account = format!("user{n}");
            attempts.allow("a", &account, now).unwrap();
            attempts.count("a", &account, now);
        }
        assert!(attempts.allow("a", "fresh", now).is_err());
    }

    #[test]
    fn a_success_frees_the_pair() {
        let attempts = Attempts::default();
        let now = DateTime::UNIX_EPOCH;
        for _ in 0..8 {
            attempts.count("a", "x", now);
        }
        attempts.succeeded("a", "x");
        attempts.allow("a", "x", now).unwrap();
    }
}
