//! Customers: which orders are the same person's. Orders that share the shop's customer id, an e-mail or a phone are joined,
//! transitively; contacts that too many people share join nobody and are reported. Pure; hashes and times come from the database.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::orders::identity::{ContactHash, ContactKind};

/// A contact with more different other identities of one kind than this is not one person's …
pub const SHARED_IDENTITIES: usize = 5;
/// … if there is at least one for every so many of its orders (someone loyal who mistypes now and then is not a call centre).
pub const SHARED_ORDERS_PER_IDENTITY: usize = 3;
/// A contact on more orders than this is not one person's, whatever else stands on them.
pub const SHARED_ORDERS: usize = 200;

const KINDS: [ContactKind; 3] = [ContactKind::Customer, ContactKind::Email, ContactKind::Phone];

/// Orders that carry exactly the same contacts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderGroup {
    /// Customer id, e-mail, phone.
    pub contacts: [Option<ContactHash>; 3],
    /// How many orders, of any status and date.
    pub orders: usize,
    /// When the orders that count were placed: paid, and in the part of the data that was asked for.
    pub counted: Vec<DateTime<Utc>>,
}

/// A contact that joined nobody because too many people share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedContact {
    /// What it is.
    pub kind: ContactKind,
    /// Its keyed hash.
    pub hash: ContactHash,
    /// Orders that carry it.
    pub orders: usize,
    /// The most different values of another kind that were seen with it.
    pub identities: usize,
}

/// Which groups are whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customers {
    /// For each group the number of its customer, or none without a contact that may join. Numbers count up from 0 in the groups' order.
    pub customer_of: Vec<Option<usize>>,
    /// How many customers there are.
    pub count: usize,
    /// Contacts left out, most orders first.
    pub shared: Vec<SharedContact>,
}

/// Joins groups of orders into customers. Contacts in `blocked` are looked over.
pub fn join(groups: &[OrderGroup], blocked: &HashSet<ContactHash>) -> Customers {
    // Each contact gets a number; a contact's hash includes its kind, but the kind is needed for the report.
    let mut numbers: HashMap<(ContactKind, ContactHash), usize> = HashMap::with_capacity(groups.len());
    let mut contacts: Vec<(ContactKind, ContactHash, usize)> = Vec::with_capacity(groups.len());
    let numbered: Vec<[Option<usize>; 3]> = groups
        .iter()
        .map(|group| {
            let mut own = [None; 3];
            for ((slot, kind), hash) in own.iter_mut().zip(KINDS).zip(group.contacts) {
                let Some(hash) = hash.filter(|hash| !blocked.contains(hash)) else {
                    continue;
                };
                let number = *numbers.entry((kind, hash)).or_insert_with(|| {
                    contacts.push((kind, hash, 0));
                    contacts.len() - 1
                });
                contacts[number].2 += group.orders;
                *slot = Some(number);
            }
            own
        })
        .collect();
    let shared = shared(&numbered, &contacts);
    let left_out: HashSet<usize> = shared.iter().map(|(number, _)| *number).collect();

    let mut union = UnionFind::new(contacts.len());
    let joining = |own: &[Option<usize>; 3]| {
        own.iter()
            .flatten()
            .copied()
            .filter(|n| !left_out.contains(n))
            .collect::<Vec<_>>()
    };
    for own in &numbered {
        for pair in joining(own).windows(2) {
            union.join(pair[0], pair[1]);
        }
    }
    let mut customers: HashMap<usize, usize> = HashMap::new();
    let customer_of = numbered
        .iter()
        .map(|own| {
            let root = union.root(*joining(own).first()?);
            let next = customers.len();
            Some(*customers.entry(root).or_insert(next))
        })
        .collect();
    let mut shared: Vec<SharedContact> = shared.into_iter().map(|(_, contact)| contact).collect();
    shared.sort_by(|a, b| {
        b.orders
            .cmp(&a.orders)
            .then(a.hash.cmp(&b.hash))
            .then(a.kind.cmp(&b.kind))
    });
    Customers {
        customer_of,
        count: customers.len(),
        shared,
    }
}

