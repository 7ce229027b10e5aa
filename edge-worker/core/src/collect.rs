//! The collect endpoint: `POST /_ud/e`, what the browser script saw.
//!
//! The body is JSON, sent as `application/json` or `text/plain` (a beacon without preflight), at most 32 KiB:
//!
//! ```json
//! {"e":[{"a":"add_to_cart","pr":"sku-1","q":2,"v":"12.50","c":"UAH","p":"/product/1","t":1200,"u":"k3x9"}],
//!  "h":{"platformVersion":"15.0.0","model":"Pixel 9"},"hu":true}
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `e` | up to 50 events; may be empty when `hu` is true |
//! | `a` | action, a name of [`shared::action::Action`]; required |
//! | `n` | name of a custom action; required for `custom`, at most 255 characters |
//! | `p` | path of the page; a query or fragment is cut off |
//! | `pr` | product id, text or number |
//! | `q` | quantity, a whole number from 0 to 4294967295, or its text |
//! | `v` | amount, text or number, kept as exact text; not negative, no exponent |
//! | `c` | its currency, ISO 4217 |
//! | `o` | order id, text or number |
//! | `am` | scroll depth in percent, time on page in seconds; rounded down |
//! | `l` | label: search phrase, text of a button; at most 255 characters |
//! | `x` | free properties: up to 32 names with text, numbers or booleans, 4 KiB; a list or an object is kept as its JSON text |
//! | `r` | of a page view that the edge did not see: URL of the page before, of which host and path are kept; empty when there was none |
//! | `t` | milliseconds since it happened, up to an hour |
//! | `u` | id of the page view that it belongs to; kept as property `page` |
//! | `h` | high-entropy client hints by their JavaScript names, once |
//! | `hu` | a person was seen (pointer, key, wheel): confirms, with events or without one; events alone do not |
//!
//! A key whose value is null or an empty text counts as left out.
//!
//! The answer is 204, also to bots. An event that cannot be read is left out and counted in [`Collected::rejected`]; when no
//! event is good the answer is 400 with the first reason.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use shared::action::Action;
use shared::event::{BotReason, Consent, Event, Origin, SessionRef};
use shared::limits::{MAX_PROPS, MAX_PROPS_BYTES, MAX_UTM_CHARS};
use shared::text::clean;

use crate::cookie::{self, Cookies};
use crate::entropy::{self, Entropy};
use crate::hit::{Hit, split_url};
use crate::place::Place;
use crate::session::{self, Step};
use crate::settings::Settings;
use crate::{bots, consent, context, landing, money, privacy, touch};

/// Bytes of a body.
pub const MAX_BODY_BYTES: usize = 32 * 1024;
/// Events of a body.
pub const MAX_EVENTS: usize = 50;
/// How far back an event of the script may lie, in milliseconds.
const MAX_AGE_MS: i64 = 60 * 60 * 1000;
/// Name of the custom action that confirms a person without anything else having happened.
pub const HUMAN_SEEN: &str = "human_seen";

/// What a collect request came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// 204; 400, 403, 405, 413 or 415 with a `reason`.
    pub status: u16,
    /// Why something was refused, safe to send to the caller: it names the field and what is allowed.
    pub reason: Option<String>,
    /// Events that were left out.
    pub rejected: usize,
    /// Why the sender is taken for a bot; then all events were left out.
    pub bot: Option<BotReason>,
    /// `Set-Cookie` values to add, one header each.
    pub set_cookies: Vec<String>,
    /// Events to send, after the answer.
    pub events: Vec<Event>,
}

