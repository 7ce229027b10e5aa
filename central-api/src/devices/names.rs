//! One name per browser and system, whoever the witness is, and the apps with a browser of their own.

/// uap-core's and woothee's names of browsers → ours. What is not here keeps its name.
const BROWSERS: &[(&str, &str)] = &[
    ("Chrome Mobile", "Chrome"),
    ("Chrome Mobile iOS", "Chrome"),
    ("Google Chrome", "Chrome"),
    ("Chrome Mobile WebView", "WebView"),
    ("Android WebView", "WebView"),
    ("Mobile Safari UI/WKWebView", "WebView"),
    ("Webview", "WebView"),
    ("Mobile Safari", "Safari"),
    ("Firefox Mobile", "Firefox"),
    ("Firefox iOS", "Firefox"),
    ("Edge Mobile", "Edge"),
    ("Microsoft Edge", "Edge"),
    ("Opera Mobile", "Opera"),
    ("Opera Touch", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Android", "Android Browser"),
    ("Android Webkit Browser", "Android Browser"),
    ("Yandex Browser", "Yandex"),
    ("YaBrowser", "Yandex"),
    ("IE", "Internet Explorer"),
    ("IE Mobile", "Internet Explorer"),
    ("MiuiBrowser", "MIUI Browser"),
    ("Amazon Silk", "Silk"),
    ("Facebook Messenger", "Messenger"),
];

/// uap-core's, woothee's and the hints' names of systems → ours. What is not here keeps its name.
const SYSTEMS: &[(&str, &str)] = &[
    ("Mac OS X", "macOS"),
    ("Mac OSX", "macOS"),
    ("Mac OS", "macOS"),
    ("Chrome OS", "ChromeOS"),
    ("Chromium OS", "ChromeOS"),
    ("iPhone OS", "iOS"),
    ("Windows 10", "Windows"),
    ("Windows 8.1", "Windows"),
    ("Windows 8", "Windows"),
    ("Windows 7", "Windows"),
    ("Windows XP", "Windows"),
    ("Windows Vista", "Windows"),
    ("ATV OS X", "tvOS"),
    ("Web0S", "webOS"),
];

/// Apps whose built-in browser opens links: text in the user agent → name. The first that matches counts.
const APPS: &[(&str, &str)] = &[
    ("Instagram", "Instagram"),
    ("MessengerForiOS", "Messenger"),
    ("FB_IAB/MESSENGER", "Messenger"),
    ("MessengerLiteForiOS", "Messenger"),
    ("Barcelona ", "Threads"),
    ("FBAN/", "Facebook"),
    ("FBAV/", "Facebook"),
    ("FB_IAB/", "Facebook"),
    ("musical_ly", "TikTok"),
    ("BytedanceWebview", "TikTok"),
    ("TikTok", "TikTok"),
    ("trill_", "TikTok"),
    ("Telegram", "Telegram"),
    ("Snapchat", "Snapchat"),
    ("Pinterest", "Pinterest"),
    ("LinkedInApp", "LinkedIn"),
    ("Twitter for", "X"),
    ("TwitterAndroid", "X"),
    ("MicroMessenger", "WeChat"),
    ("Viber", "Viber"),
    ("WhatsApp", "WhatsApp"),
    (" Line/", "LINE"),
    ("GSA/", "Google"),
    ("YaApp_", "Yandex"),
];

fn ours(table: &'static [(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// Our name of a browser; `None` for what names none.
pub fn browser(name: &str) -> Option<String> {
    is_named(name).then(|| ours(BROWSERS, name).unwrap_or(name).to_owned())
}

/// Our name of a system; `None` for what names none.
pub fn system(name: &str) -> Option<String> {
    is_named(name).then(|| ours(SYSTEMS, name).unwrap_or(name).to_owned())
}

/// Our name of a browser that is written like this, or like a witness writes it, but for its case.
pub fn browser_name(text: &str) -> Option<&'static str> {
    in_any_case(BROWSERS, text)
}

/// Our name of a system that is written like this, or like a witness writes it, but for its case.
pub fn system_name(text: &str) -> Option<&'static str> {
    in_any_case(SYSTEMS, text)
}

fn in_any_case(table: &'static [(&'static str, &'static str)], text: &str) -> Option<&'static str> {
    let by = |name: fn(&(&'static str, &'static str)) -> &'static str| {
        table
            .iter()
            .find(|row| name(row).eq_ignore_ascii_case(text))
            .map(|(_, ours)| *ours)
    };
    by(|(_, ours)| ours).or_else(|| by(|(theirs, _)| theirs))
}

fn is_named(name: &str) -> bool {
    !matches!(name, "" | "Other" | "UNKNOWN" | "Unknown")
}

/// The app whose built-in browser sent this user agent. Previews and fetchers name the app too, without being browsers.
pub fn in_app(user_agent: &str) -> Option<&'static str> {
    if !user_agent.starts_with("Mozilla/") {
        return None;
    }
    APPS.iter()
        .find(|(mark, _)| user_agent.contains(mark))
        .map(|(_, app)| *app)
}

/// Our name of an app that is written like this but for its case.
pub fn app_name(text: &str) -> Option<&'static str> {
    APPS.iter()
        .map(|(_, app)| *app)
        .find(|app| app.eq_ignore_ascii_case(text))
}

/// A version without trailing zeros, at most three parts: `131.0.0.0` → `131`, `17.6.1` stays.
pub fn version<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Option<String> {
    let mut kept: Vec<&str> = parts
        .into_iter()
        .map_while(|part| part.filter(|part| !part.is_empty()))
        .take(3)
        .collect();
    while kept.len() > 1 && kept.last() == Some(&"0") {
        kept.pop();
    }
    (!kept.is_empty()).then(|| kept.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_loses_its_trailing_zeros_but_not_its_head() {
        assert_eq!(version([Some("131"), Some("0"), Some("0")]).as_deref(), Some("131"));
        assert_eq!(version([Some("17"), Some("6"), Some("1")]).as_deref(), Some("17.6.1"));
        assert_eq!(version([Some("0")]).as_deref(), Some("0"));
        assert_eq!(version([None, Some("1")]), None);
    }
}
