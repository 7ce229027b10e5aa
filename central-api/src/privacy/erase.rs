//! Erasing: what names the person goes, what the shop's books need stays without them.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::subject::{Subject, Who};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::{dead_letters, order_marks, orders, privacy, rollup_marks, sites};
use crate::error::ApiError;
use crate::orders::store::{self, StoreError};
use crate::secret::{Secret, hex};
use crate::site::Site;

const ATTEMPTS: u32 = 5;

/// What was erased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Erased {
    /// Browsers.
    pub visitors: u64,
    /// Sessions deleted.
    pub sessions: u64,
    /// Events deleted.
    pub events: u64,
    /// Orders that stay as numbers only: without session, visitor, city and page, and a customer's without contacts.
    pub orders: u64,
    /// Dead letters deleted.
    pub dead_letters: u64,
}

/// Erases a visitor or customer in one transaction, has the sums that they were part of computed anew (what is derived forgets them
/// within minutes), and logs that it was done, not to whom. What arrives later, because a browser keeps its cookie or the shop sends the customer again, is new data.
///
/// # Errors
/// As [`Subject::of`]; nothing is erased then.
pub async fn erase(
    pool: &PgPool,
    secret: &Secret,
    site: &Site,
    who: &Who,
    actor: Actor<'_>,
    now: DateTime<Utc>,
) -> Result<Erased, ApiError> {
    let mut attempt = 1;
    loop {
        match attempt_erase(pool, secret, site, who, actor, now).await {
            Ok((erased, agents)) => {
                // Shared by everybody with the same browser; those that nobody else had go too.
                if let Err(error) = privacy::delete_unused_user_agents(pool, &agents).await {
                    tracing::warn!(%error, "user agents of an erased visitor were not deleted");
                }
                return Ok(erased);
            }
            Err(Failure::Again(_)) if attempt < ATTEMPTS => {
                tokio::time::sleep(std::time::Duration::from_millis(50) * attempt).await;
                attempt += 1;
            }
            Err(Failure::Again(error)) => {
                tracing::warn!(%error, "an erasure collided with other transactions too often");
                return Err(ApiError::Unavailable(5));
            }
            Err(Failure::Final(error)) => return Err(error),
        }
    }
}

enum Failure {
    Again(StoreError),
    Final(ApiError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            error if error.is_transient() => Self::Again(error),
            StoreError::Database(error) => Self::Final(error.into()),
            error => Self::Again(error),
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        StoreError::Database(error).into()
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Final(error)
    }
}

async fn attempt_erase(
    pool: &PgPool,
    secret: &Secret,
    site: &Site,
    who: &Who,
    actor: Actor<'_>,
    now: DateTime<Utc>,
) -> Result<(Erased, Vec<i64>), Failure> {
    let mut tx = pool.begin().await?;
    let subject = hold(&mut tx, secret, site, who).await?;
    let visitors: Vec<Uuid> = subject.visitors.iter().copied().collect();
    let contacts: Vec<Vec<u8>> = subject.contacts.iter().cloned().collect();
    let orders: Vec<String> = subject.orders.iter().cloned().collect();
    let sessions: Vec<Uuid> = subject.sessions.iter().copied().collect();

    let forgotten = store::forget_in(&mut tx, site, &orders, subject.is_customer, now).await?;
    let referred = privacy::forget_referrer(&mut *tx, site.id, &in_hex(&subject)).await?;
    order_marks::insert(&mut tx, site.id, &referred).await?;
    // Sessions first, which waits for whoever adds events to them; then the events that have no session any more. So what arrives
    // meanwhile either goes with its session or begins one, and stays with it.
    let sessions = privacy::delete_sessions(&mut *tx, site.id, &visitors, &sessions).await?;
    // Sums and cohorts follow the marks; the id that they carry goes with them, within minutes.
    let hour = |at: DateTime<Utc>| at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at);
    let marks: BTreeSet<_> = sessions
        .iter()
        .map(|session| (site.id, session.visitor_id, hour(session.first_seen)))
        .collect();
    rollup_marks::insert(&mut tx, &marks.into_iter().collect::<Vec<_>>()).await?;
    privacy::delete_contacts(&mut *tx, site.id, &visitors, &contacts).await?;
    let events = privacy::delete_events(&mut *tx, site.id, &visitors).await?;
    let dead_letters = dead_letters::delete(&mut *tx, site.id, &subject.dead_letters).await?;

    let erased = Erased {
        visitors: visitors.len() as u64,
        sessions: sessions.len() as u64,
        events,
        orders: forgotten as u64,
        dead_letters,
    };
    let entry = Entry {
        site_id: Some(site.id),
        actor,
        action: "privacy.erase",
        subject: if subject.is_customer { "customer" } else { "visitor" },
        detail: json!(erased),
    };
    audit_log::insert(&mut *tx, &entry, now).await?;
    // A session that began meanwhile does not follow those that are gone.
    rollup_marks::insert_all_of(&mut tx, site.id, &visitors).await?;
    tx.commit().await?;
    let agents = sessions.into_iter().filter_map(|session| session.ua_hash).collect();
    Ok((erased, agents))
}

/// Looks up everything that belongs to somebody, and keeps others until the transaction ends from replaying their dead letters, changing
/// their orders and linking orders to their sessions. What was done before these locks were there shows at a second look. If there is
/// more by then, all begins anew: a lock that is taken out of turn may be waited for in a circle.
async fn hold(tx: &mut PgConnection, secret: &Secret, site: &Site, who: &Who) -> Result<Subject, Failure> {
    let mut subject = Subject::of(&mut *tx, secret, site, who).await?;
    subject.gather_dead_letters(&mut *tx, secret, site, who).await?;
    // Before any other: a replay stores over connections of its own what would wait for the locks below, and no database sees such a circle.
    for letter in &subject.dead_letters {
        dead_letters::lock(&mut *tx, *letter).await?;
    }
    sites::keep_valuation(&mut *tx, site.id).await?;
    let referred = privacy::referred(&mut *tx, site.id, &in_hex(&subject)).await?;
    let all: BTreeSet<String> = subject.orders.iter().chain(&referred).cloned().collect();
    orders::lock(&mut *tx, site.id, &all.into_iter().collect::<Vec<_>>()).await?;
    let sessions: Vec<Uuid> = subject.sessions.iter().copied().collect();
    orders::lock_sums(&mut *tx, site.id, &sessions).await?;

    let mut now = Subject::of(&mut *tx, secret, site, who).await?;
    now.dead_letters.clone_from(&subject.dead_letters);
    if now != subject || privacy::referred(&mut *tx, site.id, &in_hex(&subject)).await? != referred {
        return Err(Failure::Again(StoreError::Raced));
    }
    Ok(subject)
}

/// The contacts as other people's orders name who referred them.
fn in_hex(subject: &Subject) -> Vec<String> {
    subject.contacts.iter().map(|hash| hex(hash)).collect()
}
