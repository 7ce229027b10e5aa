//! From what a person says of themselves to rows.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::dead_letters::{self, Wanted};
use crate::db::privacy::{self, OrderOf};
use crate::error::ApiError;
use crate::orders::identity::{ContactKind, Identifier, customer_id, email, phone};
use crate::secret::Secret;
use crate::site::Site;
use crate::statistics::customers::{OrderGroup, SharedContact, is_of_many, join};

/// Dead letters looked through at a time.
const PAGE: i64 = 500;

/// Whose data is meant: a visitor, or a customer by at least one contact.
#[derive(Debug, Clone, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Who {
    /// Key of the site; need not be given when there is only one.
    pub site: Option<String>,
    /// The visitor's id, as `X-UD-Visitor` says.
    pub visitor_id: Option<Uuid>,
    /// The shop's id of the customer.
    pub customer_id: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number; without country code the site's country's.
    pub phone: Option<String>,
}

/// A visitor or customer, in what the tables know them by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// A customer: orders lose their contacts too.
    pub is_customer: bool,
    /// Hashes of the contacts.
    pub contacts: BTreeSet<Vec<u8>>,
    /// Browsers.
    pub visitors: BTreeSet<Uuid>,
    /// Orders.
    pub orders: BTreeSet<String>,
    /// Sessions of the browsers.
    pub sessions: BTreeSet<Uuid>,
    /// Refused events and orders that name any of it.
    pub dead_letters: Vec<i64>,
}

/// How much is kept of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Found {
    /// Browsers.
    pub visitors: i64,
    /// Of them, those that were seen with contacts of other customers too: a family's tablet, a call centre.
    pub shared_visitors: i64,
    /// Sessions of the browsers.
    pub sessions: i64,
    /// Their events.
    pub events: i64,
    /// Orders: all of a customer's; of a visitor those that are linked to them.
    pub orders: i64,
    /// Refused events and orders that name the person.
    pub dead_letters: i64,
}

impl Who {
    /// Hashes of what is given, normalised.
    fn contacts(&self, identifier: &Identifier, site: &Site) -> Result<BTreeSet<Vec<u8>>, ApiError> {
        let mut hashes = BTreeSet::new();
        if let Some(id) = &self.customer_id {
            let id = customer_id(id)
                .ok_or_else(|| ApiError::invalid("customer_id", "must be the shop's id of a customer"))?;
            hashes.insert(identifier.hash(ContactKind::Customer, id));
        }
        if let Some(text) = &self.email {
            let text = email(text).ok_or_else(|| ApiError::invalid("email", "must be an e-mail address"))?;
            hashes.insert(identifier.hash(ContactKind::Email, &text));
        }
        if let Some(text) = &self.phone {
            let text = phone(text, site.country.parse().ok())
                .ok_or_else(|| ApiError::invalid("phone", "must be a valid phone number"))?;
            hashes.insert(identifier.hash(ContactKind::Phone, &text));
        }
        if hashes.iter().any(|hash| identifier.blocked().contains(hash)) {
            return Err(ApiError::Conflict(
                "this contact is on the site's block list: it stands for many people; name the person otherwise".into(),
            ));
        }
        Ok(hashes.into_iter().map(|hash| hash.to_vec()).collect())
    }
}

impl Subject {
    /// Looks up everything that belongs to somebody.
    ///
    /// # Errors
    /// 400 when nothing or nonsense is given, 409 for a contact of many people, or the database's.
    pub async fn of(conn: &mut PgConnection, secret: &Secret, site: &Site, who: &Who) -> Result<Self, ApiError> {
        let identifier = Identifier::new(secret, site);
        let mut subject = Self {
            contacts: who.contacts(&identifier, site)?,
            visitors: who.visitor_id.into_iter().collect(),
            ..Self::default()
        };
        subject.is_customer = !subject.contacts.is_empty();
        if subject.is_customer == who.visitor_id.is_some() {
            return Err(ApiError::invalid(
                "visitor_id",
                "say who is meant: either visitor_id, or any of customer_id, email, phone",
            ));
        }
        if subject.is_customer {
            subject.gather_customer(conn, site.id, &identifier).await?;
        } else {
            let visitors: Vec<Uuid> = subject.visitors.iter().copied().collect();
            let orders = privacy::orders(&mut *conn, site.id, &visitors, &[]).await?;
            subject.orders.extend(orders.into_iter().map(|order| order.order_id));
        }
        let visitors: Vec<Uuid> = subject.visitors.iter().copied().collect();
        subject.sessions = privacy::sessions(&mut *conn, site.id, &visitors)
            .await?
            .into_iter()
            .collect();
        Ok(subject)
    }

