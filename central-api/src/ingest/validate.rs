//! An event as it came to an [`Record`] that the database cannot refuse, or the reason why not. Pure: settings and time come in.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared::action::Action;
use shared::attribution::{self, Aliases, Attribution};
use shared::event::{BotReason, Consent, Context, Event, Origin, SessionRef, Touch};
use shared::ids::{minted_at_ms, uuid_v7};
use shared::limits::{
    MAX_CLICK_ID_CHARS, MAX_CLOCK_AHEAD_MS, MAX_PATH_CHARS, MAX_PROPS, MAX_PROPS_BYTES, MAX_UTM_CHARS,
    VISITOR_COOKIE_SECONDS,
};
use shared::text::clean;
use uuid::Uuid;

use crate::channel_rules;
use crate::devices::Devices;
use crate::ingest::record::{AnonymousRecord, ContextRecord, EventRecord, Record, TouchRecord};
use crate::record::FieldError;
use crate::site::Site;
use crate::site_check::TEST_SOURCE;

/// Why an event is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Machine-readable reason.
    pub code: &'static str,
    /// The field at fault; absent when it is the event as a whole.
    pub field: Option<String>,
    /// Sentence that names the field and what is allowed.
    pub message: String,
    /// The sentence behind the field's name, for a door that calls the field by another one.
    allowed: Option<String>,
}

impl Refusal {
    /// A field whose value is not allowed.
    pub fn field(field: &str, allowed: impl std::fmt::Display) -> Self {
        Self::of("invalid_field", field, allowed)
    }

    /// A field that is refused for a reason of its own.
    pub fn of(code: &'static str, field: &str, allowed: impl std::fmt::Display) -> Self {
        Self {
            code,
            field: Some(field.to_owned()),
            message: format!("{field}: {allowed}"),
            allowed: Some(allowed.to_string()),
        }
    }

    /// The event as a whole.
    pub fn whole(code: &'static str, message: String) -> Self {
        Self {
            code,
            field: None,
            message,
            allowed: None,
        }
    }

    /// The same in the words of whoever sent the event, who may have other names for its fields: what it never sent it cannot repair.
    #[must_use]
    pub fn renamed(self, name: impl Fn(&str) -> &str) -> Self {
        match (&self.field, &self.allowed) {
            (Some(field), Some(allowed)) => Self::of(self.code, name(field), allowed),
            _ => self,
        }
    }
}

impl From<FieldError> for Refusal {
    /// Its field is the sender's already.
    fn from(error: FieldError) -> Self {
        Self {
            code: error.code,
            field: error.field,
            message: error.message,
            allowed: None,
        }
    }
}

impl From<Refusal> for FieldError {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code,
            field: refusal.field,
            message: refusal.message,
        }
    }
}

/// What an event is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The site that it belongs to.
    pub site: &'a Site,
    /// The site's aliases.
    pub aliases: &'a Aliases,
    /// What knows devices.
    pub devices: &'a Devices,
    /// The time now, in milliseconds since 1970, UTC.
    pub now_ms: i64,
    /// How far back its time may lie, in milliseconds; absent: to the year 2000 (imports and replays).
    pub max_age_ms: Option<i64>,
}

/// The most points one event can earn, so that a session's sum stays a number that people can read.
const MAX_POINTS: i32 = 1_000_000;
/// 1 January 2000, UTC: nothing was measured before.
const EARLIEST_MS: i64 = 946_684_800_000;
/// First value that `numeric(18, 4)` cannot hold.
const VALUE_LIMIT: Decimal = Decimal::from_parts(276_447_232, 23_283, 0, false, 0);
/// Click ids on one touch.
const MAX_CLICK_IDS: usize = 32;

