//! An event as the shop's backend sends it, read field by field into the event that the edge would have sent.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use shared::action::Action;
use shared::event::{Consent, Event, Origin, SessionRef};
use shared::ids::{minted_at_ms, uuid_v7};
use shared::limits::{MAX_PATH_CHARS, MAX_PROPS_BYTES, MAX_UTM_CHARS};
use sqlx::PgPool;
use uuid::Uuid;

use crate::currency;
use crate::db::events::Stored;
use crate::db::sessions::{self, Found};
use crate::db::{customer_contacts, events as db_events, visitor_contacts};
use crate::ingest::known_sessions::KnownSessions;
use crate::orders::identity::{ContactHash, Contacts, Identifier};
use crate::record::{FieldError, Record};
use crate::site::Site;

const FIELDS: &[&str] = &[
    "event_id",
    "occurred_at",
    "action",
    "name",
    "session_id",
    "visitor_id",
    "customer_id",
    "email",
    "phone",
    "product_id",
    "quantity",
    "value",
    "currency",
    "order_id",
    "amount",
    "label",
    "path",
    "props",
];

/// What the shop sent, before it is known whose it is.
#[derive(Debug)]
pub struct ServerEvent {
    event: Event,
    /// The id with its time is the shop's own; else the time is that of `occurred_at`.
    has_own_id: bool,
    /// It has the same id each time it comes.
    is_known_again: bool,
    /// It was kept as a dead letter, and comes from there.
    is_replayed: bool,
    /// From the request header `X-UD-Visitor`.
    pub visitor_id: Option<Uuid>,
    /// From the request header `X-UD-Session`.
    pub session_id: Option<Uuid>,
    /// Who did it, as keyed hashes.
    pub contacts: Contacts,
    /// When it happened, UTC.
    pub occurred_at: DateTime<Utc>,
}

/// What stands for what the shop did not say.
#[derive(Debug, Clone, Copy)]
pub struct Unsaid {
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Makes its id.
    pub random: [u8; 10],
    /// It was kept as a dead letter, and comes from there.
    pub replayed: bool,
}

impl Unsaid {
    /// For an event that was kept as a dead letter: it happened when it came, and each replay of the letter makes the same id.
    pub fn of_letter(number: i64, received_at: DateTime<Utc>) -> Self {
        Self {
            occurred_at: received_at,
            random: hashed(&format!("dead letter {number} {}", received_at.timestamp_micros())),
            replayed: true,
        }
    }
}

impl ServerEvent {
    /// Reads one event. `now` limits its time.
    ///
    /// # Errors
    /// The first field at fault.
    pub fn read(
        record: &Record<'_>,
        identifier: &Identifier,
        now: DateTime<Utc>,
        unsaid: Unsaid,
    ) -> Result<Self, FieldError> {
        record.only(FIELDS)?;
        let given_at = record.time("occurred_at", now)?;
        let occurred_at = given_at.unwrap_or(unsaid.occurred_at);
        let key = record.id("event_id", MAX_UTM_CHARS)?;
        let is_known_again = key.is_some() || unsaid.replayed;
        let own_id = key
            .as_deref()
            .and_then(|key| Uuid::try_parse(key).ok())
            .filter(|id| minted_at_ms(*id).is_some());
        let id = match (key, own_id) {
            (_, Some(id)) => id,
            (None, None) => uuid_v7(occurred_at.timestamp_millis(), unsaid.random),
            (Some(key), None) => match given_at {
                // A key of the shop's own gives the same id each time it is sent, as long as the time is the same too.
                Some(_) => derived_id(&key, occurred_at),
                None => {
                    return Err(FieldError::invalid(
                        "occurred_at",
                        "is required beside an event_id that is not a UUIDv7",
                    ));
                }
            },
        };
        let action = Record::required("action", record.text("action", MAX_UTM_CHARS)?)?;
        let action = Action::from_name(&action).ok_or_else(|| {
            let allowed: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
            FieldError::invalid("action", format_args!("must be one of {}", allowed.join(", ")))
        })?;
        let text = |field: &str| record.text(field, MAX_UTM_CHARS);
        // Here too, where no session is looked at yet: an event of somebody unknown is counted without its value, and a wrong currency would
        // first be refused with the first customer who is known.
        let currency = text("currency")?;
        if currency.as_deref().is_some_and(|code| currency::read(code).is_none()) {
            return Err(FieldError::invalid("currency", currency::ALLOWED));
        }
        Ok(Self {
            visitor_id: record.uuid("visitor_id")?,
            session_id: record.uuid("session_id")?,
            contacts: identifier.identify(
                record.id("customer_id", MAX_UTM_CHARS)?.as_deref(),
                text("email")?.as_deref(),
                text("phone")?.as_deref(),
            ),
            occurred_at,
            has_own_id: own_id.is_some(),
            is_known_again,
            is_replayed: unsaid.replayed,
            event: Event {
                id,
                at: occurred_at.timestamp_millis(),
                action,
                origin: Origin::Server,
                visitor: None,
                session: None,
                name: text("name")?,
                path: record.text("path", MAX_PATH_CHARS)?,
                product: record.id("product_id", MAX_UTM_CHARS)?,
                quantity: record.whole("quantity", i32::MAX as u32)?,
                value: record.money("value")?.map(|value| value.to_string()),
                currency,
                order: record.id("order_id", MAX_UTM_CHARS)?,
                amount: record.whole("amount", i32::MAX as u32)?,
                label: text("label")?,
                props: record.object("props", MAX_PROPS_BYTES)?,
                touch: None,
                context: None,
                bot: None,
                human: false,
                consent: Consent::Granted,
            },
        })
    }

