//! What kind of thing the visitor held: client hints first, then the user agent. [`classify`] is never called on the visitor's
//! path: its parser brings large tables.

use std::collections::BTreeMap;

use shared::event::{Device, DeviceKind};
use woothee::parser::Parser;

/// Kind, maker, model, system and browser, as far as hints (by the names of [`shared::event::Context::hints`]) and user agent
/// say. The centre refines it; the more specific answer wins there.
pub fn classify(user_agent: &str, hints: &BTreeMap<String, String>) -> Device {
    let hint = |name: &str| hints.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let parsed = Parser::new().parse(user_agent).unwrap_or_default();
    let known = |value: &str| (!matches!(value, "" | "UNKNOWN")).then(|| value.to_owned());

    let mut device = Device {
        kind: kind(user_agent, hint("mobile")),
        os: known(parsed.os),
        os_version: known(&parsed.os_version),
        browser: known(parsed.name),
        browser_version: known(parsed.version),
        in_app: in_app(user_agent).map(str::to_owned),
        ..Device::default()
    };
    rename_os(&mut device, user_agent);
    if let Some((browser, marker)) = MISSED_BROWSERS.iter().find(|(_, marker)| user_agent.contains(marker)) {
        device.browser = Some((*browser).to_owned());
        device.browser_version = version_after(user_agent, marker);
    }
    if let Some((name, version)) = hint("brands").and_then(brand) {
        // The hints name Brave and the like apart where the user agent says Chrome.
        device.browser = Some(name);
        device.browser_version = Some(version);
    }
    if let Some(platform) = hint("platform") {
        device.os = Some(platform.to_owned());
        device.os_version = hint("platform-version").and_then(|version| platform_version(platform, version));
    }
    (device.brand, device.model) = model(user_agent, hint("model"));
    // iPadOS calls itself a Mac; no Mac has a touch screen.
    if user_agent.contains("Macintosh")
        && hint("touch-points")
            .and_then(|points| points.parse::<u32>().ok())
            .is_some_and(|points| points > 1)
    {
        device.kind = Some(DeviceKind::Tablet);
        device.model = Some("iPad".to_owned());
        device.os = Some("iOS".to_owned());
        device.os_version = None;
    }
    device
}

/// Kind of device, by a few words: cheap enough for every path. `None` for nothing to go by.
pub(crate) fn kind(user_agent: &str, mobile: Option<&str>) -> Option<DeviceKind> {
    let has = |words: &[&str]| words.iter().any(|word| user_agent.contains(word));
    if user_agent.is_empty() {
        return match mobile {
            Some("?1" | "true") => Some(DeviceKind::Mobile),
            Some("?0" | "false") => Some(DeviceKind::Desktop),
            _ => None,
        };
    }
    let kind = if has(&["PlayStation", "Xbox", "Nintendo"]) {
        DeviceKind::Console
    } else if has(&[
        "SMART-TV",
        "SmartTV",
        "Smart-TV",
        "Web0S",
        "WebOS",
        "webOS.TV",
        "GoogleTV",
        "Google TV",
        "Android TV",
        "AppleTV",
        "BRAVIA",
        "AFT",
        "HbbTV",
        "Roku",
        "CrKey",
        "VIDAA",
        "NetCast",
    ]) {
        DeviceKind::Tv
    } else if has(&["Watch", "QtCarBrowser", "Kindle/", "OculusBrowser", "Quest"]) {
        DeviceKind::Other
    } else if has(&["iPad", "Tablet", "tablet", "Silk/", "PlayBook", "KFTT", "Kindle Fire"])
        || (user_agent.contains("Android") && !has(&["Mobile", "Mobi"]))
        || has(&["SM-T", "SM-X", "Lenovo TB", "MatePad"])
    {
        DeviceKind::Tablet
    } else if mobile == Some("?1")
        || has(&[
            "Mobi",
            "iPhone",
            "iPod",
            "Android",
            "Windows Phone",
            "BlackBerry",
            "Opera Mini",
        ])
    {
        DeviceKind::Mobile
    } else if has(&["Windows NT", "Macintosh", "X11", "CrOS", "Linux"]) || mobile == Some("?0") {
        DeviceKind::Desktop
    } else {
        DeviceKind::Other
    };
    Some(kind)
}

