//! What is a landing, and what it does to visitor, session, visit and touch.

mod browser;

use browser::{Browser, CHROME, navigation, settings};
use edge_core::hit::Hit;
use edge_core::landing::{ACCEPT_CH, Kind, REDIRECT, decide, strip};
use shared::action::Action;
use shared::event::{BotReason, Consent, Event, Origin};

fn event(outcome: edge_core::landing::Outcome) -> Event {
    outcome.event.expect("an event")
}

#[test]
fn only_a_navigation_for_a_document_is_a_landing() {
    let page = navigation("https://shop.ua/p");
    let old = Hit {
        sec_fetch_mode: None,
        sec_fetch_dest: None,
        sec_fetch_site: None,
        ..page
    };
    let path = |path: &'static str| Hit { url: path, ..page };
    let settings = settings("");
    for (what, hit, kind) in [
        ("navigation", page, Kind::Track),
        ("old browser", old, Kind::Track),
        (
            "in-app browser",
            Hit {
                x_requested_with: Some("com.instagram.android"),
                ..old
            },
            Kind::Track,
        ),
        (
            "script of an old browser",
            Hit {
                x_requested_with: Some("XMLHttpRequest"),
                ..old
            },
            Kind::Pass,
        ),
        (
            "any type",
            Hit {
                accept: Some("*/*"),
                ..old
            },
            Kind::Pass,
        ),
        ("no accept", Hit { accept: None, ..old }, Kind::Pass),
        (
            "iframe",
            Hit {
                sec_fetch_dest: Some("iframe"),
                ..page
            },
            Kind::Pass,
        ),
        (
            "image",
            Hit {
                sec_fetch_dest: Some("image"),
                sec_fetch_mode: Some("no-cors"),
                ..page
            },
            Kind::Pass,
        ),
        (
            "fetch",
            Hit {
                sec_fetch_dest: Some("empty"),
                sec_fetch_mode: Some("cors"),
                ..page
            },
            Kind::Pass,
        ),
        (
            "navigation that a service worker passes on",
            Hit {
                sec_fetch_dest: Some("empty"),
                ..page
            },
            Kind::Track,
        ),
        ("POST", Hit { method: "POST", ..page }, Kind::Pass),
        ("HEAD", Hit { method: "HEAD", ..page }, Kind::Pass),
        ("no method", Hit { method: "", ..page }, Kind::Pass),
        (
            "prefetch",
            Hit {
                sec_purpose: Some("prefetch"),
                ..page
            },
            Kind::Pass,
        ),
        (
            "prerender",
            Hit {
                sec_purpose: Some("prefetch;prerender"),
                ..page
            },
            Kind::Pass,
        ),
        (
            "proxied prefetch",
            Hit {
                sec_purpose: Some("prefetch;anonymous-client-ip"),
                ..page
            },
            Kind::Pass,
        ),
        (
            "old prefetch",
            Hit {
                purpose: Some("prefetch"),
                ..page
            },
            Kind::Pass,
        ),
        (
            "preview of an app",
            Hit {
                x_purpose: Some("preview"),
                ..old
            },
            Kind::Pass,
        ),
        (
            "old Firefox prefetch",
            Hit {
                x_moz: Some("prefetch"),
                ..page
            },
            Kind::Pass,
        ),
        ("admin", path("https://shop.ua/admin/orders"), Kind::Pass),
        ("encoded admin", path("https://shop.ua/%61dmin"), Kind::Pass),
        ("not admin", path("https://shop.ua/administration"), Kind::Track),
        ("feed", path("https://shop.ua/blog/feed"), Kind::Pass),
        ("health", path("https://shop.ua/healthz"), Kind::Pass),
        ("asset", path("https://shop.ua/a/b.JPG?utm_source=x"), Kind::Pass),
        ("dotted page", path("https://shop.ua/a.b/page.html"), Kind::Track),
        ("script", path("https://shop.ua/_ud/t.js"), Kind::Pass),
        ("collect", path("https://shop.ua/_ud/e"), Kind::Pass),
        ("no path", path("https://shop.ua"), Kind::Track),
        ("no URL", path(""), Kind::Track),
    ] {
        assert_eq!(decide(&hit, &settings, browser::NOW, [1; 64]).kind, kind, "{what}");
    }
}

