//! `POST /api/v1/events`: actions that the shop's backend knows of.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::attribution::Aliases;
use shared::limits::{MAX_BATCH_EVENTS, MAX_EVENT_AGE_MS, MAX_EVENT_BYTES};
use uuid::Uuid;

use crate::auth::{ApiKey, Scope};
use crate::db::dead_letters::DeadLetter;
use crate::error::{ApiError, ErrorBody};
use crate::ingest;
use crate::ingest::envelope::Item;
use crate::ingest::server_event::{FoundBy, ServerEvent, Unsaid, places};
use crate::ingest::validate::{self, Refusal, Rules};
use crate::ingest::writer::{Delivery, Verdict};
use crate::orders::identity::Identifier;
use crate::record::{FieldError, NumberOrText, Record};
use crate::site::Site;
use crate::state::AppState;

/// An event, as the shop sends it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ServerEventBody {
    /// Idempotency key: a UUIDv7, or any text beside `occurred_at`. Without one each sending is an event of its own.
    event_id: Option<String>,
    /// RFC 3339; now when absent. At most 35 days back.
    occurred_at: Option<DateTime<Utc>>,
    /// `page_view`, `product_view`, `add_to_cart`, `remove_from_cart`, `initiate_checkout`, `lead`, `purchase`, `search`, `click`,
    /// `scroll`, `time_on_page`, `sign_up` (marks the registration), `custom` (with `name`).
    action: String,
    /// Of a custom action.
    name: Option<String>,
    /// From the request header `X-UD-Session`.
    session_id: Option<Uuid>,
    /// From the request header `X-UD-Visitor`.
    visitor_id: Option<Uuid>,
    /// The shop's customer id; kept as a keyed hash, also to find the session.
    customer_id: Option<String>,
    /// As `customer_id`.
    email: Option<String>,
    /// As `customer_id`.
    phone: Option<String>,
    /// The shop's product id.
    product_id: Option<String>,
    /// Pieces.
    quantity: Option<u32>,
    /// Money, a number or decimal text.
    #[schema(value_type = Option<NumberOrText>)]
    value: Option<String>,
    /// ISO 4217; the site's when absent.
    currency: Option<String>,
    /// The shop's order id. A purchase with one counts once in its session, however often it is sent.
    order_id: Option<String>,
    /// Percent scrolled, seconds on the page.
    amount: Option<u32>,
    /// Search phrase, label of a click.
    label: Option<String>,
    /// Path of the page.
    path: Option<String>,
    /// Free properties, at most 32 keys and 4 KiB.
    props: Option<serde_json::Value>,
}

/// One event, or a list.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum ServerEventsBody {
    /// One.
    One(Box<ServerEventBody>),
    /// At most 1,000.
    Many(Vec<ServerEventBody>),
}

/// What became of an event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventAnswer {
    /// Position in the list, from 0.
    index: usize,
    /// Its id here.
    event_id: Uuid,
    /// `accepted`, or `duplicate` when it was stored before.
    status: &'static str,
    /// How its session was found.
    found_by: FoundBy,
    /// The session.
    session_id: Option<Uuid>,
    /// Contacts that were left out, and why. No values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

/// Why an event was not stored; it is kept as a dead letter.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventRejection {
    /// Position in the list, from 0.
    index: usize,
    /// Machine-readable reason.
    code: &'static str,
    /// Sentence that names the field.
    message: String,
    /// The field at fault; absent when it is the event as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

/// What became of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventsAnswer {
    /// Those that are stored.
    events: Vec<EventAnswer>,
    /// Those that are not.
    rejected: Vec<EventRejection>,
}

/// The answer to one event, or to a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum EventsReply {
    /// One.
    One(EventAnswer),
    /// A list.
    Many(EventsAnswer),
}

/// Takes actions that the shop's backend knows of. The answer comes after the commit.
///
/// A list is judged one by one: good events are stored whatever their neighbours are. An event that stands alone and is not
/// allowed answers 400.
#[utoipa::path(post, path = "/api/v1/events", operation_id = "send_events", tag = "events", request_body(content = ServerEventsBody, example = json!({
    "action": "sign_up", "visitor_id": "3f0c9a51-6a0e-4b8e-9a77-0d6c1b2a3f4e", "customer_id": "5512", "email": "olena@example.com"
})), responses(
    (status = 200, description = "what became of the event, or of each event of the list", body = EventsReply),
    (status = 400, description = "the event, or the body as a whole, cannot be read; the field is named", body = ErrorBody),
    (status = 401, description = "no valid API key", body = ErrorBody),
    (status = 403, description = "the key lacks the scope events", body = ErrorBody),
    (status = 413, description = "more than 1,000 events or 2 MiB", body = ErrorBody),
    (status = 429, description = "too much in flight, see Retry-After", body = ErrorBody),
    (status = 503, description = "the database cannot take it now, see Retry-After", body = ErrorBody),
))]
pub async fn send(
    State(state): State<AppState>,
    key: ApiKey,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<EventsReply>, ApiError> {
    let site = key.site(&state.sites, Scope::Events)?;
    let body = body.map_err(|_| ApiError::TooLarge("a body has at most 2 MiB; send fewer events at once".into()))?;
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::unreadable("the body is not UTF-8"))?;
    let many = text.trim_start().starts_with('[');
    let raws: Vec<&str> = if many {
        let list: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| ApiError::unreadable(&error.to_string()))?;
        list.into_iter().map(RawValue::get).collect()
    } else {
        vec![text.trim()]
    };
    if raws.len() > MAX_BATCH_EVENTS {
        return Err(ApiError::TooLarge(format!(
            "a list has at most {MAX_BATCH_EVENTS} events"
        )));
    }
    let mut answer = receive(&state, &site, &body, &raws, None).await?;
    if many {
        return Ok(Json(EventsReply::Many(answer)));
    }
    match (answer.events.pop(), answer.rejected.pop()) {
        (Some(event), _) => Ok(Json(EventsReply::One(event))),
        (None, Some(rejected)) => Err(ApiError::Invalid {
            code: rejected.code,
            field: rejected.field,
            message: rejected.message,
        }),
        (None, None) => Err(ApiError::unreadable("the body is empty")),
    }
}

