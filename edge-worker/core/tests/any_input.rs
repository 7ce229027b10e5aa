//! Any input at the edge's boundary: nothing panics, and what leaves can be stored and read again. Cases by name: `hostile.rs`.

mod browser;
mod storable;

use browser::{Browser, CHROME, NOW, navigation, open, pack, settings};
use edge_core::hit::Hit;
use edge_core::landing::decide;
use edge_core::settings::{Secrets, Settings};
use proptest::prelude::*;
use serde_json::Value;
use storable::{assert_readable, assert_sound, collected, landed, landing, secrets, values};
use uuid::Uuid;

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(values().into_iter().filter(|value| value.len() < 100).collect::<Vec<_>>()),
        2 => "(?s).{0,80}",
        2 => "(%[0-9a-fA-F]{2}|[a-z=&;.@/\"\\\\ ]){0,60}",
        1 => "(😀|\"|\\\\){200,400}",
    ]
}

/// JSON that may stand where a setting does.
fn any_setting() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any_value().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![
            "full", "keep", "drop", "off", "respect", "granted", "/x/", "shop.ua", "*a*b*"
        ])
        .prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                prop::sample::select(vec![
                    "mode",
                    "cookie",
                    "accepted",
                    "limited",
                    "refused",
                    "without_cookie",
                    "gpc",
                    "dnt"
                ])
                .prop_map(str::to_owned),
                inner,
                0..4
            )
            .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

const SETTINGS: [&str; 12] = [
    "hosts",
    "payment_hosts",
    "cookie_domain",
    "secure_cookies",
    "session_life_hours",
    "excluded_paths",
    "consent",
    "ip",
    "bots",
    "script_prefix",
    "client_hints",
    "meta_cookies",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_landing_can_be_stored(
        v in prop::collection::vec(any_value(), 14), names in prop::collection::vec("utm_[a-z]{2,8}|gclid|fbclid|_kx|ref|[a-z%ї]{0,6}", 4), meta: bool,
    ) {
        let t = |at: usize| Some(v[at].as_str());
        let query: Vec<String> = names.iter().zip(&v[10..]).map(|(name, value)| format!("{name}={value}")).collect();
        let url = format!("https://shop.ua/{}?{}", v[0], query.join("&"));
        let agent = format!("{CHROME} {}", v[1]);
        let cookie = format!("_fbc=fb.1.1.{}; _fbp={}; _ttp={}; {}", v[2], v[3], v[4], v[5]);
        let hit = Hit {
            user_agent: Some(&agent), referer: t(6), cookie: Some(&cookie), accept_language: t(7), ip: t(8), sec_ch_ua_model: t(9),
            cf: browser::everywhere(&v[9]), ..navigation(&url)
        };
        landing(&hit, &settings(if meta { r#""meta_cookies":true,"ip":"full""# } else { "" }));
    }

    #[test]
    fn any_beacon_can_be_stored(
        v in prop::collection::vec(any_value(), 6), action in prop::sample::select(vec!["page_view", "lead", "custom", "search", "x"]),
        eighths: i32, whole: i64,
    ) {
        // Binary fractions: serde_json reads some decimal ones a last bit away.
        let number = f64::from(eighths) / 8.0;
        let body = serde_json::json!({"e": [
            {"a": action, "n": v[0], "p": v[1], "l": v[2], "x": {v[3].clone(): v[4], "n": number, "w": whole}, "u": v[5], "t": whole, "am": number},
            {"a": "lead", "o": v[0], "pr": whole, "v": v[1], "c": v[2]},
            {"a": "lead", "o": whole, "pr": v[3], "q": whole},
        ], "h": {"model": v[4], "platformVersion": v[5], "formFactors": [v[0], v[1]], "maxTouchPoints": whole}});
        collected(body.to_string().as_bytes());
    }

    #[test]
    fn a_cookie_changed_anywhere_is_somebody_new(at in any::<prop::sample::Index>(), change in 1u8..128) {
        let mut known = Browser::new("");
        let visitor = known.open("https://shop.ua/?gclid=x", "").event.expect("an event").visitor;
        let pair = known.header();
        let (first, rest) = pair.split_once("; ").expect("two cookies");
        let mut bytes = first.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assume!(bytes.is_ascii() && !matches!(bytes[at], b'"' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c));
        let header = format!("{}; {rest}", String::from_utf8(bytes).expect("ASCII"));
        let decision = decide(&Hit { cookie: Some(&header), ..navigation("https://shop.ua/") }, &known.settings, NOW, [9; 64]);
        prop_assert_ne!(decision.visitor, visitor);
        assert_sound(&decision.outcome(200, true), NOW);
    }

    #[test]
    fn a_message_changed_anywhere_spoils_no_batch(at in any::<prop::sample::Index>(), byte in 0u8..128, cut: bool) {
        let good = pack(&[landed(&navigation("https://shop.ua/?gclid=x&utm_campaign=%D0%BB"))]).remove(0);
        let mut bytes = good.as_bytes().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        let opened = open(&[&changed, &good]);
        let carried: usize = opened.bodies.iter().map(|body| body.messages.len()).sum();
        prop_assert_eq!(carried + opened.poison.len(), 2);
        for body in &opened.bodies {
            assert_readable(&body.json(&settings("").site, NOW, Uuid::nil()));
        }
    }

    #[test]
    fn any_settings_are_used_or_refused_by_name(
        given in prop::collection::btree_map(prop::sample::select(SETTINGS.to_vec()), any_setting(), 0..4), url in any_value(), cookie in any_value(),
    ) {
        let mut fields = serde_json::Map::new();
        fields.insert("site".to_owned(), "shop".into());
        fields.insert("hosts".to_owned(), Value::from(vec!["shop.ua"]));
        fields.extend(given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        match Settings::new(&Value::Object(fields).to_string(), secrets()) {
            Ok(settings) => {
                let url = format!("https://shop.ua/{url}?utm_source=x");
                landing(&Hit { cookie: Some(&cookie), ..navigation(&url) }, &settings);
            }
            Err(error) => {
                let name = error.field.split('.').next().unwrap_or_default();
                prop_assert!(given.contains_key(name), "{} of {:?}", error, given);
                prop_assert!(!error.to_string().contains("aaaa"));
            }
        }
    }

    #[test]
    fn any_secrets_are_read_or_refused_without_showing_them(keys in any_value(), hash in any_value(), secret in "[a-z]{12,40}") {
        let read = Secrets::parse(&format!("{keys}{secret}"), &format!("{hash}{secret}"))
            .and_then(|secrets| Settings::new(r#"{"site":"s","hosts":["a.ua"]}"#, secrets));
        if let Err(error) = read {
            prop_assert!(!error.to_string().contains(&secret), "{}", error);
        }
    }
}
