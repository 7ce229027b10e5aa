//! What of an address, a path or a query may be kept.

use std::net::IpAddr;

use shared::limits::MAX_PATH_CHARS;
use shared::text::{clean, decode_path, decode_query};

use crate::keys::{push_decimal, push_hex};
use crate::settings::{IpPrivacy, Settings};

/// The address as the site's setting allows, and its keyed hash (8 bytes, hex) for linking.
/// Text that is no address gives nothing.
pub(crate) fn address(ip: Option<&str>, settings: &Settings) -> (Option<String>, Option<String>) {
    let Some(ip) = ip
        .and_then(|ip| ip.trim().parse::<IpAddr>().ok())
        .map(|ip| ip.to_canonical())
    else {
        return (None, None);
    };
    if settings.ip == IpPrivacy::None {
        return (None, None);
    }
    let mac = match ip {
        IpAddr::V4(ip) => settings.hash_key.mac(&[b"ip"], &ip.octets()),
        IpAddr::V6(ip) => settings.hash_key.mac(&[b"ip"], &ip.octets()),
    };
    let mut hash = String::with_capacity(16);
    push_hex(&mut hash, &mac[..8]);
    let kept = match settings.ip {
        IpPrivacy::Full => ip,
        _ => network(ip),
    };
    (Some(written(kept)), Some(hash))
}

fn written(ip: IpAddr) -> String {
    let IpAddr::V4(ip) = ip else {
        return ip.to_string();
    };
    let mut text = String::with_capacity(15);
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        push_decimal(&mut text, u64::from(octet));
    }
    text
}

/// The first address of the /24 or /48 that `ip` lies in.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::from((u32::from(ip) & 0xffff_ff00).to_be_bytes()),
        IpAddr::V6(ip) => IpAddr::from((u128::from(ip) & (!0 << 80)).to_be_bytes()),
    }
}

/// A path, decoded, cleaned and cut; segments that hold an e-mail address or a long token become `*`.
pub(crate) fn path(raw: &str) -> Option<String> {
    let decoded = decode_path(raw);
    if !may_hold_address(&decoded) && decoded.len() < TOKEN_CHARS {
        return clean(&decoded, MAX_PATH_CHARS);
    }
    let scrubbed: Vec<&str> = decoded
        .split('/')
        .map(|segment| if is_personal(segment) { "*" } else { segment })
        .collect();
    clean(&scrubbed.join("/"), MAX_PATH_CHARS)
}

/// Whether a parameter that is neither utm nor click id may stay in the landing's query.
pub(crate) fn keeps_parameter(name: &str, raw_value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let value = decode_query(raw_value);
    !PERSONAL_PARAMETERS.iter().any(|part| name.contains(part))
        && !PERSONAL_NAMES.contains(&name.as_str())
        && !holds_at(&decode_query(&name))
        && !is_personal(&value)
        && !is_phone(&value)
}

/// Whether a tag's value names a person.
pub(crate) fn is_personal(value: &str) -> bool {
    holds_at(value) || is_token(value)
}

/// An `@`, or one that is still escaped: mailing services and redirectors escape what is escaped already.
fn holds_at(value: &str) -> bool {
    may_hold_address(value) && (value.contains('@') || value.contains("%40") || value.contains("%2540"))
}

/// One look at each byte, which nearly every value has behind it then.
fn may_hold_address(value: &str) -> bool {
    value.bytes().any(|b| matches!(b, b'@' | b'%'))
}

const TOKEN_CHARS: usize = 32;

/// Parts of a name that say that the value is a person's or a secret.
const PERSONAL_PARAMETERS: &[&str] = &[
    "mail",
    "phone",
    "token",
    "passw",
    "secret",
    "session",
    "auth",
    "signature",
    "address",
    "birth",
    "name",
    "user",
    "customer",
    "card",
    "apikey",
    "api_key",
    "jwt",
    "otp",
    "contact",
    "subscriber",
];
/// Whole names that say so.
const PERSONAL_NAMES: &[&str] = &[
    "tel",
    "pwd",
    "pass",
    "key",
    "sid",
    "sig",
    "code",
    "hash",
    "uid",
    "id_token",
    "state",
    "nonce",
    "ssn",
    "dob",
    "iban",
    "client_id",
    "cid",
    "mc_eid",
    "_kx",
    "_hsenc",
    // Of analytics and mailing services: they name the browser or the reader, and no two visitors have the same.
    "_gl",
    "_ga",
    "__s",
    "__hstc",
    "__hssc",
    "__hsfp",
    "mkt_tok",
    "oly_anon_id",
    "oly_enc_id",
    "vero_id",
    "vero_conv",
    "bsft_uid",
];

/// A word with an `@` and a dot behind it. The `+` of an address is a space by now where nobody escaped it.
pub(crate) fn has_email(value: &str) -> bool {
    holds_at(value)
        && value
            .replace("%25", "%")
            .replace("%40", "@")
            .split_whitespace()
            .any(|word| {
                word.rsplit_once('@')
                    .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
            })
}

/// Long text with a part of letters and digits mixed: a reset link, a session, a signed value, a UUID. Slugs and names of
/// campaigns are long too, but their parts are words or numbers.
fn is_token(value: &str) -> bool {
    value.len() >= TOKEN_CHARS
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'=' | b'+' | b'-'))
        && value.split(['-', '_', '.', '=', '+']).any(|part| {
            part.len() >= 12
                && part.bytes().any(|b| b.is_ascii_digit())
                && part.bytes().any(|b| b.is_ascii_alphabetic())
        })
}

