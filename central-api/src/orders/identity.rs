//! Who a customer is, without keeping who: the shop's customer id, e-mail and phone as keyed hashes.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use phonenumber::{Mode, country};
use sha2::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::db::visitor_contacts;
use crate::secret::Secret;
use crate::site::Site;

/// Keyed hash of a contact: the first 16 bytes of HMAC-SHA256.
pub type ContactHash = [u8; 16];

/// What a contact is; part of what is hashed, so that an e-mail never meets a customer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContactKind {
    /// The shop's own customer id.
    Customer,
    /// E-mail address.
    Email,
    /// Phone number.
    Phone,
}

impl ContactKind {
    /// The name in the database and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }
}

/// A contact that was seen with a visitor, and when (UTC).
pub type Sight = (ContactHash, Uuid, ContactKind, DateTime<Utc>);

/// The identities that came with an order or event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contacts {
    /// Of the shop's customer id.
    pub customer: Option<ContactHash>,
    /// Of the normalised e-mail.
    pub email: Option<ContactHash>,
    /// Of the phone in E.164.
    pub phone: Option<ContactHash>,
    /// E-mail and phone in plain, normalised; only for a site that stores contacts.
    pub plain: Option<serde_json::Value>,
    /// At least one contact stands on the site's block list and was left out.
    pub blocked: bool,
    /// What was left out and why, for the answer. No values.
    pub warnings: Vec<&'static str>,
}

impl Contacts {
    /// The hashes that are there, in the order in which they are trusted.
    pub fn hashes(&self) -> impl Iterator<Item = (ContactKind, ContactHash)> {
        [
            (ContactKind::Customer, self.customer),
            (ContactKind::Email, self.email),
            (ContactKind::Phone, self.phone),
        ]
        .into_iter()
        .filter_map(|(kind, hash)| Some((kind, hash?)))
    }
}

/// Turns a site's contacts into hashes. Made once a request: it prepares the key and the block list.
#[derive(Clone)]
pub struct Identifier {
    key: [u8; 32],
    country: Option<country::Id>,
    blocked: HashSet<ContactHash>,
    keep_plain: bool,
}

impl std::fmt::Debug for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identifier")
    }
}

impl Identifier {
    /// For one site of the installation.
    pub fn new(secret: &Secret, site: &Site) -> Self {
        let mut identifier = Self {
            key: secret.derive(&format!("contact:{}", site.id)),
            country: site.country.parse().ok(),
            blocked: HashSet::new(),
            keep_plain: site.settings.store_contacts,
        };
        identifier.blocked = site
            .settings
            .blocked_contacts
            .iter()
            .flat_map(|contact| {
                [
                    email(contact).map(|email| identifier.hash(ContactKind::Email, &email)),
                    phone(contact, identifier.country).map(|phone| identifier.hash(ContactKind::Phone, &phone)),
                ]
            })
            .flatten()
            .collect();
        identifier
    }

    /// Hashes of the site's blocked contacts. Orders from before a contact was blocked still carry it.
    pub fn blocked(&self) -> &HashSet<ContactHash> {
        &self.blocked
    }

    /// The keyed hash of a normalised contact.
    pub fn hash(&self, kind: ContactKind, normalised: &str) -> ContactHash {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(kind.name().as_bytes());
        mac.update(b":");
        mac.update(normalised.as_bytes());
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        hash
    }