    /// What the shop calls a field of the event.
    pub fn field_name(&self) -> impl Fn(&str) -> &str + use<> {
        let of_id = if self.has_own_id { "event_id" } else { "occurred_at" };
        move |field| match field {
            "id" => of_id,
            "at" => "occurred_at",
            "visitor" => "visitor_id",
            "session" | "session.id" | "session.started" | "session.visit" => "session_id",
            "product" => "product_id",
            "order" => "order_id",
            same => same,
        }
    }

    /// The event in the session that was found for it, or counted without one.
    pub fn into_event(self, place: &Place) -> Event {
        let mut event = self.event;
        if let Some(found) = place.session {
            event.visitor = Some(found.visitor_id);
            event.session = Some(SessionRef {
                id: found.session_id,
                started: found.first_seen.timestamp_millis().min(event.at),
                visit: u16::try_from(found.visit_count).unwrap_or(1).max(1),
            });
        }
        event
    }
}

/// A UUIDv7 of the time and a hash of the key.
fn derived_id(key: &str, at: DateTime<Utc>) -> Uuid {
    uuid_v7(at.timestamp_millis(), hashed(key))
}

fn hashed(key: &str) -> [u8; 10] {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&digest[..10]);
    bytes
}

impl From<Stored> for Found {
    fn from(event: Stored) -> Self {
        Self {
            visitor_id: event.visitor_id,
            session_id: event.session_id,
            first_seen: event.occurred_at,
            visit_count: event.visit_no,
        }
    }
}

/// How an event's session was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// By the session id that came with it.
    Session,
    /// The session id that came with it has not been seen yet; the event opens it.
    NotSeenYet,
    /// The visitor's latest session, begun by then and alive within the look-back.
    Visitor,
    /// The latest session of a visitor known by the same customer id, e-mail or phone.
    Contact,
    /// There is none: the event is counted, and belongs to nobody.
    None,
}

/// Where an event belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The session.
    pub session: Option<Found>,
    /// How it was found.
    pub by: FoundBy,
}

