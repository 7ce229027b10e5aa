//! An event as its JSON text: what serde writes, with a tenth of its code. A landing finds the caches cold,
//! so that code costs more there than what it does.

use shared::event::{Context, Device, Event, SessionRef, Touch};
use uuid::Uuid;

/// Appends the event's JSON text. It equals `serde_json::to_vec`, which a test compares; a field that is new does not compile until it is
/// written here too.
pub fn write(event: &Event, out: &mut Vec<u8>) {
    let Event {
        id,
        at,
        action,
        origin,
        visitor,
        session,
        name,
        path,
        product,
        quantity,
        value,
        currency,
        order,
        amount,
        label,
        props,
        touch,
        context,
        bot,
        human,
        consent,
    } = event;
    let mut object = Object::open(out);
    object.id("id", *id);
    object.other("at", at);
    object.text("action", action.name());
    object.other("origin", origin);
    if let Some(visitor) = visitor {
        object.id("visitor", *visitor);
    }
    if let Some(SessionRef { id, started, visit }) = session {
        let mut session = object.object("session");
        session.id("id", *id);
        session.other("started", started);
        session.other("visit", visit);
        session.close();
    }
    object.texts([("name", name), ("path", path), ("product", product)]);
    object.optional("quantity", quantity);
    object.texts([("value", value), ("currency", currency), ("order", order)]);
    object.optional("amount", amount);
    object.texts([("label", label)]);
    object.optional("props", props);
    if let Some(touch) = touch {
        write_touch(touch, object.object("touch"));
    }
    if let Some(context) = context {
        write_context(context, object.object("context"));
    }
    object.optional("bot", bot);
    if *human {
        object.other("human", human);
    }
    object.text("consent", consent.name());
    object.close();
}

/// The event's JSON text.
pub fn to_string(event: &Event) -> String {
    let mut out = Vec::new();
    write(event, &mut out);
    // Made of texts: it is one.
    String::from_utf8(out).unwrap_or_default()
}

fn write_touch(touch: &Touch, mut object: Object) {
    let Touch {
        utm_source,
        utm_medium,
        utm_campaign,
        utm_content,
        utm_term,
        utm_id,
        utm_source_platform,
        utm_creative_format,
        click_ids,
        click_kind,
        fbc,
        fbp,
        ttp,
        referral,
        referrer_host,
        referrer_path,
        landing_host,
        landing_path,
        landing_query,
    } = touch;
    object.texts([
        ("utm_source", utm_source),
        ("utm_medium", utm_medium),
        ("utm_campaign", utm_campaign),
        ("utm_content", utm_content),
        ("utm_term", utm_term),
        ("utm_id", utm_id),
        ("utm_source_platform", utm_source_platform),
        ("utm_creative_format", utm_creative_format),
    ]);
    object.map("click_ids", click_ids);
    object.texts([
        ("click_kind", click_kind),
        ("fbc", fbc),
        ("fbp", fbp),
        ("ttp", ttp),
        ("ref", referral),
        ("referrer_host", referrer_host),
        ("referrer_path", referrer_path),
        ("landing_host", landing_host),
        ("landing_path", landing_path),
        ("landing_query", landing_query),
    ]);
    object.close();
}

fn write_context(context: &Context, mut object: Object) {
    let Context {
        user_agent,
        hints,
        device,
        language,
        country,
        region,
        city,
        time_zone,
        continent,
        asn,
        as_organization,
        ip,
        ip_hash,
    } = context;
    object.texts([("user_agent", user_agent)]);
    object.map("hints", hints);
    if let Some(device) = device {
        write_device(device, object.object("device"));
    }
    object.texts([
        ("language", language),
        ("country", country),
        ("region", region),
        ("city", city),
        ("time_zone", time_zone),
        ("continent", continent),
    ]);
    object.optional("asn", asn);
    object.texts([("as_organization", as_organization), ("ip", ip), ("ip_hash", ip_hash)]);
    object.close();
}

fn write_device(device: &Device, mut object: Object) {
    let Device {
        kind,
        brand,
        model,
        os,
        os_version,
        browser,
        browser_version,
        in_app,
    } = device;
    if let Some(kind) = kind {
        object.text("kind", kind.name());
    }
    object.texts([
        ("brand", brand),
        ("model", model),
        ("os", os),
        ("os_version", os_version),
        ("browser", browser),
        ("browser_version", browser_version),
        ("in_app", in_app),
    ]);
    object.close();
}

/// A JSON object in the making.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    /// `name` needs no escape.
    fn key(&mut self, name: &str) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        push_quoted(self.out, name);
        self.out.push(b':');
    }

    fn object(&mut self, name: &str) -> Object<'_> {
        self.key(name);
        Object::open(self.out)
    }

    #[inline(never)]
    fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        push_text(self.out, value);
    }

    fn texts<const N: usize>(&mut self, fields: [(&str, &Option<String>); N]) {
        for (name, value) in fields {
            if let Some(value) = value {
                self.text(name, value);
            }
        }
    }

    fn id(&mut self, name: &str, id: Uuid) {
        self.key(name);
        push_quoted(self.out, id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    fn map(&mut self, name: &str, map: &std::collections::BTreeMap<String, String>) {
        if map.is_empty() {
            return;
        }
        let mut object = self.object(name);
        for (name, value) in map {
            // Names come from the catalogue of click ids and from the list of hints; serde's word holds all the same.
            if !std::mem::take(&mut object.empty) {
                object.out.push(b',');
            }
            push_text(object.out, name);
            object.out.push(b':');
            push_text(object.out, value);
        }
        object.close();
    }

    fn optional<T: serde::Serialize>(&mut self, name: &str, value: &Option<T>) {
        if let Some(value) = value {
            self.other(name, value);
        }
    }

    /// What is rare or short enough to be left to serde.
    fn other<T: serde::Serialize>(&mut self, name: &str, value: &T) {
        self.key(name);
        push_other(self.out, value);
    }
}

/// Writes to memory, of values whose keys are texts: nothing here can fail.
fn push_other<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // No early end: so the loop takes many bytes at a time, and nearly no text has anything to escape.
    let escapes = text
        .bytes()
        .fold(false, |any, b| any | (b < b' ') | (b == b'"') | (b == b'\\'));
    if escapes {
        push_escaped(out, text);
    } else {
        push_quoted(out, text);
    }
}

