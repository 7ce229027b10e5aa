//! Which session an order belongs to.
//!
//! The session that the shop names; else the latest session, at or before the order and within the look-back, of the visitor that it
//! names; else of the visitors that its customer id, its e-mail, its phone were seen with, in this order. A contact that too many people
//! share ([`crate::statistics::customers`]) finds nothing: whoever had it last is a stranger. Events travel through a
//! queue and orders do not, so an order can be here before its session: it is looked at again, after seconds at first and every hour
//! later, until no event can still arrive ([`next_check`]). The same look also takes over what changed on the session since.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use shared::limits::MAX_EVENT_AGE_MS;
use sqlx::PgConnection;
use uuid::Uuid;

use super::identity::{ContactHash, ContactKind, Contacts, Sight, remember};
use crate::db::orders::{self, OrderRow, SessionTouch};
use crate::db::{customer_contacts, visitor_contacts};
use crate::site::Site;

/// How an order found its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMethod {
    /// The shop named it.
    Session,
    /// By the visitor that the shop named.
    Visitor,
    /// By the customer id.
    Customer,
    /// By the e-mail.
    Email,
    /// By the phone.
    Phone,
}

impl LinkMethod {
    /// The name in the database and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Visitor => "visitor",
            Self::Customer => "customer",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// The kind of contact by which a link of this name was found, if by one.
    pub fn contact(name: &str) -> Option<ContactKind> {
        [ContactKind::Customer, ContactKind::Email, ContactKind::Phone]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// Why an order has no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnlinkedCause {
    /// The order brought nothing to find a session by.
    NoIdentifiers,
    /// It brought only contacts that the site blocks.
    BlockedContact,
    /// It brought only contacts that too many people share.
    SharedContact,
    /// The session that it names is not here (yet, or its visitor refused consent).
    UnknownSession,
    /// Its contacts were never seen with a visitor.
    UnknownContact,
    /// The visitor is known or named, but has no session at or before the order within the look-back.
    NoSessionInLookBack,
}

impl UnlinkedCause {
    /// Every cause.
    pub const ALL: [Self; 6] = [
        Self::NoIdentifiers,
        Self::BlockedContact,
        Self::SharedContact,
        Self::UnknownSession,
        Self::UnknownContact,
        Self::NoSessionInLookBack,
    ];

    /// The name in the database and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoIdentifiers => "no_identifiers",
            Self::BlockedContact => "blocked_contact",
            Self::SharedContact => "shared_contact",
            Self::UnknownSession => "unknown_session",
            Self::UnknownContact => "unknown_contact",
            Self::NoSessionInLookBack => "no_session_in_look_back",
        }
    }
}

/// When an order that arrived at `received_at` is looked at again: after a quarter of its age, at least 3 s and at most 1 h, until an
/// hour after the last event that can still arrive; `None` then, and for an order with nothing to find a session by.
pub fn next_check(row: &OrderRow, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let age = now - row.received_at;
    let until = Duration::milliseconds(MAX_EVENT_AGE_MS) + Duration::hours(1);
    (has_identifiers(row) && age < until).then(|| now + (age / 4).clamp(Duration::seconds(3), Duration::hours(1)))
}

fn has_identifiers(row: &OrderRow) -> bool {
    row.named_session_id.is_some() || row.named_visitor_id.is_some() || hashes(row).next().is_some()
}

fn hashes(row: &OrderRow) -> impl Iterator<Item = (LinkMethod, &Vec<u8>)> {
    [
        (LinkMethod::Customer, &row.customer_hash),
        (LinkMethod::Email, &row.email_hash),
        (LinkMethod::Phone, &row.phone_hash),
    ]
    .into_iter()
    .filter_map(|(method, hash)| Some((method, hash.as_ref()?)))
}

