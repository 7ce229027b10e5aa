//! A report as HTML and as plain text, from templates that are compiled in and escape what they insert.

use askama::Template;
use chrono::{DateTime, Utc};

use super::content::Content;
use super::numbers::{NONE, Style};
use super::timing::Covered;
use super::wording::{PRODUCT, WORDS, Words, report_for};
use super::{chart, content};
use crate::catalogue::{Better, Dimension, Metric, Text, Unit};
use crate::config::Origin;
use crate::endpoints::utm::general::GENERAL;
use crate::endpoints::utm::ltv::Level;
use crate::geo::country_name;
use crate::reports::figure::Figure;
use crate::reports::filter::NOT_SET_WORDS;

/// Figures that stand large at the top; the other general ones follow in a table.
const HEADLINES: [Metric; 6] = [
    Metric::Revenue,
    Metric::Sessions,
    Metric::ConversionRate,
    Metric::Orders,
    Metric::AvgOrderValue,
    Metric::Visitors,
];

/// What a mail says beside the figures.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// The slot, when the report is sent much later than that.
    pub late: Option<DateTime<Utc>>,
    /// Addresses that the report before did not reach.
    pub earlier_failed: i64,
    /// Name of the schedule; none: sent by hand.
    pub schedule: Option<String>,
}

/// Where the picture is in the page.
#[derive(Debug, Clone)]
pub enum Picture {
    /// An attachment with this Content-ID.
    Attached(&'static str),
    /// In the page itself, for a browser.
    Inline(String),
}

/// A general figure.
struct Tile {
    label: &'static str,
    now: String,
    before: String,
    change: String,
    /// `good`, `bad` or `even`.
    mood: &'static str,
}

struct SourceLine {
    name: String,
    sessions: String,
    conversion_rate: String,
    orders: String,
    revenue: String,
}

struct LtvLine {
    name: String,
    ltv: String,
    max_cpa: String,
    sessions: String,
    color: &'static str,
}

struct StageLine {
    label: &'static str,
    sessions: String,
    rate: String,
    /// Percent of the width, 0 to 100.
    width: u32,
}

struct Pair {
    label: &'static str,
    value: String,
}

/// Everything that both templates show, as text.
pub struct Page {
    language: &'static str,
    words: &'static Words,
    product: &'static str,
    site: String,
    title: String,
    /// The title without its days, as a sentence begins.
    heading: String,
    days: String,
    compared_with: Option<String>,
    zone: &'static str,
    filters: Option<String>,
    late: Option<String>,
    earlier_failed: Option<String>,
    schedule: Option<String>,
    is_empty: bool,
    headlines: Vec<Tile>,
    figures: Vec<Tile>,
    has_previous: bool,
    sources: Vec<SourceLine>,
    ltv: Vec<LtvLine>,
    stages: Vec<StageLine>,
    repeat: Vec<Pair>,
    coverage: Vec<Pair>,
    attached: Option<String>,
    too_long: Vec<String>,
    panel: Option<String>,
    labels: Labels,
}

/// Names of columns, from the catalogue.
struct Labels {
    sessions: &'static str,
    conversion_rate: &'static str,
    orders: &'static str,
    revenue: &'static str,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Html<'a> {
    page: &'a Page,
    picture: Option<&'a str>,
    picture_size: (u32, u32),
    unsubscribe: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "report.txt")]
struct Plain<'a> {
    page: &'a Page,
    unsubscribe: Option<&'a str>,
}

