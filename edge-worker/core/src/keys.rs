//! Keys, and the short signed texts that cookies hold.
//!
//! The signature is keyed BLAKE2s (RFC 7693) with a tag of 128 bits: a MAC by design, where HMAC-SHA256 hashes twice and costs a landing
//! three times as much in WASM. What the centre checks (`shared::signature`) stays HMAC-SHA256, which every shop's language knows.

use blake2::digest::consts::U16;
use blake2::digest::{Digest, Mac};
use blake2::{Blake2s256, Blake2sMac};
use shared::ids::SiteKey;
use uuid::Uuid;

const MAC_BYTES: usize = 16;
/// Every signed text begins with the version of its layout.
const VERSION: &str = "1";

/// A key of one site, expanded once: signing then costs only the text's own blocks.
#[derive(Clone)]
pub(crate) struct Key {
    id: String,
    /// Has taken in the key and the site.
    mac: Blake2sMac<U16>,
}

impl Key {
    pub(crate) fn new(id: &str, secret: &[u8], site: &SiteKey) -> Result<Key, String> {
        if !((1..=8).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())) {
            return Err("a key's id has 1 to 8 characters of a-z and 0-9".to_owned());
        }
        if secret.len() < 32 {
            return Err(format!("the secret of {id} has less than 32 bytes"));
        }
        // Secrets are as long as their makers like; the key is 32 bytes of all of it.
        let mut mac = Blake2sMac::new_with_salt_and_personal(&Blake2s256::digest(secret), &[], &[])
            .map_err(|_| format!("the secret of {id} cannot be used"))?;
        mac.update(site.as_str().as_bytes());
        mac.update(b"\0");
        Ok(Key { id: id.to_owned(), mac })
    }

    /// The tag of `text` for a purpose, whose parts must not contain a zero byte but for the last, which has a fixed length then.
    pub(crate) fn mac(&self, purpose: &[&[u8]], text: &[u8]) -> [u8; MAC_BYTES] {
        self.keyed(purpose, text).finalize().into_bytes().into()
    }

    fn keyed(&self, purpose: &[&[u8]], text: &[u8]) -> Blake2sMac<U16> {
        let mut mac = self.mac.clone();
        for part in purpose {
            mac.update(part);
            mac.update(b"\0");
        }
        mac.update(text);
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
    pub(crate) fn new(keys: Vec<(String, Vec<u8>)>, site: &SiteKey) -> Result<Keys, String> {
        let mut expanded = Vec::with_capacity(keys.len());
        for (id, secret) in keys {
            let key = Key::new(&id, &secret, site)?;
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

    /// Appends `1.<key id>.<fields>.<mac>` to `text`; `fields` appends text of `[0-9a-z.]`. The same fields for another `purpose` (kind
    /// of cookie, visitor) or site have another mac.
    pub(crate) fn seal(&self, purpose: &[&[u8]], text: &mut String, fields: impl FnOnce(&mut String)) {
        let from = text.len();
        for part in [VERSION, ".", &self.signing.id, "."] {
            text.push_str(part);
        }
        fields(text);
        let mac = self.signing.mac(purpose, &text.as_bytes()[from..]);
        text.push('.');
        push_hex(text, &mac);
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
        key.keyed(purpose, signed.as_bytes()).verify_slice(&mac).ok()?;
        Some(Opened {
            fields: fields.split('.'),
            old_key,
        })
    }
}

/// Appends lower-case hex digits.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    for some in bytes.chunks(MAC_BYTES) {
        let mut digits = [0; 2 * MAC_BYTES];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(some) {
            pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
        }
        push_ascii(text, &digits[..2 * some.len()]);
    }
}

/// Appends a number in hex, without leading zeros.
pub(crate) fn push_hex_number(text: &mut String, number: u64) {
    let wanted = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    let mut digits = [0; 16];
    for (digit, place) in digits.iter_mut().rev().zip(0..wanted) {
        *digit = hex_digit((number >> (4 * place)) as u8 & 15);
    }
    push_ascii(text, &digits[digits.len() - wanted as usize..]);
}

