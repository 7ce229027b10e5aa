//! Numbers in text: exactly as programs write them, and as people and their tables do, with or without separators of thousands and with
//! a decimal point or comma.

use rust_decimal::Decimal;

/// Spaces that stand between thousands.
const SPACES: [char; 4] = [' ', '\u{a0}', '\u{202f}', '\u{2009}'];

/// An exact decimal from plain or e-notation; nothing is rounded, what does not fit is `None`.
pub fn exact(text: &str) -> Option<Decimal> {
    if text.len() > 64 || text.starts_with('+') || text.contains('_') {
        return None;
    }
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return Decimal::from_str_exact(text).ok();
    };
    let mantissa = Decimal::from_str_exact(mantissa).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    // Shifted by hand: the library's reader of e-notation may round silently.
    let scale = i32::try_from(mantissa.scale()).ok()?.checked_sub(exponent)?;
    if scale >= 0 {
        Decimal::try_from_i128_with_scale(mantissa.mantissa(), u32::try_from(scale).ok()?).ok()
    } else {
        let factor = 10i128.checked_pow(u32::try_from(-scale).ok()?)?;
        Decimal::try_from_i128_with_scale(mantissa.mantissa().checked_mul(factor)?, 0).ok()
    }
}

/// An amount: `1234.5`, `1,234.50`, `1 234,50`, `1.234,50`. None for everything else, also for a comma before exactly three digits:
/// `1,234` is a thousand to one and 1.2 to the other.
pub fn amount(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let last = text.rfind(['.', ',']);
    let (whole, fraction) = match last {
        None => (text, ""),
        Some(at) => (&text[..at], &text[at + 1..]),
    };
    let separator = last.and_then(|at| text[at..].chars().next());
    let thousands_before = whole.contains(['.', ',']) || whole.contains(SPACES);
    match separator {
        // The only separator, and it may be either.
        Some(',') if fraction.len() == 3 && !thousands_before => return None,
        // One kind, several times: thousands, such as 1,234,567.
        Some(one) if whole.contains(one) => return exact(&ungrouped(text, &[one])?),
        _ => {}
    }
    let groups: Vec<char> = match separator {
        Some('.') => [',', '\''].into_iter().chain(SPACES).collect(),
        Some(_) => ['.', '\''].into_iter().chain(SPACES).collect(),
        None => std::iter::once('\'').chain(SPACES).collect(),
    };
    let whole = ungrouped(whole, &groups)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || (separator.is_some() && fraction.is_empty()) {
        return None;
    }
    exact(&if fraction.is_empty() {
        whole
    } else {
        format!("{whole}.{fraction}")
    })
}

/// What is not a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotWhole;

/// A whole number: `1234`, `1,234`, `1 234`; none for an empty text or a dash, which platforms write for nothing.
///
/// # Errors
/// Everything else.
pub fn whole(text: &str) -> Result<Option<i64>, NotWhole> {
    let text = text.trim();
    if matches!(text, "" | "-" | "--" | "—") {
        return Ok(None);
    }
    let groups: Vec<char> = [',', '.', '\''].into_iter().chain(SPACES).collect();
    // 1234.0 is how some tools write a whole number.
    let text = text.strip_suffix(".0").or(text.strip_suffix(".00")).unwrap_or(text);
    let digits = ungrouped(text, &groups).ok_or(NotWhole)?;
    digits.parse().map(Some).map_err(|_| NotWhole)
}

/// Digits without the separators, which must all be the same and stand before groups of three.
fn ungrouped(text: &str, separators: &[char]) -> Option<String> {
    let Some(separator) = text.chars().find(|c| separators.contains(c)) else {
        return (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned());
    };
    let mut groups = text.split(separator);
    let first = groups.next()?;
    let mut digits = first.to_owned();
    let mut good = (1..=3).contains(&first.len());
    for group in groups {
        good &= group.len() == 3;
        digits.push_str(group);
    }
    (good && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_as_the_platforms_and_spreadsheets_write_them() {
        for (text, value) in [
            ("0", "0"),
            ("1234", "1234"),
            ("1234.5", "1234.5"),
            ("1.234", "1.234"),
            ("1,234.50", "1234.50"),
            ("1,234,567.89", "1234567.89"),
            ("1,234,567", "1234567"),
            ("1.234,50", "1234.50"),
            ("1.234.567", "1234567"),
            ("12,5", "12.5"),
            ("0,99", "0.99"),
            ("1 234,50", "1234.50"),
            ("1\u{a0}234,50", "1234.50"),
            ("1\u{202f}234", "1234"),
            ("1 234,500", "1234.500"),
            (" 7.10 ", "7.10"),
        ] {
            assert_eq!(amount(text).map(|n| n.to_string()).as_deref(), Some(value), "{text}");
        }
    }

    #[test]
    fn what_could_mean_two_amounts_or_none_is_refused() {
        for bad in [
            "",
            "-",
            "--",
            "-1",
            "+1",
            "1,234",
            "1e5",
            "1..5",
            "1,,5",
            "1.",
            ".5",
            ",5",
            "12,34,56",
            "1,23.4",
            "1 23",
            "0x1",
            "NaN",
            "1_000",
            "₴5",
            "5 UAH",
            "1.2.3",
            "١",
            "99999999999999999999999999999999999",
        ] {
            assert_eq!(amount(bad), None, "{bad}");
        }
    }

    #[test]
    fn whole_numbers_may_be_grouped_and_a_dash_is_none() {
        for (text, value) in [
            ("12", 12),
            ("1,234", 1_234),
            ("1 234 567", 1_234_567),
            ("5.0", 5),
            ("1.234", 1_234),
        ] {
            assert_eq!(whole(text), Ok(Some(value)), "{text}");
        }
        for none in ["", " ", "-", "--"] {
            assert_eq!(whole(none), Ok(None));
        }
        for bad in ["-1", "1.5", "x", "12,34", "99999999999999999999"] {
            assert_eq!(whole(bad), Err(NotWhole), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in ".{0,40}") {
            let _ = (amount(&text), whole(&text));
            let _ = exact(&text);
        }

        #[test]
        fn an_amount_survives_each_way_of_writing_it(units in 0i64..100_000_000_000) {
            let value = Decimal::new(units, 2);
            let (whole, cents) = (units / 100, units % 100);
            let grouped = |by: char| {
                let digits = whole.to_string();
                let mut text = String::new();
                for (i, digit) in digits.chars().enumerate() {
                    if i > 0 && (digits.len() - i) % 3 == 0 {
                        text.push(by);
                    }
                    text.push(digit);
                }
                text
            };
            for text in [
                format!("{whole}.{cents:02}"),
                format!("{whole},{cents:02}"),
                format!("{},{cents:02}", grouped('.')),
                format!("{}.{cents:02}", grouped(',')),
                format!("{},{cents:02}", grouped('\u{a0}')),
            ] {
                prop_assert_eq!(amount(&text), Some(value), "{}", text);
            }
        }

        #[test]
        fn an_exact_decimal_survives(units in 0i64..1_000_000_000_000, scale in 0u32..=4) {
            let value = Decimal::new(units, scale);
            prop_assert_eq!(exact(&value.to_string()), Some(value));
            prop_assert_eq!(exact(&format!("{units}e-{scale}")), Some(value));
        }
    }
}