/// Apps whose built-in browser shows the shop, by what they add to the user agent; the first that fits.
fn in_app(user_agent: &str) -> Option<&'static str> {
    const APPS: &[(&str, &str)] = &[
        ("Instagram", "Instagram"),
        ("Barcelona", "Threads"),
        ("FBAN/Messenger", "Messenger"),
        ("MessengerForiOS", "Messenger"),
        ("FB_IAB/Orca", "Messenger"),
        ("FBAN/", "Facebook"),
        ("FBAV/", "Facebook"),
        ("FB_IAB", "Facebook"),
        ("musical_ly", "TikTok"),
        ("BytedanceWebview", "TikTok"),
        ("TikTok", "TikTok"),
        ("trill_", "TikTok"),
        ("Telegram", "Telegram"),
        ("Viber", "Viber"),
        ("WhatsApp", "WhatsApp"),
        ("Snapchat", "Snapchat"),
        ("Pinterest", "Pinterest"),
        ("LinkedInApp", "LinkedIn"),
        ("Twitter for", "X"),
        ("TwitterAndroid", "X"),
        ("MicroMessenger", "WeChat"),
        (" Line/", "LINE"),
        ("GSA/", "Google"),
        ("DuckDuckGo", "DuckDuckGo"),
        ("Discord", "Discord"),
        ("Slack", "Slack"),
        ("RedditApp", "Reddit"),
        ("VKClient", "VK"),
    ];
    APPS.iter()
        .find(|(marker, _)| user_agent.contains(marker))
        .map(|(_, app)| *app)
}

/// Browsers that the parser's table of 2021 takes for others. The version follows the marker.
const MISSED_BROWSERS: &[(&str, &str)] = &[
    ("HeadlessChrome", "HeadlessChrome/"),
    ("Samsung Internet", "SamsungBrowser/"),
    ("Huawei Browser", "HuaweiBrowser/"),
    ("MIUI Browser", "MiuiBrowser/"),
    ("UC Browser", "UCBrowser/"),
    ("Whale", "Whale/"),
    ("DuckDuckGo", "DuckDuckGo/"),
    ("Silk", "Silk/"),
];

fn rename_os(device: &mut Device, user_agent: &str) {
    let name = match device.os.as_deref() {
        Some("iPhone" | "iPad" | "iPod" | "iOS") => "iOS",
        Some("Mac OSX") => "macOS",
        Some(windows) if windows.starts_with("Windows ") && !windows.starts_with("Windows Phone") => {
            let version = windows.trim_start_matches("Windows ");
            // The user agent says NT 10.0 for 10 and 11 alike.
            device.os_version = Some(version.to_owned());
            "Windows"
        }
        Some("ChromeOS") => "Chrome OS",
        None if user_agent.contains("Tizen") => "Tizen",
        None if user_agent.contains("Web0S") || user_agent.contains("webOS") => "webOS",
        None if user_agent.contains("PlayStation") => "PlayStation",
        None if user_agent.contains("Xbox") => "Xbox",
        _ => return,
    };
    device.os = Some(name.to_owned());
}

/// Windows 11 reports a platform version of 13 or more, 10 a lower one, older ones 0.
fn platform_version(platform: &str, version: &str) -> Option<String> {
    if platform != "Windows" {
        return Some(version.to_owned());
    }
    match version.split('.').next()?.parse::<u32>().ok()? {
        13.. => Some("11".to_owned()),
        1..=12 => Some("10".to_owned()),
        0 => None,
    }
}

