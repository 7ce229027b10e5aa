//! Cohorts: visitors by the calendar bucket of their first session, and what they did in the buckets after it. Pure; the counts come
//! from the database, "now" and the zone come in.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::reports::figure::Figure;
use crate::reports::period::start_of_day;

/// Periods that a matrix has at most.
pub const MAX_PERIODS: u32 = 31;

/// Length of a bucket: a local calendar day, a week from Monday, or a calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// From local midnight to the next.
    Day,
    /// From Monday (ISO 8601).
    Week,
    /// From the first of the month.
    Month,
}

impl Bucket {
    /// The values of the parameter `cohort_type`.
    pub const ALLOWED: [(&'static str, Self); 3] = [("day", Self::Day), ("week", Self::Week), ("month", Self::Month)];

    /// The name in the API and in Postgres' `date_trunc`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// First day of the bucket that holds a day.
    pub fn first_day(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => day,
            Self::Week => day - Days::new(u64::from(day.weekday().num_days_from_monday())),
            Self::Month => day.with_day(1).unwrap_or(day),
        }
    }

    /// First day of the bucket that is `count` after the one beginning on `first_day`.
    pub fn after(self, first_day: NaiveDate, count: u32) -> NaiveDate {
        match self {
            Self::Day => first_day + Days::new(count.into()),
            Self::Week => first_day + Days::new(7 * u64::from(count)),
            Self::Month => first_day + Months::new(count),
        }
    }

    /// How many buckets lie between two that begin on these days; negative when `to` is the earlier.
    pub fn distance(self, from: NaiveDate, to: NaiveDate) -> i64 {
        match self {
            Self::Day => (to - from).num_days(),
            Self::Week => (to - from).num_days().div_euclid(7),
            Self::Month => i64::from(to.year() - from.year()) * 12 + i64::from(to.month()) - i64::from(from.month()),
        }
    }

    /// The first instant after the bucket that begins on `first_day`, UTC.
    pub fn end(self, first_day: NaiveDate, zone: Tz) -> DateTime<Utc> {
        start_of_day(self.after(first_day, 1), zone)
    }

    /// Name of the period `k` in a language (`uk` or `en`).
    pub fn label(self, k: u32, language: &str) -> String {
        let name = match (self, language) {
            (Self::Day, "en") => "Day",
            (Self::Week, "en") => "Week",
            (Self::Month, "en") => "Month",
            (Self::Day, _) => "День",
            (Self::Week, _) => "Тиждень",
            (Self::Month, _) => "Місяць",
        };
        format!("{name} {k}")
    }
}

/// What a cell of the matrix holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CohortMetric {
    /// Percent of the cohort's visitors with any action in the period; period 0 is 100.
    Retention,
    /// Net revenue until the end of the period per visitor of the cohort.
    Ltv,
    /// Orders until the end of the period.
    Orders,
    /// Net revenue until the end of the period.
    Revenue,
}

impl CohortMetric {
    /// The values of the parameter `metric`.
    pub const ALLOWED: [(&'static str, Self); 4] = [
        ("retention", Self::Retention),
        ("ltv", Self::Ltv),
        ("orders", Self::Orders),
        ("revenue", Self::Revenue),
    ];
}

/// What the database counted for one cohort.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cohort {
    /// Visitors.
    pub size: i64,
    /// Visitors with a lead or purchase, ever.
    pub converted: i64,
    /// Visitors with any action, by first day of the bucket of the action.
    pub active: BTreeMap<NaiveDate, i64>,
    /// Orders and net revenue, by first day of the bucket of the order.
    pub money: BTreeMap<NaiveDate, (i64, Decimal)>,
}

/// One row of the totals.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Total {
    /// First local day of the cohort's bucket.
    pub cohort: NaiveDate,
    /// Visitors.
    pub size: i64,
    /// Visitors with a lead or purchase, ever.
    pub converted: i64,
    /// Net revenue to date, in the site's currency.
    pub revenue: Figure,
    /// Orders to date.
    pub orders: i64,
    /// Periods of the row that have ended: a null in one of these means that nobody is in the cohort, a null after them that the period
    /// has not ended.
    pub ended_periods: u32,
}

/// The matrix, in the shape of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// A row per cohort; null where the period has not ended, or nobody is in the cohort.
    pub rows: Vec<Vec<Figure>>,
    /// Per period over the cohorts in which it has ended: retention and ltv weighted by the cohorts' sizes, orders and revenue per cohort.
    pub averages: Vec<Figure>,
    /// A row per cohort.
    pub totals: Vec<Total>,
}

