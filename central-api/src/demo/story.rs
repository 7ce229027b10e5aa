//! What happens in the demo shop, session by session in the order of time.

use chrono::{Datelike, Timelike};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use shared::action::Action;
use uuid::Uuid;

use super::DemoOptions;
use super::shop::{CAMPAIGNS, CONTENT, CONTENT_QUALITY, DEVICES, HOURS, MONTHS, PLACES, PRODUCTS, SOURCES, WEEKDAYS};

const HOUR_MS: i64 = 3_600_000;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Visitors who may come back.
const REMEMBERED: usize = 200_000;
const RETURNING: f64 = 0.27;
const BOTS: f64 = 0.04;
const BOUNCES: f64 = 0.36;
const SECOND_VISIT: f64 = 0.12;

/// A browser.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor {
    pub(super) id: Uuid,
    pub(super) customer: u64,
    pub(super) device: usize,
    pub(super) place: usize,
    pub(super) sessions: u32,
}

/// An event; times in milliseconds since 1970, money in hundredths.
#[derive(Debug)]
pub(super) struct Happening {
    pub(super) id: Uuid,
    pub(super) at: i64,
    pub(super) action: Action,
    pub(super) visit: i16,
    pub(super) points: i32,
    pub(super) product: Option<usize>,
    pub(super) value: Option<i64>,
    pub(super) order: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Paid,
    Prepaid,
    Unpaid,
    Refunded,
    PartiallyRefunded,
    Cancelled,
}

impl Status {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Status::Paid => "paid",
            Status::Prepaid => "prepaid",
            Status::Unpaid => "unpaid",
            Status::Refunded => "refunded",
            Status::PartiallyRefunded => "partially_refunded",
            Status::Cancelled => "cancelled",
        }
    }
}

/// An order; times in milliseconds since 1970, money in hundredths.
#[derive(Debug)]
pub(super) struct DemoOrder {
    pub(super) number: u64,
    pub(super) at: i64,
    pub(super) cents: i64,
    pub(super) refunded: i64,
    pub(super) status: Status,
    pub(super) customer: u64,
    pub(super) payment: &'static str,
}

impl DemoOrder {
    /// Hundredths that it adds to revenue.
    pub(super) fn revenue(&self) -> i64 {
        match self.status {
            Status::Paid | Status::PartiallyRefunded => self.cents - self.refunded,
            _ => 0,
        }
    }
}

/// One session and the orders of its time.
#[derive(Debug)]
pub(super) struct Chapter {
    pub(super) site_id: i32,
    pub(super) session: DemoSession,
    /// The session's, and those of other customers: they belong to no session.
    pub(super) orders: Vec<DemoOrder>,
}

#[derive(Debug)]
pub(super) struct DemoSession {
    pub(super) id: Uuid,
    pub(super) visitor: Visitor,
    pub(super) source: usize,
    pub(super) campaign: Option<(usize, usize)>,
    pub(super) landing: Option<usize>,
    pub(super) bot: bool,
    pub(super) events: Vec<Happening>,
}

/// An iterator over the shop's sessions.
pub(super) struct Story {
    site_id: i32,
    rng: SmallRng,
    until: i64,
    /// Start of each hour that is still to come and its number of sessions, latest first.
    hours: Vec<(i64, u64)>,
    /// Starts of the sessions of the present hour, latest first.
    starts: Vec<i64>,
    visitors: Vec<Visitor>,
    newest: usize,
    linked_orders_per_session: f64,
    unlinked_orders_per_session: f64,
    orders: u64,
    customers: u64,
    sources: Vec<u32>,
    devices: Vec<u32>,
    places: Vec<u32>,
}