#[test]
fn a_hint_that_browsers_are_asked_for_is_one_that_the_worker_reads() {
    let read = include_str!("../../src/request.rs");
    for hint in ACCEPT_CH.split(", ") {
        let header = format!("\"{}\"", hint.to_lowercase());
        assert!(
            read.contains(&header),
            "{hint} is sent with every request and read by nobody"
        );
    }
}

#[test]
fn a_tagged_landing_of_a_new_visitor_is_one_complete_event() {
    let mut browser = Browser::new(r#""cookie_domain":"shop.ua""#);
    let url = "https://www.shop.ua/p/1?utm_source=FB&utm_medium=paid&utm_campaign=%D0%9B%D1%96%D1%82%D0%BE&fbclid=IwAR1&size=xl";
    let decision = browser.decide(Hit {
        referer: Some("https://l.facebook.com/l.php?u=x"),
        sec_fetch_site: Some("cross-site"),
        ..navigation(url)
    });
    let (visitor, session) = (decision.visitor, decision.session);
    let outcome = decision.outcome(200, true);
    assert!(outcome.accept_ch);
    assert_eq!(outcome.set_cookies.len(), 2);
    assert!(
        outcome
            .set_cookies
            .iter()
            .all(|cookie| cookie.ends_with("; Path=/; Domain=shop.ua; Secure; HttpOnly; SameSite=Lax"))
    );
    let event = event(outcome);
    assert_eq!(
        (event.action, event.origin, event.consent, event.human, event.bot),
        (Action::PageView, Origin::Edge, Consent::Granted, false, None)
    );
    assert_eq!(event.visitor, visitor);
    let reference = event.session.expect("a session");
    assert_eq!(
        (Some(reference.id), reference.started, reference.visit),
        (session, browser.now, 1)
    );
    assert_eq!(
        (event.at, shared::ids::minted_at_ms(event.id)),
        (browser.now, Some(browser.now))
    );
    assert_eq!(event.path.as_deref(), Some("/p/1"));
    let touch = event.touch.expect("a touch");
    assert_eq!(
        (touch.utm_source.as_deref(), touch.utm_campaign.as_deref()),
        (Some("FB"), Some("Літо"))
    );
    assert_eq!(touch.click_ids["fbclid"], "IwAR1");
    assert_eq!(touch.fbc.as_deref(), Some("fb.1.1763600000000.IwAR1"));
    assert_eq!(
        (touch.referrer_host.as_deref(), touch.referrer_path.as_deref()),
        (Some("l.facebook.com"), Some("/l.php"))
    );
    assert_eq!(
        (
            touch.landing_host.as_deref(),
            touch.landing_path.as_deref(),
            touch.landing_query.as_deref()
        ),
        (Some("shop.ua"), Some("/p/1"), Some("size=xl"))
    );
    let context = event.context.expect("a context");
    assert_eq!(
        (context.country.as_deref(), context.city.as_deref(), context.asn),
        (Some("UA"), Some("Київ"), Some(15895))
    );
    assert_eq!(
        (context.ip.as_deref(), context.language.as_deref()),
        (Some("203.0.113.0"), Some("uk-UA"))
    );
    assert!(context.ip_hash.is_some() && context.user_agent.as_deref() == Some(CHROME));
}

#[test]
fn pages_of_a_visit_belong_to_it_and_a_return_is_the_next_visit() {
    let mut browser = Browser::new("");
    let first = event(browser.open("https://shop.ua/?gclid=x", "https://google.com/"));
    let second = event(browser.wait(5).open("https://shop.ua/cart", "https://shop.ua/"));
    assert_eq!((second.visitor, second.session), (first.visitor, first.session));
    assert!(second.touch.is_none() && second.context.is_none());
    let third = event(browser.wait(31).open("https://shop.ua/", ""));
    let (before, after) = (first.session.expect("session"), third.session.expect("session"));
    assert_eq!((after.id, after.started, after.visit), (before.id, before.started, 2));
    assert!(third.touch.is_none() && third.context.is_some());
}

#[test]
fn another_touch_starts_a_session_and_the_same_one_does_not() {
    for (first, second, minutes, new) in [
        (
            ("?gclid=a", "https://google.com/"),
            ("?gclid=b", "https://google.com/"),
            1,
            true,
        ),
        (
            ("?gclid=a", "https://google.com/"),
            ("?gclid=a", "https://google.com/"),
            1,
            false,
        ),
        (("?gclid=a", "https://google.com/"), ("?gclid=a", ""), 600, false),
        (("?utm_source=a", ""), ("?utm_source=a", ""), 29, false),
        (("?utm_source=a", ""), ("?utm_source=a", ""), 30, true),
        (("?utm_source=a", ""), ("?utm_source=b", ""), 1, true),
        (("?utm_source=a&fbclid=1", ""), ("?utm_source=a&fbclid=2", ""), 5, false),
        (("?utm_source=a", ""), ("", ""), 5, false),
        (("?utm_source=a", ""), ("", ""), 5_000, false),
        (("", ""), ("?utm_source=a", ""), 1, true),
        (("", ""), ("", "https://google.com/"), 1, true),
        (("", "https://google.com/"), ("", "https://www.google.com/x"), 5, false),
        (("", "https://google.com/"), ("", "https://google.com/"), 31, true),
        (
            ("?utm_source=a", ""),
            ("", "https://secure.wayforpay.com/done"),
            5,
            false,
        ),
        (("?utm_source=a", ""), ("", "https://acs.bank.example/3ds"), 5, false),
        (("?utm_source=a", ""), ("", "https://checkout.shop.ua/"), 5, false),
        // Tags inside the shop are no arrival.
        (
            ("?utm_source=a", ""),
            ("?utm_source=banner", "https://shop.ua/"),
            5,
            false,
        ),
        // But a landing page that forwards by script is not the source either.
        (("", ""), ("?utm_source=a", "https://shop.ua/"), 0, true),
    ] {
        let mut browser = Browser::new("");
        let a = event(browser.open(&format!("https://shop.ua/{}", first.0), first.1));
        let b = event(
            browser
                .wait(minutes)
                .open(&format!("https://shop.ua/{}", second.0), second.1),
        );
        assert_eq!(a.visitor, b.visitor);
        assert_eq!(
            a.session.map(|s| s.id) != b.session.map(|s| s.id),
            new,
            "{first:?} {second:?} {minutes}"
        );
        assert_eq!(b.touch.is_some(), new);
    }
}

#[test]
fn a_click_through_a_service_worker_is_an_arrival_and_a_link_inside_the_shop_is_none() {
    let mut browser = Browser::new("");
    let first = event(browser.open("https://shop.ua/?utm_source=google&gclid=x", "")).session;
    // Chromium says "same-origin" of what had no initiator, an address that was typed or came from an app.
    let mut visit = |url: &str, referer: &str, site: &str| {
        let hit = Hit {
            referer: Some(referer).filter(|referer| !referer.is_empty()),
            sec_fetch_dest: Some("empty"),
            sec_fetch_site: Some(site),
            ..navigation(url)
        };
        event(browser.wait(1).answer(hit, 200, true))
    };
    assert_eq!(
        visit(
            "https://shop.ua/cart?utm_source=banner",
            "https://shop.ua/",
            "same-origin"
        )
        .session,
        first
    );
    let second = visit("https://shop.ua/?gclid=y", "https://news.example/", "cross-site");
    let third = visit("https://shop.ua/?gclid=z", "", "same-origin");
    assert!(second.session != first && third.session != second.session);
    let touch = second.touch.expect("a touch");
    assert_eq!(
        (touch.click_ids["gclid"].as_str(), touch.referrer_host.as_deref()),
        ("y", Some("news.example"))
    );
}

#[test]
fn the_host_that_was_asked_is_own_even_if_the_settings_do_not_name_it() {
    let hit = |referer| Hit {
        referer: Some(referer),
        sec_fetch_site: None,
        ..navigation("https://staging.example:8443/")
    };
    for (referer, direct) in [
        ("https://www.staging.example/a", true),
        ("https://other.example/", false),
    ] {
        let touch = event(Browser::new("").answer(hit(referer), 200, true))
            .touch
            .expect("a touch");
        assert_eq!(shared::attribution::is_direct(&touch), direct, "{referer}");
    }
}

#[test]
fn a_session_ends_with_its_life_and_the_visitor_stays() {
    let mut browser = Browser::new(r#""session_life_hours":2"#);
    let first = event(browser.open("https://shop.ua/?gclid=x", ""));
    for _ in 0..5 {
        let next = event(browser.wait(20).open("https://shop.ua/a", "https://shop.ua/"));
        assert_eq!(next.session.map(|s| s.id), first.session.map(|s| s.id));
    }
    let after = event(browser.wait(20).open("https://shop.ua/b", "https://shop.ua/"));
    assert_eq!(after.visitor, first.visitor);
    assert_ne!(after.session.map(|s| s.id), first.session.map(|s| s.id));
    assert!(shared::attribution::is_direct(&after.touch.expect("a touch")));
}

#[test]
fn the_visitor_cookie_is_refreshed_at_most_daily() {
    let mut browser = Browser::new("");
    let visitors = |cookies: &[String]| {
        cookies
            .iter()
            .filter(|cookie| cookie.starts_with("__Secure-ud_v="))
            .count()
    };
    assert_eq!(visitors(&browser.open("https://shop.ua/", "").set_cookies), 1);
    assert_eq!(visitors(&browser.wait(60).open("https://shop.ua/", "").set_cookies), 0);
    assert_eq!(
        visitors(&browser.wait(24 * 60).open("https://shop.ua/", "").set_cookies),
        1
    );
    assert_eq!(visitors(&browser.wait(1).open("https://shop.ua/", "").set_cookies), 0);
}

#[test]
fn a_redirect_keeps_the_touch_without_counting_a_page() {
    let mut browser = Browser::new("");
    let arrival = Hit {
        referer: Some("https://l.facebook.com/"),
        sec_fetch_site: Some("cross-site"),
        ..navigation("https://shop.ua/go?utm_source=fb&fbclid=x")
    };
    let redirect = event(browser.answer(arrival, 302, false));
    assert_eq!(
        (redirect.action, redirect.name.as_deref()),
        (Action::Custom, Some(REDIRECT))
    );
    assert!(redirect.touch.is_some() && redirect.context.is_some());
    // The browser follows, with the first Referer and without the query.
    let target = event(browser.open("https://shop.ua/p/1", "https://l.facebook.com/"));
    assert_eq!((target.action, target.session), (Action::PageView, redirect.session));
    assert!(target.touch.is_none());
    // A redirect inside a session says nothing.
    assert_eq!(browser.answer(navigation("https://shop.ua/old"), 301, true).event, None);
}

#[test]
fn only_a_page_that_was_shown_counts() {
    for (status, is_html, action, cookies) in [
        (200, true, Some(Action::PageView), true),
        (203, true, Some(Action::PageView), true),
        (304, false, Some(Action::PageView), true),
        (200, false, None, false),
        (204, false, None, false),
        (301, true, Some(Action::Custom), true),
        (308, false, Some(Action::Custom), true),
        (300, true, None, false),
        (404, true, None, false),
        (500, true, None, false),
        (0, true, None, false),
        (u16::MAX, true, None, false),
    ] {
        let outcome = Browser::new("")
            .decide(navigation("https://shop.ua/?gclid=x"))
            .outcome(status, is_html);
        assert_eq!(outcome.event.map(|event| event.action), action, "{status}");
        assert_eq!(
            (!outcome.set_cookies.is_empty(), outcome.accept_ch),
            (cookies, cookies),
            "{status}"
        );
    }
}

#[test]
fn the_origin_learns_who_it_is_on_every_request() {
    let mut browser = Browser::new("");
    let landing = browser.decide(navigation("https://shop.ua/"));
    let (visitor, session) = (landing.visitor, landing.session);
    browser.keep(&landing.outcome(200, true).set_cookies);
    let post = browser.decide(Hit {
        method: "POST",
        ..navigation("https://shop.ua/checkout")
    });
    assert_eq!((post.visitor, post.session), (visitor, session));
    assert_eq!(post.outcome(200, true), Default::default());
    // Carts and checkouts of many shop systems are asked by names of files.
    for url in ["https://shop.ua/cart/add.js", "https://shop.ua/checkout.json"] {
        let call = browser.decide(Hit {
            method: "POST",
            sec_fetch_mode: Some("cors"),
            sec_fetch_dest: Some("empty"),
            ..navigation(url)
        });
        assert_eq!(
            (call.kind, call.visitor, call.session),
            (Kind::Pass, visitor, session),
            "{url}"
        );
    }
    let stranger = Browser::new("").decide(Hit {
        method: "POST",
        ..navigation("https://shop.ua/checkout")
    });
    assert_eq!((stranger.visitor, stranger.session), (None, None));
    assert_eq!(strip(), ["x-ud-visitor", "x-ud-session"]);
}

#[test]
fn a_bot_is_counted_without_ids_or_not_at_all() {
    let bot = Hit {
        user_agent: Some("Mozilla/5.0 (compatible; Googlebot/2.1)"),
        ..navigation("https://shop.ua/p?gclid=SECRET1")
    };
    let decision = Browser::new("").decide(bot);
    assert_eq!((decision.visitor, decision.session), (None, None));
    let outcome = decision.outcome(200, true);
    assert!(outcome.set_cookies.is_empty() && !outcome.accept_ch);
    let event = event(outcome);
    assert_eq!(
        (event.bot, event.visitor, event.session),
        (Some(BotReason::DeclaredCrawler), None, None)
    );
    assert!(!serde_json::to_string(&event).expect("JSON").contains("SECRET1"));
    let dropped = Browser::new(r#""bots":"drop""#).decide(bot);
    assert_eq!(
        (dropped.kind, dropped.outcome(200, true)),
        (Kind::Pass, Default::default())
    );
}

#[test]
fn forged_foreign_and_broken_cookies_are_a_new_visitor() {
    let mut other = Browser::new("");
    other.open("https://shop.ua/?gclid=x", "");
    let good = other.header();
    let mut known = Browser::new("");
    let original = event(other.open("https://shop.ua/", "")).visitor;
    for (what, header, same) in [
        ("whole", good.clone(), true),
        ("another site's key", good.replace(".k1.", ".k9."), false),
        ("changed", good.replace("ud_v=1.k1.", "ud_v=1.k1.0"), false),
        ("cut", good[..40].to_owned(), false),
        ("empty", "__Secure-ud_v=; __Secure-ud_s=".to_owned(), false),
        ("junk", "\u{0};=;;;__Secure-ud_v==.=.;ї=ї".to_owned(), false),
        ("huge", format!("__Secure-ud_v={}", "1.k1.".repeat(200_000)), false),
    ] {
        let random = known.random();
        let hit = navigation("https://shop.ua/");
        let decision = decide(
            &Hit {
                cookie: Some(&header),
                ..hit
            },
            &known.settings,
            browser::NOW,
            random,
        );
        let visitor = event(decision.outcome(200, true)).visitor;
        assert!(visitor.is_some());
        assert_eq!(visitor == original, same, "{what}");
    }
}

#[test]
fn hostile_headers_and_urls_do_no_harm() {
    let long = "ї%".repeat(500_000);
    for text in [
        "",
        "\0",
        "\u{feff}",
        "%",
        "%00%ff",
        "\"",
        "{}",
        "://",
        "?",
        "&=&",
        ";=",
        long.as_str(),
    ] {
        let hit = Hit {
            method: "GET",
            url: text,
            host: Some(text),
            accept: Some("text/html"),
            user_agent: Some(text),
            referer: Some(text),
            cookie: Some(text),
            accept_language: Some(text),
            sec_fetch_site: Some(text),
            sec_ch_ua: Some(text),
            sec_ch_ua_model: Some(text),
            ip: Some(text),
            cf: browser::everywhere(text),
            ..Hit::default()
        };
        let outcome = decide(&hit, &settings(""), browser::NOW, [3; 64]).outcome(200, true);
        let json = serde_json::to_string(&outcome.event).expect("JSON");
        assert!(
            json.len() < shared::limits::MAX_EVENT_BYTES && !json.contains("\\u0000"),
            "{}",
            json.len()
        );
    }
    for now in [i64::MIN, -1, 0, i64::MAX] {
        let mut browser = Browser::new("");
        browser.now = now;
        browser.open("https://shop.ua/?gclid=x", "");
        browser.open("https://shop.ua/", "");
    }
}
