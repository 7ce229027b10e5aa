//! The table of dimensions.

use shared::channel::Channel;
use shared::click_id;
use shared::event::DeviceKind;

use super::Text;

/// What figures can be split and filtered by. The order is that of [`DIMENSIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each has its definition sentence in DIMENSIONS")]
pub enum Dimension {
    UtmSource,
    UtmMedium,
    UtmCampaign,
    UtmContent,
    UtmTerm,
    Channel,
    Country,
    City,
    DeviceType,
    BrowserName,
    OsName,
    LandingPage,
    Referrer,
    Region,
    Language,
    DeviceBrand,
    InApp,
    ClickPlatform,
    VisitorType,
    BotReason,
    Hour,
    Day,
    Week,
    Month,
}

/// What rows a statement counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Sessions `s`, by `s.first_seen`.
    Sessions,
    /// Orders `o`, by `o.created_at`.
    Orders,
}

/// Where an order finds the dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfOrder {
    /// A column copied onto the order when it was linked.
    Copied(&'static str),
    /// The linked session `s`, joined; null for an order without one.
    Joined,
    /// Time: the same expression over the order's own date.
    Time,
}

/// One row of the catalogue.
#[derive(Debug)]
pub struct DimensionDefinition {
    /// Which.
    pub dimension: Dimension,
    /// Name in the API, of the column and of the filter.
    pub key: &'static str,
    /// Name for people.
    pub label: Text,
    /// What it means, in a sentence.
    pub definition: Text,
    of_session: &'static str,
    of_order: OfOrder,
}

/// A value that is ours to name.
#[derive(Debug, Clone, Copy)]
pub struct NamedValue {
    /// As it stands in rows and filters.
    pub key: &'static str,
    /// Name for people.
    pub label: Text,
    /// What it means, in a sentence.
    pub definition: Text,
}

const fn device(kind: DeviceKind, label: Text, definition: Text) -> NamedValue {
    NamedValue {
        key: kind.name(),
        label,
        definition,
    }
}

/// The kinds of devices in words.
const DEVICES: [NamedValue; 6] = {
    const fn text(uk: &'static str, en: &'static str) -> Text {
        Text { uk, en }
    }
    [
        device(
            DeviceKind::Desktop,
            text("Комп'ютер", "Desktop"),
            text("Настільний комп'ютер або ноутбук.", "A desktop computer or a laptop."),
        ),
        device(
            DeviceKind::Mobile,
            text("Телефон", "Phone"),
            text("Мобільний телефон.", "A mobile phone."),
        ),
        device(
            DeviceKind::Tablet,
            text("Планшет", "Tablet"),
            text("Планшетний комп'ютер.", "A tablet computer."),
        ),
        device(
            DeviceKind::Tv,
            text("Телевізор", "TV"),
            text("Телевізор або приставка до нього.", "A television or a box beside it."),
        ),
        device(
            DeviceKind::Console,
            text("Ігрова консоль", "Console"),
            text("Ігрова консоль.", "A game console."),
        ),
        device(
            DeviceKind::Other,
            text("Інше", "Other"),
            text(
                "Годинник, автомобіль, електронна книга та решта.",
                "A watch, a car, an e-reader and the rest.",
            ),
        ),
    ]
};

/// Reasons as `bot_reason` tells them.
const BOT_REASONS: [&str; 9] = [
    "declared_crawler",
    "headless",
    "http_client",
    "no_user_agent",
    "platform_verdict",
    "data_centre",
    "rate",
    "inconsistent",
    "test",
];

/// Every platform of a click id that can speak for a session, once each.
fn click_platforms() -> Vec<&'static str> {
    let mut platforms = Vec::new();
    for row in click_id::CATALOGUE {
        if row.class != click_id::Class::Companion && !platforms.contains(&row.platform) {
            platforms.push(row.platform);
        }
    }
    platforms
}

impl Dimension {
    /// Its values in words, where the values are ours; empty where they are the shop's or the platforms'.
    pub fn named_values(self) -> Vec<NamedValue> {
        let of_channel = |channel: Channel| NamedValue {
            key: channel.name(),
            label: Text {
                uk: channel.label_uk(),
                en: channel.label_en(),
            },
            definition: Text {
                uk: channel.sentence_uk(),
                en: channel.sentence_en(),
            },
        };
        match self {
            Self::Channel => Channel::ALL.into_iter().map(of_channel).collect(),
            Self::DeviceType => DEVICES.to_vec(),
            _ => Vec::new(),
        }
    }

