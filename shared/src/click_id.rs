//! The catalogue of click ids: which parameter belongs to which platform, what it says about source and medium when
//! the link carries no utm_*, and which wins when several came together.
//!
//! Values are opaque and case-sensitive: never changed, never cut. A value that is too long or has other characters is dropped.

use std::collections::BTreeMap;

use crate::limits::MAX_CLICK_ID_CHARS;

/// What kind of click an id proves, in order of precedence: when several are present, the first kind speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A paid click in a search network.
    PaidSearch,
    /// A paid click in a social network.
    PaidSocial,
    /// A paid click elsewhere: display, native.
    PaidOther,
    /// A partner's click.
    Affiliate,
    /// A click in an e-mail.
    Email,
    /// A click that may be organic, or surely is.
    Organic,
    /// Goes with another id and proves nothing by itself.
    Companion,
}

impl Class {
    /// Whether an id of this class proves that the click was paid for.
    pub const fn is_paid(self) -> bool {
        matches!(self, Class::PaidSearch | Class::PaidSocial | Class::PaidOther)
    }
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClickId {
    /// Canonical name of the parameter: how it is stored and shown.
    pub name: &'static str,
    /// Other names of the same parameter. Names are compared without regard to ASCII case.
    pub spellings: &'static [&'static str],
    /// Advertising platform that issued it, as the product names it.
    pub platform: &'static str,
    /// Source when utm_source is missing.
    pub source: Option<&'static str>,
    /// Medium when utm_medium is missing.
    pub medium: Option<&'static str>,
    /// Precedence, and whether it was paid for.
    pub class: Class,
    /// The value names a person, not a click: it is not stored.
    pub personal: bool,
    /// Two clicks never carry the same value, so that the same value again is the same click.
    pub unique: bool,
}

const fn id(
    name: &'static str,
    platform: &'static str,
    source: &'static str,
    medium: &'static str,
    class: Class,
) -> ClickId {
    ClickId {
        name,
        spellings: &[],
        platform,
        source: Some(source),
        medium: Some(medium),
        class,
        personal: false,
        unique: true,
    }
}

const fn aka(row: ClickId, spellings: &'static [&'static str]) -> ClickId {
    ClickId { spellings, ..row }
}

/// A value shared by many clicks.
const fn shared(row: ClickId) -> ClickId {
    ClickId { unique: false, ..row }
}

const fn personal(row: ClickId) -> ClickId {
    ClickId {
        personal: true,
        unique: false,
        ..row
    }
}

const fn companion(name: &'static str, platform: &'static str) -> ClickId {
    ClickId {
        name,
        spellings: &[],
        platform,
        source: None,
        medium: None,
        class: Class::Companion,
        personal: false,
        unique: false,
    }
}

/// The catalogue. Within a class the earlier row wins.
pub const CATALOGUE: &[ClickId] = &[
    id("gclid", "google_ads", "google", "cpc", Class::PaidSearch),
    id("wbraid", "google_ads", "google", "cpc", Class::PaidSearch),
    id("gbraid", "google_ads", "google", "cpc", Class::PaidSearch),
    id("msclkid", "microsoft_ads", "bing", "cpc", Class::PaidSearch),
    id("yclid", "yandex_direct", "yandex", "cpc", Class::PaidSearch),
    id("vmcid", "yahoo_ads", "yahoo", "cpc", Class::PaidSearch),
    shared(id("gad_campaignid", "google_ads", "google", "cpc", Class::PaidSearch)),
    shared(id("gad_source", "google_ads", "google", "cpc", Class::PaidSearch)),
    id("ttclid", "tiktok_ads", "tiktok", "paid_social", Class::PaidSocial),
    id("twclid", "x_ads", "twitter", "paid_social", Class::PaidSocial),
    id(
        "li_fat_id",
        "linkedin_ads",
        "linkedin",
        "paid_social",
        Class::PaidSocial,
    ),
    aka(
        id("ScCid", "snapchat_ads", "snapchat", "paid_social", Class::PaidSocial),
        &["sc_cid"],
    ),
    id("rdt_cid", "reddit_ads", "reddit", "paid_social", Class::PaidSocial),
    id("qclid", "quora_ads", "quora", "paid_social", Class::PaidSocial),
    id("dclid", "google_display", "google", "display", Class::PaidOther),
    id("tblci", "taboola", "taboola", "native", Class::PaidOther),
    aka(
        id("obclickid", "outbrain", "outbrain", "native", Class::PaidOther),
        &["dicbo"],
    ),
    aka(
        id("irclickid", "impact", "impact", "affiliate", Class::Affiliate),
        &["irclid"],
    ),
    shared(id("irgwc", "impact", "impact", "affiliate", Class::Affiliate)),
    id("awc", "awin", "awin", "affiliate", Class::Affiliate),
    id("cjevent", "cj", "cj", "affiliate", Class::Affiliate),
    id("ranSiteID", "rakuten", "rakuten", "affiliate", Class::Affiliate),
    shared(id("ranMID", "rakuten", "rakuten", "affiliate", Class::Affiliate)),
    shared(id("mc_cid", "mailchimp", "mailchimp", "email", Class::Email)),
    personal(id("mc_eid", "mailchimp", "mailchimp", "email", Class::Email)),
    personal(id("_kx", "klaviyo", "klaviyo", "email", Class::Email)),
    personal(id("_hsenc", "hubspot", "hubspot", "email", Class::Email)),
    shared(id("_hsmi", "hubspot", "hubspot", "email", Class::Email)),
    // Meta puts it on every outbound link, paid or not.
    id("fbclid", "meta", "facebook", "social", Class::Organic),
    aka(
        id("igshid", "instagram", "instagram", "social", Class::Organic),
        &["igsh", "igsi"],
    ),
    // On organic pins too.
    id("epik", "pinterest", "pinterest", "social", Class::Organic),
    // Free listings in Google Merchant.
    id("srsltid", "google_merchant", "google", "organic", Class::Organic),
    id("ysclid", "yandex", "yandex", "organic", Class::Organic),
    companion("gclsrc", "google_ads"),
    companion("wickedid", "wicked_reports"),
    // HubSpot's ad tracking: hsa_net names the network, the others carry its ids.
    companion("hsa_net", "hubspot_ads"),
    companion("hsa_src", "hubspot_ads"),
    companion("hsa_acc", "hubspot_ads"),
    companion("hsa_cam", "hubspot_ads"),
    companion("hsa_grp", "hubspot_ads"),
    companion("hsa_ad", "hubspot_ads"),
];