impl Page {
    /// In the page's language; for templates.
    fn say(&self, text: &Text) -> &'static str {
        text.get(self.language)
    }

    /// Writes the figures down. `panel` is where browsers reach the panel.
    pub fn new(content: &Content, circumstances: &Circumstances, language: &str, panel: Option<&Origin>) -> Self {
        let language = if language == "en" { "en" } else { "uk" };
        let subject = &content.subject;
        let site = &subject.site;
        let style = Style {
            language,
            currency: &site.currency,
        };
        let say = |text: &Text| text.get(language);
        let named = |name: Option<&str>| in_words(Dimension::UtmSource, name, language);
        let days = style.days(subject.period.first_day, subject.period.last_day);
        let covered = say(&report_for(subject.covered));
        let title = format!("{covered} ({days})");
        let mut letters = covered.chars();
        let heading = letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect())
            .unwrap_or_default();
        let tiles = tiles(content, style);
        let (headlines, figures): (Vec<_>, Vec<_>) =
            tiles.into_iter().partition(|(metric, _)| HEADLINES.contains(metric));
        let mut headlines = headlines;
        headlines.sort_by_key(|(metric, _)| HEADLINES.iter().position(|headline| headline == metric));
        let only_tiles = |tiles: Vec<(Metric, Tile)>| tiles.into_iter().map(|(_, tile)| tile).collect::<Vec<_>>();
        let label = |metric: Metric| metric.definition().label.get(language);
        let local = |at: DateTime<Utc>| at.with_timezone(&site.time_zone).format("%d.%m.%Y %H:%M").to_string();
        let attached: Vec<_> = content
            .files
            .iter()
            .filter(|file| file.bytes.is_some())
            .map(|file| file.name)
            .collect();
        let panel_of = |path: &str| panel.map(|panel| format!("{}{path}", panel.as_str()));
        Self {
            language,
            words: &WORDS,
            product: say(&PRODUCT),
            site: site.name.clone(),
            days,
            compared_with: content
                .comparison
                .previous_period
                .as_ref()
                .map(|before| style.days(before.start_date, before.end_date)),
            zone: site.time_zone.name(),
            filters: filters(content, language),
            late: circumstances.late.map(local),
            earlier_failed: (circumstances.earlier_failed > 0).then(|| circumstances.earlier_failed.to_string()),
            schedule: circumstances.schedule.clone(),
            is_empty: is_empty(content),
            headlines: only_tiles(headlines),
            figures: only_tiles(figures),
            has_previous: content.comparison.previous.is_some(),
            sources: content
                .sources
                .iter()
                .map(|row| {
                    let show = |metric: Metric| style.figure(row.figure(metric), metric.definition().unit);
                    SourceLine {
                        name: named(row.text(Dimension::UtmSource.key())),
                        sessions: show(Metric::Sessions),
                        conversion_rate: show(Metric::ConversionRate),
                        orders: show(Metric::Orders),
                        revenue: show(Metric::Revenue),
                    }
                })
                .collect(),
            ltv: content
                .ltv
                .iter()
                .map(|source| LtvLine {
                    name: named(source.utm_source.as_deref()),
                    ltv: style.figure(source.ltv_per_session, Unit::Money),
                    max_cpa: style.figure(source.max_cpa, Unit::Money),
                    sessions: style.figure(source.total_sessions, Unit::Count),
                    color: match source.level {
                        Some(Level::Good) => "#0f9d6c",
                        Some(Level::Fair) => "#d99a06",
                        Some(Level::Poor) => "#d64545",
                        None => "#98a1ae",
                    },
                })
                .collect(),
            stages: content
                .funnel
                .stages
                .iter()
                .map(|stage| StageLine {
                    label: stage.label.get(language),
                    sessions: style.figure(stage.sessions, Unit::Count),
                    rate: style.figure(stage.rate, Unit::Percent),
                    width: width(stage.rate),
                })
                .collect(),
            repeat: repeat(content, style),
            coverage: coverage(content, style),
            attached: (!attached.is_empty()).then(|| attached.join(", ")),
            too_long: content
                .files
                .iter()
                .filter(|file| file.bytes.is_none())
                .map(|file| {
                    panel_of(&format!("/api/utm/export-csv?type={}&{}", file.list, query(content)))
                        .unwrap_or_else(|| file.name.to_owned())
                })
                .collect(),
            panel: panel_of(&format!("/?{}", query(content))),
            labels: Labels {
                sessions: label(Metric::Sessions),
                conversion_rate: label(Metric::ConversionRate),
                orders: label(Metric::Orders),
                revenue: label(Metric::Revenue),
            },
            title,
            heading,
        }
    }

    /// The mail's subject.
    pub fn subject(&self) -> String {
        format!("{} — {}", self.product, self.title)
    }

    /// The page, 600 px wide where there is room.
    ///
    /// # Errors
    /// None that data could cause.
    pub fn html(&self, picture: Option<&Picture>, unsubscribe: Option<&str>) -> anyhow::Result<String> {
        let address = picture.map(|picture| match picture {
            Picture::Attached(id) => format!("cid:{id}"),
            Picture::Inline(data) => data.clone(),
        });
        Ok(Html {
            page: self,
            picture: address.as_deref(),
            picture_size: chart::SIZE,
            unsubscribe,
        }
        .render()?)
    }

    /// The same as text.
    ///
    /// # Errors
    /// None that data could cause.
    pub fn text(&self, unsubscribe: Option<&str>) -> anyhow::Result<String> {
        Ok(Plain {
            page: self,
            unsubscribe,
        }
        .render()?)
    }
}

fn tiles(content: &Content, style: Style<'_>) -> Vec<(Metric, Tile)> {
    let before = |at: usize| {
        content
            .comparison
            .previous
            .as_ref()
            .map_or(Figure(None), |figures| figures.0[at])
    };
    GENERAL
        .iter()
        .zip(&content.comparison.current.0)
        .enumerate()
        .map(|(at, ((key, metric), now))| {
            let definition = metric.definition();
            let change = content.comparison.change.as_ref().and_then(|changes| changes.get(key));
            let direction = change.and_then(|change| change.absolute.0).map_or(0, |absolute| {
                if absolute.is_zero() {
                    0
                } else if absolute.is_sign_positive() {
                    1
                } else {
                    -1
                }
            });
            let mood = match (direction, definition.better) {
                (0, _) | (_, Better::Neither) => "even",
                (1, Better::Higher) | (-1, Better::Lower) => "good",
                _ => "bad",
            };
            let tile = Tile {
                label: definition.label.get(style.language),
                now: style.figure(*now, definition.unit),
                before: style.figure(before(at), definition.unit),
                change: change.map_or_else(|| NONE.to_owned(), |change| style.change(change.percent)),
                mood,
            };
            (*metric, tile)
        })
        .collect()
}