/// Finds the session of each event. The inner error is a session id that nobody knows, without a visitor to open it for.
///
/// # Errors
/// The database's.
pub async fn places(
    pool: &PgPool,
    known: &KnownSessions,
    site: &Site,
    events: &[&ServerEvent],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Result<Place, FieldError>>> {
    // Statements are boxed: they are asked rarely here, and every request would make room for all of them.
    let by_id = known
        .find(site.id, events.iter().filter_map(|event| event.session_id), now)
        .await?;
    // An event that names its session and its visitor opens the session if nobody knows it: no statement could change that. A replayed one
    // may have been stored before its session was known.
    let open: Vec<&&ServerEvent> = events
        .iter()
        .filter(|event| {
            event.is_replayed
                || event
                    .session_id
                    .is_none_or(|id| event.visitor_id.is_none() && !by_id.contains_key(&id))
        })
        .collect();
    let hashes: Vec<Vec<u8>> = open
        .iter()
        .flat_map(|event| event.contacts.hashes().map(|(_, hash)| hash.to_vec()))
        .collect();
    let by_contact = if hashes.is_empty() {
        Vec::new()
    } else {
        let mut connection = pool.acquire().await?;
        // As orders are linked: what too many people share finds nobody.
        let shared = Box::pin(customer_contacts::shared(&mut connection, site.id, &hashes)).await?;
        let own: Vec<Vec<u8>> = hashes.into_iter().filter(|hash| !shared.contains(hash)).collect();
        Box::pin(visitor_contacts::visitors(&mut connection, site.id, &own)).await?
    };
    let of_contacts = |event: &ServerEvent| -> Vec<Uuid> {
        let of_hash = |hash: ContactHash| by_contact.iter().filter(move |(of, _)| of[..] == hash[..]);
        let found = event.contacts.hashes().flat_map(|(_, hash)| of_hash(hash));
        found.map(|(_, visitor)| *visitor).collect()
    };
    // Who has a contact changes; where the event was stored when it came before does not.
    let keys: Vec<(Uuid, Uuid, DateTime<Utc>)> = open
        .iter()
        .filter(|event| event.is_known_again)
        .filter_map(|event| {
            let minted_at = minted_at_ms(event.event.id).and_then(DateTime::from_timestamp_millis)?;
            let key = move |visitor| (visitor, event.event.id, minted_at);
            Some(of_contacts(event).into_iter().map(key))
        })
        .flatten()
        .collect();
    let stored = if keys.is_empty() {
        Vec::new()
    } else {
        Box::pin(db_events::stored(pool, site.id, &keys)).await?
    };
    let mut visitors: Vec<Uuid> = open
        .iter()
        .filter_map(|event| event.visitor_id)
        .chain(by_contact.iter().map(|(_, visitor)| *visitor))
        .collect();
    visitors.sort_unstable();
    visitors.dedup();
    let look_back = chrono::TimeDelta::days(i64::from(site.settings.look_back_days));
    let times = || open.iter().map(|event| event.occurred_at);
    let of_visitors = match (times().min(), times().max()) {
        (Some(from), Some(to)) if !visitors.is_empty() => {
            Box::pin(sessions::of_visitors(pool, site.id, &visitors, from - look_back, to)).await?
        }
        _ => Vec::new(),
    };
    // As orders are linked: begun by then, and alive within the look-back.
    let latest = |wanted: &dyn Fn(Uuid) -> bool, at: DateTime<Utc>| {
        of_visitors
            .iter()
            .rfind(|found| wanted(found.visitor_id) && found.first_seen <= at && found.last_seen >= at - look_back)
            .map(|found| Found::from(*found))
    };
    Ok(events
        .iter()
        .map(|event| {
            let at = event.occurred_at;
            let place = |session: Option<Found>, by| {
                let of = |found: &Found, stored: &Stored| found.visitor_id == stored.visitor_id;
                let mut before = stored.iter().filter(|stored| stored.event_id == event.event.id);
                let same = before.clone().any(|stored| session.as_ref().is_some_and(|found| of(found, stored)));
                Ok(match before.next().filter(|_| !same) {
                    Some(stored) => Place { session: Some(Found::from(*stored)), by: FoundBy::Contact },
                    None => Place { session, by },
                })
            };
            if let Some(id) = event.session_id {
                let sessions = by_id.get(&id).map_or(&[][..], Vec::as_slice);
                let own = sessions.iter().find(|found| event.visitor_id.is_none_or(|visitor| visitor == found.visitor_id));
                if let Some(found) = own {
                    return place(Some(*found), FoundBy::Session);
                }
                if let Some(visitor_id) = event.visitor_id {
                    let started = minted_at_ms(id).and_then(DateTime::from_timestamp_millis).filter(|started| *started <= at);
                    let found = Found { visitor_id, session_id: id, first_seen: started.unwrap_or(at), visit_count: 1 };
                    return place(Some(found), FoundBy::NotSeenYet);
                }
            }
            if let Some(found) = event.visitor_id.and_then(|visitor| latest(&|of| of == visitor, at)) {
                return place(Some(found), FoundBy::Visitor);
            }
            let theirs = of_contacts(event);
            if let Some(found) = latest(&|of| theirs.contains(&of), at) {
                return place(Some(found), FoundBy::Contact);
            }
            if event.session_id.is_some() {
                return Err(FieldError {
                    code: "unknown_session",
                    field: Some("session_id".to_owned()),
                    message: "session_id: no session with this id has been seen yet; with visitor_id beside it the event could open it".to_owned(),
                });
            }
            place(None, FoundBy::None)
        })
        .collect())
}
