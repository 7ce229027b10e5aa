//! Real user agents and what they must come to: kind, brand, system, browser, app.

use std::collections::BTreeMap;

use shared::event::{Context, Device, DeviceKind};

use super::Devices;

/// User agent; `kind/brand/os os_version/browser/app`, a dash for what is not said.
const CASES: &[(&str, &str)] = &[
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
        "mobile/Apple/iOS 17.6.1/Safari 17.6/-",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1",
        "mobile/Apple/iOS 18.1/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/132.0 Mobile/15E148 Safari/605.1.15",
        "mobile/Apple/iOS 17.6/Firefox 132/-",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/131.0.2903.48 Mobile/15E148 Safari/605.1.15",
        "mobile/Apple/iOS 17.6/Edge 131/-",
    ),
    (
        "Mozilla/5.0 (iPod touch; CPU iPhone OS 15_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Mobile/15E148 Safari/604.1",
        "mobile/Apple/iOS 15.8/Safari 15.6/-",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
        "tablet/Apple/iOS 16.7/Safari 16.6/-",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1",
        "tablet/Apple/iOS 17.6/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        "desktop/Apple/macOS/Safari 18.1/-",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "desktop/Apple/macOS/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0",
        "desktop/Apple/macOS/Firefox 132/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "desktop/-/Windows 10/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
        "desktop/-/Windows 10/Edge 131/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0",
        "desktop/-/Windows 10/Opera 115/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 YaBrowser/24.10.0.0 Safari/537.36",
        "desktop/-/Windows 10/Yandex 24.10/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Vivaldi/7.0.3495.11",
        "desktop/-/Windows 10/Vivaldi 7/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "desktop/-/Windows 10/Firefox 132/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "desktop/-/Windows 7/Internet Explorer 11/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 6.1; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36",
        "desktop/-/Windows 7/Chrome 109/-",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "desktop/-/Linux/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "desktop/-/Ubuntu/Firefox 132/-",
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "desktop/-/ChromeOS 14541/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
        "mobile/-/Android/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "tablet/-/Android/Chrome 131/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SM-G991B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Mobile Safari/537.36",
        "mobile/Samsung/Android 13/Chrome 112/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-A546B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
        "mobile/Samsung/Android 13/Samsung Internet 26/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Safari/537.36",
        "tablet/Samsung/Android 12/Chrome 112/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 11; SM-T505) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/20.0 Chrome/106.0.5249.126 Safari/537.36",
        "tablet/Samsung/Android 11/Samsung Internet 20/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 12; M2101K6G) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Mobile Safari/537.36",
        "mobile/-/Android 12/Chrome 112/-",
    ),
    (
        "Mozilla/5.0 (Linux; U; Android 12; uk-ua; Redmi Note 10 Pro Build/SKQ1.210908.001) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.127 Mobile Safari/537.36 XiaoMi/MiuiBrowser/13.28.0-gn",
        "mobile/Xiaomi/Android 12/MIUI Browser 13.28/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Mobile Safari/537.36",
        "mobile/Google/Android 13/Chrome 112/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; HUAWEI VOG-L29) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/92.0.4515.105 HuaweiBrowser/13.0.4.302 Mobile Safari/537.36",
        "mobile/Huawei/Android 9/Chrome 92/-",
    ),
    (
        "Mozilla/5.0 (Android 13; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0",
        "mobile/-/Android 13/Firefox 132/-",
    ),
    (
        "Mozilla/5.0 (Android 13; Tablet; rv:132.0) Gecko/132.0 Firefox/132.0",
        "tablet/-/Android 13/Firefox 132/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36 OPR/86.0.0.0",
        "mobile/-/Android/Opera 86/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/108.4.6 like Chrome/108.0.5359.160 Safari/537.36",
        "tablet/Amazon/Android 9/Silk 108.4/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 11; Lenovo TB-J606F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Safari/537.36",
        "tablet/Lenovo/Android 11/Chrome 112/-",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 361.0.0.35.82 (iPhone14,5; iOS 17_6; uk_UA; uk; scale=3.00; 1170x2532; 674117118)",
        "mobile/Apple/iOS 17.6/Instagram 361/Instagram",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36 Instagram 361.0.0.46.88 Android (34/14; 450dpi; 1080x2115; samsung; SM-S918B; dm3q; qcom; uk_UA; 674675098)",
        "mobile/Samsung/Android 14/Instagram 361/Instagram",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21G80 [FBAN/FBIOS;FBAV/490.0.0.41.103;FBBV/659384216;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.6;FBSS/3;FBID/phone;FBLC/uk_UA;FBOP/5]",
        "mobile/Apple/iOS 17.6/Facebook 490/Facebook",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/490.0.0.63.82;]",
        "mobile/Samsung/Android 14/Facebook 490/Facebook",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21G80 [FBAN/MessengerForiOS;FBAV/484.0.0.42.100;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.6]",
        "mobile/Apple/iOS 17.6/Messenger 484/Messenger",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 musical_ly_37.0.0 JsSdk/2.0 NetType/WIFI Channel/App Store ByteLocale/uk Region/UA BytedanceWebview/d8a21c6",
        "mobile/Apple/iOS 17.5/WebView/TikTok",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; 2201117TG Build/TKQ1.221114.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36 trill_370004 JsSdk/1.0 NetType/WIFI Channel/googleplay AppName/musical_ly app_version/37.0.4 ByteLocale/uk Region/UA",
        "mobile/-/Android 13/WebView 131/TikTok",
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SM-G991B Build/TP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36 Telegram-Android/11.4.2 (Samsung SM-G991B; Android 13; SDK 33; HIGH)",
        "mobile/Samsung/Android 13/WebView 131/Telegram",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Snapchat/13.14.0.40 (like Safari/8618.3.11.10.5, panda)",
        "mobile/Apple/iOS 17.6/Snapchat 13.14/Snapchat",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [Pinterest/iOS]",
        "mobile/Apple/iOS 17.6/Pinterest/Pinterest",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.30.1462",
        "mobile/Apple/iOS 17.6/WebView/LinkedIn",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/343.0.695551749 Mobile/15E148 Safari/604.1",
        "mobile/Apple/iOS 17.6/Google 343/Google",
    ),
    (
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
        "tv/Samsung/Tizen 6/Safari/-",
    ),
    (
        "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
        "tv/LG/webOS/Chrome 94/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR2 Build/PTT1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/102.0.0.0 Safari/537.36",
        "tv/-/Android 9/Chrome 102/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 7.1.2; AFTMM Build/NS6265) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.110 Mobile Safari/537.36",
        "tv/-/Android 7.1.2/Chrome 70/-",
    ),
    (
        "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
        "console/Sony/-/Safari 13/-",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox Series X) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edge/44.18363.8131",
        "console/-/Windows 10/Edge 44.18363/-",
    ),
    (
        "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/606.4 (KHTML, like Gecko) NF/6.0.1.16.10 NintendoBrowser/5.1.0.22474",
        "console/-/-/-/-",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/35.3.0.5.46 Chrome/128.0.6613.148 VR Safari/537.36",
        "other/-/Linux/Chrome 128/-",
    ),
    (
        "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ (KHTML, like Gecko) Version/5.0 Safari/533.2+ Kindle/3.0+",
        "other/Amazon/Kindle 3/Kindle 3/-",
    ),
    (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "-/-/-/Googlebot 2.1/-",
    ),
    (
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.69 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "-/-/Android 6.0.1/Googlebot 2.1/-",
    ),
    (
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "-/-/-/bingbot 2/-",
    ),
    (
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "-/-/-/GPTBot 1.2/-",
    ),
    (
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "-/-/-/FacebookBot 1.1/-",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
        "desktop/-/Linux/HeadlessChrome 131/-",
    ),
    ("TelegramBot (like TwitterBot)", "-/-/-/TelegramBot/-"),
    ("curl/8.5.0", "-/-/-/curl 8.5/-"),
    ("python-requests/2.32.3", "-/-/-/Python Requests 2.32/-"),
];

