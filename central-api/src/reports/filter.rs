//! Filters: which values of a dimension count. Values are data and are only ever bound.
//!
//! One value of a parameter reads: an optional `!` (exclude), then `(not set)` for the absent value, or the value itself. A backslash
//! before the value takes the rest literally, so that a campaign called `!x`, `(not set)` or `\x` can be asked for as `\!x`,
//! `\(not set)` and `\\x`, and excluded as `!\!x`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use shared::attribution;
use shared::limits::MAX_UTM_CHARS;
use shared::source::canonical_host;
use shared::text::{clean, normalise};

use crate::catalogue::{Dimension, Text};
use crate::devices::names::{app_name, browser_name, system_name};
use crate::error::ApiError;
use crate::ingest::validate::country_code;
use crate::site::SiteSettings;

/// What stands for the absent value.
pub const NOT_SET: &str = "(not set)";
/// The same for people.
pub const NOT_SET_WORDS: Text = Text {
    uk: "(не вказано)",
    en: NOT_SET,
};
/// Characters of one value; longer ones are stored nowhere.
const MAX_VALUE_CHARS: usize = 1_024;
/// Values of all filters together.
const MAX_VALUES: usize = 200;

/// Wanted and unwanted values of one dimension; none is the absent value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Any of these; empty: all.
    pub include: Vec<Option<String>>,
    /// None of these.
    pub exclude: Vec<Option<String>>,
}

impl Choice {
    /// Whether rows with this value count; none is the absent value.
    pub fn admits(&self, value: Option<&str>) -> bool {
        let among = |values: &[Option<String>]| values.iter().any(|one| one.as_deref() == value);
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }
}

/// Choices by dimension; all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<Dimension, Choice>);

impl Filters {
    /// Adds one value that somebody asks for, in the spelling in which it is stored: what is written otherwise would find nothing and
    /// look like zero. A source or medium that reports call by another name counts under both: it may have been stored before it was
    /// called so.
    ///
    /// # Errors
    /// 400 naming the dimension, and the values that it can have if these are ours.
    pub fn ask(&mut self, dimension: Dimension, text: &str, settings: &SiteSettings) -> Result<(), ApiError> {
        let (exclude, value) = self.read(dimension, text)?;
        match value {
            None => self.put(dimension, exclude, None),
            Some(value) => {
                let spellings = spellings(dimension, &value, settings)
                    .map_err(|allowed| ApiError::invalid(dimension.key(), allowed))?;
                for spelling in spellings {
                    self.put(dimension, exclude, Some(spelling));
                }
            }
        }
        Ok(())
    }

    /// Adds one value as it stands in a parameter, whether any row can have it or not.
    ///
    /// # Errors
    /// 400 naming the dimension.
    pub fn add(&mut self, dimension: Dimension, text: &str) -> Result<(), ApiError> {
        let (exclude, value) = self.read(dimension, text)?;
        self.put(dimension, exclude, value);
        Ok(())
    }

    fn put(&mut self, dimension: Dimension, exclude: bool, value: Option<String>) {
        let choice = self.0.entry(dimension).or_default();
        let values = if exclude {
            &mut choice.exclude
        } else {
            &mut choice.include
        };
        if !values.contains(&value) {
            values.push(value);
        }
    }

