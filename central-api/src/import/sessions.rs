//! A row of sessions as the events that such a session would have sent.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use shared::action::Action;
use shared::click_id;
use shared::event::{Consent, Context, Device, DeviceKind, Event, Origin, SessionRef, Touch};
use shared::limits::{MAX_CLICK_ID_CHARS, MAX_PATH_CHARS, MAX_USER_AGENT_CHARS, MAX_UTM_CHARS};
use uuid::Uuid;

use super::ids::ImportIds;
use crate::orders::state::MAX_ID_CHARS;
use crate::record::{FieldError, Record};

/// Columns of `docs/import.md`, click ids by the names of their catalogue.
pub static COLUMNS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    OWN_COLUMNS
        .into_iter()
        .chain(click_id::CATALOGUE.iter().map(|click| click.name))
        .collect()
});

const OWN_COLUMNS: [&str; 36] = [
    "session_id",
    "visitor_id",
    "started_at",
    "last_seen_at",
    "visit_count",
    "registered_at",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "utm_id",
    "utm_source_platform",
    "utm_creative_format",
    "fbc",
    "fbp",
    "ttp",
    "ref",
    "referrer",
    "landing_page",
    "user_agent",
    "device_type",
    "device_brand",
    "device_model",
    "os_name",
    "os_version",
    "browser_name",
    "browser_version",
    "language",
    "country",
    "region",
    "city",
    "time_zone",
    "continent",
    "ip",
    "human",
];

/// The events that a row is made into.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// The first page.
    Landing,
    /// A page of the last visit, when there were several.
    LastVisit,
    /// How long the only visit was.
    Stay,
    /// An account was made.
    Registration,
}

impl Part {
    /// The id of this event of the session that the source calls `session`.
    pub fn id(self, ids: &ImportIds, session: &str, at: DateTime<Utc>) -> Uuid {
        let name = match self {
            Self::Landing => "landing",
            Self::LastVisit => "last_visit",
            Self::Stay => "stay",
            Self::Registration => "registration",
        };
        ids.event(name, session, at)
    }
}

/// Reads a row of either layout: the landing with touch, device and place; the last visit, when the session lasted; the registration.
///
/// # Errors
/// The first field at fault, by the name of its column.
pub fn read(record: &Record<'_>, ids: &ImportIds, now: DateTime<Utc>) -> Result<Vec<Event>, FieldError> {
    let django = record.has(super::Kind::Sessions.django_column());
    let names = if django { DJANGO } else { OWN };
    if !django {
        record.only(&COLUMNS)?;
    }
    let id = Record::required(names.id, record.id(names.id, MAX_ID_CHARS)?)?;
    let id = if django { format!("django:{id}") } else { id };
    let session = ids.named("session", &id);
    let visitor = match record.id("visitor_id", MAX_ID_CHARS)? {
        Some(visitor) => ids.named("visitor", &visitor),
        None if django => {
            let key = Record::required("session_key", record.id("session_key", MAX_ID_CHARS)?)?;
            ids.named("visitor", &format!("django:{key}"))
        }
        None => ids.named("visitor", &format!("session:{id}")),
    };
    let started = Record::required(names.started, record.time(names.started, now)?)?;
    let last_seen = record.time(names.last_seen, now)?.unwrap_or(started).max(started);
    let visits = record.whole("visit_count", 30_000)?.unwrap_or(1).max(1) as u16;
    let make = |part: Part, at: DateTime<Utc>, action: Action, visit: u16| Event {
        visitor: Some(visitor),
        ..blank(
            part.id(ids, &id, at),
            at,
            action,
            SessionRef {
                id: session,
                started: started.timestamp_millis(),
                visit,
            },
        )
    };
    let mut landing = make(Part::Landing, started, Action::PageView, 1);
    // Who bought or asked is a person, whatever else is known; that flag is not worth refusing a row for.
    let converted = django && record.flag("is_converted").unwrap_or_default().unwrap_or(false);
    landing.human = converted || record.flag("human")?.unwrap_or(false);
    let touch = touch(record)?;
    landing.path.clone_from(&touch.landing_path);
    landing.touch = Some(Box::new(touch));
    landing.context = Some(Box::new(context(record, names.time_zone, names.ip)?));
    let mut events = vec![landing];
    if visits > 1 {
        events.push(make(Part::LastVisit, last_seen, Action::PageView, visits));
    } else if last_seen > started {
        let mut stay = make(Part::Stay, last_seen, Action::TimeOnPage, 1);
        stay.amount = u32::try_from((last_seen - started).num_seconds()).ok();
        events.push(stay);
    }
    if let Some(at) = record.time(names.registered, now)? {
        let mut registration = make(Part::Registration, at.max(started), Action::SignUp, visits);
        registration.human = true;
        events.push(registration);
    }
    Ok(events)
}

