//! The shop that the demo data tells of: where its visitors come from, what they hold, what they look at.
//! Weights are relative; the figures are invented, their shape (long tails, seasons, phones before desktops) is not.

use shared::channel::Channel;

/// Where a session comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) weight: u32,
    pub(super) source: Option<&'static str>,
    pub(super) medium: Option<&'static str>,
    pub(super) channel: Channel,
    pub(super) click_platform: Option<&'static str>,
    pub(super) referrer: Option<&'static str>,
    /// Carries utm_campaign and utm_content.
    pub(super) campaigns: bool,
    /// Likelihood to buy, relative to the average.
    pub(super) quality: f64,
}

#[expect(clippy::too_many_arguments, reason = "a row of a table")]
const fn source(
    weight: u32,
    source: &'static str,
    medium: &'static str,
    channel: Channel,
    click_platform: Option<&'static str>,
    referrer: Option<&'static str>,
    campaigns: bool,
    quality: f64,
) -> Source {
    Source {
        weight,
        source: Some(source),
        medium: Some(medium),
        channel,
        click_platform,
        referrer,
        campaigns,
        quality,
    }
}

pub(super) static SOURCES: &[Source] = &[
    source(
        220,
        "facebook",
        "cpc",
        Channel::PaidSocial,
        Some("facebook"),
        Some("l.facebook.com"),
        true,
        0.8,
    ),
    source(
        150,
        "google",
        "cpc",
        Channel::PaidSearch,
        Some("google"),
        Some("google.com"),
        true,
        1.4,
    ),
    source(
        120,
        "instagram",
        "paid_social",
        Channel::PaidSocial,
        Some("facebook"),
        Some("l.instagram.com"),
        true,
        0.9,
    ),
    source(
        90,
        "tiktok",
        "paid_social",
        Channel::PaidSocial,
        Some("tiktok"),
        None,
        true,
        0.4,
    ),
    source(
        110,
        "google",
        "organic",
        Channel::OrganicSearch,
        None,
        Some("google.com"),
        false,
        1.3,
    ),
    source(30, "newsletter", "email", Channel::Email, None, None, true, 2.2),
    source(
        25,
        "telegram",
        "social",
        Channel::OrganicSocial,
        None,
        Some("t.me"),
        false,
        1.1,
    ),
    source(
        20,
        "facebook",
        "social",
        Channel::OrganicSocial,
        Some("facebook"),
        Some("l.facebook.com"),
        false,
        0.7,
    ),
    source(
        12,
        "bing",
        "organic",
        Channel::OrganicSearch,
        None,
        Some("bing.com"),
        false,
        1.0,
    ),
    source(
        10,
        "youtube",
        "video",
        Channel::OrganicVideo,
        None,
        Some("youtube.com"),
        false,
        0.6,
    ),
    source(8, "admitad", "affiliate", Channel::Affiliate, None, None, true, 1.6),
    source(
        8,
        "chatgpt",
        "referral",
        Channel::AiAssistant,
        None,
        Some("chatgpt.com"),
        false,
        1.8,
    ),
    source(
        6,
        "rozetka",
        "referral",
        Channel::Referral,
        None,
        Some("rozetka.com.ua"),
        false,
        0.9,
    ),
    Source {
        weight: 191,
        source: None,
        medium: None,
        channel: Channel::Direct,
        click_platform: None,
        referrer: None,
        campaigns: false,
        quality: 1.2,
    },
];

/// Campaigns of every source that has some; the first ones get most of the traffic.
pub(super) static CAMPAIGNS: &[&str] = &[
    "brand_always_on",
    "winter_sale",
    "new_collection",
    "black_friday",
    "retargeting_30d",
    "lookalike_1",
    "spring_drop",
    "prospecting_ua",
    "back_to_school",
    "hoodies",
    "tshirts",
    "gift_ideas",
    "lookalike_3",
    "video_views",
    "catalogue_dpa",
    "summer_sale",
    "valentines",
    "mothers_day",
    "influencer_anna",
    "influencer_max",
    "loyal_customers",
    "abandoned_cart",
    "welcome_series",
    "city_kyiv",
    "city_lviv",
    "city_odesa",
    "competitors",
    "generic_clothes",
    "oversize",
    "streetwear",
    "unisex",
    "kids",
    "accessories",
    "socks",
    "caps",
    "bundle_offer",
    "free_shipping",
    "last_chance",
    "test_audience_a",
    "test_audience_b",
];

