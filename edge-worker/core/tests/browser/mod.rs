//! A browser as the tests need one: it keeps cookies, sends what browsers send, and shows what came of it.
#![allow(dead_code, reason = "each test file uses its part")]

use edge_core::collect::{Collected, collect};
use edge_core::hit::{Cf, Hit};
use edge_core::landing::{Decision, Outcome, decide};
use edge_core::queue::{self, Opened};
use edge_core::settings::{Secrets, Settings};
use shared::event::Event;

pub const NOW: i64 = 1_763_600_000_000;
pub const MINUTE: i64 = 60_000;
pub const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
pub const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

/// Settings with `site`, `hosts` and what is given.
pub fn settings(more: &str) -> Settings {
    let comma = if more.is_empty() { "" } else { "," };
    let secrets = Secrets::parse(&format!("k1:{}", "a".repeat(32)), &"h".repeat(32)).expect("secrets");
    Settings::new(
        &format!(r#"{{"site":"shop","hosts":["shop.ua"]{comma}{more}}}"#),
        secrets,
    )
    .expect("settings")
}

/// Messages of the shop's events.
pub fn pack(events: &[Event]) -> Vec<String> {
    queue::pack(events, &settings("").site)
}

/// What the shop's worker makes of a delivery.
pub fn open(messages: &[&str]) -> Opened {
    queue::open(messages, &settings("").site)
}

/// A navigation as Chromium sends it.
pub fn navigation(url: &str) -> Hit<'_> {
    Hit {
        method: "GET",
        url,
        user_agent: Some(CHROME),
        accept: Some("text/html,application/xhtml+xml,*/*;q=0.8"),
        sec_fetch_mode: Some("navigate"),
        sec_fetch_dest: Some("document"),
        sec_fetch_site: Some("none"),
        accept_language: Some("uk-UA,uk;q=0.9"),
        ip: Some("203.0.113.77"),
        cf: Cf {
            country: Some("UA"),
            city: Some("Київ"),
            asn: Some("15895"),
            ..Cf::default()
        },
        ..Hit::default()
    }
}

/// A platform that says `text` in every field.
pub fn everywhere(text: &str) -> Cf<'_> {
    let text = Some(text);
    Cf {
        country: text,
        region: text,
        city: text,
        timezone: text,
        continent: text,
        asn: text,
        as_organization: text,
        ..Cf::default()
    }
}

pub struct Browser {
    pub settings: Settings,
    pub now: i64,
    pub cookies: Vec<(String, String)>,
    seed: u8,
}

impl Browser {
    pub fn new(more: &str) -> Self {
        Self {
            settings: settings(more),
            now: NOW,
            cookies: Vec::new(),
            seed: 0,
        }
    }

    pub fn wait(&mut self, minutes: i64) -> &mut Self {
        self.now += minutes * MINUTE;
        self
    }

    pub fn random(&mut self) -> [u8; 64] {
        self.seed += 1;
        let mut random = [self.seed; 64];
        random
            .iter_mut()
            .enumerate()
            .for_each(|(at, byte)| *byte = byte.wrapping_mul(31).wrapping_add(at as u8));
        random
    }

    pub fn header(&self) -> String {
        self.cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    pub fn keep(&mut self, set_cookies: &[String]) {
        for cookie in set_cookies {
            let (name, value) = cookie
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a cookie");
            self.cookies.retain(|(known, _)| known != name);
            if !cookie.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub fn decide(&mut self, hit: Hit) -> Decision {
        let cookie = self.header();
        let random = self.random();
        decide(
            &Hit {
                cookie: Some(&cookie),
                ..hit
            },
            &self.settings,
            self.now,
            random,
        )
    }

    /// A navigation that the origin answers with `status`.
    pub fn answer(&mut self, hit: Hit, status: u16, is_html: bool) -> Outcome {
        let outcome = self.decide(hit).outcome(status, is_html);
        self.keep(&outcome.set_cookies);
        outcome
    }

    /// Opens a page, typed or from a referrer.
    pub fn open(&mut self, url: &str, referer: &str) -> Outcome {
        let own = referer.starts_with("https://shop.ua");
        let site = if referer.is_empty() {
            "none"
        } else if own {
            "same-origin"
        } else {
            "cross-site"
        };
        let referer = Some(referer).filter(|referer| !referer.is_empty());
        self.answer(
            Hit {
                referer,
                sec_fetch_site: Some(site),
                ..navigation(url)
            },
            200,
            true,
        )
    }

    /// What the script sends from `page`.
    pub fn send(&mut self, page: &str, body: &str) -> Collected {
        let cookie = self.header();
        let random = self.random();
        let hit = Hit {
            method: "POST",
            url: "https://shop.ua/_ud/e",
            cookie: Some(&cookie),
            origin: Some("https://shop.ua"),
            referer: Some(page),
            sec_fetch_mode: Some("no-cors"),
            sec_fetch_dest: Some("empty"),
            sec_fetch_site: Some("same-origin"),
            content_type: Some("text/plain;charset=UTF-8"),
            ..navigation("")
        };
        let hit = Hit {
            url: "https://shop.ua/_ud/e",
            ..hit
        };
        let collected = collect(&hit, body.as_bytes(), &self.settings, self.now, random);
        self.keep(&collected.set_cookies);
        collected
    }
}
