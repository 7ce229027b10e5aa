//! Meta's `_fbc` and `_fbp` and TikTok's `_ttp`: read, checked, and Meta's built by its published rule
//! (`fb.<index>.<milliseconds>.<value>`).

use crate::cookie::{Cookies, set_cookie};
use crate::hit::{Hit, split_url};
use crate::settings::Settings;

/// 90 days.
const MAX_AGE_SECONDS: i64 = 7_776_000;

/// The three as they hold after this request, and the cookies to set for those that changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct MetaIds {
    pub(crate) fbc: Option<String>,
    pub(crate) fbp: Option<String>,
    pub(crate) ttp: Option<String>,
    pub(crate) set_cookies: Vec<String>,
}

/// Call it only where advertising is allowed. `fbclid` is the query's, valid; without one the Referer's query is asked.
pub(crate) fn read(
    hit: &Hit,
    cookies: &Cookies,
    fbclid: Option<&str>,
    settings: &Settings,
    now_ms: i64,
    random: [u8; 4],
) -> MetaIds {
    let mut ids = MetaIds {
        fbc: cookies
            .fbc
            .filter(|value| click_segment(value).is_some())
            .map(str::to_owned),
        fbp: cookies.fbp.filter(|value| is_fbp(value)).map(str::to_owned),
        ttp: cookies
            .ttp
            .filter(|value| value.len() <= 255 && shared::click_id::is_valid(value))
            .map(str::to_owned),
        set_cookies: Vec::new(),
    };
    let fbclid = fbclid.or_else(|| {
        let query = split_url(hit.referer?).query;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix("fbclid="))
            .filter(|value| shared::click_id::is_valid(value))
    });
    // Meta's ids have no dot. One that has would be cut at it when the fbc is read, and pass for another click on every page.
    let fbclid = fbclid.filter(|value| !value.contains('.'));
    // Replaced only when the click differs: the time in it is the time of the click.
    if let Some(fbclid) = fbclid
        && ids.fbc.as_deref().and_then(click_segment) != Some(fbclid)
    {
        let fbc = format!("fb.{}.{now_ms}.{fbclid}", subdomain_index(hit, settings));
        if settings.meta_cookies {
            ids.set_cookies
                .push(set_cookie(settings, "_fbc", &fbc, MAX_AGE_SECONDS, false));
        }
        ids.fbc = Some(fbc);
    }
    if ids.fbp.is_none() && settings.meta_cookies {
        let number = u32::from_be_bytes(random) % 2_147_483_647;
        let fbp = format!("fb.{}.{now_ms}.{number}", subdomain_index(hit, settings));
        ids.set_cookies
            .push(set_cookie(settings, "_fbp", &fbp, MAX_AGE_SECONDS, false));
        ids.fbp = Some(fbp);
    }
    ids
}

/// Labels of the cookie's domain less one: 1 for `example.com`, 2 for `example.co.uk`, 0 for an address or a single label.
/// The domain is the configured one; without it the host stands for it, `www.` left out. That is exact for a shop on its
/// registrable domain and needs no list of public suffixes; a shop on a deeper host configures `cookie_domain`.
fn subdomain_index(hit: &Hit, settings: &Settings) -> usize {
    let domain = settings
        .cookie_domain
        .clone()
        .or_else(|| hit.shop_host())
        .unwrap_or_default();
    if domain.parse::<std::net::Ipv4Addr>().is_ok() || domain.starts_with('[') {
        return 0;
    }
    domain.split('.').count().saturating_sub(1)
}

/// The fbclid in an `_fbc` of four or five segments.
fn click_segment(fbc: &str) -> Option<&str> {
    segments(fbc).filter(|value| shared::click_id::is_valid(value))
}