/// Creatives of every campaign.
pub(super) static CONTENT: &[&str] = &["video_ad_1", "photo_ad_2", "carousel_3", "story_4", "collection_5"];

/// How much likelier than the average a visitor is to buy who came by each creative; 1 on average.
pub(super) static CONTENT_QUALITY: [f64; 5] = [1.45, 1.1, 0.95, 0.8, 0.7];

/// What a click costs, in hundredths, by source and medium: so that ads bring one to six times what they cost.
static CLICK_CENTS: &[(&str, &str, i64)] = &[
    ("facebook", "cpc", 3_800),
    ("google", "cpc", 5_500),
    ("instagram", "paid_social", 4_800),
    ("tiktok", "paid_social", 5_200),
    ("admitad", "affiliate", 4_000),
];

impl Source {
    /// Hundredths that a click costs; none where nobody pays for it.
    pub(super) fn click_cents(&self) -> Option<i64> {
        let found = |row: &&(&str, &str, i64)| self.source == Some(row.0) && self.medium == Some(row.1);
        CLICK_CENTS.iter().find(found).map(|row| row.2)
    }
}

/// What a visitor holds.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) weight: u32,
    pub(super) kind: &'static str,
    pub(super) brand: Option<&'static str>,
    pub(super) model: Option<&'static str>,
    pub(super) os: &'static str,
    pub(super) os_version: &'static str,
    pub(super) browser: &'static str,
    pub(super) browser_version: &'static str,
    pub(super) in_app: Option<&'static str>,
}

type Named = (&'static str, &'static str);

const fn device(
    weight: u32,
    kind: &'static str,
    maker: Option<Named>,
    os: Named,
    browser: Named,
    in_app: Option<&'static str>,
) -> Device {
    let (brand, model) = match maker {
        Some((brand, model)) => (Some(brand), Some(model)),
        None => (None, None),
    };
    Device {
        weight,
        kind,
        brand,
        model,
        os: os.0,
        os_version: os.1,
        browser: browser.0,
        browser_version: browser.1,
        in_app,
    }
}

pub(super) static DEVICES: &[Device] = &[
    device(
        260,
        "mobile",
        Some(("Samsung", "SM-A546B")),
        ("Android", "15"),
        ("Chrome Mobile", "142"),
        None,
    ),
    device(
        240,
        "mobile",
        Some(("Apple", "iPhone")),
        ("iOS", "18.6"),
        ("Mobile Safari", "18.6"),
        None,
    ),
    device(
        120,
        "mobile",
        Some(("Apple", "iPhone")),
        ("iOS", "18.5"),
        ("Instagram", "402"),
        Some("Instagram"),
    ),
    device(
        90,
        "mobile",
        Some(("Xiaomi", "Redmi Note 13")),
        ("Android", "14"),
        ("Chrome Mobile", "141"),
        None,
    ),
    device(
        60,
        "mobile",
        Some(("Samsung", "SM-G991B")),
        ("Android", "14"),
        ("Facebook", "520"),
        Some("Facebook"),
    ),
    device(
        45,
        "mobile",
        Some(("Xiaomi", "22101316G")),
        ("Android", "13"),
        ("TikTok", "41"),
        Some("TikTok"),
    ),
    device(110, "desktop", None, ("Windows", "11"), ("Chrome", "142"), None),
    device(35, "desktop", None, ("Windows", "10"), ("Edge", "142"), None),
    device(30, "desktop", None, ("Mac OS X", "15.6"), ("Safari", "18.6"), None),
    device(20, "desktop", None, ("Windows", "11"), ("Firefox", "144"), None),
    device(8, "desktop", None, ("Linux", ""), ("Firefox", "144"), None),
    device(
        22,
        "tablet",
        Some(("Apple", "iPad")),
        ("iPadOS", "18.6"),
        ("Mobile Safari", "18.6"),
        None,
    ),
    device(
        12,
        "tablet",
        Some(("Samsung", "SM-X210")),
        ("Android", "14"),
        ("Chrome", "141"),
        None,
    ),
    device(
        3,
        "tv",
        Some(("Samsung", "Smart TV")),
        ("Tizen", "7"),
        ("Samsung Internet", "5"),
        None,
    ),
];

