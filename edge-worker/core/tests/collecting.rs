//! What the browser script may send, and what comes of it.

mod browser;

use browser::{Browser, CHROME, NOW, navigation, settings};
use edge_core::collect::{Collected, HUMAN_SEEN, MAX_BODY_BYTES, collect};
use edge_core::hit::{Cf, Hit};
use proptest::prelude::*;
use shared::action::Action;
use shared::event::{BotReason, Origin};

fn post() -> Hit<'static> {
    Hit {
        method: "POST",
        origin: Some("https://www.shop.ua"),
        content_type: Some("application/json"),
        ..navigation("https://shop.ua/_ud/e")
    }
}

fn send(body: &str) -> Collected {
    collect(&post(), body.as_bytes(), &settings(""), NOW, [5; 64])
}

#[test]
fn an_action_becomes_an_event_with_exact_money() {
    let mut browser = Browser::new("");
    let landing = browser.open("https://shop.ua/?gclid=x", "").event.expect("an event");
    let collected = browser.wait(1).send(
        "https://shop.ua/p/1",
        r#"{"e":[{"a":"add_to_cart","pr":17,"q":2,"v":12.50,"c":"uah","p":"/p/1?token=x#y","t":1500.7,"u":"k3","x":{"size":"XL","n":1,"b":true,"z":null}},
            {"a":"custom","n":"quiz","am":99.9,"l":" a\u0000b "},{"a":"purchase","o":"A-1","v":"0.30000000000000004"}],"hu":true}"#,
    );
    assert_eq!(
        (collected.status, collected.rejected, &collected.reason),
        (204, 0, &None)
    );
    let [cart, quiz, purchase] = &collected.events[..] else {
        panic!("three events")
    };
    assert_eq!(
        (cart.action, cart.origin, cart.human),
        (Action::AddToCart, Origin::Script, true)
    );
    assert_eq!((cart.visitor, cart.session), (landing.visitor, landing.session));
    assert_eq!(
        (
            cart.product.as_deref(),
            cart.quantity,
            cart.value.as_deref(),
            cart.currency.as_deref()
        ),
        (Some("17"), Some(2), Some("12.50"), Some("UAH"))
    );
    assert_eq!((cart.path.as_deref(), cart.at), (Some("/p/1"), browser.now - 1500));
    assert_eq!(
        serde_json::to_value(&cart.props).expect("JSON"),
        serde_json::json!({"size":"XL","n":1,"b":true,"page":"k3"})
    );
    assert_eq!(
        (quiz.name.as_deref(), quiz.amount, quiz.label.as_deref()),
        (Some("quiz"), Some(99), Some("ab"))
    );
    assert_eq!(
        (purchase.order.as_deref(), purchase.value.as_deref(), &purchase.currency),
        (Some("A-1"), Some("0.30000000000000004"), &None)
    );
    assert!(cart.id != quiz.id && quiz.id != purchase.id && cart.context.is_none());
}

