//! Amounts as text: checked, never turned into a float.

/// Digits before the point that the centre can store (`numeric(18, 4)`).
const MAX_INTEGER_DIGITS: usize = 14;
/// All digits that a decimal holds exactly.
const MAX_DIGITS: usize = 28;

/// Whether the text is an amount: `12`, `12.5`, `0.30000000000000004`. Not negative, no exponent, no sign, no spaces.
pub(crate) fn is_amount(text: &str) -> bool {
    let (integer, fraction) = match text.split_once('.') {
        Some((integer, fraction)) if !fraction.is_empty() => (integer, fraction),
        Some(_) => return false,
        None => (text, ""),
    };
    (1..=MAX_INTEGER_DIGITS).contains(&integer.len())
        && integer.len() + fraction.len() <= MAX_DIGITS
        && integer.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
}

/// A currency's ISO 4217 code in upper case, when the text has the form of one.
pub(crate) fn currency(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic())).then(|| text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_plain_decimal_text() {
        for good in ["0", "12", "12.50", "0.30000000000000004", "99999999999999.9999"] {
            assert!(is_amount(good), "{good}");
        }
        for bad in [
            "",
            "-1",
            "+1",
            "1e3",
            "1.",
            ".5",
            "1,5",
            "1 000",
            "NaN",
            "0x1",
            "1.2.3",
            "100000000000000",
            "٣",
            "1\0",
            &"1".repeat(1_000),
        ] {
            assert!(!is_amount(bad), "{bad}");
        }
        assert_eq!(currency(" uah "), Some("UAH".to_owned()));
        for bad in ["", "UA", "UAHH", "₴₴₴", "U H", "123"] {
            assert_eq!(currency(bad), None, "{bad}");
        }
    }
}
