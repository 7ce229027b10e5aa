//! Marketing channels: one list, one set of rules, read by the edge, the ingest and every report.
//!
//! The rules follow the order of Google Analytics 4's default channel group, with an own channel for AI assistants. First
//! match wins. They ask three things: what the medium says in words, what kind of site the source is, and whether a click id
//! proves a paid click. A medium that merely begins with `p` is not paid, and neither is a source that also sells ads.

use serde::{Deserialize, Serialize};

use crate::click_id::Class;
use crate::source::{self, Kind};

/// How a session came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// No source at all.
    Direct,
    /// Paid listing on a marketplace or in shopping ads.
    PaidShopping,
    /// Paid click in a search engine.
    PaidSearch,
    /// Paid click in a social network.
    PaidSocial,
    /// Paid click on a video site.
    PaidVideo,
    /// Banner.
    Display,
    /// Paid click elsewhere.
    PaidOther,
    /// AI assistant.
    AiAssistant,
    /// Unpaid click on a marketplace or in free listings.
    OrganicShopping,
    /// Unpaid click in a social network or messenger.
    OrganicSocial,
    /// Unpaid click on a video site.
    OrganicVideo,
    /// Unpaid click in a search engine.
    OrganicSearch,
    /// Link in an e-mail.
    Email,
    /// Partner's link.
    Affiliate,
    /// Link on another site.
    Referral,
    /// Audio ad or podcast.
    Audio,
    /// Text message.
    Sms,
    /// Push notification.
    Push,
    /// Tagged, but by no rule.
    Unassigned,
}

impl Channel {
    /// Every channel, in the order in which they are offered.
    pub const ALL: [Channel; 19] = [
        Channel::PaidSearch,
        Channel::PaidSocial,
        Channel::PaidShopping,
        Channel::PaidVideo,
        Channel::Display,
        Channel::PaidOther,
        Channel::OrganicSearch,
        Channel::OrganicSocial,
        Channel::OrganicVideo,
        Channel::OrganicShopping,
        Channel::AiAssistant,
        Channel::Email,
        Channel::Sms,
        Channel::Push,
        Channel::Affiliate,
        Channel::Referral,
        Channel::Audio,
        Channel::Direct,
        Channel::Unassigned,
    ];

