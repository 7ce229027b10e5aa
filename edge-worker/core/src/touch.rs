//! The touch of one request: tags and click ids of its query, and its outside referrer.

use shared::attribution::{TouchMark, is_direct, mark, outside_referrer};
use shared::click_id;
use shared::event::{Consent, Touch};
use shared::limits::{MAX_CLICK_IDS, MAX_PATH_CHARS, MAX_UTM_CHARS};
use shared::source::{canonical_host, is_within};
use shared::text::{clean, clean_query_value};

use crate::hit::{Hit, UrlParts, split_at_byte, split_url};
use crate::privacy;
use crate::settings::Settings;

/// Bytes of all click ids of a touch together: an event must stay well under its limit.
const MAX_CLICK_IDS_BYTES: usize = 8 * 1024;
/// Parameters of a query that are looked at.
const MAX_PARAMETERS: usize = 512;

/// The touch of a request for `page` of the shop, all of it; [`limit`] and [`anonymise`] take out what was not allowed.
pub(crate) fn read(hit: &Hit, page: UrlParts, settings: &Settings) -> Touch {
    let mut touch = Touch::default();
    read_query(page.query, &mut touch);
    let shop_host = hit.shop_host_of(page);
    if let Some(url) = hit.referring_url()
        && let Some(host) = outside_referrer(url.host, &settings.not_sources)
        && !shop_host.as_ref().is_some_and(|shop| is_within(&host, shop))
    {
        touch.referrer_host = Some(host);
        touch.referrer_path = privacy::path(url.path);
    }
    touch.landing_host = shop_host;
    touch.landing_path = privacy::path(page.path);
    touch
}

/// The touch of the page of the shop that the request came from, with `referrer`, what that page was reached from, where that is known.
/// Such a page may never have come by the edge, or may have been opened before anybody agreed to be measured.
pub(crate) fn of_referring_page(hit: &Hit, referrer: Option<&str>, settings: &Settings) -> Touch {
    let url = hit.referer.unwrap_or_default();
    let page = Hit {
        url,
        referer: referrer,
        host: None,
        ..*hit
    };
    read(&page, split_url(url), settings)
}

/// What tells an arrival with this touch from another; nothing does for a direct one.
pub(crate) fn arrival_mark(touch: &Touch) -> TouchMark {
    if is_direct(touch) {
        TouchMark::default()
    } else {
        mark(touch)
    }
}

/// Whether a URL is a page of the shop that `hit` asked.
pub(crate) fn is_of_the_shop(url: &str, hit: &Hit, settings: &Settings) -> bool {
    canonical_host(split_url(url).host).is_some_and(|host| {
        settings.hosts.iter().any(|own| is_within(&host, own)) || hit.shop_host().as_ref() == Some(&host)
    })
}

/// Whether the request came from a page of the shop itself, as the browser says.
pub(crate) fn is_internal(hit: &Hit, settings: &Settings) -> bool {
    match hit.sec_fetch_site {
        // A navigation that a service worker passes on says so too when nothing referred to it: there the Referer tells.
        Some("same-origin") if hit.sec_fetch_dest != Some("empty") => true,
        Some("cross-site" | "none") => false,
        // "same-site" may be a neighbour under a shared domain; old browsers say nothing.
        _ => hit
            .referring_url()
            .and_then(|url| canonical_host(url.host))
            .is_some_and(|host| {
                settings.hosts.iter().any(|own| is_within(&host, own))
                    || hit.shop_host().is_some_and(|shop| is_within(&host, &shop))
            }),
    }
}

/// One pass over the query. The first value that is not empty wins.
fn read_query(query: &str, touch: &mut Touch) {
    let mut left = String::new();
    let mut click_bytes = 0;
    let mut lead: Option<&'static click_id::ClickId> = None;
    let mut rest = Some(query);
    let pairs = std::iter::from_fn(|| {
        let (pair, after) = split_at_byte(rest?, b'&');
        rest = after;
        Some(pair)
    });
    for pair in pairs.take(MAX_PARAMETERS) {
        let (name, value) = split_at_byte(pair, b'=');
        let value = value.unwrap_or_default();
        // A link that was escaped for HTML twice: "&amp;utm_medium=…".
        let name = name.strip_prefix("amp;").unwrap_or(name);
        if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("utm_")) {
            if let Some(field) = utm_field(touch, &name[4..])
                && field.is_none()
            {
                *field = clean_query_value(value, MAX_UTM_CHARS).filter(|value| !privacy::has_email(value));
            }
        } else if let Some(row) = click_id::find(name) {
            // What names a person is not kept: whatever characters it has, it says which kind of click it was.
            if value.is_empty() || !(row.personal || click_id::is_valid(value)) {
                continue;
            }
            lead = click_id::leading(lead.map(|lead| lead.name).into_iter().chain([row.name]));
            if !row.personal
                && touch.click_ids.len() < MAX_CLICK_IDS
                && !touch.click_ids.contains_key(row.name)
                && click_bytes + value.len() <= MAX_CLICK_IDS_BYTES
            {
                click_bytes += value.len();
                touch.click_ids.insert(row.name.to_owned(), value.to_owned());
            }
        } else if name.eq_ignore_ascii_case("ref") {
            if touch.referral.is_none() {
                touch.referral = clean_query_value(value, MAX_UTM_CHARS).filter(|value| !privacy::is_personal(value));
            }
        } else if !value.is_empty() && left.len() < MAX_PATH_CHARS * 4 && privacy::keeps_parameter(name, value) {
            if !left.is_empty() {
                left.push('&');
            }
            left.push_str(pair);
        }
    }
    touch.click_kind = lead
        .map(|row| row.name)
        .filter(|name| !touch.click_ids.contains_key(*name))
        .map(str::to_owned);
    touch.landing_query = clean(&left, MAX_PATH_CHARS);
}

