//! How a batch is signed: `X-UD-Signature: v1;k=<key id>;t=<unix seconds>;s=<hex HMAC-SHA256 of "t.body">`.
//!
//! The body is signed as it travels, compressed if it is. Two keys can be live, so that they rotate without a gap.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::limits::SIGNATURE_TOLERANCE_SECONDS;

/// Name of the header.
pub const HEADER: &str = "x-ud-signature";

type HmacSha256 = Hmac<Sha256>;

/// Why a signature is refused. The texts are safe to send to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The header is missing or cannot be read.
    #[error("the signature header must read v1;k=<key id>;t=<unix seconds>;s=<64 hex digits>")]
    Malformed,
    /// The time is too far from now.
    #[error("the signature's time is more than 300 seconds away from the server's")]
    Expired,
    /// The key is unknown or revoked, or the body was changed. Which of them is not said.
    #[error("the signature does not match")]
    Mismatch,
}

/// The header's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureHeader<'a> {
    /// Which key signed it.
    pub key_id: &'a str,
    /// Unix seconds at signing.
    pub timestamp: i64,
    mac: [u8; 32],
}

/// The header's value for `body`, signed at `timestamp` (unix seconds) with `key`.
pub fn sign(key_id: &str, key: &[u8], timestamp: i64, body: &[u8]) -> String {
    let mac = mac(key, timestamp, body).finalize().into_bytes();
    let mut header = format!("v1;k={key_id};t={timestamp};s=");
    for byte in mac {
        header.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        header.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    header
}

/// Reads the header's value without trusting it yet.
pub fn parse(header: &str) -> Result<SignatureHeader<'_>, BadSignature> {
    let mut parts = header.split(';');
    let mut field = |name: &str| {
        parts
            .next()
            .and_then(|part| part.strip_prefix(name))
            .ok_or(BadSignature::Malformed)
    };
    field("v1")?;
    let key_id = field("k=")?;
    let timestamp = field("t=")?.parse().map_err(|_| BadSignature::Malformed)?;
    let hex = field("s=")?.as_bytes();
    if parts.next().is_some() || hex.len() != 64 || key_id.is_empty() {
        return Err(BadSignature::Malformed);
    }
    let mut mac = [0u8; 32];
    for (byte, pair) in mac.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |b: u8| (b as char).to_digit(16).ok_or(BadSignature::Malformed);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Ok(SignatureHeader { key_id, timestamp, mac })
}

impl SignatureHeader<'_> {
    /// Whether it says that it was signed about `now`, unix seconds. Anybody can say so.
    pub fn is_fresh(&self, now: i64) -> bool {
        now.abs_diff(self.timestamp) <= SIGNATURE_TOLERANCE_SECONDS as u64
    }

    /// Checks time and signature, the latter in constant time. `now` is in unix seconds.
    pub fn verify(&self, key: &[u8], now: i64, body: &[u8]) -> Result<(), BadSignature> {
        if !self.is_fresh(now) {
            return Err(BadSignature::Expired);
        }
        mac(key, self.timestamp, body)
            .verify_slice(&self.mac)
            .map_err(|_| BadSignature::Mismatch)
    }
}

fn mac(key: &[u8], timestamp: i64, body: &[u8]) -> HmacSha256 {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_763_600_000;

    #[test]
    fn a_signed_body_verifies_and_a_changed_one_does_not() {
        let header = sign("k1", b"secret", NOW, b"body");
        let parsed = parse(&header).unwrap();
        assert_eq!(parsed.key_id, "k1");
        assert_eq!(parsed.verify(b"secret", NOW + 299, b"body"), Ok(()));
        assert_eq!(parsed.verify(b"secret", NOW, b"bodY"), Err(BadSignature::Mismatch));
        assert_eq!(parsed.verify(b"other", NOW, b"body"), Err(BadSignature::Mismatch));
    }

    #[test]
    fn a_time_more_than_five_minutes_away_is_refused_either_way() {
        let header = sign("k1", b"secret", NOW, b"");
        let parsed = parse(&header).unwrap();
        for now in [NOW - 301, NOW + 301, i64::MIN, i64::MAX] {
            assert_eq!(parsed.verify(b"secret", now, b""), Err(BadSignature::Expired));
        }
    }

    #[test]
    fn the_time_is_part_of_what_is_signed() {
        let header = sign("k1", b"secret", NOW, b"x").replace(&NOW.to_string(), &(NOW + 1).to_string());
        assert_eq!(
            parse(&header).unwrap().verify(b"secret", NOW, b"x"),
            Err(BadSignature::Mismatch)
        );
    }

    #[test]
    fn a_header_that_cannot_be_read_is_malformed() {
        let good = sign("k1", b"secret", NOW, b"x");
        let cut = &good[..good.len() - 1];
        let long = format!("{good};x=1");
        let not_hex = good.replace(";s=", ";s=zz");
        for bad in [
            "",
            "v1",
            "v2;k=a;t=1;s=",
            cut,
            &long,
            &not_hex,
            "v1;k=;t=1;s=00",
            "v1;t=1;k=a;s=00",
        ] {
            assert_eq!(parse(bad), Err(BadSignature::Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_malformed_and_a_changed_one_does_not_verify(
            text in "(?s:.{0,120})|v1;k=.{0,8};t=[-+0-9]{0,24};s=[0-9a-fA-Fg]{62,66}", at in 0usize..200, by in "[ -~]",
        ) {
            if let Ok(header) = parse(&text) {
                prop_assert!(header.verify(b"secret", NOW, b"x").is_err());
            }
            let good = sign("k1", b"secret", NOW, b"x");
            let at = at % good.len();
            let changed = format!("{}{by}{}", &good[..at], &good[at + 1..]);
            // Another key id is looked up under its own key, and hex digits may be capitals.
            let of_key = good.find(";t=").unwrap();
            if let Ok(header) = parse(&changed) && at >= of_key && !changed.eq_ignore_ascii_case(&good) {
                prop_assert!(header.verify(b"secret", NOW, b"x").is_err(), "{changed}");
            }
        }
    }
}