impl Collected {
    fn refused(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: Some(reason.into()),
            ..Self::default()
        }
    }

    fn done() -> Self {
        Self {
            status: 204,
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    e: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    h: Option<&'a RawValue>,
    #[serde(default)]
    hu: bool,
}

/// Takes in what the script sent. `now_ms` is in milliseconds since 1970, UTC; `random` is fresh for each request.
pub fn collect(hit: &Hit, body: &[u8], settings: &Settings, now_ms: i64, random: [u8; 64]) -> Collected {
    if let Err((status, reason)) = admit(hit, body, settings) {
        return Collected::refused(status, reason);
    }
    let now_ms = entropy::possible(now_ms);
    let place = Place::read(&hit.cf);
    // A list would be taken for the object's fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Collected::refused(400, "the body must be a JSON object like {\"e\":[…]}");
    }
    let body: Body = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return Collected::refused(400, format!("the body must be JSON like {{\"e\":[…]}}: {error}")),
    };
    if body.e.len() > MAX_EVENTS {
        return Collected::refused(400, format!("e: more than {MAX_EVENTS} events"));
    }
    let cookies = Cookies::read(hit.cookie, settings);
    // Silently: a bot learns nothing from the answer.
    let bot = bots::verdict(hit, place.asn)
        .filter(|reason| !(bots::is_refutable(*reason) && (body.hu || cookies.visitor(settings, now_ms).is_some())));
    if bot.is_some() {
        return Collected {
            bot,
            rejected: body.e.len(),
            ..Collected::done()
        };
    }
    let consent = consent::read(hit, &cookies, settings);
    let entropy = Entropy::new(random);

    let mut collected = Collected::done();
    let mut arrival = None;
    for (index, raw) in body.e.iter().enumerate() {
        match read_event(raw, &entropy, index, consent, now_ms) {
            Ok((mut event, referrer)) => {
                // A browser that nobody sits before runs scripts too: it shows pages, scrolls and waits.
                event.human = body.hu;
                collected.events.push(event);
                arrival = arrival.or(referrer);
            }
            Err(reason) => {
                collected.rejected += 1;
                collected.reason.get_or_insert(format!("e[{index}].{reason}"));
            }
        }
    }
    if collected.events.is_empty() && collected.rejected > 0 {
        collected.status = 400;
        return collected;
    }
    if body.e.is_empty() && body.hu {
        let id = entropy.nth_event(MAX_EVENTS, now_ms);
        collected.events.push(Event {
            action: Action::Custom,
            name: Some(HUMAN_SEEN.to_owned()),
            origin: Origin::Script,
            human: true,
            ..landing::page_view(id, now_ms, consent)
        });
    }
    if collected.events.is_empty() {
        return collected;
    }
    if consent.allows_id() {
        let page = Page {
            hit,
            place,
            cookies,
            consent,
            hints: body.h.map(hints).unwrap_or_default(),
            arrival,
            settings,
            entropy,
            now_ms,
        };
        identify(page, &mut collected);
    } else {
        collected.set_cookies = cookies.removals(settings);
        anonymise(hit, &place, &mut collected.events);
    }
    collected
}

/// The page that sent events, and what was read from it so far.
struct Page<'a> {
    hit: &'a Hit<'a>,
    place: Place,
    cookies: Cookies<'a>,
    consent: Consent,
    hints: BTreeMap<String, String>,
    /// Somebody arrived at the page unseen by the edge: where from, an empty text when from nowhere.
    arrival: Option<String>,
    settings: &'a Settings,
    entropy: Entropy,
    now_ms: i64,
}

/// Who may send what, before anything is read.
fn admit(hit: &Hit, body: &[u8], settings: &Settings) -> Result<(), (u16, &'static str)> {
    if hit.method != "POST" {
        return Err((405, "only POST is allowed here"));
    }
    let own = |url: &str| touch::is_of_the_shop(url, hit, settings);
    let from_the_shop = match (hit.origin, hit.sec_fetch_site, hit.referer) {
        (Some(origin), ..) => own(origin),
        (None, Some(site), _) => matches!(site, "same-origin" | "same-site"),
        (None, None, Some(referer)) => own(referer),
        (None, None, None) => false,
    };
    if !from_the_shop {
        return Err((
            403,
            "only pages of the shop may send events; its hosts are the setting `hosts`",
        ));
    }
    let kind = hit
        .content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if !(kind.is_empty() || kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case("text/plain")) {
        return Err((415, "the body must be application/json or text/plain"));
    }
    if body.len() > MAX_BODY_BYTES {
        return Err((413, "the body has more than 32768 bytes"));
    }
    Ok(())
}

