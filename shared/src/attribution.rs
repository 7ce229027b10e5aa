//! From a raw touch to its attribution: normalised tags, inferred source and medium, channel.
//!
//! utm_* beats a click id, a click id beats the referrer. What is missing is inferred only where it follows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::channel::{self, Channel, Signals};
use crate::click_id::{self, ClickId};
use crate::event::Touch;
use crate::source::{self, Kind};
use crate::text::normalise;

/// A site's own spellings on top of the built-in ones: normalised raw value → canonical value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aliases {
    /// For `utm_source`.
    pub source: BTreeMap<String, String>,
    /// For `utm_medium`.
    pub medium: BTreeMap<String, String>,
}

/// What a touch says, in the form that reports group by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// Canonical source.
    pub utm_source: Option<String>,
    /// Canonical medium.
    pub utm_medium: Option<String>,
    /// Campaign, normalised.
    pub utm_campaign: Option<String>,
    /// Content, normalised.
    pub utm_content: Option<String>,
    /// Term, normalised.
    pub utm_term: Option<String>,
    /// Campaign id, normalised.
    pub utm_id: Option<String>,
    /// Platform, normalised.
    pub utm_source_platform: Option<String>,
    /// Creative format, normalised.
    pub utm_creative_format: Option<String>,
    /// Raw values that differ from the fields above, by parameter.
    pub raw: BTreeMap<String, String>,
    /// Channel.
    pub channel: Channel,
    /// Source or medium was inferred, not tagged.
    pub inferred: bool,
    /// Advertising platform of the click id that speaks.
    pub click_platform: Option<&'static str>,
    /// Host of the referrer; absent when it was the shop itself or a gateway.
    pub referrer_host: Option<String>,
    /// Its path.
    pub referrer_path: Option<String>,
}

/// Whether nothing names a source: no utm_*, no click id that means something, no referrer. Own hosts and gateways must be out
/// already ([`outside_referrer`]).
pub fn is_direct(touch: &Touch) -> bool {
    utm_values(touch).all(|(_, value)| value.is_none())
        && leading_click(touch).is_none()
        && touch.referrer_host.is_none()
}

/// The referrer's host in canonical form, unless it is the shop itself or a gateway.
pub fn outside_referrer(host: &str, own_hosts: &[impl AsRef<str>]) -> Option<String> {
    let host = source::canonical_host(host)?;
    let own = own_hosts
        .iter()
        .any(|own| source::is_within(&host, own.as_ref().trim_start_matches("www.")));
    (!own && !source::is_gateway(&host)).then_some(host)
}

