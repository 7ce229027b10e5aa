//! Bad input at the edge's boundary, parser by parser: tables of hostile cases. Whatever comes in, nothing panics, and what leaves can be stored
//! and read again. Any text at all: `any_input.rs`.

mod browser;
mod storable;

use browser::{Browser, CHROME, NOW, navigation, open, pack, settings};
use edge_core::hit::{Cf, Hit};
use edge_core::landing::decide;
use edge_core::settings::Settings;
use storable::{assert_readable, assert_sound, collected, landed, landing, secrets, values};
use uuid::Uuid;

#[test]
fn a_hostile_query_leaves_a_landing_that_can_be_stored() {
    for value in values() {
        for name in [
            "utm_source",
            "utm_campaign",
            "gclid",
            "fbclid",
            "ref",
            "q",
            "",
            "utm_",
            "%75tm_source",
        ] {
            landed(&navigation(&format!("https://shop.ua/p?{name}={value}")));
        }
        landed(&navigation(&format!("https://shop.ua/{value}?{value}#{value}")));
    }
    // Ten thousand parameters: those that come late are not looked at, the first that says something stays.
    for pair in ["utm_source=x", "gclid=x", "a=b", "utm_source=", "=", "%=%"] {
        let many = format!("https://shop.ua/?utm_medium=cpc&{}", vec![pair; 10_000].join("&"));
        let touch = landed(&navigation(&many)).touch.expect("a touch");
        assert_eq!(touch.utm_medium.as_deref(), Some("cpc"), "{pair}");
    }
}

#[test]
fn the_largest_event_that_a_request_can_make_fits() {
    for unit in ["😀", "\"", "\\", "%22", "%5C", "%F0%9F%98%80"] {
        let tags: Vec<String> = shared::attribution::UTM_NAMES
            .iter()
            .map(|name| format!("{name}={}", unit.repeat(2_000)))
            .chain(
                shared::click_id::CATALOGUE
                    .iter()
                    .map(|row| format!("{}={}", row.name, "%".repeat(1_024))),
            )
            .chain((0..500).map(|n| format!("p{n}={}", unit.repeat(20))))
            .collect();
        // The platform takes no URL longer than 16 KB; what is asked for most comes first.
        let mut url = format!("https://shop.ua/{}?{}", unit.repeat(1_024), tags.join("&"));
        url.truncate(
            (0..=16 * 1_024)
                .rev()
                .find(|at| url.is_char_boundary(*at))
                .expect("a boundary"),
        );
        let long = unit.repeat(50_000);
        let referer = format!("https://{}.ua/{long}", "a".repeat(200));
        let agent = format!("{CHROME} {long}");
        let hit = Hit {
            user_agent: Some(&agent),
            referer: Some(&referer),
            sec_fetch_site: Some("cross-site"),
            sec_ch_ua: Some(&long),
            sec_ch_ua_platform: Some(&long),
            sec_ch_ua_platform_version: Some(&long),
            sec_ch_ua_model: Some(&long),
            sec_ch_ua_mobile: Some(&long),
            cf: browser::everywhere(&long),
            ..navigation(&url)
        };
        let event = landed(&hit);
        assert!(event.visitor.is_some() && event.touch.is_some() && event.context.is_some());
    }
}