    /// Every value that it can have, where that is ours to say.
    pub fn closed_values(self) -> Option<Vec<&'static str>> {
        Some(match self {
            Self::Channel | Self::DeviceType => self.named_values().into_iter().map(|value| value.key).collect(),
            Self::VisitorType => vec!["new", "returning"],
            Self::BotReason => BOT_REASONS.to_vec(),
            Self::ClickPlatform => click_platforms(),
            _ => return None,
        })
    }

    /// The table's row.
    pub fn definition(self) -> &'static DimensionDefinition {
        &DIMENSIONS[self as usize]
    }

    /// Name in the API.
    pub fn key(self) -> &'static str {
        self.definition().key
    }

    /// The dimension with this name.
    pub fn from_key(key: &str) -> Option<Self> {
        DIMENSIONS.iter().find(|d| d.key == key).map(|d| d.dimension)
    }

    /// Every dimension, in the catalogue's order.
    pub fn all() -> impl Iterator<Item = Self> {
        DIMENSIONS.iter().map(|d| d.dimension)
    }

    /// Those that one can filter by: all but time, which is the period's.
    pub fn filters() -> impl Iterator<Item = Self> {
        Self::all().filter(|d| !d.is_time())
    }

    /// Whether it is a bucket of time.
    pub fn is_time(self) -> bool {
        self.definition().of_order == OfOrder::Time
    }

    /// SQL of type text over one row of ad spend `a`; none for what spend does not have.
    pub const fn spend_sql(self) -> Option<&'static str> {
        match self {
            Self::UtmSource => Some("nullif(a.utm_source, '')"),
            Self::UtmMedium => Some("nullif(a.utm_medium, '')"),
            Self::UtmCampaign => Some("nullif(a.utm_campaign, '')"),
            Self::UtmContent => Some("nullif(a.utm_content, '')"),
            Self::Channel => Some("a.channel"),
            Self::Day => Some("to_char(a.day, 'YYYY-MM-DD')"),
            Self::Week => Some("to_char(date_trunc('week', a.day::timestamp), 'YYYY-MM-DD')"),
            Self::Month => Some("to_char(date_trunc('month', a.day::timestamp), 'YYYY-MM-DD')"),
            _ => None,
        }
    }

    /// SQL: when the bucket of `$time` begins, for a bucket of time; right wherever midnight comes once.
    pub fn bucket_start(self) -> Option<&'static str> {
        match self {
            Self::Hour => Some("date_trunc('hour', $time, $zone)"),
            Self::Day => Some("date_trunc('day', $time, $zone)"),
            Self::Week => Some("date_trunc('week', $time, $zone)"),
            Self::Month => Some("date_trunc('month', $time, $zone)"),
            _ => None,
        }
    }

    /// Whether orders must be joined to their sessions to know it.
    pub fn needs_session_of_order(self) -> bool {
        self.definition().of_order == OfOrder::Joined
    }

    /// SQL of type text over one row of `side`. `$time` stands for the row's time, `$zone` for the site's zone; both occur only in
    /// buckets of time.
    pub fn sql(self, side: Side) -> &'static str {
        let definition = self.definition();
        match (side, definition.of_order) {
            (Side::Orders, OfOrder::Copied(column)) => column,
            _ => definition.of_session,
        }
    }
}

const fn copied(
    dimension: Dimension,
    key: &'static str,
    label: (&'static str, &'static str),
    of_session: &'static str,
    of_order: &'static str,
    definition: (&'static str, &'static str),
) -> DimensionDefinition {
    DimensionDefinition {
        dimension,
        key,
        label: Text {
            uk: label.0,
            en: label.1,
        },
        definition: Text {
            uk: definition.0,
            en: definition.1,
        },
        of_session,
        of_order: OfOrder::Copied(of_order),
    }
}

const fn joined(
    dimension: Dimension,
    key: &'static str,
    label: (&'static str, &'static str),
    of_session: &'static str,
    definition: (&'static str, &'static str),
) -> DimensionDefinition {
    DimensionDefinition {
        dimension,
        key,
        label: Text {
            uk: label.0,
            en: label.1,
        },
        definition: Text {
            uk: definition.0,
            en: definition.1,
        },
        of_session,
        of_order: OfOrder::Joined,
    }
}