/// What is to be stored of `event`.
///
/// # Errors
/// The first field at fault.
pub fn record(event: Event, rules: &Rules<'_>) -> Result<Record, Refusal> {
    if event.id.is_nil() {
        return Err(Refusal::field("id", "must be a UUIDv7"));
    }
    let minted_ms = minted_at_ms(event.id).ok_or_else(|| Refusal::field("id", "must be a UUIDv7"))?;
    let minted_at = time("id", minted_ms, rules)?;
    let occurred_at = time("at", event.at, rules)?;
    let name = name(event.action, event.name.as_deref())?;
    let (visitor_id, session) = match (event.visitor, event.session) {
        (Some(visitor), Some(session)) => (visitor, session),
        (None, None) => return Ok(Record::Anonymous(Box::new(anonymous(&event, minted_at, rules)?))),
        (Some(_), None) => return Err(Refusal::field("session", "is required beside a visitor")),
        (None, Some(_)) => return Err(Refusal::field("visitor", "is required beside a session")),
    };
    if !event.consent.allows_id() {
        return Err(Refusal::field(
            "visitor",
            format_args!("must be absent when consent is {}", event.consent.name()),
        ));
    }
    not_nil("visitor", visitor_id)?;
    not_nil("session.id", session.id)?;
    let visit_no = i16::try_from(session.visit)
        .ok()
        .filter(|visit| *visit >= 1)
        .ok_or_else(|| Refusal::field("session.visit", "must be from 1 to 32767"))?;
    let session_started = session_start(session.started, event.at)?;
    let currency = event
        .currency
        .as_deref()
        .map(|code| currency("currency", code))
        .transpose()?;
    let value = event.value.as_deref().map(|text| money("value", text)).transpose()?;
    // In another currency a value is kept, but earns no points and no revenue here.
    let own_value = value.filter(|_| currency.as_ref().is_none_or(|code| *code == rules.site.currency));
    let bot_reason = bot_reason(&event);
    let touch = event
        .touch
        .map(|touch| touch_record(*touch, event.consent, rules))
        .transpose()?;
    let context = event
        .context
        .map(|context| context_record(*context, rules))
        .transpose()?;
    let order_id = event.order.map(|id| id_text("order", &id)).transpose()?;
    let (event_id, minted_at) = match &order_id {
        Some(order_id) if event.action == Action::Purchase => order_event_id("purchase", &session, order_id),
        Some(order_id) if event.action == Action::Lead => order_event_id("lead", &session, order_id),
        _ => None,
    }
    .unwrap_or((event.id, minted_at));
    Ok(Record::Event(Box::new(EventRecord {
        site_id: rules.site.id,
        visitor_id,
        event_id,
        minted_at,
        session_id: session.id,
        session_started,
        occurred_at,
        action: event.action,
        origin: event.origin.code(),
        visit_no,
        bot_reason,
        // The browser script says when it saw a person; that it ran proves none.
        human: event.human || (bot_reason.is_none() && event.origin == Origin::Server),
        points: points(event.action, own_value, rules.site),
        quantity: event.quantity.map(|n| small("quantity", n)).transpose()?,
        amount: event.amount.map(|n| small("amount", n)).transpose()?,
        name,
        path: event.path.and_then(|path| clean(&path, MAX_PATH_CHARS)),
        product_id: event.product.map(|id| id_text("product", &id)).transpose()?,
        order_id,
        label: event.label.and_then(|label| clean(&label, MAX_UTM_CHARS)),
        props: event.props.map(props).transpose()?,
        consent: event.consent.code(),
        revenue: own_value.filter(|_| event.action == Action::Purchase),
        value,
        currency,
        touch: touch.map(Box::new),
        context: context.map(Box::new),
        contacts: Vec::new(),
    })))
}

/// The id of an order's purchase or lead in a session, and the time inside it: a thank-you page that is loaded again, or told of by browser
/// and backend, is the same event and counts once. The first that arrives is kept.
fn order_event_id(what: &str, session: &SessionRef, order_id: &str) -> Option<(Uuid, DateTime<Utc>)> {
    // The same for every event of the session; most ids hold it, and a start that was told could differ between two machines.
    let began_ms = minted_at_ms(session.id)
        .filter(|ms| (EARLIEST_MS..=session.started.saturating_add(MAX_CLOCK_AHEAD_MS)).contains(ms))
        .unwrap_or(session.started);
    let digest: [u8; 32] = Sha256::new()
        .chain_update(what)
        .chain_update([0])
        .chain_update(session.id.as_bytes())
        .chain_update(order_id)
        .finalize()
        .into();
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&digest[..10]);
    Some((uuid_v7(began_ms, bytes), DateTime::from_timestamp_millis(began_ms)?))
}