/// Builds the matrix over the cohorts that begin on `starts`, for `periods` periods each.
pub fn matrix(
    metric: CohortMetric,
    bucket: Bucket,
    starts: &[NaiveDate],
    periods: u32,
    cohorts: &BTreeMap<NaiveDate, Cohort>,
    (now, zone): (DateTime<Utc>, Tz),
) -> Matrix {
    let nobody = Cohort::default();
    let mut sums = vec![(Decimal::ZERO, 0_i64, 0_i64); periods as usize];
    let mut matrix = Matrix {
        rows: Vec::with_capacity(starts.len()),
        averages: Vec::new(),
        totals: Vec::with_capacity(starts.len()),
    };
    for start in starts {
        let cohort = cohorts.get(start).unwrap_or(&nobody);
        let mut row = Vec::with_capacity(periods as usize);
        let mut ended_periods = 0;
        for (k, sum) in (0..periods).zip(&mut sums) {
            let period = bucket.after(*start, k);
            let ended = bucket.end(period, zone) <= now;
            ended_periods += u32::from(ended);
            let value = match metric {
                CohortMetric::Retention if k == 0 => Some(Decimal::from(cohort.size)),
                _ if !ended => None,
                CohortMetric::Retention => Some(cohort.active.get(&period).copied().unwrap_or(0).into()),
                CohortMetric::Orders => Some(until(cohort, period).0.into()),
                CohortMetric::Ltv | CohortMetric::Revenue => Some(until(cohort, period).1),
            };
            let Some(value) = value else {
                row.push(Figure(None));
                continue;
            };
            *sum = (sum.0 + value, sum.1 + cohort.size, sum.2 + 1);
            row.push(cell(metric, value, cohort.size));
        }
        matrix.rows.push(row);
        let (orders, revenue) = until(cohort, NaiveDate::MAX);
        matrix.totals.push(Total {
            cohort: *start,
            size: cohort.size,
            converted: cohort.converted,
            revenue: revenue.into(),
            orders,
            ended_periods,
        });
    }
    matrix.averages = sums
        .into_iter()
        .map(|(value, size, cohorts)| match metric {
            CohortMetric::Retention | CohortMetric::Ltv => cell(metric, value, size),
            CohortMetric::Orders | CohortMetric::Revenue => Figure::ratio(1, value.into(), cohorts.into()),
        })
        .collect();
    matrix
}

/// Orders and revenue up to and with the bucket that begins on a day. What an order brought before the first session counts with it.
fn until(cohort: &Cohort, last: NaiveDate) -> (i64, Decimal) {
    let money = cohort.money.range(..=last).map(|(_, money)| money);
    money.fold((0, Decimal::ZERO), |sum, money| (sum.0 + money.0, sum.1 + money.1))
}

fn cell(metric: CohortMetric, value: Decimal, size: i64) -> Figure {
    match metric {
        CohortMetric::Retention => Figure::ratio(100, value.into(), size.into()),
        CohortMetric::Ltv => Figure::ratio(1, value.into(), size.into()),
        CohortMetric::Orders | CohortMetric::Revenue => value.into(),
    }
}

