//! Who is not a person, and why we think so. Runs on the visitor's path: one walk over the user agent, no expressions.

use shared::event::BotReason;

use crate::hit::Hit;
use crate::place::Place;

/// The platform's score of a request that is surely automated (its scale is 1 to 99).
const AUTOMATED_SCORE: u32 = 1;

/// Words in a user agent, lower-case. Declared crawlers come with `bot`, `crawl` or `spider` in most cases; the rest are named.
const WORDS: &[(&str, BotReason)] = {
    use BotReason::{DeclaredCrawler as C, Headless as H, HttpClient as P};
    &[
        ("aiohttp", P),
        ("apache-httpclient", P),
        ("axios", P),
        ("archive.org", C),
        ("ahrefs", C),
        ("anthropic-ai", C),
        ("bot", C),
        ("bytespider", C),
        ("checkly", C),
        ("chatgpt-user", C),
        ("cohere-ai", C),
        ("crawl", C),
        ("curl/", P),
        ("cypress", H),
        ("claude-user", C),
        ("claude-web", C),
        ("datadog", C),
        ("dart/", P),
        ("deno/", P),
        ("externalhit", C),
        ("electron/", H),
        ("fetcher", C),
        ("feedly", C),
        ("facebookcatalog", C),
        ("go-http-client", P),
        ("google-inspectiontool", C),
        ("google-read-aloud", C),
        ("google favicon", C),
        ("google-extended", C),
        ("google-safety", C),
        ("guzzlehttp", P),
        ("gtmetrix", C),
        ("headless", H),
        ("httpie", P),
        ("httpx", P),
        ("httpclient", P),
        ("ia_archiver", C),
        ("insomnia", P),
        ("java/", P),
        ("lighthouse", C),
        ("libwww", P),
        ("linkpreview", C),
        ("meta-external", C),
        ("mediapartners", C),
        ("monitor", C),
        ("node-fetch", P),
        ("okhttp", P),
        ("perplexity-user", C),
        ("phantomjs", H),
        ("php/", P),
        ("pingdom", C),
        ("playwright", H),
        ("postman", P),
        ("preview", C),
        ("puppeteer", H),
        ("python", P),
        ("ptst/", C),
        ("qwantify", C),
        ("reqwest", P),
        ("ruby", P),
        ("scrapy", P),
        ("scan", C),
        ("selenium", H),
        ("semrush", C),
        ("slurp", C),
        ("spider", C),
        ("uptime", C),
        ("undici", P),
        ("urllib", P),
        ("validator", C),
        ("vkshare", C),
        ("wget", P),
        ("webdriver", H),
        ("whatsapp/", C),
        ("yandexmetrika", C),
        ("yandeximages", C),
        ("youtube-dl", P),
        ("zgrab", C),
        ("k6/", P),
        ("jmeter", P),
        ("vegeta", P),
    ]
};

/// Networks of hosting companies from which people hardly browse. Left out: networks of VPNs and relays for people.
const DATA_CENTRES: &[u32] = &[
    14061, // DigitalOcean
    14618, 16509,  // Amazon
    8075,   // Microsoft
    396982, // Google Cloud
    16276,  // OVH
    24940, 213230, // Hetzner
    63949,  // Akamai (Linode)
    20473,  // Vultr
    45102, 37963, // Alibaba
    132203, 45090, // Tencent
    51167, // Contabo
    31898, // Oracle
    12876, // Scaleway
    60781, 28753,  // Leaseweb
    136907, // Huawei
];

/// The reason to take the request for a bot's, if there is one; the surest first.
pub(crate) fn verdict(hit: &Hit, place: &Place) -> Option<BotReason> {
    let agent = hit.user_agent.unwrap_or_default();
    if agent.trim().is_empty() {
        return Some(BotReason::NoUserAgent);
    }
    if let Some(reason) = declared(agent) {
        return Some(reason);
    }
    let brands = hit.sec_ch_ua.unwrap_or_default();
    if brands.contains("Headless") {
        return Some(BotReason::Headless);
    }
    if place.bot_management.verified
        || place.verified_bot_category.is_some()
        || place.bot_management.score == Some(AUTOMATED_SCORE)
    {
        return Some(BotReason::PlatformVerdict);
    }
    // Only Chromium sends these hints, and it never calls itself Firefox or plain Safari.
    if !brands.is_empty() && !agent.contains("Chrome/") && (agent.contains("Firefox/") || agent.contains("Version/")) {
        return Some(BotReason::Inconsistent);
    }
    place
        .asn
        .filter(|asn| DATA_CENTRES.contains(asn))
        .map(|_| BotReason::DataCentre)
}

/// What the user agent says of itself.
fn declared(agent: &str) -> Option<BotReason> {
    let bytes = agent.as_bytes();
    let starts: [bool; 26] = STARTS;
    for (at, byte) in bytes.iter().enumerate().take(512) {
        let letter = byte.to_ascii_lowercase().wrapping_sub(b'a');
        if usize::from(letter) >= 26 || !starts[usize::from(letter)] {
            continue;
        }
        for (word, reason) in WORDS {
            let found = bytes
                .get(at..at + word.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()));
            if found && !is_innocent(bytes, at, word) {
                return Some(*reason);
            }
        }
    }
    None
}

const STARTS: [bool; 26] = {
    let mut starts = [false; 26];
    let mut at = 0;
    while at < WORDS.len() {
        starts[(WORDS[at].0.as_bytes()[0] - b'a') as usize] = true;
        at += 1;
    }
    starts
};