/// Appends a number in decimal. The formatting of the standard library is a lot of code for it, which a landing finds cold.
pub(crate) fn push_decimal(text: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    push_ascii(text, &digits[from..]);
}

/// Appends an id as 32 hex digits.
pub(crate) fn push_id(text: &mut String, id: Uuid) {
    text.push_str(id.simple().encode_lower(&mut Uuid::encode_buffer()));
}

/// All at once: a `String` takes characters one by one at many times the cost.
fn push_ascii(text: &mut String, digits: &[u8]) {
    text.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// The digit of a number below 16.
fn hex_digit(number: u8) -> u8 {
    if number < 10 { b'0' + number } else { b'a' + number - 10 }
}

/// Only as [`hex_digit`] writes it: a text of ours has one spelling.
fn read_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = read_digit(pair[0])? << 4 | read_digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(site: &str, ids: &[&str]) -> Keys {
        Keys::new(
            ids.iter()
                .map(|id| ((*id).to_owned(), id.repeat(32).into_bytes()))
                .collect(),
            &site.parse().unwrap(),
        )
        .unwrap()
    }

    fn keys(ids: &[&str]) -> Keys {
        keys_of("shop", ids)
    }

    fn seal(keys: &Keys, purpose: &[&[u8]], fields: &str) -> String {
        let mut text = "before ".to_owned();
        keys.seal(purpose, &mut text, |text| text.push_str(fields));
        text.strip_prefix("before ").unwrap().to_owned()
    }

    #[test]
    fn a_sealed_text_opens_for_its_purpose_only() {
        let keys = keys(&["k1"]);
        let text = seal(&keys, &[b"v", b"x"], "abc.12");
        assert!(keys_of("other", &["k1"]).open(&[b"v", b"x"], &text).is_none());
        assert_eq!(
            keys.open(&[b"v", b"x"], &text).unwrap().fields.collect::<Vec<_>>(),
            ["abc", "12"]
        );
        for purpose in [&[b"s".as_slice(), b"x"][..], &[b"v", b"other"], &[b"vx"], &[b"v"], &[]] {
            assert!(keys.open(purpose, &text).is_none());
        }
    }

    #[test]
    fn keys_rotate_without_a_gap() {
        let text = seal(&keys(&["k1"]), &[b"v"], "abc");
        let opened = keys(&["k2", "k1"]);
        assert!(opened.open(&[b"v"], &text).unwrap().old_key);
        assert!(!opened.open(&[b"v"], &seal(&opened, &[b"v"], "abc")).unwrap().old_key);
        assert!(keys(&["k3", "k2"]).open(&[b"v"], &text).is_none());
    }

    #[test]
    fn any_change_of_a_sealed_text_closes_it() {
        let keys = keys(&["k1"]);
        let text = seal(&keys, &[b"v"], "abc.12");
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

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 0x0123_4567_89ab_cdef, u64::MAX] {
            let mut text = String::new();
            push_hex_number(&mut text, number);
            assert_eq!(text, format!("{number:x}"));
            text.clear();
            push_decimal(&mut text, number);
            assert_eq!(text, number.to_string());
        }
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0000_ffff_1234_0001);
        let mut text = String::new();
        push_id(&mut text, id);
        assert_eq!(text, id.simple().to_string());
    }

    /// RFC 7693's algorithm, checked against another implementation (Python's hashlib): key blake2s-256 of the secret, site first.
    #[test]
    fn the_tag_is_keyed_blake2s() {
        let key = Key::new("k1", &[b'b'; 32], &"bench".parse().unwrap()).unwrap();
        let mut tag = String::new();
        push_hex(&mut tag, &key.mac(&[b"v"], b"1.k1.abc"));
        assert_eq!(tag, "0107527635b06b45e87fe82a008bd7b3");
    }
}
