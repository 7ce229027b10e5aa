//! Our two cookies, Meta's and TikTok's, and the shop's consent cookie: reading all of them in one pass, writing ours.

use shared::attribution::TouchMark;
use shared::limits::{MAX_CLOCK_AHEAD_MS, VISITOR_COOKIE_SECONDS};
use uuid::Uuid;

use crate::keys::{push_decimal, push_hex_number, push_id};
use crate::session::Session;
use crate::settings::Settings;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Values of the cookies that matter, raw, the first of each name. Ours may stand twice (for the host and for its domain): the
/// second is kept too.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cookies<'a> {
    visitor: [Option<&'a str>; 2],
    session: [Option<&'a str>; 2],
    pub(crate) fbc: Option<&'a str>,
    pub(crate) fbp: Option<&'a str>,
    pub(crate) ttp: Option<&'a str>,
    pub(crate) consent: Option<&'a str>,
}

/// A visitor as the cookie knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visitor {
    pub(crate) id: Uuid,
    /// When the cookie was written, in milliseconds since 1970, UTC.
    pub(crate) written: i64,
    /// It should be written again: a day has passed, its key is old, or its clock was wrong.
    pub(crate) stale: bool,
}

impl<'a> Cookies<'a> {
    pub(crate) fn read(header: Option<&'a str>, settings: &Settings) -> Self {
        let mut cookies = Cookies::default();
        let (visitor, session) = (visitor_name(settings), session_name(settings));
        for pair in header.unwrap_or_default().split(';') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            let slot = match name {
                _ if name == visitor => free(&mut cookies.visitor),
                _ if name == session => free(&mut cookies.session),
                "_fbc" => &mut cookies.fbc,
                "_fbp" => &mut cookies.fbp,
                "_ttp" => &mut cookies.ttp,
                _ if settings.consent.cookie.as_deref() == Some(name) => &mut cookies.consent,
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        cookies
    }

    /// The visitor, when one of the cookies is ours and whole. Of two the one written last: a shop that shares its cookies with a domain
    /// from now on has given out those of the host before, and browsers send the older first.
    pub(crate) fn visitor(&self, settings: &Settings, now_ms: i64) -> Option<Visitor> {
        let read = |text: &&str| {
            let mut opened = settings.keys.open(&VISITOR_PURPOSE, text)?;
            let id = Uuid::try_parse(opened.fields.next()?).ok()?;
            let written = read_number(opened.fields.next()?)?;
            let stale =
                opened.old_key || !(now_ms - DAY_MS..=now_ms.saturating_add(MAX_CLOCK_AHEAD_MS)).contains(&written);
            Some(Visitor { id, written, stale })
        };
        latest(self.visitor.iter().flatten().filter_map(read), |visitor| {
            visitor.written
        })
    }

    /// The session of `visitor`, when one of the cookies is ours, whole and still alive. Of two the one that was touched last.
    pub(crate) fn session(&self, visitor: Uuid, settings: &Settings, now_ms: i64) -> Option<Session> {
        let read = |text: &&str| {
            let mut fields = settings.keys.open(&session_purpose(&visitor), text)?.fields;
            let mut next = || fields.next();
            let mut session = Session {
                id: Uuid::try_parse(next()?).ok()?,
                started: read_number(next()?)?,
                last: read_number(next()?)?,
                visit: next()?.parse().ok()?,
                mark: TouchMark {
                    click: read_mark(next()?)?,
                    utm: read_mark(next()?)?,
                    referrer: read_mark(next()?)?,
                },
            };
            // Clocks of two data centres differ a little. What lies further ahead was written by a broken clock.
            if session.started.max(session.last) > now_ms.saturating_add(MAX_CLOCK_AHEAD_MS) {
                return None;
            }
            session.started = session.started.min(now_ms);
            session.last = session.last.clamp(session.started, now_ms);
            (now_ms - session.started < settings.session_life_ms).then_some(session)
        };
        latest(self.session.iter().flatten().filter_map(read), |session| session.last)
    }

    /// Cookies that take ours away where the browser sent any: the visitor withdrew. A request does not say whether a cookie is the host's
    /// or its domain's, so that both are taken away.
    pub(crate) fn removals(&self, settings: &Settings) -> Vec<String> {
        let mut cookies = self.advertising_removals(settings);
        let ours = [
            (self.visitor[0], visitor_name(settings)),
            (self.session[0], session_name(settings)),
        ];
        for (_, name) in ours.into_iter().filter(|(sent, _)| sent.is_some()) {
            cookies.push(set_cookie(settings, name, "", 0, true));
            if settings.cookie_domain.is_some() {
                cookies.push(of_the_host(settings, name));
            }
        }
        cookies
    }

    /// Cookies that take the advertising platforms' away where the browser sent any, on a site for which the worker writes them: what is
    /// allowed no longer does not go on.
    pub(crate) fn advertising_removals(&self, settings: &Settings) -> Vec<String> {
        let theirs = [(self.fbc, "_fbc"), (self.fbp, "_fbp")];
        theirs
            .into_iter()
            .filter(|(sent, _)| settings.meta_cookies && sent.is_some())
            .map(|(_, name)| set_cookie(settings, name, "", 0, false))
            .collect()
    }

    /// Cookies that take those of the host away where the browser sends both the host's and its domain's: they would hold a session of
    /// their own until they die.
    pub(crate) fn doubles(&self, settings: &Settings) -> Vec<String> {
        let ours = [
            (self.visitor[1], visitor_name(settings)),
            (self.session[1], session_name(settings)),
        ];
        ours.into_iter()
            .filter(|(second, _)| settings.cookie_domain.is_some() && second.is_some())
            .map(|(_, name)| of_the_host(settings, name))
            .collect()
    }
}

/// The first of those with the greatest `time`.
fn latest<T>(all: impl Iterator<Item = T>, time: impl Fn(&T) -> i64) -> Option<T> {
    all.reduce(|kept, next| if time(&next) > time(&kept) { next } else { kept })
}

/// Takes away the cookie of this host alone, without its domain.
fn of_the_host(settings: &Settings, name: &str) -> String {
    let mut cookie = named(name);
    push_attributes(None, settings, &mut cookie, 0, true);
    cookie
}

/// `Set-Cookie` of the visitor: 400 days.
pub(crate) fn write_visitor(id: Uuid, settings: &Settings, now_ms: i64) -> String {
    let mut cookie = named(visitor_name(settings));
    settings.keys.seal(&VISITOR_PURPOSE, &mut cookie, |text| {
        push_id(text, id);
        text.push('.');
        push_hex_number(text, now_ms as u64);
    });
    push_attributes(
        settings.cookie_domain.as_deref(),
        settings,
        &mut cookie,
        VISITOR_COOKIE_SECONDS,
        true,
    );
    cookie
}

/// `Set-Cookie` of the session: what is left of its life.
pub(crate) fn write_session(visitor: Uuid, session: &Session, settings: &Settings, now_ms: i64) -> String {
    let Session {
        id,
        started,
        last,
        visit,
        mark,
    } = *session;
    let mut cookie = named(session_name(settings));
    settings.keys.seal(&session_purpose(&visitor), &mut cookie, |text| {
        push_id(text, id);
        for time in [started, last] {
            text.push('.');
            push_hex_number(text, time as u64);
        }
        text.push('.');
        push_decimal(text, u64::from(visit));
        for part in [mark.click, mark.utm, mark.referrer] {
            text.push('.');
            push_hex_number(text, part);
        }
    });
    let seconds = (started + settings.session_life_ms - now_ms).max(1_000) / 1_000;
    push_attributes(settings.cookie_domain.as_deref(), settings, &mut cookie, seconds, true);
    cookie
}

/// `name=`, with room for one of our cookies.
fn named(name: &str) -> String {
    let mut cookie = String::with_capacity(384);
    cookie.push_str(name);
    cookie.push('=');
    cookie
}

/// A `Set-Cookie` value. Ours are HttpOnly; those that Meta's pixel reads are not.
pub(crate) fn set_cookie(
    settings: &Settings,
    name: &str,
    value: &str,
    max_age_seconds: i64,
    http_only: bool,
) -> String {
    let mut cookie = named(name);
    cookie.push_str(value);
    push_attributes(
        settings.cookie_domain.as_deref(),
        settings,
        &mut cookie,
        max_age_seconds,
        http_only,
    );
    cookie
}

fn push_attributes(
    domain: Option<&str>,
    settings: &Settings,
    cookie: &mut String,
    max_age_seconds: i64,
    http_only: bool,
) {
    cookie.push_str("; Max-Age=");
    push_decimal(cookie, max_age_seconds.unsigned_abs());
    cookie.push_str("; Path=/");
    if let Some(domain) = domain {
        cookie.push_str("; Domain=");
        cookie.push_str(domain);
    }
    if settings.secure_cookies {
        cookie.push_str("; Secure");
    }
    if http_only {
        cookie.push_str("; HttpOnly");
    }
    cookie.push_str("; SameSite=Lax");
}

// `__Host-` would be stricter but forbids Domain, and a checkout on another host of the shop would lose the visitor.
fn visitor_name(settings: &Settings) -> &'static str {
    if settings.secure_cookies {
        "__Secure-ud_v"
    } else {
        "ud_v"
    }
}

