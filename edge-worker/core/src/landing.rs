//! The decision about one request, made before the origin is asked, and what follows from the origin's answer.

use shared::action::Action;
use shared::attribution::is_direct;
use shared::event::{BotReason, Consent, Event, Origin, SessionRef, Touch};
use shared::text::decode_path;
use uuid::Uuid;

use crate::cookie::{self, Cookies};
use crate::entropy::{self, Entropy};
use crate::hit::{Hit, UrlParts, split_url};
use crate::place::Place;
use crate::session::{self, Session, Step};
use crate::settings::{Bots, Settings};
use crate::{bots, consent, context, meta_ids, privacy, redirect, touch};

/// Header that tells the origin who the visitor is: a UUID.
pub const VISITOR_HEADER: &str = "x-ud-visitor";
/// Header that tells the origin which session it is: a UUID.
pub const SESSION_HEADER: &str = "x-ud-session";
/// Value of `Accept-CH` on an answer for which [`Outcome::accept_ch`] holds.
pub const ACCEPT_CH: &str = "Sec-CH-UA-Model, Sec-CH-UA-Platform-Version";
/// Name of the custom action that carries the touch of a landing which the origin answered with a redirect.
pub const REDIRECT: &str = "redirect";

/// Headers that a client must not send to the origin, lower-case: only we say who somebody is.
pub const fn strip() -> [&'static str; 2] {
    [VISITOR_HEADER, SESSION_HEADER]
}

/// What a request is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is captured; the answer goes through untouched.
    Pass,
    /// A page navigation: hand the answer's status and type to [`Decision::outcome`].
    Track,
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Whether the answer matters.
    pub kind: Kind,
    /// Value of [`VISITOR_HEADER`] for the origin.
    pub visitor: Option<Uuid>,
    /// Value of [`SESSION_HEADER`] for the origin.
    pub session: Option<Uuid>,
    /// `Set-Cookie` values for the answer, when [`Decision::outcome`] says so.
    set_cookies: Vec<String>,
    /// Cookies that are taken away whatever the answer is: the visitor withdrew.
    removals: Vec<String>,
    event: Option<Event>,
    accept_ch: bool,
    starts_session: bool,
}

/// What follows from the origin's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// `Set-Cookie` values to append, one header each.
    pub set_cookies: Vec<String>,
    /// The event to send, after the answer.
    pub event: Option<Event>,
    /// Add [`ACCEPT_CH`] to the answer.
    pub accept_ch: bool,
}

impl Decision {
    fn pass() -> Self {
        Self {
            kind: Kind::Pass,
            visitor: None,
            session: None,
            set_cookies: Vec::new(),
            removals: Vec::new(),
            event: None,
            accept_ch: false,
            starts_session: false,
        }
    }

    /// What to add to the origin's answer and what to send.
    ///
    /// - A page (2xx and HTML, or 304: the page shown again from the browser's cache) is a page view.
    /// - A redirect sets the cookies, so that the touch survives a target without the query. No page is counted; the touch of a
    ///   session that starts here travels in a custom event named [`REDIRECT`]. A visitor without id is counted at the target.
    /// - Anything else (errors, downloads) was no visit: nothing is set and nothing sent.
    pub fn outcome(self, status: u16, is_html: bool) -> Outcome {
        self.follow(status, is_html, false)
    }

    /// The same for a redirect of `hit` to `location`, the header as the origin sent it. Where the page that it leads to will see the click
    /// but not the cookies, nothing begins here: see [`redirect`].
    pub fn redirected(self, status: u16, location: &str, hit: &Hit, settings: &Settings) -> Outcome {
        let touch = self.event.as_ref().and_then(|event| event.touch.as_deref());
        let begins_there =
            self.starts_session && touch.is_some_and(|touch| redirect::begins_there(hit, location, touch, settings));
        self.follow(status, false, begins_there)
    }

    fn follow(mut self, status: u16, is_html: bool, begins_there: bool) -> Outcome {
        let page = (200..300).contains(&status) && is_html || status == 304;
        let redirect = matches!(status, 301 | 302 | 303 | 307 | 308) && !begins_there;
        let mut outcome = Outcome {
            set_cookies: self.removals,
            ..Outcome::default()
        };
        if page || redirect {
            outcome.set_cookies.append(&mut self.set_cookies);
            outcome.accept_ch = self.accept_ch;
        }
        if page {
            outcome.event = self.event;
        } else if redirect && self.starts_session {
            outcome.event = self.event.map(|event| Event {
                action: Action::Custom,
                name: Some(REDIRECT.to_owned()),
                ..event
            });
        }
        outcome
    }
}

