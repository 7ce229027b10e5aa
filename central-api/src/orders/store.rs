//! How states become rows: one transaction locks the orders, merges the states, links them, writes them, and brings the sums of
//! every session that they touch up to date. Who ordered is a person, so these sessions are confirmed too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::linking::{UnlinkedCause, link, next_check};
use super::payment::{PaymentStatus, revenue};
use super::rates::{Rates, day_of};
use super::state::OrderState;
use crate::database::{Fault, fault};
use crate::db::orders::{self, OrderRow, SessionMoney};
use crate::db::{order_marks, rollup_marks, sessions as db_sessions, sites};
use crate::site::Site;

/// What a state did to its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The order was not known.
    Created,
    /// It is in this state now.
    Updated,
    /// It was in this state already.
    Unchanged,
    /// A later state is known; at most what that one left out was taken from this one.
    Stale,
}

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
    /// Another transaction made one of the orders at the same time.
    #[error("another transaction made one of the orders at the same time")]
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
        let mut named = Named::of(row);
        named.at.insert(FORGOTTEN_VISIT.into(), now);
        row.visitor_id = None;
        row.session_id = None;
        row.link_method = None;
        row.unlinked_cause = Some(UnlinkedCause::NoIdentifiers.name().into());
        row.named_session_id = None;
        row.named_visitor_id = None;
        row.session_first_seen = None;
        row.city = None;
        row.landing_path = None;
        if contacts {
            named.at.insert(FORGOTTEN_CONTACTS.into(), now);
            row.customer_hash = None;
            row.email_hash = None;
            row.phone_hash = None;
            row.customer_contact = None;
            row.extra = row.extra.take().and_then(without_people);
        }
        row.recheck_at = None;
        row.named_at = named.into_value();
    }
    write(conn, site, &before, &after).await?;
    Ok(after.len())
}

/// Keys of `named_at`: until when an order's visit and contacts were erased.
const FORGOTTEN_VISIT: &str = "forgotten_visit";
/// See [`FORGOTTEN_VISIT`].
const FORGOTTEN_CONTACTS: &str = "forgotten_contacts";

/// The other fields of an order but those that name people. That it was a referral stays.
fn without_people(mut extra: Value) -> Option<Value> {
    let fields = extra.as_object_mut()?;
    let referral = fields.remove("referral_code").is_some() | fields.remove("referred_by").is_some();
    if referral {
        fields.entry("revenue_stream").or_insert_with(|| "referral".into());
    }
    (!fields.is_empty()).then_some(extra)
}

fn is_forgotten(row: &OrderRow, key: &str, at: DateTime<Utc>) -> bool {
    let until = row
        .named_at
        .get(key)
        .and_then(|until| serde_json::from_value(until.clone()).ok());
    until.is_some_and(|until: DateTime<Utc>| at <= until)
}

fn new_row(site: &Site, state: &OrderState, now: DateTime<Utc>) -> OrderRow {
    let mut row = OrderRow {
        site_id: site.id,
        order_id: state.order_id.clone(),
        order_number: None,
        visitor_id: None,
        session_id: None,
        link_method: None,
        unlinked_cause: None,
        named_session_id: None,
        named_visitor_id: None,
        named_at: Value::Object(serde_json::Map::new()),
        customer_hash: None,
        email_hash: None,
        phone_hash: None,
        customer_contact: None,
        content_hash: Vec::new(),
        currency: String::new(),
        rate: None,
        rate_given: false,
        total: Decimal::ZERO,
        discount: Decimal::ZERO,
        tax: Decimal::ZERO,
        shipping: Decimal::ZERO,
        refunded: Decimal::ZERO,
        revenue: None,
        payment_method: None,
        payment_status: String::new(),
        sales_channel: None,
        items: None,
        extra: None,
        created_at: state.updated_at,
        paid_at: None,
        refunded_at: None,
        updated_at: state.updated_at,
        received_at: DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now),
        recheck_at: None,
        session_first_seen: None,
        bot_reason: None,
        utm_source: None,
        utm_medium: None,
        utm_campaign: None,
        utm_content: None,
        utm_term: None,
        channel: None,
        country: None,
        city: None,
        device_type: None,
        browser_name: None,
        os_name: None,
        landing_path: None,
    };
    take(&mut row, state, site);
    row
}

