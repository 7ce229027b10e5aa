//! Conversion rates: intervals and tests for one and two proportions.

use std::cmp::Ordering;

use serde::Serialize;

use super::{Interval, Undefined, normal_quantile, normal_two_sided};

/// Below this expected count in any cell of the 2×2 table the normal approximation is not used (Cochran 1954).
pub const MIN_EXPECTED: f64 = 5.0;
/// Tables whose probability exceeds the observed one's by less than this share count as equally probable, since the probabilities
/// are computed in floating point (the tolerance of R's `fisher.test`).
const TIE: f64 = 1e-7;

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proportion {
    successes: u64,
    trials: u64,
}

impl Proportion {
    /// `None` when there are more successes than trials.
    pub fn new(successes: u64, trials: u64) -> Option<Self> {
        (successes <= trials).then_some(Self { successes, trials })
    }

    /// How many succeeded.
    pub fn successes(self) -> u64 {
        self.successes
    }

    /// Of how many.
    pub fn trials(self) -> u64 {
        self.trials
    }

    /// 0 to 1.
    ///
    /// # Errors
    /// [`Undefined::NoSessions`].
    pub fn rate(self) -> Result<f64, Undefined> {
        match self.trials {
            0 => Err(Undefined::NoSessions),
            trials => Ok(self.successes as f64 / trials as f64),
        }
    }

    /// Compares the rates exactly; a rate that is not defined is the smallest.
    pub fn cmp_rate(self, other: Self) -> Ordering {
        match (self.trials, other.trials) {
            (0, 0) => Ordering::Equal,
            (0, _) => Ordering::Less,
            (_, 0) => Ordering::Greater,
            (n, m) => (u128::from(self.successes) * u128::from(m)).cmp(&(u128::from(other.successes) * u128::from(n))),
        }
    }

    /// Score interval of the rate at a confidence level (0 to 1). Wilson (1927), J. Am. Stat. Assoc. 22, 209–212, without
    /// continuity correction.
    ///
    /// # Errors
    /// [`Undefined::NoSessions`].
    pub fn wilson(self, level: f64) -> Result<Interval, Undefined> {
        let p = self.rate()?;
        let n = self.trials as f64;
        let z = normal_quantile(0.5 + level / 2.0);
        let centre = 2.0 * n * p + z * z;
        let reach = z * (z * z + 4.0 * n * p * (1.0 - p)).sqrt();
        let width = 2.0 * (n + z * z);
        Ok(Interval {
            low: if self.successes == 0 {
                0.0
            } else {
                (centre - reach) / width
            },
            high: if self.successes == self.trials {
                1.0
            } else {
                (centre + reach) / width
            },
        })
    }
}

/// How a p-value was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Pooled two-proportion z-test, two-sided.
    PooledZ,
    /// Fisher's exact test, two-sided.
    FisherExact,
}

/// A p-value and the test that gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// Which test.
    pub test: Test,
    /// Standard score, for the z-test.
    pub z: Option<f64>,
    /// Two-sided, 0 to 1.
    pub p_value: f64,
}

/// Tests whether two rates differ: the pooled z-test, or Fisher's exact test when any expected count is below [`MIN_EXPECTED`].
///
/// # Errors
/// [`Undefined::NoSessions`], [`Undefined::NoConversions`] or [`Undefined::AllConverted`].
pub fn compare(a: Proportion, b: Proportion) -> Result<Tested, Undefined> {
    let z = pooled_z(a, b)?;
    if smallest_expected(a, b) < MIN_EXPECTED {
        return Ok(Tested {
            test: Test::FisherExact,
            z: None,
            p_value: fisher(a, b),
        });
    }
    Ok(Tested {
        test: Test::PooledZ,
        z: Some(z),
        p_value: normal_two_sided(z),
    })
}

fn smallest_expected(a: Proportion, b: Proportion) -> f64 {
    let (successes, trials) = (a.successes + b.successes, a.trials + b.trials);
    let column = successes.min(trials - successes) as f64;
    column * a.trials.min(b.trials) as f64 / trials as f64
}

/// z = (p₁ − p₂) / √(p(1 − p)(1/n₁ + 1/n₂)) with the pooled rate p, positive when `a` has the higher rate.
/// Fleiss, Levin, Paik (2003), Statistical Methods for Rates and Proportions, 3.2, without continuity correction.
///
/// # Errors
/// As [`compare`].
pub fn pooled_z(a: Proportion, b: Proportion) -> Result<f64, Undefined> {
    let difference = a.rate()? - b.rate()?;
    let (successes, trials) = (a.successes + b.successes, a.trials + b.trials);
    if successes == 0 {
        return Err(Undefined::NoConversions);
    }
    if successes == trials {
        return Err(Undefined::AllConverted);
    }
    let pooled = successes as f64 / trials as f64;
    let failed = (trials - successes) as f64 / trials as f64;
    Ok(difference / (pooled * failed * (1.0 / a.trials as f64 + 1.0 / b.trials as f64)).sqrt())
}

