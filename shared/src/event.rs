//! Events on the wire, schema 1: `POST /ingest/v1/events`, and the same shape inside a queue message.
//!
//! Text is raw, as the visitor's browser sent it, after cleaning (percent-decoded, trimmed, no control characters, cut to
//! [`crate::limits`]); the centre normalises it with the site's aliases and keeps both. Times are milliseconds since 1970,
//! UTC. Money is decimal text, never a JSON float. Fields that are absent are not sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::action::Action;

/// The number in a batch's `schema`.
pub const SCHEMA: u8 = 1;

/// The envelope of a batch as the centre reads it: events stay raw text, so that one bad event cannot spoil its neighbours.
#[derive(Debug, Deserialize)]
pub struct BatchEnvelope<'a> {
    /// [`SCHEMA`].
    pub schema: u8,
    /// Made once per batch, for logs; deduplication is by event.
    pub batch_id: Uuid,
    /// When the batch was sent, in milliseconds since 1970, UTC.
    pub sent_at: i64,
    /// Key of the site that all events belong to.
    pub site: String,
    /// At most [`crate::limits::MAX_BATCH_EVENTS`].
    #[serde(borrow)]
    pub events: Vec<&'a RawValue>,
}

/// A batch as it is written, and as it is read when every event in it is good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// [`SCHEMA`].
    pub schema: u8,
    /// See [`BatchEnvelope::batch_id`].
    pub batch_id: Uuid,
    /// See [`BatchEnvelope::sent_at`].
    pub sent_at: i64,
    /// See [`BatchEnvelope::site`].
    pub site: String,
    /// See [`BatchEnvelope::events`].
    pub events: Vec<Event>,
}

/// Something that happened in the shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// UUIDv7 made once, where the event was first seen. Delivering it twice changes nothing.
    pub id: Uuid,
    /// When it happened, in milliseconds since 1970, UTC.
    pub at: i64,
    /// What happened.
    pub action: Action,
    /// Who saw it happen.
    pub origin: Origin,
    /// The visitor; absent when the visitor did not allow an id. Then `session` is absent too and the event is only counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<Uuid>,
    /// The session and visit that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionRef>,
    /// Name of a custom action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path of the page, without query and fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The shop's product id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// Money, decimal text, in `currency` or the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// ISO 4217 code of `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The shop's order id, on a lead or purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// A number that goes with the action: scroll depth in percent, time on page in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u32>,
    /// Text that goes with the action: the search phrase, the label of a click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Free properties, at most [`crate::limits::MAX_PROPS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub props: Option<serde_json::Map<String, serde_json::Value>>,
    /// What brought the session; on the landing that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch: Option<Box<Touch>>,
    /// Device and place; on every landing, and on the first event that the browser script sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Box<Context>>,
    /// Why it is taken for a bot; absent for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<BotReason>,
    /// A person is confirmed: the browser script saw a pointer, a key, a touch or the wheel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub human: bool,
    /// What the visitor allowed.
    #[serde(default)]
    pub consent: Consent,
}

/// Which session and visit an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRef {
    /// The session.
    pub id: Uuid,
    /// When it started, in milliseconds since 1970, UTC: every event says it, so that order of arrival does not matter.
    pub started: i64,
    /// Number of the visit inside the session, from 1.
    pub visit: u16,
}

/// Who saw an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The edge worker, from a navigation.
    Edge,
    /// The browser script.
    Script,
    /// The shop's backend.
    Server,
    /// `central-api import`.
    Import,
}

impl Origin {
    /// The number stored in the database. Never reused, never changed.
    pub const fn code(self) -> i16 {
        match self {
            Origin::Edge => 1,
            Origin::Script => 2,
            Origin::Server => 3,
            Origin::Import => 4,
        }
    }
}

/// What a visitor allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Everything, or the site needs no consent.
    #[default]
    Granted,
    /// First-party measurement, but nothing for ad platforms: no click ids, no `_fbc`/`_fbp` (GPC, where the site chose so).
    Limited,
    /// Refused by the site's consent cookie.
    Refused,
    /// Global Privacy Control asked not to be tracked.
    Gpc,
    /// Do Not Track asked not to be tracked, and the site honours it.
    Dnt,
    /// The site measures without ids.
    Off,
}

impl Consent {
    /// The number stored in the database. Never reused, never changed.
    pub const fn code(self) -> i16 {
        match self {
            Consent::Granted => 1,
            Consent::Limited => 2,
            Consent::Refused => 3,
            Consent::Gpc => 4,
            Consent::Dnt => 5,
            Consent::Off => 6,
        }
    }

    /// Whether a visitor id and a session may be kept.
    pub const fn allows_id(self) -> bool {
        matches!(self, Consent::Granted | Consent::Limited)
    }

    /// The name on the wire and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Consent::Granted => "granted",
            Consent::Limited => "limited",
            Consent::Refused => "refused",
            Consent::Gpc => "gpc",
            Consent::Dnt => "dnt",
            Consent::Off => "off",
        }
    }
}

