//! Identifiers that travel: UUIDv7 made from given time and random bytes, and the time inside one.

use uuid::{Builder, Uuid};

/// A UUIDv7 (RFC 9562 §5.7) of `unix_ms` milliseconds since 1970 (UTC) and ten random bytes.
/// Times before 1970 count as 1970: the layout has no sign.
pub fn uuid_v7(unix_ms: i64, random: [u8; 10]) -> Uuid {
    Builder::from_unix_timestamp_millis(unix_ms.max(0) as u64, &random).into_uuid()
}

/// Milliseconds since 1970 (UTC) inside a UUIDv7; `None` for any other version.
pub fn minted_at_ms(id: Uuid) -> Option<i64> {
    let bytes = id.as_bytes();
    if bytes[6] >> 4 != 7 {
        return None;
    }
    let mut ms = [0u8; 8];
    ms[2..].copy_from_slice(&bytes[..6]);
    Some(i64::from_be_bytes(ms))
}

/// Why a site key cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a site key has 1 to 40 characters of a-z, 0-9 and -, and begins and ends with a letter or digit")]
pub struct BadSiteKey;

/// The short public name of a site, as it stands in a batch and in URLs: `my-shop`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiteKey(String);

impl SiteKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SiteKey {
    type Err = BadSiteKey;

    fn from_str(text: &str) -> Result<Self, BadSiteKey> {
        let ok = (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if ok { Ok(Self(text.to_owned())) } else { Err(BadSiteKey) }
    }
}

impl TryFrom<String> for SiteKey {
    type Error = BadSiteKey;

    fn try_from(text: String) -> Result<Self, BadSiteKey> {
        text.parse()
    }
}

impl From<SiteKey> for String {
    fn from(key: SiteKey) -> Self {
        key.0
    }
}

impl std::fmt::Display for SiteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_inside_a_v7_id_is_the_time_it_was_made_with() {
        for ms in [0, 1, 1_763_600_000_123, (1 << 48) - 1] {
            assert_eq!(minted_at_ms(uuid_v7(ms, [0xff; 10])), Some(ms));
        }
    }

    #[test]
    fn a_time_before_1970_counts_as_1970() {
        assert_eq!(minted_at_ms(uuid_v7(-5, [1; 10])), Some(0));
    }

    #[test]
    fn another_version_has_no_time() {
        assert_eq!(minted_at_ms(Uuid::nil()), None);
        assert_eq!(
            minted_at_ms(Uuid::from_u128(0x00000000_0000_4000_8000_000000000000)),
            None
        );
    }

    #[test]
    fn a_site_key_is_short_lower_case_text() {
        for good in ["a", "my-shop", "shop2"] {
            assert!(good.parse::<SiteKey>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "My", "a b", "a/b", "ä", &"a".repeat(41)] {
            assert!(bad.parse::<SiteKey>().is_err(), "{bad}");
        }
    }
}