const fn time(
    dimension: Dimension,
    key: &'static str,
    label: (&'static str, &'static str),
    sql: &'static str,
    definition: (&'static str, &'static str),
) -> DimensionDefinition {
    DimensionDefinition {
        dimension,
        key,
        label: Text {
            uk: label.0,
            en: label.1,
        },
        definition: Text {
            uk: definition.0,
            en: definition.1,
        },
        of_session: sql,
        of_order: OfOrder::Time,
    }
}

/// The catalogue's dimensions.
pub static DIMENSIONS: [DimensionDefinition; 24] = [
    copied(
        Dimension::UtmSource,
        "utm_source",
        ("Джерело", "Source"),
        "s.utm_source",
        "o.utm_source",
        (
            "Нормалізоване utm_source; без мітки — виведене з ідентифікатора кліку або реферера.",
            "Normalised utm_source; without a tag, inferred from the click id or referrer.",
        ),
    ),
    copied(
        Dimension::UtmMedium,
        "utm_medium",
        ("Тип трафіку", "Medium"),
        "s.utm_medium",
        "o.utm_medium",
        (
            "Нормалізоване utm_medium; без мітки — виведене.",
            "Normalised utm_medium; without a tag, inferred.",
        ),
    ),
    copied(
        Dimension::UtmCampaign,
        "utm_campaign",
        ("Кампанія", "Campaign"),
        "s.utm_campaign",
        "o.utm_campaign",
        ("Нормалізоване utm_campaign.", "Normalised utm_campaign."),
    ),
    copied(
        Dimension::UtmContent,
        "utm_content",
        ("Креатив", "Content"),
        "s.utm_content",
        "o.utm_content",
        ("Нормалізоване utm_content.", "Normalised utm_content."),
    ),
    copied(
        Dimension::UtmTerm,
        "utm_term",
        ("Ключове слово", "Term"),
        "s.utm_term",
        "o.utm_term",
        ("Нормалізоване utm_term.", "Normalised utm_term."),
    ),
    copied(
        Dimension::Channel,
        "channel",
        ("Канал", "Channel"),
        "s.channel",
        "o.channel",
        (
            "Канал за таблицею правил з джерела, типу трафіку, ідентифікаторів кліку та реферера.",
            "Channel by the table of rules over source, medium, click ids and referrer.",
        ),
    ),
    copied(
        Dimension::Country,
        "country",
        ("Країна", "Country"),
        "s.country",
        "o.country",
        ("Код країни ISO 3166-1 alpha-2.", "Country code, ISO 3166-1 alpha-2."),
    ),
    copied(
        Dimension::City,
        "city",
        ("Місто", "City"),
        "s.city",
        "o.city",
        ("Місто за адресою з'єднання.", "City by the connection's address."),
    ),
    copied(
        Dimension::DeviceType,
        "device_type",
        ("Пристрій", "Device"),
        "s.device_type",
        "o.device_type",
        (
            "Вид пристрою: desktop, mobile, tablet, tv, console, other.",
            "Kind of device: desktop, mobile, tablet, tv, console, other.",
        ),
    ),
    copied(
        Dimension::BrowserName,
        "browser_name",
        ("Браузер", "Browser"),
        "s.browser_name",
        "o.browser_name",
        ("Браузер без версії.", "Browser without its version."),
    ),
    copied(
        Dimension::OsName,
        "os_name",
        ("Операційна система", "Operating system"),
        "s.os_name",
        "o.os_name",
        (
            "Операційна система без версії.",
            "Operating system without its version.",
        ),
    ),
    copied(
        Dimension::LandingPage,
        "landing_page",
        ("Сторінка входу", "Landing page"),
        "s.landing_path",
        "o.landing_path",
        (
            "Шлях першої сторінки сесії, без запиту.",
            "Path of the session's first page, without its query.",
        ),
    ),
    joined(
        Dimension::Referrer,
        "referrer",
        ("Реферер", "Referrer"),
        "s.referrer_host",
        ("Хост, з якого прийшли.", "Host that the visitor came from."),
    ),
    joined(
        Dimension::Region,
        "region",
        ("Область", "Region"),
        "s.region",
        ("Область за адресою з'єднання.", "Region by the connection's address."),
    ),
    joined(
        Dimension::Language,
        "language",
        ("Мова", "Language"),
        "s.language",
        ("Перша мова браузера.", "The browser's first language."),
    ),
    joined(
        Dimension::DeviceBrand,
        "device_brand",
        ("Виробник", "Device brand"),
        "s.device_brand",
        ("Виробник пристрою.", "The device's maker."),
    ),
    joined(
        Dimension::InApp,
        "in_app",
        ("Браузер застосунку", "In-app browser"),
        "s.in_app",
        (
            "Застосунок, у чиєму вбудованому браузері відкрито сайт.",
            "App whose built-in browser it is.",
        ),
    ),
    joined(
        Dimension::ClickPlatform,
        "click_platform",
        ("Рекламна платформа", "Ad platform"),
        "s.click_platform",
        (
            "Платформа, що видала ідентифікатор кліку.",
            "Platform that issued the click id.",
        ),
    ),
    joined(
        Dimension::VisitorType,
        "visitor_type",
        ("Новий чи повторний", "New or returning"),
        "case when s.session_id is null then null when s.visit_count > 1 or exists (select 1 from sessions earlier \
         where earlier.site_id = s.site_id and earlier.visitor_id = s.visitor_id and earlier.first_seen < s.first_seen) \
         then 'returning' else 'new' end",
        (
            "returning — сесія з кількома візитами або відвідувача, що вже мав раніше сесію; new — решта.",
            "returning: a session with several visits, or of a visitor who had an earlier session; new: all others.",
        ),
    ),
    joined(
        Dimension::BotReason,
        "bot_reason",
        ("Ознака бота", "Bot reason"),
        "case s.bot_reason when 1 then 'declared_crawler' when 2 then 'headless' when 3 then 'http_client' \
         when 4 then 'no_user_agent' when 5 then 'platform_verdict' when 6 then 'data_centre' when 7 then 'rate' \
         when 8 then 'inconsistent' when 9 then 'test' end",
        (
            "Чому сесію визнано ботом; порожньо для людини. Потребує bots=include або bots=only.",
            "Why a session is taken for a bot; not set for a person. Needs bots=include or bots=only.",
        ),
    ),
    time(
        Dimension::Hour,
        "hour",
        ("Година", "Hour"),
        "to_char(date_trunc('hour', $time, $zone) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
        (
            "Година в поясі сайту, як момент UTC її початку; повторена восени година — окремо.",
            "Hour in the site's zone, as the UTC instant of its start; the hour repeated in autumn stands by itself.",
        ),
    ),
    time(
        Dimension::Day,
        "day",
        ("День", "Day"),
        "to_char($time at time zone $zone, 'YYYY-MM-DD')",
        ("Місцевий день.", "Local day."),
    ),
    time(
        Dimension::Week,
        "week",
        ("Тиждень", "Week"),
        "to_char(date_trunc('week', $time at time zone $zone), 'YYYY-MM-DD')",
        ("Місцевий тиждень, за його понеділком.", "Local week, by its Monday."),
    ),
    time(
        Dimension::Month,
        "month",
        ("Місяць", "Month"),
        "to_char(date_trunc('month', $time at time zone $zone), 'YYYY-MM-DD')",
        (
            "Місцевий місяць, за його першим днем.",
            "Local month, by its first day.",
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use shared::event::BotReason as Reason;

    #[test]
    fn each_dimension_stands_where_it_is_looked_for_and_is_found_by_its_key() {
        for (i, row) in DIMENSIONS.iter().enumerate() {
            assert_eq!(row.dimension as usize, i, "{}", row.key);
            assert_eq!(Dimension::from_key(row.key), Some(row.dimension));
        }
    }

    #[test]
    fn bot_reasons_are_named_as_on_the_wire() {
        for reason in Reason::ALL {
            let name = serde_json::to_value(reason).unwrap();
            let case = format!("when {} then '{}'", reason.code(), name.as_str().unwrap());
            assert!(Dimension::BotReason.sql(Side::Sessions).contains(&case), "{case}");
            assert!(BOT_REASONS.contains(&name.as_str().unwrap()), "{name}");
        }
    }

    #[test]
    fn every_bucket_of_time_says_when_it_begins_and_nothing_else_does() {
        for dimension in Dimension::all() {
            assert_eq!(dimension.bucket_start().is_some(), dimension.is_time());
        }
    }

    #[test]
    fn no_metric_has_the_name_of_a_dimension() {
        for dimension in Dimension::all() {
            assert_eq!(crate::catalogue::Metric::from_key(dimension.key()), None);
        }
    }
}