/// What `touch` says, read with a site's hosts (lower-case, subdomains count) and aliases.
pub fn resolve(touch: &Touch, own_hosts: &[impl AsRef<str>], aliases: &Aliases) -> Attribution {
    let referrer_host = touch
        .referrer_host
        .as_deref()
        .and_then(|host| outside_referrer(host, own_hosts));
    let given = |value: &Option<String>| value.as_deref().map(normalise).filter(|value| !value.is_empty());

    let mut utm_source = given(&touch.utm_source);
    let mut utm_medium = given(&touch.utm_medium);
    let mut utm_campaign = given(&touch.utm_campaign);
    let mut implied_medium = None;
    if let Some(source) = &mut utm_source
        && let Some((canonical, medium)) = canonical_source(source, &aliases.source)
    {
        *source = canonical;
        implied_medium = medium;
    }
    if let Some(medium) = &mut utm_medium
        && let Some(canonical) = canonical_medium(medium, &aliases.medium)
    {
        *medium = canonical;
    }

    let click = leading_click(touch);
    let from_click = click
        .and_then(|row| Some((row.source?, row.medium?, row.class)))
        .or_else(|| click_id::hubspot_network(&touch.click_ids));
    let referrer = referrer_host.as_deref().map(source_of_host);

    let mut inferred = false;
    if utm_source.is_none() {
        // Qwant's assistant names itself in the campaign and nowhere else: it is a source, not a campaign.
        let assistant = utm_campaign
            .as_deref()
            .and_then(source::by_spelling)
            .filter(|row| row.kind == Kind::Ai && utm_medium.is_none() && from_click.is_none());
        if let Some(row) = assistant {
            utm_source = Some(row.name.to_owned());
            utm_medium = Some(row.kind.medium().to_owned());
            utm_campaign = None;
            inferred = true;
        } else if let Some((source, medium)) = from_click.map(|(source, medium, _)| (source, medium)).or(referrer) {
            utm_source = Some(source.to_owned());
            inferred = true;
            if utm_medium.is_none() {
                utm_medium = Some(medium.to_owned());
            }
        }
    } else if utm_medium.is_none() {
        let source = utm_source.as_deref().unwrap_or_default();
        let kind = source::by_spelling(source).map(|row| row.kind);
        // Follows: the spelling names ads; the click id is of the same source; an assistant sells no clicks.
        let medium = implied_medium
            .or_else(|| {
                from_click
                    .filter(|(of, ..)| same_company(of, source))
                    .map(|(_, medium, _)| medium)
            })
            .or_else(|| (kind == Some(Kind::Ai)).then(|| Kind::Ai.medium()));
        if let Some(medium) = medium {
            utm_medium = Some(medium.to_owned());
            inferred = true;
        }
    }
    // An assistant that repeats its name as the campaign opens no campaign.
    if let (Some(source), Some(campaign)) = (&utm_source, &utm_campaign)
        && source::by_spelling(campaign).is_some_and(|row| row.kind == Kind::Ai && row.name == source)
    {
        utm_campaign = None;
    }

    let channel = channel::classify(&Signals {
        source: utm_source.as_deref(),
        medium: utm_medium.as_deref(),
        campaign: utm_campaign.as_deref(),
        tagged: utm_values(touch).any(|(_, value)| value.is_some()),
        click: from_click.map(|(.., class)| class),
        free_listing: click.is_some_and(|row| row.platform == "google_merchant"),
    });

    let mut attribution = Attribution {
        utm_source,
        utm_medium,
        utm_campaign,
        utm_content: given(&touch.utm_content),
        utm_term: given(&touch.utm_term),
        utm_id: given(&touch.utm_id),
        utm_source_platform: given(&touch.utm_source_platform),
        utm_creative_format: given(&touch.utm_creative_format),
        raw: BTreeMap::new(),
        channel,
        inferred,
        click_platform: click.map(|row| row.platform),
        referrer_path: referrer_host.as_ref().and(touch.referrer_path.clone()),
        referrer_host,
    };
    attribution.raw = utm_values(touch)
        .zip(attribution.values())
        .filter_map(|((name, raw), normalised)| {
            let raw = raw.filter(|raw| Some(*raw) != normalised)?;
            Some((name.to_owned(), raw.to_owned()))
        })
        .collect();
    attribution
}

impl Attribution {
    /// The eight values in the order of [`UTM_NAMES`].
    pub fn values(&self) -> [Option<&str>; 8] {
        [
            self.utm_source.as_deref(),
            self.utm_medium.as_deref(),
            self.utm_campaign.as_deref(),
            self.utm_content.as_deref(),
            self.utm_term.as_deref(),
            self.utm_id.as_deref(),
            self.utm_source_platform.as_deref(),
            self.utm_creative_format.as_deref(),
        ]
    }
}

/// The parameters that count as utm.
pub const UTM_NAMES: [&str; 8] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "utm_id",
    "utm_source_platform",
    "utm_creative_format",
];

fn utm_values(touch: &Touch) -> impl Iterator<Item = (&'static str, Option<&str>)> {
    let values = [
        &touch.utm_source,
        &touch.utm_medium,
        &touch.utm_campaign,
        &touch.utm_content,
        &touch.utm_term,
        &touch.utm_id,
        &touch.utm_source_platform,
        &touch.utm_creative_format,
    ];
    UTM_NAMES.into_iter().zip(values.map(|value| value.as_deref()))
}

fn leading_click(touch: &Touch) -> Option<&'static ClickId> {
    click_id::leading(
        touch
            .click_ids
            .keys()
            .map(String::as_str)
            .chain(touch.click_kind.as_deref()),
    )
}

/// What a normalised source is called in reports, where that is another name or a spelling known by itself; and the medium that it implies.
pub fn canonical_source(source: &str, aliases: &BTreeMap<String, String>) -> Option<(String, Option<&'static str>)> {
    if let Some(canonical) = aliases.get(source) {
        return Some((normalise(canonical), None));
    }
    if let Some((canonical, medium)) = source::ad_spelling(source) {
        return Some((canonical.to_owned(), Some(medium)));
    }
    source::by_spelling(source).map(|row| (row.name.to_owned(), None))
}

