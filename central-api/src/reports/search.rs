//! Search among the rows of an answer: those of which some dimension's value contains a text, in whatever case.

use sqlx::{Postgres, QueryBuilder};

use super::filter::NOT_SET_WORDS;
use crate::catalogue::Dimension;
use crate::error::ApiError;
use crate::geo::countries_named;

/// Characters of the text; longer values are stored nowhere.
const MAX_CHARS: usize = 255;

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
        assert!(keys("nothing of the kind").is_empty());
    }
}
