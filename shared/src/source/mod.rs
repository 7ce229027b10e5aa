//! Who the well-known sources are: their spellings in `utm_source`, their hosts as referrers, and what kind of site each is.
//! Also the hosts that a shop sends its visitors to and gets them back from (payment, bank checks, sign-in), which never
//! brought anybody. The rows are facts collected by hand; none is copied from a list.

mod table;

use std::sync::LazyLock;

use table::{AD_SPELLINGS, GATEWAYS, SOURCES};

/// What kind of site a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Search engine.
    Search,
    /// Social network, messenger, forum.
    Social,
    /// Video site.
    Video,
    /// Marketplace, price comparison.
    Shopping,
    /// Web mail, newsletter service.
    Email,
    /// AI assistant.
    Ai,
    /// Advertising or partner network: known by name, nothing follows about the channel.
    Network,
}

impl Kind {
    /// Medium of a visit that came by a plain link from such a site.
    pub const fn medium(self) -> &'static str {
        match self {
            Kind::Search => "organic",
            Kind::Social => "social",
            Kind::Video => "video",
            Kind::Shopping | Kind::Network => "referral",
            Kind::Email => "email",
            Kind::Ai => "ai",
        }
    }
}

/// A well-known source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Canonical name: what reports show.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Other spellings in `utm_source`, normalised. A host of the row is a spelling too.
    pub aliases: &'static [&'static str],
    /// Hosts of its referrers; a subdomain of one counts. Package names are those of Android apps (`android-app://…`).
    pub hosts: &'static [&'static str],
}

/// First labels that only access control servers of 3-D Secure have: `acs1.bank.example`, `3ds.bank.example`.
const ACS_LABELS: &[&str] = &[
    "acs", "acs1", "acs2", "acs3", "3ds", "3dsecure", "3ds2", "mpi", "tds", "3dss",
];

/// `host` is `domain` or a subdomain of it. Both lower-case.
pub fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether the host only passes visitors on: payment, bank checks, sign-in.
pub fn is_gateway(host: &str) -> bool {
    static SORTED: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let mut domains = GATEWAYS.to_vec();
        domains.sort_unstable();
        domains
    });
    let first_label = host.split('.').next().unwrap_or_default();
    // The host itself, then what stands behind each of its dots: a few look-ups instead of the whole list on each landing.
    let mut within = std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, rest)| rest));
    ACS_LABELS.contains(&first_label) || within.any(|name| SORTED.binary_search(&name).is_ok())
}

/// Lower-case, without port, trailing dot and `www.`; `None` when it is no host name.
pub fn canonical_host(host: &str) -> Option<String> {
    let host = host.trim();
    // An IPv6 address in brackets keeps its colons.
    let at = |wanted: u8| host.bytes().position(|b| b == wanted);
    let without_port = match at(b']') {
        Some(end) => &host[..=end],
        None => &host[..at(b':').unwrap_or(host.len())],
    };
    let name = without_port.trim_end_matches('.');
    // Names of other scripts come as punycode: the tables of Unicode are hardly ever needed.
    let lower = if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        name.to_lowercase()
    };
    let name = lower.strip_prefix("www.").unwrap_or(&lower);
    let ok = !name.is_empty()
        && name.len() <= 253
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '[' | ']' | ':'));
    ok.then(|| name.to_owned())
}

/// The well-known source that a referrer's host (canonical) belongs to.
pub fn by_host(host: &str) -> Option<&'static Source> {
    let mut best: Option<(&'static Source, usize)> = None;
    for source in SOURCES {
        for domain in source.hosts {
            if domain.len() > best.map_or(0, |(_, length)| length) && is_within(host, domain) {
                best = Some((source, domain.len()));
            }
        }
    }
    best.map(|(source, _)| source)
        .or_else(|| search_of_a_country(host).and_then(by_name))
}

/// google.*, yandex.* and yahoo.* of every country: the label is followed by a country code, `com`, or `com`/`co` and a country
/// code. `google.evil.example` is none of them.
fn search_of_a_country(host: &str) -> Option<&'static str> {
    for name in ["google", "yandex", "yahoo", "bing"] {
        let Some(at) = host.find(name) else { continue };
        let before = &host[..at];
        if !(before.is_empty() || before.ends_with('.')) {
            continue;
        }
        let Some(rest) = host[at + name.len()..].strip_prefix('.') else {
            continue;
        };
        let country = |label: &str| label.len() == 2 && label.bytes().all(|b| b.is_ascii_lowercase());
        let known = match rest.split_once('.') {
            None => rest == "com" || country(rest),
            Some((first, second)) => matches!(first, "com" | "co") && country(second),
        };
        if known {
            return Some(name);
        }
    }
    None
}

fn by_name(name: &str) -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.name == name)
}

/// The well-known source that a normalised `utm_source` names: by its name, an alias, or a host.
pub fn by_spelling(source: &str) -> Option<&'static Source> {
    SOURCES
        .iter()
        .find(|row| row.name == source || row.aliases.contains(&source))
        .or_else(|| {
            if source.contains('.') {
                canonical_host(source).and_then(|host| by_host(&host))
            } else {
                None
            }
        })
}

