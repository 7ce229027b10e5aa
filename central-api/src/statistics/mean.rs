//! Money per session: Welch's test of two means, with and without the largest orders capped.

use statrs::function::beta::beta_reg;

use super::{Undefined, normal_two_sided};

/// From this many degrees of freedom Student's distribution is computed by its expansion about the normal one.
const LARGE_FREEDOM: f64 = 2_000.0;

/// Number, mean and variance of a group in which most values are 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// How many values, zeros included.
    pub count: u64,
    /// Their mean; 0 when there are none.
    pub mean: f64,
    /// Unbiased variance; `None` below two values.
    pub variance: Option<f64>,
}

impl Sample {
    /// Of `count` values, of which all but `non_zero` are 0. `None` when there are more than `count`.
    pub fn new(count: u64, non_zero: &[f64]) -> Option<Self> {
        let zeros = count.checked_sub(non_zero.len() as u64)? as f64;
        let mean = if count == 0 {
            0.0
        } else {
            // From 0, since the sum of no floats is −0 and would be shown with its sign.
            non_zero.iter().fold(0.0, |sum, value| sum + value) / count as f64
        };
        let squares = non_zero.iter().map(|value| (value - mean).powi(2)).sum::<f64>() + zeros * mean * mean;
        Some(Self {
            count,
            mean,
            variance: (count > 1).then(|| squares / (count - 1) as f64),
        })
    }
}

/// Result of [`welch`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Welch {
    /// Student's t; positive when the first group has the higher mean.
    pub t: f64,
    /// Welch–Satterthwaite degrees of freedom.
    pub freedom: f64,
    /// Two-sided, 0 to 1.
    pub p_value: f64,
}

/// Tests whether two means differ without assuming equal variances: Welch (1947), Biometrika 34, 28–35, two-sided.
///
/// # Errors
/// [`Undefined::TooFewValues`] or [`Undefined::NoVariance`].
pub fn welch(a: &Sample, b: &Sample) -> Result<Welch, Undefined> {
    let of = |sample: &Sample| sample.variance.map(|variance| variance / sample.count as f64);
    let (va, vb) = of(a).zip(of(b)).ok_or(Undefined::TooFewValues)?;
    if va + vb <= 0.0 {
        return Err(Undefined::NoVariance);
    }
    let t = (a.mean - b.mean) / (va + vb).sqrt();
    // Shares of the variance, so that tiny and huge amounts do not leave the range of a float when squared.
    let (share_a, share_b) = (va / (va + vb), vb / (va + vb));
    let freedom = 1.0 / (share_a * share_a / (a.count - 1) as f64 + share_b * share_b / (b.count - 1) as f64);
    Ok(Welch {
        t,
        freedom,
        p_value: student_two_sided(t, freedom),
    })
}

/// P(|T| ≥ `t`) of Student's T. Below [`LARGE_FREEDOM`] by the regularised incomplete beta function (Abramowitz, Stegun 26.7.1);
/// from there, where that function loses digits, by Fisher's expansion about the normal distribution (Fisher 1925, Metron 5(3),
/// 109–112; the first three terms, exact to better than 1e-11 there).
pub fn student_two_sided(t: f64, freedom: f64) -> f64 {
    if freedom < LARGE_FREEDOM {
        return beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    }
    let t = t.abs();
    if t > 37.0 {
        // The normal tail is below the smallest float's reach and the expansion's powers are not.
        return normal_two_sided(t);
    }
    let s = t * t;
    let density = (-s / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let first = (s + 1.0) / 4.0;
    let second = (((3.0 * s - 7.0) * s - 5.0) * s - 3.0) / 96.0;
    let third = (((((s - 11.0) * s + 14.0) * s + 6.0) * s - 3.0) * s - 15.0) / 384.0;
    let correction = t * (first + (second + third / freedom) / freedom) / freedom;
    (normal_two_sided(t) + 2.0 * density * correction).clamp(0.0, 1.0)
}

/// The value below which the share `percentile` (0 to 1) of the values lies, linear between neighbours: definition 7 of Hyndman and
/// Fan (1996), The American Statistician 50, 361–365. `None` without values.
pub fn quantile(values: &[f64], percentile: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let position = percentile.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let (low, high) = (sorted[below], sorted[above]);
    Some(low + (high - low) * (position - below as f64))
}

/// Values above `cap` become `cap`: one-sided winsorising, since single huge orders and not small ones spoil a mean of money.
pub fn capped(values: &[f64], cap: f64) -> Vec<f64> {
    values.iter().map(|value| value.min(cap)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_known_says_why() {
        let of = |count, values: &[f64]| Sample::new(count, values).unwrap();
        assert_eq!(welch(&of(1, &[5.0]), &of(9, &[1.0])), Err(Undefined::TooFewValues));
        assert_eq!(welch(&of(0, &[]), &of(9, &[1.0])), Err(Undefined::TooFewValues));
        assert_eq!(welch(&of(9, &[]), &of(5, &[])), Err(Undefined::NoVariance));
        assert_eq!(Sample::new(1, &[1.0, 2.0]), None);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_group_without_money_has_a_mean_of_zero_and_not_of_minus_zero() {
        let sample = Sample::new(7, &[]).unwrap();
        assert_eq!(serde_json::to_string(&sample.mean).unwrap(), "0.0");
    }

    #[test]
    fn both_ways_to_students_tail_agree_where_they_meet() {
        for t in [0.0, 0.3, 1.0, 1.96, 3.0, 5.0, 8.0] {
            let (below, above) = (
                student_two_sided(t, LARGE_FREEDOM - 1e-6),
                student_two_sided(t, LARGE_FREEDOM),
            );
            assert!((below - above).abs() < 1e-11, "{t}: {below} {above}");
        }
    }

    proptest! {
        #[test]
        fn zeros_counted_are_zeros_listed(values in prop::collection::vec(0.01..1e6_f64, 0..30), zeros in 0usize..30) {
            let sparse = Sample::new((values.len() + zeros) as u64, &values).unwrap();
            let listed: Vec<f64> = values.iter().copied().chain(std::iter::repeat_n(0.0, zeros)).collect();
            let dense = Sample::new(listed.len() as u64, &listed).unwrap();
            prop_assert!((sparse.mean - dense.mean).abs() <= 1e-9 * dense.mean);
            if let (Some(a), Some(b)) = (sparse.variance, dense.variance) {
                prop_assert!((a - b).abs() <= 1e-9 * b);
            }
        }

        #[test]
        fn a_p_value_lies_between_zero_and_one_and_falls_with_t(t in 0.0..60.0_f64, freedom in 1.0..1e8_f64) {
            let p = student_two_sided(t, freedom);
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert!(student_two_sided(t + 0.01, freedom) <= p);
        }
    }
}
