//! How likely each variant is the best, by Bayes' rule with the flat prior Beta(1, 1).

use std::sync::LazyLock;

use super::proportion::Proportion;

/// Nodes of a panel.
const NODES: usize = 8;
/// Width of a panel in standard deviations of the narrowest posterior that is not negligible there.
const PANEL: f64 = 0.5;
/// A density below e to the minus this of its peak is taken for 0.
const NEGLIGIBLE: f64 = 45.0;

/// What the posterior distributions say about one variant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Probability that its true rate is the highest, 0 to 1.
    pub probability_best: f64,
    /// Expected rate given away by choosing it: E\[max of all true rates − its own\], 0 to 1.
    pub expected_loss: f64,
}

/// Standing of each variant, in the order given. Probabilities add up to 1.
///
/// P(i best) = ∫ fᵢ ∏ⱼ≠ᵢ Fⱼ over the rates, fⱼ and Fⱼ being density and distribution function of Beta(1 + successes, 1 + failures);
/// Stucchio (2015), Bayesian A/B Testing at VWO. Computed on the scale of log-odds, where the densities are smooth and fall off at
/// both ends, by Gauss–Legendre panels; densities are normalised by their own numerical integral. No random numbers: the same
/// counts always give the same answer.
pub fn standings(variants: &[Proportion]) -> Vec<Standing> {
    let rule = &*RULE;
    let posteriors: Vec<Posterior> = variants.iter().map(|variant| Posterior::new(*variant)).collect();
    let mut edges: Vec<f64> = posteriors.iter().flat_map(Posterior::edges).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();

    let count = posteriors.len();
    let mass: Vec<f64> = posteriors.iter().map(|posterior| posterior.mass(rule)).collect();
    // Distribution functions at the left edge of the panel.
    let mut below = vec![0.0; count];
    let mut best = vec![0.0; count];
    let mut expected_maximum = 0.0;
    let mut density = vec![[0.0; NODES]; count];
    let mut distribution = vec![[0.0; NODES]; count];
    for panel in edges.windows(2) {
        let (middle, half) = ((panel[0] + panel[1]) / 2.0, (panel[1] - panel[0]) / 2.0);
        let at = rule.nodes.map(|node| middle + half * node);
        for (j, posterior) in posteriors.iter().enumerate() {
            if panel[1] <= posterior.low || panel[0] >= posterior.high {
                density[j] = [0.0; NODES];
                distribution[j] = [below[j]; NODES];
                continue;
            }
            density[j] = at.map(|u| posterior.density(u) / mass[j]);
            for (k, row) in rule.integrals.iter().enumerate() {
                let part: f64 = row.iter().zip(&density[j]).map(|(weight, f)| weight * f).sum();
                distribution[j][k] = below[j] + half * part;
            }
            below[j] += half
                * rule
                    .weights
                    .iter()
                    .zip(&density[j])
                    .map(|(weight, f)| weight * f)
                    .sum::<f64>();
        }
        for i in 0..count {
            for k in 0..NODES {
                if density[i][k] == 0.0 {
                    continue;
                }
                let others: f64 = (0..count).filter(|j| *j != i).map(|j| distribution[j][k]).product();
                let part = half * rule.weights[k] * density[i][k] * others;
                best[i] += part;
                expected_maximum += part / (1.0 + (-at[k]).exp());
            }
        }
    }
    posteriors
        .iter()
        .zip(best)
        .map(|(posterior, probability)| Standing {
            probability_best: probability.clamp(0.0, 1.0),
            expected_loss: (expected_maximum - posterior.mean()).max(0.0),
        })
        .collect()
}

/// Beta(a, b) of a rate x on the scale u = ln(x / (1 − x)), where its density is proportional to xᵃ(1 − x)ᵇ.
struct Posterior {
    a: f64,
    b: f64,
    /// u of the peak.
    peak: f64,
    /// Where the density stops being negligible.
    low: f64,
    high: f64,
}

impl Posterior {
    fn new(variant: Proportion) -> Self {
        let a = 1.0 + variant.successes() as f64;
        let b = 1.0 + (variant.trials() - variant.successes()) as f64;
        let mut posterior = Self {
            a,
            b,
            peak: (a / b).ln(),
            low: 0.0,
            high: 0.0,
        };
        let step = posterior.step();
        let reach = |direction: f64| {
            (1..)
                .map(|n| posterior.peak + direction * step * f64::from(n))
                .find(|u| posterior.log_density(*u) < -NEGLIGIBLE)
                .unwrap_or(posterior.peak)
        };
        let (low, high) = (reach(-1.0), reach(1.0));
        (posterior.low, posterior.high) = (low, high);
        posterior
    }

    fn mean(&self) -> f64 {
        self.a / (self.a + self.b)
    }

    fn step(&self) -> f64 {
        PANEL * (1.0 / self.a + 1.0 / self.b).sqrt()
    }

