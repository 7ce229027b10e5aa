//! Periods: which instants a report covers, in the site's time zone. Pure; the clock comes in.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// First and last day that can be asked for; beyond them nothing was ever measured.
const DAYS: (i32, i32) = (1970, 2199);

/// How the period was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeriodName {
    /// Since local midnight.
    Today,
    /// The last 7 local days, today included.
    Week,
    /// The last 30 local days, today included.
    Month,
    /// Everything.
    AllTime,
    /// `start_date` to `end_date`, both included.
    Custom,
}

impl PeriodName {
    /// The values of the parameter `period`.
    pub const ALLOWED: [&'static str; 4] = ["today", "week", "month", "all_time"];
}

/// Instants from `from` (included) to `to` (excluded), and the local days they cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// How it was asked for.
    pub name: PeriodName,
    /// First instant, UTC; none: from the beginning.
    pub from: Option<DateTime<Utc>>,
    /// First instant that is no longer in it, UTC.
    pub to: DateTime<Utc>,
    /// Until when it is over: now, where it is not yet; else `to`.
    pub over_to: DateTime<Utc>,
    /// First local day; none: from the beginning.
    pub first_day: Option<NaiveDate>,
    /// Last local day.
    pub last_day: NaiveDate,
    /// The site's zone.
    pub zone: Tz,
}

/// The first instant of a local day. A midnight that the clock skips gives the first instant after the gap, one that it passes
/// twice the earlier.
pub fn start_of_day(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(chrono::NaiveTime::MIN);
    // The longest gap known is a whole day (Samoa, 2011); offsets change at multiples of a minute in every year we accept.
    (0..=26 * 60)
        .find_map(|minutes| {
            zone.from_local_datetime(&(midnight + TimeDelta::minutes(minutes)))
                .earliest()
        })
        .map_or_else(|| midnight.and_utc(), |t| t.with_timezone(&Utc))
}

impl Period {
    /// From the parameters `period`, or `start_date` and `end_date`; `month` when nothing is given.
    ///
    /// # Errors
    /// 400 naming the parameter and what is allowed.
    pub fn parse(
        period: Option<&str>,
        start_date: Option<&str>,
        end_date: Option<&str>,
        zone: Tz,
        now: DateTime<Utc>,
    ) -> Result<Self, ApiError> {
        let last_days = |name, days: u64| {
            let today = now.with_timezone(&zone).date_naive();
            let first = today - Days::new(days - 1);
            Self {
                name,
                from: Some(start_of_day(first, zone)),
                to: now,
                over_to: now,
                first_day: Some(first),
                last_day: today,
                zone,
            }
        };
        match (period, start_date, end_date) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(ApiError::invalid(
                "period",
                "give either period, or start_date and end_date",
            )),
            (None, Some(_), None) => Err(ApiError::invalid(
                "end_date",
                "start_date needs an end_date (YYYY-MM-DD)",
            )),
            (None, None, Some(_)) => Err(ApiError::invalid(
                "start_date",
                "end_date needs a start_date (YYYY-MM-DD)",
            )),
            (None, Some(start), Some(end)) => {
                let (first, last) = (day("start_date", start)?, day("end_date", end)?);
                if last < first {
                    return Err(ApiError::invalid("end_date", "end_date must not lie before start_date"));
                }
                Ok(Self::of_days(first, last, zone).until(now))
            }
            (Some("today"), None, None) => Ok(last_days(PeriodName::Today, 1)),
            (Some("week"), None, None) => Ok(last_days(PeriodName::Week, 7)),
            (None | Some("month"), None, None) => Ok(last_days(PeriodName::Month, 30)),
            (Some("all_time"), None, None) => Ok(Self {
                name: PeriodName::AllTime,
                from: None,
                to: now,
                over_to: now,
                first_day: None,
                last_day: now.with_timezone(&zone).date_naive(),
                zone,
            }),
            (Some(_), None, None) => Err(ApiError::invalid(
                "period",
                format!(
                    "allowed are {}; or give start_date and end_date",
                    PeriodName::ALLOWED.join(", ")
                ),
            )),
        }
    }

    /// Whole local days that are over, both included.
    pub fn of_days(first: NaiveDate, last: NaiveDate, zone: Tz) -> Self {
        let to = start_of_day(last + Days::new(1), zone);
        Self {
            name: PeriodName::Custom,
            from: Some(start_of_day(first, zone)),
            to,
            over_to: to,
            first_day: Some(first),
            last_day: last,
            zone,
        }
    }

    /// The same, of which no more is over than until now.
    pub fn until(self, now: DateTime<Utc>) -> Self {
        Self {
            over_to: self.to.min(now),
            ..self
        }
    }

    /// The same number of local days right before, whole days; a calendar month's is the month before. None for all time.
    pub fn previous(&self) -> Option<Self> {
        let first = self.first_day?;
        let last = first - Days::new(1);
        let whole_month = first.day() == 1 && self.last_day + Days::new(1) == first + Months::new(1);
        let previous_first = if self.name == PeriodName::Custom && whole_month {
            first - Months::new(1)
        } else {
            let days = (self.last_day - first).num_days().unsigned_abs() + 1;
            first - Days::new(days)
        };
        Some(Self::of_days(previous_first, last, self.zone))
    }

    /// The first instant; for all time one before any that can be stored.
    pub fn from_or_beginning(&self) -> DateTime<Utc> {
        self.from
            .unwrap_or_else(|| DateTime::UNIX_EPOCH - Days::new(365 * 1_000))
    }

    /// What the answer says about it.
    pub fn describe(&self) -> PeriodAnswer {
        PeriodAnswer {
            name: self.name,
            from: self.from,
            to: self.to,
            over_to: self.over_to,
            start_date: self.first_day,
            end_date: self.last_day,
            time_zone: self.zone.name(),
        }
    }
}

