//! Query parameters, each taken once by name; what is left over is an error that lists what would have been taken.

use std::collections::BTreeSet;

use crate::error::ApiError;

/// The parameters of one request.
#[derive(Debug, Clone)]
pub struct Params {
    left: Vec<(String, String)>,
    known: BTreeSet<&'static str>,
}

impl Params {
    /// Reads a query string.
    pub fn new(query: &str) -> Self {
        Self::from_pairs(
            form_urlencoded::parse(query.as_bytes())
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
        )
    }

    /// Takes pairs of names and values.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self {
            left: pairs,
            known: BTreeSet::new(),
        }
    }

    /// Whether a parameter was given and not taken yet.
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(key, _)| key == name)
    }

    /// Gives a parameter that the request left out.
    pub fn give(&mut self, name: &str, value: String) {
        self.left.push((name.to_owned(), value));
    }

    /// Every value of a parameter, in order.
    pub fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.insert(name);
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|(k, _)| k == name);
        self.left = left;
        taken.into_iter().map(|(_, v)| v).collect()
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// 400 when it is given twice.
    pub fn one(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(ApiError::invalid(name, "give it once"));
        }
        Ok(values.pop())
    }

    /// One of the values allowed, or the default.
    ///
    /// # Errors
    /// 400 naming the allowed values.
    pub fn choice<T: Copy>(&mut self, name: &'static str, allowed: &[(&str, T)], default: T) -> Result<T, ApiError> {
        match self.one(name)? {
            None => Ok(default),
            Some(text) => allowed
                .iter()
                .find(|(key, _)| *key == text)
                .map(|(_, value)| *value)
                .ok_or_else(|| {
                    let keys: Vec<_> = allowed.iter().map(|(key, _)| *key).collect();
                    ApiError::invalid(name, format!("allowed are {}", keys.join(", ")))
                }),
        }
    }

    /// A whole number between two bounds, or the default.
    ///
    /// # Errors
    /// 400 naming the bounds.
    pub fn number(
        &mut self,
        name: &'static str,
        bounds: std::ops::RangeInclusive<i64>,
        default: i64,
    ) -> Result<i64, ApiError> {
        match self.one(name)? {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|n| bounds.contains(n)).ok_or_else(|| {
                ApiError::invalid(
                    name,
                    format!("must be a whole number from {} to {}", bounds.start(), bounds.end()),
                )
            }),
        }
    }

    /// To be called when everything was taken.
    ///
    /// # Errors
    /// 400 for a parameter that nobody took, listing those that are taken.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.left.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let known: Vec<_> = self.known.into_iter().collect();
                // A name is echoed to its sender only, and never at length.
                let name: String = name.chars().take(60).collect();
                Err(ApiError::Invalid {
                    code: "unknown_parameter",
                    message: format!("there is no such parameter here; taken are {}", known.join(", ")),
                    field: Some(name),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nobody_took_is_named_beside_what_would_have_been() {
        let mut params = Params::new("limit=5&perod=week");
        assert_eq!(params.number("limit", 1..=1000, 20).unwrap(), 5);
        assert_eq!(params.one("period").unwrap(), None);
        let ApiError::Invalid { code, field, message } = params.finish().unwrap_err() else {
            panic!();
        };
        assert_eq!((code, field.as_deref()), ("unknown_parameter", Some("perod")));
        assert!(message.ends_with("limit, period"), "{message}");
    }

    #[test]
    fn hostile_queries_give_errors_that_name_the_parameter() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=",
            "limit=1&limit=1",
            "limit=99999999999999999999",
            "limit=%00",
            "limit=1.0",
        ] {
            let error = Params::new(query).number("limit", 1..=1000, 20).unwrap_err();
            assert!(
                matches!(error, ApiError::Invalid { field: Some(field), .. } if field == "limit"),
                "{query}"
            );
        }
        // Broken escapes and bytes that are no UTF-8 are text like any other.
        assert_eq!(Params::new("a=%ff%zz&a=+").all("a"), ["\u{fffd}%zz", " "]);
    }

    proptest! {
        #[test]
        fn each_parameter_comes_out_as_it_was_sent_and_what_is_left_is_named(
            sent in prop::collection::vec(("a|b|c|[a-d]{2}|(?s).{0,70}", "(?s).{0,12}"), 0..6),
        ) {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&sent).finish();
            let mut params = Params::new(&query);
            let values = |wanted: &str| -> Vec<String> {
                sent.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()).collect()
            };
            prop_assert_eq!(params.all("a"), values("a"));
            match params.one("b") {
                Ok(value) => prop_assert_eq!(value.into_iter().collect::<Vec<_>>(), values("b")),
                Err(error) => prop_assert!(values("b").len() > 1, "{error:?}"),
            }
            let left = sent.iter().map(|(name, _)| name).find(|name| !["a", "b"].contains(&name.as_str()));
            match (params.finish(), left) {
                (Ok(()), None) => {}
                (Err(ApiError::Invalid { field: Some(field), .. }), Some(name)) => {
                    prop_assert!(field.chars().count() <= 60 && name.starts_with(&field) && (name.len() > 60 || *name == field));
                }
                (finished, left) => prop_assert!(false, "{finished:?}, {left:?}"),
            }
        }

        #[test]
        fn a_number_is_between_its_bounds_or_refused_by_name(text in prop_oneof!["(?s).{0,24}", any::<i64>().prop_map(|n| n.to_string()), (-3i64..30).prop_map(|n| n.to_string())], query in "(?s).{0,40}") {
            let mut params = Params::from_pairs(vec![("limit".into(), text.clone())]);
            match params.number("limit", 1..=20, 7) {
                Ok(number) => prop_assert_eq!((text.parse(), (1..=20).contains(&number)), (Ok(number), true)),
                Err(ApiError::Invalid { field, .. }) => {
                    prop_assert_eq!(field.as_deref(), Some("limit"));
                    prop_assert!(text.parse::<i64>().map_or(true, |number| !(1..=20).contains(&number)));
                }
                Err(other) => prop_assert!(false, "{other:?}"),
            }
            let mut params = Params::new(&query);
            prop_assert!(params.number("limit", 1..=20, 7).map_or(true, |number| (1..=20).contains(&number)));
        }
    }
}
