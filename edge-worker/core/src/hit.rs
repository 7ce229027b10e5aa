//! One request as plain text: what the adapter reads from the runtime, and how its URLs are taken apart.

/// A request, borrowed. Every header is optional and may hold anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hit<'a> {
    /// `GET`, `POST`, …, upper-case.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// `Host`; where it is given it names the shop's host, else the URL does.
    pub host: Option<&'a str>,
    /// `Accept`
    pub accept: Option<&'a str>,
    /// `User-Agent`
    pub user_agent: Option<&'a str>,
    /// `Referer`
    pub referer: Option<&'a str>,
    /// `Cookie`
    pub cookie: Option<&'a str>,
    /// `Accept-Language`
    pub accept_language: Option<&'a str>,
    /// `Sec-Fetch-Mode`
    pub sec_fetch_mode: Option<&'a str>,
    /// `Sec-Fetch-Dest`
    pub sec_fetch_dest: Option<&'a str>,
    /// `Sec-Fetch-Site`
    pub sec_fetch_site: Option<&'a str>,
    /// `Sec-Purpose`
    pub sec_purpose: Option<&'a str>,
    /// `Purpose`
    pub purpose: Option<&'a str>,
    /// `X-Purpose`: the previews of Facebook's app and of Safari.
    pub x_purpose: Option<&'a str>,
    /// `X-Moz`
    pub x_moz: Option<&'a str>,
    /// `Sec-GPC`
    pub sec_gpc: Option<&'a str>,
    /// `DNT`
    pub dnt: Option<&'a str>,
    /// `X-Requested-With`
    pub x_requested_with: Option<&'a str>,
    /// `Sec-CH-UA`
    pub sec_ch_ua: Option<&'a str>,
    /// `Sec-CH-UA-Mobile`
    pub sec_ch_ua_mobile: Option<&'a str>,
    /// `Sec-CH-UA-Platform`
    pub sec_ch_ua_platform: Option<&'a str>,
    /// `Sec-CH-UA-Platform-Version`
    pub sec_ch_ua_platform_version: Option<&'a str>,
    /// `Sec-CH-UA-Model`
    pub sec_ch_ua_model: Option<&'a str>,
    /// `Origin`
    pub origin: Option<&'a str>,
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    /// Address that connected.
    pub ip: Option<&'a str>,
    /// What the platform knows about the connection.
    pub cf: Cf<'a>,
    /// More landings came from this address than people make: see [`crate::rate`].
    pub crowded: bool,
}

/// Fields of the platform's `request.cf`, each as text. All of them may be missing and may hold anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cf<'a> {
    /// Two letters; `T1` is Tor, `XX` is unknown.
    pub country: Option<&'a str>,
    /// Name of the region.
    pub region: Option<&'a str>,
    /// Name of the city.
    pub city: Option<&'a str>,
    /// IANA name.
    pub timezone: Option<&'a str>,
    /// Two letters.
    pub continent: Option<&'a str>,
    /// Number of the network.
    pub asn: Option<&'a str>,
    /// Who runs the network.
    pub as_organization: Option<&'a str>,
    /// Category of a bot that the platform knows by name.
    pub verified_bot_category: Option<&'a str>,
    /// Bot management's score, 1 (automated) to 99 (human); present only with that add-on.
    pub bot_score: Option<&'a str>,
    /// `true` for a bot that the platform has verified; present only with that add-on.
    pub verified_bot: Option<&'a str>,
}

/// Parts of a URL, as they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UrlParts<'a> {
    /// Lower-case by convention of those who send it; not checked.
    pub(crate) scheme: &'a str,
    /// With port.
    pub(crate) host: &'a str,
    /// Begins with `/` or is empty.
    pub(crate) path: &'a str,
    /// Without `?`.
    pub(crate) query: &'a str,
}

