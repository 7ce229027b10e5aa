//! Keys, and the short signed texts that cookies hold.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const MAC_BYTES: usize = 16;
/// Every signed text begins with the version of its layout.
const VERSION: &str = "1";

/// A key, expanded once: signing then costs only the text's own blocks.
#[derive(Clone)]
pub(crate) struct Key {
    id: String,
    mac: Hmac<Sha256>,
}

impl Key {
    pub(crate) fn new(id: &str, secret: &[u8]) -> Result<Key, String> {
        if !((1..=8).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())) {
            return Err("a key's id has 1 to 8 characters of a-z and 0-9".to_owned());
        }
        if secret.len() < 32 {
            return Err(format!("the secret of {id} has less than 32 bytes"));
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| format!("the secret of {id} cannot be used"))?;
        Ok(Key { id: id.to_owned(), mac })
    }

    /// HMAC-SHA256 over the parts; each but the last must not contain what separates it.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.keyed(parts).finalize().into_bytes().into()
    }

    fn keyed(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(part);
            mac.update(b"\0");
        }
        mac
    }
}

/// Keys that are live: the first signs, all verify, so that they rotate without a gap.
#[derive(Clone)]
pub(crate) struct Keys {
    signing: Key,
    older: Vec<Key>,
}

/// What stood in a signed text.
pub(crate) struct Opened<'a> {
    /// The fields, in the order of writing.
    pub(crate) fields: std::str::Split<'a, char>,
    /// It was signed with an older key.
    pub(crate) old_key: bool,
}

impl Keys {
    pub(crate) fn new(keys: Vec<(String, Vec<u8>)>) -> Result<Keys, String> {
        let mut expanded = Vec::with_capacity(keys.len());
        for (id, secret) in keys {
            let key = Key::new(&id, &secret)?;
            if expanded.iter().any(|other: &Key| other.id == key.id) {
                return Err(format!("the id {} stands twice", key.id));
            }
            expanded.push(key);
        }
        if expanded.is_empty() {
            return Err("at least one key is needed".to_owned());
        }
        let signing = expanded.remove(0);
        Ok(Keys {
            signing,
            older: expanded,
        })
    }

    /// `1.<key id>.<fields>.<mac>`; `fields` is text of `[0-9a-z.]`. The same fields for another `purpose` (kind of cookie, site,
    /// visitor) have another mac.
    pub(crate) fn seal(&self, purpose: &[&[u8]], fields: &str) -> String {
        let mut text = format!("{VERSION}.{}.{fields}", self.signing.id);
        let mac = self.signing.mac(&parts(purpose, &text));
        text.push('.');
        push_hex(&mut text, &mac[..MAC_BYTES]);
        text
    }

    /// The fields of a text that one of the live keys signed for this purpose; `None` for anything else. Constant-time.
    pub(crate) fn open<'a>(&self, purpose: &[&[u8]], text: &'a str) -> Option<Opened<'a>> {
        let (signed, mac) = text.rsplit_once('.')?;
        let mac: [u8; MAC_BYTES] = read_hex(mac)?;
        let (id, fields) = signed.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
        let old_key = self.signing.id != id;
        let key = if old_key {
            self.older.iter().find(|key| key.id == id)?
        } else {
            &self.signing
        };
        key.keyed(&parts(purpose, signed)).verify_truncated_left(&mac).ok()?;
        Some(Opened {
            fields: fields.split('.'),
            old_key,
        })
    }
}

fn parts<'a>(purpose: &[&'a [u8]], text: &'a str) -> Vec<&'a [u8]> {
    let mut parts = Vec::with_capacity(purpose.len() + 1);
    parts.extend_from_slice(purpose);
    parts.push(text.as_bytes());
    parts
}

/// Appends lower-case hex digits.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
        }
    }
}

fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str]) -> Keys {
        Keys::new(
            ids.iter()
                .map(|id| ((*id).to_owned(), id.repeat(32).into_bytes()))
                .collect(),
        )
        .unwrap()
    }

    #[test]
    fn a_sealed_text_opens_for_its_purpose_only() {
        let keys = keys(&["k1"]);
        let text = keys.seal(&[b"v", b"shop"], "abc.12");
        assert_eq!(
            keys.open(&[b"v", b"shop"], &text).unwrap().fields.collect::<Vec<_>>(),
            ["abc", "12"]
        );
        for purpose in [
            &[b"s".as_slice(), b"shop"][..],
            &[b"v", b"other"],
            &[b"vs", b"hop"],
            &[],
        ] {
            assert!(keys.open(purpose, &text).is_none());
        }
    }

    #[test]
    fn keys_rotate_without_a_gap() {
        let text = keys(&["k1"]).seal(&[b"v"], "abc");
        let opened = keys(&["k2", "k1"]);
        assert!(opened.open(&[b"v"], &text).unwrap().old_key);
        assert!(!opened.open(&[b"v"], &opened.seal(&[b"v"], "abc")).unwrap().old_key);
        assert!(keys(&["k3", "k2"]).open(&[b"v"], &text).is_none());
    }

    #[test]
    fn any_change_of_a_sealed_text_closes_it() {
        let keys = keys(&["k1"]);
        let text = keys.seal(&[b"v"], "abc.12");
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert!(
                keys.open(&[b"v"], &String::from_utf8(changed).unwrap()).is_none(),
                "{at}"
            );
            assert!(keys.open(&[b"v"], &text[..at]).is_none());
        }
        for bad in [
            "",
            ".",
            "1.k1..",
            "1.k1",
            "2.k1.abc.00",
            &"1.k1.".repeat(10_000),
            "ї.ї.ї",
        ] {
            assert!(keys.open(&[b"v"], bad).is_none(), "{bad}");
        }
    }
}