fn session_name(settings: &Settings) -> &'static str {
    if settings.secure_cookies {
        "__Secure-ud_s"
    } else {
        "ud_s"
    }
}

const VISITOR_PURPOSE: [&[u8]; 1] = [b"v"];

/// A session is signed together with its visitor: beside another visitor's cookie it is no session.
fn session_purpose(visitor: &Uuid) -> [&[u8]; 2] {
    [b"s", visitor.as_bytes()]
}

fn free<'s, 'a>(slots: &'s mut [Option<&'a str>; 2]) -> &'s mut Option<&'a str> {
    let [first, second] = slots;
    if first.is_none() { first } else { second }
}

fn read_number(text: &str) -> Option<i64> {
    i64::from_str_radix(text, 16).ok().filter(|number| *number >= 0)
}

fn read_mark(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::tests::settings;

    const NOW: i64 = 1_763_600_000_000;

    fn pair(set_cookie: &str) -> &str {
        set_cookie.split(';').next().unwrap()
    }

    fn session() -> Session {
        Session {
            id: Uuid::from_u128(7),
            started: NOW - 5_000,
            last: NOW - 1_000,
            visit: 3,
            mark: TouchMark {
                click: 1,
                utm: 0,
                referrer: u64::MAX,
            },
        }
    }

    #[test]
    fn cookies_say_what_browsers_need() {
        let shared = settings(r#""cookie_domain":"shop.ua""#);
        let cookie = write_visitor(Uuid::from_u128(1), &shared, NOW);
        assert!(cookie.starts_with("__Secure-ud_v=1.k2."), "{cookie}");
        assert!(
            cookie.ends_with("; Max-Age=34560000; Path=/; Domain=shop.ua; Secure; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        let plain = settings(r#""secure_cookies":false"#);
        let cookie = write_session(Uuid::from_u128(1), &session(), &plain, NOW);
        assert!(
            cookie.starts_with("ud_s=1.k2.") && cookie.ends_with("; Max-Age=1209595; Path=/; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        assert!(cookie.len() < 400);
    }

    #[test]
    fn a_session_beside_another_visitor_is_none() {
        let settings = settings("");
        let cookie = write_session(Uuid::from_u128(1), &session(), &settings, NOW);
        let cookies = Cookies::read(Some(pair(&cookie)), &settings);
        assert_eq!(cookies.session(Uuid::from_u128(1), &settings, NOW), Some(session()));
        assert_eq!(cookies.session(Uuid::from_u128(2), &settings, NOW), None);
    }

    #[test]
    fn a_broken_cookie_before_a_good_one_does_not_hide_it() {
        let settings = settings("");
        let good = write_visitor(Uuid::from_u128(1), &settings, NOW);
        let header = format!("__Secure-ud_v=junk; a=b; {}; =; ;", pair(&good));
        let visitor = Cookies::read(Some(&header), &settings).visitor(&settings, NOW).unwrap();
        assert_eq!(
            visitor,
            Visitor {
                id: Uuid::from_u128(1),
                written: NOW,
                stale: false
            }
        );
    }

    #[test]
    fn a_visitor_is_written_again_once_a_day_and_a_session_dies_with_its_life() {
        let settings = settings(r#""session_life_hours":1"#);
        let visitor = write_visitor(Uuid::from_u128(1), &settings, NOW);
        let stale = |now| {
            Cookies::read(Some(pair(&visitor)), &settings)
                .visitor(&settings, now)
                .unwrap()
                .stale
        };
        assert!(!stale(NOW) && !stale(NOW + DAY_MS) && stale(NOW + DAY_MS + 1) && stale(NOW - MAX_CLOCK_AHEAD_MS - 1));
        let cookie = write_session(Uuid::from_u128(1), &session(), &settings, NOW);
        let alive = |now| Cookies::read(Some(pair(&cookie)), &settings).session(Uuid::from_u128(1), &settings, now);
        assert!(alive(NOW + 3_594_999).is_some() && alive(NOW + 3_595_000).is_none());
        // A clock that is a little behind sees no negative times; one that is far behind sees no session.
        assert_eq!(
            alive(NOW - 4_000).map(|session| (session.started, session.last)),
            Some((NOW - 5_000, NOW - 4_000))
        );
        assert!(alive(NOW - MAX_CLOCK_AHEAD_MS - 10_000).is_none());
        assert!(alive(i64::MAX).is_none() && alive(0).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_other_text_is_no_visitor(id: u128, now in 0i64..1 << 48, junk in "(?s).{0,200}") {
            let settings = settings("");
            let id = Uuid::from_u128(id);
            let cookie = write_visitor(id, &settings, now);
            let found = Cookies::read(Some(pair(&cookie)), &settings).visitor(&settings, now);
            prop_assert_eq!(found, Some(Visitor { id, written: now, stale: false }));
            let header = format!("__Secure-ud_v={junk}; __Secure-ud_s={junk}; {junk}");
            let cookies = Cookies::read(Some(&header), &settings);
            prop_assert_eq!(cookies.visitor(&settings, now), None);
            prop_assert_eq!(cookies.session(id, &settings, now), None);
        }

        #[test]
        fn any_session_reads_back_among_any_cookies_as_long_as_it_lives(
            ids: (u128, u128), started in 0i64..1 << 47, lasted in 0i64..DAY_MS, later in 0i64..20 * DAY_MS, visit: u16, mark: (u64, u64, u64),
            others in prop::collection::vec("[^;]{0,20}", 0..4), place in any::<prop::sample::Index>(),
        ) {
            let settings = settings("");
            let (visitor, id) = (Uuid::from_u128(ids.0), Uuid::from_u128(ids.1));
            let (last, now) = (started + lasted, started + lasted + later);
            let mark = TouchMark { click: mark.0, utm: mark.1, referrer: mark.2 };
            let session = Session { id, started, last, visit, mark };
            let cookie = write_session(visitor, &session, &settings, last);
            let mut pairs: Vec<&str> = others.iter().map(String::as_str).collect();
            pairs.insert(place.index(pairs.len() + 1), pair(&cookie));
            let header = pairs.join(";");
            let found = Cookies::read(Some(&header), &settings).session(visitor, &settings, now);
            let alive = now - started < settings.session_life_ms;
            prop_assert_eq!(found, alive.then_some(session));
            let max_age: i64 = cookie.split("; Max-Age=").nth(1).and_then(|rest| rest.split(';').next()).unwrap().parse().unwrap();
            prop_assert_eq!(max_age, (started + settings.session_life_ms - last) / 1_000);
        }

        #[test]
        fn a_session_cookie_with_one_character_changed_is_none(at in any::<prop::sample::Index>(), by in "[ -~ї]") {
            let (settings, visitor) = (settings(""), Uuid::from_u128(1));
            let cookie = write_session(visitor, &session(), &settings, NOW);
            let pair = pair(&cookie);
            let at = at.index(pair.len());
            prop_assume!(pair[at..=at] != by);
            let changed = format!("{}{by}{}", &pair[..at], &pair[at + 1..]);
            prop_assert_eq!(Cookies::read(Some(&changed), &settings).session(visitor, &settings, NOW), None, "{}", changed);
        }
    }
}
