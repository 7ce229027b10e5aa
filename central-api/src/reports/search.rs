//! Search among the rows of an answer: those of which some dimension's value contains a text, in whatever case.

use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::filter::NOT_SET_WORDS;
use crate::catalogue::Dimension;
use crate::error::ApiError;
use crate::geo::countries_named;

/// Characters of the text; longer values are stored nowhere.
const MAX_CHARS: usize = 255;

/// Columns of a session `s` that a search looks in: what a row of the list shows, and where the session came from and landed.
const OF_SESSION: [&str; 15] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "channel",
    "referrer_host",
    "landing_path",
    "region",
    "city",
    "device_type",
    "device_brand",
    "device_model",
    "os_name",
    "browser_name",
];
/// Columns whose values have names.
const NAMED_OF_SESSION: [(Dimension, &str); 3] = [
    (Dimension::Channel, "s.channel"),
    (Dimension::Country, "s.country"),
    (Dimension::DeviceType, "s.device_type"),
];
/// Columns of which a row says that they are not set.
const SAID_TO_BE_ABSENT: [&str; 3] = ["s.utm_source", "s.utm_campaign", "s.channel"];

/// How sessions are looked for.
#[derive(Debug)]
pub(super) enum SessionSearch<'a> {
    /// The whole id of a session or visitor.
    Id(Uuid),
    /// A text that one of its values contains.
    Text(SessionText<'a>),
}

/// The condition on sessions `s` that a text is in one of their values.
#[derive(Debug)]
pub(super) struct SessionText<'a>(&'a Search);

impl SessionText<'_> {
    pub(super) fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        let Self(search) = self;
        // All values in one text, lowered once: several times faster than one by one. The separator is a character that nobody can type, and
        // a text that has it is in no value.
        if search.text.contains(SEPARATOR) {
            sql.push("false");
            return;
        }
        let columns = OF_SESSION.map(|column| format!("s.{column}")).join(", ");
        sql.push(format_args!(
            "strpos(lower(concat_ws(chr({}), {columns}) collate \"default\"), ",
            u32::from(SEPARATOR)
        ))
        .push_bind(search.text.clone())
        .push(") > 0");
        for (dimension, column) in NAMED_OF_SESSION {
            let keys = search.keys(dimension);
            if !keys.is_empty() {
                sql.push(format_args!(" or coalesce({column} = any("))
                    .push_bind(keys)
                    .push("), false)");
            }
        }
        if search.means_absent() {
            for column in SAID_TO_BE_ABSENT {
                sql.push(format_args!(" or {column} is null"));
            }
        }
    }
}

/// Stands between values that are searched as one text.
const SEPARATOR: char = '\u{1f}';

/// What rows are looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// In lower case.
    text: String,
}

impl Search {
    /// Reads the parameter `search`; none for a text without anything to look for.
    ///
    /// # Errors
    /// 400 for a text that no value can contain.
    pub fn parse(text: &str) -> Result<Option<Self>, ApiError> {
        if text.contains('\0') || text.chars().count() > MAX_CHARS {
            return Err(ApiError::invalid(
                "search",
                format!("a text has at most {MAX_CHARS} characters and no NUL"),
            ));
        }
        let text = text.trim().to_lowercase();
        Ok((!text.is_empty()).then_some(Self { text }))
    }

    /// Pushes the condition on columns `q.d0`, `q.d1` … that hold these dimensions.
    pub(super) fn condition(&self, sql: &mut QueryBuilder<Postgres>, dimensions: &[Dimension]) {
        for (i, dimension) in dimensions.iter().enumerate() {
            // In the database's own collation, which knows the case of more than ASCII; the column is compared byte by byte elsewhere.
            sql.push(if i > 0 { " or " } else { "" });
            sql.push(format_args!("strpos(lower(q.d{i} collate \"default\"), "))
                .push_bind(self.text.clone())
                .push(") > 0");
            let keys = self.keys(*dimension);
            if !keys.is_empty() {
                sql.push(format_args!(" or q.d{i} = any(")).push_bind(keys).push(")");
            }
            if self.means_absent() {
                sql.push(format_args!(" or q.d{i} is null"));
            }
        }
    }

    /// As sessions are looked for.
    pub(super) fn of_sessions(&self) -> SessionSearch<'_> {
        match Uuid::try_parse(&self.text) {
            Ok(id) => SessionSearch::Id(id),
            Err(_) => SessionSearch::Text(SessionText(self)),
        }
    }

    /// Values that people read under a name which contains the text, in any language.
    fn keys(&self, dimension: Dimension) -> Vec<String> {
        if dimension == Dimension::Country {
            return countries_named(&self.text);
        }
        let named = dimension.named_values().into_iter();
        named
            .filter(|value| {
                let names = [value.label.uk, value.label.en];
                names.iter().any(|name| name.to_lowercase().contains(&self.text))
            })
            .map(|value| value.key.to_owned())
            .collect()
    }

    /// Whether it is a part of what stands for the absent value.
    fn means_absent(&self) -> bool {
        [NOT_SET_WORDS.uk, NOT_SET_WORDS.en]
            .iter()
            .any(|name| name.contains(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_trimmed_and_lowered_and_an_empty_one_looks_for_nothing() {
        let text = |given: &str| Search::parse(given).unwrap().map(|search| search.text);
        assert_eq!(text("  Зимовий РОЗПРОДАЖ "), Some("зимовий розпродаж".into()));
        assert_eq!(text(" "), None);
        for bad in ["a\0b".to_owned(), "x".repeat(256)] {
            let error = Search::parse(&bad).unwrap_err();
            assert!(matches!(error, ApiError::Invalid { field: Some(field), .. } if field == "search"));
        }
    }

    #[test]
    fn a_channel_and_a_country_are_found_by_their_names_in_either_language() {
        let keys_of = |dimension, given: &str| Search::parse(given).unwrap().unwrap().keys(dimension);
        let keys = |given| keys_of(Dimension::Channel, given);
        assert_eq!(keys_of(Dimension::Country, "УКРАЇНА"), ["UA"]);
        assert_eq!(keys("платний пошук"), ["paid_search"]);
        assert_eq!(keys("AI assist"), ["ai_assistant"]);
        assert_eq!(keys_of(Dimension::DeviceType, "телеф"), ["mobile"]);
        assert!(keys("nothing of the kind").is_empty());
    }
}