/// The row whose parameter has this name, in any ASCII case.
pub fn find(parameter: &str) -> Option<&'static ClickId> {
    // Every parameter of a query comes by here: most are told apart by their length alone.
    if !(3..=14).contains(&parameter.len()) {
        return None;
    }
    let same = |name: &str| name.len() == parameter.len() && name.eq_ignore_ascii_case(parameter);
    CATALOGUE
        .iter()
        .find(|row| same(row.name) || row.spellings.iter().any(|spelling| same(spelling)))
}

/// Whether a value may be kept: 1 to [`MAX_CLICK_ID_CHARS`] characters of `A-Z a-z 0-9 _ . ~ % -`.
pub fn is_valid(value: &str) -> bool {
    (1..=MAX_CLICK_ID_CHARS).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'~' | b'%' | b'-'))
}

/// The row that speaks for a set of ids (by any of their names): the first class present, then the catalogue's order.
/// Companions speak for nothing.
pub fn leading<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'static ClickId> {
    names
        .into_iter()
        .filter_map(find)
        .filter(|row| row.class != Class::Companion)
        .min_by_key(|row| (row.class, CATALOGUE.iter().position(|other| other.name == row.name)))
}

/// Source and medium that HubSpot's `hsa_net` or `hsa_src` name, when no click id speaks.
pub fn hubspot_network(ids: &BTreeMap<String, String>) -> Option<(&'static str, &'static str, Class)> {
    let value = ids.get("hsa_net").or_else(|| ids.get("hsa_src"))?.to_ascii_lowercase();
    match value.as_str() {
        "adwords" | "google" | "g" | "s" => Some(("google", "cpc", Class::PaidSearch)),
        "facebook" | "fb" => Some(("facebook", "paid_social", Class::PaidSocial)),
        "ig" => Some(("instagram", "paid_social", Class::PaidSocial)),
        "linkedin" => Some(("linkedin", "paid_social", Class::PaidSocial)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_and_spelling_finds_its_row_in_any_case() {
        for row in CATALOGUE {
            for name in std::iter::once(&row.name).chain(row.spellings) {
                for name in [(*name).to_owned(), name.to_uppercase(), name.to_lowercase()] {
                    assert_eq!(find(&name).map(|found| found.name), Some(row.name), "{name}");
                }
            }
        }
        for name in ["", "g", "gclid2", "gcli", "utm_source", "ref", "q", "ǧclid"] {
            assert_eq!(find(name), None, "{name}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let mut seen = BTreeSet::new();
        for row in CATALOGUE {
            for name in std::iter::once(&row.name).chain(row.spellings) {
                assert!(seen.insert(name.to_lowercase()), "{name}");
            }
        }
    }

    #[test]
    fn the_whole_list_of_known_parameters_is_covered() {
        for name in "gclid gclsrc gbraid wbraid dclid gad_source gad_campaignid srsltid fbclid igshid igsh igsi ttclid msclkid \
            twclid li_fat_id ScCid sccid sc_cid epik rdt_cid qclid yclid ysclid irclickid irclid irgwc awc cjevent ranSiteID \
            ranMID vmcid tblci obclickid dicbo mc_cid mc_eid _kx _hsenc _hsmi hsa_cam hsa_grp hsa_ad hsa_src wickedid"
            .split_whitespace()
        {
            assert!(find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn organic_markers_are_not_paid_and_personal_ones_are_marked() {
        for name in [
            "fbclid", "igshid", "igsh", "srsltid", "epik", "ysclid", "mc_cid", "awc", "gclsrc",
        ] {
            assert!(!find(name).unwrap().class.is_paid(), "{name}");
        }
        for name in [
            "gclid", "gbraid", "wbraid", "msclkid", "ttclid", "twclid", "dclid", "yclid",
        ] {
            assert!(find(name).unwrap().class.is_paid(), "{name}");
        }
        let personal: Vec<_> = CATALOGUE
            .iter()
            .filter(|row| row.personal)
            .map(|row| row.name)
            .collect();
        assert_eq!(personal, ["mc_eid", "_kx", "_hsenc"]);
    }

    #[test]
    fn paid_search_speaks_before_paid_social_before_affiliate_before_e_mail_before_organic() {
        let order = ["fbclid", "mc_cid", "awc", "ttclid", "gclid"];
        for (count, expected) in order.iter().enumerate() {
            assert_eq!(leading(order[..=count].iter().copied()).unwrap().name, *expected);
        }
        assert_eq!(leading(["gad_source", "gclid"]).unwrap().name, "gclid");
        assert_eq!(leading(["gclsrc", "wickedid", "nonsense"]), None);
    }

    #[test]
    fn a_value_is_kept_whole_or_not_at_all() {
        for good in ["x", "Cj0KCQ_-.~%3D", &"a".repeat(1_024)] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", " ", "a b", "a\0", "a<b", "ї", "a+b", "a=b", &"a".repeat(1_025)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