#[test]
fn hostile_headers_and_places_leave_a_landing_that_can_be_stored() {
    let base = navigation("https://shop.ua/?utm_source=x");
    for value in values() {
        let t = Some(value.as_str());
        let cf = |cf: Cf<'static>| cf;
        for hit in [
            Hit { host: t, ..base },
            Hit { referer: t, ..base },
            Hit { cookie: t, ..base },
            Hit {
                accept_language: t,
                ..base
            },
            Hit { user_agent: t, ..base },
            Hit { ip: t, ..base },
            Hit { sec_ch_ua: t, ..base },
            Hit {
                sec_ch_ua_model: t,
                sec_ch_ua_mobile: t,
                ..base
            },
            Hit {
                sec_ch_ua_platform: t,
                sec_ch_ua_platform_version: t,
                ..base
            },
            Hit {
                sec_fetch_site: t,
                sec_gpc: t,
                dnt: t,
                origin: t,
                content_type: t,
                ..base
            },
            Hit {
                cf: browser::everywhere(&value),
                ..base
            },
            Hit {
                cf: Cf {
                    bot_score: t,
                    ..base.cf
                },
                ..base
            },
            Hit {
                cf: Cf {
                    verified_bot: t,
                    verified_bot_category: t,
                    ..base.cf
                },
                ..base
            },
            Hit {
                cf: cf(Cf::default()),
                ..base
            },
        ] {
            landed(&hit);
        }
        // What may end it all: the page is no landing then, or is one; nothing else.
        for hit in [
            Hit { method: &value, ..base },
            Hit { url: &value, ..base },
            Hit {
                sec_fetch_mode: t,
                ..base
            },
            Hit {
                sec_fetch_dest: t,
                accept: t,
                ..base
            },
            Hit {
                sec_purpose: t,
                purpose: t,
                x_purpose: t,
                x_moz: t,
                x_requested_with: t,
                ..base
            },
        ] {
            landing(&hit, &settings(""));
        }
    }
}

