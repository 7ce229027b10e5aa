//! How states become rows: one transaction locks the orders, merges the states, links them, writes them, and brings the sums of
//! every session that they touch up to date. Who ordered is a person, so these sessions are confirmed too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::linking::{link, next_check};
use super::merge::{Outcome, forget, new_row, take};
use super::payment::{PaymentStatus, revenue};
use super::rates::{Rates, day_of};
use super::state::OrderState;
use crate::database::{Fault, fault};
use crate::db::orders::{self, OrderRow, SessionMoney};
use crate::db::{order_marks, rollup_marks, sessions as db_sessions, sites};
use crate::site::Site;

/// A state's outcome, and the order as it stands after it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What the state did.
    pub outcome: Outcome,
    /// The order now.
    pub row: OrderRow,
}

/// Why a transaction must be tried again, or cannot be.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another transaction made one of the orders at the same time, or deleted a session that one was to be linked to.
    #[error("another transaction made one of the orders at the same time, or deleted its session")]
    Raced,
    /// The database's.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether trying the whole transaction again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Raced => true,
            Self::Database(error) => fault(error) == Fault::Passing,
        }
    }
}

const ATTEMPTS: u32 = 5;
const REFRESH_BATCH: i64 = 500;

/// Stores states in one transaction and answers each, in the given order. Tried again as a whole when transactions collide.
///
/// # Errors
/// The database's.
pub async fn store(pool: &PgPool, site: &Site, now: DateTime<Utc>, states: &[OrderState]) -> sqlx::Result<Vec<Stored>> {
    let mut attempt = 1;
    loop {
        let mut tx = pool.begin().await?;
        match store_in(&mut tx, site, now, states, Freshness::Live).await {
            Ok(stored) => {
                tx.commit().await?;
                return Ok(stored);
            }
            Err(error) => {
                tx.rollback().await.ok();
                if !error.is_transient() || attempt == ATTEMPTS {
                    return Err(into_database(error));
                }
                tokio::time::sleep(std::time::Duration::from_millis(20) * attempt).await;
                attempt += 1;
            }
        }
    }
}

/// What is still transient after some tries means: come again later.
fn into_database(error: StoreError) -> sqlx::Error {
    match error {
        StoreError::Database(error) if fault(&error) != Fault::Passing => error,
        error => {
            tracing::warn!(%error, "orders were not stored after several tries");
            sqlx::Error::PoolTimedOut
        }
    }
}

/// Whether events that belong to the orders can still be on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// They can: the link is looked at again.
    Live,
    /// Imported: an order counts as received when it was placed, so that only young ones are looked at again.
    History,
}

/// Looks again at what is due by `now`, in transactions of some hundred orders, and answers how many orders changed. Does nothing while
/// another process is at it.
///
/// # Errors
/// The database's.
pub async fn refresh_due(pool: &PgPool, site: &Site, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let mut changed = 0;
    let mut attempt = 1;
    loop {
        let mut tx = pool.begin().await?;
        if !orders::try_lock_refresh(&mut *tx, site.id).await? {
            return Ok(changed);
        }
        let ids = orders::due(&mut *tx, site.id, now, REFRESH_BATCH).await?;
        if ids.is_empty() {
            return Ok(changed);
        }
        match refresh_in(&mut tx, site, now, &ids).await {
            Ok(some) => {
                tx.commit().await?;
                changed += some;
                attempt = 1;
            }
            Err(error) => {
                tx.rollback().await.ok();
                if !error.is_transient() || attempt == ATTEMPTS {
                    return Err(into_database(error));
                }
                tokio::time::sleep(std::time::Duration::from_millis(20) * attempt).await;
                attempt += 1;
            }
        }
    }
}

