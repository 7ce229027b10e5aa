//! A request from the text that JavaScript makes of it: method and URL on a line each, then a line for each of [`HEADERS`] and
//! [`PLACE`], in their order, empty where the request has none. No line can hold a line break: the runtime refuses them in URLs
//! and headers, and JavaScript leaves out a field of `request.cf` that has one.

use edge_core::hit::{Cf, Hit};

/// Headers that are read, lower-case, in groups: a look-up costs the visitor's path more than what is done with it, so a group is read
/// only where it can say something.
pub(crate) const HEADERS: Headers = Headers {
    always: [
        "user-agent",
        "referer",
        "cookie",
        "accept-language",
        "sec-fetch-site",
        "sec-purpose",
        "purpose",
        "sec-gpc",
        "dnt",
        "cf-connecting-ip",
        "sec-ch-ua",
    ],
    hints: [
        "sec-ch-ua-mobile",
        "sec-ch-ua-platform",
        "sec-ch-ua-platform-version",
        "sec-ch-ua-model",
    ],
    undeclared: [
        "sec-fetch-dest",
        "sec-fetch-mode",
        "accept",
        "x-purpose",
        "x-moz",
        "x-requested-with",
        "host",
        "origin",
        "content-type",
    ],
};

/// See [`HEADERS`].
#[derive(serde::Serialize)]
pub(crate) struct Headers {
    /// Read of every request; the last of them says whether the next group is there.
    always: [&'static str; 11],
    /// Read where the browser sends client hints at all.
    hints: [&'static str; 4],
    /// Read unless the browser declared a document (`Sec-Fetch-Dest: document`): those that find out what the request is, and those
    /// that only beacons need. A document is a navigation, and its URL names its host.
    undeclared: [&'static str; 9],
}

/// Fields of `request.cf` that are read; after them stand the score and the verdict of `request.cf.botManagement`.
pub(crate) const PLACE: [&str; 8] = [
    "country",
    "region",
    "city",
    "timezone",
    "continent",
    "asn",
    "asOrganization",
    "verifiedBotCategory",
];

/// Takes the text apart. What is missing at its end is missing in the request.
pub(crate) fn read(text: &str) -> Hit<'_> {
    let mut rest = text;
    let method = line(&mut rest);
    let url = line(&mut rest);
    let mut next = || Some(line(&mut rest)).filter(|line| !line.is_empty());
    // Fields are read in the order in which they stand here: that of the lists.
    Hit {
        method,
        url,
        user_agent: next(),
        referer: next(),
        cookie: next(),
        accept_language: next(),
        sec_fetch_site: next(),
        sec_purpose: next(),
        purpose: next(),
        sec_gpc: next(),
        dnt: next(),
        ip: next(),
        sec_ch_ua: next(),
        sec_ch_ua_mobile: next(),
        sec_ch_ua_platform: next(),
        sec_ch_ua_platform_version: next(),
        sec_ch_ua_model: next(),
        sec_fetch_dest: next(),
        sec_fetch_mode: next(),
        accept: next(),
        x_purpose: next(),
        x_moz: next(),
        x_requested_with: next(),
        host: next(),
        origin: next(),
        content_type: next(),
        cf: Cf {
            country: next(),
            region: next(),
            city: next(),
            timezone: next(),
            continent: next(),
            asn: next(),
            as_organization: next(),
            verified_bot_category: next(),
            bot_score: next(),
            verified_bot: next(),
        },
        crowded: false,
    }
}

/// Takes the next line off; nothing is left after the last. Lines are short and many: a search made for long texts, and a copy of it
/// for each of them, would be the most code of a landing.
#[inline(never)]
fn line<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.bytes().position(|b| b == b'\n');
    let (line, after) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (*rest, ""),
    };
    *rest = after;
    line
}

/// Random bytes that come with each request.
pub(crate) const RANDOM_BYTES: usize = 64;

