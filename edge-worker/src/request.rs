//! A request from the text that JavaScript makes of it: method and URL on a line each, then a line for each of [`HEADERS`] and
//! [`PLACE`], in their order, empty where the request has none. No line can hold a line break: the runtime refuses them in URLs
//! and headers, and JavaScript leaves out a field of `request.cf` that has one.

use edge_core::hit::{Cf, Hit};

/// Headers that are read, lower-case.
pub(crate) const HEADERS: [&str; 24] = [
    "host",
    "accept",
    "user-agent",
    "referer",
    "cookie",
    "accept-language",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-purpose",
    "purpose",
    "x-moz",
    "sec-gpc",
    "dnt",
    "x-requested-with",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-ch-ua-platform-version",
    "sec-ch-ua-model",
    "origin",
    "content-type",
    "cf-connecting-ip",
];

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
    let mut lines = text.split('\n');
    let method = lines.next().unwrap_or_default();
    let url = lines.next().unwrap_or_default();
    let mut next = || lines.next().filter(|line| !line.is_empty());
    // Fields are read in the order in which they stand here: that of the two lists.
    Hit {
        method,
        url,
        host: next(),
        accept: next(),
        user_agent: next(),
        referer: next(),
        cookie: next(),
        accept_language: next(),
        sec_fetch_mode: next(),
        sec_fetch_dest: next(),
        sec_fetch_site: next(),
        sec_fetch_user: next(),
        sec_purpose: next(),
        purpose: next(),
        x_moz: next(),
        sec_gpc: next(),
        dnt: next(),
        x_requested_with: next(),
        sec_ch_ua: next(),
        sec_ch_ua_mobile: next(),
        sec_ch_ua_platform: next(),
        sec_ch_ua_platform_version: next(),
        sec_ch_ua_model: next(),
        origin: next(),
        content_type: next(),
        ip: next(),
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

/// The 64 random bytes of a request. JavaScript hands over that many; should it ever hand over fewer, an error is better than
/// ids that repeat, so this panics and the request passes uncaptured.
#[expect(
    clippy::expect_used,
    reason = "a panic costs one capture, a repeated id mixes two visitors"
)]
pub(crate) fn random(bytes: &[u8]) -> [u8; 64] {
    bytes.try_into().expect("64 random bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_reaches_its_field() {
        let lines: Vec<String> = HEADERS.iter().chain(&PLACE).map(|name| format!("<{name}>")).collect();
        let text = format!("GET\nhttps://shop.ua/?a=1,2\n{}\n1\ntrue", lines.join("\n"));
        let hit = read(&text);
        assert_eq!((hit.method, hit.url), ("GET", "https://shop.ua/?a=1,2"));
        // Each field is named as the header is: the text that Debug prints says which value went where.
        let shown = format!("{hit:?}");
        for name in HEADERS {
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
}