/// Name and major version in `Sec-CH-UA`: the brand that is neither Chromium nor the made-up one.
fn brand(brands: &str) -> Option<(String, String)> {
    let mut chromium = None;
    for item in brands.split(',') {
        let Some((name, version)) = item.trim().split_once(";v=") else {
            continue;
        };
        let (name, version) = (name.trim_matches('"'), version.trim_matches('"'));
        let made_up = name.to_ascii_lowercase().contains("not") && name.to_ascii_lowercase().contains("brand");
        if made_up || name.is_empty() || version.is_empty() {
            continue;
        }
        match name {
            "Chromium" => chromium = Some(("Chromium".to_owned(), version.to_owned())),
            "Google Chrome" => return Some(("Chrome".to_owned(), version.to_owned())),
            "Microsoft Edge" => return Some(("Edge".to_owned(), version.to_owned())),
            "Android WebView" => return None,
            other => return Some((other.to_owned(), version.to_owned())),
        }
    }
    chromium
}

/// Maker and model: Apple's by its words, others by the hint or by what Android puts before `Build/` or the closing bracket.
fn model(user_agent: &str, hint: Option<&str>) -> (Option<String>, Option<String>) {
    for (word, model) in [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("iPod", "iPod"),
        ("Macintosh", "Mac"),
        ("AppleTV", "Apple TV"),
    ] {
        if user_agent.contains(word) {
            let model = (model != "Mac").then(|| model.to_owned());
            return (Some("Apple".to_owned()), model);
        }
    }
    let from_agent = || {
        let inside = user_agent.split_once("Android")?.1.split(')').next()?;
        let last = inside
            .split_once(';')?
            .1
            .rsplit(';')
            .map(str::trim)
            .find(|part| !part.is_empty() && *part != "wv")?;
        let model = last.split(" Build/").next()?.trim();
        // "K" is what Chrome says since it reduced the user agent.
        let names_one = (2..=64).contains(&model.len())
            && !model.starts_with("rv:")
            && !matches!(model, "Mobile" | "Tablet" | "TV");
        names_one.then_some(model)
    };
    let Some(model) = hint.or_else(from_agent) else {
        return (None, None);
    };
    let maker = MAKERS.iter().find(|(prefix, _)| {
        model
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    });
    (maker.map(|(_, maker)| (*maker).to_owned()), Some(model.to_owned()))
}

/// Makers by how their models begin.
const MAKERS: &[(&str, &str)] = &[
    ("SM-", "Samsung"),
    ("Samsung", "Samsung"),
    ("Pixel", "Google"),
    ("Redmi", "Xiaomi"),
    ("POCO", "Xiaomi"),
    ("Mi ", "Xiaomi"),
    ("Xiaomi", "Xiaomi"),
    ("HUAWEI", "Huawei"),
    ("HONOR", "Honor"),
    ("ONEPLUS", "OnePlus"),
    ("CPH", "Oppo"),
    ("OPPO", "Oppo"),
    ("RMX", "Realme"),
    ("realme", "Realme"),
    ("moto", "Motorola"),
    ("Nokia", "Nokia"),
    ("vivo", "Vivo"),
    ("LM-", "LG"),
    ("Lenovo", "Lenovo"),
    ("ASUS", "Asus"),
    ("CUBOT", "Cubot"),
    ("DOOGEE", "Doogee"),
    ("TECNO", "Tecno"),
    ("Infinix", "Infinix"),
    ("Nothing", "Nothing"),
    ("BRAVIA", "Sony"),
    ("XQ-", "Sony"),
    ("AFT", "Amazon"),
    ("KF", "Amazon"),
];

fn version_after(user_agent: &str, marker: &str) -> Option<String> {
    let rest = user_agent.split_once(marker)?.1;
    let version: String = rest
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .take(32)
        .collect();
    (!version.is_empty()).then_some(version)
}
