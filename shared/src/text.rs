//! Cleaning of one value that came from outside, before it is stored or compared.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Percent-decodes one query value: `+` is a space, bytes that are not UTF-8 become U+FFFD, a stray `%` stays as it is.
pub fn decode_query(raw: &str) -> Cow<'_, str> {
    if raw.bytes().any(|b| b == b'+') {
        Cow::Owned(
            percent_decode_str(&raw.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned(),
        )
    } else {
        decode_path(raw)
    }
}

/// Percent-decodes a path or cookie value, where `+` is itself; otherwise as [`decode_query`].
pub fn decode_path(raw: &str) -> Cow<'_, str> {
    // Most values have nothing to decode, and are texts already.
    if !raw.bytes().any(|b| b == b'%') {
        return Cow::Borrowed(raw);
    }
    percent_decode_str(raw).decode_utf8_lossy()
}

/// Takes out what cannot be seen, trims, and cuts at `max_chars` characters. `None` when nothing is left.
/// Cleaning twice changes nothing.
pub fn clean(text: &str, max_chars: usize) -> Option<String> {
    // Nearly every value is plain ASCII that needs nothing done.
    if text.len() <= max_chars && is_plain(text) {
        let trimmed = text.trim_ascii();
        return (!trimmed.is_empty()).then(|| trimmed.to_owned());
    }
    let mut out = String::with_capacity(text.len().min(max_chars * 4));
    let mut count = 0;
    for c in text
        .trim_start_matches(|c: char| c.is_whitespace() || is_invisible(c))
        .chars()
    {
        if is_invisible(c) {
            continue;
        }
        if count == max_chars {
            break;
        }
        out.push(c);
        count += 1;
    }
    out.truncate(out.trim_end().len());
    (!out.is_empty()).then_some(out)
}

/// Visible ASCII and spaces. Without an early end: so the loop takes many bytes at a time.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, b| plain & matches!(b, b' '..=b'~'))
}

/// Percent-decodes a query value and cleans it.
pub fn clean_query_value(raw: &str, max_chars: usize) -> Option<String> {
    clean(&decode_query(raw), max_chars)
}

/// The form in which two spellings of one value are equal: lower-case Unicode, white space trimmed and collapsed.
pub fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

/// Control characters, and the format characters that only serve to make two texts look alike or run backwards
/// (zero-width space, byte order mark, line separators, bidirectional controls). Joiners stay: emoji and scripts need them.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_query_value_is_decoded_trimmed_and_freed_of_control_characters() {
        for (raw, clean) in [
            ("spring+sale", Some("spring sale")),
            ("%D0%9B%D1%96%D1%82%D0%BE", Some("Літо")),
            ("Літо", Some("Літо")),
            ("%20%20x%20", Some("x")),
            ("a%00b%0d%0Ac", Some("abc")),
            ("%00", None),
            ("", None),
            ("+++", None),
            ("100%", Some("100%")),
            ("%zz%4", Some("%zz%4")),
            ("%ff%fe", Some("\u{fffd}\u{fffd}")),
            ("%ed%a0%80", Some("\u{fffd}\u{fffd}\u{fffd}")),
            ("%E2%80%AEgro.live", Some("gro.live")),
            ("%EF%BB%BFfacebook", Some("facebook")),
            ("a%2Bb", Some("a+b")),
        ] {
            assert_eq!(clean_query_value(raw, 255).as_deref(), clean, "{raw}");
        }
    }

    #[test]
    fn a_long_value_is_cut_on_a_character() {
        assert_eq!(clean(&"ї".repeat(1_000_000), 255).unwrap().chars().count(), 255);
        assert_eq!(clean("ab cd", 3).as_deref(), Some("ab"));
    }

    #[test]
    fn spellings_of_one_value_normalise_to_the_same() {
        assert_eq!(normalise("  Facebook\u{a0} ADS "), "facebook ads");
        assert_eq!(normalise("ЛІТНІЙ Розпродаж"), "літній розпродаж");
    }

    proptest! {
        #[test]
        fn cleaning_is_bounded_and_idempotent(text in "\\PC*|[\\x00-\\x20\u{200b}\u{feff}a-zї%+]{0,40}|(?s:.*)", max in 0usize..40) {
            if let Some(once) = clean(&text, max) {
                prop_assert!(once.chars().count() <= max);
                prop_assert!(!once.contains('\0'));
                prop_assert_eq!(clean(&once, max), Some(once));
            }
            let _ = clean_query_value(&text, max);
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC*") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
