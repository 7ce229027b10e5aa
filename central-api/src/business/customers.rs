//! Which customer an order is of: kept as contacts come, change and go.
//!
//! Contacts that stand on one order are one customer's, transitively; a contact that too many people share, or that the site blocks,
//! joins nobody ([`crate::statistics::customers`] has the rules, and the plain union over all orders that this must equal). When
//! orders change, only the contacts on them can begin or cease to be shared. So the customers of those contacts are taken apart and
//! joined anew, with whatever their orders now also touch. A customer that merges keeps the smaller number.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::facts::{self, Changed};
use crate::orders::identity::{ContactHash, ContactKind};
use crate::statistics::customers::{OrderGroup, is_shared, join, unite};

/// What joining anew touched.
#[derive(Debug, Default)]
pub struct Touched {
    /// Customers that won, lost or changed an order; some may be gone.
    pub customers: BTreeSet<i64>,
    /// Days of the orders that changed, or changed hands.
    pub days: BTreeSet<NaiveDate>,
}

/// An order in what is joined.
struct Member {
    order_id: String,
    day: NaiveDate,
    customer_no: Option<i64>,
    contacts: Vec<ContactHash>,
}

/// What is stored of a contact: whose, or shared.
struct Known {
    customer_no: Option<i64>,
}

/// Joins the customers of the changed orders anew.
///
/// # Errors
/// The database's.
pub async fn rejoin(
    conn: &mut PgConnection,
    site_id: i32,
    blocked: &HashSet<ContactHash>,
    changed: &[Changed],
) -> sqlx::Result<Touched> {
    let mut touched = Touched::default();
    for order in changed {
        touched
            .days
            .extend([order.old_day, order.new_day].into_iter().flatten());
        touched.customers.extend(order.customer_no);
    }
    let contacts: BTreeMap<ContactHash, ContactKind> = changed
        .iter()
        .flat_map(Changed::contacts)
        .filter(|(_, hash)| !blocked.contains(hash))
        .map(|(kind, hash)| (hash, kind))
        .collect();
    let counts = count(conn, site_id, blocked, &contacts).await?;
    let shared: HashMap<ContactHash, (i64, i64)> = counts
        .iter()
        .filter(|(_, (orders, identities))| is_shared(*orders as usize, *identities as usize))
        .map(|(hash, counts)| (*hash, *counts))
        .collect();

    // Everything that the touched contacts and the customers they were of now hang together with.
    let mut known = known(conn, site_id, contacts.keys().copied()).await?;
    let mut kinds: HashMap<ContactHash, ContactKind> = contacts.iter().map(|(hash, kind)| (*hash, *kind)).collect();
    let mut customers: BTreeSet<i64> = touched.customers.clone();
    customers.extend(known.values().filter_map(|known| known.customer_no));
    let mut open_customers: Vec<i64> = customers.iter().copied().collect();
    let mut open_contacts: Vec<ContactHash> = contacts
        .keys()
        .copied()
        .filter(|hash| counts.contains_key(hash) && !shared.contains_key(hash))
        .collect();
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    let mut seen: HashSet<ContactHash> = open_contacts.iter().copied().collect();
    while !open_customers.is_empty() || !open_contacts.is_empty() {
        let mut met: BTreeMap<ContactHash, ContactKind> = BTreeMap::new();
        for row in orders_of(conn, site_id, &open_customers, &open_contacts).await? {
            let mut own = Vec::with_capacity(3);
            for (kind, hash) in row.contacts() {
                if !blocked.contains(&hash) && !shared.contains_key(&hash) {
                    met.insert(hash, kind);
                    own.push(hash);
                }
            }
            members.insert(
                row.order_id.clone(),
                Member {
                    order_id: row.order_id,
                    day: row.day,
                    customer_no: row.customer_no,
                    contacts: own,
                },
            );
        }
        (open_customers, open_contacts) = (Vec::new(), Vec::new());
        let unknown: Vec<ContactHash> = met.keys().copied().filter(|hash| !known.contains_key(hash)).collect();
        known.extend(self::known(conn, site_id, unknown.into_iter()).await?);
        for (hash, kind) in met {
            // Whether a contact is shared is only decided anew for contacts of changed orders; the others are as they are stored.
            let joins = counts.contains_key(&hash) || known.get(&hash).is_some_and(|known| known.customer_no.is_some());
            if joins && seen.insert(hash) {
                kinds.insert(hash, kind);
                open_contacts.push(hash);
                if let Some(number) = known.get(&hash).and_then(|known| known.customer_no)
                    && customers.insert(number)
                {
                    open_customers.push(number);
                }
            }
        }
    }
    for member in members.values_mut() {
        member.contacts.retain(|hash| seen.contains(hash));
    }

    let sets = unite(members.values().map(|member| &member.contacts[..]));
    let numbers = number(conn, &sets, |hash| known.get(hash).and_then(|known| known.customer_no)).await?;
    let of_contact: HashMap<ContactHash, i64> = sets
        .iter()
        .zip(&numbers)
        .flat_map(|(set, number)| set.iter().map(|hash| (*hash, *number)))
        .collect();

    let (mut orders, mut owners) = (Vec::new(), Vec::new());
    for member in members.values() {
        let owner = member.contacts.first().and_then(|hash| of_contact.get(hash)).copied();
        if owner != member.customer_no {
            touched.days.insert(member.day);
            touched.customers.extend(owner.into_iter().chain(member.customer_no));
            orders.push(member.order_id.clone());
            owners.push(owner);
        }
    }
    for order in changed {
        let member = members.get(&order.order_id);
        let owner = member.and_then(|member| of_contact.get(member.contacts.first()?));
        touched.customers.extend(owner);
    }
    sqlx::query!(
        "update order_facts f set customer_no = k.customer_no,
            purchase_no = case when k.customer_no is not null then f.purchase_no end,
            previous_day = case when k.customer_no is not null then f.previous_day end, same_minute = f.same_minute and k.customer_no is not null
        from unnest($2::text[], $3::bigint[]) as k(order_id, customer_no)
        where f.site_id = $1 and f.order_id = k.order_id",
        site_id,
        &orders,
        &owners as &[Option<i64>]
    )
    .execute(&mut *conn)
    .await?;

    let mut rows: Vec<ContactRow> = seen
        .iter()
        .chain(shared.keys())
        .filter_map(|hash| {
            let (orders, identities) = shared.get(hash).copied().unzip();
            Some(ContactRow {
                hash: *hash,
                kind: *kinds.get(hash)?,
                customer_no: of_contact.get(hash).copied(),
                orders,
                identities,
            })
        })
        .collect();
    let gone: Vec<Vec<u8>> = contacts
        .keys()
        .filter(|hash| !counts.contains_key(*hash))
        .map(|hash| hash.to_vec())
        .collect();
    write(conn, site_id, &mut rows).await?;
    sqlx::query!(
        "delete from customer_contacts where site_id = $1 and contact_hash = any($2)",
        site_id,
        &gone
    )
    .execute(&mut *conn)
    .await?;
    Ok(touched)
}

