//! Exchange rates by day: a site's own, in units of its currency.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::db::exchange_rates;
use crate::site::Site;

/// An order takes the rate of its day, or the latest earlier one of this many days before.
pub const FALLBACK_DAYS: u64 = 7;

/// The local day that an order's rate is looked up for.
pub fn day_of(created_at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    created_at.with_timezone(&zone).date_naive()
}

/// Rates held in memory for the orders of one batch.
#[derive(Debug, Default)]
pub struct Rates(BTreeMap<(String, NaiveDate), Decimal>);

impl Rates {
    /// Loads what the given orders (currency, time placed) may need.
    pub async fn load(conn: &mut PgConnection, site: &Site, orders: &[(String, DateTime<Utc>)]) -> sqlx::Result<Self> {
        let days: Vec<NaiveDate> = orders.iter().map(|order| day_of(order.1, site.time_zone)).collect();
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
            return Ok(Self::default());
        };
        let mut currencies: Vec<String> = orders.iter().map(|order| order.0.clone()).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let from = first.checked_sub_days(Days::new(FALLBACK_DAYS)).unwrap_or(*first);
        let rates = exchange_rates::between(conn, site.id, &currencies, from, *last).await?;
        Ok(Self(
            rates
                .into_iter()
                .map(|(currency, day, rate)| ((currency, day), rate))
                .collect(),
        ))
    }

    /// The rate of a day, or the latest of the seven days before.
    pub fn on(&self, currency: &str, day: NaiveDate) -> Option<Decimal> {
        let earliest = day.checked_sub_days(Days::new(FALLBACK_DAYS))?;
        self.0
            .range((currency.to_owned(), earliest)..=(currency.to_owned(), day))
            .next_back()
            .map(|(_, rate)| *rate)
    }
}

/// From a time on, until before another.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// The times whose orders a rate of `day` can change: from its local midnight to the midnight after the last day that falls back on it.
pub fn reach(day: NaiveDate, zone: Tz) -> Option<Span> {
    let midnight = |day: NaiveDate| {
        let local = day.and_hms_opt(0, 0, 0)?;
        // A zone that skips midnight starts its day an hour later; one more hour of orders looked at does no harm.
        let time = zone.from_local_datetime(&local).earliest();
        Some(time.map_or_else(|| local.and_utc() - chrono::Duration::hours(14), |time| time.to_utc()))
    };
    Some((
        midnight(day)?,
        midnight(day.checked_add_days(Days::new(FALLBACK_DAYS + 1))?)?,
    ))
}

/// What rates of some days [`reach`] together, by currency and in order, no time twice.
pub fn reach_together(rates: &[(String, NaiveDate)], zone: Tz) -> Vec<(String, Span)> {
    let mut rates = rates.to_vec();
    rates.sort_unstable();
    let mut together: Vec<(String, Span)> = Vec::new();
    for (currency, day) in rates {
        let Some((from, to)) = reach(day, zone) else { continue };
        match together.last_mut() {
            Some((of, (_, until))) if *of == currency && from <= *until => *until = to,
            _ => together.push((currency, (from, to))),
        }
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rates_reach_together_holds_no_time_twice_and_no_currency_of_another() {
        let zone = chrono_tz::Europe::Kyiv;
        let day = |d: u32| NaiveDate::from_ymd_opt(2026, 11, d).unwrap();
        let rate = |currency: &str, d| (currency.to_owned(), day(d));
        let from = |d| reach(day(d), zone).unwrap().0;
        let to = |d| reach(day(d), zone).unwrap().1;
        let rates = [
            rate("USD", 2),
            rate("EUR", 3),
            rate("EUR", 1),
            rate("EUR", 2),
            rate("EUR", 20),
            rate("EUR", 11),
        ];
        assert_eq!(
            reach_together(&rates, zone),
            [
                // The eleventh begins where the last day ends that the third reaches.
                ("EUR".to_owned(), (from(1), to(11))),
                ("EUR".to_owned(), (from(20), to(20))),
                ("USD".to_owned(), (from(2), to(2))),
            ]
        );
    }

    #[test]
    fn a_day_without_a_rate_takes_the_latest_of_the_seven_days_before() {
        let day = |d: u32| NaiveDate::from_ymd_opt(2026, 11, d).unwrap();
        let rates = Rates(BTreeMap::from([
            (("EUR".into(), day(1)), Decimal::from(50)),
            (("EUR".into(), day(3)), Decimal::from(51)),
            (("USD".into(), day(9)), Decimal::from(41)),
        ]));
        assert_eq!(rates.on("EUR", day(1)), Some(Decimal::from(50)));
        assert_eq!(rates.on("EUR", day(2)), Some(Decimal::from(50)));
        assert_eq!(rates.on("EUR", day(10)), Some(Decimal::from(51)));
        assert_eq!(rates.on("EUR", day(11)), None);
        assert_eq!(rates.on("USD", day(8)), None);
    }
}