/// Words inside other words: the phone maker Cubot, and WhatsApp's name after a browser's (in-app, not its link preview).
fn is_innocent(agent: &[u8], at: usize, word: &str) -> bool {
    match word {
        "bot" => at >= 2 && agent[at - 2..at].eq_ignore_ascii_case(b"cu"),
        "whatsapp/" => at > 0,
        "scan" => agent
            .get(at..at + 11)
            .is_some_and(|part| part.eq_ignore_ascii_case(b"scandinavia")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
    const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

    #[test]
    fn those_who_say_so_are_bots() {
        for (agent, reason) in [
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                BotReason::DeclaredCrawler,
            ),
            (
                "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; x@y.z)",
                BotReason::DeclaredCrawler,
            ),
            ("Mozilla/5.0 (compatible; GPTBot/1.2)", BotReason::DeclaredCrawler),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0",
                BotReason::DeclaredCrawler,
            ),
            ("facebookexternalhit/1.1", BotReason::DeclaredCrawler),
            ("meta-externalagent/1.1", BotReason::DeclaredCrawler),
            ("WhatsApp/2.23.20.0", BotReason::DeclaredCrawler),
            ("TelegramBot (like TwitterBot)", BotReason::DeclaredCrawler),
            ("Mozilla/5.0 (Macintosh) Chrome-Lighthouse", BotReason::DeclaredCrawler),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
                BotReason::Headless,
            ),
            ("curl/8.5.0", BotReason::HttpClient),
            ("python-requests/2.32.3", BotReason::HttpClient),
            ("Go-http-client/2.0", BotReason::HttpClient),
            ("Wget/1.21", BotReason::HttpClient),
            ("okhttp/4.12.0", BotReason::HttpClient),
            ("", BotReason::NoUserAgent),
            (" ", BotReason::NoUserAgent),
        ] {
            let hit = Hit {
                user_agent: Some(agent),
                ..Hit::default()
            };
            assert_eq!(verdict(&hit, &Place::default()), Some(reason), "{agent}");
        }
        assert_eq!(
            verdict(&Hit::default(), &Place::default()),
            Some(BotReason::NoUserAgent)
        );
    }

    #[test]
    fn people_are_not() {
        for agent in [
            CHROME,
            SAFARI,
            "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 334.0.4.32.98 (iPhone15,2; iOS 17_5)",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/21F79 [FBAN/FBIOS;FBAV/465.0.0.0;FBDV/iPhone14,5]",
            "Mozilla/5.0 (Linux; Android 13; SM-A536B) AppleWebKit/537.36 Version/4.0 Chrome/126.0 Mobile Safari/537.36 musical_ly_2023 BytedanceWebview/d8a21c6",
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 SamsungBrowser/5.0 TV Safari/537.36",
        ] {
            let hit = Hit {
                user_agent: Some(agent),
                ..Hit::default()
            };
            assert_eq!(verdict(&hit, &Place::default()), None, "{agent}");
        }
    }

    #[test]
    fn the_platform_headers_and_networks_speak_too() {
        let cf = |text| Place::read(Some(text));
        let hit = Hit {
            user_agent: Some(CHROME),
            ..Hit::default()
        };
        assert_eq!(
            verdict(&hit, &cf(r#"{"botManagement":{"verifiedBot":true}}"#)),
            Some(BotReason::PlatformVerdict)
        );
        assert_eq!(
            verdict(&hit, &cf(r#"{"botManagement":{"score":1}}"#)),
            Some(BotReason::PlatformVerdict)
        );
        assert_eq!(verdict(&hit, &cf(r#"{"botManagement":{"score":0}}"#)), None);
        assert_eq!(verdict(&hit, &cf(r#"{"botManagement":{"score":30}}"#)), None);
        assert_eq!(
            verdict(&hit, &cf(r#"{"verifiedBotCategory":"Search Engine Crawler"}"#)),
            Some(BotReason::PlatformVerdict)
        );
        assert_eq!(verdict(&hit, &cf(r#"{"asn":16509}"#)), Some(BotReason::DataCentre));
        let brands = Some(r#""Chromium";v="142""#);
        assert_eq!(
            verdict(
                &Hit {
                    sec_ch_ua: brands,
                    ..hit
                },
                &Place::default()
            ),
            None
        );
        assert_eq!(
            verdict(
                &Hit {
                    sec_ch_ua: brands,
                    user_agent: Some(SAFARI),
                    ..hit
                },
                &Place::default()
            ),
            Some(BotReason::Inconsistent)
        );
        assert_eq!(
            verdict(
                &Hit {
                    sec_ch_ua: Some(r#""HeadlessChrome";v="1""#),
                    ..hit
                },
                &Place::default()
            ),
            Some(BotReason::Headless)
        );
    }

    #[test]
    fn hostile_agents_do_no_harm() {
        for agent in [
            "b",
            "bo",
            "ї".repeat(1_000).as_str(),
            "b".repeat(1_000_000).as_str(),
            "\0\0",
            "cubo",
        ] {
            let hit = Hit {
                user_agent: Some(agent),
                ..Hit::default()
            };
            assert_eq!(verdict(&hit, &Place::default()), None);
        }
        assert_eq!(declared("bot"), Some(BotReason::DeclaredCrawler));
    }
}
