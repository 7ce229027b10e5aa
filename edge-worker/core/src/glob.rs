//! Patterns of settings: `*` stands for any text. For paths, a pattern without `*` covers the path and what lies below it.

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<String>);

impl Glob {
    /// Reads a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.split('*').map(str::to_owned).collect())
    }

    /// Whether the whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return text == first;
        };
        let Some(mut text) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        for part in middle {
            match text.find(part.as_str()) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        text.ends_with(last.as_str())
    }

    /// Whether the path fits, or lies below a pattern without `*`.
    pub(crate) fn covers_path(&self, path: &str) -> bool {
        match self.0.as_slice() {
            [whole] => path
                .strip_prefix(whole.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            _ => self.matches(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("yes", "yes", true),
            ("yes", "yes!", false),
            ("*", "", true),
            ("*statistics:true*", "{stamp:1,statistics:true,marketing:false}", true),
            ("*statistics:true*", "{statistics:false}", false),
            ("a*b*c", "axxbyyc", true),
            ("a*a", "a", false),
            ("", "", true),
            ("", "x", false),
            ("ї*", "її", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_path_covers_what_lies_below_it_and_not_its_neighbours() {
        for (pattern, path, covers) in [
            ("/admin", "/admin", true),
            ("/admin", "/admin/x", true),
            ("/admin/", "/admin", true),
            ("/admin", "/administration", false),
            ("*/feed", "/blog/feed", true),
            ("/a*", "/abc/d", true),
        ] {
            assert_eq!(Glob::new(pattern).covers_path(path), covers, "{pattern} {path}");
        }
    }

    /// The same by trying every length that a star can stand for.
    fn fits(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|taken| fits(rest, &text[taken..])),
            Some((first, rest)) => text
                .split_first()
                .is_some_and(|(c, text)| c == first && fits(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn stars_of_any_number_fit_where_some_choice_of_lengths_does(pattern in "[aї*]{0,7}", text in "[aї]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&pattern).matches(&text), fits(&chars(&pattern), &chars(&text)));
        }
    }
}