/// Ten digits or more with nothing but what phone numbers are written with.
fn is_phone(value: &str) -> bool {
    value.bytes().filter(u8::is_ascii_digit).count() >= 10
        && value
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b' ' | b'(' | b')'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn an_address_is_kept_as_the_setting_says() {
        for (setting, ip, kept) in [
            ("full", "203.0.113.77", Some("203.0.113.77")),
            ("truncated", "203.0.113.77", Some("203.0.113.0")),
            ("truncated", "2001:db8:aaaa:bbbb::1", Some("2001:db8:aaaa::")),
            ("truncated", "::ffff:203.0.113.77", Some("203.0.113.0")),
            ("none", "203.0.113.77", None),
            ("full", "not an address", None),
            ("full", "203.0.113.77\0", None),
            ("full", "", None),
        ] {
            let settings = settings(&format!(r#""ip":"{setting}""#));
            let (address, hash) = address(Some(ip), &settings);
            assert_eq!(address.as_deref(), kept, "{setting} {ip}");
            assert_eq!(hash.map(|hash| hash.len()), kept.map(|_| 16));
        }
    }

    #[test]
    fn the_hash_is_of_the_whole_address() {
        let settings = settings("");
        let hash = |ip| address(Some(ip), &settings).1;
        assert_eq!(hash("203.0.113.77"), hash("::ffff:203.0.113.77"));
        assert_ne!(hash("203.0.113.77"), hash("203.0.113.78"));
    }

    #[test]
    fn paths_lose_addresses_and_tokens_and_keep_slugs() {
        for (raw, kept) in [
            (
                "/product/cholovicha-futbolka-z-printom-chorna-2024-rozmir-xl",
                "/product/cholovicha-futbolka-z-printom-chorna-2024-rozmir-xl",
            ),
            ("/%D0%BA%D0%B0%D1%82%D0%B0%D0%BB%D0%BE%D0%B3", "/каталог"),
            ("/unsubscribe/a%40b.ua/now", "/unsubscribe/*/now"),
            ("/unsubscribe/a%2540b.ua/now", "/unsubscribe/*/now"),
            ("/50%25-off/tee", "/50%-off/tee"),
            ("/reset/0a1b2c3d4e5f60718293a4b5c6d7e8f9", "/reset/*"),
            ("/x\0y", "/xy"),
            (
                "/sale/UA_Retargeting_Advantageplus_2024_Purchase_Lookalike",
                "/sale/UA_Retargeting_Advantageplus_2024_Purchase_Lookalike",
            ),
        ] {
            assert_eq!(path(raw).as_deref(), Some(kept), "{raw}");
        }
        assert_eq!(path(""), None);
        assert_eq!(
            path(&format!("/{}", "ї ".repeat(1_000_000))).unwrap().chars().count(),
            MAX_PATH_CHARS
        );
    }

    #[test]
    fn a_query_loses_what_is_personal() {
        for (name, value) in [
            ("email", "x"),
            ("user_phone", "1"),
            ("q", "a%40b.ua"),
            ("q", "+380671234567"),
            ("token", "x"),
            ("Password", "x"),
            ("a@b", "x"),
            ("t", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("first_name", "x"),
            ("q", "a%2540b.ua"),
            ("a%2540b.ua", "x"),
            ("_gl", "1*1jz8d2*_ga*MTIzNDU2Nzg5*_ga_ABCDEFG*MTc2MzYw"),
            ("_ga", "2.238513.1234.1763600000-98765.1763600000"),
            ("omnisendContactID", "6123"),
            ("ml_subscriber_hash", "x1y2"),
            ("__hstc", "20.a.1.2.3"),
        ] {
            assert!(!keeps_parameter(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("page", "2"),
            ("size", "xl"),
            ("q", "футболка"),
            ("color", "black-white"),
            ("sku", "123456"),
        ] {
            assert!(keeps_parameter(name, value), "{name}={value}");
        }
    }

    proptest! {
        #[test]
        fn an_address_in_any_notation_is_kept_as_its_network_with_one_hash(v4: u32, v6: u128, bit in 0u32..32) {
            let (full, truncated) = (settings(r#""ip":"full""#), settings(""));
            let (ip, of_v6) = (std::net::Ipv4Addr::from(v4), std::net::Ipv6Addr::from(v6).to_canonical());
            let mapped = format!("::ffff:{ip}");
            for text in [ip.to_string(), format!(" {ip} "), mapped] {
                let (kept, hash) = address(Some(&text), &truncated);
                let octets = ip.octets();
                prop_assert_eq!(kept, Some(format!("{}.{}.{}.0", octets[0], octets[1], octets[2])));
                prop_assert_eq!(address(Some(&text), &full), (Some(ip.to_string()), hash));
            }
            let kept: IpAddr = address(Some(&of_v6.to_string()), &truncated).0.unwrap().parse().unwrap();
            if let (IpAddr::V6(whole), IpAddr::V6(kept)) = (of_v6, kept) {
                prop_assert_eq!(&kept.segments()[..3], &whole.segments()[..3]);
                prop_assert_eq!(&kept.segments()[3..], &[0; 5]);
            }
            let hash = |ip: u32| address(Some(&std::net::Ipv4Addr::from(ip).to_string()), &truncated).1;
            prop_assert_ne!(hash(v4), hash(v4 ^ 1 << bit));
        }

        #[test]
        fn what_is_no_address_leaves_neither_address_nor_hash(text in "(?s).{0,60}|[0-9a-f.:%/\\[\\]]{0,45}") {
            let (kept, hash) = address(Some(&text), &settings(r#""ip":"full""#));
            prop_assert_eq!(kept.is_some(), text.trim().parse::<IpAddr>().is_ok());
            prop_assert_eq!(kept.is_some(), hash.is_some());
            prop_assert_eq!(address(Some(&text), &settings(r#""ip":"none""#)), (None, None));
        }
    }
}