    /// The name in the database and in the API. Never changed.
    pub const fn name(self) -> &'static str {
        match self {
            Channel::Direct => "direct",
            Channel::PaidShopping => "paid_shopping",
            Channel::PaidSearch => "paid_search",
            Channel::PaidSocial => "paid_social",
            Channel::PaidVideo => "paid_video",
            Channel::Display => "display",
            Channel::PaidOther => "paid_other",
            Channel::AiAssistant => "ai_assistant",
            Channel::OrganicShopping => "organic_shopping",
            Channel::OrganicSocial => "organic_social",
            Channel::OrganicVideo => "organic_video",
            Channel::OrganicSearch => "organic_search",
            Channel::Email => "email",
            Channel::Affiliate => "affiliate",
            Channel::Referral => "referral",
            Channel::Audio => "audio",
            Channel::Sms => "sms",
            Channel::Push => "push",
            Channel::Unassigned => "unassigned",
        }
    }

    /// The channel with this name.
    pub fn from_name(name: &str) -> Option<Channel> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// English label.
    pub const fn label_en(self) -> &'static str {
        match self {
            Channel::Direct => "Direct",
            Channel::PaidShopping => "Paid shopping",
            Channel::PaidSearch => "Paid search",
            Channel::PaidSocial => "Paid social",
            Channel::PaidVideo => "Paid video",
            Channel::Display => "Display",
            Channel::PaidOther => "Other paid",
            Channel::AiAssistant => "AI assistants",
            Channel::OrganicShopping => "Organic shopping",
            Channel::OrganicSocial => "Organic social",
            Channel::OrganicVideo => "Organic video",
            Channel::OrganicSearch => "Organic search",
            Channel::Email => "E-mail",
            Channel::Affiliate => "Affiliate",
            Channel::Referral => "Referral",
            Channel::Audio => "Audio",
            Channel::Sms => "SMS",
            Channel::Push => "Push",
            Channel::Unassigned => "Unassigned",
        }
    }

    /// Ukrainian label.
    pub const fn label_uk(self) -> &'static str {
        match self {
            Channel::Direct => "Прямі заходи",
            Channel::PaidShopping => "Платні торгові майданчики",
            Channel::PaidSearch => "Платний пошук",
            Channel::PaidSocial => "Платні соцмережі",
            Channel::PaidVideo => "Платне відео",
            Channel::Display => "Медійна реклама",
            Channel::PaidOther => "Інша реклама",
            Channel::AiAssistant => "ШІ-асистенти",
            Channel::OrganicShopping => "Торгові майданчики",
            Channel::OrganicSocial => "Соцмережі",
            Channel::OrganicVideo => "Відео",
            Channel::OrganicSearch => "Органічний пошук",
            Channel::Email => "Електронна пошта",
            Channel::Affiliate => "Партнери",
            Channel::Referral => "Посилання з сайтів",
            Channel::Audio => "Аудіо",
            Channel::Sms => "SMS",
            Channel::Push => "Push-сповіщення",
            Channel::Unassigned => "Не визначено",
        }
    }

    /// What the channel is, in one English sentence.
    pub const fn sentence_en(self) -> &'static str {
        match self {
            Channel::Direct => "Visits without any tag, click id or outside referrer.",
            Channel::PaidShopping => "Paid clicks from marketplaces and shopping ads.",
            Channel::PaidSearch => "Paid clicks from search engines.",
            Channel::PaidSocial => "Paid clicks from social networks and messengers.",
            Channel::PaidVideo => "Paid clicks from video sites.",
            Channel::Display => "Clicks on banners.",
            Channel::PaidOther => "Paid clicks that belong to no other paid channel.",
            Channel::AiAssistant => "Links in the answers of AI assistants such as ChatGPT.",
            Channel::OrganicShopping => "Unpaid clicks from marketplaces, price comparison and free listings.",
            Channel::OrganicSocial => "Unpaid clicks from social networks and messengers.",
            Channel::OrganicVideo => "Unpaid clicks from video sites.",
            Channel::OrganicSearch => "Unpaid clicks from search engines.",
            Channel::Email => "Links in e-mails and newsletters.",
            Channel::Affiliate => "Links of partner programmes.",
            Channel::Referral => "Links on other sites.",
            Channel::Audio => "Audio ads and podcasts.",
            Channel::Sms => "Links in text messages.",
            Channel::Push => "Push notifications.",
            Channel::Unassigned => "Tagged visits that no rule recognises.",
        }
    }

    /// What the channel is, in one Ukrainian sentence.
    pub const fn sentence_uk(self) -> &'static str {
        match self {
            Channel::Direct => "Візити без міток, ідентифікатора кліку та зовнішнього переходу.",
            Channel::PaidShopping => "Платні кліки з торгових майданчиків і товарної реклами.",
            Channel::PaidSearch => "Платні кліки з пошукових систем.",
            Channel::PaidSocial => "Платні кліки з соцмереж і месенджерів.",
            Channel::PaidVideo => "Платні кліки з відеосайтів.",
            Channel::Display => "Кліки по банерах.",
            Channel::PaidOther => "Платні кліки, що не належать до інших платних каналів.",
            Channel::AiAssistant => "Посилання у відповідях ШІ-асистентів, як-от ChatGPT.",
            Channel::OrganicShopping => {
                "Безплатні кліки з торгових майданчиків, порівняння цін і безплатних оголошень."
            }
            Channel::OrganicSocial => "Безплатні кліки з соцмереж і месенджерів.",
            Channel::OrganicVideo => "Безплатні кліки з відеосайтів.",
            Channel::OrganicSearch => "Безплатні кліки з пошукових систем.",
            Channel::Email => "Посилання в листах і розсилках.",
            Channel::Affiliate => "Посилання партнерських програм.",
            Channel::Referral => "Посилання на інших сайтах.",
            Channel::Audio => "Аудіореклама та подкасти.",
            Channel::Sms => "Посилання в SMS.",
            Channel::Push => "Push-сповіщення.",
            Channel::Unassigned => "Візити з мітками, яких не розпізнає жодне правило.",
        }
    }

    /// Whether its clicks cost money each.
    pub const fn is_paid(self) -> bool {
        matches!(
            self,
            Channel::PaidShopping
                | Channel::PaidSearch
                | Channel::PaidSocial
                | Channel::PaidVideo
                | Channel::Display
                | Channel::PaidOther
        )
    }
}