/// Why an event is taken for a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BotReason {
    /// It says so in its user agent (search engine, AI crawler, preview, monitor).
    DeclaredCrawler,
    /// A headless or automated browser.
    Headless,
    /// A program's HTTP library (curl, python-requests, Go).
    HttpClient,
    /// No user agent at all.
    NoUserAgent,
    /// The platform's bot management says so.
    PlatformVerdict,
    /// A data centre's network.
    DataCentre,
    /// More requests than a person makes.
    Rate,
    /// Headers that no real browser sends together.
    Inconsistent,
    /// The installation's own test visit.
    Test,
}

impl BotReason {
    /// Every reason, in the order of their codes.
    pub const ALL: [BotReason; 9] = [
        BotReason::DeclaredCrawler,
        BotReason::Headless,
        BotReason::HttpClient,
        BotReason::NoUserAgent,
        BotReason::PlatformVerdict,
        BotReason::DataCentre,
        BotReason::Rate,
        BotReason::Inconsistent,
        BotReason::Test,
    ];

    /// The number stored in the database. Never reused, never changed.
    pub const fn code(self) -> i16 {
        match self {
            BotReason::DeclaredCrawler => 1,
            BotReason::Headless => 2,
            BotReason::HttpClient => 3,
            BotReason::NoUserAgent => 4,
            BotReason::PlatformVerdict => 5,
            BotReason::DataCentre => 6,
            BotReason::Rate => 7,
            BotReason::Inconsistent => 8,
            BotReason::Test => 9,
        }
    }
}

/// What brought a session, raw. Absent everything means `direct`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Touch {
    /// `utm_source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_source: Option<String>,
    /// `utm_medium`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_medium: Option<String>,
    /// `utm_campaign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_campaign: Option<String>,
    /// `utm_content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_content: Option<String>,
    /// `utm_term`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_term: Option<String>,
    /// `utm_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_id: Option<String>,
    /// `utm_source_platform`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_source_platform: Option<String>,
    /// `utm_creative_format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utm_creative_format: Option<String>,
    /// Click ids by their canonical parameter name, values untouched.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub click_ids: BTreeMap<String, String>,
    /// Canonical name of the click id that spoke, where its value may not be kept: the channel needs the kind, not the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_kind: Option<String>,
    /// `_fbc`, as found or built by Meta's rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fbc: Option<String>,
    /// `_fbp` as found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fbp: Option<String>,
    /// `_ttp` as found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttp: Option<String>,
    /// The `ref` parameter.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub referral: Option<String>,
    /// Host of an outside referrer, lower-case, without port and `www.`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer_host: Option<String>,
    /// Path of an outside referrer, without query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referrer_path: Option<String>,
    /// Host that was landed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub landing_host: Option<String>,
    /// Path that was landed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub landing_path: Option<String>,
    /// What is left of the landing's query once tracking parameters and anything personal are out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub landing_query: Option<String>,
}

/// Device and place of a visitor. Every field is optional: platforms leave any of them out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// Raw user agent; the centre keeps it as long as the site's privacy settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Client hints by lower-case header name without the `sec-ch-ua` prefix: `platform`, `model`, `mobile`, `brands`, ….
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hints: BTreeMap<String, String>,
    /// What the edge made of hints and user agent, off the visitor's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// First language of Accept-Language, as a BCP 47 tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// ISO 3166-1 alpha-2, upper-case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Name of the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Name of the city.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// IANA time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Two-letter continent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continent: Option<String>,
    /// Number of the visitor's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Name of the visitor's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_organization: Option<String>,
    /// Address as the privacy setting allows: full, cut to /24 or /48, or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Keyed hash of the full address, 16 hex digits, for linking without storing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_hash: Option<String>,
}

/// What kind of thing the visitor held.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Kind of device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DeviceKind>,
    /// Maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser_version: Option<String>,
    /// App whose built-in browser it is: Instagram, Facebook, TikTok, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_app: Option<String>,
}

/// Kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// Desktop or laptop.
    Desktop,
    /// Phone.
    Mobile,
    /// Tablet.
    Tablet,
    /// Television.
    Tv,
    /// Game console.
    Console,
    /// Watch, car, e-reader, other.
    Other,
}

impl DeviceKind {
    /// The name on the wire, in the database and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            DeviceKind::Desktop => "desktop",
            DeviceKind::Mobile => "mobile",
            DeviceKind::Tablet => "tablet",
            DeviceKind::Tv => "tv",
            DeviceKind::Console => "console",
            DeviceKind::Other => "other",
        }
    }
}

/// Answer to a batch that could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// Events stored now.
    pub accepted: usize,
    /// Events that were stored before.
    pub duplicates: usize,
    /// Events that were not stored; each is kept with its reason as a dead letter. Sending them again is of no use.
    pub rejected: Vec<Rejection>,
}

/// Why one event of a batch was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Position in the batch, from 0.
    pub index: usize,
    /// Machine-readable reason: `invalid_json`, `invalid_field`, `too_old`, `clock_ahead`, `too_large`, ….
    pub code: String,
    /// Sentence that names the field and what is allowed.
    pub message: String,
}