/// Merges a state into its order. Each field keeps the latest state that said it, by [`OrderState::version`], so that a refund that
/// names nobody and no currency loses neither the link nor what the money is worth; `total` and the status are said by every state.
/// All of it are maxima, so the order of arrival does not matter.
fn take(row: &mut OrderRow, state: &OrderState, site: &Site) -> Outcome {
    let before = row.clone();
    take_named(row, state);
    if state.contacts.blocked && row.session_id.is_none() {
        row.unlinked_cause = Some(UnlinkedCause::BlockedContact.name().into());
    }
    take_said(row, state, site);
    if state.version() < (before.updated_at, before.content_hash.as_slice()) {
        return Outcome::Stale;
    }
    row.total = state.total;
    row.payment_status = state.payment_status.name().into();
    let known = OrderRow {
        updated_at: row.updated_at,
        content_hash: row.content_hash.clone(),
        named_at: row.named_at.clone(),
        unlinked_cause: row.unlinked_cause.clone(),
        ..before
    };
    let outcome = if known == *row {
        Outcome::Unchanged
    } else {
        Outcome::Updated
    };
    row.updated_at = state.updated_at;
    row.content_hash.clone_from(&state.content_hash);
    outcome
}

/// Takes the fields that a state may leave out.
fn take_said(row: &mut OrderRow, state: &OrderState, site: &Site) {
    let no_contacts = is_forgotten(row, FORGOTTEN_CONTACTS, state.updated_at);
    let mut named = Named::of(row);
    // A row that was just made has no hash yet: nobody has said anything.
    let own = (!row.content_hash.is_empty()).then(|| version(row.updated_at, &row.content_hash));
    let theirs = Some(version(state.updated_at, &state.content_hash));
    let mut said = Said {
        known: std::mem::take(&mut named.fields),
        kept: BTreeMap::new(),
        newest: own.clone().max(theirs.clone()),
        own,
        theirs,
    };
    said.always("discount", &mut row.discount, state.discount);
    said.always("tax", &mut row.tax, state.tax);
    said.always("shipping", &mut row.shipping, state.shipping);
    said.always("refunded", &mut row.refunded, state.refunded);
    // A rate is one of a currency: they go together.
    let mut money = (row.currency.clone(), row.rate.filter(|_| row.rate_given));
    let sent = state.money_for(&site.currency);
    if said.own.is_none() {
        money.0.clone_from(&sent.0);
    }
    said.always("currency", &mut money, state.currency_said.then_some(sent));
    row.rate_given = money.1.is_some();
    if row.rate_given || row.currency != money.0 {
        row.rate = money.1;
    }
    row.currency = money.0;
    said.optional("order_number", &mut row.order_number, state.order_number.clone());
    said.optional("payment_method", &mut row.payment_method, state.payment_method.clone());
    said.optional("sales_channel", &mut row.sales_channel, state.sales_channel.clone());
    said.optional("items", &mut row.items, state.items.clone());
    said.optional("paid_at", &mut row.paid_at, state.paid_at);
    said.optional("refunded_at", &mut row.refunded_at, state.refunded_at);
    let theirs = match no_contacts {
        true => state.extra.clone().and_then(without_people),
        false => state.extra.clone(),
    };
    let (mut extra, mut theirs) = (fields_of(row.extra.take()), fields_of(theirs));
    let names: BTreeSet<String> = extra.keys().chain(theirs.keys()).cloned().collect();
    for name in names {
        let mut value = extra.remove(&name);
        said.optional(&name, &mut value, theirs.remove(&name));
        if let Some(value) = value {
            extra.insert(name, value);
        }
    }
    row.extra = (!extra.is_empty()).then_some(Value::Object(extra));
    named.fields = said.kept;
    row.named_at = named.into_value();
}