/// Canonical source and implied medium when a normalised `utm_source` names a platform's advertising: `fb_ads`.
pub fn ad_spelling(source: &str) -> Option<(&'static str, &'static str)> {
    AD_SPELLINGS
        .iter()
        .find(|(spelling, ..)| *spelling == source)
        .map(|(_, source, medium)| (*source, *medium))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_alias_or_host_stands_twice() {
        let mut spellings = BTreeSet::new();
        let mut hosts = BTreeSet::new();
        for row in SOURCES {
            for spelling in std::iter::once(&row.name).chain(row.aliases) {
                assert!(spellings.insert(*spelling), "{spelling}");
                assert_eq!(crate::text::normalise(spelling), *spelling);
            }
            for host in row.hosts {
                assert!(hosts.insert(*host), "{host}");
                assert_eq!(canonical_host(host).as_deref(), Some(*host));
            }
        }
        for (spelling, source, _) in AD_SPELLINGS {
            assert!(spellings.insert(spelling), "{spelling}");
            assert!(by_name(source).is_some(), "{source}");
        }
    }

    #[test]
    fn referrers_find_their_source() {
        for (host, name) in [
            ("google.com", "google"),
            ("google.com.ua", "google"),
            ("google.de", "google"),
            ("google.co.uk", "google"),
            ("news.google.com", "google"),
            ("mail.google.com", "gmail"),
            ("gemini.google.com", "gemini"),
            ("shopping.google.com", "google_shopping"),
            ("com.google.android.gm", "gmail"),
            ("cn.bing.com", "bing"),
            ("search.yahoo.com", "yahoo"),
            ("uk.search.yahoo.com", "yahoo"),
            ("yahoo.co.jp", "yahoo"),
            ("yandex.ua", "yandex"),
            ("yandex.com.tr", "yandex"),
            ("l.facebook.com", "facebook"),
            ("lm.facebook.com", "facebook"),
            ("l.instagram.com", "instagram"),
            ("t.co", "twitter"),
            ("out.reddit.com", "reddit"),
            ("t.me", "telegram"),
            ("com.viber.voip", "viber"),
            ("m.youtube.com", "youtube"),
            ("chatgpt.com", "chatgpt"),
            ("chat.openai.com", "chatgpt"),
            ("copilot.microsoft.com", "copilot"),
            ("bt.rozetka.com.ua", "rozetka"),
            ("hotline.ua", "hotline"),
            ("mail.ukr.net", "ukrnet_mail"),
            ("ukr.net", "ukr.net"),
        ] {
            assert_eq!(by_host(host).map(|source| source.name), Some(name), "{host}");
        }
        for host in [
            "",
            "google.evil.example",
            "notgoogle.com",
            "evil-facebook.com",
            "facebook.com.evil.io",
            "x.com.ua",
            "blog.example",
        ] {
            assert_eq!(by_host(host), None, "{host}");
        }
    }

    #[test]
    fn spellings_find_their_source() {
        for (spelling, name) in [
            ("fb", "facebook"),
            ("ig", "instagram"),
            ("facebook.com", "facebook"),
            ("l.facebook.com", "facebook"),
            ("chatgpt.com", "chatgpt"),
            ("copilot.com", "copilot"),
            ("perplexity", "perplexity"),
            ("linkedin", "linkedin"),
            ("www.google.com.ua", "google"),
            ("тікток", "tiktok"),
        ] {
            assert_eq!(
                by_spelling(spelling).map(|source| source.name),
                Some(name),
                "{spelling}"
            );
        }
        assert_eq!(by_spelling("blogger_anna"), None);
        assert_eq!(ad_spelling("fb_ads"), Some(("facebook", "paid_social")));
    }

    #[test]
    fn payment_and_bank_hosts_never_are_a_source() {
        for host in [
            "paypal.com",
            "checkout.stripe.com",
            "liqpay.ua",
            "pay.mono.bank",
            "api.monobank.ua",
            "secure.wayforpay.com",
            "pay.fondy.eu",
            "portmone.com.ua",
            "next.privat24.ua",
            "acs.privatbank.ua",
            "klarna.com",
            "live.adyen.com",
            "pay.google.com",
            "acs2.bank.example",
            "3ds.bank.example",
            "accounts.google.com",
            "appleid.apple.com",
        ] {
            assert!(is_gateway(host), "{host}");
        }
        for host in [
            "google.com",
            "notpaypal.com",
            "paypal.com.evil.io",
            "facebook.com",
            "monobank-blog.ua",
            "",
        ] {
            assert!(!is_gateway(host), "{host}");
        }
    }

    #[test]
    fn a_host_is_brought_to_one_form() {
        for (host, canonical) in [
            ("WWW.Shop.UA:8443", Some("shop.ua")),
            ("shop.ua.", Some("shop.ua")),
            ("магазин.укр", Some("магазин.укр")),
            ("[::1]:80", Some("[::1]")),
            ("", None),
            ("www.", Some("www")),
            ("a b", None),
            ("a/b", None),
        ] {
            assert_eq!(canonical_host(host).as_deref(), canonical, "{host}");
        }
        assert_eq!(canonical_host(&"a".repeat(1_000)), None);
    }
}