/// Joins all orders of the site that were set aside anew; the facts follow. Customers keep their numbers where they can.
///
/// # Errors
/// The database's.
pub async fn rebuild(conn: &mut PgConnection, site_id: i32, blocked: &HashSet<ContactHash>) -> sqlx::Result<()> {
    let groups: Vec<OrderGroup> = facts::contact_groups(&mut *conn)
        .await?
        .into_iter()
        .map(|row| OrderGroup {
            contacts: [&row.customer_hash, &row.email_hash, &row.phone_hash]
                .map(|hash| hash.as_deref().and_then(|hash| hash.try_into().ok())),
            orders: row.orders.unsigned_abs() as usize,
            counted: Vec::new(),
        })
        .collect();
    let known: HashMap<ContactHash, i64> = sqlx::query!(
        r#"select contact_hash, customer_no as "customer_no!" from customer_contacts where site_id = $1 and customer_no is not null"#,
        site_id
    )
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .filter_map(|row| Some((row.contact_hash.as_slice().try_into().ok()?, row.customer_no)))
    .collect();

    let joined = join(&groups, blocked);
    let shared: HashMap<ContactHash, usize> = joined
        .shared
        .iter()
        .enumerate()
        .map(|(place, contact)| (contact.hash, place))
        .collect();
    let mut sets: Vec<BTreeMap<ContactHash, ContactKind>> = vec![BTreeMap::new(); joined.count];
    for (group, customer) in groups.iter().zip(&joined.customer_of) {
        let Some(customer) = customer else { continue };
        for (kind, hash) in super::CONTACT_KINDS.into_iter().zip(group.contacts) {
            if let Some(hash) = hash.filter(|hash| !blocked.contains(hash) && !shared.contains_key(hash)) {
                sets[*customer].insert(hash, kind);
            }
        }
    }
    let contacts: Vec<Vec<ContactHash>> = sets.iter().map(|set| set.keys().copied().collect()).collect();
    let numbers = number(conn, &contacts, |hash| known.get(hash).copied()).await?;
    let mut rows: Vec<ContactRow> = sets
        .into_iter()
        .zip(numbers)
        .flat_map(|(set, number)| {
            set.into_iter().map(move |(hash, kind)| ContactRow {
                hash,
                kind,
                customer_no: Some(number),
                orders: None,
                identities: None,
            })
        })
        .chain(joined.shared.iter().map(|contact| ContactRow {
            hash: contact.hash,
            kind: contact.kind,
            customer_no: None,
            orders: Some(contact.orders as i64),
            identities: Some(contact.identities as i64),
        }))
        .collect();
    sqlx::query!("delete from customer_contacts where site_id = $1", site_id)
        .execute(&mut *conn)
        .await?;
    write(conn, site_id, &mut rows).await
}