fn is_fbp(fbp: &str) -> bool {
    segments(fbp).is_some_and(|number| number.len() <= 20 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The fourth segment, when the first three are right. An fbclid may itself hold dots only in the appendix: five at most.
fn segments(value: &str) -> Option<&str> {
    if value.len() > 1_100 {
        return None;
    }
    let mut parts = value.split('.');
    let digits = |part: &str| !part.is_empty() && part.len() <= 16 && part.bytes().all(|b| b.is_ascii_digit());
    let right = parts.next()? == "fb" && parts.next().is_some_and(digits) && parts.next().is_some_and(digits);
    let value = parts.next().filter(|value| !value.is_empty())?;
    let appendix = parts.next();
    let right = right && appendix.is_none_or(|part| matches!(part.len(), 2 | 8)) && parts.next().is_none();
    right.then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::tests::settings;

    const NOW: i64 = 1_763_600_000_000;

    fn ids(more: &str, url: &str, referer: &str, cookie: &str, fbclid: Option<&str>) -> MetaIds {
        let settings = settings(more);
        let hit = Hit {
            url,
            referer: Some(referer),
            ..Hit::default()
        };
        read(
            &hit,
            &Cookies::read(Some(cookie), &settings),
            fbclid,
            &settings,
            NOW,
            [0xff; 4],
        )
    }

    #[test]
    fn fbc_is_built_from_the_click_and_kept_while_the_click_is_the_same() {
        let fbc = |cookie: &str, fbclid: Option<&str>| ids("", "https://shop.ua/", "", cookie, fbclid).fbc;
        assert_eq!(fbc("", Some("IwAR_x")).as_deref(), Some("fb.1.1763600000000.IwAR_x"));
        assert_eq!(
            fbc("_fbc=fb.1.1700000000000.IwAR_x", Some("IwAR_x")).as_deref(),
            Some("fb.1.1700000000000.IwAR_x")
        );
        assert_eq!(
            fbc("_fbc=fb.1.1700000000000.IwAR_x.Ag", Some("IwAR_x")).as_deref(),
            Some("fb.1.1700000000000.IwAR_x.Ag")
        );
        assert_eq!(
            fbc("_fbc=fb.1.1700000000000.old", Some("IwAR_x")).as_deref(),
            Some("fb.1.1763600000000.IwAR_x")
        );
        assert_eq!(
            fbc("_fbc=fb.1.1700000000000.old", None).as_deref(),
            Some("fb.1.1700000000000.old")
        );
        for broken in [
            "fb.1.x.y",
            "fb.1.1",
            "gb.1.1.y",
            "fb.1.1.",
            "fb.1.1.y.zzz",
            "fb.1.1.y.zz.q",
            "fb.1.1.a<b",
        ] {
            assert_eq!(fbc(&format!("_fbc={broken}"), None), None, "{broken}");
        }
    }

    #[test]
    fn the_index_is_the_labels_of_the_domain_less_one() {
        for (more, url, index) in [
            ("", "https://www.shop.ua/", "1"),
            ("", "https://shop.com.ua/", "2"),
            (r#""cookie_domain":"shop.co.uk""#, "https://a.b.shop.co.uk/", "2"),
            ("", "http://127.0.0.1:8787/", "0"),
            ("", "http://localhost:8787/", "0"),
            ("", "http://[::1]:8787/", "0"),
            ("", "", "0"),
        ] {
            let fbc = ids(more, url, "", "", Some("x")).fbc.unwrap();
            assert_eq!(fbc.split('.').nth(1), Some(index), "{url}");
        }
    }

    #[test]
    fn the_referers_query_is_asked_after_the_pages_own() {
        let fbc = |fbclid| {
            ids("", "https://shop.ua/", "https://shop.ua/a?x=1&fbclid=ref", "", fbclid)
                .fbc
                .unwrap()
        };
        assert!(fbc(None).ends_with(".ref") && fbc(Some("own")).ends_with(".own"));
    }

    #[test]
    fn cookies_are_written_only_where_the_site_wants_it() {
        assert!(ids("", "https://shop.ua/", "", "", Some("x")).set_cookies.is_empty());
        let written = ids(
            r#""meta_cookies":true,"cookie_domain":"shop.ua""#,
            "https://shop.ua/",
            "",
            "",
            Some("x"),
        );
        assert_eq!(
            written.set_cookies,
            [
                "_fbc=fb.1.1763600000000.x; Max-Age=7776000; Path=/; Domain=shop.ua; Secure; SameSite=Lax",
                "_fbp=fb.1.1763600000000.1; Max-Age=7776000; Path=/; Domain=shop.ua; Secure; SameSite=Lax",
            ]
        );
        let kept = ids(
            r#""meta_cookies":true"#,
            "https://shop.ua/",
            "",
            "_fbp=fb.1.1.5; _ttp=aB-c",
            None,
        );
        assert_eq!(
            (kept.fbp.as_deref(), kept.ttp.as_deref(), kept.set_cookies.len()),
            (Some("fb.1.1.5"), Some("aB-c"), 0)
        );
        let mended = ids(
            r#""meta_cookies":true"#,
            "https://shop.ua/",
            "",
            "_fbp=fb.1.1.x; _ttp=a<b",
            None,
        );
        assert_eq!((mended.set_cookies.len(), mended.ttp), (1, None));
    }

    proptest! {
        #[test]
        fn the_click_of_an_fbc_that_was_built_is_known_again(click in "[A-Za-z0-9_~%-]{1,40}|[A-Za-z0-9_.~%-]{1,40}", later in "[A-Za-z0-9_-]{1,40}") {
            let built = ids(r#""meta_cookies":true"#, "https://shop.ua/", "", "", Some(&click));
            prop_assert_eq!(built.fbc.is_none(), click.contains('.'));
            let header = format!("a=b; _fbc={}; _fbp={}", built.fbc.clone().unwrap_or_default(), built.fbp.clone().unwrap());
            let again = |click: Option<&str>| ids(r#""meta_cookies":true"#, "https://shop.ua/", "", &header, click);
            for next in [again(None), again(Some(&click))] {
                prop_assert_eq!((&next.fbc, &next.fbp), (&built.fbc, &built.fbp));
                prop_assert!(next.set_cookies.is_empty(), "{:?}", next.set_cookies);
            }
            let replaced = again(Some(&later)).fbc.unwrap();
            prop_assert_eq!(replaced.split_once(".1763600000000."), Some(("fb.1", later.as_str())));
        }
    }
}