    /// Hashes what is given. An e-mail or phone that cannot be one is left out with a warning, a blocked one silently joins nobody.
    pub fn identify(&self, customer: Option<&str>, email_text: Option<&str>, phone_text: Option<&str>) -> Contacts {
        let mut contacts = Contacts {
            customer: customer.map(|id| self.hash(ContactKind::Customer, id)),
            ..Contacts::default()
        };
        let mut plain = serde_json::Map::new();
        let mut take = |kind: ContactKind, normalised: String, contacts: &mut Contacts| {
            let hash = self.hash(kind, &normalised);
            if self.keep_plain {
                plain.insert(kind.name().into(), normalised.into());
            }
            if self.blocked.contains(&hash) {
                contacts.blocked = true;
                return None;
            }
            Some(hash)
        };
        if let Some(text) = email_text {
            match email(text) {
                Some(normalised) => contacts.email = take(ContactKind::Email, normalised, &mut contacts),
                None => contacts.warnings.push("email is not an e-mail address and was ignored"),
            }
        }
        if let Some(text) = phone_text {
            match phone(text, self.country) {
                Some(normalised) => contacts.phone = take(ContactKind::Phone, normalised, &mut contacts),
                None => contacts
                    .warnings
                    .push("phone is not a valid phone number and was ignored"),
            }
        }
        if contacts.blocked {
            contacts
                .warnings
                .push("a contact on the site's block list was not used");
        }
        contacts.plain = (!plain.is_empty()).then_some(serde_json::Value::Object(plain));
        contacts
    }
}

/// As orders bring it, without the blanks around it; `None` when nothing is left.
pub fn customer_id(text: &str) -> Option<&str> {
    let id = text.trim();
    (!id.is_empty()).then_some(id)
}

/// Trimmed and lower-cased, nothing folded; `None` for what cannot be an address.
pub fn email(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let (local, domain) = email.rsplit_once('@')?;
    let ok = email.len() <= 254
        && !local.is_empty()
        && !local.contains('@')
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    ok.then_some(email)
}

/// E.164; a number without country code takes `country`'s. `None` for what is not a valid number.
pub fn phone(text: &str, country: Option<country::Id>) -> Option<String> {
    // Longer than any number people write, short enough for a parser made of regular expressions.
    if text.len() > 64 {
        return None;
    }
    let number = phonenumber::parse(country, text.trim()).ok()?;
    number.is_valid().then(|| number.format().mode(Mode::E164).to_string())
}

/// Remembers that these contacts belong to this visitor, seen at `at`. Orders that bring only a contact find the visitor through it.
///
/// # Errors
/// The database's.
pub async fn remember(conn: &mut PgConnection, site_id: i32, mut rows: Vec<Sight>) -> sqlx::Result<()> {
    // Sorted by key, the latest first, one a key: an upsert must not meet a row twice.
    rows.sort_by(|a, b| (a.0, a.1, b.3).cmp(&(b.0, b.1, a.3)));
    rows.dedup_by_key(|row| (row.0, row.1));
    if rows.is_empty() {
        return Ok(());
    }
    visitor_contacts::upsert(conn, site_id, &rows).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_trimmed_and_lower_cased_but_not_folded() {
        assert_eq!(
            email("  Olena.K+shop@Example.COM ").as_deref(),
            Some("olena.k+shop@example.com")
        );
        for bad in [
            "",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a@b@c.d",
            "a b@c.d",
            "a@.c",
            "a@c.",
            "a\u{0}@b.c",
        ] {
            assert_eq!(email(bad), None, "{bad:?}");
        }
        assert_eq!(email(&format!("{}@b.cc", "a".repeat(300))), None);
    }

    #[test]
    fn a_phone_takes_the_sites_country_unless_it_names_one() {
        let ua = Some(country::Id::UA);
        for text in [
            "067 123 45 67",
            "+380 67 123-45-67",
            "380671234567",
            "(067)1234567",
            "00380671234567",
        ] {
            assert_eq!(phone(text, ua).as_deref(), Some("+380671234567"), "{text}");
        }
        assert_eq!(phone("+48 512 345 678", ua).as_deref(), Some("+48512345678"));
        for bad in [
            "",
            "1",
            "abc",
            "+",
            "000000000000000000",
            &"9".repeat(10_000),
            "\u{0}",
            "067 123",
        ] {
            assert_eq!(phone(bad, ua), None, "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_a_phone_or_email_panic(text in ".*") {
            let _ = (email(&text), phone(&text, Some(country::Id::UA)), phone(&text, None));
        }
    }
}