    /// Log of the density over its peak. With d = u − peak: −a·ln(1 + (1 − m)(e⁻ᵈ − 1)) − b·ln(1 + m(eᵈ − 1)), m being the mean,
    /// which keeps its digits for counts in the millions.
    fn log_density(&self, u: f64) -> f64 {
        let (d, m) = (u - self.peak, self.mean());
        let failures = self.b / (self.a + self.b);
        -self.a * (failures * (-d).exp_m1()).ln_1p() - self.b * (m * d.exp_m1()).ln_1p()
    }

    fn density(&self, u: f64) -> f64 {
        self.log_density(u).exp()
    }

    fn edges(&self) -> Vec<f64> {
        let step = self.step();
        let panels = ((self.high - self.low) / step).round() as u32;
        (0..=panels).map(|n| self.low + step * f64::from(n)).collect()
    }

    fn mass(&self, rule: &Rule) -> f64 {
        self.edges()
            .windows(2)
            .map(|panel| {
                let (middle, half) = ((panel[0] + panel[1]) / 2.0, (panel[1] - panel[0]) / 2.0);
                let nodes = rule.nodes.iter().zip(&rule.weights);
                half * nodes
                    .map(|(node, weight)| weight * self.density(middle + half * node))
                    .sum::<f64>()
            })
            .sum()
    }
}

/// Gauss–Legendre quadrature on −1 to 1, and the integrals from −1 to each node of the polynomial through all nodes.
struct Rule {
    nodes: [f64; NODES],
    weights: [f64; NODES],
    integrals: [[f64; NODES]; NODES],
}

static RULE: LazyLock<Rule> = LazyLock::new(|| {
    let degree = NODES as f64;
    let mut nodes = [0.0; NODES];
    let mut weights = [0.0; NODES];
    for (k, (node, weight)) in nodes.iter_mut().zip(&mut weights).enumerate() {
        // Tricomi's guess, then Newton's method; Abramowitz, Stegun 25.4.29.
        let mut x = -(std::f64::consts::PI * (k as f64 + 0.75) / (degree + 0.5)).cos();
        let slope = |x: f64, p: &[f64; NODES + 1]| degree * (x * p[NODES] - p[NODES - 1]) / (x * x - 1.0);
        for _ in 0..20 {
            let p = legendre(x);
            x -= p[NODES] / slope(x, &p);
        }
        *node = x;
        *weight = 2.0 / ((1.0 - x * x) * slope(x, &legendre(x)).powi(2));
    }
    let mut integrals = [[0.0; NODES]; NODES];
    for (row, x) in integrals.iter_mut().zip(nodes) {
        let p = legendre(x);
        for (cell, (node, weight)) in row.iter_mut().zip(nodes.iter().zip(&weights)) {
            let q = legendre(*node);
            // The Lagrange polynomial of the node in Legendre polynomials, each integrated by its recurrence.
            let rest: f64 = (1..NODES).map(|d| q[d] * (p[d + 1] - p[d - 1])).sum();
            *cell = weight / 2.0 * (x + 1.0 + rest);
        }
    }
    Rule {
        nodes,
        weights,
        integrals,
    }
});

/// Legendre polynomials of degree 0 to [`NODES`] at x.
fn legendre(x: f64) -> [f64; NODES + 1] {
    let mut p = [1.0; NODES + 1];
    p[1] = x;
    for d in 1..NODES {
        let n = d as f64;
        p[d + 1] = ((2.0 * n + 1.0) * x * p[d] - n * p[d - 1]) / (n + 1.0);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(successes: u64, trials: u64) -> Proportion {
        Proportion::new(successes, trials).unwrap()
    }

    #[test]
    fn equals_are_equally_likely() {
        let standings = standings(&[of(50, 1_000); 5]);
        assert!(
            standings.iter().all(|s| (s.probability_best - 0.2).abs() < 1e-12),
            "{standings:?}"
        );
    }

    #[test]
    fn one_variant_is_the_best_of_one() {
        let alone = standings(&[of(3, 10)])[0];
        assert!((alone.probability_best - 1.0).abs() < 1e-12 && alone.expected_loss < 1e-12);
        assert!(standings(&[]).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn probabilities_add_up_to_one_whatever_the_sizes(
            groups in prop::collection::vec((0u32..7).prop_flat_map(|e| (0..=10u64.pow(e)).prop_flat_map(|n| (0..=n, Just(n)))), 1..6),
        ) {
            let variants: Vec<_> = groups.iter().map(|(s, n)| of(*s, *n)).collect();
            let result = standings(&variants);
            let total: f64 = result.iter().map(|s| s.probability_best).sum();
            prop_assert!((total - 1.0).abs() < 1e-9, "{}", total);
            prop_assert!(result.iter().all(|s| (0.0..=1.0).contains(&s.expected_loss)));
        }

        #[test]
        fn the_order_of_variants_does_not_matter(a in 0u64..200, b in 0u64..200, c in 0u64..200) {
            let forth = standings(&[of(a, 200), of(b, 200), of(c, 200)]);
            let back = standings(&[of(c, 200), of(b, 200), of(a, 200)]);
            for (x, y) in forth.iter().zip(back.iter().rev()) {
                prop_assert!((x.probability_best - y.probability_best).abs() < 1e-12);
            }
        }
    }
}
