//! An A/B test of creatives as a pure function of its variants: every pair compared, corrected, and a winner named only by rule.

use std::cmp::Ordering;

use chrono::{DateTime, TimeDelta, Utc};

use super::mean::{Sample, Welch, capped, quantile, welch};
use super::posterior::{Standing, standings};
use super::proportion::{Proportion, Tested, compare, newcombe};
use super::sample::{SampleRatio, sample_ratio, sessions_needed};
use super::{Interval, Undefined, multiple::holm};

/// When a winner may be named, and at which levels everything is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Sessions that each variant must have.
    pub min_sessions: u64,
    /// How long all variants must have run beside each other.
    pub min_time: TimeDelta,
    /// Confidence level of intervals and of a win, 0 to 1.
    pub level: f64,
    /// Probability of finding a real difference that the needed number of sessions is computed for, 0 to 1.
    pub power: f64,
    /// Money per session is also compared with the largest values capped at this percentile (0 to 1) of all sessions that brought any.
    pub cap_percentile: f64,
    /// Below this p-value the traffic was not split as planned, and nobody wins.
    pub split_alpha: f64,
}

impl Rules {
    /// The product's rules.
    pub const STANDARD: Self = Self {
        min_sessions: 100,
        min_time: TimeDelta::days(3),
        level: 0.95,
        power: 0.8,
        cap_percentile: 0.99,
        split_alpha: 0.001,
    };
}

/// What is known about one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Sessions and those that converted.
    pub conversions: Proportion,
    /// Net revenue of each session that has any, in the site's currency. Money leaves its exact form here, for the test alone.
    pub paying: Vec<f64>,
    /// Start of its first session, UTC.
    pub first: DateTime<Utc>,
    /// Start of its last session, UTC.
    pub last: DateTime<Utc>,
}

/// What can be said about one variant, rates as 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Wilson interval of its rate.
    pub interval: Result<Interval, Undefined>,
    /// The best of the others, which everything below is about.
    pub compared_with: Option<usize>,
    /// Test of the two rates, uncorrected.
    pub tested: Result<Tested, Undefined>,
    /// p-value after Holm's correction over all pairs.
    pub adjusted_p: Result<f64, Undefined>,
    /// Newcombe interval of its rate less the other's.
    pub difference: Result<Interval, Undefined>,
    /// Its rate over the other's, less 1.
    pub lift: Result<f64, Undefined>,
    /// Revenue per session, as it is.
    pub revenue: Money,
    /// Revenue per session with the largest values capped.
    pub capped_revenue: Money,
    /// Bayesian standing.
    pub standing: Result<Standing, Undefined>,
    /// Further sessions until the minimum is reached and, where the difference is not clear yet, a difference as large as the one seen
    /// would be found with the power asked for.
    pub sessions_needed: Result<u64, Undefined>,
}

/// Revenue per session of one variant beside the one it is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Money {
    /// Mean and variance.
    pub sample: Sample,
    /// Welch's test, uncorrected.
    pub tested: Result<Welch, Undefined>,
    /// p-value after Holm's correction over all pairs.
    pub adjusted_p: Result<f64, Undefined>,
}

/// A reason why no winner is named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Missing {
    /// There is nothing to compare.
    SecondVariant,
    /// A variant has too few sessions.
    Sessions {
        /// Which.
        variant: usize,
        /// How many more.
        more: u64,
    },
    /// The variants have not run beside each other for long enough.
    Time {
        /// How much longer.
        more: TimeDelta,
    },
    /// The leader cannot be told from another variant.
    Clarity {
        /// Which.
        against: usize,
        /// Corrected confidence so far, percent; or why there is none.
        confidence: Result<f64, Undefined>,
        /// Further sessions each of the two needs (leader, other); or why that cannot be said.
        more: Result<(u64, u64), Undefined>,
    },
    /// Traffic was not split as planned, so the groups may differ in more than the creative.
    Split,
}