    /// Whether a parameter's value is excluded, and the value; none is the absent one.
    fn read(&self, dimension: Dimension, text: &str) -> Result<(bool, Option<String>), ApiError> {
        let field = dimension.key();
        if text.is_empty() || text == "!" {
            return Err(ApiError::invalid(field, empty()));
        }
        if text.contains('\0') || text.chars().count() > MAX_VALUE_CHARS {
            return Err(ApiError::invalid(
                field,
                format!("a value has at most {MAX_VALUE_CHARS} characters and no NUL"),
            ));
        }
        if self.len() >= MAX_VALUES {
            return Err(ApiError::invalid(
                field,
                format!("at most {MAX_VALUES} filter values are taken"),
            ));
        }
        let (exclude, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let value = match rest.strip_prefix('\\') {
            Some(literal) => Some(literal.to_owned()),
            None if rest == NOT_SET => None,
            None => Some(rest.to_owned()),
        };
        Ok((exclude, value))
    }

    /// What is chosen of a dimension.
    pub fn of(&self, dimension: Dimension) -> Option<&Choice> {
        self.0.get(&dimension)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.0.values().map(|c| c.include.len() + c.exclude.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// With one of these values of a dimension, whatever was chosen of it before. They are the program's own: not counted, not read as
    /// parameters are.
    pub fn with(mut self, dimension: Dimension, values: impl IntoIterator<Item = String>) -> Self {
        let choice = Choice {
            include: values.into_iter().map(Some).collect(),
            exclude: Vec::new(),
        };
        self.0.insert(dimension, choice);
        self
    }

    /// Those of some dimensions alone.
    pub fn only(&self, wanted: impl Fn(Dimension) -> bool) -> Self {
        let kept = self.0.iter().filter(|(dimension, _)| wanted(**dimension));
        Self(kept.map(|(dimension, choice)| (*dimension, choice.clone())).collect())
    }

    /// From an object as [`Filters`] is serialised: dimension → values, as somebody asks for them.
    ///
    /// # Errors
    /// 400 naming the dimension that cannot be filtered by, or whose value is not allowed.
    pub fn from_values(values: &BTreeMap<String, Vec<String>>, settings: &SiteSettings) -> Result<Self, ApiError> {
        Self::from_each(values, |filters, dimension, value| {
            filters.ask(dimension, value, settings)
        })
    }

    /// From an object that [`Filters`] became and that was stored: what could be asked for once is not refused now.
    ///
    /// # Errors
    /// 400 naming the dimension that cannot be filtered by, or whose value cannot be read.
    pub fn from_stored(values: &BTreeMap<String, Vec<String>>) -> Result<Self, ApiError> {
        Self::from_each(values, |filters, dimension, value| {
            match filters.ask(dimension, value, &SiteSettings::default()) {
                Ok(()) => Ok(()),
                Err(_) => filters.add(dimension, value),
            }
        })
    }

    fn from_each(
        values: &BTreeMap<String, Vec<String>>,
        add: impl Fn(&mut Self, Dimension, &str) -> Result<(), ApiError>,
    ) -> Result<Self, ApiError> {
        let mut filters = Self::default();
        for (key, values) in values {
            let dimension = Dimension::filters().find(|d| d.key() == key).ok_or_else(|| {
                let keys: Vec<_> = Dimension::filters().map(Dimension::key).collect();
                let key: String = key.chars().take(60).collect();
                ApiError::invalid(format!("filters.{key}"), format!("allowed are {}", keys.join(", ")))
            })?;
            for value in values {
                add(&mut filters, dimension, value)?;
            }
        }
        Ok(filters)
    }

    /// Every value as it would be asked for again.
    pub fn parameters(&self) -> impl Iterator<Item = (Dimension, String)> {
        self.iter().flat_map(|(dimension, choice)| {
            let include = choice.include.iter().map(|value| token(false, value.as_deref()));
            let exclude = choice.exclude.iter().map(|value| token(true, value.as_deref()));
            include.chain(exclude).map(move |value| (dimension, value))
        })
    }

    /// Every dimension with a choice.
    pub fn iter(&self) -> impl Iterator<Item = (Dimension, &Choice)> {
        self.0.iter().map(|(dimension, choice)| (*dimension, choice))
    }
}

fn empty() -> String {
    format!("the value is empty; leave the parameter out, or ask for {NOT_SET}")
}

/// A value as rows have it; or which ones they can have.
fn spellings(dimension: Dimension, value: &str, settings: &SiteSettings) -> Result<Vec<String>, String> {
    if let Some(allowed) = dimension.closed_values() {
        return match allowed.contains(&value) {
            true => Ok(vec![value.to_owned()]),
            false => Err(format!("allowed are {}, {NOT_SET}", allowed.join(", "))),
        };
    }
    let canonical = |normal: &str| match dimension {
        Dimension::UtmSource => attribution::canonical_source(normal, &settings.source_aliases).map(|(name, _)| name),
        Dimension::UtmMedium => attribution::canonical_medium(normal, &settings.medium_aliases),
        _ => None,
    };
    match dimension {
        Dimension::Country => country_code(value)
            .map(|code| vec![code])
            .ok_or_else(|| format!("must be an ISO 3166-1 alpha-2 code such as UA, or {NOT_SET}")),
        Dimension::UtmSource
        | Dimension::UtmMedium
        | Dimension::UtmCampaign
        | Dimension::UtmContent
        | Dimension::UtmTerm => {
            let normal = clean(&normalise(value), MAX_UTM_CHARS).ok_or_else(empty)?;
            let other = canonical(&normal).filter(|name| *name != normal);
            Ok([Some(normal), other].into_iter().flatten().collect())
        }
        // An address would be read as the host that its scheme looks like.
        Dimension::Referrer => Some(value)
            .filter(|value| !value.contains('/'))
            .and_then(canonical_host)
            .map(|host| vec![host])
            .ok_or_else(|| format!("must be a host such as shop.example, or {NOT_SET}")),
        // As the browser sent it, or as browsers write it.
        Dimension::Language => Ok(with(value, vec![usual_language(value)])),
        // Its name is ours where the centre knows the app, and else the worker's.
        // As it was asked for, or by our name of it; what has none is written as names are.
        Dimension::BrowserName | Dimension::OsName => {
            let ours = match dimension {
                Dimension::BrowserName => browser_name(value),
                _ => system_name(value),
            };
            let usual = ours.map_or_else(|| usual_names(value), |name| vec![name.to_owned()]);
            Ok(with(value, usual))
        }
        Dimension::City | Dimension::Region => Ok(with(value, usual_names(value))),
        Dimension::InApp => Ok(vec![app_name(value).map_or_else(|| value.to_owned(), str::to_owned)]),
        _ => Ok(vec![value.to_owned()]),
    }
}

/// What was asked for and how else it may stand in rows, each once.
fn with(value: &str, others: Vec<String>) -> Vec<String> {
    let mut spellings = vec![value.to_owned()];
    for other in others {
        if !spellings.contains(&other) {
            spellings.push(other);
        }
    }
    spellings
}

/// Words that stay small inside names of places.
const SMALL_WORDS: [&str; 20] = [
    "am", "an", "and", "da", "de", "del", "der", "des", "di", "do", "dos", "du", "en", "la", "le", "of", "on", "sur",
    "the", "upon",
];

/// Names as they are usually written, capitals first; none beside one that is written so already, such as McAllen or Frankfurt am Main.
fn usual_names(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_inclusive([' ', '-', '(']).collect();
    let bare = |word: &str| word.trim_end_matches([' ', '-', '(']).to_owned();
    let begins_small = |word: &str| word.chars().next().is_some_and(char::is_lowercase);
    let all_large = text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase);
    let lapses = words
        .iter()
        .enumerate()
        .any(|(at, word)| begins_small(word) && (at == 0 || !SMALL_WORDS.contains(&&*bare(word))));
    if !all_large && !lapses {
        return Vec::new();
    }
    let written = |small: bool| -> String {
        let word =
            |(at, word): (usize, &&str)| match small && at > 0 && SMALL_WORDS.contains(&&*bare(&word.to_lowercase())) {
                true => word.to_lowercase(),
                // Capitals inside a word are somebody's choice, unless there is nothing else.
                false if all_large || begins_small(word) => capitalised(word),
                false => (*word).to_owned(),
            };
        words.iter().enumerate().map(word).collect()
    };
    vec![written(true), written(false)]
}

/// `lviv` → `Lviv`, and `l'aquila` → `L'Aquila`.
fn capitalised(word: &str) -> String {
    let mut before: Vec<char> = Vec::new();
    for letter in word.chars() {
        let begins = matches!(before[..], [] | [_, '\'' | '’']);
        match begins {
            true => before.extend(letter.to_uppercase()),
            false => before.extend(letter.to_lowercase()),
        }
    }
    before.into_iter().collect()
}

/// A language tag as browsers write it: language small, script capitalised, country in capitals.
fn usual_language(tag: &str) -> String {
    let parts = tag
        .split(['-', '_'])
        .enumerate()
        .map(|(at, part)| match (at, part.len()) {
            (0, _) => part.to_ascii_lowercase(),
            (_, 2) => part.to_ascii_uppercase(),
            (_, 4) => {
                let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
                first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
            }
            _ => part.to_owned(),
        });
    parts.collect::<Vec<_>>().join("-")
}

/// A value as it would be asked for again.
fn token(exclude: bool, value: Option<&str>) -> String {
    let sign = if exclude { "!" } else { "" };
    match value {
        None => format!("{sign}{NOT_SET}"),
        Some(value) if value == NOT_SET || value.starts_with(['!', '\\']) => format!("{sign}\\{value}"),
        Some(value) => format!("{sign}{value}"),
    }
}

impl Serialize for Filters {
    /// An object: dimension → the values as they would be asked for again.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(dimension, choice)| {
            let include = choice.include.iter().map(|v| token(false, v.as_deref()));
            let exclude = choice.exclude.iter().map(|v| token(true, v.as_deref()));
            (dimension.key(), include.chain(exclude).collect::<Vec<_>>())
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Choice {
        let mut filters = Filters::default();
        filters.add(Dimension::UtmCampaign, text).unwrap();
        filters.iter().next().unwrap().1.clone()
    }

    #[test]
    fn exclusion_absence_and_literal_values_are_told_apart() {
        let some = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(read("a|b,c&%").include, some("a|b,c&%"));
        assert_eq!(read("!a").exclude, some("a"));
        assert_eq!(read("(not set)").include, vec![None]);
        assert_eq!(read("!(not set)").exclude, vec![None]);
        assert_eq!(read("\\!a").include, some("!a"));
        assert_eq!(read("!\\!a").exclude, some("!a"));
        assert_eq!(read("\\(not set)").include, some("(not set)"));
        assert_eq!(read("\\\\a").include, some("\\a"));
    }

    #[test]
    fn a_value_that_is_asked_for_twice_is_kept_once() {
        let values = ["ig", "!fb", "ig", "IG", "(not set)", "!fb", "(not set)"]
            .map(str::to_owned)
            .to_vec();
        let filters = Filters::from_values(&[("utm_campaign".to_owned(), values)].into(), &SiteSettings::default());
        let told: Vec<String> = filters.unwrap().parameters().map(|(_, value)| value).collect();
        assert_eq!(told, ["ig", "(not set)", "!fb"]);
    }

    fn asked(dimension: Dimension, text: &str) -> Result<Choice, String> {
        let settings = SiteSettings {
            source_aliases: [("gastro".to_owned(), "gastronom".to_owned())].into(),
            ..SiteSettings::default()
        };
        let mut filters = Filters::default();
        match filters.ask(dimension, text, &settings) {
            Ok(()) => Ok(filters.of(dimension).unwrap().clone()),
            Err(ApiError::Invalid { message, field, .. }) => {
                assert_eq!(field.as_deref(), Some(dimension.key()));
                Err(message)
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_value_is_asked_for_in_the_spelling_of_what_is_stored() {
        let some = |values: &[&str]| values.iter().map(|value| Some((*value).to_owned())).collect::<Vec<_>>();
        for (dimension, text, stored) in [
            (Dimension::UtmSource, "Facebook", &["facebook"][..]),
            (Dimension::UtmSource, "FB", &["fb", "facebook"]),
            (Dimension::UtmSource, "Gastro", &["gastro", "gastronom"]),
            (Dimension::UtmMedium, "PPC", &["ppc", "cpc"]),
            (Dimension::UtmCampaign, " Spring  Sale", &["spring sale"]),
            (Dimension::UtmCampaign, "\\!Spring", &["!spring"]),
            (Dimension::UtmContent, "Video", &["video"]),
            (Dimension::UtmTerm, "Куртка", &["куртка"]),
            (Dimension::Country, "ua", &["UA"]),
            (Dimension::Country, "T1", &["T1"]),
            (Dimension::City, "Kyiv", &["Kyiv"]),
            (Dimension::City, "kyiv", &["kyiv", "Kyiv"]),
            (Dimension::City, "KYIV", &["KYIV", "Kyiv"]),
            (Dimension::City, "київ", &["київ", "Київ"]),
            (
                Dimension::City,
                "ivano-frankivsk",
                &["ivano-frankivsk", "Ivano-Frankivsk"],
            ),
            (Dimension::City, "Frankfurt am Main", &["Frankfurt am Main"]),
            (
                Dimension::City,
                "frankfurt am main",
                &["frankfurt am main", "Frankfurt am Main", "Frankfurt Am Main"],
            ),
            (Dimension::City, "l'aquila", &["l'aquila", "L'Aquila"]),
            (Dimension::City, "McAllen", &["McAllen"]),
            (Dimension::Region, "kyiv City", &["kyiv City", "Kyiv City"]),
            (
                Dimension::Region,
                "Kharkivs'ka oblast",
                &["Kharkivs'ka oblast", "Kharkivs'ka Oblast"],
            ),
            (Dimension::BrowserName, "Chrome", &["Chrome"]),
            (Dimension::BrowserName, "chrome mobile", &["chrome mobile", "Chrome"]),
            (
                Dimension::BrowserName,
                "samsung internet",
                &["samsung internet", "Samsung Internet"],
            ),
            (Dimension::BrowserName, "vivaldi", &["vivaldi", "Vivaldi"]),
            (Dimension::BrowserName, "UC Browser", &["UC Browser"]),
            (Dimension::OsName, "ios", &["ios", "iOS"]),
            (Dimension::OsName, "MACOS", &["MACOS", "macOS"]),
            (Dimension::OsName, "android", &["android", "Android"]),
            (Dimension::OsName, "iOS", &["iOS"]),
            (Dimension::VisitorType, "new", &["new"]),
            (Dimension::ClickPlatform, "google_ads", &["google_ads"]),
            (Dimension::Referrer, "WWW.Blog.example", &["blog.example"]),
            (Dimension::Language, "uk-UA", &["uk-UA"]),
            (Dimension::Language, "UK-ua", &["UK-ua", "uk-UA"]),
            (Dimension::Language, "zh_hant_tw", &["zh_hant_tw", "zh-Hant-TW"]),
            (Dimension::Language, "ук-éa", &["ук-éa"]),
            (Dimension::InApp, "instagram", &["Instagram"]),
            (Dimension::InApp, "Another App", &["Another App"]),
        ] {
            assert_eq!(asked(dimension, text).unwrap().include, some(stored), "{text}");
            let absent = asked(dimension, &format!("!{text}")).unwrap();
            assert_eq!((absent.include, absent.exclude), (vec![], some(stored)), "{text}");
        }
        assert_eq!(asked(Dimension::DeviceType, "(not set)").unwrap().include, [None]);
    }

    #[test]
    fn a_value_that_no_row_can_have_is_refused_with_those_that_rows_have() {
        for (dimension, text, allowed) in [
            (Dimension::DeviceType, "phone", "desktop, mobile, tablet"),
            (Dimension::DeviceType, "!phone", "desktop, mobile, tablet"),
            (Dimension::Channel, "foo", "organic_search"),
            (Dimension::VisitorType, "neww", "new, returning, (not set)"),
            (Dimension::BotReason, "nonsense", "declared_crawler"),
            (Dimension::ClickPlatform, "google", "google_ads, microsoft_ads"),
            (Dimension::ClickPlatform, "wicked_reports", "google_ads"),
            (Dimension::Referrer, "https://blog.example/a", "a host such as"),
            (Dimension::Country, "Ukraine", "such as UA"),
            (Dimension::Country, "У1", "such as UA"),
            (Dimension::UtmTerm, "  ", "empty"),
        ] {
            let message = asked(dimension, text).unwrap_err();
            assert!(message.contains(allowed), "{text}: {message}");
        }
    }

    #[test]
    fn what_was_stored_before_values_were_checked_is_still_read() {
        let stored = BTreeMap::from([
            ("device_type".to_owned(), vec!["phone".to_owned()]),
            ("utm_source".to_owned(), vec!["Google".to_owned()]),
        ]);
        let filters = Filters::from_stored(&stored).unwrap();
        assert!(filters.of(Dimension::DeviceType).unwrap().admits(Some("phone")));
        assert!(filters.of(Dimension::UtmSource).unwrap().admits(Some("google")));
        assert!(Filters::from_values(&stored, &SiteSettings::default()).is_err());
    }

    #[test]
    fn empty_overlong_and_nul_values_are_refused_by_name() {
        for bad in ["", "!", "a\0b", &"x".repeat(1_025)] {
            let error = Filters::default().add(Dimension::City, bad).unwrap_err();
            assert!(matches!(error, ApiError::Invalid { field: Some(field), .. } if field == "city"));
        }
    }

    #[test]
    fn a_choice_admits_what_its_sql_lets_through() {
        for (values, admitted) in [
            (vec!["a", "b"], [true, true, false, false]),
            (vec!["!a"], [false, true, true, true]),
            (vec!["(not set)", "a"], [true, false, false, true]),
            (vec!["!(not set)", "!c"], [true, true, false, false]),
            (vec!["a", "!a"], [false; 4]),
        ] {
            let mut filters = Filters::default();
            for value in &values {
                filters.add(Dimension::UtmCampaign, value).unwrap();
            }
            let choice = filters.of(Dimension::UtmCampaign).unwrap();
            let told = [Some("a"), Some("b"), Some("c"), None].map(|value| choice.admits(value));
            assert_eq!(told, admitted, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn every_value_can_be_asked_for_and_excluded(value in "[^\0]{1,40}", exclude: bool) {
            let choice = read(&token(exclude, Some(&value)));
            let (got, empty) = if exclude { (choice.exclude, choice.include) } else { (choice.include, choice.exclude) };
            prop_assert_eq!(got, vec![Some(value)]);
            prop_assert!(empty.is_empty());
        }
    }
}