/// A number for each set of contacts: the smallest that one of its contacts had and that no larger set has taken; else a new one.
async fn number(
    conn: &mut PgConnection,
    sets: &[Vec<ContactHash>],
    known: impl Fn(&ContactHash) -> Option<i64>,
) -> sqlx::Result<Vec<i64>> {
    let mut order: Vec<usize> = (0..sets.len()).collect();
    // Stable: of two as large, the one with the smaller contact chooses first.
    order.sort_by_key(|place| std::cmp::Reverse(sets[*place].len()));
    let mut numbers: Vec<Option<i64>> = vec![None; sets.len()];
    let mut taken = HashSet::new();
    for place in order {
        let held: BTreeSet<i64> = sets[place].iter().filter_map(&known).collect();
        numbers[place] = held.into_iter().find(|number| taken.insert(*number));
    }
    let missing = numbers.iter().filter(|number| number.is_none()).count();
    let mut fresh = sqlx::query_scalar!(
        r#"select nextval('customer_numbers') as "number!" from generate_series(1, $1::bigint)"#,
        missing as i64
    )
    .fetch_all(conn)
    .await?
    .into_iter();
    Ok(numbers
        .into_iter()
        .filter_map(|number| number.or_else(|| fresh.next()))
        .collect())
}

/// Orders that carry each contact, and the most different values of another kind seen with it; none for one that no order carries.
async fn count(
    conn: &mut PgConnection,
    site_id: i32,
    blocked: &HashSet<ContactHash>,
    contacts: &BTreeMap<ContactHash, ContactKind>,
) -> sqlx::Result<HashMap<ContactHash, (i64, i64)>> {
    let of = |kind: ContactKind| -> Vec<Vec<u8>> {
        let own = contacts.iter().filter(|(_, own)| **own == kind);
        own.map(|(hash, _)| hash.to_vec()).collect()
    };
    let blocked: Vec<Vec<u8>> = blocked.iter().map(|hash| hash.to_vec()).collect();
    let rows = sqlx::query!(
        r#"select k.hash as "hash!", count(*) as "orders!", greatest(count(distinct f.email_hash) filter (where f.email_hash <> all($5)),
                count(distinct f.phone_hash) filter (where f.phone_hash <> all($5))) as "identities!"
            from unnest($2::bytea[]) as k(hash) join order_facts f on f.site_id = $1 and f.customer_hash = k.hash group by 1
        union all
        select k.hash, count(*), greatest(count(distinct f.customer_hash) filter (where f.customer_hash <> all($5)),
                count(distinct f.phone_hash) filter (where f.phone_hash <> all($5)))
            from unnest($3::bytea[]) as k(hash) join order_facts f on f.site_id = $1 and f.email_hash = k.hash group by 1
        union all
        select k.hash, count(*), greatest(count(distinct f.customer_hash) filter (where f.customer_hash <> all($5)),
                count(distinct f.email_hash) filter (where f.email_hash <> all($5)))
            from unnest($4::bytea[]) as k(hash) join order_facts f on f.site_id = $1 and f.phone_hash = k.hash group by 1"#,
        site_id,
        &of(ContactKind::Customer),
        &of(ContactKind::Email),
        &of(ContactKind::Phone),
        &blocked
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.hash.as_slice().try_into().ok()?, (row.orders, row.identities))))
        .collect())
}