/// The whole test.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// In the order given.
    pub variants: Vec<Judged>,
    /// The variant with the highest rate; among equals the one with more sessions, then the first.
    pub leader: Option<usize>,
    /// The leader, if nothing is missing.
    pub winner: Option<usize>,
    /// What stands between the leader and the win.
    pub missing: Vec<Missing>,
    /// Check of the planned split.
    pub split: Result<SampleRatio, Undefined>,
    /// How long all variants have run beside each other; none for fewer than two.
    pub ran: Option<TimeDelta>,
    /// Where revenue was capped; none when no session brought any.
    pub cap: Option<f64>,
}

/// Confidence in percent that goes with a p-value.
pub fn confidence(p_value: f64) -> f64 {
    100.0 * (1.0 - p_value)
}

/// Judges a test. `weights` are the planned shares of traffic, if there was a plan.
pub fn analyse(variants: &[Variant], weights: Option<&[f64]>, rules: &Rules) -> Analysis {
    let count = variants.len();
    let mut ranks: Vec<usize> = (0..count).collect();
    ranks.sort_by(|&i, &j| better(&variants[j], &variants[i]).then(i.cmp(&j)));
    let best_other = |i: usize| ranks.iter().copied().find(|j| *j != i);

    let rates = Pairs::of(count, |i, j| {
        compare(variants[i].conversions, variants[j].conversions).map(|tested| tested.p_value)
    });
    let all_paying: Vec<f64> = variants
        .iter()
        .flat_map(|variant| variant.paying.iter().copied())
        .collect();
    let cap = quantile(&all_paying, rules.cap_percentile);
    let plain: Vec<Sample> = variants
        .iter()
        .map(|variant| sample(variant, &variant.paying))
        .collect();
    let cut: Vec<Sample> = variants
        .iter()
        .map(|variant| sample(variant, &capped(&variant.paying, cap.unwrap_or(f64::INFINITY))))
        .collect();
    let money = |samples: &[Sample]| {
        Pairs::of(count, |i, j| {
            welch(&samples[i], &samples[j]).map(|tested| tested.p_value)
        })
    };
    let (plain_pairs, cut_pairs) = (money(&plain), money(&cut));

    let enough = variants
        .iter()
        .all(|variant| variant.conversions.trials() >= rules.min_sessions);
    let standings: Vec<Result<Standing, Undefined>> = if enough && count > 1 {
        let counts: Vec<_> = variants.iter().map(|variant| variant.conversions).collect();
        standings(&counts).into_iter().map(Ok).collect()
    } else if count > 1 {
        vec![Err(Undefined::BelowMinimumSample); count]
    } else {
        vec![Err(Undefined::OneVariant); count]
    };

    let judged: Vec<Judged> = (0..count)
        .map(|i| {
            let other = best_other(i);
            let against = |f: &dyn Fn(usize) -> Result<f64, Undefined>| other.map_or(Err(Undefined::OneVariant), f);
            let paid = |samples: &[Sample], pairs: &Pairs| Money {
                sample: samples[i],
                tested: other.map_or(Err(Undefined::OneVariant), |j| welch(&samples[i], &samples[j])),
                adjusted_p: against(&|j| pairs.adjusted(i, j)),
            };
            let own = variants[i].conversions;
            Judged {
                interval: own.wilson(rules.level),
                compared_with: other,
                tested: other.map_or(Err(Undefined::OneVariant), |j| compare(own, variants[j].conversions)),
                adjusted_p: against(&|j| rates.adjusted(i, j)),
                difference: other.map_or(Err(Undefined::OneVariant), |j| {
                    newcombe(own, variants[j].conversions, rules.level)
                }),
                lift: against(&|j| lift(own, variants[j].conversions)),
                revenue: paid(&plain, &plain_pairs),
                capped_revenue: paid(&cut, &cut_pairs),
                standing: standings[i],
                sessions_needed: other.map_or(Err(Undefined::OneVariant), |j| needed(variants, (i, j), &rates, rules)),
            }
        })
        .collect();

    let sessions: Vec<u64> = variants.iter().map(|variant| variant.conversions.trials()).collect();
    let split = weights.map_or(Err(Undefined::NoWeights), |weights| sample_ratio(&sessions, weights));
    let ran = time_together(variants);
    let leader = ranks.first().copied();
    let missing = missing(variants, leader, &rates, ran, split, rules);
    Analysis {
        winner: leader.filter(|_| missing.is_empty()),
        variants: judged,
        leader,
        missing,
        split,
        ran,
        cap,
    }
}