    /// Orders by contact, contacts by order, until there is nothing new; then the browsers of both. A contact that too many people share
    /// leads nowhere, as it joins no customers: whoever once gave a call centre's phone is not everybody who did.
    async fn gather_customer(
        &mut self,
        conn: &mut PgConnection,
        site_id: i32,
        identifier: &Identifier,
    ) -> Result<(), ApiError> {
        let given = self.contacts.clone();
        let mut not_theirs: BTreeSet<Vec<u8>> = identifier.blocked().iter().map(|hash| hash.to_vec()).collect();
        loop {
            let asked: Vec<Vec<u8>> = self.contacts.iter().cloned().collect();
            let orders = privacy::orders(&mut *conn, site_id, &[], &asked).await?;
            // All orders of the contacts that were asked for are here, so that for these the rule has what it needs.
            for contact in shared(&orders, identifier) {
                let hash = contact.hash.to_vec();
                if !self.contacts.contains(&hash) {
                    continue;
                }
                if !given.contains(&hash) {
                    self.contacts.remove(&hash);
                    not_theirs.insert(hash);
                } else if is_of_many(contact.orders, contact.identities) {
                    return Err(ApiError::Conflict(
                        "this contact stands on orders of many people; name the person otherwise".into(),
                    ));
                }
            }
            let theirs: Vec<&OrderOf> = orders
                .iter()
                .filter(|order| order.contacts().any(|hash| self.contacts.contains(hash)))
                .collect();
            let met = theirs.iter().flat_map(|order| order.contacts());
            self.contacts
                .extend(met.filter(|hash| !not_theirs.contains(*hash)).cloned());
            if self.contacts.iter().eq(&asked) {
                for order in theirs {
                    // By a shared contact it found a stranger.
                    if order.linked_by().is_none_or(|hash| !not_theirs.contains(hash)) {
                        self.visitors.extend(order.visitor_id);
                    }
                    self.visitors.extend(order.named_visitor_id);
                    self.orders.insert(order.order_id.clone());
                }
                self.visitors
                    .extend(privacy::visitors(&mut *conn, site_id, &asked).await?);
                return Ok(());
            }
        }
    }

    /// Looks through the site's dead letters for what names the person.
    ///
    /// # Errors
    /// The database's.
    pub async fn gather_dead_letters(
        &mut self,
        conn: &mut PgConnection,
        secret: &Secret,
        site: &Site,
        who: &Who,
    ) -> sqlx::Result<()> {
        let reader = Reader::new(self, Identifier::new(secret, site), site, who);
        let mut after = 0;
        loop {
            let wanted = Wanted {
                site_id: Some(site.id),
                code: None,
                settled: true,
                after,
            };
            let letters = dead_letters::list(&mut *conn, &wanted, PAGE).await?;
            let Some(last) = letters.last() else { return Ok(()) };
            after = last.id;
            let named = letters.iter().filter(|letter| reader.names(&letter.payload));
            self.dead_letters.extend(named.map(|letter| letter.id));
        }
    }
}

/// How much is kept of somebody.
///
/// # Errors
/// As [`Subject::of`].
pub async fn find(pool: &PgPool, secret: &Secret, site: &Site, who: &Who) -> Result<Found, ApiError> {
    let mut conn = pool.acquire().await?;
    let mut subject = Subject::of(&mut conn, secret, site, who).await?;
    subject.gather_dead_letters(&mut conn, secret, site, who).await?;
    let visitors: Vec<Uuid> = subject.visitors.iter().copied().collect();
    let contacts: Vec<Vec<u8>> = subject.contacts.iter().cloned().collect();
    Ok(Found {
        visitors: subject.visitors.len() as i64,
        shared_visitors: match subject.is_customer {
            true => privacy::count_shared(&mut *conn, site.id, &visitors, &contacts).await?,
            false => 0,
        },
        sessions: subject.sessions.len() as i64,
        events: privacy::count_events(&mut *conn, site.id, &visitors).await?,
        orders: subject.orders.len() as i64,
        dead_letters: subject.dead_letters.len() as i64,
    })
}

/// Contacts on these orders that are not one person's, as far as these orders tell.
fn shared(orders: &[OrderOf], identifier: &Identifier) -> impl Iterator<Item = SharedContact> {
    let groups: Vec<OrderGroup> = orders
        .iter()
        .map(|order| OrderGroup {
            contacts: [&order.customer_hash, &order.email_hash, &order.phone_hash]
                .map(|hash| hash.as_deref().and_then(|hash| hash.try_into().ok())),
            orders: 1,
            counted: Vec::new(),
        })
        .collect();
    join(&groups, identifier.blocked()).shared.into_iter()
}