/// Links each row by what it names, and copies the session's dimensions onto it. A row that was blocked says so in `unlinked_cause`
/// beforehand. What directly linked orders tell about contacts is remembered first, so that others of the batch can use it.
///
/// # Errors
/// The database's.
pub async fn link(conn: &mut PgConnection, site: &Site, rows: &mut [&mut OrderRow]) -> sqlx::Result<()> {
    let look_back = Duration::days(i64::from(site.settings.look_back_days));
    let told = sorted(
        rows.iter()
            .flat_map(|row| row.named_session_id.into_iter().chain(row.session_id)),
    );
    let mut by_id: HashMap<Uuid, Vec<SessionTouch>> = HashMap::new();
    if !told.is_empty() {
        for session in orders::sessions_by_id(conn, site.id, &told).await? {
            by_id.entry(session.session_id).or_default().push(session);
        }
    }
    let window = |rows: &[&mut OrderRow]| {
        let placed = || rows.iter().map(|row| row.created_at);
        Some((placed().min()? - look_back, placed().max()?))
    };
    let Some((from, to)) = window(rows) else { return Ok(()) };

    // What the shop names.
    let visitors = sorted(rows.iter().filter_map(|row| row.named_visitor_id));
    let mut of_visitor = sessions_of(conn, site.id, &visitors, from, to).await?;
    let mut found: Vec<Option<(LinkMethod, SessionTouch)>> = rows
        .iter()
        .map(|row| {
            let session = row
                .named_session_id
                .and_then(|id| by_id.get(&id))
                .into_iter()
                .flatten()
                // One id with two visitors is nobody's honest session; the choice is at least always the same.
                .min_by_key(|session| (Some(session.visitor_id) != row.named_visitor_id, session.visitor_id))
                .map(|session| (LinkMethod::Session, session.clone()));
            session.or_else(|| {
                latest(&of_visitor, row.named_visitor_id, row.created_at, look_back)
                    .map(|s| (LinkMethod::Visitor, s.clone()))
            })
        })
        .collect();

    // What that tells about contacts, then those contacts for the others; what too many people share tells nothing.
    let carried = sorted(rows.iter().flat_map(|row| hashes(row).map(|(_, hash)| hash.clone())));
    let shared = customer_contacts::shared(conn, site.id, &carried).await?;
    let seen: Vec<Sight> = rows
        .iter()
        .zip(&found)
        .filter_map(|(row, link)| {
            let contacts = Contacts {
                customer: fixed(&row.customer_hash),
                email: fixed(&row.email_hash),
                phone: fixed(&row.phone_hash),
                ..Contacts::default()
            };
            let visitor = link.as_ref()?.1.visitor_id;
            Some(
                contacts
                    .hashes()
                    .filter(|(_, hash)| !shared.contains(&hash[..]))
                    .map(|(kind, hash)| (hash, visitor, kind, row.created_at))
                    .collect::<Vec<_>>(),
            )
        })
        .flatten()
        .collect();
    remember(conn, site.id, seen).await?;
    let open = || {
        rows.iter()
            .zip(&found)
            .filter(|(_, link)| link.is_none())
            .map(|(row, _)| row)
    };
    let wanted = sorted(
        open()
            .flat_map(|row| hashes(row).map(|(_, hash)| hash.clone()))
            .filter(|hash| !shared.contains(hash)),
    );
    let mut of_contact: HashMap<Vec<u8>, Vec<Uuid>> = HashMap::new();
    if !wanted.is_empty() {
        for (hash, visitor) in visitor_contacts::visitors(conn, site.id, &wanted).await? {
            of_contact.entry(hash).or_default().push(visitor);
        }
        let more = sorted(
            of_contact
                .values()
                .flatten()
                .copied()
                .filter(|visitor| !of_visitor.contains_key(visitor)),
        );
        of_visitor.extend(sessions_of(conn, site.id, &more, from, to).await?);
    }
    for (row, link) in rows.iter_mut().zip(&mut found) {
        if link.is_none() {
            *link = hashes(row).find_map(|(method, hash)| {
                let visitors = of_contact.get(hash)?.iter();
                visitors
                    .filter_map(|visitor| latest(&of_visitor, Some(*visitor), row.created_at, look_back))
                    .max_by_key(|session| (session.first_seen, session.session_id))
                    .map(|session| (method, session.clone()))
            });
        }
        // A session that the order was linked to and that is here no more was too old to be kept. That it brought the order stays true:
        // a refund of later does not take its money from the source. (An erasure takes the link off the order itself.)
        let outlived = row.session_id.is_some_and(|id| !by_id.contains_key(&id));
        match link.take() {
            Some((LinkMethod::Session, session)) => set_session(row, LinkMethod::Session, session),
            _ if outlived => {}
            Some((method, session)) => set_session(row, method, session),
            None => {
                let cause = cause(row, &of_contact, &shared);
                clear_session(row, cause);
            }
        }
    }
    Ok(())
}

