//! New events as one change per session. Every part of a change merges by a law that does not care for order or grouping
//! (least, greatest, sum, or, union, "the smallest key wins"), so that any order and split of deliveries ends in the same row.
//! The upsert in [`crate::db::sessions`] is the same merge in SQL.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use shared::action::Action;
use shared::limits::VISIT_IDLE_MS;
use uuid::Uuid;

use crate::ingest::record::{ContextRecord, EventRecord, TouchRecord};
use crate::record::most_money;

/// Key of a session.
pub type SessionKey = (i32, Uuid, Uuid);

/// What a set of events adds to its session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionChange<'a> {
    /// Site, visitor, session.
    pub key: SessionKey,
    /// Earliest start or event.
    pub first_seen: DateTime<Utc>,
    /// Latest event.
    pub last_seen: DateTime<Utc>,
    /// Highest visit number.
    pub visit_count: i16,
    /// Disjoint, sorted, half-open, in milliseconds since 1970: `[t, t + 30 min)` of every event.
    pub active: Vec<(i64, i64)>,
    /// Events.
    pub event_count: i32,
    /// Page views.
    pub page_views: i32,
    /// Points.
    pub points: i32,
    /// First product view.
    pub product_view_at: Option<DateTime<Utc>>,
    /// First product in the cart.
    pub add_to_cart_at: Option<DateTime<Utc>>,
    /// First entry of the checkout.
    pub checkout_at: Option<DateTime<Utc>>,
    /// First lead.
    pub lead_at: Option<DateTime<Utc>>,
    /// First purchase.
    pub purchase_at: Option<DateTime<Utc>>,
    /// First registration.
    pub registered_at: Option<DateTime<Utc>>,
    /// Value of purchase events, in the site's currency.
    pub event_revenue: Decimal,
    /// Lead events.
    pub lead_events: i32,
    /// Purchase events.
    pub purchase_events: i32,
    /// Those of them whose value is in `event_revenue`.
    pub valued_purchase_events: i32,
    /// Smallest verdict code of its bot events.
    pub bot_reason: Option<i16>,
    /// Some event confirmed a person.
    pub human_seen: bool,
    /// Highest (most restrictive) consent code.
    pub consent: i16,
    /// The earliest touch, with the time and id of its event.
    pub touch: Option<(DateTime<Utc>, Uuid, &'a TouchRecord)>,
    /// The most detailed, then earliest context, with the time and id of its event.
    pub context: Option<(DateTime<Utc>, Uuid, &'a ContextRecord)>,
}

impl<'a> SessionChange<'a> {
    /// What one event adds.
    pub fn of(event: &'a EventRecord) -> Self {
        let at = event.occurred_at;
        let first_of = |action: Action| (event.action == action).then_some(at);
        Self {
            key: (event.site_id, event.visitor_id, event.session_id),
            first_seen: event.session_started.min(at),
            last_seen: at,
            visit_count: event.visit_no,
            active: vec![(at.timestamp_millis(), at.timestamp_millis() + VISIT_IDLE_MS)],
            event_count: 1,
            page_views: i32::from(event.action == Action::PageView),
            points: event.points,
            product_view_at: first_of(Action::ProductView),
            add_to_cart_at: first_of(Action::AddToCart),
            checkout_at: first_of(Action::InitiateCheckout),
            lead_at: first_of(Action::Lead),
            purchase_at: first_of(Action::Purchase),
            registered_at: first_of(Action::SignUp),
            event_revenue: event.revenue.unwrap_or_default(),
            lead_events: i32::from(event.action == Action::Lead),
            purchase_events: i32::from(event.action == Action::Purchase),
            valued_purchase_events: i32::from(event.revenue.is_some()),
            bot_reason: event.bot_reason,
            human_seen: event.human,
            consent: event.consent,
            touch: event.touch.as_deref().map(|touch| (at, event.event_id, touch)),
            context: event.context.as_deref().map(|context| (at, event.event_id, context)),
        }
    }

    /// Both changes as one. `self` and `other` have the same key.
    pub fn merge(&mut self, other: Self) {
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.visit_count = self.visit_count.max(other.visit_count);
        merge_ranges(&mut self.active, other.active);
        self.event_count += other.event_count;
        self.page_views += other.page_views;
        self.points = self.points.saturating_add(other.points);
        for (mine, theirs) in [
            (&mut self.product_view_at, other.product_view_at),
            (&mut self.add_to_cart_at, other.add_to_cart_at),
            (&mut self.checkout_at, other.checkout_at),
            (&mut self.lead_at, other.lead_at),
            (&mut self.purchase_at, other.purchase_at),
            (&mut self.registered_at, other.registered_at),
        ] {
            *mine = least(*mine, theirs);
        }
        // Values are not negative, so a sum that stops at the most does not care for order either.
        self.event_revenue = (self.event_revenue + other.event_revenue).min(most_money());
        self.lead_events += other.lead_events;
        self.purchase_events += other.purchase_events;
        self.valued_purchase_events += other.valued_purchase_events;
        self.bot_reason = least(self.bot_reason, other.bot_reason);
        self.human_seen |= other.human_seen;
        self.consent = self.consent.max(other.consent);
        if let Some(theirs) = other.touch
            && self.touch.is_none_or(|mine| (theirs.0, theirs.1) < (mine.0, mine.1))
        {
            self.touch = Some(theirs);
        }
        if let Some(theirs) = other.context
            && self.context.is_none_or(|mine| context_key(theirs) < context_key(mine))
        {
            self.context = Some(theirs);
        }
    }

    /// `active` as Postgres' `int8multirange` reads it.
    pub fn active_text(&self) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(2 + 30 * self.active.len());
        text.push('{');
        for (i, (from, to)) in self.active.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            let _ = write!(text, "[{from},{to})");
        }
        text.push('}');
        text
    }
}