/// Source and medium of a referrer's host (canonical). One without a dot may be spelled as a source is, and is that one, as it would be in
/// a `utm_source`.
fn source_of_host(host: &str) -> (&str, &str) {
    let of_row = |row: &'static source::Source| (row.name, row.kind.medium());
    let known = if host.contains('.') {
        source::by_host(host).map(of_row)
    } else {
        source::ad_spelling(host).or_else(|| source::by_spelling(host).map(of_row))
    };
    known.unwrap_or((host, "referral"))
}

/// What a normalised medium is called in reports, where that is another name or a spelling known by itself.
pub fn canonical_medium(medium: &str, aliases: &BTreeMap<String, String>) -> Option<String> {
    match aliases.get(medium) {
        Some(canonical) => Some(normalise(canonical)),
        None => medium_alias(medium).map(str::to_owned),
    }
}

/// Facebook's click id rides on Instagram, Messenger and Threads as well; otherwise a name is a company.
fn same_company(click_source: &str, source: &str) -> bool {
    click_source == source
        || (click_source == "facebook" && matches!(source, "instagram" | "messenger" | "threads" | "audience_network"))
        || (click_source == "google" && matches!(source, "youtube" | "google_shopping"))
}

/// Spellings of mediums that are one: reports group by the second.
fn medium_alias(medium: &str) -> Option<&'static str> {
    Some(match medium {
        "ppc" | "paid_search" | "paid-search" | "paid search" | "paidsearch" | "sem" => "cpc",
        "paidsocial" | "paid-social" | "paid social" | "social_paid" | "social-paid" | "cpc_social"
        | "paid_socials" => "paid_social",
        "e-mail" | "e_mail" | "e mail" | "mail" | "newsletter" | "mailing" => "email",
        "social-network" | "social network" | "social_network" | "social-media" | "social media" | "social_media"
        | "sm" | "smm" => "social",
        "affiliates" | "partner" | "partners" => "affiliate",
        "webpush" | "web_push" | "web-push" | "web push" => "push",
        "banners" => "banner",
        _ => return None,
    })
}

/// What tells one touch from another, small enough for a cookie. Zero means "none".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TouchMark {
    /// Over the click ids that no two clicks share.
    pub click: u64,
    /// Over the utm set; without one and without `click`, over the other click ids.
    pub utm: u64,
    /// Over the referrer's host.
    pub referrer: u64,
}

/// The mark of a touch whose referrer is outside. Stable: 64-bit FNV-1a over names and raw values, each ended by a zero byte.
pub fn mark(touch: &Touch) -> TouchMark {
    let (mut click, mut utm, mut referrer) = (Fnv1a::default(), Fnv1a::default(), Fnv1a::default());
    for (name, value) in &touch.click_ids {
        if click_id::find(name).is_some_and(|row| row.unique) {
            click.pair(name, value);
        }
    }
    for (name, value) in utm_values(touch) {
        if let Some(value) = value {
            utm.pair(name, value);
        }
    }
    if let Some(host) = &touch.referrer_host {
        referrer.pair("referrer", host);
    }
    if click.0 == 0 && utm.0 == 0 && leading_click(touch).is_some() {
        // Only ids that many clicks share, or the kind of one whose value may not be kept.
        for (name, value) in &touch.click_ids {
            utm.pair(name, value);
        }
        if let Some(kind) = &touch.click_kind {
            utm.pair("click_kind", kind);
        }
    }
    TouchMark {
        click: click.0,
        utm: utm.0,
        referrer: referrer.0,
    }
}

/// One number for "the same touch": over the click ids, else the utm set, else the referrer's host; 0 for `direct`.
pub fn fingerprint(touch: &Touch) -> u64 {
    let mark = mark(touch);
    [mark.click, mark.utm, mark.referrer]
        .into_iter()
        .find(|part| *part != 0)
        .unwrap_or(0)
}

/// 64-bit FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv): not secret, only stable and cheap. 0 for no pairs.
#[derive(Default)]
struct Fnv1a(u64);

impl Fnv1a {
    #[inline(never)]
    fn pair(&mut self, name: &str, value: &str) {
        let mut hash = match self.0 {
            0 => 0xcbf2_9ce4_8422_2325,
            begun => begun,
        };
        for part in [name, value] {
            for byte in part.bytes() {
                hash = fnv_1a_byte(hash, byte);
            }
            hash = fnv_1a_byte(hash, 0);
        }
        self.0 = hash;
    }
}

const fn fnv_1a_byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
}