/// Decides about a request. `now_ms` is in milliseconds since 1970, UTC; `random` is fresh for each request.
///
/// Whatever the request holds, this returns: nothing in it is trusted to be well-formed.
pub fn decide(hit: &Hit, settings: &Settings, now_ms: i64, random: [u8; 64]) -> Decision {
    let now_ms = entropy::possible(now_ms);
    let page = split_url(hit.url);
    if page.path.starts_with(settings.script_prefix.as_str()) {
        return Decision::pass();
    }
    let cookies = Cookies::read(hit.cookie, settings);
    let consent = consent::read(hit, &cookies, settings);
    if !is_landing(hit, page, settings) {
        return known(&cookies, consent, settings, now_ms);
    }
    let place = Place::read(&hit.cf);
    let bot = bots::verdict(hit, place.asn)
        .filter(|reason| !(bots::is_refutable(*reason) && cookies.visitor(settings, now_ms).is_some()));
    if bot.is_some() && settings.bots == Bots::Drop {
        return Decision::pass();
    }
    let arrival = Arrival {
        hit,
        page,
        place,
        cookies,
        consent,
        settings,
        entropy: Entropy::new(random),
        now_ms,
    };
    if bot.is_some() || !consent.allows_id() {
        anonymous(arrival, bot)
    } else {
        identified(arrival)
    }
}

/// A landing, and what was read from it so far.
struct Arrival<'a> {
    hit: &'a Hit<'a>,
    page: UrlParts<'a>,
    place: Place,
    cookies: Cookies<'a>,
    consent: Consent,
    settings: &'a Settings,
    entropy: Entropy,
    now_ms: i64,
}

/// Not a landing: the origin still learns who it is, if we know them already.
fn known(cookies: &Cookies, consent: Consent, settings: &Settings, now_ms: i64) -> Decision {
    let mut decision = Decision::pass();
    if consent.allows_id()
        && let Some(visitor) = cookies.visitor(settings, now_ms)
    {
        decision.session = cookies.session(visitor.id, settings, now_ms).map(|session| session.id);
        decision.visitor = Some(visitor.id);
    }
    decision
}

fn identified(arrival: Arrival) -> Decision {
    let Arrival {
        hit,
        page,
        place,
        cookies,
        consent,
        settings,
        entropy,
        now_ms,
    } = arrival;
    let mut set_cookies = cookies.doubles(settings);
    if consent == Consent::Limited {
        set_cookies.append(&mut cookies.advertising_removals(settings));
    }
    let found = cookies.visitor(settings, now_ms);
    let visitor = found.map_or_else(|| entropy.visitor(now_ms), |visitor| visitor.id);
    if found.is_none_or(|visitor| visitor.stale) {
        set_cookies.push(cookie::write_visitor(visitor, settings, now_ms));
    }

    let alive = found.and_then(|visitor| cookies.session(visitor.id, settings, now_ms));
    let mut touch = touch::read(hit, page, settings);
    if found.is_none() && is_direct(&touch) && touch::is_internal(hit, settings) {
        // Who agrees on the page that the ad led to goes on from there: its click is in no cookie, but in the URL of that page.
        let before = touch::of_referring_page(hit, None, settings);
        if !is_direct(&before) {
            touch = before;
        }
    }
    let mut touch = touch::limit(touch, consent);
    let (session, step) = advance(hit, &touch, alive, settings, &entropy, now_ms);
    set_cookies.push(cookie::write_session(visitor, &session, settings, now_ms));

    if consent == Consent::Granted {
        let fbclid = touch.click_ids.get("fbclid").map(String::as_str);
        let ids = meta_ids::read(hit, &cookies, fbclid, settings, now_ms, entropy.fbp());
        set_cookies.extend(ids.set_cookies);
        (touch.fbc, touch.fbp, touch.ttp) = (ids.fbc, ids.fbp, ids.ttp);
    }

    let starts_session = step == Step::NewSession;
    let event = Event {
        visitor: Some(visitor),
        session: Some(SessionRef {
            id: session.id,
            started: session.started,
            visit: session.visit,
        }),
        path: privacy::path(page.path),
        touch: starts_session.then(|| Box::new(touch)),
        context: (step != Step::Same).then(|| Box::new(context::full(hit, place, settings))),
        ..page_view(entropy.event(now_ms), now_ms, consent)
    };
    Decision {
        kind: Kind::Track,
        visitor: Some(visitor),
        session: Some(session.id),
        set_cookies,
        removals: Vec::new(),
        event: Some(event),
        // Browsers take the header only over https.
        accept_ch: settings.client_hints && settings.secure_cookies,
        starts_session,
    }
}