/// By rate, then by sessions.
fn better(a: &Variant, b: &Variant) -> Ordering {
    let (a, b) = (a.conversions, b.conversions);
    a.cmp_rate(b).then(a.trials().cmp(&b.trials()))
}

fn sample(variant: &Variant, paying: &[f64]) -> Sample {
    // A variant cannot have more paying sessions than sessions; counted as given if it did.
    let count = variant.conversions.trials().max(paying.len() as u64);
    Sample::new(count, paying).unwrap_or(Sample {
        count,
        mean: 0.0,
        variance: None,
    })
}

fn lift(own: Proportion, other: Proportion) -> Result<f64, Undefined> {
    let (own, other) = (own.rate()?, other.rate()?);
    if other == 0.0 {
        return Err(Undefined::NoConversions);
    }
    Ok(own / other - 1.0)
}

/// Further sessions of the first of a pair. Planned for the strictest step of Holm's correction.
fn needed(variants: &[Variant], (i, j): (usize, usize), rates: &Pairs, rules: &Rules) -> Result<u64, Undefined> {
    let (own, other) = (variants[i].conversions, variants[j].conversions);
    let floor = rules.min_sessions.saturating_sub(own.trials());
    if rates.adjusted(i, j).is_ok_and(|p| p <= 1.0 - rules.level) {
        return Ok(floor);
    }
    let alpha = (1.0 - rules.level) / rates.count().max(1) as f64;
    let each = sessions_needed((own.rate()?, other.rate()?), alpha, rules.power)?;
    Ok(floor.max((each.ceil() as u64).saturating_sub(own.trials())))
}

/// From the start of the variant that began last to the last session of the one that ended first.
fn time_together(variants: &[Variant]) -> Option<TimeDelta> {
    if variants.len() < 2 {
        return None;
    }
    let begun = variants.iter().map(|variant| variant.first).max()?;
    let ended = variants.iter().map(|variant| variant.last).min()?;
    Some((ended - begun).max(TimeDelta::zero()))
}

fn missing(
    variants: &[Variant],
    leader: Option<usize>,
    rates: &Pairs,
    ran: Option<TimeDelta>,
    split: Result<SampleRatio, Undefined>,
    rules: &Rules,
) -> Vec<Missing> {
    let (Some(leader), Some(ran)) = (leader, ran) else {
        return vec![Missing::SecondVariant];
    };
    let mut missing = Vec::new();
    for (variant, found) in variants.iter().enumerate() {
        let more = rules.min_sessions.saturating_sub(found.conversions.trials());
        if more > 0 {
            missing.push(Missing::Sessions { variant, more });
        }
    }
    if ran < rules.min_time {
        missing.push(Missing::Time {
            more: rules.min_time - ran,
        });
    }
    if split.is_ok_and(|split| split.p_value < rules.split_alpha) {
        missing.push(Missing::Split);
    }
    for against in (0..variants.len()).filter(|j| *j != leader) {
        let adjusted = rates.adjusted(leader, against);
        if adjusted.is_ok_and(|p| p <= 1.0 - rules.level) {
            continue;
        }
        let need = |pair| needed(variants, pair, rates, rules);
        missing.push(Missing::Clarity {
            against,
            confidence: adjusted.map(confidence),
            more: need((leader, against)).and_then(|first| Ok((first, need((against, leader))?))),
        });
    }
    missing
}