fn told(device: &Device) -> String {
    let kind = device.kind.map_or("-", DeviceKind::name);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let version = |value: &Option<String>| value.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    format!(
        "{kind}/{}/{}{}/{}{}/{}",
        text(&device.brand),
        text(&device.os),
        version(&device.os_version),
        text(&device.browser),
        version(&device.browser_version),
        text(&device.in_app)
    )
}

#[test]
fn real_user_agents_are_read_as_what_they_are() {
    let devices = Devices::default();
    let mut wrong = Vec::new();
    for (user_agent, expected) in CASES {
        let context = Context {
            user_agent: Some((*user_agent).to_owned()),
            ..Context::default()
        };
        let got = told(&devices.refine(&context));
        if got != *expected {
            wrong.push(format!("{user_agent}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn refined(user_agent: &str, hints: &[(&str, &str)], edge: Device) -> Device {
    let hints: BTreeMap<String, String> = hints
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let context = Context {
        user_agent: Some(user_agent.to_owned()),
        hints,
        device: Some(edge),
        ..Context::default()
    };
    Devices::default().refine(&context)
}

const REDUCED_ANDROID: &str =
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36";
const WINDOWS: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

#[test]
fn a_model_hint_names_model_and_brand_where_the_user_agent_hides_them() {
    let device = refined(
        REDUCED_ANDROID,
        &[
            ("model", "\"SM-G991B\""),
            ("platform", "\"Android\""),
            ("platform-version", "\"14.0.0\""),
            ("mobile", "?1"),
        ],
        Device::default(),
    );
    assert_eq!(
        (device.brand.as_deref(), device.model.as_deref()),
        (Some("Samsung"), Some("SM-G991B"))
    );
    assert_eq!(device.os_version.as_deref(), Some("14"));
}

#[test]
fn windows_11_shows_itself_by_its_platform_version_only() {
    for (version, expected) in [
        ("\"15.0.0\"", "11"),
        ("\"13.0.0\"", "11"),
        ("\"10.0.0\"", "10"),
        ("\"0.3.0\"", "10"),
    ] {
        let device = refined(
            WINDOWS,
            &[("platform", "\"Windows\""), ("platform-version", version)],
            Device::default(),
        );
        assert_eq!(
            (device.os.as_deref(), device.os_version.as_deref()),
            (Some("Windows"), Some(expected)),
            "{version}"
        );
    }
}

#[test]
fn a_brand_hint_names_the_browser_that_the_user_agent_hides() {
    let brave = refined(
        WINDOWS,
        &[(
            "brands",
            "\"Brave\";v=\"131\", \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"",
        )],
        Device::default(),
    );
    assert_eq!(
        (brave.browser.as_deref(), brave.browser_version.as_deref()),
        (Some("Brave"), Some("131"))
    );
    let broken = refined(WINDOWS, &[("brands", "\"Brave\";v=")], Device::default());
    assert_eq!(broken.browser.as_deref(), Some("Chrome"));
}

#[test]
fn what_only_the_edge_knows_is_kept_and_a_rare_kind_is_believed() {
    let edge = Device {
        kind: Some(DeviceKind::Tablet),
        os: Some("Mac OSX".into()),
        browser: Some("Safari".into()),
        ..Device::default()
    };
    let ipad_as_mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
    assert_eq!(refined(ipad_as_mac, &[], edge.clone()).kind, Some(DeviceKind::Tablet));
    let nothing = refined("", &[], edge);
    assert_eq!(
        (nothing.os.as_deref(), nothing.browser.as_deref()),
        (Some("macOS"), Some("Safari"))
    );
    let nexus = refined(
        REDUCED_ANDROID,
        &[("form-factors", "\"Tablet\""), ("mobile", "?0")],
        Device::default(),
    );
    assert_eq!(nexus.kind, Some(DeviceKind::Tablet));
}

#[test]
fn hostile_text_is_read_without_harm() {
    let devices = Devices::default();
    for text in [
        "",
        "\0",
        "\u{202e}x",
        &"(".repeat(100_000),
        &"Mozilla/5.0 (".repeat(1_000),
        "é".repeat(5_000).as_str(),
    ] {
        let context = Context {
            user_agent: Some(text.to_owned()),
            hints: [
                ("model".to_owned(), text.to_owned()),
                ("brands".to_owned(), text.to_owned()),
            ]
            .into(),
            ..Context::default()
        };
        devices.refine(&context);
        if let Some((_, stored)) = devices.stored(text) {
            assert!(stored.chars().count() <= 512 && !stored.contains('\0'));
        }
    }
}

#[test]
fn the_same_is_read_after_the_patterns_were_built_anew() {
    let devices = Devices::default();
    let (agent, expected) = CASES[0];
    let context = |text: String| Context {
        user_agent: Some(text),
        ..Context::default()
    };
    for n in 0..1_100 {
        devices.refine(&context(format!("{agent} {n}")));
    }
    assert_eq!(told(&devices.refine(&context(agent.to_owned()))), expected);
}
