//! Where the visitor is, as the platform says in `request.cf`. What is not what it should be is left out.

use shared::limits::MAX_UTM_CHARS;
use shared::text::clean;

use crate::hit::Cf;

/// A place, checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Place {
    pub(crate) country: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) timezone: Option<String>,
    pub(crate) continent: Option<String>,
    pub(crate) asn: Option<u32>,
    pub(crate) as_organization: Option<String>,
}

impl Place {
    /// Reads the fields.
    pub(crate) fn read(cf: &Cf) -> Place {
        let text = |value: Option<&str>| value.and_then(|value| clean(value, MAX_UTM_CHARS));
        let zone = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+');
        Place {
            // "T1" is Tor, "XX" is unknown: no countries.
            country: cf.country.and_then(two_letters).filter(|country| country != "XX"),
            region: text(cf.region),
            city: text(cf.city),
            timezone: cf
                .timezone
                .filter(|name| (1..=64).contains(&name.len()) && name.bytes().all(zone))
                .map(str::to_owned),
            continent: cf.continent.and_then(two_letters),
            asn: cf.asn.and_then(|asn| asn.parse().ok()),
            as_organization: text(cf.as_organization),
        }
    }
}

fn two_letters(text: &str) -> Option<String> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic())).then(|| text.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_where_they_are_what_they_should_be() {
        let place = Place::read(&Cf {
            country: Some("ua"),
            region: Some("Kyiv City"),
            city: Some("Київ"),
            timezone: Some("Europe/Kyiv"),
            continent: Some("EU"),
            asn: Some("13335"),
            as_organization: Some("Kyivstar"),
            ..Cf::default()
        });
        assert_eq!(
            (place.country.as_deref(), place.continent.as_deref()),
            (Some("UA"), Some("EU"))
        );
        assert_eq!((place.city.as_deref(), place.asn), (Some("Київ"), Some(13335)));
        assert_eq!(place.timezone.as_deref(), Some("Europe/Kyiv"));
    }

    #[test]
    fn hostile_fields_are_left_out() {
        let long = "1".repeat(1_000_000);
        for (country, timezone, asn, city) in [
            ("", "", "", ""),
            ("T1", "a b", "-1", "\0"),
            ("XX", "\0", "1e300", "\u{200b}"),
            ("UKR", "Київ", "13335.5", " "),
            ("[object Object]", "a\u{202e}b", "4294967296", "\r"),
            ("ї", &long, &long, "\u{feff}\u{2066}"),
        ] {
            let (country, timezone, asn, city) = (Some(country), Some(timezone), Some(asn), Some(city));
            let continent = country.filter(|country| *country != "XX");
            let cf = Cf {
                country,
                timezone,
                asn,
                city,
                continent,
                ..Cf::default()
            };
            assert_eq!(Place::read(&cf), Place::default(), "{country:?}");
        }
        let cf = |city| Cf {
            city: Some(city),
            ..Cf::default()
        };
        assert_eq!(Place::read(&cf("a\0b")).city.as_deref(), Some("ab"));
        assert_eq!(
            Place::read(&cf(&"ї".repeat(100_000))).city.unwrap().chars().count(),
            255
        );
        assert_eq!(Place::read(&Cf::default()), Place::default());
    }

    proptest! {
        #[test]
        fn a_field_of_any_text_is_what_it_should_be_or_left_out(
            text in "(?s).{0,80}|[a-zA-Z]{2}|[xX]{2}|[A-Za-z]{1,8}/[A-Za-z_+0-9-]{1,70}|[0-9]{1,12}|[-0-9.]{0,12}", repeat in 1usize..400,
        ) {
            let text = if repeat > 390 { text.repeat(repeat) } else { text };
            let some = Some(text.as_str());
            let place = Place::read(&Cf {
                country: some, region: some, city: some, timezone: some, continent: some, asn: some, as_organization: some, ..Cf::default()
            });
            for code in [&place.country, &place.continent].into_iter().flatten() {
                prop_assert!(code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()), "{code:?}");
                prop_assert!(code.eq_ignore_ascii_case(&text));
            }
            prop_assert_ne!(place.country.as_deref(), Some("XX"));
            for name in [&place.region, &place.city, &place.as_organization].into_iter().flatten() {
                prop_assert!((1..=MAX_UTM_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control), "{name:?}");
            }
            if let Some(zone) = place.timezone {
                prop_assert!(zone == text && zone.len() <= 64 && zone.is_ascii() && !zone.contains([' ', '"', '<', '\\', '\'']), "{zone:?}");
            }
            let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u128>().ok()).flatten();
            prop_assert_eq!(place.asn.map(u128::from), number.filter(|number| *number <= u128::from(u32::MAX)));
        }
    }
}