/// Where a visitor is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) weight: u32,
    pub(super) country: &'static str,
    pub(super) region: &'static str,
    pub(super) city: &'static str,
    pub(super) time_zone: &'static str,
    pub(super) continent: &'static str,
    pub(super) language: &'static str,
}

const fn place(
    weight: u32,
    country: &'static str,
    region: &'static str,
    city: &'static str,
    time_zone: &'static str,
    language: &'static str,
) -> Place {
    Place {
        weight,
        country,
        region,
        city,
        time_zone,
        continent: "EU",
        language,
    }
}

pub(super) static PLACES: &[Place] = &[
    place(300, "UA", "Kyiv City", "Kyiv", "Europe/Kyiv", "uk-UA"),
    place(110, "UA", "Lviv Oblast", "Lviv", "Europe/Kyiv", "uk-UA"),
    place(100, "UA", "Kharkiv Oblast", "Kharkiv", "Europe/Kyiv", "uk-UA"),
    place(90, "UA", "Odesa Oblast", "Odesa", "Europe/Kyiv", "uk-UA"),
    place(80, "UA", "Dnipropetrovsk Oblast", "Dnipro", "Europe/Kyiv", "uk-UA"),
    place(40, "UA", "Zaporizhzhia Oblast", "Zaporizhzhia", "Europe/Kyiv", "uk-UA"),
    place(35, "UA", "Vinnytsia Oblast", "Vinnytsia", "Europe/Kyiv", "uk-UA"),
    place(30, "UA", "Poltava Oblast", "Poltava", "Europe/Kyiv", "uk-UA"),
    place(
        25,
        "UA",
        "Ivano-Frankivsk Oblast",
        "Ivano-Frankivsk",
        "Europe/Kyiv",
        "uk-UA",
    ),
    place(20, "UA", "Chernivtsi Oblast", "Chernivtsi", "Europe/Kyiv", "uk-UA"),
    place(45, "PL", "Mazovia", "Warsaw", "Europe/Warsaw", "pl-PL"),
    place(18, "PL", "Lesser Poland", "Krakow", "Europe/Warsaw", "uk-UA"),
    place(25, "DE", "Berlin", "Berlin", "Europe/Berlin", "de-DE"),
    place(12, "DE", "Bavaria", "Munich", "Europe/Berlin", "uk-UA"),
    place(14, "CZ", "Prague", "Prague", "Europe/Prague", "cs-CZ"),
    place(10, "GB", "England", "London", "Europe/London", "en-GB"),
    place(8, "IT", "Lombardy", "Milan", "Europe/Rome", "it-IT"),
    place(6, "ES", "Catalonia", "Barcelona", "Europe/Madrid", "es-ES"),
    Place {
        weight: 12,
        country: "US",
        region: "New York",
        city: "New York",
        time_zone: "America/New_York",
        continent: "NA",
        language: "en-US",
    },
    Place {
        weight: 6,
        country: "CA",
        region: "Ontario",
        city: "Toronto",
        time_zone: "America/Toronto",
        continent: "NA",
        language: "uk-UA",
    },
];

/// Share of a day's sessions by hour of the day, UTC (a Ukrainian evening peaks at 18–20 UTC).
pub(super) static HOURS: [u32; 24] = [
    8, 5, 4, 5, 9, 18, 30, 40, 46, 48, 50, 52, 52, 50, 50, 54, 62, 72, 80, 78, 62, 42, 26, 14,
];

/// Weight by weekday, Monday first.
pub(super) static WEEKDAYS: [u32; 7] = [96, 98, 100, 102, 104, 108, 112];

/// Weight by month, January first: sales in November and December, a quiet summer.
pub(super) static MONTHS: [u32; 12] = [85, 88, 95, 92, 90, 82, 76, 80, 98, 105, 150, 140];

/// How many product pages there are; the first ones get most of the views.
pub(super) const PRODUCTS: usize = 400;