/// What the rules ask. All text is normalised.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signals<'a> {
    /// Canonical source, given or inferred.
    pub source: Option<&'a str>,
    /// Medium, given or inferred.
    pub medium: Option<&'a str>,
    /// Campaign.
    pub campaign: Option<&'a str>,
    /// Any utm_* was given.
    pub tagged: bool,
    /// What the click id proves.
    pub click: Option<Class>,
    /// The click id is one of a shop's free listings.
    pub free_listing: bool,
}

/// Words of a medium that mean that the click was paid for.
const PAID: &[&str] = &[
    "paid",
    "cpc",
    "ppc",
    "cpm",
    "cpv",
    "cpcv",
    "cpa",
    "cpl",
    "cpi",
    "cpe",
    "cpp",
    "cpo",
    "sem",
    "retargeting",
    "remarketing",
    "ad",
    "ads",
    "adv",
    "advert",
    "advertising",
    "sponsored",
    "promoted",
    "boost",
    "target",
    "targeting",
    "targeted",
    "таргет",
    "реклама",
    "paidsocial",
    "paidsearch",
    "paidvideo",
    "paidshopping",
    "paidmedia",
];
const SOCIAL: &[&str] = &[
    "social",
    "socialnetwork",
    "socialmedia",
    "sm",
    "smm",
    "messenger",
    "stories",
    "reels",
    "bio",
];
const DISPLAY: &[&str] = &[
    "display",
    "banner",
    "banners",
    "expandable",
    "interstitial",
    "gdn",
    "kms",
    "кмс",
];

