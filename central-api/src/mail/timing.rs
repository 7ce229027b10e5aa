//! When a schedule is due, and which days its report covers. Pure; the clock comes in.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;

use crate::reports::period::{Period, PeriodName};

/// How often, and on which day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// Every day.
    Daily,
    /// Every week on this day.
    Weekly(Weekday),
    /// Every month on this day, 1 to 31; on the last one of a month that is shorter.
    Monthly(u32),
}

impl Frequency {
    /// As stored and as asked for.
    pub const NAMES: [&'static str; 3] = ["daily", "weekly", "monthly"];

    /// As stored and as asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => Self::NAMES[0],
            Self::Weekly(_) => Self::NAMES[1],
            Self::Monthly(_) => Self::NAMES[2],
        }
    }

    /// The period that a report covers, see [`Timing::covered`].
    pub const fn covers(self) -> Covered {
        match self {
            Self::Daily => Covered::Day,
            Self::Weekly(_) => Covered::Week,
            Self::Monthly(_) => Covered::Month,
        }
    }

    /// How long after its slot a report is still sent, late; after that it is recorded as missed.
    pub const fn late_window(self) -> TimeDelta {
        match self {
            Self::Daily => TimeDelta::hours(20),
            Self::Weekly(_) | Self::Monthly(_) => TimeDelta::days(3),
        }
    }

    fn falls_on(self, day: NaiveDate) -> bool {
        match self {
            Self::Daily => true,
            Self::Weekly(weekday) => day.weekday() == weekday,
            Self::Monthly(wanted) => {
                let is_last = (day + Days::new(1)).day() == 1;
                day.day() == wanted || (is_last && day.day() < wanted)
            }
        }
    }
}

/// What a report is about, as its subject says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// One whole day.
    Day,
    /// Since midnight.
    Today,
    /// Seven days.
    Week,
    /// A calendar month, or the last 30 days.
    Month,
    /// Everything.
    AllTime,
    /// Other days.
    Days,
}

impl Covered {
    /// As stored.
    pub const ALL: [(&'static str, Self); 6] = [
        ("day", Self::Day),
        ("today", Self::Today),
        ("week", Self::Week),
        ("month", Self::Month),
        ("all_time", Self::AllTime),
        ("days", Self::Days),
    ];

    /// As stored.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, covered)| *covered == self)
            .map_or("day", |(name, _)| name)
    }

    /// What a period of the API is called.
    pub fn of(period: &Period) -> Self {
        let days = period
            .first_day
            .map_or(0, |first| (period.last_day - first).num_days() + 1);
        match period.name {
            PeriodName::Today => Self::Today,
            PeriodName::Week => Self::Week,
            PeriodName::Month => Self::Month,
            PeriodName::AllTime => Self::AllTime,
            PeriodName::Custom => match days {
                1 => Self::Day,
                7 => Self::Week,
                _ => Self::Days,
            },
        }
    }

    /// Reads [`Covered::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, covered)| *covered)
    }
}

/// A longer pause between the slot and the sending is said in the mail. The worker's cron asks every hour.
pub const LATE_AFTER: TimeDelta = TimeDelta::minutes(90);

/// When a schedule is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often.
    pub frequency: Frequency,
    /// Full hour, 0 to 23.
    pub hour: u32,
    /// Zone of the hour and of the day.
    pub zone: Tz,
}

impl Timing {
    /// Slots after one instant up to another, in order; at most the latest `most`.
    pub fn slots(&self, after: DateTime<Utc>, until: DateTime<Utc>, most: usize) -> Vec<DateTime<Utc>> {
        let mut slots = Vec::new();
        // A slot lies on its local day but for a skipped hour, which may end on the next.
        let mut day = until.with_timezone(&self.zone).date_naive();
        let first = after.with_timezone(&self.zone).date_naive() - Days::new(1);
        while day >= first && slots.len() < most {
            if self.frequency.falls_on(day) {
                let slot = self.on(day);
                if after < slot && slot <= until {
                    slots.push(slot);
                }
            }
            day = day - Days::new(1);
        }
        slots.reverse();
        slots
    }

    /// The first slot after an instant.
    pub fn next(&self, after: DateTime<Utc>) -> DateTime<Utc> {
        let mut day = after.with_timezone(&self.zone).date_naive();
        loop {
            if self.frequency.falls_on(day) {
                let slot = self.on(day);
                if slot > after {
                    return slot;
                }
            }
            day = day + Days::new(1);
        }
    }

    /// The hour on a day: the earlier one where the clock passes it twice, the first instant after a gap that swallows it.
    fn on(&self, day: NaiveDate) -> DateTime<Utc> {
        let wanted = day.and_time(chrono::NaiveTime::MIN) + TimeDelta::hours(i64::from(self.hour));
        (0..=26 * 60)
            .find_map(|minutes| {
                self.zone
                    .from_local_datetime(&(wanted + TimeDelta::minutes(minutes)))
                    .earliest()
            })
            .map_or_else(|| wanted.and_utc(), |slot| slot.with_timezone(&Utc))
    }
}