/// Whether there is nothing to tell: orders may come from visits of before, or from nobody's.
fn is_empty(content: &Content) -> bool {
    let ordered = content.coverage.as_ref().is_some_and(|coverage| coverage.orders > 0);
    let bought = content.repeat.as_ref().is_some_and(|repeat| repeat.total_customers > 0);
    content.funnel.total == Figure::ZERO && !ordered && !bought
}

fn repeat(content: &Content, style: Style<'_>) -> Vec<Pair> {
    let Some(found) = &content.repeat else {
        return Vec::new();
    };
    let pair = |label: &Text, figure: Figure, unit: Unit| Pair {
        label: label.get(style.language),
        value: style.figure(figure, unit),
    };
    vec![
        pair(&WORDS.repeat_rate, found.repeat_rate, Unit::Percent),
        pair(&WORDS.repeat_customers, found.repeat_customers.into(), Unit::Count),
        pair(&WORDS.one_time_customers, found.one_time_customers.into(), Unit::Count),
        pair(&WORDS.total_customers, found.total_customers.into(), Unit::Count),
        pair(&WORDS.orders_per_customer, found.avg_orders_per_customer, Unit::Ratio),
        pair(&WORDS.days_between, found.avg_time_between_orders, Unit::Ratio),
    ]
}

fn coverage(content: &Content, style: Style<'_>) -> Vec<Pair> {
    let Some(found) = &content.coverage else {
        return Vec::new();
    };
    let count = |count: i64| style.figure(count.into(), Unit::Count);
    let linked = format!(
        "{} ({})",
        count(found.linked),
        style.figure(found.linked_percent, Unit::Percent)
    );
    let mut pairs = vec![
        Pair {
            label: WORDS.coverage_orders.get(style.language),
            value: count(found.orders),
        },
        Pair {
            label: WORDS.coverage_linked.get(style.language),
            value: linked,
        },
        Pair {
            label: WORDS.coverage_unlinked.get(style.language),
            value: count(found.unlinked),
        },
    ];
    if found.purchases_without_rate > 0 {
        pairs.push(Pair {
            label: WORDS.without_rate.get(style.language),
            value: count(found.purchases_without_rate),
        });
    }
    pairs
}

/// Percent as a width; a stage that anybody reached can be seen.
fn width(rate: Figure) -> u32 {
    use rust_decimal::prelude::ToPrimitive;
    let percent = rate.0.and_then(|rate| rate.round().to_u32()).unwrap_or(0).min(100);
    match rate.0 {
        Some(rate) if !rate.is_zero() => percent.max(1),
        _ => 0,
    }
}

/// Dimension and values, for people.
fn filters(content: &Content, language: &str) -> Option<String> {
    let mut shown = Vec::new();
    for (dimension, choice) in content.subject.filters.iter() {
        let label = dimension.definition().label.get(language);
        for (sign, values) in [("", &choice.include), ("≠ ", &choice.exclude)] {
            for value in values {
                let value = in_words(dimension, value.as_deref(), language);
                shown.push(format!("{label}: {sign}{value}"));
            }
        }
    }
    (!shown.is_empty()).then(|| shown.join("; "))
}

/// A dimension's value as people read it.
fn in_words(dimension: Dimension, value: Option<&str>, language: &str) -> String {
    let Some(value) = value else {
        return NOT_SET_WORDS.get(language).to_owned();
    };
    let named = || {
        let of_ours = dimension.named_values().into_iter().find(|named| named.key == value)?;
        Some(of_ours.label.get(language).to_owned())
    };
    let country = || (dimension == Dimension::Country).then(|| country_name(value, language))?;
    named().or_else(country).unwrap_or_else(|| value.to_owned())
}

/// The report's site, period and filters as the panel and the API take them.
fn query(content: &Content) -> String {
    let content::Subject {
        site,
        covered,
        period,
        filters,
    } = &content.subject;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("site", &site.key);
    match (covered, period.first_day) {
        (Covered::AllTime, _) | (_, None) => {
            query.append_pair("period", "all_time");
        }
        (_, Some(first)) => {
            query.append_pair("start_date", &first.to_string());
            query.append_pair("end_date", &period.last_day.to_string());
        }
    }
    for (dimension, value) in filters.parameters() {
        query.append_pair(dimension.key(), &value);
    }
    query.finish()
}
