//! Which witness is believed: **the more specific answer wins**.
//!
//! - kind: the form-factor hint, then a rare kind (tablet, television, console, other) from the user agent or the edge, then the
//!   mobile hint, then phone or desktop from the user agent or the edge.
//! - brand and model: the model hint (real since user agents were reduced) with its brand, else the user agent's, else the edge's.
//! - system: the hints' when they tell a version, else the user agent's, else the edge's. Windows 11 shows itself by
//!   platform version 13 and above only.
//! - browser: the brand hints name derived browsers (Brave, Opera, Edge) that the user agent may hide, outside an app; else the
//!   user agent's, else the edge's.

use std::collections::BTreeMap;

use shared::event::{Context, Device, DeviceKind};

use crate::devices::names;

type Hints = BTreeMap<String, String>;

/// The most specific device that the witnesses support. `modelled` is what a phone of the hinted model would be.
pub fn merge(agent: Option<&Device>, modelled: Option<&Device>, context: &Context) -> Device {
    let nothing = Device::default();
    let agent = agent.unwrap_or(&nothing);
    let edge = context.device.as_ref().unwrap_or(&nothing);
    let hints = &context.hints;
    let in_app = agent.in_app.clone().or_else(|| edge.in_app.clone());
    let (brand, model) = thing(agent, edge, modelled, hints);
    let (os, os_version) = system(agent, edge, hints);
    let (browser, browser_version) = browser(agent, edge, hints, in_app.is_some());
    Device {
        kind: kind(agent, edge, hints),
        brand,
        model,
        os,
        os_version,
        browser,
        browser_version,
        in_app,
    }
}

/// The `model` hint, if it says something.
pub fn hinted_model(hints: &Hints) -> Option<String> {
    hint(hints, "model")
        .filter(|model| *model != "K" && model.len() <= 100)
        .map(str::to_owned)
}

/// A hint without the quotes of a structured header string.
fn hint<'a>(hints: &'a Hints, name: &str) -> Option<&'a str> {
    let value = hints.get(name)?.trim().trim_matches('"').trim();
    (!value.is_empty()).then_some(value)
}

fn thing(agent: &Device, edge: &Device, modelled: Option<&Device>, hints: &Hints) -> (Option<String>, Option<String>) {
    match hinted_model(hints) {
        Some(model) => {
            let brand = modelled
                .and_then(|device| device.brand.as_ref())
                .or(edge.brand.as_ref());
            (brand.cloned(), Some(model))
        }
        None if agent.model.is_some() => (agent.brand.clone().or_else(|| edge.brand.clone()), agent.model.clone()),
        None => (edge.brand.clone().or_else(|| agent.brand.clone()), edge.model.clone()),
    }
}

fn kind(agent: &Device, edge: &Device, hints: &Hints) -> Option<DeviceKind> {
    let rare = |kind: &DeviceKind| !matches!(kind, DeviceKind::Desktop | DeviceKind::Mobile);
    let form = hint(hints, "form-factors").and_then(|forms| {
        [
            ("Tablet", DeviceKind::Tablet),
            ("XR", DeviceKind::Other),
            ("Watch", DeviceKind::Other),
            ("Automotive", DeviceKind::Other),
        ]
        .into_iter()
        .find(|(name, _)| forms.contains(name))
        .map(|(_, kind)| kind)
    });
    form.or(agent.kind.filter(rare))
        .or(edge.kind.filter(rare))
        .or((hint(hints, "mobile") == Some("?1")).then_some(DeviceKind::Mobile))
        .or(agent.kind)
        .or(edge.kind)
}

fn system(agent: &Device, edge: &Device, hints: &Hints) -> (Option<String>, Option<String>) {
    let hinted = hint(hints, "platform").and_then(names::system);
    if let (Some(name), Some(version)) = (hinted.as_deref(), hint(hints, "platform-version")) {
        let major: u32 = version
            .split('.')
            .next()
            .and_then(|part| part.parse().ok())
            .unwrap_or(0);
        match name {
            // https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11: from 13 it is Windows 11, 1 to 10 are Windows 10,
            // 0 is Windows 7 to 8.1, which the user agent tells apart.
            "Windows" if major >= 13 => return (hinted, Some("11".into())),
            "Windows" if major >= 1 => return (hinted, Some("10".into())),
            // The version is the kernel's or empty, and the user agent may name the distribution.
            "Windows" | "Linux" => {}
            _ => return (hinted, names::version(version.split('.').map(Some))),
        }
    }
    let edge_os = edge.os.as_deref().and_then(names::system);
    if agent.os.is_some() {
        let agreed = edge.os_version.clone().filter(|_| edge_os == agent.os);
        return (agent.os.clone(), agent.os_version.clone().or(agreed));
    }
    match edge_os {
        Some(os) => (Some(os), edge.os_version.clone()),
        None => (hinted, None),
    }
}

/// Brands that say more than the engine they share, in the order in which they are believed.
const BRANDS: &[(&str, &str)] = &[
    ("Brave", "Brave"),
    ("Opera GX", "Opera"),
    ("Opera", "Opera"),
    ("Microsoft Edge", "Edge"),
    ("YaBrowser", "Yandex"),
    ("Yandex", "Yandex"),
    ("Vivaldi", "Vivaldi"),
    ("Samsung Internet", "Samsung Internet"),
    ("DuckDuckGo", "DuckDuckGo"),
    ("HeadlessChrome", "HeadlessChrome"),
    ("Google Chrome", "Chrome"),
];

fn browser(agent: &Device, edge: &Device, hints: &Hints, in_app: bool) -> (Option<String>, Option<String>) {
    // An app's own browser shares the engine's brands; the user agent names the app.
    let lists = ["full-version-list", "brands"]
        .into_iter()
        .filter(|_| !in_app)
        .filter_map(|list| hints.get(list));
    for list in lists {
        if let Some((name, version)) = BRANDS
            .iter()
            .find_map(|(brand, name)| Some((*name, brand_version(list, brand)?)))
        {
            return (
                Some(name.to_owned()),
                names::version(version.split('.').take(2).map(Some)),
            );
        }
    }
    if agent.browser.is_some() {
        return (agent.browser.clone(), agent.browser_version.clone());
    }
    (
        edge.browser.as_deref().and_then(names::browser),
        edge.browser_version.clone(),
    )
}

/// Version of a brand in `"Brand";v="1.2", …`.
fn brand_version<'a>(list: &'a str, brand: &str) -> Option<&'a str> {
    let start = list.find(&format!("\"{brand}\""))? + brand.len() + 2;
    let rest = list[start..]
        .trim_start()
        .strip_prefix(';')?
        .trim_start()
        .strip_prefix("v=\"")?;
    Some(&rest[..rest.find('"')?])
}
