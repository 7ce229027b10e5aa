//! Device and place of a hit, as events carry them.

use std::collections::BTreeMap;

use shared::event::{Context, Device};
use shared::limits::{MAX_USER_AGENT_CHARS, MAX_UTM_CHARS};
use shared::text::clean;

use crate::device;
use crate::hit::Hit;
use crate::place::Place;
use crate::privacy;
use crate::settings::Settings;

/// Everything the request says, for a visitor who allowed it. The device is found later, off the visitor's path.
pub(crate) fn full(hit: &Hit, place: Place, settings: &Settings) -> Context {
    let (ip, ip_hash) = privacy::address(hit.ip, settings);
    Context {
        user_agent: hit.user_agent.and_then(|agent| clean(agent, MAX_USER_AGENT_CHARS)),
        hints: hints(hit),
        device: None,
        language: hit.accept_language.and_then(first_language),
        country: place.country,
        region: place.region,
        city: place.city,
        time_zone: place.timezone,
        continent: place.continent,
        asn: place.asn,
        as_organization: place.as_organization,
        ip,
        ip_hash,
    }
}

/// What may be counted of a visitor whom nobody remembers: the country and the kind of device.
pub(crate) fn anonymous(hit: &Hit, place: Place) -> Context {
    let kind = device::kind(hit.user_agent.unwrap_or_default(), hit.sec_ch_ua_mobile);
    Context {
        country: place.country,
        device: kind.map(|kind| Device {
            kind: Some(kind),
            ..Device::default()
        }),
        ..Context::default()
    }
}

fn hints(hit: &Hit) -> BTreeMap<String, String> {
    let mut hints = BTreeMap::new();
    for (name, value) in [
        ("brands", hit.sec_ch_ua),
        ("mobile", hit.sec_ch_ua_mobile),
        ("platform", hit.sec_ch_ua_platform),
        ("platform-version", hit.sec_ch_ua_platform_version),
        ("model", hit.sec_ch_ua_model),
    ] {
        if let Some(value) = value.and_then(hint) {
            hints.insert(name.to_owned(), value);
        }
    }
    hints
}

/// A hint's value without the quotes of a structured header's string. Lists keep theirs.
pub(crate) fn hint(value: &str) -> Option<String> {
    let value = value.trim();
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .filter(|inner| !inner.contains('"'));
    clean(inner.unwrap_or(value), MAX_UTM_CHARS)
}

/// The first tag of `Accept-Language`, when it looks like one.
fn first_language(header: &str) -> Option<String> {
    let tag = header.split([',', ';']).next()?.trim();
    let ok = (2..=35).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    ok.then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn the_first_language_is_taken_and_nonsense_is_not() {
        for (header, tag) in [
            ("uk-UA,uk;q=0.9,en;q=0.8", Some("uk-UA")),
            ("en;q=0.5", Some("en")),
            ("*", None),
            ("", None),
            ("\0", None),
            ("x y", None),
            (&"a".repeat(1_000_000), None),
        ] {
            assert_eq!(first_language(header).as_deref(), tag);
        }
    }

    #[test]
    fn hints_lose_their_quotes_and_everything_is_bounded() {
        let long = "x".repeat(1_000_000);
        let hit = Hit {
            user_agent: Some(&long),
            sec_ch_ua: Some(r#""Chromium";v="142", "Not_A Brand";v="99""#),
            sec_ch_ua_platform: Some(r#""Android""#),
            sec_ch_ua_model: Some(r#""""#),
            ..Hit::default()
        };
        let context = full(&hit, Place::default(), &settings(""));
        assert_eq!(context.user_agent.unwrap().len(), MAX_USER_AGENT_CHARS);
        assert_eq!(context.hints["platform"], "Android");
        assert!(context.hints["brands"].starts_with("\"Chromium\""));
        assert!(!context.hints.contains_key("model"));
    }
}
