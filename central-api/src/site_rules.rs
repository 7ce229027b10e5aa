//! What a site's fields and settings may hold. One place for the panel, the command line and the API.

use chrono_tz::Tz;
use rust_decimal::Decimal;

use crate::error::ApiError;
use crate::site::SiteSettings;
use crate::worker_settings;

const MAX_NAME_CHARS: usize = 100;
const MAX_DOMAINS: usize = 50;
const MAX_ENTRIES: usize = 1_000;
const MAX_RULES: usize = 200;
const MAX_POINTS: i32 = 1_000_000;

/// A name for people.
///
/// # Errors
/// 400 for `name`.
pub fn name(text: &str) -> Result<(), ApiError> {
    let fine = !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control);
    check(
        fine,
        "name",
        "a name has 1 to 100 characters, none of them control characters",
    )
}

/// The shop's hosts, trimmed and lower-case.
///
/// # Errors
/// 400 for `domains`.
pub fn domains(given: &[String]) -> Result<Vec<String>, ApiError> {
    hosts("domains", given)
}

fn hosts(field: &str, given: &[String]) -> Result<Vec<String>, ApiError> {
    check(given.len() <= MAX_DOMAINS, field, "at most 50 hosts")?;
    given
        .iter()
        .map(|domain| {
            let domain = domain.trim().to_lowercase();
            let fine = (1..=253).contains(&domain.len())
                && domain.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                });
            check(
                fine,
                field,
                "a domain is a host such as shop.example, without scheme, port and path; other alphabets in punycode",
            )?;
            Ok(domain)
        })
        .collect()
}

/// An IANA time zone.
///
/// # Errors
/// 400 for `time_zone`.
pub fn time_zone(text: &str) -> Result<Tz, ApiError> {
    text.parse()
        .map_err(|_| ApiError::invalid("time_zone", "a time zone is an IANA name such as Europe/Kyiv"))
}

/// An ISO 4217 code.
///
/// # Errors
/// 400 for `currency`.
pub fn currency(text: &str) -> Result<(), ApiError> {
    check(
        crate::currency::is_known(text),
        "currency",
        "a currency is a code of ISO 4217, three capital letters such as UAH",
    )
}

/// An ISO 3166-1 alpha-2 code.
///
/// # Errors
/// 400 for `country`.
pub fn country(text: &str) -> Result<(), ApiError> {
    // A code that the reader of phones does not know would leave every phone without a country code unread.
    let fine = text.len() == 2 && text.parse::<phonenumber::country::Id>().is_ok();
    check(
        fine,
        "country",
        "a country is two capital letters of ISO 3166-1 such as UA",
    )
}

/// A language of the panel.
///
/// # Errors
/// 400 for `language`.
pub fn language(text: &str) -> Result<(), ApiError> {
    check(matches!(text, "uk" | "en"), "language", "a language is uk or en")
}

/// Everything that a type does not say about settings.
///
/// # Errors
/// 400 for `settings.` and the setting.
pub fn settings(settings: &SiteSettings) -> Result<(), ApiError> {
    let points = settings.points.values().all(|points| points.abs() <= MAX_POINTS);
    check(
        points,
        "settings.points",
        "points are whole numbers from -1000000 to 1000000",
    )?;
    for (field, aliases) in [
        ("settings.source_aliases", &settings.source_aliases),
        ("settings.medium_aliases", &settings.medium_aliases),
    ] {
        let fine = aliases.len() <= MAX_ENTRIES && aliases.iter().all(|(raw, name)| is_alias(raw) && is_alias(name));
        check(
            fine,
            field,
            "at most 1000 aliases, each a lower-case text of 1 to 255 characters",
        )?;
    }
    let rules = settings.channel_rules.len() <= MAX_RULES
        && settings
            .channel_rules
            .iter()
            .all(|rule| rule.patterns().next().is_some() && rule.patterns().all(is_alias));
    check(
        rules,
        "settings.channel_rules",
        "at most 200 rules, each with at least one pattern of source, medium or campaign in lower case",
    )?;
    hosts("settings.payment_hosts", &settings.payment_hosts)?;
    worker_settings::check(&settings.worker)?;
    check(
        settings.look_back_days <= 365,
        "settings.look_back_days",
        "a look-back is 0 to 365 days",
    )?;
    let contacts = settings.blocked_contacts.len() <= MAX_ENTRIES
        && settings.blocked_contacts.iter().all(|contact| {
            !contact.trim().is_empty() && contact.len() <= 254 && !contact.chars().any(char::is_control)
        });
    check(
        contacts,
        "settings.blocked_contacts",
        "at most 1000 contacts of 1 to 254 characters",
    )?;
    check(
        (30..=3_650).contains(&settings.retention_days),
        "settings.retention_days",
        "events are kept for 30 to 3650 days",
    )?;
    check(
        (Decimal::ZERO..=Decimal::ONE).contains(&settings.max_cpa_share),
        "settings.max_cpa_share",
        "a share is a number from 0 to 1",
    )?;
    let (good, fair) = settings.ltv_thresholds;
    check(
        good >= fair && fair >= Decimal::ZERO,
        "settings.ltv_thresholds",
        "thresholds are two amounts, the larger one first, neither below zero",
    )?;
    let rules = &settings.customer_segments;
    check(
        (1..=3_650).contains(&rules.new_days)
            && rules.at_risk_after_days < rules.lost_after_days
            && rules.lost_after_days <= 3_650,
        "settings.customer_segments",
        "new_days is 1 to 3650, lost_after_days more than at_risk_after_days and at most 3650",
    )?;
    check(
        rules.loyal_orders >= 2 && rules.vip_revenue > Decimal::ZERO,
        "settings.customer_segments",
        "loyal_orders is at least 2, vip_revenue more than 0",
    )?;
    let bands = &settings.ltv_bands;
    check(
        (1..=20).contains(&bands.len())
            && bands.is_sorted_by(|low, high| low < high)
            && bands
                .iter()
                .all(|from| (Decimal::ONE..Decimal::from(1_000_000_000_000_i64)).contains(from) && from.scale() <= 2),
        "settings.ltv_bands",
        "1 to 20 amounts from 1 on, ascending, with at most 2 decimals",
    )?;
    let streams = &settings.revenue_streams;
    check(
        streams.len() <= 100 && streams.iter().all(|name| is_stream(name)),
        "settings.revenue_streams",
        "at most 100 names of 1 to 100 characters, without spaces around them",
    )
}

