//! How many sessions a test needs, and whether traffic was split as planned.

use statrs::function::gamma::gamma_ur;

use super::{Undefined, normal_quantile};

/// Sessions needed in each of two equal groups to find the difference between two rates (0 to 1) in a two-sided test at `alpha`
/// with the probability `power`: n = (z₁₋α⁄₂·√(2p̄(1 − p̄)) + z_power·√(p₁(1 − p₁) + p₂(1 − p₂)))² / (p₁ − p₂)².
/// Fleiss, Levin, Paik (2003), Statistical Methods for Rates and Proportions, 4.2, without continuity correction. Not rounded.
///
/// # Errors
/// [`Undefined::EqualRates`].
pub fn sessions_needed(rates: (f64, f64), alpha: f64, power: f64) -> Result<f64, Undefined> {
    let (p, q) = rates;
    if p == q {
        return Err(Undefined::EqualRates);
    }
    let mean = (p + q) / 2.0;
    let under_null = normal_quantile(1.0 - alpha / 2.0) * (2.0 * mean * (1.0 - mean)).sqrt();
    let under_difference = normal_quantile(power) * (p * (1.0 - p) + q * (1.0 - q)).sqrt();
    Ok(((under_null + under_difference) / (p - q)).powi(2))
}

/// A check of the planned split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Pearson's chi-square with one degree of freedom fewer than variants.
    pub chi_square: f64,
    /// Probability of a split at least this far from the plan, had the plan been kept.
    pub p_value: f64,
}

/// Tests sessions per variant against planned weights (any positive scale): Pearson's chi-square test of fit.
///
/// # Errors
/// [`Undefined::OneVariant`]; [`Undefined::NoWeights`] when the weights do not match the variants or are not all positive;
/// [`Undefined::NoSessions`]; [`Undefined::ExpectedTooSmall`].
pub fn sample_ratio(sessions: &[u64], weights: &[f64]) -> Result<SampleRatio, Undefined> {
    if sessions.len() < 2 {
        return Err(Undefined::OneVariant);
    }
    let planned: f64 = weights.iter().sum();
    if weights.len() != sessions.len()
        || !planned.is_finite()
        || weights.iter().any(|weight| weight.is_nan() || *weight <= 0.0)
    {
        return Err(Undefined::NoWeights);
    }
    let total = sessions.iter().sum::<u64>() as f64;
    if total == 0.0 {
        return Err(Undefined::NoSessions);
    }
    let mut chi_square = 0.0;
    for (seen, weight) in sessions.iter().zip(weights) {
        let expected = total * weight / planned;
        if expected < super::proportion::MIN_EXPECTED {
            return Err(Undefined::ExpectedTooSmall);
        }
        chi_square += (*seen as f64 - expected).powi(2) / expected;
    }
    let half_freedom = (sessions.len() - 1) as f64 / 2.0;
    let p_value = if chi_square > 0.0 {
        gamma_ur(half_freedom, chi_square / 2.0)
    } else {
        1.0
    };
    Ok(SampleRatio { chi_square, p_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rates_need_no_number() {
        assert_eq!(sessions_needed((0.1, 0.1), 0.05, 0.8), Err(Undefined::EqualRates));
    }

    #[test]
    fn a_smaller_difference_needs_more_sessions() {
        let needed = |q| sessions_needed((0.1, q), 0.05, 0.8).unwrap();
        assert!(needed(0.11) > needed(0.12) && needed(0.12) > needed(0.2));
    }

    #[test]
    fn a_split_as_planned_is_certain_and_a_wrong_plan_has_no_answer() {
        assert_eq!(sample_ratio(&[100, 200], &[1.0, 2.0]).unwrap().p_value, 1.0);
        assert_eq!(sample_ratio(&[100], &[1.0]), Err(Undefined::OneVariant));
        for weights in [
            &[1.0][..],
            &[1.0, 0.0],
            &[1.0, -1.0],
            &[1.0, f64::NAN],
            &[1.0, f64::INFINITY],
        ] {
            assert_eq!(sample_ratio(&[100, 200], weights), Err(Undefined::NoWeights));
        }
        assert_eq!(sample_ratio(&[0, 0], &[1.0, 1.0]), Err(Undefined::NoSessions));
        assert_eq!(sample_ratio(&[3, 3], &[1.0, 1.0]), Err(Undefined::ExpectedTooSmall));
    }
}