/// The 64 random bytes of a request. JavaScript hands over that many; should it ever hand over fewer, an error is better than
/// ids that repeat, so this panics and the request passes uncaptured.
#[expect(
    clippy::expect_used,
    reason = "a panic costs one capture, a repeated id mixes two visitors"
)]
pub(crate) fn random(bytes: &[u8]) -> [u8; RANDOM_BYTES] {
    bytes.try_into().expect("64 random bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_line_reaches_its_field() {
        let headers = [&HEADERS.always[..], &HEADERS.hints, &HEADERS.undeclared].concat();
        let lines: Vec<String> = headers.iter().chain(&PLACE).map(|name| format!("<{name}>")).collect();
        let text = format!("GET\nhttps://shop.ua/?a=1,2\n{}\n1\ntrue", lines.join("\n"));
        let hit = read(&text);
        assert_eq!((hit.method, hit.url), ("GET", "https://shop.ua/?a=1,2"));
        // Each field is named as the header is: the text that Debug prints says which value went where.
        let shown = format!("{hit:?}");
        for name in headers {
            let field = if name == "cf-connecting-ip" { "ip" } else { name };
            let expected = format!("{}: Some(\"<{name}>\")", field.replace('-', "_"));
            assert!(shown.contains(&expected), "{expected} in {shown}");
        }
        let cf = hit.cf;
        let place = [
            cf.country,
            cf.region,
            cf.city,
            cf.timezone,
            cf.continent,
            cf.asn,
            cf.as_organization,
            cf.verified_bot_category,
        ];
        assert_eq!(
            place,
            PLACE.map(|name| lines
                .iter()
                .map(String::as_str)
                .find(|line| *line == format!("<{name}>")))
        );
        assert_eq!((cf.bot_score, cf.verified_bot), (Some("1"), Some("true")));
    }

    #[test]
    fn any_text_is_a_request_of_some_kind() {
        for text in ["", "\n\n\n\n", "GET", "GET\n/\n\nx", &"\n".repeat(1_000)] {
            let hit = read(text);
            assert!(hit.host.is_none() && hit.cookie.is_none() && hit.cf.country.is_none());
        }
    }

    /// The lines of a hit in the order of [`HEADERS`] and [`PLACE`].
    fn lines<'a>(hit: &Hit<'a>) -> Vec<&'a str> {
        let cf = hit.cf;
        let fields = [
            hit.user_agent,
            hit.referer,
            hit.cookie,
            hit.accept_language,
            hit.sec_fetch_site,
            hit.sec_purpose,
            hit.purpose,
            hit.sec_gpc,
            hit.dnt,
            hit.ip,
            hit.sec_ch_ua,
            hit.sec_ch_ua_mobile,
            hit.sec_ch_ua_platform,
            hit.sec_ch_ua_platform_version,
            hit.sec_ch_ua_model,
            hit.sec_fetch_dest,
            hit.sec_fetch_mode,
            hit.accept,
            hit.x_purpose,
            hit.x_moz,
            hit.x_requested_with,
            hit.host,
            hit.origin,
            hit.content_type,
            cf.country,
            cf.region,
            cf.city,
            cf.timezone,
            cf.continent,
            cf.asn,
            cf.as_organization,
            cf.verified_bot_category,
            cf.bot_score,
            cf.verified_bot,
        ];
        [hit.method, hit.url]
            .into_iter()
            .chain(fields.map(Option::unwrap_or_default))
            .collect()
    }

    proptest! {
        #[test]
        fn any_text_is_read_line_by_line_with_nothing_lost_added_or_moved(
            text in prop_oneof!["(?s).{0,300}", "[\n\r a-zї\u{0}]{0,200}", prop::collection::vec("[^\n]{0,12}", 0..40).prop_map(|lines| lines.join("\n"))],
        ) {
            let hit = read(&text);
            let mut given: Vec<&str> = text.split('\n').collect();
            // What a text leaves out is missing, and what it has too much is nobody's.
            given.resize(36, "");
            prop_assert_eq!(lines(&hit), given);
            prop_assert!(!hit.crowded);
        }
    }
}