/// Whether a contact on so many orders, seen with so many different values of another kind, is not one person's.
pub fn is_shared(orders: usize, identities: usize) -> bool {
    is_of_many(orders, identities) || orders > SHARED_ORDERS
}

/// Whether what else was seen with a contact on so many orders says that it is many people's.
pub fn is_of_many(orders: usize, identities: usize) -> bool {
    identities > SHARED_IDENTITIES && identities * SHARED_ORDERS_PER_IDENTITY >= orders
}

/// Joins contacts that stand together, transitively. Answers the sets of contacts, each sorted, the sets by their first contact.
pub fn unite<'a>(together: impl IntoIterator<Item = &'a [ContactHash]>) -> Vec<Vec<ContactHash>> {
    let mut numbers: HashMap<ContactHash, usize> = HashMap::new();
    let mut union = UnionFind::new(0);
    for contacts in together {
        let mut first = None;
        for contact in contacts {
            let number = *numbers.entry(*contact).or_insert_with(|| union.add());
            union.join(*first.get_or_insert(number), number);
        }
    }
    let mut sets: HashMap<usize, Vec<ContactHash>> = HashMap::new();
    for (contact, number) in numbers {
        sets.entry(union.root(number)).or_default().push(contact);
    }
    let mut sets: Vec<_> = sets.into_values().collect();
    sets.iter_mut().for_each(|set| set.sort_unstable());
    sets.sort_unstable();
    sets
}

/// Contacts that are not one person's, by the rules at the top of the file.
fn shared(
    groups: &[[Option<usize>; 3]],
    contacts: &[(ContactKind, ContactHash, usize)],
) -> Vec<(usize, SharedContact)> {
    // Fewer orders than that cannot carry too many identities.
    let suspect = |number: usize| contacts[number].2 > SHARED_IDENTITIES;
    let mut others: HashMap<(usize, usize), HashSet<usize>> = HashMap::new();
    for own in groups {
        for number in own.iter().flatten().copied().filter(|n| suspect(*n)) {
            for (kind, other) in own.iter().enumerate() {
                if let Some(other) = other.filter(|other| *other != number) {
                    others.entry((number, kind)).or_default().insert(other);
                }
            }
        }
    }
    let mut most: BTreeMap<usize, usize> = BTreeMap::new();
    for ((number, _), seen) in others {
        let known = most.entry(number).or_default();
        *known = (*known).max(seen.len());
    }
    contacts
        .iter()
        .enumerate()
        .filter_map(|(number, (kind, hash, orders))| {
            let identities = most.get(&number).copied().unwrap_or(0);
            let contact = SharedContact {
                kind: *kind,
                hash: *hash,
                orders: *orders,
                identities,
            };
            is_shared(*orders, identities).then_some((number, contact))
        })
        .collect()
}

/// Disjoint sets with union by size and path halving.
struct UnionFind {
    parent: Vec<usize>,
    size: Vec<usize>,
}

impl UnionFind {
    fn new(count: usize) -> Self {
        Self {
            parent: (0..count).collect(),
            size: vec![1; count],
        }
    }

    fn add(&mut self) -> usize {
        self.parent.push(self.parent.len());
        self.size.push(1);
        self.parent.len() - 1
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.parent[node] != node {
            self.parent[node] = self.parent[self.parent[node]];
            node = self.parent[node];
        }
        node
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        let (small, large) = if self.size[a] < self.size[b] { (a, b) } else { (b, a) };
        self.parent[small] = large;
        self.size[large] += self.size[small];
    }
}

/// How often customers come back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Customers with at least two orders that count.
    pub repeat_customers: i64,
    /// Customers with exactly one.
    pub one_time_customers: i64,
    /// Orders that count and have a customer.
    pub orders: i64,
    /// Orders that count and have no contact that may join.
    pub unidentified_orders: i64,
    /// Time between consecutive orders of the same customer, summed.
    pub between: TimeDelta,
    /// How many such gaps there are.
    pub gaps: i64,
    /// Orders of one customer in one minute of the clock; possibly one order sent twice, and counted as they are.
    pub same_minute: Vec<SameMinute>,
}

