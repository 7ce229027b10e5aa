//! Who mails go to.

use crate::db::users::normalised_email;
use crate::error::ApiError;

/// Recipients of one report.
pub const MAX_RECIPIENTS: usize = 500;

/// Addresses as they are stored and compared: trimmed, lower-case, each once, in order. What cannot be an address is named.
///
/// # Errors
/// 400 for `recipients`: a bad address, none, or too many.
pub fn recipients<T: AsRef<str>>(given: impl IntoIterator<Item = T>) -> Result<Vec<String>, ApiError> {
    let mut found: Vec<String> = Vec::new();
    for text in given {
        let text = text.as_ref().trim();
        if text.is_empty() {
            continue;
        }
        // Both: the one keeps to what users may log in with, the other to what a mail can carry.
        let address = normalised_email(text).filter(|address| address.parse::<lettre::Address>().is_ok());
        let address = address.ok_or_else(|| {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
            ApiError::invalid(
                "recipients",
                format!("{shown} is not an e-mail address such as ann@shop.example"),
            )
        })?;
        found.push(address);
    }
    found.sort();
    found.dedup();
    match found.len() {
        0 => Err(ApiError::invalid("recipients", "give at least one e-mail address")),
        1..=MAX_RECIPIENTS => Ok(found),
        _ => Err(ApiError::invalid(
            "recipients",
            format!("at most {MAX_RECIPIENTS} addresses are taken"),
        )),
    }
}

/// Addresses in one text, separated by commas.
///
/// # Errors
/// As [`recipients`].
pub fn listed(text: &str) -> Result<Vec<String>, ApiError> {
    recipients(text.split([',', ';', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_trimmed_lower_case_and_each_there_once() {
        assert_eq!(
            listed(" B@shop.example, a@Shop.example,b@shop.example,,").unwrap(),
            ["a@shop.example", "b@shop.example"]
        );
    }

    #[test]
    fn a_bad_address_is_named_without_its_control_characters() {
        for bad in [
            "ann",
            "ann@",
            "@shop.example",
            "a b@shop.example",
            "a@shop",
            "a@b@c.d e",
            "a\r\nBcc: x@y.z@shop.example",
            "a\0@shop.example",
            "<a@shop.example>",
        ] {
            let error = recipients([bad]).unwrap_err();
            let ApiError::Invalid { field, message, .. } = error else {
                panic!("{bad:?}")
            };
            assert_eq!(field.as_deref(), Some("recipients"));
            assert!(
                message.contains("is not an e-mail address") && !message.contains(['\r', '\n', '\0']),
                "{message:?}"
            );
        }
    }

    #[test]
    fn nobody_and_too_many_are_refused() {
        assert!(listed(" , ").is_err());
        let many: Vec<String> = (0..=MAX_RECIPIENTS).map(|n| format!("a{n}@shop.example")).collect();
        assert!(recipients(&many).is_err());
        assert_eq!(recipients(&many[..MAX_RECIPIENTS]).unwrap().len(), MAX_RECIPIENTS);
    }
}