fn time(field: &str, ms: i64, rules: &Rules<'_>) -> Result<DateTime<Utc>, Refusal> {
    if ms > rules.now_ms.saturating_add(MAX_CLOCK_AHEAD_MS) {
        return Err(Refusal::of(
            "clock_ahead",
            field,
            format_args!(
                "its time is more than {} minutes ahead of the server's",
                MAX_CLOCK_AHEAD_MS / 60_000
            ),
        ));
    }
    match rules.max_age_ms {
        Some(max) if ms < rules.now_ms.saturating_sub(max) => {
            return Err(Refusal::of(
                "too_old",
                field,
                format_args!(
                    "its time is more than {} days back; older history comes in by import",
                    max / 86_400_000
                ),
            ));
        }
        None if ms < EARLIEST_MS => {
            return Err(Refusal::of("too_old", field, "its time lies before the year 2000"));
        }
        _ => {}
    }
    DateTime::from_timestamp_millis(ms).ok_or_else(|| Refusal::field(field, "is not a time"))
}

/// The session's start as the event tells it. Clocks differ a little between the machines that saw start and event, so a start
/// somewhat after the event is taken for the event's own time.
fn session_start(started_ms: i64, at_ms: i64) -> Result<DateTime<Utc>, Refusal> {
    let earliest = at_ms - VISITOR_COOKIE_SECONDS * 1_000;
    if !(earliest..=at_ms + MAX_CLOCK_AHEAD_MS).contains(&started_ms) {
        return Err(Refusal::field(
            "session.started",
            "must lie at most 400 days before the event, and not after it",
        ));
    }
    DateTime::from_timestamp_millis(started_ms.min(at_ms))
        .ok_or_else(|| Refusal::field("session.started", "is not a time"))
}

fn not_nil(field: &str, id: Uuid) -> Result<(), Refusal> {
    if id.is_nil() {
        return Err(Refusal::field(field, "must not be the nil UUID"));
    }
    Ok(())
}

fn small(field: &str, number: u32) -> Result<i32, Refusal> {
    i32::try_from(number).map_err(|_| Refusal::field(field, "must be at most 2147483647"))
}

/// An id of the shop's. Cut, it would be another id: too long is refused.
fn id_text(field: &str, text: &str) -> Result<String, Refusal> {
    let id = clean(text, MAX_UTM_CHARS + 1).ok_or_else(|| Refusal::field(field, "must not be empty"))?;
    if id.chars().count() > MAX_UTM_CHARS {
        return Err(Refusal::field(
            field,
            format_args!("must have at most {MAX_UTM_CHARS} characters"),
        ));
    }
    Ok(id)
}

fn name(action: Action, name: Option<&str>) -> Result<Option<String>, Refusal> {
    let name = name.and_then(|name| clean(name, MAX_UTM_CHARS));
    if action == Action::Custom && name.is_none() {
        return Err(Refusal::field("name", "is required for a custom action"));
    }
    Ok(name)
}

/// Decimal text of at least 0 and below 10^14, rounded half away from zero to four digits as Postgres rounds.
///
/// # Errors
/// Names `field`.
pub fn money(field: &str, text: &str) -> Result<Decimal, Refusal> {
    let value: Decimal = text
        .trim()
        .parse()
        .map_err(|_| Refusal::field(field, "must be decimal text such as 1299.50"))?;
    let value = value.round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero);
    if value.is_sign_negative() && !value.is_zero() || value >= VALUE_LIMIT {
        return Err(Refusal::field(
            field,
            "must be at least 0 and less than 100000000000000",
        ));
    }
    Ok(value.abs())
}

/// An ISO 4217 code; lower case is taken for upper.
///
/// # Errors
/// Names `field`.
pub fn currency(field: &str, code: &str) -> Result<String, Refusal> {
    crate::currency::read(code).ok_or_else(|| Refusal::field(field, crate::currency::ALLOWED))
}

/// Points of an action with a value in the site's currency: the setting's, and one more for each full 100 units where value counts.
pub fn points(action: Action, own_value: Option<Decimal>, site: &Site) -> i32 {
    let base = site.settings.base_points(action);
    let by_value = own_value
        .filter(|_| action.earns_points_by_value())
        .and_then(|value| {
            i32::try_from((value / Decimal::ONE_HUNDRED).trunc().mantissa())
                .ok()
                .or(Some(MAX_POINTS))
        })
        .unwrap_or(0);
    base.saturating_add(by_value).clamp(-MAX_POINTS, MAX_POINTS)
}