/// Two-sided p-value of Fisher's exact test: the probability, given all margins, of every table that is not more probable than the
/// one observed. Fisher (1935), The Design of Experiments, ch. II. 1 when a margin is empty.
///
/// The hypergeometric weights are built by their ratios outward from the mode and normalised by their sum, which keeps full
/// precision where differences of log-gammas lose it.
pub fn fisher(a: Proportion, b: Proportion) -> f64 {
    let (n1, n2) = (a.trials as f64, b.trials as f64);
    let successes = a.successes + b.successes;
    let drawn = successes as f64;
    let (first, last) = (successes.saturating_sub(b.trials), successes.min(a.trials));
    // Weight of k + 1 successes in the first row over that of k.
    let ratio = |k: u64| {
        let k = k as f64;
        (n1 - k) * (drawn - k) / ((k + 1.0) * (n2 - drawn + k + 1.0))
    };
    let mode = (((drawn + 1.0) * (n1 + 1.0) / (n1 + n2 + 2.0)) as u64).clamp(first, last);
    let mut weights = vec![0.0; (last - first + 1) as usize];
    let at = |k: u64| (k - first) as usize;
    weights[at(mode)] = 1.0;
    for k in mode..last {
        weights[at(k + 1)] = weights[at(k)] * ratio(k);
    }
    for k in (first..mode).rev() {
        weights[at(k)] = weights[at(k + 1)] / ratio(k);
    }
    let observed = weights[at(a.successes)] * (1.0 + TIE);
    let total: f64 = weights.iter().sum();
    let tail: f64 = weights.iter().filter(|weight| **weight <= observed).sum();
    (tail / total).min(1.0)
}

/// Interval of the difference of two rates, `a` − `b`, at a confidence level. Newcombe (1998), Statistics in Medicine 17, 873–890,
/// method 10: the hybrid of two Wilson intervals, without continuity correction.
///
/// # Errors
/// [`Undefined::NoSessions`].
pub fn newcombe(a: Proportion, b: Proportion, level: f64) -> Result<Interval, Undefined> {
    let (p, q) = (a.rate()?, b.rate()?);
    let (of_a, of_b) = (a.wilson(level)?, b.wilson(level)?);
    Ok(Interval {
        low: p - q - (p - of_a.low).hypot(of_b.high - q),
        high: p - q + (of_a.high - p).hypot(q - of_b.low),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(successes: u64, trials: u64) -> Proportion {
        Proportion::new(successes, trials).unwrap()
    }

    #[test]
    fn newcombes_published_intervals_come_out() {
        // Newcombe 1998, table II, method 10.
        for (a, b, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((6, 7), (2, 7), 0.0582, 0.8062),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((0, 10), (0, 10), -0.2775, 0.2775),
            ((10, 10), (0, 20), 0.6791, 1.0),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ] {
            let got = newcombe(of(a.0, a.1), of(b.0, b.1), 0.95).unwrap();
            assert!(
                (got.low - low).abs() < 5.1e-5 && (got.high - high).abs() < 5.1e-5,
                "{a:?} {b:?}: {got:?}"
            );
        }
    }

    #[test]
    fn the_lady_tasting_tea_proves_nothing_with_one_mistake_and_a_lot_with_none() {
        assert!((fisher(of(3, 4), of(1, 4)) - 34.0 / 70.0).abs() < 1e-15);
        assert!((fisher(of(4, 4), of(0, 4)) - 2.0 / 70.0).abs() < 1e-15);
    }

    #[test]
    fn an_expected_count_below_five_asks_for_the_exact_test() {
        // 9 of 200 converted: 4.5 expected in each group; 10 of 200: exactly 5.
        assert_eq!(compare(of(7, 100), of(2, 100)).unwrap().test, Test::FisherExact);
        assert_eq!(compare(of(7, 100), of(3, 100)).unwrap().test, Test::PooledZ);
    }

    #[test]
    fn what_cannot_be_known_says_why() {
        assert_eq!(compare(of(0, 0), of(1, 5)), Err(Undefined::NoSessions));
        assert_eq!(compare(of(0, 5), of(0, 7)), Err(Undefined::NoConversions));
        assert_eq!(compare(of(5, 5), of(7, 7)), Err(Undefined::AllConverted));
        assert_eq!(of(0, 0).wilson(0.95), Err(Undefined::NoSessions));
        assert_eq!(Proportion::new(6, 5), None);
    }

    fn any_proportion() -> impl Strategy<Value = Proportion> {
        (0u64..3_000).prop_flat_map(|trials| (0..=trials, Just(trials)).prop_map(|(s, t)| of(s, t)))
    }

    proptest! {
        #[test]
        fn the_order_of_the_groups_does_not_matter(a in any_proportion(), b in any_proportion()) {
            match (compare(a, b), compare(b, a)) {
                (Ok(one), Ok(other)) => {
                    prop_assert_eq!(one.test, other.test);
                    prop_assert!((one.p_value - other.p_value).abs() < 1e-12);
                    prop_assert!((0.0..=1.0).contains(&one.p_value));
                }
                (one, other) => prop_assert_eq!(one, other),
            }
        }

        #[test]
        fn intervals_hold_their_estimate_and_stay_in_bounds(a in any_proportion(), b in any_proportion()) {
            let Ok(p) = a.rate() else { return Ok(()) };
            let w = a.wilson(0.95).unwrap();
            prop_assert!(0.0 <= w.low && w.low <= p && p <= w.high && w.high <= 1.0);
            let Ok(q) = b.rate() else { return Ok(()) };
            let d = newcombe(a, b, 0.95).unwrap();
            prop_assert!(-1.0 - 1e-12 <= d.low && d.low <= p - q && p - q <= d.high && d.high <= 1.0 + 1e-12);
        }

        #[test]
        fn fishers_p_is_the_same_for_failures_as_for_successes(a in any_proportion(), b in any_proportion()) {
            let flip = |p: Proportion| of(p.trials - p.successes, p.trials);
            prop_assert!((fisher(a, b) - fisher(flip(a), flip(b))).abs() < 1e-9);
        }
    }
}