fn utm_field<'t>(touch: &'t mut Touch, name: &str) -> Option<&'t mut Option<String>> {
    // The names have different lengths but for a few, and come by on every tagged request.
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    Some(match name.len() {
        2 if is("id") => &mut touch.utm_id,
        4 if is("term") => &mut touch.utm_term,
        6 if is("source") => &mut touch.utm_source,
        6 if is("medium") => &mut touch.utm_medium,
        7 if is("content") => &mut touch.utm_content,
        8 if is("campaign") => &mut touch.utm_campaign,
        15 if is("source_platform") => &mut touch.utm_source_platform,
        15 if is("creative_format") => &mut touch.utm_creative_format,
        _ => return None,
    })
}

/// Takes out of a touch what `consent` does not allow.
pub(crate) fn limit(touch: Touch, consent: Consent) -> Touch {
    match consent {
        Consent::Granted => touch,
        Consent::Limited => Touch {
            click_kind: kind(&touch),
            click_ids: Default::default(),
            fbc: None,
            fbp: None,
            ttp: None,
            ..touch
        },
        _ => anonymise(touch),
    }
}

/// What a touch may say of a visitor whom nobody remembers: the channel, and nothing that tells two of them apart.
pub(crate) fn anonymise(touch: Touch) -> Touch {
    let impersonal = |value: Option<String>| value.filter(|value| !privacy::is_personal(value));
    Touch {
        click_kind: kind(&touch),
        utm_source: impersonal(touch.utm_source),
        utm_medium: impersonal(touch.utm_medium),
        utm_campaign: impersonal(touch.utm_campaign),
        referrer_host: touch.referrer_host,
        ..Touch::default()
    }
}