/// The channel of these signals. First match wins.
pub fn classify(signals: &Signals) -> Channel {
    let medium = signals.medium.unwrap_or_default();
    let source = signals.source.unwrap_or_default();
    let nothing = |text: &str| matches!(text, "" | "(none)" | "none" | "(not set)" | "(direct)" | "direct");
    if nothing(source) && nothing(medium) && signals.click.is_none() {
        // A tag that no rule knows is not a direct visit, unless it says so itself.
        let says_direct = !source.is_empty() || !medium.is_empty();
        return if signals.tagged && !says_direct {
            Channel::Unassigned
        } else {
            Channel::Direct
        };
    }

    let words = || {
        medium
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
    };
    let has = |list: &[&str]| words().any(|word| list.contains(&word));
    let kind = source::by_spelling(source).map(|row| row.kind);
    let unpaid = has(&[
        "organic",
        "email",
        "mail",
        "newsletter",
        "affiliate",
        "affiliates",
        "partner",
        "referral",
        "sms",
        "push",
        "social",
    ]);
    // Given words beat the click id: google / organic with a gclid on it stays organic.
    let paid_medium = has(PAID);
    let paid_click = signals
        .click
        .filter(|class| class.is_paid() && (paid_medium || !unpaid));
    let paid = paid_medium || paid_click.is_some();
    let shopping_campaign = || {
        let campaign = signals.campaign.unwrap_or_default();
        campaign
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| matches!(word, "shop" | "shopping" | "pla" | "merchant"))
    };

    if paid {
        if has(&["shopping", "paidshopping", "pla"]) || kind == Some(Kind::Shopping) {
            return Channel::PaidShopping;
        }
        if has(DISPLAY) || (has(&["cpm"]) && !matches!(kind, Some(Kind::Social | Kind::Video))) {
            return Channel::Display;
        }
        match kind {
            Some(Kind::Search) if shopping_campaign() => return Channel::PaidShopping,
            Some(Kind::Search) => return Channel::PaidSearch,
            Some(Kind::Social) => return Channel::PaidSocial,
            Some(Kind::Video) => return Channel::PaidVideo,
            _ => {}
        }
        if has(&["search", "paidsearch", "sem"]) {
            return Channel::PaidSearch;
        }
        if has(SOCIAL) || has(&["paidsocial"]) {
            return Channel::PaidSocial;
        }
        if has(&["video", "paidvideo"]) {
            return Channel::PaidVideo;
        }
        if medium.is_empty() {
            return match paid_click {
                Some(Class::PaidSearch) => Channel::PaidSearch,
                Some(Class::PaidSocial) => Channel::PaidSocial,
                _ => Channel::PaidOther,
            };
        }
        return if kind == Some(Kind::Email) {
            Channel::Email
        } else {
            Channel::PaidOther
        };
    }
    if has(DISPLAY) {
        return Channel::Display;
    }
    if has(&["native"]) {
        return Channel::PaidOther;
    }
    if kind == Some(Kind::Ai) || medium == "ai" {
        return Channel::AiAssistant;
    }
    if has(&["email", "mail", "newsletter", "mailing"]) {
        return Channel::Email;
    }
    if medium == "e-mail" || medium == "e_mail" || medium == "e mail" {
        return Channel::Email;
    }
    if has(&["sms"]) || source == "sms" {
        return Channel::Sms;
    }
    if has(&["push", "webpush", "notification"]) || medium.ends_with("push") || source == "firebase" {
        return Channel::Push;
    }
    if has(&["affiliate", "affiliates", "partner", "partners"]) {
        return Channel::Affiliate;
    }
    if has(&["audio", "podcast"]) {
        return Channel::Audio;
    }
    if kind == Some(Kind::Shopping) || signals.free_listing || has(&["shopping"]) {
        return Channel::OrganicShopping;
    }
    if kind == Some(Kind::Social) || has(SOCIAL) {
        return Channel::OrganicSocial;
    }
    if kind == Some(Kind::Video) || has(&["video"]) {
        return Channel::OrganicVideo;
    }
    if kind == Some(Kind::Search) || has(&["organic"]) {
        return Channel::OrganicSearch;
    }
    if kind == Some(Kind::Email) {
        return Channel::Email;
    }
    if signals.click == Some(Class::Affiliate) {
        return Channel::Affiliate;
    }
    if has(&["referral", "app", "link"]) {
        return Channel::Referral;
    }
    Channel::Unassigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_is_found_again_by_name_and_has_its_texts() {
        for channel in Channel::ALL {
            assert_eq!(Channel::from_name(channel.name()), Some(channel));
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.name());
            for sentence in [channel.sentence_en(), channel.sentence_uk()] {
                assert!(sentence.ends_with('.') && !sentence.contains('\n'), "{sentence}");
            }
            assert!(!channel.label_en().is_empty() && !channel.label_uk().is_empty());
        }
        assert_eq!(Channel::from_name("Paid Search"), None);
    }

    #[test]
    fn source_and_medium_decide_the_channel() {
        for (source, medium, channel) in [
            ("", "", Channel::Direct),
            ("(direct)", "(none)", Channel::Direct),
            ("google", "cpc", Channel::PaidSearch),
            ("google", "ppc", Channel::PaidSearch),
            ("google", "paid", Channel::PaidSearch),
            ("google", "paid_search", Channel::PaidSearch),
            ("google", "organic", Channel::OrganicSearch),
            ("google", "", Channel::OrganicSearch),
            ("google", "cpm", Channel::Display),
            ("google", "display", Channel::Display),
            ("google", "email", Channel::Email),
            ("bing", "cpc", Channel::PaidSearch),
            ("facebook", "cpc", Channel::PaidSocial),
            ("facebook", "cpm", Channel::PaidSocial),
            ("facebook", "paid_social", Channel::PaidSocial),
            ("facebook", "paid social", Channel::PaidSocial),
            ("facebook", "social", Channel::OrganicSocial),
            ("facebook", "", Channel::OrganicSocial),
            ("facebook", "post", Channel::OrganicSocial),
            ("facebook", "page", Channel::OrganicSocial),
            ("instagram", "profile", Channel::OrganicSocial),
            ("instagram", "bio", Channel::OrganicSocial),
            ("tiktok", "paid_social", Channel::PaidSocial),
            ("influencer", "paid_social", Channel::PaidSocial),
            ("youtube", "cpv", Channel::PaidVideo),
            ("youtube", "video", Channel::OrganicVideo),
            ("hotline", "cpc", Channel::PaidShopping),
            ("hotline", "referral", Channel::OrganicShopping),
            ("taboola", "native", Channel::PaidOther),
            ("some-site", "cpc", Channel::PaidOther),
            ("some-site", "banner", Channel::Display),
            ("some-site", "referral", Channel::Referral),
            ("some-site", "print", Channel::Unassigned),
            ("some-site", "promo", Channel::Unassigned),
            ("some-site", "podcast", Channel::Audio),
            ("esputnik", "e-mail", Channel::Email),
            ("newsletter", "", Channel::Email),
            ("esputnik", "web_push", Channel::Push),
            ("esputnik", "webpush", Channel::Push),
            ("turbosms", "sms", Channel::Sms),
            ("admitad", "affiliate", Channel::Affiliate),
            ("chatgpt", "", Channel::AiAssistant),
            ("chatgpt", "referral", Channel::AiAssistant),
            ("perplexity", "ai", Channel::AiAssistant),
            ("telegram", "channel", Channel::OrganicSocial),
            ("", "organic", Channel::OrganicSearch),
            ("blogger", "", Channel::Unassigned),
        ] {
            let signals = Signals {
                source: Some(source),
                medium: Some(medium),
                ..Signals::default()
            };
            assert_eq!(classify(&signals), channel, "{source} / {medium}");
        }
    }

    #[test]
    fn a_shopping_campaign_of_a_search_engine_is_paid_shopping() {
        let signals = Signals {
            source: Some("google"),
            medium: Some("cpc"),
            campaign: Some("ua_shopping_shoes"),
            ..Signals::default()
        };
        assert_eq!(classify(&signals), Channel::PaidShopping);
        assert_eq!(
            classify(&Signals {
                campaign: Some("workshop_spring"),
                ..signals
            }),
            Channel::PaidSearch
        );
    }

    #[test]
    fn a_paid_click_id_speaks_only_where_the_words_do_not_contradict() {
        let paid = |source, medium| {
            classify(&Signals {
                source,
                medium,
                click: Some(Class::PaidSearch),
                ..Signals::default()
            })
        };
        assert_eq!(paid(Some("google"), Some("search_brand")), Channel::PaidSearch);
        assert_eq!(paid(Some("google"), Some("organic")), Channel::OrganicSearch);
        assert_eq!(paid(None, None), Channel::PaidSearch);
        assert_eq!(paid(Some("partner-site"), Some("email")), Channel::Email);
    }

    #[test]
    fn a_campaign_alone_is_not_direct() {
        assert_eq!(
            classify(&Signals {
                tagged: true,
                ..Signals::default()
            }),
            Channel::Unassigned
        );
    }
}