/// What a row of this layout calls a field of its events.
pub fn column(record: &Record<'_>) -> impl Fn(&str) -> &str + use<> {
    let django = record.has(super::Kind::Sessions.django_column());
    let names = if django { DJANGO } else { OWN };
    move |field| match field {
        "id" | "at" | "session.started" => names.started,
        "context.ip" => names.ip,
        "context.country" => "country",
        same => same,
    }
}

struct Names {
    id: &'static str,
    started: &'static str,
    last_seen: &'static str,
    registered: &'static str,
    time_zone: &'static str,
    ip: &'static str,
}

const OWN: Names = Names {
    id: "session_id",
    started: "started_at",
    last_seen: "last_seen_at",
    registered: "registered_at",
    time_zone: "time_zone",
    ip: "ip",
};

/// Table `storefront_utmsession`.
const DJANGO: Names = Names {
    id: "id",
    started: "first_seen",
    last_seen: "last_seen",
    registered: "user_registered_at",
    time_zone: "timezone",
    ip: "ip_address",
};

/// An imported event with nothing but its key.
pub fn blank(id: Uuid, at: DateTime<Utc>, action: Action, session: SessionRef) -> Event {
    Event {
        id,
        at: at.timestamp_millis(),
        action,
        origin: Origin::Import,
        visitor: None,
        session: Some(session),
        name: None,
        path: None,
        product: None,
        quantity: None,
        value: None,
        currency: None,
        order: None,
        amount: None,
        label: None,
        props: None,
        touch: None,
        context: None,
        bot: None,
        human: false,
        consent: Consent::Granted,
    }
}

fn touch(record: &Record<'_>) -> Result<Touch, FieldError> {
    let utm = |field: &str| record.text(field, 4 * MAX_UTM_CHARS);
    let mut click_ids = BTreeMap::new();
    for name in click_id::CATALOGUE.iter().map(|click| click.name) {
        if let Some(value) = record.text(name, MAX_CLICK_ID_CHARS)? {
            click_ids.insert(name.to_owned(), value);
        }
    }
    let (referrer_host, referrer_path) = split_url(record.text("referrer", 4 * MAX_PATH_CHARS)?.as_deref());
    let (landing_host, landing_path) = split_url(record.text("landing_page", 4 * MAX_PATH_CHARS)?.as_deref());
    Ok(Touch {
        utm_source: utm("utm_source")?,
        utm_medium: utm("utm_medium")?,
        utm_campaign: utm("utm_campaign")?,
        utm_content: utm("utm_content")?,
        utm_term: utm("utm_term")?,
        utm_id: utm("utm_id")?,
        utm_source_platform: utm("utm_source_platform")?,
        utm_creative_format: utm("utm_creative_format")?,
        click_ids,
        click_kind: None,
        fbc: utm("fbc")?,
        fbp: utm("fbp")?,
        ttp: utm("ttp")?,
        referral: utm("ref")?,
        referrer_path: referrer_host.is_some().then_some(referrer_path).flatten(),
        referrer_host,
        landing_host,
        landing_path,
        landing_query: None,
    })
}

