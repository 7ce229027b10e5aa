//! What will be stored of one event: validated, attributed, its device known. Nothing here can be refused by the database.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use shared::action::Action;
use uuid::Uuid;

use crate::orders::identity::{ContactHash, ContactKind};

/// An event of a visitor who allowed an id.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// The site.
    pub site_id: i32,
    /// The visitor.
    pub visitor_id: Uuid,
    /// UUIDv7 made where the event was first seen.
    pub event_id: Uuid,
    /// Time inside `event_id`, UTC: picks the month, so that a repetition meets the same one.
    pub minted_at: DateTime<Utc>,
    /// The session.
    pub session_id: Uuid,
    /// When the session started, UTC; never after `occurred_at`.
    pub session_started: DateTime<Utc>,
    /// When it happened, UTC.
    pub occurred_at: DateTime<Utc>,
    /// What happened.
    pub action: Action,
    /// [`shared::event::Origin::code`].
    pub origin: i16,
    /// Visit inside the session, from 1.
    pub visit_no: i16,
    /// [`shared::event::BotReason::code`].
    pub bot_reason: Option<i16>,
    /// It confirms that a person is there.
    pub human: bool,
    /// Points that it earns.
    pub points: i32,
    /// Pieces.
    pub quantity: Option<i32>,
    /// Scroll depth in percent, time on page in seconds.
    pub amount: Option<i32>,
    /// Money in `currency`, or the site's.
    pub value: Option<Decimal>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Name of a custom action.
    pub name: Option<String>,
    /// Path of the page.
    pub path: Option<String>,
    /// The shop's product id.
    pub product_id: Option<String>,
    /// The shop's order id.
    pub order_id: Option<String>,
    /// Search phrase, label of a click.
    pub label: Option<String>,
    /// Free properties.
    pub props: Option<serde_json::Value>,

    /// For the session: [`shared::event::Consent::code`].
    pub consent: i16,
    /// For the session: what a purchase adds to `event_revenue`, in the site's currency; none where it is no purchase or says no value in
    /// that currency.
    pub revenue: Option<Decimal>,
    /// For the session: what brought it.
    pub touch: Option<Box<TouchRecord>>,
    /// For the session: device and place.
    pub context: Option<Box<ContextRecord>>,
    /// Who did it, as the shop's backend knows; remembered beside the visitor.
    pub contacts: Vec<(ContactKind, ContactHash)>,
}

/// What brought a session, normalised and attributed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TouchRecord {
    /// Normalised `utm_source`, or the one inferred.
    pub utm_source: Option<String>,
    /// Normalised `utm_medium`, or the one inferred.
    pub utm_medium: Option<String>,
    /// Normalised.
    pub utm_campaign: Option<String>,
    /// Normalised.
    pub utm_content: Option<String>,
    /// Normalised.
    pub utm_term: Option<String>,
    /// As sent.
    pub utm_id: Option<String>,
    /// As sent.
    pub utm_source_platform: Option<String>,
    /// As sent.
    pub utm_creative_format: Option<String>,
    /// Raw values where they differ from the normalised ones, by column name.
    pub raw: Option<serde_json::Value>,
    /// Name of the channel.
    pub channel: Option<&'static str>,
    /// Source and medium were inferred, not tagged.
    pub inferred: bool,
    /// Click ids by canonical name, and `fbc`, `fbp`, `ttp`.
    pub click_ids: Option<serde_json::Value>,
    /// Platform of the click id that counts.
    pub click_platform: Option<&'static str>,
    /// The `ref` parameter.
    pub referral: Option<String>,
    /// Outside referrer's host.
    pub referrer_host: Option<String>,
    /// Outside referrer's path.
    pub referrer_path: Option<String>,
    /// Host landed on.
    pub landing_host: Option<String>,
    /// Path landed on.
    pub landing_path: Option<String>,
    /// What is left of the landing's query.
    pub landing_query: Option<String>,
}

/// Device and place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContextRecord {
    /// 1 with high-entropy client hints, else 0: the more detailed context describes the session.
    pub detail: i16,
    /// [`shared::event::DeviceKind::name`].
    pub device_type: Option<&'static str>,
    /// Maker.
    pub device_brand: Option<String>,
    /// Model.
    pub device_model: Option<String>,
    /// Operating system.
    pub os_name: Option<String>,
    /// Its version.
    pub os_version: Option<String>,
    /// Browser.
    pub browser_name: Option<String>,
    /// Its version.
    pub browser_version: Option<String>,
    /// App whose built-in browser it is.
    pub in_app: Option<String>,
    /// Raw user agent and its hash, where the site keeps them.
    pub user_agent: Option<(i64, Arc<str>)>,
    /// BCP 47.
    pub language: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Name of the region.
    pub region: Option<String>,
    /// Name of the city.
    pub city: Option<String>,
    /// IANA.
    pub time_zone: Option<String>,
    /// Two letters.
    pub continent: Option<String>,
    /// Autonomous system.
    pub asn: Option<i32>,
    /// Its name.
    pub as_organization: Option<String>,
    /// Address as the privacy setting allows, as Postgres' `inet` reads it.
    pub ip: Option<String>,
    /// Keyed hash of the full address.
    pub ip_hash: Option<String>,
}

/// An event of a visitor who did not allow an id: counted, nobody remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct AnonymousRecord {
    /// The site.
    pub site_id: i32,
    /// UUIDv7.
    pub event_id: Uuid,
    /// Time inside `event_id`, UTC.
    pub minted_at: DateTime<Utc>,
    /// [`shared::event::Consent::code`].
    pub consent: i16,
    /// What happened.
    pub action: Action,
    /// [`shared::event::BotReason::code`].
    pub bot_reason: Option<i16>,
    /// Name of the channel.
    pub channel: Option<&'static str>,
    /// Normalised or inferred.
    pub utm_source: Option<String>,
    /// Normalised or inferred.
    pub utm_medium: Option<String>,
    /// Normalised.
    pub utm_campaign: Option<String>,
    /// [`shared::event::DeviceKind::name`].
    pub device_type: Option<&'static str>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Belongs to a session.
    Event(Box<EventRecord>),
    /// Only counted.
    Anonymous(Box<AnonymousRecord>),
}

impl Record {
    /// The id that it is stored under.
    pub fn event_id(&self) -> Uuid {
        match self {
            Self::Event(event) => event.event_id,
            Self::Anonymous(hit) => hit.event_id,
        }
    }
}
