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

#[cfg(test)]
mod tests {
    use super::*;

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