/// [`store`] inside the caller's transaction.
///
/// # Errors
/// See [`StoreError`]; the transaction must be rolled back.
pub async fn store_in(
    conn: &mut PgConnection,
    site: &Site,
    now: DateTime<Utc>,
    states: &[OrderState],
    freshness: Freshness,
) -> Result<Vec<Stored>, StoreError> {
    let site = &*as_stored(conn, site).await?;
    let mut ids: Vec<String> = states.iter().map(|state| state.order_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let before: BTreeMap<String, OrderRow> = orders::lock(conn, site.id, &ids)
        .await?
        .into_iter()
        .map(|row| (row.order_id.clone(), row))
        .collect();
    let mut after = before.clone();
    let mut outcomes = Vec::with_capacity(states.len());
    for state in states {
        outcomes.push(match after.get_mut(&state.order_id) {
            Some(row) => take(row, state, site),
            None => {
                let mut row = new_row(site, state, now);
                if freshness == Freshness::History {
                    row.received_at = row.created_at;
                }
                after.insert(state.order_id.clone(), row);
                Outcome::Created
            }
        });
    }
    settle(conn, site, &before, &mut after).await?;
    for (id, row) in &mut after {
        if before.get(id) != Some(row) {
            row.recheck_at = next_check(row, now);
        }
    }
    write(conn, site, &before, &after).await?;
    Ok(states
        .iter()
        .zip(outcomes)
        .filter_map(|(state, outcome)| {
            Some(Stored {
                outcome,
                row: after.get(&state.order_id)?.clone(),
            })
        })
        .collect())
}

/// Looks at orders again: links them anew, takes over what changed on their sessions, and their day's rate. Answers how many changed.
///
/// # Errors
/// See [`StoreError`]; the transaction must be rolled back.
pub async fn refresh_in(
    conn: &mut PgConnection,
    site: &Site,
    now: DateTime<Utc>,
    ids: &[String],
) -> Result<usize, StoreError> {
    let site = &*as_stored(conn, site).await?;
    let before: BTreeMap<String, OrderRow> = orders::lock(conn, site.id, ids)
        .await?
        .into_iter()
        .map(|row| (row.order_id.clone(), row))
        .collect();
    let mut after = before.clone();
    settle(conn, site, &before, &mut after).await?;
    write(conn, site, &before, &after).await?;
    let ids: Vec<String> = after.keys().cloned().collect();
    let next: Vec<Option<DateTime<Utc>>> = after.values().map(|row| next_check(row, now)).collect();
    orders::set_recheck(conn, site.id, &ids, &next).await?;
    Ok(after.iter().filter(|(id, row)| before.get(*id) != Some(row)).count())
}

/// The site with the currency and zone that are stored, which this process may have read before another changed them. An order that is valued
/// by the old ones after every order was valued anew would stay so.
async fn as_stored<'a>(conn: &mut PgConnection, site: &'a Site) -> sqlx::Result<Cow<'a, Site>> {
    let (currency, zone) = sites::keep_valuation(conn, site.id).await?;
    if (&currency, zone.as_str()) == (&site.currency, site.time_zone.name()) {
        return Ok(Cow::Borrowed(site));
    }
    Ok(Cow::Owned(Site {
        time_zone: zone.parse().unwrap_or(site.time_zone),
        currency,
        ..site.clone()
    }))
}

/// Takes from orders which visit led to them, and with `contacts` who ordered. Their numbers and campaign stay: they are the shop's
/// books. States from before `now` do not bring any of it back. Answers how many orders changed.
///
/// # Errors
/// See [`StoreError`]; the transaction must be rolled back.
pub async fn forget_in(
    conn: &mut PgConnection,
    site: &Site,
    ids: &[String],
    contacts: bool,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let before: BTreeMap<String, OrderRow> = orders::lock(conn, site.id, ids)
        .await?
        .into_iter()
        .map(|row| (row.order_id.clone(), row))
        .collect();
    let mut after = before.clone();
    for row in after.values_mut() {
        forget(row, contacts, now);
    }
    write(conn, site, &before, &after).await?;
    Ok(after.len())
}

/// Links and values the orders that are new or changed, or all of them when nothing changed yet (a refresh).
async fn settle(
    conn: &mut PgConnection,
    site: &Site,
    before: &BTreeMap<String, OrderRow>,
    after: &mut BTreeMap<String, OrderRow>,
) -> sqlx::Result<()> {
    let untouched = after.iter().all(|(id, row)| before.get(id) == Some(row));
    let mut rows: Vec<&mut OrderRow> = after
        .iter_mut()
        .filter(|(id, row)| untouched || before.get(*id) != Some(&**row))
        .map(|(_, row)| row)
        .collect();
    let foreign: Vec<(String, DateTime<Utc>)> = rows
        .iter()
        .filter(|row| !row.rate_given && row.currency != site.currency)
        .map(|row| (row.currency.clone(), row.created_at))
        .collect();
    let rates = Rates::load(conn, site, &foreign).await?;
    for row in &mut rows {
        if !row.rate_given {
            row.rate = if row.currency == site.currency {
                Some(Decimal::ONE)
            } else {
                rates.on(&row.currency, day_of(row.created_at, site.time_zone))
            };
        }
        let status = PaymentStatus::from_name(&row.payment_status).unwrap_or(PaymentStatus::Unpaid);
        row.revenue = revenue(status, row.total, row.refunded, row.rate);
    }
    link(conn, site, &mut rows).await
}