/// p-values of every unordered pair. All of them count for the correction, because which pair is looked at is decided by the data.
struct Pairs {
    /// First, second, corrected p-value or why there is none.
    found: Vec<(usize, usize, Result<f64, Undefined>)>,
}

impl Pairs {
    fn of(count: usize, test: impl Fn(usize, usize) -> Result<f64, Undefined>) -> Self {
        let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
        let mut found: Vec<_> = pairs.map(|(i, j)| (i, j, test(i, j))).collect();
        let known: Vec<f64> = found.iter().filter_map(|(_, _, p)| p.ok()).collect();
        let mut adjusted = holm(&known).into_iter();
        for (_, _, p) in &mut found {
            if let Ok(p) = p {
                *p = adjusted.next().unwrap_or(*p);
            }
        }
        Self { found }
    }

    /// How many pairs could be tested.
    fn count(&self) -> usize {
        self.found.iter().filter(|(_, _, p)| p.is_ok()).count()
    }

    fn adjusted(&self, i: usize, j: usize) -> Result<f64, Undefined> {
        let wanted = (i.min(j), i.max(j));
        self.found
            .iter()
            .find(|(a, b, _)| (*a, *b) == wanted)
            .map_or(Err(Undefined::OneVariant), |(_, _, p)| *p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(day)
    }

    fn variant(conversions: u64, sessions: u64) -> Variant {
        Variant {
            conversions: Proportion::new(conversions, sessions).unwrap(),
            paying: vec![100.0; conversions as usize],
            first: at(0),
            last: at(10),
        }
    }

    fn analysed(variants: &[Variant]) -> Analysis {
        analyse(variants, None, &Rules::STANDARD)
    }

    #[test]
    fn a_clear_difference_wins_when_every_rule_is_met() {
        let analysis = analysed(&[variant(60, 1_000), variant(100, 1_000)]);
        assert_eq!((analysis.winner, analysis.missing.len()), (Some(1), 0));
        assert_eq!(analysis.variants[1].sessions_needed, Ok(0));
        assert!((analysis.variants[1].lift.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn ninety_nine_sessions_are_one_too_few_however_clear_the_difference() {
        let analysis = analysed(&[variant(0, 99), variant(50, 100)]);
        assert_eq!(analysis.winner, None);
        assert_eq!(analysis.missing, [Missing::Sessions { variant: 0, more: 1 }]);
        assert_eq!(analysis.variants[0].standing, Err(Undefined::BelowMinimumSample));
        assert_eq!(analysed(&[variant(0, 100), variant(50, 100)]).winner, Some(1));
    }

    #[test]
    fn less_than_three_days_side_by_side_are_too_short() {
        let mut late = variant(100, 1_000);
        late.first = at(8);
        let analysis = analysed(&[variant(60, 1_000), late.clone()]);
        assert_eq!(
            analysis.missing,
            [Missing::Time {
                more: TimeDelta::days(1)
            }]
        );
        late.first = at(7);
        assert_eq!(analysed(&[variant(60, 1_000), late.clone()]).winner, Some(1));
        // One after the other: they never ran together.
        late.first = at(11);
        late.last = at(30);
        assert_eq!(analysed(&[variant(60, 1_000), late]).ran, Some(TimeDelta::zero()));
    }

    #[test]
    fn a_difference_that_may_be_chance_says_how_many_sessions_are_missing() {
        let analysis = analysed(&[variant(60, 1_000), variant(70, 1_000)]);
        let [
            Missing::Clarity {
                against: 0,
                confidence: Ok(confidence),
                more: Ok((leader, other)),
            },
        ] = analysis.missing[..]
        else {
            panic!("{:?}", analysis.missing);
        };
        assert!((50.0..95.0).contains(&confidence));
        assert_eq!(leader, other);
        // With that many the same rates would be found apart.
        let more = (1_000 + leader) as f64;
        let sure = analysed(&[
            variant((0.06 * more) as u64, 1_000 + leader),
            variant((0.07 * more) as u64, 1_000 + leader),
        ]);
        assert_eq!(sure.winner, Some(1));
    }

    #[test]
    fn the_leader_must_be_clear_of_every_other_variant_not_only_of_the_runner_up() {
        let analysis = analysed(&[variant(1_000, 10_000), variant(800, 10_000), variant(8, 110)]);
        assert_eq!(analysis.leader, Some(0));
        assert!(analysis.variants[0].adjusted_p.unwrap() < 0.001);
        assert!(matches!(analysis.missing[..], [Missing::Clarity { against: 2, .. }]));
    }

    #[test]
    fn a_wrong_split_lets_nobody_win() {
        let variants = [variant(60, 1_000), variant(300, 2_000)];
        assert_eq!(analysed(&variants).winner, Some(1));
        let analysis = analyse(&variants, Some(&[1.0, 1.0]), &Rules::STANDARD);
        assert_eq!(analysis.missing, [Missing::Split]);
        assert_eq!(analyse(&variants, Some(&[1.0, 2.0]), &Rules::STANDARD).winner, Some(1));
    }

    #[test]
    fn nothing_one_variant_and_no_conversions_are_answered_without_numbers() {
        assert_eq!(analysed(&[]).missing, [Missing::SecondVariant]);
        let alone = analysed(&[variant(60, 1_000)]);
        assert_eq!(alone.missing, [Missing::SecondVariant]);
        assert_eq!(alone.variants[0].tested, Err(Undefined::OneVariant));
        assert!(alone.variants[0].interval.is_ok());
        let nobody = analysed(&[variant(0, 500), variant(0, 500)]);
        assert_eq!(nobody.variants[0].adjusted_p, Err(Undefined::NoConversions));
        assert_eq!(
            nobody.missing,
            [Missing::Clarity {
                against: 1,
                confidence: Err(Undefined::NoConversions),
                more: Err(Undefined::EqualRates)
            }]
        );
        assert_eq!(nobody.cap, None);
        assert_eq!(nobody.variants[0].revenue.tested, Err(Undefined::NoVariance));
    }

    fn any_variant() -> impl Strategy<Value = Variant> {
        (0u64..2_000)
            .prop_flat_map(|n| (0..=n, Just(n)))
            .prop_map(|(c, n)| variant(c, n))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_finite_answer_is_ever_not_a_number(variants in prop::collection::vec(any_variant(), 0..6)) {
            let analysis = analysed(&variants);
            for judged in &analysis.variants {
                let money = [judged.revenue, judged.capped_revenue];
                let values = [judged.adjusted_p, judged.lift, judged.tested.map(|t| t.p_value), judged.standing.map(|s| s.expected_loss)];
                let values = values.into_iter().chain(money.iter().flat_map(|m| [m.adjusted_p, m.tested.map(|t| t.t), Ok(m.sample.mean)]));
                for value in values.flatten() {
                    prop_assert!(value.is_finite(), "{judged:?}");
                }
            }
            if let Some(winner) = analysis.winner {
                prop_assert!(variants.iter().all(|v| v.conversions.trials() >= 100));
                prop_assert!(analysis.variants[winner].adjusted_p.unwrap() <= 0.05);
            }
        }

        #[test]
        fn the_order_of_variants_changes_nothing(a in any_variant(), b in any_variant(), c in any_variant()) {
            let forth = analysed(&[a.clone(), b.clone(), c.clone()]);
            let back = analysed(&[c, b, a]);
            prop_assert_eq!(forth.winner, back.winner.map(|i| 2 - i));
            for (x, y) in forth.variants.iter().zip(back.variants.iter().rev()) {
                prop_assert_eq!(x.interval, y.interval);
            }
        }
    }
}