fn is_stream(text: &str) -> bool {
    (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control) && text.trim() == text
}

/// Where visitors find the shop: an address whose host is one of the site's.
///
/// # Errors
/// 400 for `settings.public_url`.
pub fn public_url(url: Option<&str>, domains: &[String]) -> Result<(), ApiError> {
    let Some(url) = url else { return Ok(()) };
    let host = url
        .parse::<axum::http::Uri>()
        .ok()
        .filter(|uri| matches!(uri.scheme_str(), Some("https" | "http")) && !url.contains('@') && url.len() <= 500)
        .and_then(|uri| Some(uri.host()?.to_lowercase()));
    check(
        host.is_some_and(|host| domains.iter().any(|domain| shared::source::is_within(&host, domain))),
        "settings.public_url",
        "an address such as https://shop.example/, whose host is one of the site's domains or below one",
    )
}

fn is_alias(text: &str) -> bool {
    (1..=255).contains(&text.chars().count())
        && !text.chars().any(|c| c.is_control() || c.is_uppercase())
        && text.trim() == text
}

fn check(fine: bool, field: &str, message: &str) -> Result<(), ApiError> {
    if fine {
        Ok(())
    } else {
        Err(ApiError::invalid(field, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_field_is_named() {
        let cases: [(Result<(), ApiError>, &str); 9] = [
            (name(" "), "name"),
            (name("a\0"), "name"),
            (name(&"x".repeat(101)), "name"),
            (domains(&["https://shop.example".into()]).map(drop), "domains"),
            (domains(&["shop..example".into()]).map(drop), "domains"),
            (time_zone("Kyiv").map(drop), "time_zone"),
            (currency("uah"), "currency"),
            (country("UKR"), "country"),
            (language("de"), "language"),
        ];
        for (result, field) in cases {
            let error = result.unwrap_err();
            assert!(
                matches!(&error, ApiError::Invalid { field: Some(named), .. } if named == field),
                "{error:?}"
            );
        }
        assert_eq!(domains(&[" Shop.Example".into()]).unwrap(), ["shop.example"]);
    }

    #[test]
    fn the_default_settings_are_allowed_and_absurd_ones_are_named() {
        settings(&SiteSettings::default()).unwrap();
        type Spoil = fn(&mut SiteSettings);
        let bad: [(&str, Spoil); 6] = [
            ("settings.look_back_days", |s| s.look_back_days = 366),
            ("settings.retention_days", |s| s.retention_days = 1),
            ("settings.max_cpa_share", |s| s.max_cpa_share = Decimal::TWO),
            ("settings.ltv_thresholds", |s| {
                s.ltv_thresholds = (Decimal::ONE, Decimal::TWO)
            }),
            ("settings.source_aliases", |s| {
                drop(s.source_aliases.insert("FB".into(), "facebook".into()))
            }),
            ("settings.blocked_contacts", |s| s.blocked_contacts.push("a\0b".into())),
        ];
        for (field, spoil) in bad {
            let mut given = SiteSettings::default();
            spoil(&mut given);
            let error = settings(&given).unwrap_err();
            assert!(
                matches!(&error, ApiError::Invalid { field: Some(named), .. } if named == field),
                "{error:?}"
            );
        }
    }
}