/// Takes an absolute URL apart without judging it; a text without `://` is a path. Nothing is allocated: a full URL parser with
/// its name tables would weigh as much as the rest of the worker.
pub(crate) fn split_url(url: &str) -> UrlParts<'_> {
    let url = &url[..cut(url, |b| b == b'#')];
    // A scheme ends at the first of these bytes, if at all.
    let (scheme, rest) = match url.split_at(cut(url, |b| matches!(b, b':' | b'/' | b'?'))) {
        (scheme, rest) if rest.starts_with("://") => (scheme, &rest[3..]),
        _ => ("", url),
    };
    let (before_query, query) = rest.split_at(cut(rest, |b| b == b'?'));
    let query = query.strip_prefix('?').unwrap_or_default();
    let (authority, path) = match scheme {
        "" => ("", before_query),
        _ => before_query.split_at(cut(before_query, |b| b == b'/')),
    };
    let host = match authority.bytes().rposition(|b| b == b'@') {
        Some(at) => &authority[at + 1..],
        None => authority,
    };
    UrlParts {
        scheme,
        host,
        path,
        query,
    }
}

/// What stands before the first `mark`, an ASCII byte, and what stands behind it. As `split_once`, whose search is made for long texts.
#[inline(never)]
pub(crate) fn split_at_byte(text: &str, mark: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|b| b == mark) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Where the first of the bytes stands that `stop` names, or the end.
fn cut(text: &str, stop: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(stop).unwrap_or(text.len())
}

impl<'a> Hit<'a> {
    /// The shop's host, canonical.
    pub(crate) fn shop_host(&self) -> Option<String> {
        self.shop_host_of(split_url(self.url))
    }

    /// The same, where the URL has been taken apart already.
    pub(crate) fn shop_host_of(&self, page: UrlParts) -> Option<String> {
        shared::source::canonical_host(self.host.unwrap_or(page.host))
    }

    /// The referring page's URL, when it is one that can have referred.
    pub(crate) fn referring_url(&self) -> Option<UrlParts<'a>> {
        let parts = split_url(self.referer?.trim());
        let known = ["http", "https", "android-app"]
            .iter()
            .any(|scheme| parts.scheme.eq_ignore_ascii_case(scheme));
        (known && !parts.host.is_empty()).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_nothing_in_it_panics() {
        for (url, host, path, query) in [
            ("https://shop.ua/a/b?x=1&y=2#f", "shop.ua", "/a/b", "x=1&y=2"),
            ("https://shop.ua", "shop.ua", "", ""),
            ("https://shop.ua?x=1", "shop.ua", "", "x=1"),
            ("http://u:p@shop.ua:8787/", "shop.ua:8787", "/", ""),
            ("android-app://com.google.android.gm/", "com.google.android.gm", "/", ""),
            ("/path?u=https://evil", "", "/path", "u=https://evil"),
            ("https://shop.ua/?u=https://evil/x", "shop.ua", "/", "u=https://evil/x"),
            ("", "", "", ""),
            ("://", "", "", ""),
            ("https://///", "", "///", ""),
            ("?", "", "", ""),
            ("#", "", "", ""),
        ] {
            let parts = split_url(url);
            assert_eq!((parts.host, parts.path, parts.query), (host, path, query), "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_url_that_is_put_together_comes_apart_into_the_same_parts(
            scheme in "[a-zA-Z][a-z0-9+.-]{0,8}", user in "([a-z:%0-9@]{0,6}@)?", host in "[a-z0-9.:ї\\[\\]-]{0,20}",
            path in "(/(?s)[^?#]{0,30})?", query in "((?s)[^#]{0,30})", fragment in "(?s)(#.{0,20})?",
        ) {
            let url = format!("{scheme}://{user}{host}{path}?{query}{fragment}");
            prop_assert_eq!(split_url(&url), UrlParts { scheme: &scheme, host: &host, path: &path, query: &query });
        }

        #[test]
        fn whatever_a_url_is_its_host_and_path_end_where_the_next_part_begins(url in "(?s).{0,60}|([a-z]|://|[:/?#@.]){0,12}") {
            let parts = split_url(&url);
            prop_assert!(!parts.scheme.contains([':', '/', '?', '#']));
            prop_assert!(!parts.host.contains(['/', '?', '#', '@']));
            prop_assert!(!parts.path.contains(['?', '#']) && !parts.query.contains('#'));
            // Without a scheme it is a path: a text in a header cannot pass for a host.
            prop_assert!(!parts.scheme.is_empty() || parts.host.is_empty());
        }
    }
}