/// Reads, places and stores events, which are parts of `body`. A replay of a dead letter calls it too: then time does not count against
/// the event, which happened when the letter came if it does not say, and what is refused again is not kept twice.
///
/// # Errors
/// The database's.
pub async fn receive(
    state: &AppState,
    site: &Site,
    body: &Bytes,
    raws: &[&str],
    replayed: Option<&DeadLetter>,
) -> Result<EventsAnswer, ApiError> {
    let share = state.ingest.admission.share(body.len()).await?;
    let now = state.clock.now();
    let identifier = Identifier::new(&state.config.secret, site);
    let read: Vec<Result<ServerEvent, FieldError>> = raws
        .iter()
        .map(|raw| {
            if raw.len() > MAX_EVENT_BYTES {
                return Err(FieldError {
                    code: "too_large",
                    field: None,
                    message: format!("an event has at most {MAX_EVENT_BYTES} bytes"),
                });
            }
            let unsaid = match replayed {
                Some(letter) => Unsaid::of_letter(letter.id, letter.received_at),
                None => Unsaid {
                    occurred_at: now,
                    random: rand::random(),
                    replayed: false,
                },
            };
            ServerEvent::read(&Record::from_json(raw)?, &identifier, now, unsaid)
        })
        .collect();
    let good: Vec<&ServerEvent> = read.iter().filter_map(|event| event.as_ref().ok()).collect();
    let mut found = places(&state.pool, &state.ingest.known_sessions, site, &good, now)
        .await?
        .into_iter();

    let aliases = Aliases::default();
    let rules = Rules {
        site,
        aliases: &aliases,
        devices: &state.ingest.devices,
        now_ms: now.timestamp_millis(),
        max_age_ms: replayed.is_none().then_some(MAX_EVENT_AGE_MS),
    };
    let mut answers = Vec::with_capacity(raws.len());
    let items: Vec<Item> = read
        .into_iter()
        .zip(raws)
        .map(|(event, raw)| {
            let from = raw.as_ptr() as usize - body.as_ptr() as usize;
            let placed = event.and_then(|event| match found.next() {
                Some(place) => place.map(|place| (event, place)),
                None => Err(FieldError::invalid("session_id", "was not looked for")),
            });
            let record = placed.map_err(Refusal::from).and_then(|(event, place)| {
                let (by, session_id) = (place.by, place.session.map(|found| found.session_id));
                let warnings = event.contacts.warnings.clone();
                let contacts = event.contacts.hashes().collect();
                let name = event.field_name();
                let mut record =
                    validate::record(event.into_event(&place), &rules).map_err(|refusal| refusal.renamed(name))?;
                if let ingest::record::Record::Event(event) = &mut record {
                    event.contacts = contacts;
                }
                answers.push(Some(EventAnswer {
                    index: answers.len(),
                    event_id: record.event_id(),
                    status: "accepted",
                    found_by: by,
                    session_id,
                    warnings,
                }));
                Ok(record)
            });
            if record.is_err() {
                answers.push(None);
            }
            Item {
                at: from..from + raw.len(),
                record,
            }
        })
        .collect();
    let delivery = Delivery {
        site_id: site.id,
        kind: "server_events",
        batch_id: None,
        body: body.clone(),
        items,
        keep_refused: replayed.is_none(),
        share: Some(share),
    };
    let verdicts = state.ingest.store(delivery).await?;
    let mut answer = EventsAnswer {
        events: Vec::new(),
        rejected: Vec::new(),
    };
    for (index, (verdict, event)) in verdicts.into_iter().zip(answers).enumerate() {
        match (verdict, event) {
            (Verdict::Rejected(refusal), _) => {
                answer.rejected.push(EventRejection {
                    index,
                    code: refusal.code,
                    message: refusal.message,
                    field: refusal.field,
                });
            }
            (Verdict::Accepted, Some(event)) => answer.events.push(event),
            (Verdict::Duplicate, Some(event)) => answer.events.push(EventAnswer {
                status: "duplicate",
                ..event
            }),
            (_, None) => {}
        }
    }
    Ok(answer)
}

impl EventsAnswer {
    /// What a replay of a single event came to: `accepted`, `duplicate`, or the code it was refused with.
    pub fn outcome(&self) -> &'static str {
        match (self.events.first(), self.rejected.first()) {
            (Some(event), _) => event.status,
            (None, Some(rejected)) => rejected.code,
            (None, None) => "empty",
        }
    }
}