async fn known(
    conn: &mut PgConnection,
    site_id: i32,
    contacts: impl Iterator<Item = ContactHash>,
) -> sqlx::Result<HashMap<ContactHash, Known>> {
    let contacts: Vec<Vec<u8>> = contacts.map(|hash| hash.to_vec()).collect();
    if contacts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        "select contact_hash, customer_no from customer_contacts where site_id = $1 and contact_hash = any($2)",
        site_id,
        &contacts
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let customer_no = row.customer_no;
            Some((row.contact_hash.as_slice().try_into().ok()?, Known { customer_no }))
        })
        .collect())
}

struct OrderOf {
    order_id: String,
    day: NaiveDate,
    customer_no: Option<i64>,
    customer_hash: Option<Vec<u8>>,
    email_hash: Option<Vec<u8>>,
    phone_hash: Option<Vec<u8>>,
}

impl OrderOf {
    fn contacts(&self) -> impl Iterator<Item = (ContactKind, ContactHash)> {
        super::CONTACT_KINDS
            .into_iter()
            .zip([&self.customer_hash, &self.email_hash, &self.phone_hash])
            .filter_map(|(kind, hash)| Some((kind, hash.as_deref()?.try_into().ok()?)))
    }
}

/// Orders of these customers, and those that carry these contacts.
async fn orders_of(
    conn: &mut PgConnection,
    site_id: i32,
    customers: &[i64],
    contacts: &[ContactHash],
) -> sqlx::Result<Vec<OrderOf>> {
    let contacts: Vec<Vec<u8>> = contacts.iter().map(|hash| hash.to_vec()).collect();
    // A hash is of one kind, so looking it up under each finds it under its own alone.
    sqlx::query_as!(
        OrderOf,
        r#"select order_id as "order_id!", day as "day!", customer_no, customer_hash, email_hash, phone_hash
            from order_facts where site_id = $1 and customer_no = any($2)
        union select order_id, day, customer_no, customer_hash, email_hash, phone_hash
            from order_facts where site_id = $1 and customer_hash = any($3)
        union select order_id, day, customer_no, customer_hash, email_hash, phone_hash
            from order_facts where site_id = $1 and email_hash = any($3)
        union select order_id, day, customer_no, customer_hash, email_hash, phone_hash
            from order_facts where site_id = $1 and phone_hash = any($3)"#,
        site_id,
        customers,
        &contacts
    )
    .fetch_all(conn)
    .await
}

struct ContactRow {
    hash: ContactHash,
    kind: ContactKind,
    customer_no: Option<i64>,
    orders: Option<i64>,
    identities: Option<i64>,
}

async fn write(conn: &mut PgConnection, site_id: i32, rows: &mut [ContactRow]) -> sqlx::Result<()> {
    rows.sort_unstable_by_key(|row| row.hash);
    for rows in rows.chunks(50_000) {
        let hashes: Vec<Vec<u8>> = rows.iter().map(|row| row.hash.to_vec()).collect();
        let kinds: Vec<&str> = rows.iter().map(|row| row.kind.name()).collect();
        let numbers: Vec<Option<i64>> = rows.iter().map(|row| row.customer_no).collect();
        let orders: Vec<Option<i64>> = rows.iter().map(|row| row.orders).collect();
        let identities: Vec<Option<i64>> = rows.iter().map(|row| row.identities).collect();
        sqlx::query!(
            "insert into customer_contacts as c (site_id, contact_hash, kind, customer_no, orders, identities)
            select $1, * from unnest($2::bytea[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
            on conflict (site_id, contact_hash) do update
                set customer_no = excluded.customer_no, orders = excluded.orders, identities = excluded.identities
                where (c.customer_no, c.orders, c.identities) is distinct from (excluded.customer_no, excluded.orders, excluded.identities)",
            site_id,
            &hashes,
            &kinds as &[&str],
            &numbers as &[Option<i64>],
            &orders as &[Option<i64>],
            &identities as &[Option<i64>]
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
