//! Where the visitor is, as the platform says in `request.cf`. Every field may be missing or of another type; text that is no
//! JSON at all is a visitor from nowhere.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use shared::limits::MAX_UTM_CHARS;
use shared::text::clean;

/// Fields of `request.cf` that are read.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Place {
    #[serde(deserialize_with = "text")]
    pub(crate) country: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) region: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) city: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) timezone: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) continent: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(crate) asn: Option<u32>,
    #[serde(deserialize_with = "text")]
    pub(crate) as_organization: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) verified_bot_category: Option<String>,
    #[serde(deserialize_with = "bot_management")]
    pub(crate) bot_management: BotManagement,
}

/// What the platform's bot management says; present only with that add-on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BotManagement {
    /// 1 (automated) to 99 (human); 0 is "not computed".
    pub(crate) score: Option<u32>,
    pub(crate) verified: bool,
}

impl Place {
    /// Reads the JSON text.
    pub(crate) fn read(cf: Option<&str>) -> Place {
        let mut place: Place = cf.and_then(|cf| serde_json::from_str(cf).ok()).unwrap_or_default();
        // "T1" is Tor, "XX" is unknown: no countries.
        place.country = place.country.and_then(two_letters).filter(|country| country != "XX");
        place.continent = place.continent.and_then(two_letters);
        let zone = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
        place.timezone = place.timezone.filter(|name| name.len() <= 64 && name.chars().all(zone));
        place
    }
}

fn two_letters(mut text: String) -> Option<String> {
    text.make_ascii_uppercase();
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())).then_some(text)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => clean(&text, MAX_UTM_CHARS),
        _ => None,
    })
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(as_number(&Value::deserialize(deserializer)?))
}

fn as_number(value: &Value) -> Option<u32> {
    // JavaScript has only floats: 13335.0 is a whole number there.
    let number = value
        .as_f64()
        .filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number))?;
    Some(number as u32)
}

fn bot_management<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BotManagement, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(BotManagement {
        score: value.get("score").and_then(as_number),
        verified: value.get("verifiedBot").and_then(Value::as_bool).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_where_they_are_what_they_should_be() {
        let place = Place::read(Some(
            r#"{"country":"ua","region":"Kyiv City","city":"Київ","timezone":"Europe/Kyiv","continent":"EU","asn":13335.0,
                "asOrganization":"Kyivstar","botManagement":{"score":1,"verifiedBot":true},"tlsVersion":{"a":[1]}}"#,
        ));
        assert_eq!(place.country.as_deref(), Some("UA"));
        assert_eq!((place.city.as_deref(), place.asn), (Some("Київ"), Some(13335)));
        assert_eq!(
            place.bot_management,
            BotManagement {
                score: Some(1),
                verified: true
            }
        );
    }

    #[test]
    fn hostile_fields_are_left_out() {
        for cf in [
            "",
            "null",
            "[]",
            "1",
            "{",
            r#"{"country":"\ud800"}"#,
            r#"{"country":"T1"}"#,
            r#"{"country":"XX"}"#,
            r#"{"country":["UA"]}"#,
            r#"{"country":"UKR"}"#,
            r#"{"asn":-1}"#,
            r#"{"asn":1e300}"#,
            r#"{"asn":"13335"}"#,
            r#"{"timezone":"a b"}"#,
            r#"{"city":""}"#,
            r#"{"city":{}}"#,
            r#"{"botManagement":7}"#,
            r#"{"botManagement":{"score":"low","verifiedBot":1}}"#,
        ] {
            assert_eq!(Place::read(Some(cf)), Place::default(), "{cf}");
        }
        assert_eq!(Place::read(Some(r#"{"city":"a\u0000b"}"#)).city.as_deref(), Some("ab"));
        assert_eq!(
            Place::read(Some(&format!(r#"{{"city":"{}"}}"#, "ї".repeat(100_000))))
                .city
                .unwrap()
                .chars()
                .count(),
            255
        );
        assert_eq!(Place::read(None), Place::default());
    }
}