fn kind(touch: &Touch) -> Option<String> {
    click_id::leading(
        touch
            .click_ids
            .keys()
            .map(String::as_str)
            .chain(touch.click_kind.as_deref()),
    )
    .map(|row| row.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    fn touch(query: &str, referer: &str) -> Touch {
        let url = format!("https://shop.ua/p?{query}");
        let hit = Hit {
            url: &url,
            referer: Some(referer),
            ..Hit::default()
        };
        read(&hit, split_url(&url), &settings(""))
    }

    #[test]
    fn tags_are_decoded_and_cleaned_and_the_first_that_says_something_wins() {
        let touch = touch(
            "utm_source=&utm_source=F%42&UTM_MEDIUM=paid+social&amp;utm_campaign=%D0%9B%D1%96%D1%82%D0%BE%00&utm_id=1&utm_x=1",
            "",
        );
        assert_eq!(touch.utm_source.as_deref(), Some("FB"));
        assert_eq!(touch.utm_medium.as_deref(), Some("paid social"));
        assert_eq!(touch.utm_campaign.as_deref(), Some("Літо"));
        assert_eq!(touch.utm_id.as_deref(), Some("1"));
    }

    #[test]
    fn click_ids_are_kept_as_they_are_under_their_canonical_name() {
        let touch = touch(
            "gclid=AbC%3D_-.~&sccid=Zz&fbclid=IwAR0&msclkid=a+b&ttclid=&irclid=1",
            "",
        );
        let ids: Vec<_> = touch
            .click_ids
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            ids,
            [
                ("ScCid", "Zz"),
                ("fbclid", "IwAR0"),
                ("gclid", "AbC%3D_-.~"),
                ("irclickid", "1")
            ]
        );
        assert_eq!(touch.click_kind, None);
    }

    #[test]
    fn an_id_of_a_person_leaves_only_its_kind() {
        let touch = touch("_kx=person123", "");
        assert!(touch.click_ids.is_empty());
        assert_eq!(touch.click_kind.as_deref(), Some("_kx"));
        assert_eq!(self::touch("_kx=person123&gclid=x", "").click_kind, None);
        assert_eq!(self::touch("_kx=cGVyc29u=.Ab", "").click_kind.as_deref(), Some("_kx"));
        assert_eq!(self::touch("_kx=&mc_eid", "").click_kind, None);
    }

    #[test]
    fn a_long_click_id_is_dropped_and_many_are_bounded() {
        assert!(touch(&format!("gclid={}", "a".repeat(1_025)), "").click_ids.is_empty());
        let all: Vec<_> = click_id::CATALOGUE
            .iter()
            .map(|row| format!("{}={}", row.name, "a".repeat(1_024)))
            .collect();
        let touch = touch(&all.join("&"), "");
        assert!(touch.click_ids.values().map(String::len).sum::<usize>() <= MAX_CLICK_IDS_BYTES);
        let short: Vec<_> = click_id::CATALOGUE
            .iter()
            .map(|row| format!("{}=x", row.name))
            .collect();
        assert_eq!(self::touch(&short.join("&"), "").click_ids.len(), MAX_CLICK_IDS);
    }

    #[test]
    fn the_referrer_is_an_outside_one_without_query() {
        for (referer, host, path) in [
            (
                "https://www.Google.com/search?q=secret",
                Some("google.com"),
                Some("/search"),
            ),
            (
                "android-app://com.google.android.gm/",
                Some("com.google.android.gm"),
                Some("/"),
            ),
            ("https://shop.ua/other", None, None),
            ("https://checkout.shop.ua/", None, None),
            ("https://www.liqpay.ua/checkout/x", None, None),
            ("https://acs.bank.example/3ds", None, None),
            ("javascript:alert(1)", None, None),
            ("https://", None, None),
            ("about:blank", None, None),
            ("\0", None, None),
            ("https://a b/", None, None),
            (
                "https://forum.example:8443/u/a@b.ua",
                Some("forum.example"),
                Some("/u/*"),
            ),
        ] {
            let touch = touch("", referer);
            assert_eq!(
                (touch.referrer_host.as_deref(), touch.referrer_path.as_deref()),
                (host, path),
                "{referer}"
            );
        }
    }

    #[test]
    fn the_rest_of_the_query_stays_without_what_is_tracked_or_personal() {
        let touch = touch(
            "size=xl&utm_source=a&gclid=b&email=c%40d.ua&ref=anna&page=2&token=x",
            "",
        );
        assert_eq!(touch.landing_query.as_deref(), Some("size=xl&page=2"));
        assert_eq!(touch.referral.as_deref(), Some("anna"));
    }

    #[test]
    fn a_tag_that_is_an_e_mail_address_is_dropped() {
        let tagged = touch("utm_content=anna%40mail.ua&utm_term=promo%40home&utm_source=a", "");
        assert_eq!(
            (tagged.utm_content, tagged.utm_term.as_deref()),
            (None, Some("promo@home"))
        );
        // A `+` that nobody escaped, an address among words, escaped twice and three times.
        for value in [
            "anna+x@mail.ua",
            "for+anna%40mail.ua",
            "anna%2540mail.ua",
            "anna%252540mail.ua",
        ] {
            assert_eq!(touch(&format!("utm_content={value}"), "").utm_content, None, "{value}");
        }
        for value in ["50%25", "%40", "sale+@+home", "100%"] {
            assert!(
                touch(&format!("utm_content={value}"), "").utm_content.is_some(),
                "{value}"
            );
        }
    }

    #[test]
    fn hostile_queries_do_no_harm() {
        for query in [
            "",
            "&",
            "=",
            "&&==&",
            "utm_",
            "utm_=x",
            "ut",
            "%",
            "utm_source=%",
            "ї=ї&utm_їїї=1",
            &"a=b&".repeat(100_000),
            &"x".repeat(1_000_000),
        ] {
            let touch = touch(query, query);
            assert!(touch.utm_source.as_deref().is_none_or(|source| source == "%"));
            assert!(serde_json::to_string(&touch).unwrap().len() < 16 * 1024);
        }
    }

    #[test]
    fn what_is_not_allowed_is_taken_out_and_the_channel_stays() {
        let full = touch(
            "gclid=SECRET1&utm_source=google&utm_term=a&utm_campaign=x%40y.ua",
            "https://google.com/x",
        );
        let limited = limit(full.clone(), Consent::Limited);
        assert_eq!(
            (limited.click_kind.as_deref(), limited.click_ids.len()),
            (Some("gclid"), 0)
        );
        assert_eq!(limited.utm_term.as_deref(), Some("a"));
        let anonymous = limit(full, Consent::Gpc);
        assert_eq!(anonymous.click_kind.as_deref(), Some("gclid"));
        assert_eq!(
            (
                anonymous.utm_term,
                anonymous.utm_campaign,
                anonymous.landing_path,
                anonymous.referrer_path
            ),
            (None, None, None, None)
        );
    }
}
