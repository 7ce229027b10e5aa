//! Rollups: sums of sessions by hour and day, kept beside the sessions so that a report need not read them one by one.
//!
//! Whoever changes a session leaves a mark for the hour in which it began, in the same transaction. A marked hour is *dirty*: reports
//! read it from the sessions themselves, every other hour from the sums. So a figure is exact at any moment, however far behind the
//! sums are; they only make it fast. [`upkeep`] recomputes dirty hours that are over and no longer marked all the time, from the
//! sessions, and the days they lie in.
//!
//! Distinct visitors add up too: those of a window are its sessions less the *returns* in it, sessions whose visitor had an earlier session
//! in the window with the same values of the split. Each row therefore keeps when the previous sessions of its sessions began. What an
//! hour says then also depends on earlier hours: whoever changes where a session stands among its visitor's sessions marks the hours
//! of the visitor's later sessions as well (`db::rollup_marks::insert_later`).
//!
//! What no rollup holds (bots, filters and splits outside [`SPLITS`]) is added up session by session from [`blocks`];
//! [`payers`] is what A/B tests need of them.

pub mod blocks;
pub mod cohorts;
pub mod collect;
mod fold;
pub mod order_sums;
pub mod payers;
pub mod plan;
mod recompute;
pub mod statements;
pub mod upkeep;

