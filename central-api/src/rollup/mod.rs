//! Rollups: sums of sessions by hour and day, kept beside the sessions so that a report need not read them one by one.
//!
//! Whoever changes a session leaves a mark for the hour in which it began, in the same transaction. A marked hour is *dirty*: reports
//! read it from the sessions themselves, every other hour from the sums. So a figure is exact at any moment, however far behind the
//! sums are; they only make it fast. [`upkeep`] recomputes dirty hours that are over and no longer marked all the time, from the
//! sessions, and the days they lie in.
//!
//! What no rollup holds (filters, bots, distinct visitors, splits outside [`SPLITS`]) is read from the sessions.

pub mod cohorts;
pub mod plan;
pub mod upkeep;

use chrono::{DateTime, Offset, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::catalogue::{Dimension, Formula, Metric};

/// Splits that are kept, each with its number in the table (its position here: never reordered, only appended to).
pub static SPLITS: [&[Dimension]; 12] = [
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
];

/// The split that answers for these dimensions (those of time aside), and for each of them its column. The first that holds them all:
/// of two splits that could answer, the one listed first has fewer rows.
pub fn split_for(dimensions: &[Dimension]) -> Option<(i16, Vec<(Dimension, &'static str)>)> {
    let wanted: Vec<Dimension> = dimensions.iter().copied().filter(|d| !d.is_time()).collect();
    let (number, split) = SPLITS
        .iter()
        .enumerate()
        .find(|(_, split)| wanted.iter().all(|d| split.contains(d)))?;
    let column = |d: &Dimension| if split.first() == Some(d) { "r.v0" } else { "r.v1" };
    Some((number as i16, wanted.iter().map(|d| (*d, column(d))).collect()))
}

/// The metrics that add up over disjoint sets of sessions, with the aggregate over sessions `s` that each is: the table's columns.
pub fn columns() -> impl Iterator<Item = (Metric, &'static str)> {
    Metric::all().filter_map(|metric| match metric.definition().formula {
        Formula::Sessions(sql) => Some((metric, sql)),
        Formula::Money { by_session, .. } => Some((metric, by_session)),
        Formula::Distinct(_) | Formula::Spend(_) | Formula::Ratio { .. } => None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_answered_by_the_first_that_holds_its_dimensions() {
        assert_eq!(split_for(&[]), Some((0, vec![])));
        assert_eq!(split_for(&[Dimension::Day]), Some((0, vec![])));
        assert_eq!(
            split_for(&[Dimension::UtmSource]),
            Some((1, vec![(Dimension::UtmSource, "r.v0")]))
        );
        assert_eq!(
            split_for(&[Dimension::UtmCampaign, Dimension::UtmSource]),
            Some((
                2,
                vec![(Dimension::UtmCampaign, "r.v0"), (Dimension::UtmSource, "r.v1")]
            ))
        );
        assert_eq!(
            split_for(&[Dimension::City]),
            Some((6, vec![(Dimension::City, "r.v1")]))
        );
        assert_eq!(split_for(&[Dimension::City, Dimension::OsName]), None);
        assert_eq!(split_for(&[Dimension::VisitorType]), None);
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
}
