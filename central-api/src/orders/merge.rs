//! What a state does to its order, field by field, whatever the order in which states arrive; and what an erasure takes from it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::linking::UnlinkedCause;
use super::state::OrderState;
use crate::db::orders::OrderRow;
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

/// Takes from an order which visit led to it, and with `contacts` who ordered. States from before `now` do not bring any of it back.
pub(super) fn forget(row: &mut OrderRow, contacts: bool, now: DateTime<Utc>) {
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

/// An order of which nothing is known but this state.
pub(super) fn new_row(site: &Site, state: &OrderState, now: DateTime<Utc>) -> OrderRow {
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
pub(super) fn take(row: &mut OrderRow, state: &OrderState, site: &Site) -> Outcome {
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