#[test]
fn a_person_is_confirmed_with_hints_and_without_an_event() {
    let mut browser = Browser::new("");
    browser.open("https://shop.ua/", "");
    let collected = browser.send("https://shop.ua/", r#"{"e":[],"h":{"platformVersion":"15.0.0","model":"Pixel 9","maxTouchPoints":5,"formFactors":["Mobile"],"evil":{"a":1}},"hu":true}"#);
    let [event] = &collected.events[..] else {
        panic!("one event")
    };
    assert_eq!(
        (event.action, event.name.as_deref(), event.human),
        (Action::Custom, Some(HUMAN_SEEN), true)
    );
    let hints = &event.context.as_ref().expect("a context").hints;
    assert_eq!(
        (
            hints["platform-version"].as_str(),
            hints["model"].as_str(),
            hints["touch-points"].as_str()
        ),
        ("15.0.0", "Pixel 9", "5")
    );
    assert!(!hints.contains_key("evil"));
    assert_eq!(browser.send("https://shop.ua/", r#"{"e":[]}"#).events, []);
}

#[test]
fn a_script_that_ran_confirms_nobody() {
    let mut browser = Browser::new("");
    browser.open("https://shop.ua/", "");
    let events = r#""e":[{"a":"page_view","p":"/"},{"a":"scroll","am":50},{"a":"time_on_page","am":3},{"a":"product_view","pr":"x"}]"#;
    for (person, human) in [("", false), (r#","hu":false"#, false), (r#","hu":true"#, true)] {
        let collected = browser.send("https://shop.ua/", &format!("{{{events}{person}}}"));
        assert_eq!(collected.events.len(), 4);
        assert!(collected.events.iter().all(|event| event.human == human), "{person}");
    }
}

#[test]
fn what_a_page_has_no_value_for_is_left_out_and_the_event_stays() {
    for nothing in ["null", r#""""#, r#"" ""#] {
        let fields = ["n", "p", "pr", "q", "v", "c", "o", "am", "l", "x", "t", "u"];
        let fields: Vec<_> = fields.iter().map(|name| format!(r#""{name}":{nothing}"#)).collect();
        let collected = send(&format!(r#"{{"e":[{{"a":"add_to_cart",{}}}]}}"#, fields.join(",")));
        let [event] = &collected.events[..] else {
            panic!("{nothing}: {:?}", collected.reason)
        };
        assert_eq!(
            (&event.value, &event.currency, &event.quantity),
            (&None, &None, &None),
            "{nothing}"
        );
        assert!(event.props.is_none() && event.amount.is_none() && event.path.is_none() && event.name.is_none());
    }
}

#[test]
fn a_page_from_a_cache_starts_a_session_with_the_tags_of_its_own_url() {
    let mut browser = Browser::new("");
    let collected = browser.send(
        "https://shop.ua/sale?utm_source=viber&gclid=x",
        r#"{"e":[{"a":"page_view","p":"/sale"},{"a":"click"}]}"#,
    );
    let [first, second] = &collected.events[..] else {
        panic!("two events")
    };
    let touch = first.touch.as_ref().expect("a touch");
    assert_eq!(
        (
            touch.utm_source.as_deref(),
            touch.referrer_host.as_deref(),
            touch.landing_path.as_deref()
        ),
        (Some("viber"), None, Some("/sale"))
    );
    assert!(first.context.is_some() && second.touch.is_none());
    assert_eq!(first.session, second.session);
    assert_eq!(collected.set_cookies.len(), 2);
    // The next page belongs to it.
    let page = browser
        .open("https://shop.ua/cart", "https://shop.ua/sale")
        .event
        .expect("an event");
    assert_eq!((page.session, page.visitor), (first.session, first.visitor));
}

#[test]
fn an_arrival_that_only_the_script_saw_has_its_referrer_and_starts_a_session_like_any_other() {
    let mut browser = Browser::new("");
    let page = "https://shop.ua/product/42";
    let view = |from: &str| format!(r#"{{"e":[{{"a":"page_view","p":"/product/42","r":"{from}"}}]}}"#);
    let first = browser.send(page, &view("https://www.google.com/")).events.remove(0);
    let touch = first.touch.as_deref().expect("a touch");
    assert_eq!(
        (touch.referrer_host.as_deref(), touch.landing_path.as_deref()),
        (Some("google.com"), Some("/product/42"))
    );
    // Inside the shop, and through a service worker from an ad.
    let inside = browser
        .wait(1)
        .send("https://shop.ua/cart?utm_source=banner", &view(page))
        .events
        .remove(0);
    assert_eq!((inside.session, &inside.touch), (first.session, &None));
    let ad = "https://shop.ua/p2?utm_source=ig";
    let second = browser.wait(1).send(ad, &view("")).events.remove(0);
    assert_ne!(second.session, first.session);
    assert_eq!(
        second.touch.as_deref().and_then(|touch| touch.utm_source.as_deref()),
        Some("ig")
    );
    // The same arrival again, and a page of a single-page app, go on.
    let again = browser.wait(1).send(ad, &view("")).events.remove(0);
    let moved = browser
        .wait(1)
        .send(ad, r#"{"e":[{"a":"page_view","p":"/p3"}]}"#)
        .events
        .remove(0);
    assert_eq!((again.session, moved.session), (second.session, second.session));
    assert_eq!((again.touch, moved.touch), (None, None));
}

#[test]
fn what_a_page_reads_from_an_input_and_a_list_of_items_cost_nobody_a_purchase() {
    let collected = send(
        r#"{"e":[{"a":"purchase","q":" 2 ","x":{"items":[{"id":1}],"coupon":{"code":"A"}}},{"a":"click","q":""}]}"#,
    );
    assert_eq!((collected.status, collected.rejected), (204, 0));
    let [purchase, click] = &collected.events[..] else {
        panic!("two events")
    };
    assert_eq!((purchase.quantity, click.quantity), (Some(2), None));
    assert_eq!(
        serde_json::to_value(&purchase.props).expect("JSON"),
        serde_json::json!({"items": r#"[{"id":1}]"#, "coupon": r#"{"code":"A"}"#})
    );
}

#[test]
fn a_return_to_an_open_tab_is_the_next_visit_and_leaving_it_is_not() {
    let mut browser = Browser::new("");
    browser.open("https://shop.ua/", "");
    let visit = |collected: Collected| collected.events[0].session.map(|session| session.visit);
    let left = browser.wait(45).send(
        "https://shop.ua/",
        r#"{"e":[{"a":"time_on_page","am":30},{"a":"scroll","am":80}]}"#,
    );
    assert!(left.set_cookies.is_empty());
    assert_eq!(visit(left), Some(1));
    assert_eq!(
        visit(browser.send("https://shop.ua/", r#"{"e":[{"a":"add_to_cart"}]}"#)),
        Some(2)
    );
    assert_eq!(
        visit(browser.wait(1).send("https://shop.ua/", r#"{"e":[{"a":"scroll"}]}"#)),
        Some(2)
    );
}

#[test]
fn only_pages_of_the_shop_may_send() {
    let page = post();
    let bare = Hit {
        origin: None,
        sec_fetch_site: None,
        referer: None,
        ..page
    };
    let big = vec![b' '; MAX_BODY_BYTES + 1];
    let good = br#"{"e":[{"a":"click"}]}"#.as_slice();
    for (what, hit, body, status) in [
        ("own", page, good, 204),
        (
            "own subdomain",
            Hit {
                origin: Some("https://m.shop.ua"),
                ..page
            },
            good,
            204,
        ),
        (
            "same-origin without Origin",
            Hit {
                sec_fetch_site: Some("same-origin"),
                ..bare
            },
            good,
            204,
        ),
        (
            "own referer",
            Hit {
                referer: Some("https://shop.ua/x"),
                ..bare
            },
            good,
            204,
        ),
        (
            "foreign",
            Hit {
                origin: Some("https://evil.example"),
                ..page
            },
            good,
            403,
        ),
        (
            "look-alike",
            Hit {
                origin: Some("https://evilshop.ua"),
                ..page
            },
            good,
            403,
        ),
        (
            "null",
            Hit {
                origin: Some("null"),
                ..page
            },
            good,
            403,
        ),
        (
            "cross-site",
            Hit {
                sec_fetch_site: Some("cross-site"),
                ..bare
            },
            good,
            403,
        ),
        ("nobody", bare, good, 403),
        ("GET", Hit { method: "GET", ..page }, good, 405),
        (
            "form",
            Hit {
                content_type: Some("multipart/form-data; boundary=x"),
                ..page
            },
            good,
            415,
        ),
        (
            "plain",
            Hit {
                content_type: Some("text/plain;charset=UTF-8"),
                ..page
            },
            good,
            204,
        ),
        (
            "untyped",
            Hit {
                content_type: None,
                ..page
            },
            good,
            204,
        ),
        ("too large", page, big.as_slice(), 413),
    ] {
        let collected = collect(&hit, body, &settings(""), NOW, [5; 64]);
        assert_eq!(collected.status, status, "{what}: {:?}", collected.reason);
        assert_eq!(collected.events.is_empty(), status != 204, "{what}");
        assert_eq!(collected.reason.is_some(), status != 204);
    }
}

#[test]
fn bots_get_a_quiet_answer_and_send_nothing() {
    let bot = Hit {
        user_agent: Some("Mozilla/5.0 HeadlessChrome/142.0.0.0"),
        ..post()
    };
    let collected = collect(
        &bot,
        br#"{"e":[{"a":"purchase","v":"1"}]}"#,
        &settings(""),
        NOW,
        [5; 64],
    );
    assert_eq!(
        (collected.status, collected.events.len(), collected.set_cookies.len()),
        (204, 0, 0)
    );
    assert_eq!(
        collect(
            &Hit {
                user_agent: Some(CHROME),
                ..bot
            },
            br#"{"e":[{"a":"purchase","v":"1"}]}"#,
            &settings(""),
            NOW,
            [5; 64]
        )
        .events
        .len(),
        1
    );
}

#[test]
fn a_person_behind_a_data_centre_proves_it_by_hand() {
    let cf = Cf {
        country: Some("UA"),
        asn: Some("14061"),
        ..Cf::default()
    };
    let mut browser = Browser::new("");
    let page = Hit {
        cf,
        ..navigation("https://shop.ua/")
    };
    let suspected = browser.answer(page, 200, true);
    assert!(suspected.set_cookies.is_empty());
    assert_eq!(suspected.event.and_then(|event| event.bot), Some(BotReason::DataCentre));
    let send = |browser: &mut Browser, body: &str| {
        let cookie = browser.header();
        let collected = collect(
            &Hit {
                cf,
                cookie: Some(&cookie),
                ..post()
            },
            body.as_bytes(),
            &settings(""),
            NOW,
            [5; 64],
        );
        browser.keep(&collected.set_cookies);
        collected.events.len()
    };
    assert_eq!(send(&mut browser, r#"{"e":[{"a":"click"}]}"#), 0);
    assert_eq!(send(&mut browser, r#"{"e":[],"hu":true}"#), 1);
    assert_eq!(send(&mut browser, r#"{"e":[{"a":"click"}]}"#), 1);
    let believed = browser.answer(page, 200, true).event.expect("an event");
    assert!(believed.bot.is_none() && believed.visitor.is_some());
}

#[test]
fn a_bad_event_is_left_out_with_a_reason_and_its_neighbours_stay() {
    let mixed = send(r#"{"e":[{"a":"click"},{"a":"buy"},{"a":"click","v":-1},{"a":"search"}]}"#);
    assert_eq!((mixed.status, mixed.events.len(), mixed.rejected), (204, 2, 2));
    assert!(
        mixed
            .reason
            .expect("a reason")
            .starts_with("e[1].a: must be one of page_view, product_view")
    );
}

#[test]
fn hostile_bodies_get_a_reason_that_names_the_field() {
    let nested = format!(
        r#"{{"e":[{{"a":"click","x":{}{}}}]}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let many = format!(r#"{{"e":[{}]}}"#, vec!["{}"; 51].join(","));
    let props: Vec<_> = (0..33).map(|n| format!(r#""k{n}":1"#)).collect();
    let props = format!(r#"{{"e":[{{"a":"click","x":{{{}}}}}]}}"#, props.join(","));
    let long: Vec<_> = (0..9).map(|n| format!(r#""k{n}":"{}""#, "x".repeat(1_000))).collect();
    let long = format!(r#"{{"e":[{{"a":"click","x":{{{}}}}}]}}"#, long.join(","));
    for (body, field) in [
        ("", "the body"),
        ("null", "the body"),
        ("[]", "the body"),
        ("{", "the body"),
        (r#"{"e":{}}"#, "the body"),
        (r#"{"e":[1]}"#, "e[0].an event"),
        (r#"{"e":["\ud800"]}"#, "e[0].an event"),
        (r#"{"e":[{}]}"#, "e[0].a:"),
        (r#"{"e":[{"a":1}]}"#, "e[0].a:"),
        (r#"{"e":[{"a":"PAGE_VIEW"}]}"#, "e[0].a:"),
        (r#"{"e":[{"a":"custom"}]}"#, "e[0].n:"),
        (r#"{"e":[{"a":"custom","n":"\u0000"}]}"#, "e[0].n:"),
        (r#"{"e":[{"a":"click","l":"\ud800"}]}"#, "e[0].l:"),
        (r#"{"e":[{"a":"click","l":[]}]}"#, "e[0].l:"),
        (r#"{"e":[{"a":"click","q":-1}]}"#, "e[0].q:"),
        (r#"{"e":[{"a":"click","q":1.5}]}"#, "e[0].q:"),
        (r#"{"e":[{"a":"click","q":4294967296}]}"#, "e[0].q:"),
        (r#"{"e":[{"a":"click","v":1e3}]}"#, "e[0].v:"),
        (r#"{"e":[{"a":"click","v":"-5"}]}"#, "e[0].v:"),
        (r#"{"e":[{"a":"click","v":"1,50"}]}"#, "e[0].v:"),
        (r#"{"e":[{"a":"click","v":"999999999999999"}]}"#, "e[0].v:"),
        (r#"{"e":[{"a":"click","v":{}}]}"#, "e[0].v:"),
        (r#"{"e":[{"a":"click","v":"1","c":"₴"}]}"#, "e[0].c:"),
        (r#"{"e":[{"a":"click","t":"now"}]}"#, "e[0].t:"),
        (r#"{"e":[{"a":"click","p":7}]}"#, "e[0].p:"),
        (r#"{"e":[{"a":"click","x":[]}]}"#, "e[0].x:"),
        (r#"{"e":[{"a":"click","q":"two"}]}"#, "e[0].q:"),
        (r#"{"e":[{"a":"page_view","r":1}]}"#, "e[0].r:"),
        (&nested, "e[0].x:"),
        (&many, "e: more than 50"),
        (&props, "e[0].x: more than 32"),
        (&long, "e[0].x: more than 4096"),
    ] {
        let collected = send(body);
        assert_eq!((collected.status, collected.events.len()), (400, 0), "{body:.80}");
        let reason = collected.reason.expect("a reason");
        assert!(reason.starts_with(field), "{reason} for {body:.80}");
    }
}

#[test]
fn times_and_numbers_stay_within_reason() {
    let ages = send(
        r#"{"e":[{"a":"click","t":1e300},{"a":"click","t":-5},{"a":"scroll","am":1e300},{"a":"scroll","am":-1}]}"#,
    );
    // A session that starts with the request has nothing before it.
    assert!(ages.events.iter().all(|event| event.at == NOW));
    assert_eq!(
        (ages.events[2].amount, ages.events[3].amount),
        (Some(u32::MAX), Some(0))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_body_is_answered(body in proptest::collection::vec(any::<u8>(), 0..200), now in any::<i64>()) {
        let collected = collect(&post(), &body, &settings(""), now, [5; 64]);
        prop_assert!([204, 400].contains(&collected.status));
    }

    #[test]
    fn any_field_is_taken_or_named(key in "[b-z]|[a-z]{2}", value in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,5})?|\"[^\"\\\\\\x00-\\x1f]{0,40}\"|true|null|\\[\\]|\\{\\}") {
        let collected = send(&format!(r#"{{"e":[{{"a":"click","{key}":{value}}}]}}"#));
        if collected.status == 400 {
            let reason = collected.reason.expect("a reason");
            prop_assert!(reason.starts_with(&format!("e[0].{key}")), "{}", reason);
        } else {
            prop_assert_eq!(collected.events.len(), 1);
            if key == "v" {
                // Null and an empty text are no value.
                let said = value.trim_matches('"').trim();
                let expected = (value != "null" && !said.is_empty()).then_some(said);
                prop_assert_eq!(collected.events[0].value.as_deref(), expected);
            }
        }
    }
}