/// The period that an answer covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeriodAnswer {
    /// How it was asked for.
    pub name: PeriodName,
    /// First instant, UTC; null: from the beginning.
    pub from: Option<DateTime<Utc>>,
    /// First instant after it, UTC.
    pub to: DateTime<Utc>,
    /// Until when it is over, UTC: now, where the period has not ended, else `to`. An hour, day, week or month of it that ends later is
    /// not whole yet.
    pub over_to: DateTime<Utc>,
    /// First local day; null: from the beginning.
    pub start_date: Option<NaiveDate>,
    /// Last local day, included.
    pub end_date: NaiveDate,
    /// IANA name of the site's zone.
    pub time_zone: &'static str,
}

fn day(field: &'static str, text: &str) -> Result<NaiveDate, ApiError> {
    (text.len() == 10)
        .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .flatten()
        .filter(|day| (DAYS.0..=DAYS.1).contains(&day.year()))
        .ok_or_else(|| {
            ApiError::invalid(
                field,
                format!("must be a day as YYYY-MM-DD, from {} to {}", DAYS.0, DAYS.1),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZONES: [Tz; 6] = [
        Tz::Europe__Kyiv,
        Tz::America__New_York,
        Tz::Asia__Kathmandu,
        Tz::UTC,
        // Skips midnight in spring, and skipped a whole day.
        Tz::America__Havana,
        Tz::Pacific__Apia,
    ];

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn ymd(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).unwrap()
    }

    #[test]
    fn the_days_of_both_clock_changes_have_23_and_25_hours() {
        for (first, hours) in [(ymd(2026, 3, 29), 23), (ymd(2026, 10, 25), 25), (ymd(2026, 11, 20), 24)] {
            let period = Period::of_days(first, first, Tz::Europe__Kyiv);
            assert_eq!((period.to - period.from.unwrap()).num_hours(), hours);
        }
    }

    #[test]
    fn today_starts_at_local_midnight_even_just_after_it() {
        let period = Period::parse(Some("today"), None, None, Tz::Europe__Kyiv, at("2026-11-20T22:00:01Z")).unwrap();
        assert_eq!(period.first_day, Some(ymd(2026, 11, 21)));
        assert_eq!(period.from, Some(at("2026-11-20T22:00:00Z")));
    }

    #[test]
    fn a_midnight_that_does_not_exist_gives_the_first_instant_after_it() {
        // Havana moves from 00:00 to 01:00 on 8 March 2026.
        assert_eq!(
            start_of_day(ymd(2026, 3, 8), Tz::America__Havana),
            at("2026-03-08T05:00:00Z")
        );
        // Samoa had no 30 December 2011.
        assert_eq!(
            start_of_day(ymd(2011, 12, 30), Tz::Pacific__Apia),
            start_of_day(ymd(2011, 12, 31), Tz::Pacific__Apia)
        );
    }

    #[test]
    fn a_calendar_months_previous_period_is_the_month_before() {
        let february = Period::of_days(ymd(2026, 2, 1), ymd(2026, 2, 28), Tz::UTC);
        let january = february.previous().unwrap();
        assert_eq!(
            (january.first_day, january.last_day),
            (Some(ymd(2026, 1, 1)), ymd(2026, 1, 31))
        );
    }

    #[test]
    fn a_period_is_over_until_now_and_one_that_has_ended_until_its_end() {
        let now = at("2026-11-20T10:00:00Z");
        let over_to = |period, start, end| {
            Period::parse(period, start, end, Tz::Europe__Kyiv, now)
                .unwrap()
                .describe()
                .over_to
        };
        for period in PeriodName::ALLOWED {
            assert_eq!(over_to(Some(period), None, None), now, "{period}");
        }
        assert_eq!(over_to(None, Some("2026-11-01"), Some("2026-11-20")), now);
        assert_eq!(
            over_to(None, Some("2026-11-01"), Some("2026-11-19")),
            at("2026-11-19T22:00:00Z")
        );
        let running = Period::parse(Some("week"), None, None, Tz::Europe__Kyiv, now).unwrap();
        let before = running.previous().unwrap();
        assert_eq!(before.over_to, before.to);
    }

    #[test]
    fn bad_parameters_name_the_field_and_what_is_allowed() {
        let cases = [
            ((Some("year"), None, None), "period", "today, week, month, all_time"),
            ((Some("Today"), None, None), "period", "allowed are"),
            ((Some(""), None, None), "period", "allowed are"),
            ((Some("week"), Some("2026-01-01"), None), "period", "either"),
            ((None, Some("2026-01-01"), None), "end_date", "YYYY-MM-DD"),
            ((None, None, Some("2026-01-01")), "start_date", "YYYY-MM-DD"),
            ((None, Some("2026-01-02"), Some("2026-01-01")), "end_date", "before"),
            (
                (None, Some("0000-01-01"), Some("2026-01-01")),
                "start_date",
                "1970 to 2199",
            ),
            (
                (None, Some("2026-01-01"), Some("9999-12-31")),
                "end_date",
                "1970 to 2199",
            ),
            (
                (None, Some("2026-02-30"), Some("2026-03-01")),
                "start_date",
                "YYYY-MM-DD",
            ),
            ((None, Some("2026-1-1"), Some("2026-03-01")), "start_date", "YYYY-MM-DD"),
            (
                (None, Some("2026-01-01\0"), Some("2026-03-01")),
                "start_date",
                "YYYY-MM-DD",
            ),
        ];
        for ((period, start, end), field, says) in cases {
            let error = Period::parse(period, start, end, Tz::UTC, at("2026-11-20T00:00:00Z")).unwrap_err();
            let ApiError::Invalid {
                field: named, message, ..
            } = error
            else {
                panic!("{period:?} {start:?} {end:?}");
            };
            assert_eq!(named.as_deref(), Some(field));
            assert!(message.contains(says), "{message}");
        }
    }

    proptest! {
        #[test]
        fn days_follow_each_other_without_gap_or_overlap(zone in 0..ZONES.len(), n in 0u64..80_000) {
            let (zone, day) = (ZONES[zone], ymd(1980, 1, 1) + Days::new(n));
            let start = start_of_day(day, zone);
            let next = start_of_day(day + Days::new(1), zone);
            prop_assert!(start <= next);
            if start < next {
                // The first instant is of the day, the one before it is not, and so at the end.
                prop_assert_eq!(start.with_timezone(&zone).date_naive(), day);
                prop_assert_eq!((next - TimeDelta::microseconds(1)).with_timezone(&zone).date_naive(), day);
                prop_assert!((start - TimeDelta::microseconds(1)).with_timezone(&zone).date_naive() < day);
            }
        }

        #[test]
        fn a_period_holds_now_and_its_number_of_days_and_the_previous_ends_where_it_begins(
            zone in 0..ZONES.len(),
            seconds in 1_000_000_000i64..4_000_000_000,
            which in 0usize..3,
        ) {
            let (zone, now) = (ZONES[zone], DateTime::from_timestamp(seconds, 0).unwrap());
            let (name, days) = [("today", 1), ("week", 7), ("month", 30)][which];
            let period = Period::parse(Some(name), None, None, zone, now).unwrap();
            prop_assert!(period.from.unwrap() <= now);
            prop_assert_eq!(period.to, now);
            prop_assert_eq!((period.last_day - period.first_day.unwrap()).num_days() + 1, days);
            prop_assert_eq!(period.last_day, now.with_timezone(&zone).date_naive());
            let previous = period.previous().unwrap();
            prop_assert_eq!(previous.to, period.from.unwrap());
            prop_assert_eq!((previous.last_day - previous.first_day.unwrap()).num_days() + 1, days);
        }
    }
}
