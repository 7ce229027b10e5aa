//! The columns of the sessions' file.

use super::or_not_set;
use crate::catalogue::{Dimension, Metric, Text};
use crate::reports::scope::Scope;
use crate::reports::session::SessionRow;
use crate::reports::sheet::{self, Cell};

const YES_NO: (Text, Text) = (
    Text {
        uk: "так", en: "yes"
    },
    Text { uk: "ні", en: "no" },
);
pub(super) type ValueOf = fn(&SessionRow, &Scope, &str) -> Cell;
/// A column of the sessions' file.
pub(super) type SessionColumn = (Text, sheet::Kind, ValueOf);

fn local(at: chrono::DateTime<chrono::Utc>, scope: &Scope) -> Cell {
    Cell::Time(at.with_timezone(&scope.site.time_zone).naive_local())
}

fn yes_no(flag: bool, language: &str) -> Cell {
    Cell::Text(if flag { YES_NO.0 } else { YES_NO.1 }.get(language).to_owned())
}

/// The columns of the sessions' file; times are local.
pub(super) fn session_columns() -> Vec<SessionColumn> {
    let text = |uk, en| (Text { uk, en }, sheet::Kind::Text);
    let time = |uk, en| (Text { uk, en }, sheet::Kind::Time);
    let of = |metric: Metric| (metric.definition().label, sheet::Kind::of(metric));
    let label = |dimension: Dimension| (dimension.definition().label, sheet::Kind::Text);
    let columns: Vec<((Text, sheet::Kind), ValueOf)> = vec![
        (text("Сесія", "Session"), |r, _, _| {
            Cell::Text(r.session_id.to_string())
        }),
        (text("Відвідувач", "Visitor"), |r, _, _| {
            Cell::Text(r.visitor_id.to_string())
        }),
        (time("Початок", "Began"), |r, s, _| local(r.first_seen, s)),
        (time("Остання дія", "Last action"), |r, s, _| {
            local(r.last_seen, s)
        }),
        (label(Dimension::UtmSource), |r, _, _| {
            or_not_set(r.utm_source.as_deref())
        }),
        (label(Dimension::UtmMedium), |r, _, _| {
            or_not_set(r.utm_medium.as_deref())
        }),
        (label(Dimension::UtmCampaign), |r, _, _| {
            or_not_set(r.utm_campaign.as_deref())
        }),
        (label(Dimension::UtmContent), |r, _, _| {
            or_not_set(r.utm_content.as_deref())
        }),
        (label(Dimension::UtmTerm), |r, _, _| or_not_set(r.utm_term.as_deref())),
        (label(Dimension::Channel), |r, _, _| or_not_set(r.channel.as_deref())),
        (label(Dimension::ClickPlatform), |r, _, _| {
            or_not_set(r.click_platform.as_deref())
        }),
        (label(Dimension::Referrer), |r, _, _| {
            or_not_set(r.referrer_host.as_deref())
        }),
        (label(Dimension::LandingPage), |r, _, _| {
            or_not_set(r.landing_path.as_deref())
        }),
        (label(Dimension::Country), |r, _, _| or_not_set(r.country.as_deref())),
        (label(Dimension::Region), |r, _, _| or_not_set(r.region.as_deref())),
        (label(Dimension::City), |r, _, _| or_not_set(r.city.as_deref())),
        (label(Dimension::DeviceType), |r, _, _| {
            or_not_set(r.device_type.as_deref())
        }),
        (label(Dimension::OsName), |r, _, _| or_not_set(r.os_name.as_deref())),
        (label(Dimension::BrowserName), |r, _, _| {
            or_not_set(r.browser_name.as_deref())
        }),
        (label(Dimension::Language), |r, _, _| or_not_set(r.language.as_deref())),
        (of(Metric::Visits), |r, _, _| r.visit_count.into()),
        (of(Metric::PageViews), |r, _, _| r.page_views.into()),
        (of(Metric::TotalScore), |r, _, _| r.points.into()),
        (text("Конверсія", "Converted"), |r, _, language| {
            yes_no(r.is_converted, language)
        }),
        (of(Metric::Orders), |r, s, _| {
            let from_events = s.site.settings.revenue_from_events;
            if from_events { r.purchase_events } else { r.orders }.into()
        }),
        (of(Metric::Revenue), |r, s, _| {
            let from_events = s.site.settings.revenue_from_events;
            Cell::Number(if from_events { r.event_revenue } else { r.revenue })
        }),
        (text("Бот", "Bot"), |r, _, language| {
            yes_no(r.bot_reason.is_some(), language)
        }),
    ];
    columns
        .into_iter()
        .map(|((label, kind), value)| (label, kind, value))
        .collect()
}