/// The session after this arrival. Tags on a link inside the shop are no arrival and do not overwrite a live attribution; they
/// count when there is none yet (a landing page that forwards by script).
fn advance(
    hit: &Hit,
    touch: &Touch,
    alive: Option<Session>,
    settings: &Settings,
    entropy: &Entropy,
    now_ms: i64,
) -> (Session, Step) {
    let mark = touch::arrival_mark(touch);
    match alive {
        Some(session) if session.mark != Default::default() && touch::is_internal(hit, settings) => {
            session.touch(now_ms)
        }
        alive => session::arrive(alive, mark, entropy.session(now_ms), now_ms),
    }
}

/// A bot, or a visitor who allowed no id: the arrival is counted, and nothing of it can be told from another.
fn anonymous(arrival: Arrival, bot: Option<BotReason>) -> Decision {
    let Arrival {
        hit,
        page,
        place,
        cookies,
        consent,
        settings,
        entropy,
        now_ms,
    } = arrival;
    let mut decision = Decision {
        kind: Kind::Track,
        ..Decision::pass()
    };
    if !consent.allows_id() {
        decision.removals = cookies.removals(settings);
    }
    // Without an id the pages of a visit cannot be joined: only its first, the one that came from outside, is counted.
    if bot.is_some() || !touch::is_internal(hit, settings) {
        let touch = touch::anonymise(touch::read(hit, page, settings));
        decision.event = Some(Event {
            touch: (!is_direct(&touch)).then(|| Box::new(touch)),
            context: Some(Box::new(context::anonymous(hit, place))),
            bot,
            ..page_view(entropy.event(now_ms), now_ms, consent)
        });
    }
    decision
}

/// A page view of nobody; events are written as what differs from it.
pub(crate) fn page_view(id: Uuid, at: i64, consent: Consent) -> Event {
    Event {
        id,
        at,
        action: Action::PageView,
        origin: Origin::Edge,
        visitor: None,
        session: None,
        name: None,
        path: None,
        product: None,
        quantity: None,
        value: None,
        currency: None,
        order: None,
        amount: None,
        label: None,
        props: None,
        touch: None,
        context: None,
        bot: None,
        human: false,
        consent,
    }
}

/// A GET navigation for a document that somebody looks at, outside the excluded paths.
fn is_landing(hit: &Hit, page: UrlParts, settings: &Settings) -> bool {
    hit.method == "GET" && is_navigation(hit) && !is_speculative(hit) && !is_file(page.path) && {
        let path = decode_path(page.path);
        !settings
            .excluded_paths
            .iter()
            .any(|excluded| excluded.covers_path(&path))
    }
}

fn is_navigation(hit: &Hit) -> bool {
    match (hit.sec_fetch_mode, hit.sec_fetch_dest) {
        (None, None) => {
            // Android's in-app browsers name their package in X-Requested-With on navigations too: only a script's name counts.
            let script = hit
                .x_requested_with
                .is_some_and(|by| by.eq_ignore_ascii_case("XMLHttpRequest") || by.eq_ignore_ascii_case("fetch"));
            !script
                && hit
                    .accept
                    .is_some_and(|accept| accept.contains("text/html") || accept.contains("application/xhtml+xml"))
        }
        // A service worker that passes a navigation on says "empty"; no script can ask for one. What was an iframe's looks the same then:
        // counting it is less wrong than losing every landing of a shop that has such a worker.
        (Some("navigate"), Some("empty")) => true,
        (mode, dest) => mode.is_none_or(|mode| mode == "navigate") && dest.is_none_or(|dest| dest == "document"),
    }
}

/// Prefetch and prerender: nobody looks yet, perhaps nobody ever will. The script counts the page once it is shown.
fn is_speculative(hit: &Hit) -> bool {
    let says = |header: Option<&str>| {
        header
            .is_some_and(|value| value.contains("prefetch") || value.contains("prerender") || value.contains("preview"))
    };
    says(hit.sec_purpose) || says(hit.purpose) || says(hit.x_purpose) || says(hit.x_moz)
}

/// Files are no pages, however they are asked for.
fn is_file(path: &str) -> bool {
    const EXTENSIONS: &[&str] = &[
        "css",
        "js",
        "mjs",
        "map",
        "json",
        "xml",
        "txt",
        "csv",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "webp",
        "avif",
        "svg",
        "ico",
        "bmp",
        "woff",
        "woff2",
        "ttf",
        "otf",
        "eot",
        "mp4",
        "webm",
        "mov",
        "m4v",
        "mp3",
        "wav",
        "ogg",
        "m3u8",
        "ts",
        "pdf",
        "zip",
        "gz",
        "rar",
        "7z",
        "xls",
        "xlsx",
        "doc",
        "docx",
        "webmanifest",
        "wasm",
        "apk",
        "dmg",
        "exe",
        "rss",
        "atom",
    ];
    let segment = path.rsplit('/').next().unwrap_or_default();
    segment
        .rsplit_once('.')
        .is_some_and(|(_, extension)| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}
