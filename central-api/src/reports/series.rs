//! Buckets of time without gaps.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, Days, DurationRound, Months, NaiveDate, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;

use super::period::{Period, start_of_day};
use super::table::{Cell, Row};
use crate::catalogue::Dimension;
use crate::error::ApiError;

/// Buckets of one answer.
const MAX_BUCKETS: usize = 10_000;

/// Fills the gaps between `rows`, which are split by `bucket` alone, with rows of `nothing`, from the period's first bucket (all time: the
/// first that holds something) to its last.
///
/// # Errors
/// 400 when there are more than 10,000 buckets.
pub fn fill(
    rows: Vec<Row>,
    bucket: Dimension,
    nothing: &[(&'static str, Cell)],
    period: &Period,
) -> Result<Vec<Row>, ApiError> {
    let first_found = rows
        .iter()
        .filter_map(|row| row.text(bucket.key()))
        .min()
        .map(str::to_owned);
    let keys = match (period.from, first_found) {
        (Some(from), _) => keys(bucket, from, period.to, period.zone)?,
        (None, Some(first)) => keys(bucket, first_instant(&first, period.zone), period.to, period.zone)?,
        (None, None) => Vec::new(),
    };
    let mut found: HashMap<String, Row> = rows
        .into_iter()
        .filter_map(|row| row.text(bucket.key()).map(str::to_owned).map(|key| (key, row)))
        .collect();
    Ok(keys
        .into_iter()
        .map(|key| {
            found.remove(&key).unwrap_or_else(|| {
                let mut cells = vec![(bucket.key(), Cell::Text(Some(key)))];
                cells.extend_from_slice(nothing);
                Row(cells)
            })
        })
        .collect())
}

fn first_instant(key: &str, zone: Tz) -> DateTime<Utc> {
    let instant = key.parse::<DateTime<Utc>>().ok();
    let day = || {
        NaiveDate::parse_from_str(key, "%Y-%m-%d")
            .ok()
            .map(|day| start_of_day(day, zone))
    };
    instant.or_else(day).unwrap_or_default()
}

/// The bucket's key of an instant, as the database writes it.
pub fn key(bucket: Dimension, at: DateTime<Utc>, zone: Tz) -> String {
    let local = at.with_timezone(&zone);
    let day = local.date_naive();
    match bucket {
        Dimension::Hour => {
            // Every zone in use is off by whole minutes: the local hour begins `minutes` before.
            let offset = TimeDelta::seconds(i64::from(chrono::Offset::fix(local.offset()).local_minus_utc()));
            let start = (local.naive_local())
                .duration_trunc(TimeDelta::hours(1))
                .map_or(at, |start| (start - offset).and_utc());
            start.to_rfc3339_opts(SecondsFormat::Secs, true)
        }
        Dimension::Week => (day - Days::new(u64::from(day.weekday().num_days_from_monday()))).to_string(),
        Dimension::Month => day.with_day(1).unwrap_or(day).to_string(),
        _ => day.to_string(),
    }
}

fn keys(bucket: Dimension, from: DateTime<Utc>, to: DateTime<Utc>, zone: Tz) -> Result<Vec<String>, ApiError> {
    let mut keys: Vec<String> = Vec::new();
    let mut at = from;
    while at < to {
        let next = key(bucket, at, zone);
        if keys.last() != Some(&next) {
            keys.push(next);
        }
        if keys.len() > MAX_BUCKETS {
            return Err(ApiError::invalid(
                "bucket",
                format!("the period has more than {MAX_BUCKETS} of them; ask for a shorter period or a longer bucket"),
            ));
        }
        let day = at.with_timezone(&zone).date_naive();
        at = match bucket {
            // A quarter, since offsets may change within an hour.
            Dimension::Hour => at + TimeDelta::minutes(15),
            Dimension::Month => start_of_day(day.with_day(1).unwrap_or(day) + Months::new(1), zone),
            Dimension::Week => start_of_day(
                day + Days::new(7 - u64::from(day.weekday().num_days_from_monday())),
                zone,
            ),
            _ => {
                let next = start_of_day(day + Days::new(1), zone);
                if next > at {
                    next
                } else {
                    start_of_day(day + Days::new(2), zone)
                }
            }
        };
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_days(bucket: Dimension, zone: Tz, first: (i32, u32, u32), last: (i32, u32, u32)) -> Vec<String> {
        let day = |(y, m, d)| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        let period = Period::of_days(day(first), day(last), zone);
        keys(bucket, period.from.unwrap(), period.to, zone).unwrap()
    }

    #[test]
    fn the_hour_that_comes_twice_in_autumn_is_two_buckets_and_the_one_skipped_in_spring_none() {
        assert_eq!(
            of_days(Dimension::Hour, Tz::Europe__Kyiv, (2026, 10, 25), (2026, 10, 25)).len(),
            25
        );
        assert_eq!(
            of_days(Dimension::Hour, Tz::Europe__Kyiv, (2026, 3, 29), (2026, 3, 29)).len(),
            23
        );
    }

    #[test]
    fn hours_of_a_zone_off_by_quarters_begin_at_its_own_full_hours() {
        let hours = of_days(Dimension::Hour, Tz::Asia__Kathmandu, (2026, 1, 1), (2026, 1, 1));
        assert_eq!((hours.len(), hours[0].as_str()), (24, "2025-12-31T18:15:00Z"));
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        assert_eq!(
            of_days(Dimension::Week, Tz::UTC, (2026, 11, 20), (2026, 11, 24)),
            ["2026-11-16", "2026-11-23"]
        );
        assert_eq!(
            of_days(Dimension::Month, Tz::UTC, (2026, 1, 31), (2026, 2, 1)),
            ["2026-01-01", "2026-02-01"]
        );
        assert_eq!(
            of_days(Dimension::Day, Tz::Pacific__Apia, (2011, 12, 29), (2011, 12, 31)),
            ["2011-12-29", "2011-12-31"]
        );
    }

    #[test]
    fn a_century_of_hours_is_refused() {
        let day = |y| NaiveDate::from_ymd_opt(y, 1, 1).unwrap();
        let period = Period::of_days(day(1990), day(2090), Tz::UTC);
        assert!(fill(Vec::new(), Dimension::Hour, &[], &period).is_err());
    }
}