fn fields_of(object: Option<Value>) -> serde_json::Map<String, Value> {
    match object {
        Some(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    }
}

/// [`OrderState::version`] as it is kept.
type Version = (DateTime<Utc>, String);

fn version(at: DateTime<Utc>, hash: &[u8]) -> Version {
    (at, crate::secret::hex(hash))
}

/// Column `named_at`: of which state each part of an order is.
#[derive(Default, Serialize, Deserialize)]
struct Named {
    /// Identifiers, the time of creation, and until when something was erased.
    #[serde(flatten)]
    at: BTreeMap<String, DateTime<Utc>>,
    /// Of the other fields those that are not of the row's own state; without a version when no state said them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, Option<Version>>,
}

impl Named {
    fn of(row: &mut OrderRow) -> Self {
        serde_json::from_value(row.named_at.take()).unwrap_or_default()
    }

    fn into_value(self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// A merge field by field.
struct Said {
    /// [`Named::fields`] before.
    known: BTreeMap<String, Option<Version>>,
    /// And after.
    kept: BTreeMap<String, Option<Version>>,
    /// Version of the row before, of the state, and of the row after.
    own: Option<Version>,
    theirs: Option<Version>,
    newest: Option<Version>,
}

impl Said {
    /// A field that has a value even where no state said one.
    fn always<T>(&mut self, name: &str, value: &mut T, said: Option<T>) {
        let known = self.known.remove(name).unwrap_or_else(|| self.own.clone());
        let of = self.later(known, value, said);
        if of != self.newest {
            self.kept.insert(name.to_owned(), of);
        }
    }

    /// A field that is absent where no state said it.
    fn optional<T>(&mut self, name: &str, value: &mut Option<T>, said: Option<T>) {
        let known = self.known.remove(name).unwrap_or_else(|| self.own.clone());
        let known = value.as_ref().and(known);
        let of = self.later(known, value, said.map(Some));
        if of.is_some() && of != self.newest {
            self.kept.insert(name.to_owned(), of);
        }
    }

    fn later<T>(&self, known: Option<Version>, value: &mut T, said: Option<T>) -> Option<Version> {
        match said {
            Some(said) if known <= self.theirs => {
                *value = said;
                self.theirs.clone()
            }
            _ => known,
        }
    }
}

fn take_named(row: &mut OrderRow, state: &OrderState) {
    let at = state.updated_at;
    let (no_visit, no_contacts) = (
        is_forgotten(row, FORGOTTEN_VISIT, at),
        is_forgotten(row, FORGOTTEN_CONTACTS, at),
    );
    let mut all = Named::of(row);
    let named = &mut all.at;
    if !no_visit {
        keep_latest(named, "session", &mut row.named_session_id, state.session, at);
        keep_latest(named, "visitor", &mut row.named_visitor_id, state.visitor, at);
    }
    if !no_contacts {
        take_contacts(named, row, state);
    }
    if state.created_at.is_some() || named.contains_key("created_at") {
        let mut created = named.contains_key("created_at").then_some(row.created_at);
        keep_latest(named, "created_at", &mut created, state.created_at, at);
        row.created_at = created.unwrap_or(row.created_at);
    } else {
        row.created_at = row.created_at.min(at);
    }
    row.named_at = all.into_value();
}

fn take_contacts(named: &mut BTreeMap<String, DateTime<Utc>>, row: &mut OrderRow, state: &OrderState) {
    let at = state.updated_at;
    let contacts = &state.contacts;
    for (field, known, stated) in [
        ("customer", &mut row.customer_hash, contacts.customer),
        ("email", &mut row.email_hash, contacts.email),
        ("phone", &mut row.phone_hash, contacts.phone),
    ] {
        keep_latest(named, field, known, stated.map(|hash| hash.to_vec()), at);
    }
    // Values of JSON have no order; their text has.
    let mut contact = row.customer_contact.take().map(|value| value.to_string());
    keep_latest(
        named,
        "contact",
        &mut contact,
        contacts.plain.as_ref().map(Value::to_string),
        at,
    );
    row.customer_contact = contact.and_then(|text| serde_json::from_str(&text).ok());
}

fn keep_latest<T: Ord>(
    named: &mut BTreeMap<String, DateTime<Utc>>,
    field: &str,
    known: &mut Option<T>,
    stated: Option<T>,
    at: DateTime<Utc>,
) {
    let old = named.get(field).copied().zip(known.take());
    if let Some((at, value)) = old.max(stated.map(|value| (at, value))) {
        named.insert(field.to_owned(), at);
        *known = Some(value);
    }
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
                })
            })
            .collect();
        orders::set_session_money(conn, site.id, &money).await?;
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