/// Tells whether what was refused names a person.
struct Reader {
    texts: Vec<String>,
    contacts: HashSet<Vec<u8>>,
    identifier: Identifier,
    country: Option<phonenumber::country::Id>,
}

impl Reader {
    fn new(subject: &Subject, identifier: Identifier, site: &Site, who: &Who) -> Self {
        let ids = subject.visitors.iter().chain(&subject.sessions).map(Uuid::to_string);
        let given = [&who.email, &who.phone]
            .into_iter()
            .flatten()
            .map(|text| text.trim().to_lowercase());
        Self {
            texts: ids.chain(given).collect(),
            contacts: subject.contacts.iter().cloned().collect(),
            identifier,
            country: site.country.parse().ok(),
        }
    }

    fn names(&self, payload: &[u8]) -> bool {
        self.names_plainly(&String::from_utf8_lossy(payload))
            || serde_json::from_slice(payload).is_ok_and(|json| self.names_in(&json))
    }

    fn names_plainly(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.texts.iter().any(|named| stands_in(&text, named))
    }

    fn names_in(&self, json: &Value) -> bool {
        match json {
            // As it reads without the escapes of JSON.
            Value::String(text) => self.names_plainly(text),
            Value::Object(fields) => fields.iter().any(|(name, value)| {
                let text = match value {
                    Value::String(text) => Some(text.clone()),
                    Value::Number(number) => Some(number.to_string()),
                    _ => None,
                };
                let hash = text.and_then(|text| match name.as_str() {
                    "customer_id" => Some(self.identifier.hash(ContactKind::Customer, customer_id(&text)?)),
                    "email" => Some(self.identifier.hash(ContactKind::Email, &email(&text)?)),
                    "phone" => Some(self.identifier.hash(ContactKind::Phone, &phone(&text, self.country)?)),
                    _ => None,
                });
                hash.is_some_and(|hash| self.contacts.contains(hash.as_slice())) || self.names_in(value)
            }),
            Value::Array(items) => items.iter().any(|item| self.names_in(item)),
            _ => false,
        }
    }
}

/// Whether a text names this id, phone or address, both in lower case. An address that only ends or begins like this one is somebody else's;
/// before a phone its country code may stand, and an id has one length.
fn stands_in(text: &str, named: &str) -> bool {
    let is_address = named.contains('@');
    text.match_indices(named).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + named.len()..]);
        !is_address || (!address_goes_on_before(before) && !address_goes_on_after(after))
    })
}

/// Whether the text ends within an address, and not with an escape of JSON or of a URL.
fn address_goes_on_before(text: &str) -> bool {
    let escaped = [r"\n", r"\r", r"\t"].iter().any(|escape| text.ends_with(escape))
        || text.len() >= 3
            && text.is_char_boundary(text.len() - 3)
            && text[text.len() - 3..]
                .strip_prefix('%')
                .is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
    !escaped && text.ends_with(|last: char| last.is_alphanumeric() || matches!(last, '.' | '_' | '-' | '+'))
}

/// Whether the text begins within an address: a full stop ends a sentence unless more of a host follows.
fn address_goes_on_after(text: &str) -> bool {
    let mut rest = text.chars();
    match rest.next() {
        Some('.') => rest.next().is_some_and(char::is_alphanumeric),
        Some(next) => next.is_alphanumeric() || matches!(next, '-' | '_'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_in_a_text_when_no_longer_one_does() {
        let named = "anna@shop.ua";
        for (text, stands) in [
            ("anna@shop.ua", true),
            (r#"{"email":"anna@shop.ua"}"#, true),
            (r"to:\nanna@shop.ua\n", true),
            ("?to=%20anna@shop.ua&x", true),
            ("write to anna@shop.ua. thanks", true),
            ("joanna@shop.ua anna@shop.ua", true),
            ("joanna@shop.ua", false),
            ("жанна@shop.ua жanna@shop.ua", false),
            ("j.anna@shop.ua", false),
            ("anna@shop.uatest", false),
            ("anna@shop.ua.com", false),
            ("anna@shop", false),
        ] {
            assert_eq!(stands_in(text, named), stands, "{text}");
        }
        assert!(stands_in(r#"{"phone": "+380671234567"}"#, "0671234567"));
    }
}