fn cumulated(weights: impl Iterator<Item = u32>) -> Vec<u32> {
    weights
        .scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

impl Story {
    pub(super) fn new(site_id: i32, options: &DemoOptions) -> Self {
        let until = options.until.timestamp_millis();
        let first = until - i64::from(options.days) * DAY_MS;
        let weights: Vec<(i64, f64)> = (0..i64::from(options.days) * 24)
            .map(|hour| {
                let start = first + hour * HOUR_MS;
                let time = chrono::DateTime::from_timestamp_millis(start).unwrap_or_default();
                // A shop that grows by two thirds in the year.
                let growth = 1.0 + 0.66 * hour as f64 / (f64::from(options.days) * 24.0);
                let weight = HOURS[time.hour() as usize]
                    * WEEKDAYS[time.weekday().num_days_from_monday() as usize]
                    * MONTHS[time.month0() as usize];
                (start, f64::from(weight) * growth)
            })
            .collect();
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let (mut wanted, mut given) = (0.0, 0);
        let mut hours: Vec<(i64, u64)> = weights
            .into_iter()
            .map(|(start, weight)| {
                // Rounding carries over, so that the sum is exact.
                wanted += weight / total * options.sessions as f64;
                let count = (wanted.round() as u64).saturating_sub(given);
                given += count;
                (start, count)
            })
            .collect();
        if let Some(last) = hours.last_mut() {
            last.1 += options.sessions.saturating_sub(given);
        }
        hours.reverse();
        let per_session = options.orders as f64 / options.sessions.max(1) as f64;
        Self {
            site_id,
            rng: SmallRng::seed_from_u64(options.seed),
            until,
            hours,
            starts: Vec::new(),
            visitors: Vec::with_capacity(REMEMBERED),
            newest: 0,
            linked_orders_per_session: per_session * 6.0 / 7.0 / (1.0 - BOTS),
            unlinked_orders_per_session: per_session / 7.0,
            orders: 0,
            customers: 0,
            sources: cumulated(SOURCES.iter().map(|s| s.weight)),
            devices: cumulated(DEVICES.iter().map(|d| d.weight)),
            places: cumulated(PLACES.iter().map(|p| p.weight)),
        }
    }

    fn id(&mut self, at: i64) -> Uuid {
        shared::ids::uuid_v7(at, self.rng.random())
    }

    fn pick(rng: &mut SmallRng, cumulated: &[u32]) -> usize {
        let drawn = rng.random_range(0..cumulated.last().copied().unwrap_or(1));
        cumulated.partition_point(|sum| *sum <= drawn)
    }

    /// Small numbers far more often than large ones.
    fn long_tail(&mut self, count: usize) -> usize {
        let x: f64 = self.rng.random();
        ((x * x * x) * count as f64) as usize
    }

    fn visitor(&mut self, start: i64) -> usize {
        if self.visitors.len() > 50 && self.rng.random_bool(RETURNING) {
            // Lately seen ones rather than long gone ones.
            let back = self.long_tail(self.visitors.len());
            return (self.newest + self.visitors.len() - back) % self.visitors.len();
        }
        self.customers += 1;
        let visitor = Visitor {
            id: self.id(start),
            customer: self.customers,
            device: Self::pick(&mut self.rng, &self.devices),
            place: Self::pick(&mut self.rng, &self.places),
            sessions: 0,
        };
        if self.visitors.len() < REMEMBERED {
            self.visitors.push(visitor);
            self.newest = self.visitors.len() - 1;
        } else {
            self.newest = (self.newest + 1) % REMEMBERED;
            self.visitors[self.newest] = visitor;
        }
        self.newest
    }

    fn order(&mut self, at: i64, customer: u64) -> DemoOrder {
        self.orders += 1;
        let cents = i64::from(self.rng.random_range(290..4_200)) * 100 + if self.rng.random_bool(0.2) { 50 } else { 0 };
        let (status, refunded) = match self.rng.random_range(0..100) {
            0..78 => (Status::Paid, 0),
            78..86 => (Status::Prepaid, 0),
            86..89 => (Status::Unpaid, 0),
            89..93 => (Status::Refunded, cents),
            93..96 => (Status::PartiallyRefunded, cents / 3),
            _ => (Status::Cancelled, 0),
        };
        let payment = ["card", "cash_on_delivery", "apple_pay", "google_pay", "installments"][self.long_tail(5)];
        DemoOrder {
            number: self.orders,
            at,
            cents,
            refunded,
            status,
            customer,
            payment,
        }
    }

    fn count_of(&mut self, expected: f64) -> u32 {
        expected as u32 + u32::from(self.rng.random_bool(expected.fract()))
    }

    fn happen(
        &mut self,
        events: &mut Vec<Happening>,
        at: i64,
        visit: i16,
        action: Action,
        product: Option<usize>,
        order: Option<&DemoOrder>,
    ) {
        let earned = match order {
            Some(order) if action.earns_points_by_value() => (order.cents / 10_000) as i32,
            _ => 0,
        };
        let id = self.id(at);
        events.push(Happening {
            id,
            at,
            action,
            visit,
            points: action.default_points() + earned,
            product,
            value: order.map(|o| o.cents),
            order: order.map(|o| o.number),
        });
    }

    fn session(&mut self, start: i64) -> Chapter {
        if self.rng.random_bool(BOTS) {
            let visitor = Visitor {
                id: self.id(start),
                customer: 0,
                device: Self::pick(&mut self.rng, &self.devices),
                place: Self::pick(&mut self.rng, &self.places),
                sessions: 0,
            };
            let mut events = Vec::new();
            self.happen(&mut events, start, 1, Action::PageView, None, None);
            let id = self.id(start);
            let landing = Some(self.long_tail(PRODUCTS));
            let session = DemoSession {
                id,
                visitor,
                source: SOURCES.len() - 1,
                campaign: None,
                landing,
                bot: true,
                events,
            };
            return Chapter {
                site_id: self.site_id,
                session,
                orders: Vec::new(),
            };
        }
        let index = self.visitor(start);
        self.visitors[index].sessions += 1;
        let visitor = self.visitors[index];
        let source = Self::pick(&mut self.rng, &self.sources);
        let campaign = SOURCES[source]
            .campaigns
            .then(|| (self.long_tail(CAMPAIGNS.len()), self.rng.random_range(0..CONTENT.len())));
        let landing = self.rng.random_bool(0.6).then(|| self.long_tail(PRODUCTS));
        let mut orders = Vec::new();
        let mut events = Vec::new();
        let creative = campaign.map_or(1.0, |(_, content)| CONTENT_QUALITY[content]);
        let bought = self.count_of((self.linked_orders_per_session * SOURCES[source].quality * creative).min(3.0));
        self.happen(&mut events, start, 1, Action::PageView, None, None);
        let mut at = start;
        let mut visit = 1;
        if bought > 0 || !self.rng.random_bool(BOUNCES) {
            at = self.browse(&mut events, at, visit);
            for nth in 0..bought {
                if nth > 0 {
                    at += self.rng.random_range(DAY_MS..3 * DAY_MS);
                    visit += 1;
                    self.happen(&mut events, at, visit, Action::PageView, None, None);
                }
                at = self.buy(&mut events, &mut orders, at, visit, visitor.customer);
            }
            if self.rng.random_bool(SECOND_VISIT) {
                at += self.rng.random_range(HOUR_MS..5 * DAY_MS);
                visit += 1;
                self.happen(&mut events, at, visit, Action::PageView, None, None);
                self.browse(&mut events, at, visit);
            }
            if visitor.sessions == 1 && self.rng.random_bool(0.03) {
                let last = events.last().map_or(at, |e| e.at);
                self.happen(&mut events, last + 4_000, visit, Action::SignUp, None, None);
            }
        }
        events.retain(|event| event.at < self.until);
        orders.retain(|order| order.at < self.until);
        // An order that came by phone, say: told here because it happens now, but belonging to no session.
        if self.rng.random_bool(self.unlinked_orders_per_session.min(1.0)) {
            self.customers += 1;
            let order = self.order(start, self.customers);
            orders.push(order);
        }
        let id = self.id(start);
        Chapter {
            site_id: self.site_id,
            session: DemoSession {
                id,
                visitor,
                source,
                campaign,
                landing,
                bot: false,
                events,
            },
            orders,
        }
    }

    /// Some pages and products; answers the time of the last.
    fn browse(&mut self, events: &mut Vec<Happening>, mut at: i64, visit: i16) -> i64 {
        for _ in 0..self.rng.random_range(1..6) {
            at += self.rng.random_range(4_000..95_000);
            if self.rng.random_bool(0.45) {
                let product = Some(self.long_tail(PRODUCTS));
                self.happen(events, at, visit, Action::ProductView, product, None);
                if self.rng.random_bool(0.18) {
                    at += self.rng.random_range(3_000..20_000);
                    self.happen(events, at, visit, Action::AddToCart, product, None);
                }
            } else {
                self.happen(events, at, visit, Action::PageView, None, None);
            }
        }
        at
    }

    /// Cart, checkout, order; answers the time of the order.
    fn buy(
        &mut self,
        events: &mut Vec<Happening>,
        orders: &mut Vec<DemoOrder>,
        mut at: i64,
        visit: i16,
        customer: u64,
    ) -> i64 {
        let product = Some(self.long_tail(PRODUCTS));
        for action in [Action::ProductView, Action::AddToCart, Action::InitiateCheckout] {
            at += self.rng.random_range(5_000..60_000);
            self.happen(events, at, visit, action, product, None);
        }
        at += self.rng.random_range(30_000..240_000);
        let order = self.order(at, customer);
        match order.status {
            Status::Prepaid => self.happen(events, at, visit, Action::Lead, None, Some(&order)),
            Status::Unpaid | Status::Cancelled => {}
            _ => self.happen(events, at, visit, Action::Purchase, None, Some(&order)),
        }
        orders.push(order);
        at
    }
}

impl Iterator for Story {
    type Item = Chapter;

    fn next(&mut self) -> Option<Chapter> {
        loop {
            if let Some(start) = self.starts.pop() {
                return Some(self.session(start));
            }
            let (hour, count) = self.hours.pop()?;
            self.starts
                .extend((0..count).map(|_| hour + self.rng.random_range(0..HOUR_MS)));
            self.starts.sort_unstable_by(|a, b| b.cmp(a));
        }
    }
}
