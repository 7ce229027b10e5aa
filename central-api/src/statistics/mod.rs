//! The mathematics behind cohorts, repeat purchases and A/B tests: pure functions of counts and times, no database, no clock.
//!
//! [`proportion`] compares conversion rates, [`mean`] compares money per session, [`multiple`] corrects for several comparisons,
//! [`posterior`] says how likely each variant is the best, [`sample`] how many sessions are needed and whether traffic was split as
//! planned; [`ab_test`] puts them together and [`verdict`] says it in words. [`customers`] joins orders into people, [`cohorts`] puts
//! visitors into calendar buckets. Formulae, sources and worked numbers: `docs/methods.md`.

pub mod ab_test;
pub mod cohorts;
pub mod customers;
pub mod mean;
pub mod multiple;
pub mod posterior;
pub mod proportion;
pub mod sample;
pub mod verdict;

#[cfg(test)]
mod methods;
#[cfg(test)]
mod reference;

use serde::Serialize;

/// Why a value does not exist. It is then null in an answer, never 0 and never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Undefined {
    /// There is no session to divide by.
    #[error("there are no sessions")]
    NoSessions,
    /// Nobody converted in either group: the rates cannot differ, and their variance is not known.
    #[error("nobody converted")]
    NoConversions,
    /// Everybody converted in both groups.
    #[error("everybody converted")]
    AllConverted,
    /// Fewer than two values in a group: no variance can be estimated.
    #[error("fewer than two sessions in a group")]
    TooFewValues,
    /// Every value of both groups is the same as its mean.
    #[error("the values do not vary")]
    NoVariance,
    /// Both rates are the same: no sample size tells them apart.
    #[error("the rates are equal")]
    EqualRates,
    /// There is nothing to compare with.
    #[error("there is only one variant")]
    OneVariant,
    /// Below the minimum number of sessions a figure would only mislead.
    #[error("too few sessions in a variant")]
    BelowMinimumSample,
    /// The chi-square approximation needs at least five expected sessions in each group.
    #[error("fewer than five sessions are expected in a variant")]
    ExpectedTooSmall,
    /// There are no customers, so no share of them.
    #[error("there are no customers")]
    NoCustomers,
    /// No customer has a second order, so there is no time between two.
    #[error("no customer has two orders")]
    NobodyCameBack,
    /// No planned weights were given.
    #[error("no planned weights were given")]
    NoWeights,
}

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The point of the standard normal distribution below which the share `probability` (0 to 1, exclusive) lies.
pub(crate) fn normal_quantile(probability: f64) -> f64 {
    // erfc⁻¹ as Φ⁻¹(p) = −√2 · erfc⁻¹(2p).
    -std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(2.0 * probability)
}

/// P(|Z| ≥ `z`) of a standard normal Z: Q(1/2, z²/2), Abramowitz, Stegun 26.4.19 for one degree of freedom. The incomplete gamma
/// function keeps fourteen digits where the library's erfc keeps ten.
pub(crate) fn normal_two_sided(z: f64) -> f64 {
    if z == 0.0 {
        return 1.0;
    }
    statrs::function::gamma::gamma_ur(0.5, z * z / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_has_its_tabulated_values() {
        // Computed to 20 digits with mpmath.
        for (z, p) in [
            (1e-9, 0.999_999_999_202_115_4),
            (1.0, 0.317_310_507_862_914_1),
            (1.96, 0.049_995_790_296_440_87),
            (6.0, 1.973_175_290_075_395_5e-9),
            (40.0, 0.0),
        ] {
            assert!(
                (normal_two_sided(z) - p).abs() <= 1e-13 * p,
                "{z}: {:e}",
                normal_two_sided(z)
            );
            assert_eq!(normal_two_sided(-z), normal_two_sided(z));
        }
        assert_eq!(normal_two_sided(0.0), 1.0);
        for (p, z) in [
            (0.975, 1.959_963_984_540_054),
            (0.8, 0.841_621_233_572_914_3),
            (0.5, 0.0),
        ] {
            assert!((normal_quantile(p) - z).abs() < 1e-14, "{p}: {}", normal_quantile(p));
        }
    }
}
