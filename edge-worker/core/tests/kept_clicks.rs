//! Clicks that consent, a change of cookies or another host of the shop must not cost.

mod browser;

use browser::{Browser, navigation};
use edge_core::hit::Hit;
use edge_core::landing::{REDIRECT, decide};
use shared::event::{Consent, Event};

fn event(outcome: edge_core::landing::Outcome) -> Event {
    outcome.event.expect("an event")
}

#[test]
fn a_click_that_led_to_the_page_where_consent_was_given_is_not_lost() {
    let mut browser = Browser::new(r#""consent":{"cookie":"cc","accepted":["yes"]}"#);
    let ad = "https://shop.ua/sale?utm_source=google&utm_medium=cpc&gclid=abc";
    let refused = event(browser.open(ad, "https://www.google.com/"));
    assert_eq!((refused.consent, refused.visitor), (Consent::Refused, None));
    browser.cookies.push(("cc".into(), "yes".into()));
    let next = event(browser.open("https://shop.ua/cart", ad));
    let touch = next.touch.expect("a touch");
    assert_eq!(
        (
            touch.utm_source.as_deref(),
            touch.click_ids.get("gclid").map(String::as_str),
            touch.landing_path.as_deref()
        ),
        (Some("google"), Some("abc"), Some("/sale"))
    );
    assert_eq!(next.path.as_deref(), Some("/cart"));
    // The next page says the same, and is no arrival.
    let later = event(browser.open("https://shop.ua/checkout", ad));
    assert_eq!((later.session, later.touch), (next.session, None));
    // Whose session has ended is known: the click in the URL of the page that stayed open was theirs, and is over.
    let back = event(browser.wait(15 * 24 * 60).open("https://shop.ua/", ad));
    assert_eq!(back.visitor, next.visitor);
    assert_ne!(back.session, next.session);
    assert!(back.touch.expect("a touch").click_ids.is_empty());
    // A page of somebody else says nothing of how its visitors came.
    let mut other = Browser::new("");
    let event = event(other.open("https://shop.ua/", "https://other.example/?gclid=theirs"));
    assert!(event.touch.expect("a touch").click_ids.is_empty());
}

#[test]
fn of_the_cookies_of_a_host_and_of_its_domain_those_written_last_count_and_one_stays() {
    let mut browser = Browser::new("");
    event(browser.open("https://shop.ua/?utm_source=google", ""));
    let old = browser.header();
    let mut browser = Browser::new(r#""cookie_domain":"shop.ua""#);
    let mut other = Browser::new(r#""cookie_domain":"shop.ua""#);
    let newest = event(browser.wait(60).open("https://shop.ua/?utm_source=newsletter", ""));
    let both = format!("{old}; {}", browser.header());
    let page = Hit {
        sec_fetch_site: Some("same-origin"),
        ..navigation("https://shop.ua/cart")
    };
    other.now = browser.now + browser::MINUTE;
    let decision = decide(
        &Hit {
            cookie: Some(&both),
            ..page
        },
        &other.settings,
        other.now,
        [9; 64],
    );
    assert_eq!(
        (decision.visitor, decision.session),
        (newest.visitor, newest.session.map(|session| session.id))
    );
    let outcome = decision.outcome(200, true);
    let removed = |name: &str| {
        let all = &outcome.set_cookies;
        all.iter()
            .any(|cookie| cookie.starts_with(&format!("{name}=; Max-Age=0")) && !cookie.contains("Domain"))
    };
    assert!(
        removed("__Secure-ud_v") && removed("__Secure-ud_s"),
        "{:?}",
        outcome.set_cookies
    );
}

#[test]
fn one_click_that_is_sent_on_to_another_host_of_the_shop_is_one_session() {
    let browser = Browser::new("");
    let arrival = Hit {
        sec_fetch_site: Some("cross-site"),
        ..navigation("https://shop.ua/?utm_source=fb&fbclid=x")
    };
    let redirected = |location: &str| {
        let decision = decide(&arrival, &browser.settings, browser.now, [3; 64]);
        decision.redirected(301, location, &arrival, &browser.settings)
    };
    assert_eq!(
        redirected("https://www.shop.ua/?utm_source=fb&fbclid=x"),
        Default::default()
    );
    let without_the_click = redirected("https://www.shop.ua/");
    assert_eq!(event(without_the_click).name.as_deref(), Some(REDIRECT));
    let on_the_host = redirected("/uk/?utm_source=fb&fbclid=x");
    assert_eq!(
        (on_the_host.set_cookies.len(), event(on_the_host).name.as_deref()),
        (2, Some(REDIRECT))
    );
}
