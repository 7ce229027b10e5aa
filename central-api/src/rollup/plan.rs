//! Which part of a period comes from where. Pure.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Half-open ranges of time, UTC, sorted and disjoint.
pub type Ranges = Vec<(DateTime<Utc>, DateTime<Utc>)>;

/// A period cut in three: together its parts are the period, and no instant is in two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whole days (UTC) without a dirty hour.
    pub days: Ranges,
    /// Whole clean hours outside those days.
    pub hours: Ranges,
    /// Dirty hours, and what the period's edges cut: from the sessions.
    pub sessions: Ranges,
}

/// Cuts the period from `from` to `to`. `dirty` holds the starts of its dirty hours. `use_days` is false where a bucket of time is
/// shorter than a day or begins inside one.
pub fn plan(from: DateTime<Utc>, to: DateTime<Utc>, dirty: &BTreeSet<DateTime<Utc>>, use_days: bool) -> Plan {
    let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
    let mut plan = Plan::default();
    let (first, last) = (up(from, hour), down(to, hour));
    if first >= last {
        push(&mut plan.sessions, from, to);
        return plan;
    }
    push(&mut plan.sessions, from, first);
    let mut at = first;
    let ends = dirty.range(first..last).copied().chain([last]);
    for next in ends {
        if at < next {
            let (day_first, day_last) = (up(at, day), down(next, day));
            if use_days && day_first < day_last {
                push(&mut plan.hours, at, day_first);
                push(&mut plan.days, day_first, day_last);
                push(&mut plan.hours, day_last, next);
            } else {
                push(&mut plan.hours, at, next);
            }
        }
        if next < last {
            push(&mut plan.sessions, next, next + hour);
            at = next + hour;
        }
    }
    push(&mut plan.sessions, last, to);
    plan
}

fn down(at: DateTime<Utc>, to: TimeDelta) -> DateTime<Utc> {
    at.duration_trunc(to).unwrap_or(at)
}

fn up(at: DateTime<Utc>, to: TimeDelta) -> DateTime<Utc> {
    let floor = down(at, to);
    if floor < at { floor + to } else { floor }
}

fn push(ranges: &mut Ranges, from: DateTime<Utc>, to: DateTime<Utc>) {
    match ranges.last_mut() {
        Some(last) if last.1 == from => last.1 = to.max(from),
        _ if from < to => ranges.push((from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_clean_month_from_local_midnight_to_now_is_days_with_hours_and_a_bit_of_sessions_at_its_edges() {
        let dirty = BTreeSet::from([at("2026-11-20T10:00:00Z")]);
        let plan = plan(at("2026-10-21T21:00:00Z"), at("2026-11-20T10:30:00Z"), &dirty, true);
        assert_eq!(plan.days, [(at("2026-10-22T00:00:00Z"), at("2026-11-20T00:00:00Z"))]);
        assert_eq!(
            plan.hours,
            [
                (at("2026-10-21T21:00:00Z"), at("2026-10-22T00:00:00Z")),
                (at("2026-11-20T00:00:00Z"), at("2026-11-20T10:00:00Z"))
            ]
        );
        assert_eq!(
            plan.sessions,
            [(at("2026-11-20T10:00:00Z"), at("2026-11-20T10:30:00Z"))]
        );
    }

    proptest! {
        #[test]
        fn every_instant_of_the_period_is_in_exactly_one_part_and_dirty_hours_are_read_from_the_sessions(
            from in 0i64..400 * 3600, length in 0i64..400 * 3600,
            dirty in proptest::collection::btree_set(0i64..900, 0..40), use_days: bool,
        ) {
            let time = |seconds: i64| DateTime::from_timestamp(1_790_000_000 / 86_400 * 86_400 + seconds, 0).unwrap();
            let dirty: BTreeSet<_> = dirty.into_iter().map(|hour| time(hour * 3600)).collect();
            let (from, to) = (time(from), time(from + length));
            let plan = plan(from, to, &dirty, use_days);
            let mut all: Vec<_> = plan.days.iter().chain(&plan.hours).chain(&plan.sessions).copied().collect();
            all.sort();
            let mut expected = from;
            for (a, b) in all {
                prop_assert_eq!(a, expected);
                prop_assert!(a < b);
                expected = b;
            }
            prop_assert_eq!(expected, to);
            for (a, b) in plan.days.iter().chain(&plan.hours) {
                prop_assert!(dirty.range(*a..*b).next().is_none());
            }
        }
    }
}