/// Visitor and session of the events; a session is made as a landing would where none is alive (a page from a cache, that never
/// came by the edge: its own URL is the Referer, so that its tags are not lost).
fn identify(page: Page, collected: &mut Collected) {
    let Page {
        hit,
        place,
        cookies,
        consent,
        hints,
        arrival,
        settings,
        entropy,
        now_ms,
    } = page;
    let found = cookies.visitor(settings, now_ms);
    let visitor = found.map_or_else(|| entropy.visitor(now_ms), |visitor| visitor.id);
    if found.is_none_or(|visitor| visitor.stale) {
        collected
            .set_cookies
            .push(cookie::write_visitor(visitor, settings, now_ms));
    }
    let alive = found.and_then(|visitor| cookies.session(visitor.id, settings, now_ms));
    // Leaving a page that was forgotten in a tab is no return.
    let passive = collected
        .events
        .iter()
        .all(|event| matches!(event.action, Action::Scroll | Action::TimeOnPage));
    let mut touch = None;
    let (session, step) = match (alive, &arrival) {
        (Some(session), _) if passive => (session, Step::Same),
        (Some(session), None) => session.touch(now_ms),
        (alive, arrival) => {
            let read = touch::of_referring_page(hit, arrival.as_deref(), settings);
            let read = touch::limit(read, consent);
            let mark = touch::arrival_mark(&read);
            // As at a landing: a link inside the shop does not overwrite a live attribution, whatever tags it has.
            let inside = arrival
                .as_deref()
                .is_some_and(|from| touch::is_of_the_shop(from, hit, settings));
            let (session, step) = match alive {
                Some(session) if inside && session.mark != Default::default() => session.touch(now_ms),
                alive => session::arrive(alive, mark, entropy.session(now_ms), now_ms),
            };
            touch = (step == Step::NewSession).then(|| Box::new(read));
            (session, step)
        }
    };
    if !(passive && step == Step::Same) {
        collected
            .set_cookies
            .push(cookie::write_session(visitor, &session, settings, now_ms));
    }
    for event in &mut collected.events {
        event.visitor = Some(visitor);
        event.session = Some(SessionRef {
            id: session.id,
            started: session.started,
            visit: session.visit,
        });
        // A session that starts here has nothing before its start.
        event.at = event.at.max(session.started);
    }
    if let Some(first) = collected.events.first_mut() {
        first.touch = touch;
        if step != Step::Same || !hints.is_empty() {
            let mut context = context::full(hit, place, settings);
            context.hints.extend(hints);
            first.context = Some(Box::new(context));
        }
    }
}

/// Only that something was done: no page, no product, no phrase, no order. Page views without an id are counted where the visit
/// began, at the edge.
fn anonymise(hit: &Hit, place: &Place, events: &mut Vec<Event>) {
    events.retain(|event| {
        !matches!(event.action, Action::PageView | Action::Scroll | Action::TimeOnPage)
            && event.name.as_deref() != Some(HUMAN_SEEN)
    });
    for event in events {
        *event = Event {
            action: event.action,
            origin: Origin::Script,
            human: event.human,
            context: Some(Box::new(context::anonymous(hit, place.clone()))),
            ..landing::page_view(event.id, event.at, event.consent)
        };
    }
}

/// One event of the body and its `r`, or the field that is wrong and what it may be.
fn read_event(
    raw: &RawValue,
    entropy: &Entropy,
    index: usize,
    consent: Consent,
    now_ms: i64,
) -> Result<(Event, Option<String>), String> {
    let mut fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| "an event must be an object".to_owned())?;
    // What a page has no value for is null or an empty text. Of the page before, an empty text says that there was none.
    fields.retain(|name, raw| raw.get() != "null" && (name == "r" || !raw.get().trim_matches('"').trim().is_empty()));
    let fields = Fields(fields);
    let name: String = fields.take("a", "the name of an action")?.ok_or("a: is missing")?;
    let action = Action::from_name(&name).ok_or_else(|| {
        let names: Vec<_> = Action::ALL.into_iter().map(Action::name).collect();
        format!("a: must be one of {}", names.join(", "))
    })?;
    let custom = fields.text("n")?;
    if action == Action::Custom && custom.is_none() {
        return Err("n: a custom action needs a name".to_owned());
    }
    let age = fields
        .take::<f64>("t", "milliseconds")?
        .unwrap_or(0.0)
        .clamp(0.0, MAX_AGE_MS as f64) as i64;
    let value = fields.amount("v")?;
    let currency = match fields.take::<String>("c", "an ISO 4217 code")? {
        Some(code) => Some(money::currency(&code).ok_or("c: must be an ISO 4217 code such as UAH")?),
        None => None,
    };
    let path: Option<String> = fields.take("p", "a path")?;
    let referrer: Option<String> = fields.take("r", "the URL of the page before, or an empty text")?;
    let event = Event {
        action,
        origin: Origin::Script,
        name: custom.filter(|_| action == Action::Custom),
        path: path.and_then(|path| privacy::path(split_url(&path).path.split('?').next().unwrap_or_default())),
        product: fields.text("pr")?,
        quantity: fields.whole("q")?,
        currency: currency.filter(|_| value.is_some()),
        value,
        order: fields.text("o")?,
        amount: fields
            .take::<f64>("am", "a number")?
            .map(|amount| amount.clamp(0.0, f64::from(u32::MAX)) as u32),
        label: fields.text("l")?,
        props: fields.props()?,
        ..landing::page_view(entropy.nth_event(index, now_ms), now_ms.saturating_sub(age), consent)
    };
    Ok((event, referrer.filter(|_| action == Action::PageView)))
}

struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl Fields<'_> {
    fn take<T: DeserializeOwned>(&self, name: &str, what: &str) -> Result<Option<T>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| format!("{name}: must be {what}")),
        }
    }

    /// Text or a number, as text.
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let text = match self.take::<Value>(name, "text or a number")? {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(format!("{name}: must be text or a number")),
        };
        Ok(clean(&text, MAX_UTM_CHARS))
    }

    /// A whole number, or the text of one: what a page reads from an input is text.
    fn whole(&self, name: &str) -> Result<Option<u32>, String> {
        let what = "a whole number from 0 to 4294967295";
        match self.take::<Value>(name, what)? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => text
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| format!("{name}: must be {what}")),
            Some(_) => self.take(name, what),
        }
    }

    /// An amount: the number's own digits, not a float made of them.
    fn amount(&self, name: &str) -> Result<Option<String>, String> {
        let Some(raw) = self.0.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null") else {
            return Ok(None);
        };
        let text = if raw.starts_with('"') {
            serde_json::from_str::<String>(raw)
                .map_err(|_| format!("{name}: cannot be read"))?
                .trim()
                .to_owned()
        } else {
            raw.to_owned()
        };
        if money::is_amount(&text) {
            return Ok(Some(text));
        }
        Err(format!(
            "{name}: must be a decimal amount such as 12.50, not negative, with at most 14 digits before the point"
        ))
    }

    fn props(&self) -> Result<Option<Map<String, Value>>, String> {
        let given: Map<String, Value> = self.take("x", "an object")?.unwrap_or_default();
        if given.len() > MAX_PROPS {
            return Err(format!("x: more than {MAX_PROPS} properties"));
        }
        let mut props = Map::new();
        for (name, value) in given {
            let Some(name) = clean(&name, 64) else {
                return Err("x: a property has no name".to_owned());
            };
            let value = match value {
                Value::String(text) => match clean(&text, 1_024) {
                    Some(text) => Value::String(text),
                    None => continue,
                },
                Value::Number(_) | Value::Bool(_) => value,
                Value::Null => continue,
                // Lists of items are common beside a purchase: kept as their text, they cost nobody the event.
                nested => match serde_json::to_string(&nested).ok().and_then(|text| clean(&text, 1_024)) {
                    Some(text) => Value::String(text),
                    None => continue,
                },
            };
            props.insert(name, value);
        }
        if let Some(page) = self.text("u")? {
            props.insert("page".to_owned(), Value::String(clean(&page, 64).unwrap_or_default()));
        }
        let bytes = serde_json::to_string(&props).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_PROPS_BYTES {
            return Err(format!("x: more than {MAX_PROPS_BYTES} bytes"));
        }
        Ok((!props.is_empty()).then_some(props))
    }
}

/// High-entropy hints by the names that the context uses. What cannot be read is left out: hints refine, they do not decide.
fn hints(raw: &RawValue) -> BTreeMap<String, String> {
    const NAMES: &[(&str, &str)] = &[
        ("platform", "platform"),
        ("platformVersion", "platform-version"),
        ("model", "model"),
        ("architecture", "arch"),
        ("bitness", "bitness"),
        ("formFactors", "form-factors"),
        ("maxTouchPoints", "touch-points"),
    ];
    let given: Map<String, Value> = serde_json::from_str(raw.get()).unwrap_or_default();
    NAMES
        .iter()
        .filter_map(|(from, to)| {
            let text = match given.get(*from)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
                _ => return None,
            };
            Some(((*to).to_owned(), context::hint(&text)?))
        })
        .collect()
}