/// First and last day that a report covers which is due at `slot`: whole days of the site's zone that are over. Daily the day before, weekly
/// the seven days before, monthly the calendar month before.
pub fn covered_days(covered: Covered, slot: DateTime<Utc>, site_zone: Tz) -> (NaiveDate, NaiveDate) {
    let today = slot.with_timezone(&site_zone).date_naive();
    let yesterday = today - Days::new(1);
    match covered {
        Covered::Week => (today - Days::new(7), yesterday),
        Covered::Month => {
            let first = today.with_day(1).unwrap_or(today);
            (first - Months::new(1), first - Days::new(1))
        }
        Covered::Day | Covered::Today | Covered::AllTime | Covered::Days => (yesterday, yesterday),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn kyiv(frequency: Frequency, hour: u32) -> Timing {
        Timing {
            frequency,
            hour,
            zone: Tz::Europe__Kyiv,
        }
    }

    fn texts(slots: &[DateTime<Utc>]) -> Vec<String> {
        slots.iter().map(|slot| slot.format("%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn nine_o_clock_stays_nine_o_clock_over_both_clock_changes() {
        let daily = kyiv(Frequency::Daily, 9);
        let spring = daily.slots(at("2026-03-27T12:00:00Z"), at("2026-03-30T12:00:00Z"), 9);
        assert_eq!(texts(&spring), ["28T07:00", "29T06:00", "30T06:00"]);
        let autumn = daily.slots(at("2026-10-23T12:00:00Z"), at("2026-10-26T12:00:00Z"), 9);
        assert_eq!(texts(&autumn), ["24T06:00", "25T07:00", "26T07:00"]);
    }

    #[test]
    fn an_hour_that_is_skipped_or_passed_twice_gives_one_slot() {
        // Kyiv skips 03:00 to 04:00 on 29 March and passes it twice on 25 October.
        let daily = kyiv(Frequency::Daily, 3);
        let spring = daily.slots(at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"), 9);
        assert_eq!(texts(&spring), ["29T01:00"]);
        let autumn = daily.slots(at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"), 9);
        assert_eq!(texts(&autumn), ["25T00:00"]);
        // Havana skips midnight on 8 March: the slot is the day's first instant.
        let havana = Timing {
            frequency: Frequency::Daily,
            hour: 0,
            zone: Tz::America__Havana,
        };
        let slots = havana.slots(at("2026-03-07T12:00:00Z"), at("2026-03-09T12:00:00Z"), 9);
        assert_eq!(texts(&slots), ["08T05:00", "09T04:00"]);
    }

    #[test]
    fn a_month_that_is_too_short_is_reported_on_its_last_day() {
        let days = |wanted| {
            let timing = Timing {
                frequency: Frequency::Monthly(wanted),
                hour: 9,
                zone: Tz::UTC,
            };
            let slots = timing.slots(at("2027-12-31T12:00:00Z"), at("2028-06-01T00:00:00Z"), 99);
            slots
                .iter()
                .map(|slot| slot.format("%d.%m").to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(days(31), ["31.01", "29.02", "31.03", "30.04", "31.05"]);
        assert_eq!(days(30), ["30.01", "29.02", "30.03", "30.04", "30.05"]);
        assert_eq!(days(1), ["01.01", "01.02", "01.03", "01.04", "01.05"]);
    }

    #[test]
    fn a_report_covers_whole_days_that_are_over_in_the_sites_zone() {
        let ymd = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        let monday = at("2026-11-16T07:00:00Z");
        let kyiv = Tz::Europe__Kyiv;
        assert_eq!(
            covered_days(Covered::Week, monday, kyiv),
            (ymd(2026, 11, 9), ymd(2026, 11, 15))
        );
        assert_eq!(
            covered_days(Covered::Day, monday, kyiv),
            (ymd(2026, 11, 15), ymd(2026, 11, 15))
        );
        assert_eq!(
            covered_days(Covered::Month, monday, kyiv),
            (ymd(2026, 10, 1), ymd(2026, 10, 31))
        );
        assert_eq!(
            covered_days(Covered::Month, at("2027-01-01T07:00:00Z"), kyiv),
            (ymd(2026, 12, 1), ymd(2026, 12, 31))
        );
        // Late on Sunday in UTC it is Monday already at the shop.
        assert_eq!(
            covered_days(Covered::Day, at("2026-11-15T22:30:00Z"), kyiv).0,
            ymd(2026, 11, 15)
        );
        assert_eq!(
            covered_days(Covered::Day, at("2026-11-15T22:30:00Z"), Tz::UTC).0,
            ymd(2026, 11, 14)
        );
    }

    proptest! {
        #[test]
        fn slots_are_told_the_same_forwards_and_backwards(
            start in 1_500_000_000i64..2_000_000_000, days in 1i64..90, hour in 0u32..24, which in 0usize..3, zone in 0usize..4,
        ) {
            let zone = [Tz::Europe__Kyiv, Tz::America__Havana, Tz::Asia__Kathmandu, Tz::Australia__Lord_Howe][zone];
            let frequency = [Frequency::Daily, Frequency::Weekly(Weekday::Mon), Frequency::Monthly(31)][which];
            let timing = Timing { frequency, hour, zone };
            let (from, to) = (DateTime::from_timestamp(start, 0).unwrap(), DateTime::from_timestamp(start + days * 86_400, 0).unwrap());
            let mut forwards = Vec::new();
            let mut slot = timing.next(from);
            while slot <= to {
                forwards.push(slot);
                slot = timing.next(slot);
            }
            prop_assert_eq!(&forwards, &timing.slots(from, to, 1_000));
            // One a day at most, whatever the clocks do.
            let days: std::collections::BTreeSet<_> = forwards.iter().map(|slot| slot.with_timezone(&zone).date_naive()).collect();
            prop_assert_eq!(days.len(), forwards.len());
        }
    }
}
