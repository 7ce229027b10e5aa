//! What user agents and client hints are taken for.

use std::collections::BTreeMap;

use edge_core::device::classify;
use proptest::prelude::*;
use shared::event::DeviceKind;

fn hints(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn kinds_makers_systems_browsers_and_apps_are_recognised() {
    use DeviceKind::{Console, Desktop, Mobile, Tablet, Tv};
    for (agent, kind, brand, model, os, browser, app) in [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            Desktop,
            "",
            "",
            "Windows",
            "Chrome",
            "",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            Desktop,
            "",
            "",
            "Windows",
            "Edge",
            "",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
            Desktop,
            "Apple",
            "",
            "macOS",
            "Safari",
            "",
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
            Desktop,
            "",
            "",
            "Linux",
            "Firefox",
            "",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            Mobile,
            "Apple",
            "iPhone",
            "iOS",
            "Safari",
            "",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            Tablet,
            "Apple",
            "iPad",
            "iOS",
            "Safari",
            "",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            Mobile,
            "",
            "",
            "Android",
            "Chrome",
            "",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-A536B Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 Instagram 334.0.0.42.95 Android",
            Mobile,
            "Samsung",
            "SM-A536B",
            "Android",
            "",
            "Instagram",
        ),
        (
            "Mozilla/5.0 (Linux; Android 12; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            Tablet,
            "Samsung",
            "SM-X200",
            "Android",
            "Chrome",
            "",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Redmi Note 12) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
            Mobile,
            "Xiaomi",
            "Redmi Note 12",
            "Android",
            "Samsung Internet",
            "",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F79 [FBAN/FBIOS;FBAV/465.0.0.0;FBDV/iPhone14,5]",
            Mobile,
            "Apple",
            "iPhone",
            "iOS",
            "",
            "Facebook",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; Pixel 7; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 musical_ly_2023 BytedanceWebview/d8a21c6",
            Mobile,
            "Google",
            "Pixel 7",
            "Android",
            "",
            "TikTok",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; Pixel 7; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 Viber/21.0",
            Mobile,
            "Google",
            "Pixel 7",
            "Android",
            "",
            "Viber",
        ),
        (
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/5.0 Chrome/94.0 TV Safari/537.36",
            Tv,
            "",
            "",
            "",
            "Samsung Internet",
            "",
        ),
        (
            "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36",
            Tv,
            "",
            "",
            "",
            "Chrome",
            "",
        ),
        (
            "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko)",
            Console,
            "",
            "",
            "PlayStation",
            "",
            "",
        ),
    ] {
        let device = classify(agent, &BTreeMap::new());
        assert_eq!(device.kind, Some(kind), "{agent}");
        assert_eq!(device.brand.as_deref().unwrap_or(""), brand, "{agent}");
        assert_eq!(device.model.as_deref().unwrap_or(""), model, "{agent}");
        assert!(
            os.is_empty() || device.os.as_deref() == Some(os),
            "{:?} {agent}",
            device.os
        );
        assert!(
            browser.is_empty() || device.browser.as_deref() == Some(browser),
            "{:?} {agent}",
            device.browser
        );
        assert_eq!(device.in_app.as_deref().unwrap_or(""), app, "{agent}");
    }
}

#[test]
fn hints_beat_the_user_agent() {
    let reduced = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
    let given = hints(&[
        (
            "brands",
            r#""Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99""#,
        ),
        ("mobile", "?1"),
        ("platform", "Android"),
        ("platform-version", "15.0.0"),
        ("model", "Pixel 9"),
    ]);
    let device = classify(reduced, &given);
    assert_eq!(
        (device.brand.as_deref(), device.model.as_deref()),
        (Some("Google"), Some("Pixel 9"))
    );
    assert_eq!(
        (device.os.as_deref(), device.os_version.as_deref()),
        (Some("Android"), Some("15.0.0"))
    );
    assert_eq!(
        (device.browser.as_deref(), device.browser_version.as_deref()),
        (Some("Chrome"), Some("142"))
    );

    let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
    for (version, name) in [
        ("15.0.0", Some("11")),
        ("13.0.0", Some("11")),
        ("10.0.0", Some("10")),
        ("0.3.0", None),
        ("x", None),
        ("", None),
    ] {
        let device = classify(
            windows,
            &hints(&[("platform", "Windows"), ("platform-version", version)]),
        );
        assert_eq!(device.os_version.as_deref(), name, "{version}");
    }
    let brave = classify(
        windows,
        &hints(&[("brands", r#""Brave";v="142", "Chromium";v="142", "Not(A:Brand";v="8""#)]),
    );
    assert_eq!(brave.browser.as_deref(), Some("Brave"));
}

#[test]
fn an_ipad_that_calls_itself_a_mac_is_told_by_its_touch_points() {
    let agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
    let device = classify(agent, &hints(&[("touch-points", "5")]));
    assert_eq!(
        (device.kind, device.model.as_deref(), device.os.as_deref()),
        (Some(DeviceKind::Tablet), Some("iPad"), Some("iOS"))
    );
    assert_eq!(device.os_version, None);
    assert_eq!(
        classify(agent, &hints(&[("touch-points", "0")])).kind,
        Some(DeviceKind::Desktop)
    );
}

proptest! {
    #[test]
    fn any_text_is_classified(agent in "(Mozilla/5.0 \\(Linux; Android)?(?s:.{0,80})", brands in "(?s).{0,40}|(\"[a-z]{0,4}\";v=\"[0-9]?\",? ?){0,3}", version in ".{0,8}") {
        let device = classify(&agent, &hints(&[("brands", &brands), ("platform", "Windows"), ("platform-version", &version)]));
        prop_assert!(device.model.is_none_or(|model| !model.is_empty()));
    }
}