async fn sessions_of(
    conn: &mut PgConnection,
    site_id: i32,
    visitors: &[Uuid],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<HashMap<Uuid, Vec<SessionTouch>>> {
    let mut map: HashMap<Uuid, Vec<SessionTouch>> = HashMap::new();
    if !visitors.is_empty() {
        for session in orders::sessions_of_visitors(conn, site_id, visitors, from, to).await? {
            map.entry(session.visitor_id).or_default().push(session);
        }
    }
    Ok(map)
}

/// The visitor's latest session that began at or before `placed` and was alive within the look-back.
fn latest(
    sessions: &HashMap<Uuid, Vec<SessionTouch>>,
    visitor: Option<Uuid>,
    placed: DateTime<Utc>,
    look_back: Duration,
) -> Option<&SessionTouch> {
    sessions
        .get(&visitor?)?
        .iter()
        .filter(|session| session.first_seen <= placed && session.last_seen >= placed - look_back)
        .max_by_key(|session| (session.first_seen, session.session_id))
}

fn cause(row: &OrderRow, of_contact: &HashMap<Vec<u8>, Vec<Uuid>>, shared: &HashSet<Vec<u8>>) -> UnlinkedCause {
    if !has_identifiers(row) {
        if row.unlinked_cause.as_deref() == Some(UnlinkedCause::BlockedContact.name()) {
            UnlinkedCause::BlockedContact
        } else {
            UnlinkedCause::NoIdentifiers
        }
    } else if row.named_session_id.is_some() {
        UnlinkedCause::UnknownSession
    } else if row.named_visitor_id.is_some() || hashes(row).any(|(_, hash)| of_contact.contains_key(hash)) {
        UnlinkedCause::NoSessionInLookBack
    } else if hashes(row).all(|(_, hash)| shared.contains(hash)) {
        UnlinkedCause::SharedContact
    } else {
        UnlinkedCause::UnknownContact
    }
}

fn set_session(row: &mut OrderRow, method: LinkMethod, session: SessionTouch) {
    row.visitor_id = Some(session.visitor_id);
    row.session_id = Some(session.session_id);
    row.link_method = Some(method.name().into());
    row.unlinked_cause = None;
    row.session_first_seen = Some(session.first_seen);
    row.bot_reason = session.bot_reason;
    row.utm_source = session.utm_source;
    row.utm_medium = session.utm_medium;
    row.utm_campaign = session.utm_campaign;
    row.utm_content = session.utm_content;
    row.utm_term = session.utm_term;
    row.channel = session.channel;
    row.country = session.country;
    row.city = session.city;
    row.device_type = session.device_type;
    row.browser_name = session.browser_name;
    row.os_name = session.os_name;
    row.landing_path = session.landing_path;
}

fn clear_session(row: &mut OrderRow, cause: UnlinkedCause) {
    row.visitor_id = row.named_visitor_id;
    row.session_id = None;
    row.link_method = None;
    row.unlinked_cause = Some(cause.name().into());
    row.session_first_seen = None;
    row.bot_reason = None;
    for column in [
        &mut row.utm_source,
        &mut row.utm_medium,
        &mut row.utm_campaign,
        &mut row.utm_content,
        &mut row.utm_term,
        &mut row.channel,
        &mut row.country,
        &mut row.city,
        &mut row.device_type,
        &mut row.browser_name,
        &mut row.os_name,
        &mut row.landing_path,
    ] {
        *column = None;
    }
}

fn fixed(hash: &Option<Vec<u8>>) -> Option<ContactHash> {
    hash.as_deref()?.try_into().ok()
}

fn sorted<T: Ord + std::hash::Hash>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect::<HashSet<T>>().into_iter().collect();
    values.sort_unstable();
    values
}