/// First days of every bucket from the one that holds `first` to the one that holds `last`.
pub fn starts(bucket: Bucket, first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
    let mut start = bucket.first_day(first);
    let mut found = Vec::new();
    while start <= last {
        found.push(start);
        start = bucket.after(start, 1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZONE: Tz = Tz::Europe__Kyiv;

    fn ymd(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).unwrap()
    }

    #[test]
    fn a_week_starts_on_monday_and_a_month_on_its_first() {
        assert_eq!(Bucket::Week.first_day(ymd(2026, 11, 22)), ymd(2026, 11, 16));
        assert_eq!(Bucket::Week.first_day(ymd(2026, 11, 16)), ymd(2026, 11, 16));
        assert_eq!(Bucket::Month.first_day(ymd(2026, 2, 28)), ymd(2026, 2, 1));
        assert_eq!(Bucket::Month.after(ymd(2026, 11, 1), 3), ymd(2027, 2, 1));
        assert_eq!(Bucket::Month.distance(ymd(2026, 11, 1), ymd(2027, 2, 1)), 3);
    }

    #[test]
    fn the_weeks_of_both_clock_changes_end_at_local_midnight() {
        // 167 and 169 hours.
        for (monday, end) in [
            (ymd(2026, 3, 23), "2026-03-29T21:00:00Z"),
            (ymd(2026, 10, 19), "2026-10-25T22:00:00Z"),
        ] {
            assert_eq!(Bucket::Week.end(monday, ZONE), end.parse::<DateTime<Utc>>().unwrap());
        }
    }

    #[test]
    fn labels_are_those_of_the_original_module() {
        assert_eq!(Bucket::Week.label(0, "uk"), "Тиждень 0");
        assert_eq!(Bucket::Month.label(3, "en"), "Month 3");
        assert_eq!(Bucket::Day.label(11, "uk"), "День 11");
    }

    #[test]
    fn a_period_that_has_not_ended_is_null_but_retention_of_period_zero() {
        let cohort = Cohort {
            size: 4,
            converted: 1,
            active: BTreeMap::from([(ymd(2026, 11, 16), 1), (ymd(2026, 11, 9), 4)]),
            money: BTreeMap::from([
                (ymd(2026, 11, 9), (1, Decimal::from(50))),
                (ymd(2026, 11, 16), (1, Decimal::from(30))),
            ]),
        };
        let cohorts = BTreeMap::from([(ymd(2026, 11, 9), cohort)]);
        let starts = starts(Bucket::Week, ymd(2026, 11, 11), ymd(2026, 11, 20));
        assert_eq!(starts, [ymd(2026, 11, 9), ymd(2026, 11, 16)]);
        let at = |metric, now: &str| matrix(metric, Bucket::Week, &starts, 2, &cohorts, (now.parse().unwrap(), ZONE));
        let number = |n: i64| Figure::from(n);
        let none = Figure(None);

        // The second week ends at 22:00 UTC on Sunday.
        let before = "2026-11-22T21:59:59Z";
        assert_eq!(
            at(CohortMetric::Retention, before).rows,
            [[number(100), none], [none, none]]
        );
        assert_eq!(
            at(CohortMetric::Revenue, before).rows,
            [[number(50), none], [none, none]]
        );
        let after = "2026-11-22T22:00:00Z";
        assert_eq!(at(CohortMetric::Retention, after).rows[0], [number(100), number(25)]);
        assert_eq!(at(CohortMetric::Retention, after).averages, [number(100), number(25)]);
        assert_eq!(
            at(CohortMetric::Revenue, after).rows,
            [[number(50), number(80)], [number(0), none]]
        );
        assert_eq!(
            at(CohortMetric::Ltv, after).rows,
            [[Figure::ratio(1, number(50), number(4)), number(20)], [none, none]]
        );
        assert_eq!(
            at(CohortMetric::Orders, after).averages,
            [Figure::ratio(1, number(1), number(2)), number(2)]
        );
        assert_eq!(at(CohortMetric::Ltv, before).totals[0].revenue, number(80));
        let ended = |now| {
            at(CohortMetric::Ltv, now)
                .totals
                .iter()
                .map(|total| total.ended_periods)
                .collect::<Vec<_>>()
        };
        assert_eq!((ended(before), ended(after)), (vec![1, 0], vec![2, 1]));
    }

    fn any_bucket() -> impl Strategy<Value = Bucket> {
        prop::sample::select(vec![Bucket::Day, Bucket::Week, Bucket::Month])
    }

    fn any_day() -> impl Strategy<Value = NaiveDate> {
        (0u64..20_000).prop_map(|n| ymd(1990, 1, 1) + Days::new(n))
    }

    proptest! {
        #[test]
        fn every_day_lies_in_exactly_one_bucket(bucket in any_bucket(), day in any_day()) {
            let first = bucket.first_day(day);
            prop_assert!(first <= day && day < bucket.after(first, 1));
            prop_assert_eq!(bucket.first_day(first), first);
        }

        #[test]
        fn distance_undoes_after(bucket in any_bucket(), day in any_day(), k in 0u32..100) {
            let first = bucket.first_day(day);
            prop_assert_eq!(bucket.distance(first, bucket.after(first, k)), i64::from(k));
        }

        #[test]
        fn retention_stays_in_bounds_and_money_never_falls(
            bucket in any_bucket(),
            sizes in prop::collection::vec((1i64..50, prop::collection::vec((0.0..=1.0_f64, 0i64..5, 0i64..100_000), 12)), 1..6),
        ) {
            let begin = bucket.first_day(ymd(2026, 1, 1));
            let starts: Vec<NaiveDate> = (0..sizes.len() as u32).map(|n| bucket.after(begin, n)).collect();
            let cohorts: BTreeMap<NaiveDate, Cohort> = starts.iter().zip(&sizes).map(|(start, (size, periods))| {
                let day = |k: usize| bucket.after(*start, k as u32);
                let active = periods.iter().enumerate().map(|(k, (share, ..))| (day(k), (share * *size as f64) as i64)).collect();
                let money = periods.iter().enumerate().map(|(k, (_, n, cents))| (day(k), (*n, Decimal::new(*cents, 2)))).collect();
                (*start, Cohort { size: *size, converted: 0, active, money })
            }).collect();
            let now = "2026-09-10T10:00:00Z".parse().unwrap();
            let of = |metric| matrix(metric, bucket, &starts, 12, &cohorts, (now, ZONE));
            for row in of(CohortMetric::Retention).rows {
                prop_assert_eq!(row[0], Figure::from(100));
                prop_assert!(row.iter().flat_map(|f| f.0).all(|v| v >= Decimal::ZERO && v <= Decimal::from(100)));
            }
            for metric in [CohortMetric::Ltv, CohortMetric::Revenue, CohortMetric::Orders] {
                for row in of(metric).rows {
                    let known: Vec<Decimal> = row.iter().map_while(|f| f.0).collect();
                    prop_assert!(known.is_sorted());
                    prop_assert!(row[known.len()..].iter().all(|f| f.0.is_none()), "a period after an open one is open");
                }
            }
            prop_assert_eq!(of(CohortMetric::Ltv).totals.iter().map(|t| t.size).sum::<i64>(), sizes.iter().map(|s| s.0).sum::<i64>());
        }
    }
}