/// Of what is escaped, quotes are common: each list of a browser's brands has them.
#[inline(never)]
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < b' ') {
        return push_other(out, text);
    }
    out.reserve(text.len() + 16);
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn push_quoted(out: &mut Vec<u8>, plain: &str) {
    out.reserve(plain.len() + 2);
    out.push(b'"');
    out.extend_from_slice(plain.as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::option::of;
    use proptest::prelude::*;
    use shared::action::Action;
    use shared::event::{BotReason, Consent, DeviceKind, Origin};

    use super::*;

    /// Text with everything that JSON escapes.
    const TEXT: &str = "(?s)[a-z]{0,12}|.{0,20}|[\\x00-\\x20\"\\\\/\u{7f}ї😀]{0,8}";

    fn touch() -> impl Strategy<Value = Touch> {
        (
            prop::array::uniform(of(TEXT)),
            prop::array::uniform(of(TEXT)),
            btree_map(TEXT, TEXT, 0..4),
        )
            .prop_map(
                |([a, b, c, d, e, f, g, h, i], [j, k, l, m, n, o, p, q, r], click_ids)| Touch {
                    utm_source: a,
                    utm_medium: b,
                    utm_campaign: c,
                    utm_content: d,
                    utm_term: e,
                    utm_id: f,
                    utm_source_platform: g,
                    utm_creative_format: h,
                    click_ids,
                    click_kind: i,
                    fbc: j,
                    fbp: k,
                    ttp: l,
                    referral: m,
                    referrer_host: n,
                    referrer_path: o,
                    landing_host: p,
                    landing_path: q,
                    landing_query: r,
                },
            )
    }

    fn device() -> impl Strategy<Value = Device> {
        use DeviceKind::{Console, Desktop, Mobile, Other, Tablet, Tv};
        let kind = of(prop::sample::select(vec![Desktop, Mobile, Tablet, Tv, Console, Other]));
        (kind, prop::array::uniform(of(TEXT))).prop_map(
            |(kind, [brand, model, os, os_version, browser, browser_version, in_app])| Device {
                kind,
                brand,
                model,
                os,
                os_version,
                browser,
                browser_version,
                in_app,
            },
        )
    }

    fn context() -> impl Strategy<Value = Context> {
        (
            prop::array::uniform(of(TEXT)),
            btree_map(TEXT, TEXT, 0..4),
            of(device()),
            of(any::<u32>()),
        )
            .prop_map(|([a, b, c, d, e, f, g, h, i, j], hints, device, asn)| Context {
                user_agent: a,
                hints,
                device,
                language: b,
                country: c,
                region: d,
                city: e,
                time_zone: f,
                continent: g,
                asn,
                as_organization: h,
                ip: i,
                ip_hash: j,
            })
    }

    fn event() -> impl Strategy<Value = Event> {
        use Consent::{Dnt, Gpc, Granted, Limited, Off, Refused};
        use Origin::{Edge, Import, Script, Server};
        let session = (any::<u128>(), any::<i64>(), any::<u16>()).prop_map(|(id, started, visit)| SessionRef {
            id: Uuid::from_u128(id),
            started,
            visit,
        });
        (
            (any::<u128>(), any::<i64>(), any::<u128>(), any::<bool>()),
            (
                prop::sample::select(Action::ALL.to_vec()),
                prop::sample::select(vec![Edge, Script, Server, Import]),
                prop::sample::select(vec![Granted, Limited, Refused, Gpc, Dnt, Off]),
                of(prop::sample::select(BotReason::ALL.to_vec())),
            ),
            of(session),
            prop::array::uniform(of(TEXT)),
            (
                of(any::<u32>()),
                of(any::<u32>()),
                of((TEXT, TEXT, any::<f64>(), any::<bool>())),
            ),
            of(touch()),
            of(context()),
        )
            .prop_map(
                |((id, at, visitor, human), (action, origin, consent, bot), session, texts, rest, touch, context)| {
                    let [name, path, product, value, currency, order, label] = texts;
                    let (quantity, amount, props) = rest;
                    Event {
                        id: Uuid::from_u128(id),
                        at,
                        action,
                        origin,
                        visitor: human.then(|| Uuid::from_u128(visitor)),
                        session,
                        name,
                        path,
                        product,
                        quantity,
                        value,
                        currency,
                        order,
                        amount,
                        label,
                        props: props.map(|(name, text, number, flag)| {
                            let values = [text.into(), number.into(), flag.into()];
                            let names = [name, "n".to_owned(), "f".to_owned()];
                            names.into_iter().zip::<[serde_json::Value; 3]>(values).collect()
                        }),
                        touch: touch.map(Box::new),
                        context: context.map(Box::new),
                        bot,
                        human,
                        consent,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn an_event_is_written_as_serde_writes_it(event in event()) {
            let mut out = b"before".to_vec();
            write(&event, &mut out);
            prop_assert_eq!(&out[..6], b"before");
            prop_assert_eq!(std::str::from_utf8(&out[6..]).unwrap(), serde_json::to_string(&event).unwrap());
        }
    }
}