fn props(mut props: Map<String, Value>) -> Result<Value, Refusal> {
    if props.len() > MAX_PROPS {
        return Err(Refusal::field(
            "props",
            format_args!("must have at most {MAX_PROPS} keys"),
        ));
    }
    strip_nul(&mut props);
    let props = Value::Object(props);
    if serde_json::to_vec(&props).map_or(usize::MAX, |json| json.len()) > MAX_PROPS_BYTES {
        return Err(Refusal::field(
            "props",
            format_args!("must take at most {MAX_PROPS_BYTES} bytes as JSON"),
        ));
    }
    Ok(props)
}

/// `jsonb` holds any text but NUL.
fn strip_nul(object: &mut Map<String, Value>) {
    fn walk(value: &mut Value) {
        match value {
            Value::String(text) if text.contains('\0') => text.retain(|c| c != '\0'),
            Value::Array(items) => items.iter_mut().for_each(walk),
            Value::Object(object) => strip_nul(object),
            _ => {}
        }
    }
    if object.keys().any(|key| key.contains('\0')) {
        *object = std::mem::take(object)
            .into_iter()
            .map(|(key, value)| (key.replace('\0', ""), value))
            .collect();
    }
    object.values_mut().for_each(walk);
}

fn attributed(touch: &Touch, rules: &Rules<'_>) -> Attribution {
    let mut found = attribution::resolve(touch, &rules.site.not_sources, rules.aliases);
    if let Some(channel) = channel_rules::channel(&rules.site.settings.channel_rules, &found) {
        found.channel = channel;
    }
    found
}

/// What the edge says, or that it is a test visit of ours, which must stay out of every figure.
fn bot_reason(event: &Event) -> Option<i16> {
    let source = event.touch.as_deref().and_then(|touch| touch.utm_source.as_deref());
    let test = (source == Some(TEST_SOURCE)).then_some(BotReason::Test);
    event.bot.or(test).map(|reason| reason.code())
}