fn context_key(context: (DateTime<Utc>, Uuid, &ContextRecord)) -> (i16, DateTime<Utc>, Uuid) {
    (-context.2.detail, context.0, context.1)
}

/// Postgres' `least`: null loses.
fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Union of two sets of half-open ranges; ranges that touch become one, as in Postgres.
fn merge_ranges(mine: &mut Vec<(i64, i64)>, theirs: Vec<(i64, i64)>) {
    mine.extend(theirs);
    mine.sort_unstable();
    mine.dedup_by(|next, kept| {
        let joined = next.0 <= kept.1;
        if joined {
            kept.1 = kept.1.max(next.1);
        }
        joined
    });
}

/// One change per session, sorted by key.
pub fn fold<'a>(events: impl IntoIterator<Item = &'a EventRecord>) -> Vec<SessionChange<'a>> {
    let mut sessions: HashMap<SessionKey, SessionChange<'a>> = HashMap::new();
    for event in events {
        let change = SessionChange::of(event);
        match sessions.entry(change.key) {
            std::collections::hash_map::Entry::Occupied(mut entry) => entry.get_mut().merge(change),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(change);
            }
        }
    }
    let mut changes: Vec<_> = sessions.into_values().collect();
    changes.sort_unstable_by_key(|change| change.key);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(
        (session, seq, ms, action, visit): (u8, u16, i64, usize, i16),
        (touch, context, bot, human): (bool, Option<i16>, Option<i16>, bool),
    ) -> EventRecord {
        let at = DateTime::from_timestamp_millis(1_790_000_000_000 + ms).unwrap();
        let event_id = shared::ids::uuid_v7(at.timestamp_millis(), [seq as u8; 10]);
        EventRecord {
            site_id: 1,
            visitor_id: Uuid::from_u128(u128::from(session % 2)),
            event_id,
            minted_at: at,
            session_id: Uuid::from_u128(u128::from(session)),
            session_started: at - chrono::TimeDelta::milliseconds(ms % 7),
            occurred_at: at,
            action: Action::ALL[action],
            origin: 1,
            visit_no: visit,
            bot_reason: bot,
            human,
            points: i32::from(visit) - 3,
            quantity: None,
            amount: None,
            value: None,
            currency: None,
            name: None,
            path: None,
            product_id: None,
            order_id: None,
            label: None,
            props: None,
            consent: 1 + visit % 2,
            revenue: (seq % 3 > 0).then(|| Decimal::new(i64::from(seq), 2)),
            touch: touch.then(|| {
                Box::new(TouchRecord {
                    utm_source: Some(event_id.to_string()),
                    ..TouchRecord::default()
                })
            }),
            context: context.map(|detail| {
                Box::new(ContextRecord {
                    detail,
                    city: Some(event_id.to_string()),
                    ..ContextRecord::default()
                })
            }),
            contacts: Vec::new(),
        }
    }

    fn events() -> impl Strategy<Value = Vec<EventRecord>> {
        proptest::collection::vec(
            (
                (0u8..4, 0u16..200, 0i64..20_000_000, 0usize..13, 1i16..9),
                (
                    any::<bool>(),
                    proptest::option::of(0i16..2),
                    proptest::option::of(1i16..9),
                    any::<bool>(),
                ),
            )
                .prop_map(|(a, b)| event(a, b)),
            1..40,
        )
        .prop_map(|mut events| {
            // Two events never share an id with other content: the table keeps the first.
            events.sort_by_key(|e| e.event_id);
            events.dedup_by_key(|e| e.event_id);
            events
        })
    }

    proptest! {
        #[test]
        fn any_order_and_any_split_gives_the_same_sessions(events in events(), seed in any::<u64>(), parts in 1usize..6) {
            let whole = fold(&events);
            // A deterministic shuffle.
            let mut shuffled: Vec<&EventRecord> = events.iter().collect();
            shuffled.sort_by_key(|e| e.event_id.as_u128().wrapping_mul(u128::from(seed) | 1));
            let mut merged: HashMap<SessionKey, SessionChange> = HashMap::new();
            for part in shuffled.chunks(shuffled.len().div_ceil(parts)) {
                for change in fold(part.iter().copied()) {
                    match merged.get_mut(&change.key) {
                        Some(known) => known.merge(change),
                        None => { merged.insert(change.key, change); }
                    }
                }
            }
            let mut merged: Vec<_> = merged.into_values().collect();
            merged.sort_by_key(|change| change.key);
            prop_assert_eq!(whole, merged);
        }

        #[test]
        fn activity_is_a_sorted_set_of_ranges_that_do_not_touch(events in events()) {
            for change in fold(&events) {
                prop_assert!(change.active.windows(2).all(|pair| pair[0].1 < pair[1].0));
                prop_assert!(change.active.iter().all(|range| range.1 - range.0 >= VISIT_IDLE_MS));
            }
        }
    }

    #[test]
    fn the_attributes_of_an_earlier_touch_that_comes_later_replace_all() {
        let late = event((0, 1, 5_000, 0, 1), (true, Some(0), None, false));
        let early = event((0, 2, 1_000, 0, 1), (true, Some(0), None, false));
        let mut change = SessionChange::of(&late);
        change.merge(SessionChange::of(&early));
        assert_eq!(change.touch.unwrap().2, early.touch.as_deref().unwrap());
        assert_eq!(change.context.unwrap().2, early.context.as_deref().unwrap());
    }

    #[test]
    fn a_more_detailed_context_wins_over_an_earlier_one() {
        let landing = event((0, 1, 1_000, 0, 1), (true, Some(0), None, false));
        let script = event((0, 2, 2_000, 0, 1), (false, Some(1), None, false));
        let mut change = SessionChange::of(&landing);
        change.merge(SessionChange::of(&script));
        assert_eq!(change.context.unwrap().2, script.context.as_deref().unwrap());
        assert_eq!(change.touch.unwrap().2, landing.touch.as_deref().unwrap());
    }
}
