//! Values that break careless parsers, and what has to hold of everything that leaves the edge.
#![allow(dead_code, reason = "each test file uses its part")]

use edge_core::collect::{Collected, collect};
use edge_core::hit::Hit;
use edge_core::landing::{Outcome, decide};
use edge_core::queue::MAX_MESSAGE_BYTES;
use edge_core::settings::{Secrets, Settings};
use edge_core::wire;
use serde_json::Value;
use shared::event::{BatchEnvelope, Event};
use shared::limits::{
    MAX_CLICK_ID_CHARS, MAX_CLICK_IDS, MAX_EVENT_BYTES, MAX_PATH_CHARS, MAX_PROPS_BYTES, MAX_USER_AGENT_CHARS,
    MAX_UTM_CHARS,
};

use crate::browser::{NOW, navigation, pack, settings};

/// What a browser takes of one cookie.
pub const MAX_COOKIE_BYTES: usize = 4_096;

/// Values that break careless parsers, each of them.
pub fn values() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{feff}",
        "\u{202e}gro.pohs",
        "\u{fffd}",
        "\u{1f600}",
        "їжак",
        "%",
        "%%%",
        "%0",
        "%zz",
        "%00",
        "%0d%0aset-cookie:%20x=y",
        "%ff%fe",
        "%ed%a0%80",
        "%c0%80",
        "%f4%90%80%80",
        "%u0041",
        "\"",
        "\\",
        "\\u0000",
        "\\ud800",
        "'; drop table events; --",
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A1",
        "[object Object]",
        "null",
        "NaN",
        "-1",
        "1e400",
        "18446744073709551616",
        "://",
        "https://",
        "https://[::1",
        "https://a@b@c:99999999/",
        "//",
        "..",
        "?",
        "#",
        "&=&",
        ";=;",
        "a=b; a",
        "\r\nx: y",
        "\t",
    ]
    .map(str::to_owned)
    .into();
    // A megabyte of what is longest once it is escaped, decoded or counted.
    for unit in [
        "a",
        "\"",
        "\\",
        "😀",
        "%F0%9F%98%80",
        "%",
        "%00",
        "a=b&",
        "a=b; ",
        "[",
        "/",
        ".",
        "@",
    ] {
        values.push(unit.repeat(1_000_000 / unit.len()));
    }
    values
}

/// The centre's columns can hold it and give it back.
pub fn assert_storable(event: &Event, now: i64) {
    let mut json = Vec::new();
    wire::write(event, &mut json);
    assert!(json.len() <= MAX_EVENT_BYTES, "{} bytes", json.len());
    let back: Event = serde_json::from_slice(&json).expect("JSON that reads back");
    assert_eq!(&back, event);
    assert_eq!(shared::ids::minted_at_ms(event.id), Some(now));
    assert!((now - 3_600_000..=now).contains(&event.at), "{}", event.at);
    let value = serde_json::from_slice(&json).expect("JSON");
    assert_clean(&value);
    let chars = |text: &Option<String>, most: usize| {
        assert!(
            text.as_deref()
                .is_none_or(|text| (1..=most).contains(&text.chars().count())),
            "{text:?}"
        );
    };
    for text in [&event.name, &event.product, &event.order, &event.label] {
        chars(text, MAX_UTM_CHARS);
    }
    chars(&event.path, MAX_PATH_CHARS);
    if let Some(props) = &event.props {
        assert!(serde_json::to_string(props).expect("JSON").len() <= MAX_PROPS_BYTES);
    }
    if let Some(touch) = &event.touch {
        assert!(touch.click_ids.len() <= MAX_CLICK_IDS);
        assert!(
            touch
                .click_ids
                .values()
                .all(|id| (1..=MAX_CLICK_ID_CHARS).contains(&id.len()))
        );
        for text in [
            &touch.utm_source,
            &touch.utm_campaign,
            &touch.utm_term,
            &touch.referral,
            &touch.referrer_host,
        ] {
            chars(text, MAX_UTM_CHARS);
        }
        for text in [&touch.landing_path, &touch.landing_query, &touch.referrer_path] {
            chars(text, MAX_PATH_CHARS);
        }
    }
    if let Some(context) = &event.context {
        chars(&context.user_agent, MAX_USER_AGENT_CHARS);
        for text in [
            &context.city,
            &context.region,
            &context.as_organization,
            &context.language,
        ] {
            chars(text, MAX_UTM_CHARS);
        }
    }
}

/// No text of it holds a control character: Postgres refuses NUL, and the others serve only to deceive.
pub fn assert_clean(value: &Value) {
    match value {
        Value::String(text) => assert!(!text.chars().any(char::is_control), "{text:?}"),
        Value::Array(values) => values.iter().for_each(assert_clean),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            assert!(!name.chars().any(char::is_control), "{name:?}");
            assert_clean(value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

pub fn assert_sound(outcome: &Outcome, now: i64) {
    if let Some(event) = &outcome.event {
        assert_storable(event, now);
    }
    for cookie in &outcome.set_cookies {
        assert!(cookie.len() <= MAX_COOKIE_BYTES, "{} bytes", cookie.len());
        assert!(cookie.bytes().all(|b| (b' '..=b'~').contains(&b)), "{cookie:?}");
    }
}

pub fn landing(hit: &Hit, settings: &Settings) -> Outcome {
    let outcome = decide(hit, settings, NOW, [3; 64]).outcome(200, true);
    assert_sound(&outcome, NOW);
    outcome
}

/// The event of a landing whose other parts are a browser's.
pub fn landed(hit: &Hit) -> Event {
    landing(hit, &settings("")).event.expect("an event")
}
pub fn post() -> Hit<'static> {
    Hit {
        method: "POST",
        origin: Some("https://shop.ua"),
        referer: Some("https://shop.ua/p?utm_source=x"),
        ..navigation("https://shop.ua/_ud/e")
    }
}

pub fn collected(body: &[u8]) -> Collected {
    let collected = collect(&post(), body, &settings(""), NOW, [5; 64]);
    assert!([204, 400, 413].contains(&collected.status), "{}", collected.status);
    assert_eq!(
        collected.reason.is_some(),
        collected.status != 204 || collected.rejected > 0
    );
    collected.events.iter().for_each(|event| assert_storable(event, NOW));
    assert!(
        pack(&collected.events)
            .iter()
            .all(|message| message.len() <= MAX_MESSAGE_BYTES)
    );
    collected
}

pub fn assert_readable(batch: &str) {
    serde_json::from_str::<BatchEnvelope>(batch).expect("an envelope");
}

pub fn secrets() -> Secrets {
    Secrets::parse(&format!("k1:{}", "a".repeat(32)), &"h".repeat(32)).expect("secrets")
}