/// Writes what changed, then the sums of the sessions that any of it touches, then the marks.
async fn write(
    conn: &mut PgConnection,
    site: &Site,
    before: &BTreeMap<String, OrderRow>,
    after: &BTreeMap<String, OrderRow>,
) -> Result<(), StoreError> {
    let (known, new): (Vec<&OrderRow>, Vec<&OrderRow>) = after
        .values()
        .filter(|row| before.get(&row.order_id) != Some(row))
        .partition(|row| before.contains_key(&row.order_id));
    if !new.is_empty() && orders::write(conn, &new, false).await? != new.len() as u64 {
        return Err(StoreError::Raced);
    }
    if !known.is_empty() {
        orders::write(conn, &known, true).await?;
    }
    let changed: Vec<String> = known.iter().chain(&new).map(|row| row.order_id.clone()).collect();
    if !changed.is_empty() {
        order_marks::insert(conn, site.id, &changed).await?;
    }
    let mut sessions: BTreeMap<(Uuid, Uuid), ()> = BTreeMap::new();
    let mut marks: BTreeMap<(Uuid, DateTime<Utc>), ()> = BTreeMap::new();
    for row in known.iter().chain(&new) {
        for row in before.get(&row.order_id).into_iter().chain([*row]) {
            let marked = row.visitor_id.unwrap_or_else(|| order_as_visitor(&row.order_id));
            marks.insert((marked, hour(row.created_at)), ());
            if let Some(first_seen) = row.session_first_seen {
                marks.insert((marked, hour(first_seen)), ());
            }
            if let Some(key) = row.visitor_id.zip(row.session_id) {
                sessions.insert(key, ());
            }
        }
    }
    if !sessions.is_empty() {
        let ids: Vec<Uuid> = sessions.keys().map(|key| key.1).collect();
        orders::lock_sums(conn, site.id, &ids).await?;
        let mut sums: BTreeMap<(Uuid, Uuid), SessionMoney> = orders::session_money(conn, site.id, &ids)
            .await?
            .into_iter()
            .map(|sum| ((sum.visitor_id, sum.session_id), sum))
            .collect();
        let session_of = |row: &OrderRow| row.visitor_id.zip(row.session_id);
        let gone = known.iter().chain(&new).any(|row| {
            let before = before.get(&row.order_id).and_then(session_of);
            let key = session_of(row).filter(|key| before != Some(*key));
            key.and_then(|key| sums.get(&key)).is_some_and(|sum| !sum.here)
        });
        if gone {
            return Err(StoreError::Raced);
        }
        let money: Vec<SessionMoney> = sessions
            .keys()
            .map(|key| {
                sums.remove(key).unwrap_or(SessionMoney {
                    visitor_id: key.0,
                    session_id: key.1,
                    orders: 0,
                    lead_orders: 0,
                    paid_orders: 0,
                    unvalued_orders: 0,
                    revenue: Decimal::ZERO,
                    here: false,
                })
            })
            .collect();
        // In which hour the session is summed up it knows best: an order's copy is as old as the last look at it.
        for (visitor, first_seen) in orders::set_session_money(conn, site.id, &money).await? {
            marks.insert((visitor, hour(first_seen)), ());
        }
    }
    let ordered: BTreeSet<(Uuid, Uuid)> = known
        .iter()
        .chain(&new)
        .filter_map(|row| row.visitor_id.zip(row.session_id))
        .collect();
    let mut confirmed = Vec::new();
    if !ordered.is_empty() {
        for session in db_sessions::confirm_people(&mut *conn, site.id, &ordered).await? {
            marks.insert((session.visitor_id, hour(session.first_seen)), ());
            confirmed.push((site.id, session.visitor_id, session.session_id));
        }
    }
    if !marks.is_empty() {
        let marks: Vec<(i32, Uuid, DateTime<Utc>)> = marks
            .into_keys()
            .map(|(visitor, hour)| (site.id, visitor, hour))
            .collect();
        rollup_marks::insert(conn, &marks).await?;
    }
    if !confirmed.is_empty() {
        rollup_marks::insert_later(conn, &confirmed).await?;
    }
    Ok(())
}

fn hour(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::hours(1)).unwrap_or(time)
}

/// The visitor that stands in a rollup mark of an order without one: made of the order's id, so that repeats mark the same and the
/// marks of a distributed table spread.
fn order_as_visitor(order_id: &str) -> Uuid {
    let digest: [u8; 32] = Sha256::digest(order_id.as_bytes()).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