/// See [`Repeats::same_minute`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SameMinute {
    /// Start of the minute, UTC.
    pub minute: DateTime<Utc>,
    /// The customer's number.
    pub customer: usize,
    /// Orders in it.
    pub orders: usize,
}

impl Repeats {
    /// Customers with at least one order that counts.
    pub fn customers(&self) -> i64 {
        self.repeat_customers + self.one_time_customers
    }
}

/// Counts customers, their orders and the time between them.
pub fn repeats(groups: &[OrderGroup], customers: &Customers) -> Repeats {
    let mut placed: Vec<Vec<DateTime<Utc>>> = vec![Vec::new(); customers.count];
    let mut found = Repeats::default();
    for (group, customer) in groups.iter().zip(&customers.customer_of) {
        match customer {
            Some(customer) => placed[*customer].extend(&group.counted),
            None => found.unidentified_orders += group.counted.len() as i64,
        }
    }
    for (customer, mut times) in placed.into_iter().enumerate() {
        times.sort_unstable();
        found.orders += times.len() as i64;
        match &times[..] {
            [] => {}
            [_] => found.one_time_customers += 1,
            [first, .., last] => {
                found.repeat_customers += 1;
                // The gaps between first and last add up to the whole.
                found.between += *last - *first;
                found.gaps += times.len() as i64 - 1;
                let minute = |at: &DateTime<Utc>| at.timestamp().div_euclid(60);
                for run in times
                    .chunk_by(|a, b| minute(a) == minute(b))
                    .filter(|run| run.len() > 1)
                {
                    found.same_minute.push(SameMinute {
                        minute: DateTime::from_timestamp(60 * minute(&run[0]), 0).unwrap_or(run[0]),
                        customer,
                        orders: run.len(),
                    });
                }
            }
        }
    }
    found.same_minute.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(n: u8) -> ContactHash {
        [n; 16]
    }

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    /// One counted order with customer id, e-mail and phone; 0 is none.
    fn order(contacts: [u8; 3], minutes: i64) -> OrderGroup {
        OrderGroup {
            contacts: contacts.map(|n| (n > 0).then(|| hash(n))),
            orders: 1,
            counted: vec![at(minutes)],
        }
    }

    fn join_all(groups: &[OrderGroup]) -> Customers {
        join(groups, &HashSet::new())
    }

    #[test]
    fn orders_are_joined_through_any_contact_and_transitively() {
        let groups = [
            order([1, 10, 0], 0),
            order([0, 10, 20], 1),
            order([0, 0, 20], 2),
            order([2, 0, 0], 3),
            order([0, 0, 0], 4),
        ];
        let customers = join_all(&groups);
        assert_eq!(customers.customer_of, [Some(0), Some(0), Some(0), Some(1), None]);
        assert_eq!(customers.count, 2);
        assert_eq!(repeats(&groups, &customers).unidentified_orders, 1);
    }

    #[test]
    fn a_blocked_contact_joins_nobody() {
        let groups = [order([1, 10, 0], 0), order([2, 10, 0], 1), order([0, 10, 0], 2)];
        let customers = join(&groups, &HashSet::from([hash(10)]));
        assert_eq!(customers.customer_of, [Some(0), Some(1), None]);
        assert!(customers.shared.is_empty());
    }

    #[test]
    fn a_phone_on_the_orders_of_many_people_joins_nobody_and_is_reported() {
        let groups: Vec<_> = (1..=6).map(|n| order([0, n, 99], n.into())).collect();
        let customers = join_all(&groups);
        assert_eq!(customers.count, 6);
        assert_eq!(
            customers.shared,
            [SharedContact {
                kind: ContactKind::Phone,
                hash: hash(99),
                orders: 6,
                identities: 6
            }]
        );
        assert_eq!(join_all(&groups[..5]).count, 1);
    }

    #[test]
    fn someone_loyal_with_many_orders_and_some_addresses_stays_one_customer() {
        let mut groups: Vec<_> = (1..=6).map(|n| order([0, n, 99], n.into())).collect();
        groups[0].orders = 30;
        assert_eq!(join_all(&groups).count, 1);
        groups[0].orders = 300;
        let customers = join_all(&groups);
        // The e-mail that stands on 300 orders is left out as well.
        assert_eq!((customers.count, customers.shared.len()), (5, 2));
    }

    #[test]
    fn days_between_orders_are_fractional_and_orders_of_one_minute_are_shown_not_merged() {
        let groups = [
            order([1, 0, 0], 0),
            order([1, 0, 0], 36 * 60),
            order([1, 0, 0], 36 * 60),
            order([2, 0, 0], 5),
        ];
        let found = repeats(&groups, &join_all(&groups));
        assert_eq!(
            (found.repeat_customers, found.one_time_customers, found.orders),
            (1, 1, 4)
        );
        assert_eq!((found.between, found.gaps), (TimeDelta::hours(36), 2));
        assert_eq!(
            found.same_minute,
            [SameMinute {
                minute: at(36 * 60),
                customer: 0,
                orders: 2
            }]
        );
        let at_the_edge = [OrderGroup {
            counted: vec![at(1) - TimeDelta::milliseconds(1), at(1)],
            ..order([1, 0, 0], 0)
        }];
        assert!(repeats(&at_the_edge, &join_all(&at_the_edge)).same_minute.is_empty());
    }

    fn any_orders() -> impl Strategy<Value = Vec<OrderGroup>> {
        prop::collection::vec((prop::array::uniform3(0u8..12), 0i64..5_000), 0..40).prop_map(|orders| {
            orders
                .into_iter()
                .map(|(contacts, minutes)| order(contacts, minutes))
                .collect()
        })
    }

    /// The numbers without their names: which groups are together.
    fn partition(customer_of: &[Option<usize>]) -> Vec<Vec<bool>> {
        let together = |a: &Option<usize>, b: &Option<usize>| a.is_some() && a == b;
        customer_of
            .iter()
            .map(|a| customer_of.iter().map(|b| together(a, b)).collect())
            .collect()
    }

    proptest! {
        #[test]
        fn the_order_of_rows_changes_nothing((groups, shuffled) in any_orders().prop_flat_map(|groups| {
            let order: Vec<usize> = (0..groups.len()).collect();
            (Just(groups), Just(order).prop_shuffle())
        })) {
            let permuted: Vec<_> = shuffled.iter().map(|i| groups[*i].clone()).collect();
            let (one, other) = (join_all(&groups), join_all(&permuted));
            prop_assert_eq!(&one.shared, &other.shared);
            let (a, b) = (partition(&one.customer_of), partition(&other.customer_of));
            for (x, i) in shuffled.iter().enumerate() {
                for (y, j) in shuffled.iter().enumerate() {
                    prop_assert_eq!(a[*i][*j], b[x][y]);
                }
            }
            let strip = |mut found: Repeats| { found.same_minute.iter_mut().for_each(|m| m.customer = 0); found.same_minute.sort(); found };
            prop_assert_eq!(strip(repeats(&groups, &one)), strip(repeats(&permuted, &other)));
        }

        #[test]
        fn merging_two_customers_only_lowers_their_number(groups in any_orders(), a in 100u8..110, b in 110u8..120) {
            // Two more people, then an order that carries both ids' contacts.
            let mut with = groups;
            with.push(order([a, 0, 0], 1));
            with.push(order([0, b, 0], 2));
            let before = join_all(&with);
            with.push(order([a, b, 0], 3));
            let after = join_all(&with);
            prop_assert_eq!(after.count, before.count - 1);
        }

        #[test]
        fn every_counted_order_is_counted_once(groups in any_orders()) {
            let found = repeats(&groups, &join_all(&groups));
            prop_assert_eq!(found.orders + found.unidentified_orders, groups.len() as i64);
            prop_assert_eq!(found.orders - found.customers(), found.gaps);
        }
    }
}