fn touch_record(touch: Touch, consent: Consent, rules: &Rules<'_>) -> Result<TouchRecord, Refusal> {
    if touch.click_ids.len() > MAX_CLICK_IDS {
        return Err(Refusal::field(
            "touch.click_ids",
            format_args!("must be at most {MAX_CLICK_IDS}"),
        ));
    }
    let found = attributed(&touch, rules);
    let short = |text: Option<String>| text.and_then(|text| clean(&text, MAX_UTM_CHARS));
    let path = |text: Option<String>| text.and_then(|text| clean(&text, MAX_PATH_CHARS));
    let raw: Map<String, Value> = found
        .raw
        .into_iter()
        .filter_map(|(name, value)| Some((name, Value::String(clean(&value, MAX_UTM_CHARS)?))))
        .collect();
    let cookies = [("fbc", touch.fbc), ("fbp", touch.fbp), ("ttp", touch.ttp)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    // Limited consent keeps nothing that ad platforms could use; a click id that is too long is dropped, never cut.
    let click_ids: Map<String, Value> = touch
        .click_ids
        .into_iter()
        .chain(cookies)
        .filter(|(name, value)| {
            consent == Consent::Granted
                && name.len() <= 40
                && value.chars().count() <= MAX_CLICK_ID_CHARS
                && !value.contains(char::is_control)
                && !name.contains(char::is_control)
        })
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    Ok(TouchRecord {
        utm_source: short(found.utm_source),
        utm_medium: short(found.utm_medium),
        utm_campaign: short(found.utm_campaign),
        utm_content: short(found.utm_content),
        utm_term: short(found.utm_term),
        utm_id: short(found.utm_id),
        utm_source_platform: short(found.utm_source_platform),
        utm_creative_format: short(found.utm_creative_format),
        raw: (!raw.is_empty()).then_some(Value::Object(raw)),
        channel: Some(found.channel.name()),
        inferred: found.inferred,
        click_ids: (!click_ids.is_empty()).then_some(Value::Object(click_ids)),
        click_platform: found.click_platform,
        referral: short(touch.referral),
        referrer_host: short(found.referrer_host),
        referrer_path: path(found.referrer_path),
        landing_host: short(touch.landing_host),
        landing_path: path(touch.landing_path),
        landing_query: path(touch.landing_query),
    })
}

fn context_record(context: Context, rules: &Rules<'_>) -> Result<ContextRecord, Refusal> {
    let short = |text: Option<String>| text.and_then(|text| clean(&text, MAX_UTM_CHARS));
    let device = rules.devices.refine(&context);
    Ok(ContextRecord {
        detail: i16::from(["model", "platform-version", "full-version-list"].iter().any(|hint| {
            context
                .hints
                .get(*hint)
                .is_some_and(|value| !value.trim_matches(['"', ' ']).is_empty())
        })),
        device_type: device.kind.map(|kind| kind.name()),
        device_brand: short(device.brand),
        device_model: short(device.model),
        os_name: short(device.os),
        os_version: short(device.os_version),
        browser_name: short(device.browser),
        browser_version: short(device.browser_version),
        in_app: short(device.in_app),
        user_agent: context
            .user_agent
            .filter(|_| rules.site.settings.keep_user_agents)
            .and_then(|text| rules.devices.stored(&text)),
        language: context.language.and_then(|tag| clean(&tag, 35)),
        country: context.country.map(|code| country(&code)).transpose()?,
        region: short(context.region),
        city: short(context.city),
        time_zone: short(context.time_zone),
        continent: context.continent.and_then(|code| clean(&code, 2)),
        // Numbers beyond 2^31 are reserved for private use and never seen from outside.
        asn: context.asn.and_then(|number| i32::try_from(number).ok()),
        as_organization: short(context.as_organization),
        ip: context.ip.map(|text| address(&text)).transpose()?,
        ip_hash: context.ip_hash.map(|text| hash_text(&text)).transpose()?,
    })
}

/// Two characters as Cloudflare gives them: ISO 3166-1 alpha-2, `XX` for unknown, `T1` for Tor.
pub fn country_code(code: &str) -> Option<String> {
    let code = code.trim().to_ascii_uppercase();
    let is_code = code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    is_code.then_some(code)
}

fn country(code: &str) -> Result<String, Refusal> {
    country_code(code).ok_or_else(|| Refusal::field("context.country", "must be an ISO 3166-1 alpha-2 code such as UA"))
}

fn address(text: &str) -> Result<String, Refusal> {
    let (host, prefix) = text
        .split_once('/')
        .map_or((text, None), |(host, prefix)| (host, Some(prefix)));
    let bits = host
        .parse::<IpAddr>()
        .map(|address| if address.is_ipv4() { 32 } else { 128 });
    let ok = bits.is_ok_and(|bits| prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits)));
    if !ok {
        return Err(Refusal::field(
            "context.ip",
            "must be an IP address, with or without a prefix length",
        ));
    }
    Ok(text.to_owned())
}

fn hash_text(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Refusal::field("context.ip_hash", "must be hex digits, at most 64"));
    }
    Ok(text.to_owned())
}

fn anonymous(event: &Event, minted_at: DateTime<Utc>, rules: &Rules<'_>) -> Result<AnonymousRecord, Refusal> {
    let found = event.touch.as_deref().map(|touch| attributed(touch, rules));
    let short = |text: Option<String>| text.and_then(|text| clean(&text, MAX_UTM_CHARS));
    let context = event.context.as_deref();
    let (channel, utm_source, utm_medium, utm_campaign) = match found {
        Some(found) => (
            Some(found.channel.name()),
            found.utm_source,
            found.utm_medium,
            found.utm_campaign,
        ),
        None => (None, None, None, None),
    };
    Ok(AnonymousRecord {
        site_id: rules.site.id,
        event_id: event.id,
        minted_at,
        consent: event.consent.code(),
        action: event.action,
        bot_reason: bot_reason(event),
        channel,
        utm_source: short(utm_source),
        utm_medium: short(utm_medium),
        utm_campaign: short(utm_campaign),
        device_type: context
            .and_then(|context| rules.devices.refine(context).kind)
            .map(|kind| kind.name()),
        country: context
            .and_then(|context| context.country.as_deref())
            .map(country)
            .transpose()?,
    })
}