use chrono::{DateTime, Days, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::catalogue::{Dimension, Formula, Metric};

/// Splits that are kept, each with its number in the table (its position here: never reordered, only appended to).
pub static SPLITS: [&[Dimension]; 19] = [
    &[],
    &[Dimension::UtmSource, Dimension::UtmMedium],
    &[Dimension::UtmCampaign, Dimension::UtmSource],
    &[Dimension::UtmContent, Dimension::UtmCampaign],
    &[Dimension::UtmTerm],
    &[Dimension::Channel],
    &[Dimension::Country, Dimension::City],
    &[Dimension::DeviceType],
    &[Dimension::BrowserName],
    &[Dimension::OsName],
    &[Dimension::LandingPage],
    &[Dimension::Referrer],
    // Distinct visitors do not add up over the values that a wider split keeps apart.
    &[Dimension::UtmSource],
    &[Dimension::UtmMedium],
    &[Dimension::UtmCampaign],
    &[Dimension::UtmContent],
    &[Dimension::Country],
    &[Dimension::City],
    &[Dimension::VisitorType],
];

/// The numbers of all splits: rows of an hour or day are found by the index only where the split is named.
pub fn split_numbers() -> Vec<i16> {
    (0..SPLITS.len()).map(|number| number as i16).collect()
}

/// Seconds of the unit in which a row keeps the starts of previous sessions.
const QUARTER: i64 = 900;

/// The split that answers a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Its number in the table.
    pub number: i16,
    /// Columns of the dimensions that were asked for.
    pub columns: Vec<(Dimension, &'static str)>,
    /// Whether each of its rows belongs wholly to one row of the answer, so that distinct visitors may be taken from it.
    pub distinct: bool,
}

/// The split that answers for these dimensions (those of time aside). `fixed` of them are held to a single value by a filter, `filtered`
/// to several. Splits that also answer for distinct visitors come first, then those with fewer dimensions.
pub fn split_for(dimensions: &[Dimension], fixed: &[Dimension], filtered: &[Dimension]) -> Option<Split> {
    let grouped: Vec<Dimension> = dimensions.iter().copied().filter(|d| !d.is_time()).collect();
    let wanted = || grouped.iter().chain(fixed).chain(filtered);
    let distinct = |split: &[Dimension]| split.iter().all(|d| grouped.contains(d) || fixed.contains(d));
    let (number, split) = SPLITS
        .iter()
        .enumerate()
        .filter(|(_, split)| wanted().all(|d| split.contains(d)))
        .min_by_key(|(_, split)| (!distinct(split), split.len()))?;
    let mut columns: Vec<_> = Vec::new();
    for dimension in wanted() {
        let column = if split.first() == Some(dimension) {
            "r.v0"
        } else {
            "r.v1"
        };
        if !columns.contains(&(*dimension, column)) {
            columns.push((*dimension, column));
        }
    }
    Some(Split {
        number: number as i16,
        columns,
        distinct: distinct(split),
    })
}

/// The metrics that add up over disjoint sets of sessions, with the aggregate over sessions `s` that each is: the table's columns.
pub fn columns() -> impl Iterator<Item = (Metric, &'static str)> {
    Metric::all().filter_map(|metric| match metric.definition().formula {
        Formula::Sessions(sql) => Some((metric, sql)),
        Formula::Money { by_session, .. } => Some((metric, by_session)),
        Formula::Distinct(_) | Formula::Spend(_) | Formula::Ratio { .. } => None,
    })
}

/// The number of the quarter of an hour that begins at this instant; none if none does, or it is out of the column's range.
pub fn quarter(at: DateTime<Utc>) -> Option<i32> {
    let seconds = at.timestamp();
    let whole = seconds % QUARTER == 0 && at.timestamp_subsec_nanos() == 0;
    whole.then(|| i32::try_from(seconds / QUARTER).ok()).flatten()
}

/// Whether every local midnight of the zone between the two instants is a full hour of UTC, so that local days are made of whole hours.
pub fn days_are_whole_hours(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
    let whole = |at: DateTime<Utc>| at.with_timezone(&zone).offset().fix().local_minus_utc() % 3600 == 0;
    // Offsets change at most a few times a year.
    let mut at = from;
    while at < to {
        if !whole(at) {
            return false;
        }
        at += TimeDelta::days(14);
    }
    whole(to)
}

/// Whether no local midnight of the zone between the two instants comes twice, so that the database's `date_trunc` finds where a day begins.
pub fn midnights_come_once(zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
    let (mut day, last) = (local(from), local(to));
    while day <= last {
        if zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).latest()
            != zone.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest()
        {
            return false;
        }
        day = day + Days::new(1);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(dimensions: &[Dimension]) -> Option<(i16, bool)> {
        split_for(dimensions, &[], &[]).map(|split| (split.number, split.distinct))
    }

    #[test]
    fn a_split_is_answered_by_the_narrowest_that_holds_its_dimensions() {
        assert_eq!(numbers(&[]), Some((0, true)));
        assert_eq!(numbers(&[Dimension::Day]), Some((0, true)));
        assert_eq!(numbers(&[Dimension::UtmSource]), Some((12, true)));
        assert_eq!(numbers(&[Dimension::City]), Some((17, true)));
        assert_eq!(numbers(&[Dimension::VisitorType]), Some((18, true)));
        assert_eq!(
            split_for(&[Dimension::UtmCampaign, Dimension::UtmSource], &[], &[]),
            Some(Split {
                number: 2,
                columns: vec![(Dimension::UtmCampaign, "r.v0"), (Dimension::UtmSource, "r.v1")],
                distinct: true,
            })
        );
        assert_eq!(numbers(&[Dimension::City, Dimension::OsName]), None);
        assert_eq!(numbers(&[Dimension::Language]), None);
    }

    #[test]
    fn a_filter_is_answered_too_and_its_visitors_where_it_leaves_one_value() {
        let filtered = split_for(&[], &[], &[Dimension::UtmSource]).unwrap();
        assert_eq!((filtered.number, filtered.distinct), (12, false));
        let fixed = split_for(&[Dimension::UtmMedium], &[Dimension::UtmSource], &[]).unwrap();
        assert_eq!((fixed.number, fixed.distinct), (1, true));
        assert_eq!(
            fixed.columns,
            [(Dimension::UtmMedium, "r.v1"), (Dimension::UtmSource, "r.v0")]
        );
        let one_of_both = split_for(&[Dimension::UtmSource], &[Dimension::UtmSource], &[]).unwrap();
        assert_eq!((one_of_both.number, one_of_both.columns.len()), (12, 1));
        assert_eq!(split_for(&[Dimension::UtmSource], &[Dimension::Country], &[]), None);
    }

    #[test]
    fn only_zones_off_by_full_hours_have_days_of_whole_hours() {
        let (from, to) = (
            "2026-01-01T00:00:00Z".parse().unwrap(),
            "2026-12-31T00:00:00Z".parse().unwrap(),
        );
        assert!(days_are_whole_hours(Tz::Europe__Kyiv, from, to));
        assert!(!days_are_whole_hours(Tz::Asia__Kathmandu, from, to));
        // Half an hour of daylight saving time.
        assert!(!days_are_whole_hours(Tz::Australia__Lord_Howe, from, to));
    }

    #[test]
    fn a_midnight_that_comes_twice_is_noticed() {
        let (from, to) = (
            "2026-01-01T00:00:00Z".parse().unwrap(),
            "2026-12-31T00:00:00Z".parse().unwrap(),
        );
        assert!(midnights_come_once(Tz::Europe__Kyiv, from, to));
        // No midnight at all on one day in spring, but none twice.
        assert!(midnights_come_once(Tz::Africa__Cairo, from, to) || midnights_come_once(Tz::Asia__Beirut, from, to));
        // At 01:00 the clock goes back to midnight.
        assert!(!midnights_come_once(Tz::America__Havana, from, to));
    }

    #[test]
    fn every_local_midnight_is_a_full_quarter() {
        for zone in [
            Tz::Europe__Kyiv,
            Tz::Asia__Kathmandu,
            Tz::Pacific__Chatham,
            Tz::Asia__Kolkata,
        ] {
            let midnight = zone.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap().with_timezone(&Utc);
            assert_eq!(quarter(midnight).map(i64::from), Some(midnight.timestamp() / 900));
        }
        assert_eq!(quarter("2026-03-01T00:00:01Z".parse().unwrap()), None);
        assert!(quarter("9999-03-01T00:00:00Z".parse().unwrap()).is_some());
    }
}
