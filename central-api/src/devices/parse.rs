//! What a user agent says, by uap-core's patterns (data/uap-core); the kind of device, which they do not tell, by its marks.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use shared::event::{Device, DeviceKind};
use ua_parser::{Extractor, Regexes};

use crate::devices::names;

/// User agents that are read with the same patterns. Each pattern keeps what it searched with, for each thread that did: some 10 KB for
/// a user agent unlike those before, without an end. Building anew takes a fifth of a second.
const READ_WITH_ONE: usize = 1_000;

/// The patterns, and how many user agents were read with them. One thread at a time reads, so that few threads keep memory.
struct Patterns {
    extractor: Extractor<'static>,
    read: usize,
}

static PATTERNS: Mutex<Option<Patterns>> = Mutex::new(None);
static BUILT_ONCE: OnceLock<()> = OnceLock::new();

/// Builds the patterns, if nobody did or they have read enough. On a thread of its own, whose end gives back what building takes beyond the 25 MB that stay.
#[expect(clippy::expect_used, reason = "data that is compiled in; a test builds it")]
fn patterns() -> MutexGuard<'static, Option<Patterns>> {
    // Whoever panicked with it left nothing half done that matters.
    let mut patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    if patterns.as_ref().is_none_or(|patterns| patterns.read == READ_WITH_ONE) {
        // The old ones go first: two at a time would be the most memory of all.
        *patterns = None;
        let build = || {
            serde_json::from_str::<Regexes<'static>>(include_str!("../../data/uap-core/regexes.json"))
                .expect("the patterns are well-formed")
                .try_into()
                .expect("the patterns compile")
        };
        let extractor = thread::spawn(build).join().expect("the patterns are built");
        *patterns = Some(Patterns { extractor, read: 0 });
        BUILT_ONCE.get_or_init(|| ());
    }
    patterns
}

/// Builds the patterns, if nobody did: a fifth of a second.
pub fn warm() {
    drop(patterns());
}

/// Whether the patterns were built.
pub fn is_warm() -> bool {
    BUILT_ONCE.get().is_some()
}

/// What `user_agent` says; nothing for an empty one.
pub fn device(user_agent: &str) -> Device {
    if user_agent.is_empty() {
        return Device::default();
    }
    let mut patterns = patterns();
    let Some(patterns) = patterns.as_mut() else {
        return Device::default();
    };
    patterns.read += 1;
    let (browser, system, thing) = patterns.extractor.extract(user_agent);
    let crawler = thing.as_ref().is_some_and(|thing| thing.device == "Spider");
    let thing = thing.filter(|_| !crawler);
    let os = system.as_ref().and_then(|system| names::system(&system.os));
    let os_version = system
        .as_ref()
        .and_then(|system| {
            names::version([
                system.major.as_deref(),
                system.minor.as_deref(),
                system.patch.as_deref(),
            ])
        })
        .filter(|version| !is_frozen(user_agent, os.as_deref(), version));
    let model = thing.as_ref().and_then(|thing| specific(thing.model.as_deref()?));
    Device {
        kind: if crawler { None } else { kind(user_agent) },
        brand: thing
            .as_ref()
            .and_then(|thing| specific(thing.brand.as_deref()?))
            .filter(|brand| !brand.starts_with("Generic"))
            .map(|brand| if brand == "XiaoMi" { "Xiaomi".to_owned() } else { brand })
            .or_else(|| {
                model
                    .as_ref()
                    .filter(|model| model.starts_with("SM-"))
                    .map(|_| "Samsung".to_owned())
            }),
        model,
        os,
        os_version,
        browser: browser.as_ref().and_then(|browser| names::browser(&browser.family)),
        browser_version: browser
            .as_ref()
            .filter(|browser| browser.family != "Other")
            .and_then(|browser| names::version([browser.major, browser.minor])),
        in_app: names::in_app(user_agent).map(str::to_owned),
    }
}

/// Browsers stopped telling: every macOS says 10.15, and every Android of reduced user agents 10.
fn is_frozen(user_agent: &str, os: Option<&str>, version: &str) -> bool {
    match os {
        Some("macOS") => version.starts_with("10.15"),
        Some("Android") => user_agent.contains("Android 10; K)"),
        _ => false,
    }
}

/// A user agent such as a phone of this model would send, to learn its brand when only a client hint names the model.
pub fn agent_of_model(model: &str) -> String {
    format!(
        "Mozilla/5.0 (Linux; Android 14; {model}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36"
    )
}

/// A brand or model that tells more than that there is one. `K` is what every Android browser says since user agents were reduced.
fn specific(name: &str) -> Option<String> {
    let name = name.trim();
    let vague = [
        "",
        "K",
        "Other",
        "Smartphone",
        "Tablet",
        "Desktop",
        "Android",
        "Feature Phone",
    ];
    (!vague.contains(&name)).then(|| name.to_owned())
}

/// Marks of a kind, in the order in which they are asked: a television says Android too.
const MARKS: &[(DeviceKind, &[&str])] = &[
    (DeviceKind::Console, &["PlayStation", "Xbox", "Nintendo"]),
    (
        DeviceKind::Tv,
        &[
            "SmartTV",
            "SMART-TV",
            "Smart TV",
            "SmartHub",
            "AppleTV",
            "Apple TV",
            "Web0S",
            "BRAVIA",
            "CrKey",
            "HbbTV",
            "Roku",
            "GoogleTV",
            "Google TV",
            "Android TV",
            "AFTT",
            "AFTM",
            "AFTB",
            "AFTS",
            "AFTK",
            "NetCast",
            "VIDAA",
            "MiTV",
            "MiBOX",
            "DTV",
        ],
    ),
    (
        DeviceKind::Other,
        &["Watch", "Kindle/", "Quest", "OculusBrowser", "Tesla/", "QtCarBrowser"],
    ),
    (
        DeviceKind::Tablet,
        &["iPad", "Kindle Fire", "PlayBook", "Tablet;", "; Tablet"],
    ),
    (
        DeviceKind::Mobile,
        &[
            "iPhone",
            "iPod",
            "Windows Phone",
            "IEMobile",
            "BlackBerry",
            "BB10",
            "KAIOS",
            "Opera Mini",
        ],
    ),
];

fn kind(user_agent: &str) -> Option<DeviceKind> {
    let says = |mark: &&str| user_agent.contains(*mark);
    if let Some((kind, _)) = MARKS.iter().find(|(_, marks)| marks.iter().any(says)) {
        return Some(*kind);
    }
    if user_agent.contains("Android") {
        // Google's rule: a phone says Mobile, a tablet does not.
        return Some(if user_agent.contains("Mobile") {
            DeviceKind::Mobile
        } else {
            DeviceKind::Tablet
        });
    }
    if user_agent.contains("Mobile") && !user_agent.contains("Windows NT") {
        return Some(DeviceKind::Mobile);
    }
    ["Windows", "Macintosh", "X11", "CrOS", "Linux"]
        .iter()
        .any(says)
        .then_some(DeviceKind::Desktop)
}