#[test]
fn only_whole_cookies_of_this_visitor_and_site_are_believed() {
    let mut known = Browser::new("");
    let visitor = known
        .open("https://shop.ua/?gclid=x", "")
        .event
        .expect("an event")
        .visitor;
    let mut other = Browser::new("");
    other.random();
    other.open("https://shop.ua/?gclid=y", "");
    let value = |browser: &Browser, name: &str| {
        browser
            .cookies
            .iter()
            .find(|(known, _)| known == name)
            .expect("a cookie")
            .1
            .clone()
    };
    let (v, s) = (value(&known, "__Secure-ud_v"), value(&known, "__Secure-ud_s"));
    let (theirs, session) = (value(&other, "__Secure-ud_v"), value(&other, "__Secure-ud_s"));
    let mut ahead = Browser::new("");
    ahead.now = NOW + 24 * 3_600_000;
    let of_ahead = ahead
        .open("https://shop.ua/?gclid=x", "")
        .event
        .expect("an event")
        .visitor;
    let believed = |header: &str| {
        let decision = decide(
            &Hit {
                cookie: Some(header),
                ..navigation("https://shop.ua/")
            },
            &known.settings,
            NOW,
            [9; 64],
        );
        let outcome = decision.clone().outcome(200, true);
        assert_sound(&outcome, NOW);
        (decision.visitor, decision.session)
    };
    let found = |header: &str| {
        let (id, session) = believed(header);
        (id == visitor, session)
    };
    let (_, alive) = found(&format!("__Secure-ud_v={v}; __Secure-ud_s={s}"));
    let mut headers = vec![
        (format!("__Secure-ud_s={s}"), false, false),
        (format!("__Secure-ud_v={s}; __Secure-ud_s={v}"), false, false),
        (format!("__Secure-ud_v={v}; __Secure-ud_s={session}"), true, false),
        (format!("__Secure-ud_v={theirs}; __Secure-ud_s={s}"), false, false),
        (
            format!("__Secure-ud_v={theirs}; __Secure-ud_v={v}; __Secure-ud_s={s}"),
            false,
            false,
        ),
        (format!("ud_v={v}; ud_s={s}"), false, false),
        (format!("__secure-ud_v={v}"), false, false),
        (format!("__Secure-ud_v={v}0; __Secure-ud_s={s}"), false, false),
        (format!("__Secure-ud_v={}", v.to_uppercase()), false, false),
        (format!("__Secure-ud_v={v}, __Secure-ud_s={s}"), false, false),
        (format!("__Secure-ud_v=\"{v}\"; __Secure-ud_s=\"{s}\""), true, true),
        (
            format!(" ; =; ;__Secure-ud_v = {v} ;;__Secure-ud_s={s}; ї=\0"),
            true,
            true,
        ),
        (
            format!("{}__Secure-ud_v={v}; __Secure-ud_s={s}", "a=b; ".repeat(10_000)),
            true,
            true,
        ),
    ];
    // A clock that was a day ahead: the visitor is believed, a session from the future is not.
    let (id, session_of_ahead) = believed(&ahead.header());
    assert_eq!((id, session_of_ahead == alive), (of_ahead, false));
    for cut in 0..v.len() {
        headers.push((format!("__Secure-ud_v={}; __Secure-ud_s={s}", &v[..cut]), false, false));
    }
    for cut in 0..s.len() {
        headers.push((format!("__Secure-ud_v={v}; __Secure-ud_s={}", &s[..cut]), true, false));
    }
    for (header, same_visitor, same_session) in headers {
        let (found, session) = found(&header);
        assert_eq!((found, session == alive), (same_visitor, same_session), "{header:.200}");
    }
}
#[test]
fn hostile_beacons_leave_events_that_can_be_stored() {
    let deep = "[".repeat(16_000);
    let wide = (0..2_000)
        .map(|n| format!(r#""k{n}":{n}"#))
        .collect::<Vec<_>>()
        .join(",");
    for (body, status) in [
        (format!(r#"{{"e":{deep}"#), 400),
        (format!(r#"{{"e":[],"h":{deep}{}}}"#, "]".repeat(16_000)), 204),
        (format!(r#"{{"e":[{{"a":"click","x":{{{wide}}}}}]}}"#), 400),
        (format!(r#"{{"e":[{{"a":"click"}}],"h":{{{wide}}}}}"#), 204),
        (
            format!(r#"{{"e":[{{"a":"search","l":"{}"}}]}}"#, "😀".repeat(8_000)),
            204,
        ),
        (
            format!(r#"{{"e":[{{"a":"search","l":"{}"}}]}}"#, r"\u0000".repeat(5_000)),
            204,
        ),
        (r#"{"e":[{"a":"click","l":"x\ud83d"}]}"#.to_owned(), 400),
        (r#"{"e":[{"a":"click","l":"\ud83d\ude00"}]}"#.to_owned(), 204),
        (
            r#"{"e":[{"a":"click","x":{"a\u0000":1,"a":2,"\u0000":3}}]}"#.to_owned(),
            400,
        ),
        (
            r#"{"e":[{"a":"click","x":{"a\u0000":1,"a":2,"n":1e308,"m":-0.0,"u":18446744073709551615}}]}"#.to_owned(),
            204,
        ),
        (r#"{"e":[{"a":"click","x":{"n":1e400}}]}"#.to_owned(), 400),
        (r#"{"e":[{"a":"click","a":"lead"}]}"#.to_owned(), 204),
        (r#"{"e":[],"e":[]}"#.to_owned(), 400),
        (
            r#"{"e":[{"a":"lead","o":1e308,"pr":-0.0,"am":1e308,"t":1e308}]}"#.to_owned(),
            204,
        ),
        (
            r#"{"e":[{"a":"lead","p":"https://a@b/\u0000?x#y"},{"a":"lead","p":""},{"a":"lead","p":"%ff%00"}]}"#
                .to_owned(),
            204,
        ),
        (r#"{"hu":1}"#.to_owned(), 400),
        (r#"{"hu":true,"e":[],"z":{"more":[]}}"#.to_owned(), 204),
        ("{}".to_owned(), 204),
        ("{}x".to_owned(), 400),
        ("\u{feff}{}".to_owned(), 400),
        ("{\"e\":[]}\0".to_owned(), 400),
    ] {
        assert_eq!(collected(body.as_bytes()).status, status, "{body:.80}");
    }
    for body in [
        &[0xff, 0xfe][..],
        &[0; 100],
        b"{\"e\":[{\"a\":\"\xff\"}]}",
        &[b'{'; 40_000],
    ] {
        assert!(collected(body).status >= 400);
    }
    // Fifty events, each as large as a body allows.
    let event = format!(
        r#"{{"a":"search","l":"{0}","o":"{0}","pr":"{0}","x":{{"k":"{0}"}},"u":"{0}"}}"#,
        "\\\"".repeat(59)
    );
    let body = format!(r#"{{"e":[{}]}}"#, vec![event; 50].join(","));
    assert!(body.len() <= 32 * 1024, "{}", body.len());
    assert_eq!(collected(body.as_bytes()).events.len(), 50);
}

#[test]
fn hostile_messages_of_a_queue_do_not_reach_their_neighbours() {
    let good = pack(&[landed(&navigation("https://shop.ua/?gclid=x"))]).remove(0);
    let deep = format!(r#"{{"v":1,"events":[{}{}]}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let many = format!(r#"{{"v":1,"events":[{}]}}"#, vec!["{}"; 1_001].join(","));
    let mut hostile: Vec<String> = [
        r#"{"v":1}"#,
        r#"{"v":2,"events":[]}"#,
        r#"{"v":1,"events":null}"#,
        r#"{"v":1,"events":[,]}"#,
        r#"{"v":1,"events":[]}{"#,
        r#"{"v":1,"v":1,"events":[]}"#,
        r#"{"v":-1,"events":[]}"#,
        r#"{"v":1.0,"events":[]}"#,
    ]
    .map(str::to_owned)
    .into();
    hostile.extend([
        many,
        good[..good.len() - 1].to_owned(),
        format!("\u{feff}{good}"),
        format!("{good}\0"),
    ]);
    hostile.extend(
        values()
            .into_iter()
            .filter(|value| value.len() < 100 || value.starts_with('[')),
    );
    for text in &hostile {
        let opened = open(&[&good, text, &good]);
        assert_eq!(opened.poison.len(), 1, "{text:.80}");
        assert_eq!(
            (opened.poison[0].0, &opened.bodies[0].messages[..]),
            (1, &[0, 2][..]),
            "{text:.80}"
        );
    }
    // JSON that is no event goes on: the centre keeps it with a reason.
    for text in [deep.as_str(), r#"{"v":1,"events":[null,1,"\ud800",{"id":0},[]]}"#] {
        let opened = open(&[&good, text]);
        assert!(opened.poison.is_empty());
        assert_readable(&opened.bodies[0].json(&settings("").site, NOW, Uuid::nil()));
    }
}
#[test]
fn hostile_settings_are_refused_by_name() {
    let deep = format!(r#"{{"site":"s","hosts":{}"#, "[".repeat(100_000));
    for (json, field) in [
        (deep.as_str(), "text"),
        ("null", "text"),
        ("\"\\ud800\"", "text"),
        ("{}{}", "text"),
        ("{\"site\":\"s\"}\0", "text"),
        (r#"{"site":"s\u0000","hosts":["a.ua"]}"#, "site"),
        (r#"{"site":["s"],"hosts":["a.ua"]}"#, "site"),
        (r#"{"site":"s","hosts":[""]}"#, "hosts"),
        (
            r#"{"site":"s","hosts":["a.ua\r\n"],"payment_hosts":["a/b"]}"#,
            "payment_hosts",
        ),
        (
            r#"{"site":"s","hosts":["a.ua"],"cookie_domain":"a.ua; Secure"}"#,
            "cookie_domain",
        ),
        (
            r#"{"site":"s","hosts":["a.ua"],"cookie_domain":"a.ua\r\nx: y"}"#,
            "cookie_domain",
        ),
        // Browsers drop a cookie whose Domain is not ASCII.
        (
            r#"{"site":"s","hosts":["a.ua"],"cookie_domain":"крамниця.укр"}"#,
            "cookie_domain",
        ),
        (
            r#"{"site":"s","hosts":["a.ua"],"session_life_hours":1e9}"#,
            "session_life_hours",
        ),
        (
            r#"{"site":"s","hosts":["a.ua"],"session_life_hours":99999999999}"#,
            "session_life_hours",
        ),
        (r#"{"site":"s","hosts":["a.ua"],"script_prefix":"//"}"#, "script_prefix"),
        // What no URL can hold could never be asked for.
        (
            r#"{"site":"s","hosts":["a.ua"],"script_prefix":"/a b/"}"#,
            "script_prefix",
        ),
        (
            r#"{"site":"s","hosts":["a.ua"],"script_prefix":"/?/"}"#,
            "script_prefix",
        ),
        (
            r#"{"site":"s","hosts":["a.ua"],"script_prefix":"/їжак/"}"#,
            "script_prefix",
        ),
        (r#"{"site":"s","hosts":["a.ua"],"consent":[]}"#, "consent"),
        (r#"{"site":"s","hosts":["a.ua"],"\u0000":1}"#, "\0"),
    ] {
        let error = Settings::new(json, secrets()).expect_err(&json[..json.len().min(80)]);
        assert_eq!(error.field, field, "{error}");
        assert!(!error.to_string().contains("aaaa"), "{error}");
    }
}
