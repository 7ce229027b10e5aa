//! Who is not a person, and why we think so. Runs on the visitor's path: one walk over the user agent, no expressions.

use shared::event::BotReason;

use crate::hit::Hit;

/// The platform's score of a request that is surely automated (its scale is 1 to 99).
const AUTOMATED_SCORE: &str = "1";

/// Words in a user agent, lower-case, sorted. Declared crawlers come with `bot`, `crawl` or `spider` in most cases; the rest are
/// named.
#[rustfmt::skip]
const WORDS: &[(&str, BotReason)] = {
    use BotReason::{DeclaredCrawler as C, Headless as H, HttpClient as P};
    &[
        ("ahrefs", C), ("aiohttp", P), ("anthropic-ai", C), ("apache-httpclient", P), ("archive.org", C), ("axios", P),
        ("bot", C), ("bytespider", C), ("chatgpt-user", C), ("checkly", C), ("claude-user", C), ("claude-web", C),
        ("cohere-ai", C), ("crawl", C), ("curl/", P), ("cypress", H), ("dart/", P), ("datadog", C), ("deno/", P),
        ("electron/", H), ("externalhit", C), ("facebookcatalog", C), ("feedly", C), ("fetcher", C),
        ("go-http-client", P), ("google favicon", C), ("google-extended", C), ("google-inspectiontool", C),
        ("google-read-aloud", C), ("google-safety", C), ("gtmetrix", C), ("guzzlehttp", P), ("headless", H),
        ("httpclient", P), ("httpie", P), ("httpx", P), ("ia_archiver", C), ("insomnia", P), ("java/", P),
        ("jmeter", P), ("k6/", P), ("libwww", P), ("lighthouse", C), ("linkpreview", C), ("mediapartners", C),
        ("meta-external", C), ("monitor", C), ("node-fetch", P), ("okhttp", P), ("perplexity-user", C),
        ("phantomjs", H), ("php/", P), ("pingdom", C), ("playwright", H), ("postman", P), ("preview", C), ("ptst/", C),
        ("puppeteer", H), ("python", P), ("qwantify", C), ("reqwest", P), ("ruby", P), ("scan", C), ("scrapy", P),
        ("selenium", H), ("semrush", C), ("slurp", C), ("spider", C), ("undici", P), ("uptime", C), ("urllib", P),
        ("validator", C), ("vegeta", P), ("vkshare", C), ("webdriver", H), ("wget", P), ("whatsapp/", C),
        ("yandeximages", C), ("yandexmetrika", C), ("youtube-dl", P), ("zgrab", C),
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

/// The reason to take the request for a bot's, if there is one; the surest first. `asn` is the number of its network.
pub(crate) fn verdict(hit: &Hit, asn: Option<u32>) -> Option<BotReason> {
    let agent = hit.user_agent.unwrap_or_default();
    if agent.trim().is_empty() {
        return Some(BotReason::NoUserAgent);
    }
    if let Some(reason) = declared(agent) {
        return Some(reason);
    }
    let brands = hit.sec_ch_ua.unwrap_or_default();
    if contains(brands, "Headless") {
        return Some(BotReason::Headless);
    }
    if hit.cf.verified_bot == Some("true")
        || hit.cf.verified_bot_category.is_some()
        || hit.cf.bot_score == Some(AUTOMATED_SCORE)
    {
        return Some(BotReason::PlatformVerdict);
    }
    // Only Chromium sends these hints, and it never calls itself Firefox or plain Safari.
    if !brands.is_empty() && !contains(agent, "Chrome/") && (contains(agent, "Firefox/") || contains(agent, "Version/"))
    {
        return Some(BotReason::Inconsistent);
    }
    if hit.crowded {
        return Some(BotReason::Rate);
    }
    asn.filter(|asn| DATA_CENTRES.contains(asn))
        .map(|_| BotReason::DataCentre)
}

/// As `str::contains`, which prepares itself for long texts: of a landing that would be the larger part.
fn contains(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some((first, rest)) = word.split_first() else {
        return true;
    };
    text.iter()
        .enumerate()
        .any(|(at, byte)| byte == first && text[at + 1..].starts_with(rest))
}

/// Whether a person may be behind it after all: somebody on a VPN in a data centre, or behind an address with very many others. A
/// pointer or a key that the script saw proves it, and so does the visitor cookie, which nobody gets there without that proof.
pub(crate) fn is_refutable(reason: BotReason) -> bool {
    matches!(reason, BotReason::DataCentre | BotReason::Rate)
}

/// What the user agent says of itself.
fn declared(agent: &str) -> Option<BotReason> {
    let bytes = agent.as_bytes();
    let bytes = &bytes[..bytes.len().min(512)];
    for (at, pair) in bytes.windows(2).enumerate() {
        // Two letters tell nearly all apart, and every byte of the agent comes by here.
        if SECOND_BYTES[usize::from(pair[0])] & (1 << (pair[1] & 31)) == 0 {
            continue;
        }
        let Some(&third) = bytes.get(at + 2) else { break };
        let start = start(pair[0], pair[1], third);
        let (from, to) = WORDS_OF[usize::from((pair[0] | 0x20) - b'a')];
        for n in from..to {
            if STARTS[n] != start {
                continue;
            }
            let (word, reason) = WORDS[n];
            if bytes
                .get(at..at + word.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
                && !is_innocent(bytes, at, word)
            {
                return Some(reason);
            }
        }
    }
    None
}

/// Three bytes as one number, the same for both cases of a letter; two other bytes may share one.
const fn start(first: u8, second: u8, third: u8) -> u32 {
    u32::from_be_bytes([0, first | 0x20, second | 0x20, third | 0x20])
}

/// How each of [`WORDS`] begins: one comparison sorts out nearly all of them.
const STARTS: [u32; WORDS.len()] = {
    let mut starts = [0; WORDS.len()];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        starts[at] = start(word[0], word[1], word[2]);
        at += 1;
    }
    starts
};

/// Where in [`WORDS`] the words of each letter stand.
const WORDS_OF: [(usize, usize); 26] = {
    let mut ranges = [(0, 0); 26];
    let mut at = 0;
    while at < WORDS.len() {
        let letter = (WORDS[at].0.as_bytes()[0] - b'a') as usize;
        if ranges[letter].1 == 0 {
            ranges[letter].0 = at;
        }
        ranges[letter].1 = at + 1;
        at += 1;
    }
    ranges
};

/// Which bytes (their lowest five bits, the same for both cases of a letter) come second in the words that begin with a byte, in either
/// case; none where no word does.
const SECOND_BYTES: [u32; 256] = {
    let mut seconds = [0; 256];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        seconds[word[0] as usize] |= 1 << (word[1] & 31);
        seconds[word[0].to_ascii_uppercase() as usize] |= 1 << (word[1] & 31);
        at += 1;
    }
    seconds
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
    use crate::hit::Cf;

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
            assert_eq!(verdict(&hit, None), Some(reason), "{agent}");
        }
        assert_eq!(verdict(&Hit::default(), None), Some(BotReason::NoUserAgent));
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
            assert_eq!(verdict(&hit, None), None, "{agent}");
        }
    }

    #[test]
    fn the_platform_headers_and_networks_speak_too() {
        let hit = Hit {
            user_agent: Some(CHROME),
            ..Hit::default()
        };
        for (verified_bot, bot_score, verified_bot_category, reason) in [
            (Some("true"), None, None, Some(BotReason::PlatformVerdict)),
            (Some("false"), Some("1"), None, Some(BotReason::PlatformVerdict)),
            (None, Some("0"), None, None),
            (None, Some("30"), None, None),
            (
                None,
                None,
                Some("Search Engine Crawler"),
                Some(BotReason::PlatformVerdict),
            ),
        ] {
            let cf = Cf {
                verified_bot,
                bot_score,
                verified_bot_category,
                ..Cf::default()
            };
            assert_eq!(verdict(&Hit { cf, ..hit }, None), reason, "{cf:?}");
        }
        assert_eq!(verdict(&hit, Some(16509)), Some(BotReason::DataCentre));
        assert_eq!(verdict(&Hit { crowded: true, ..hit }, None), Some(BotReason::Rate));
        let brands = Some(r#""Chromium";v="142""#);
        assert_eq!(
            verdict(
                &Hit {
                    sec_ch_ua: brands,
                    ..hit
                },
                None
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
                None
            ),
            Some(BotReason::Inconsistent)
        );
        assert_eq!(
            verdict(
                &Hit {
                    sec_ch_ua: Some(r#""HeadlessChrome";v="1""#),
                    ..hit
                },
                None
            ),
            Some(BotReason::Headless)
        );
    }

    #[test]
    fn the_words_are_sorted_and_each_is_found() {
        assert!(WORDS.is_sorted_by(|a, b| a.0 < b.0));
        for (word, _) in WORDS {
            assert!(declared(&word.to_uppercase()).is_some(), "{word}");
        }
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
            assert_eq!(verdict(&hit, None), None);
        }
        assert_eq!(declared("bot"), Some(BotReason::DeclaredCrawler));
    }
}
