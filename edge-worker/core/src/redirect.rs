//! Where a redirect leads, and whether the browser takes our cookies along.

use shared::event::Touch;
use shared::source::is_within;

use crate::hit::{Hit, split_url};
use crate::settings::Settings;
use crate::touch;

/// Whether the page that the redirect of `hit` leads to is a page of the shop which begins what `arrived` would have begun here: it says
/// the same touch, and the browser does not show it the cookies of this answer. To begin a session here too would make two of one click.
pub(crate) fn begins_there(hit: &Hit, location: &str, arrived: &Touch, settings: &Settings) -> bool {
    let page = split_url(hit.url);
    let location = location.trim();
    let absolute = if location.starts_with("//") {
        [page.scheme, ":", location].concat()
    } else {
        location.to_owned()
    };
    let target = split_url(&absolute);
    if target.host.is_empty() {
        return false;
    }
    let (from, to) = (cookie_host(hit.host.unwrap_or(page.host)), cookie_host(target.host));
    let sees_our_cookies = match &settings.cookie_domain {
        Some(domain) => is_within(&to, domain),
        None => from == to,
    };
    // A browser refuses Secure cookies over http: what is redirected to https comes there without them.
    let refuses_them = settings.secure_cookies
        && page.scheme.eq_ignore_ascii_case("http")
        && !target.scheme.eq_ignore_ascii_case("http");
    if sees_our_cookies && !refuses_them {
        return false;
    }
    let there = Hit {
        url: &absolute,
        host: None,
        ..*hit
    };
    touch::is_of_the_shop(&absolute, hit, settings)
        && touch::arrival_mark(arrived) == touch::arrival_mark(&touch::read(&there, target, settings))
}

/// The host as cookies know it: `www.` belongs to it.
fn cookie_host(host: &str) -> String {
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn a_click_is_counted_at_the_page_that_is_shown_when_no_cookie_goes_along() {
        let tagged = "https://shop.ua/?utm_source=google&gclid=x";
        for (more, url, location, there) in [
            ("", tagged, "https://www.shop.ua/?utm_source=google&gclid=x", true),
            ("", tagged, "//www.shop.ua/?utm_source=google&gclid=x", true),
            ("", "https://shop.ua/", "https://www.shop.ua/", true),
            ("", "http://shop.ua/?gclid=x", "https://shop.ua/?gclid=x", true),
            (
                r#""cookie_domain":"shop.ua""#,
                "http://shop.ua/?gclid=x",
                "https://www.shop.ua/?gclid=x",
                true,
            ),
            // The cookies go along.
            (
                r#""cookie_domain":"shop.ua""#,
                tagged,
                "https://www.shop.ua/?utm_source=google&gclid=x",
                false,
            ),
            (
                r#""secure_cookies":false"#,
                "http://shop.ua/?gclid=x",
                "https://shop.ua/?gclid=x",
                false,
            ),
            ("", tagged, "https://SHOP.ua:443/?utm_source=google&gclid=x", false),
            ("", tagged, "/uk/?utm_source=google&gclid=x", false),
            ("", tagged, "?x", false),
            ("", tagged, "", false),
            // The touch does not.
            ("", tagged, "https://www.shop.ua/", false),
            ("", tagged, "https://www.shop.ua/?utm_source=google&gclid=y", false),
            // Not the shop's.
            (
                "",
                tagged,
                "https://elsewhere.example/?utm_source=google&gclid=x",
                false,
            ),
            ("", "https://shop.ua/", "https://elsewhere.example/", false),
        ] {
            let settings = settings(more);
            let hit = Hit {
                url,
                referer: Some("https://news.example/"),
                ..Hit::default()
            };
            let arrived = touch::read(&hit, split_url(url), &settings);
            assert_eq!(
                begins_there(&hit, location, &arrived, &settings),
                there,
                "{more} {url} {location}"
            );
        }
    }

    #[test]
    fn any_location_is_borne() {
        let settings = settings("");
        let hit = Hit {
            url: "https://shop.ua/?gclid=x",
            ..Hit::default()
        };
        let arrived = touch::read(&hit, split_url(hit.url), &settings);
        for location in [
            "\0",
            "://",
            "//",
            "https://",
            "https://ї/",
            "javascript:alert(1)",
            &"/".repeat(100_000),
        ] {
            assert!(!begins_there(&hit, location, &arrived, &settings), "{location:.20}");
        }
    }
}
