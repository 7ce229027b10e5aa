//! What was not allowed leaves nothing: no cookie, no id, no click id, no address, no user agent. And nothing ever panics.

mod browser;

use browser::{Browser, IPHONE, NOW, everywhere, navigation, settings};
use edge_core::collect::collect;
use edge_core::hit::Hit;
use edge_core::landing::decide;
use proptest::prelude::*;
use shared::event::{Consent, DeviceKind};

const BANNER: &str =
    r#""consent":{"cookie":"cc","accepted":["yes"],"limited":["some"],"refused":["no"]},"meta_cookies":true"#;

fn refusing() -> Vec<(&'static str, &'static str, Hit<'static>, Consent)> {
    let page = navigation(
        "https://shop.ua/p/777?utm_source=fb&utm_medium=paid&utm_content=CONTENT&fbclid=CLICKID1&gclid=CLICKID2",
    );
    let gpc = Hit {
        sec_gpc: Some("1"),
        ..page
    };
    vec![
        (
            r#""consent":{"mode":"off"},"meta_cookies":true"#,
            "",
            page,
            Consent::Off,
        ),
        (BANNER, "cc=no", page, Consent::Refused),
        (BANNER, "", page, Consent::Refused),
        (r#""meta_cookies":true"#, "", gpc, Consent::Gpc),
        (
            r#""consent":{"dnt":"refuse"}"#,
            "",
            Hit { dnt: Some("1"), ..page },
            Consent::Dnt,
        ),
    ]
}

#[test]
fn without_consent_an_arrival_is_counted_and_nobody_is_remembered() {
    for (rules, cookie, hit, consent) in refusing() {
        let hit = Hit {
            cookie: Some(cookie),
            user_agent: Some(IPHONE),
            referer: Some("https://l.facebook.com/SECRETPATH"),
            sec_fetch_site: Some("cross-site"),
            ..hit
        };
        let decision = decide(&hit, &settings(rules), NOW, [9; 64]);
        assert_eq!((decision.visitor, decision.session), (None, None));
        let outcome = decision.outcome(200, true);
        assert!(
            outcome.set_cookies.is_empty() && !outcome.accept_ch,
            "{:?}",
            outcome.set_cookies
        );
        let json = serde_json::to_string(&outcome.event).expect("JSON");
        for secret in [
            "visitor\"",
            "session",
            "CLICKID",
            "CONTENT",
            "SECRETPATH",
            "777",
            "203.0",
            "iPhone",
            "ip",
            "Київ",
            "15895",
            "uk-UA",
        ] {
            assert!(!json.contains(secret), "{secret} in {json}");
        }
        let event = outcome.event.expect("an event");
        assert_eq!(event.consent, consent);
        let touch = event.touch.expect("a touch");
        assert_eq!(
            (touch.utm_source.as_deref(), touch.click_kind.as_deref()),
            (Some("fb"), Some("gclid"))
        );
        let context = event.context.expect("a context");
        assert_eq!(
            (
                context.country.as_deref(),
                context.device.and_then(|device| device.kind)
            ),
            (Some("UA"), Some(DeviceKind::Mobile))
        );
    }
}

#[test]
fn only_the_arrival_is_counted_without_an_id() {
    let mut browser = Browser::new(r#""consent":{"mode":"off"}"#);
    assert!(
        browser
            .open("https://shop.ua/?gclid=x", "https://google.com/")
            .event
            .is_some()
    );
    assert!(browser.open("https://shop.ua/cart", "https://shop.ua/").event.is_none());
    assert!(
        browser
            .answer(navigation("https://shop.ua/old"), 301, false)
            .event
            .is_none()
    );
}

#[test]
fn who_withdraws_loses_our_cookies_and_is_not_named_to_the_origin() {
    let mut browser = Browser::new(BANNER);
    browser.cookies.push(("cc".into(), "yes".into()));
    browser.open("https://shop.ua/?fbclid=x", "");
    assert!(
        browser.header().contains("ud_v") && browser.header().contains("ud_s") && browser.header().contains("_fbc")
    );
    browser.cookies.retain(|(name, _)| name != "cc");
    browser.cookies.push(("cc".into(), "no".into()));
    let post = browser.decide(Hit {
        method: "POST",
        ..navigation("https://shop.ua/x")
    });
    assert_eq!((post.visitor, post.session), (None, None));
    // Whatever the origin answers.
    let outcome = browser.answer(navigation("https://shop.ua/x"), 500, true);
    assert_eq!(outcome.set_cookies.len(), 4);
    let left = browser.header();
    assert!(!left.contains("ud_") && !left.contains("_fb"), "{left}");
}

#[test]
fn who_withdraws_loses_the_cookies_of_the_host_and_of_its_domain() {
    let mut browser = Browser::new(
        r#""cookie_domain":"shop.ua","consent":{"cookie":"cc","accepted":["yes"],"refused":["no"],"without_cookie":"granted"}"#,
    );
    browser.open("https://shop.ua/", "");
    browser.cookies.push(("cc".into(), "no".into()));
    let removals = browser.answer(navigation("https://shop.ua/x"), 200, true).set_cookies;
    let of = |domain: bool| {
        removals
            .iter()
            .filter(|cookie| cookie.contains("Domain=shop.ua") == domain)
            .count()
    };
    assert_eq!((of(true), of(false)), (2, 2), "{removals:?}");
}

#[test]
fn limited_consent_measures_without_click_ids_and_metas_cookies() {
    for (rules, cookie, gpc) in [
        (BANNER, "some", "0"),
        (r#""consent":{"gpc":"limit"},"meta_cookies":true"#, "", "1"),
    ] {
        let mut browser = Browser::new(rules);
        browser.cookies.push(("cc".into(), cookie.into()));
        browser.cookies.push(("_fbp".into(), "fb.1.1.5".into()));
        let outcome = browser.answer(
            Hit {
                sec_gpc: Some(gpc),
                ..navigation("https://shop.ua/?fbclid=CLICKID1&utm_term=t")
            },
            200,
            true,
        );
        // Ours, and what takes Meta's away.
        assert_eq!(outcome.set_cookies.len(), 3);
        assert!(!browser.header().contains("_fbp"));
        let json = serde_json::to_string(&outcome.event).expect("JSON");
        assert!(!json.contains("CLICKID1") && !json.contains("fb.1.1.5"), "{json}");
        let event = outcome.event.expect("an event");
        assert_eq!(event.consent, Consent::Limited);
        assert!(event.visitor.is_some() && event.session.is_some());
        assert_eq!(event.touch.expect("a touch").click_kind.as_deref(), Some("fbclid"));
    }
}

#[test]
fn the_scripts_events_are_counted_bare_without_consent() {
    let mut browser = Browser::new(r#""consent":{"mode":"off"}"#);
    let body = r#"{"e":[{"a":"page_view","p":"/x"},{"a":"search","l":"SECRET phrase"},{"a":"purchase","o":"SECRET-1","v":"5","c":"UAH","pr":"p","x":{"e":"SECRET"}},{"a":"scroll","am":50}],"h":{"model":"SECRET"},"hu":true}"#;
    let collected = browser.send("https://shop.ua/x?gclid=SECRET", body);
    assert_eq!((collected.status, collected.events.len()), (204, 2));
    assert!(collected.set_cookies.is_empty());
    let json = serde_json::to_string(&collected.events).expect("JSON");
    for secret in ["SECRET", "visitor", "session", "203.0", "Chrome", "\"p\"", "\"5\""] {
        assert!(!json.contains(secret), "{secret} in {json}");
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(?s).{0,60}",
        "[a-z=&;%._\\-/:?{}\"\\[\\]0-9]{0,80}",
        "utm_(source|medium|campaign)=[a-zA-Z%0-9]{0,20}&(gclid|fbclid|_kx)=[A-Za-z0-9]{0,20}",
        Just("https://shop.ua/p?utm_source=x&gclid=y".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_request_is_decided_and_its_cookies_are_accepted_back(
        texts in proptest::collection::vec(text(), 12), now in 0i64..(1 << 47), random in any::<u64>(), status in 0u16..600, refuse: bool,
    ) {
        let t = |at: usize| Some(texts[at].as_str());
        let rules = if refuse { r#""consent":{"mode":"off"}"# } else { "" };
        let settings = settings(rules);
        let mut bytes = [0; 64];
        for (at, byte) in bytes.iter_mut().enumerate() { *byte = (random >> (at % 8 * 8)) as u8 ^ at as u8; }
        let url = format!("https://shop.ua/{}?{}", texts[0], texts[1]);
        let hit = Hit {
            method: "GET", url: &url, host: t(2), accept: Some("text/html"), user_agent: t(3), referer: t(4), cookie: t(5), accept_language: t(6),
            sec_ch_ua: t(7), sec_ch_ua_platform: t(8), ip: t(9), cf: everywhere(&texts[10]), sec_fetch_site: t(11), ..Hit::default()
        };
        let decision = decide(&hit, &settings, now, bytes);
        let (visitor, session) = (decision.visitor, decision.session);
        let outcome = decision.outcome(status, true);
        prop_assert!(outcome.event.is_none() || shared::ids::minted_at_ms(outcome.event.as_ref().expect("event").id) == Some(now));
        prop_assert!(outcome.set_cookies.iter().all(|cookie| cookie.bytes().all(|b| (0x20..0x7f).contains(&b))));
        if refuse {
            prop_assert!(visitor.is_none() && session.is_none() && outcome.set_cookies.iter().all(|cookie| cookie.contains("Max-Age=0")));
        } else if let Some(visitor) = visitor && !outcome.set_cookies.is_empty() {
            let header = outcome.set_cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ");
            let again = decide(&Hit { method: "POST", url: "https://shop.ua/x", cookie: Some(&header), ..Hit::default() }, &settings, now, bytes);
            prop_assert_eq!(again.visitor, Some(visitor));
            prop_assert_eq!(again.session, session);
        }
    }

    #[test]
    fn nothing_that_was_refused_leaves(click in "[A-Z]{12}", agent in "[A-Z]{12}/[0-9]", segment in "[A-Z]{13}", host in 1u8..255) {
        for (rules, cookie, hit, _) in refusing() {
            let agent = format!("{agent} (Linux; Android 14)");
            let url = format!("https://shop.ua/{segment}?utm_source=x&gclid={click}&utm_content={segment}&q={segment}");
            let ip = format!("198.51.100.{host}");
            // Somebody who was known before.
            let mut before = Browser::new("");
            before.open("https://shop.ua/", "");
            let header = format!("{cookie}; {}", before.header());
            let known = before.open("https://shop.ua/", "").event.expect("an event");
            let hit = Hit { url: &url, user_agent: Some(&agent), ip: Some(&ip), cookie: Some(&header), ..hit };
            let settings = settings(rules);
            let decision = decide(&hit, &settings, NOW, [7; 64]);
            let outcome = decision.outcome(200, true);
            let origin = Some("https://shop.ua");
            let post = Hit { method: "POST", origin, ..hit };
            let collected = collect(&post, format!(r#"{{"e":[{{"a":"lead","l":"{segment}","o":"{click}"}}]}}"#).as_bytes(), &settings, NOW, [8; 64]);
            prop_assert_eq!(collected.status, 204);
            let all = format!("{} {} {:?} {:?}", serde_json::to_string(&outcome.event).expect("JSON"),
                serde_json::to_string(&collected.events).expect("JSON"), outcome.set_cookies, collected.set_cookies);
            let visitor = known.visitor.expect("id");
            let session = known.session.expect("session").id;
            for secret in [&click, &agent, &segment, &ip, &visitor.to_string(), &visitor.simple().to_string(), &session.to_string(), &session.simple().to_string()] {
                prop_assert!(!all.contains(secret.as_str()), "{} in {}", secret, all);
            }
            prop_assert!(!outcome.set_cookies.is_empty() && outcome.set_cookies.iter().all(|cookie| cookie.contains("=; Max-Age=0")));
        }
    }
}
