//! Names of countries, from CLDR.

use icu_locale::locale;
use icu_locale::names::RegionDisplayName;

/// The country's name in `uk` or `en`; none for a code that CLDR does not know (Cloudflare's `T1` for Tor, for example).
pub fn country_name(code: &str, language: &str) -> Option<String> {
    let region = code.parse().ok()?;
    let locale = if language == "en" { locale!("en") } else { locale!("uk") };
    RegionDisplayName::try_new_light(locale.into(), region)
        .ok()
        .map(|name| name.to_string())
}

/// Codes of the countries of whose names one contains a text in lower case, in `uk` or `en`.
pub fn countries_named(text: &str) -> Vec<String> {
    let letters = || b'A'..=b'Z';
    let codes = letters().flat_map(|a| letters().map(move |b| [a, b].map(char::from).iter().collect::<String>()));
    let is_named = |code: &String| {
        let names = ["uk", "en"].map(|language| country_name(code, language));
        names
            .into_iter()
            .flatten()
            .any(|name| name.to_lowercase().contains(text))
    };
    codes.filter(is_named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_found_by_a_part_of_its_name() {
        assert_eq!(countries_named("україн"), ["UA"]);
        assert_eq!(countries_named("ukrain"), ["UA"]);
        assert_eq!(countries_named("niger"), ["NE", "NG"]);
        assert!(countries_named("nowhere at all").is_empty());
    }

    #[test]
    fn countries_are_named_in_both_languages() {
        let name = |code, language| country_name(code, language).unwrap_or_default();
        assert_eq!(name("UA", "uk"), "Україна");
        assert_eq!(name("UA", "en"), "Ukraine");
        assert_eq!(name("XK", "en"), "Kosovo");
        for unknown in ["T1", "", "\0", "QQ", "ZZZZ"] {
            assert_eq!(country_name(unknown, "en"), None, "{unknown}");
        }
    }
}
