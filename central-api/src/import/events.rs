//! A row of actions as an event.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use shared::action::Action;
use shared::event::{Event, SessionRef};
use shared::limits::{MAX_PATH_CHARS, MAX_PROPS_BYTES, MAX_UTM_CHARS};
use uuid::Uuid;

use super::ids::ImportIds;
use super::sessions::{Part, blank};
use crate::db::events::KnownEvent;
use crate::orders::state::MAX_ID_CHARS;
use crate::record::{FieldError, Record};

/// Columns of `docs/import.md`.
pub const COLUMNS: [&str; 16] = [
    "event_id",
    "session_id",
    "visitor_id",
    "occurred_at",
    "action",
    "name",
    "path",
    "product_id",
    "quantity",
    "value",
    "currency",
    "order_id",
    "amount",
    "label",
    "visit",
    "props",
];

/// The source's name of the session that a row names.
fn session_name(record: &Record<'_>) -> Result<Option<String>, FieldError> {
    if record.has(super::Kind::Events.django_column()) {
        let id = record.id("utm_session_id", MAX_ID_CHARS)?;
        return Ok(id.map(|id| format!("django:{id}")));
    }
    record.id("session_id", MAX_ID_CHARS)
}

/// The session that a row names, to be looked up for a whole batch at once.
///
/// # Errors
/// The field that names it cannot be read.
pub fn session(record: &Record<'_>, ids: &ImportIds) -> Result<Option<Uuid>, FieldError> {
    Ok(session_name(record)?.map(|id| ids.named("session", &id)))
}

/// A session that is stored.
#[derive(Debug)]
pub struct Known {
    /// Whose it is.
    pub visitor: Uuid,
    /// Its start.
    pub started: DateTime<Utc>,
    /// Imported page views and registrations of it.
    pub events: Vec<KnownEvent>,
}

/// How far apart in time the row of a session and the row of an action may tell of one page view: the source wrote the two one after the other.
const SAME_PAGE_VIEW: TimeDelta = TimeDelta::seconds(5);

/// The event that the row of the session was made into already, when the row of an action tells of the same: the landing, the last visit,
/// the registration. Counted once more, every session of a history would have a page too many.
fn told_by_session(event: &Event, session: &str, known: &Known, ids: &ImportIds) -> Option<(Uuid, DateTime<Utc>)> {
    let parts: &[Part] = match event.action {
        Action::PageView => &[Part::Landing, Part::LastVisit],
        Action::SignUp => &[Part::Registration],
        _ => return None,
    };
    let path = event.path.as_deref();
    known
        .events
        .iter()
        .filter(|told| (told.at.timestamp_millis() - event.at).abs() <= SAME_PAGE_VIEW.num_milliseconds())
        .filter(|told| {
            told.path
                .as_deref()
                .is_none_or(|known| path.is_none_or(|path| path == known))
        })
        .find(|told| parts.iter().any(|part| part.id(ids, session, told.at) == told.id))
        .map(|told| (told.id, told.at))
}

/// Reads a row of either layout. `known`: the sessions that are stored.
///
/// # Errors
/// The first field at fault, by the name of its column.
pub fn read(
    record: &Record<'_>,
    ids: &ImportIds,
    known: &HashMap<Uuid, Known>,
    now: DateTime<Utc>,
) -> Result<Event, FieldError> {
    let django = record.has(super::Kind::Events.django_column());
    let field = |own: &'static str, theirs: &'static str| if django { theirs } else { own };
    if !django {
        record.only(&COLUMNS)?;
    }
    let id_field = field("event_id", "id");
    let id = Record::required(id_field, record.id(id_field, MAX_ID_CHARS)?)?;
    let at_field = field("occurred_at", "timestamp");
    let at = Record::required(at_field, record.time(at_field, now)?)?;
    let session_field = field("session_id", "utm_session_id");
    let session_name = Record::required(session_field, session_name(record)?)?;
    let session_id = ids.named("session", &session_name);
    let named_visitor = if django {
        None
    } else {
        record
            .id("visitor_id", MAX_ID_CHARS)?
            .map(|id| ids.named("visitor", &id))
    };
    let known = known.get(&session_id);
    let (visitor, started) = match (known, named_visitor) {
        (Some(known), _) => (known.visitor, known.started.min(at)),
        (None, Some(visitor)) => (visitor, at),
        (None, None) => {
            return Err(FieldError {
                code: "unknown_session",
                field: Some(session_field.to_owned()),
                message: format!("{session_field} is not the id of an imported session; import sessions first"),
            });
        }
    };
    let action_field = field("action", "action_type");
    let name = Record::required(action_field, record.text(action_field, MAX_UTM_CHARS)?)?;
    // The module's later versions have actions of their own: they come in as custom ones under their name.
    let (action, custom) = match Action::from_name(&name) {
        Some(action) => (action, None),
        None if django => (Action::Custom, Some(name)),
        None => {
            let allowed = Action::ALL.map(Action::name).join(", ");
            return Err(FieldError::invalid("action", format_args!("must be one of {allowed}")));
        }
    };
    let visit = if django {
        1
    } else {
        record.whole("visit", 30_000)?.unwrap_or(1).max(1) as u16
    };
    let source = if django { format!("django:{id}") } else { id };
    let session = SessionRef {
        id: session_id,
        started: started.timestamp_millis(),
        visit,
    };
    let mut event = blank(ids.event("action", &source, at), at, action, session);
    event.visitor = Some(visitor);
    // A machine asks for pages; what else a shop writes down, people did.
    event.human = action != Action::PageView;
    event.product = record.id("product_id", MAX_ID_CHARS)?;
    event.order = record.id("order_id", MAX_ID_CHARS)?;
    event.path = record
        .text(field("path", "page_path"), 4 * MAX_PATH_CHARS)?
        .map(|path| without_query(&path));
    event.value = record
        .money(field("value", "cart_value"))?
        .map(|value| value.to_string());
    event.props = record
        .object(field("props", "metadata"), MAX_PROPS_BYTES)?
        .filter(|props| !props.is_empty());
    if django {
        event.name = custom;
        event.label = record.text("product_name", 4 * MAX_UTM_CHARS)?;
    } else {
        event.name = record.text("name", MAX_UTM_CHARS)?;
        event.label = record.text("label", 4 * MAX_UTM_CHARS)?;
        event.quantity = record.whole("quantity", 1_000_000)?;
        event.amount = record.whole("amount", 2_000_000_000)?;
        event.currency = record.text("currency", 8)?;
    }
    let told = known.and_then(|known| told_by_session(&event, &session_name, known, ids));
    if let Some((id, at)) = told {
        (event.id, event.at) = (id, at.timestamp_millis());
    }
    Ok(event)
}

/// What a row of this layout calls a field of its event.
pub fn column(record: &Record<'_>) -> impl Fn(&str) -> &str + use<> {
    let django = record.has(super::Kind::Events.django_column());
    move |field| match (field, django) {
        ("id" | "at", false) => "occurred_at",
        ("id" | "at", true) => "timestamp",
        ("session.id" | "session.started" | "session.visit", false) => "session_id",
        ("session.id" | "session.started" | "session.visit", true) => "utm_session_id",
        ("value", true) => "cart_value",
        ("props", true) => "metadata",
        ("product", _) => "product_id",
        ("order", _) => "order_id",
        (same, _) => same,
    }
}

fn without_query(path: &str) -> String {
    path.split(['?', '#']).next().unwrap_or_default().to_owned()
}