/// Host and path of an absolute URL, or the path alone. Query and fragment, which may be personal, are left out.
fn split_url(url: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(url) = url else { return (None, None) };
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = match url.split_once("://") {
        Some((_, rest)) => match rest.find('/') {
            Some(slash) => (Some(&rest[..slash]), &rest[slash..]),
            None => (Some(rest), "/"),
        },
        None => (None, url),
    };
    let host = host.map(|host| {
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let host = host.split(':').next().unwrap_or_default().to_lowercase();
        host.strip_prefix("www.").unwrap_or(&host).to_owned()
    });
    (
        host.filter(|host| !host.is_empty()),
        (!path.is_empty()).then(|| path.to_owned()),
    )
}

fn context(record: &Record<'_>, time_zone: &str, ip: &str) -> Result<Context, FieldError> {
    let text = |field: &str| record.text(field, MAX_UTM_CHARS);
    let kind = match text("device_type")?.as_deref().map(str::to_lowercase).as_deref() {
        None | Some("unknown") => None,
        Some(name) => Some(serde_json::from_value::<DeviceKind>(name.into()).map_err(|_| {
            FieldError::invalid(
                "device_type",
                "must be one of desktop, mobile, tablet, tv, console, other, unknown",
            )
        })?),
    };
    let device = Device {
        kind,
        brand: text("device_brand")?,
        model: text("device_model")?,
        os: text("os_name")?,
        os_version: text("os_version")?,
        browser: text("browser_name")?,
        browser_version: text("browser_version")?,
        in_app: None,
    };
    Ok(Context {
        // Longer ones exist in the wild; validation cuts them.
        user_agent: record.text("user_agent", 16 * MAX_USER_AGENT_CHARS)?,
        device: (device != Device::default()).then_some(device),
        language: text("language")?,
        country: text("country")?.map(|code| code.to_uppercase()),
        region: text("region")?,
        city: text("city")?,
        time_zone: text(time_zone)?,
        continent: text("continent")?,
        ip: text(ip)?.map(|text| truncated(ip, &text)).transpose()?,
        ..Context::default()
    })
}

/// An address as the default privacy setting keeps it: /24 or /48.
fn truncated(field: &str, text: &str) -> Result<String, FieldError> {
    match text.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            Ok(format!("{a}.{b}.{c}.0"))
        }
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, ..] = ip.segments();
            Ok(std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string())
        }
        Err(_) => Err(FieldError::invalid(field, "must be an IP address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_host_and_path_without_what_may_be_personal() {
        for (url, host, path) in [
            (
                "https://www.Facebook.com/ads?id=7#x",
                Some("facebook.com"),
                Some("/ads"),
            ),
            ("https://google.com", Some("google.com"), Some("/")),
            (
                "https://user:pass@shop.example:8080/a/b",
                Some("shop.example"),
                Some("/a/b"),
            ),
            (
                "/catalog/футболка?utm_source=x&email=a@b.c",
                None,
                Some("/catalog/футболка"),
            ),
            ("?x=1", None, None),
            ("", None, None),
        ] {
            let (got_host, got_path) = split_url(Some(url));
            assert_eq!((got_host.as_deref(), got_path.as_deref()), (host, path), "{url}");
        }
    }

    #[test]
    fn an_address_is_truncated() {
        assert_eq!(truncated("ip", "203.0.113.77").unwrap(), "203.0.113.0");
        assert_eq!(truncated("ip", "2001:db8:1:2::3").unwrap(), "2001:db8:1::");
        assert_eq!(truncated("ip", "::ffff:203.0.113.77").unwrap(), "203.0.113.0");
        assert_eq!(truncated("ip", "localhost").unwrap_err().field.as_deref(), Some("ip"));
    }
}
