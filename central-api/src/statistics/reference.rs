//! Every statistic against scipy and statsmodels: `tests/reference/ab_test.py` wrote the values, with the versions pinned beside it.

use serde_json::Value;

use super::mean::{Sample, capped, quantile, student_two_sided, welch};
use super::multiple::holm;
use super::posterior::standings;
use super::proportion::{Proportion, compare, newcombe};
use super::sample::{sample_ratio, sessions_needed};

const TOLERANCE: f64 = 1e-9;

fn reference() -> Value {
    serde_json::from_str(include_str!("../../../tests/reference/ab_test.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Within 1e-9 of the reference, absolutely where it is below 1 and relatively above.
#[track_caller]
fn close(what: &str, got: f64, wanted: &Value) {
    let wanted = number(wanted);
    assert!(
        (got - wanted).abs() <= TOLERANCE * wanted.abs().max(1.0),
        "{what}: got {got}, the reference says {wanted}"
    );
}

/// The reason in the reference's spelling.
fn reason(error: super::Undefined) -> Value {
    serde_json::to_value(error).unwrap()
}

fn variants(case: &Value) -> Vec<Proportion> {
    list(&case["variants"])
        .iter()
        .map(|v| Proportion::new(v["conversions"].as_u64().unwrap(), v["sessions"].as_u64().unwrap()).unwrap())
        .collect()
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |i| (i + 1..count).map(move |j| (i, j)))
}

#[test]
fn there_are_at_least_forty_cases_and_each_corner() {
    let reference = reference();
    let cases: Vec<Vec<Proportion>> = list(&reference["cases"]).iter().map(variants).collect();
    assert!(cases.len() >= 40);
    for groups in 2..=6 {
        assert!(cases.iter().any(|case| case.len() == groups), "{groups} variants");
    }
    let all = |corner: fn(&Proportion) -> bool| cases.iter().any(|case| case.iter().all(corner));
    let any = |corner: fn(&Proportion) -> bool| cases.iter().any(|case| case.iter().any(corner));
    assert!(all(|p| p.successes() == 0) && all(|p| p.successes() == p.trials()));
    assert!(any(|p| p.trials() == 1) && any(|p| p.trials() >= 1_000_000));
}

#[test]
fn intervals_and_tests_of_proportions_agree() {
    for (n, case) in list(&reference()["cases"]).iter().enumerate() {
        let groups = variants(case);
        for (group, wanted) in groups.iter().zip(list(&case["wilson"])) {
            let got = group.wilson(0.95).unwrap();
            close(&format!("case {n}, Wilson, low"), got.low, &wanted[0]);
            close(&format!("case {n}, Wilson, high"), got.high, &wanted[1]);
        }
        let mut known = Vec::new();
        let mut holm_wanted = Vec::new();
        for ((i, j), wanted) in pairs(groups.len()).zip(list(&case["pairs"])) {
            let (a, b) = (groups[i], groups[j]);
            let what = format!("case {n}, pair {i}-{j}");
            let interval = newcombe(a, b, 0.95).unwrap();
            close(&format!("{what}, Newcombe, low"), interval.low, &wanted["newcombe"][0]);
            close(
                &format!("{what}, Newcombe, high"),
                interval.high,
                &wanted["newcombe"][1],
            );
            match compare(a, b) {
                Ok(got) => {
                    assert_eq!(serde_json::to_value(got.test).unwrap(), wanted["test"], "{what}");
                    close(&format!("{what}, p"), got.p_value, &wanted["p_value"]);
                    if let Some(z) = got.z {
                        close(&format!("{what}, z"), z, &wanted["z"]);
                    }
                    known.push(got.p_value);
                    holm_wanted.push(&wanted["holm"]);
                }
                Err(error) => assert_eq!(reason(error), wanted["undefined"], "{what}"),
            }
            match sessions_needed((a.rate().unwrap(), b.rate().unwrap()), 0.05, 0.8) {
                Ok(needed) => close(&format!("{what}, sessions needed"), needed, &wanted["sessions_needed"]),
                Err(_) => assert!(wanted["sessions_needed"].is_null(), "{what}"),
            }
        }
        for (got, wanted) in holm(&known).into_iter().zip(holm_wanted) {
            close(&format!("case {n}, Holm"), got, wanted);
        }
    }
}

#[test]
fn probabilities_to_be_best_and_expected_losses_agree() {
    for (n, case) in list(&reference()["cases"]).iter().enumerate() {
        for (i, (got, wanted)) in standings(&variants(case))
            .iter()
            .zip(list(&case["standings"]))
            .enumerate()
        {
            close(
                &format!("case {n}, variant {i}, P(best)"),
                got.probability_best,
                &wanted["probability_best"],
            );
            close(
                &format!("case {n}, variant {i}, loss"),
                got.expected_loss,
                &wanted["expected_loss"],
            );
        }
    }
}

#[test]
fn checks_of_the_split_agree() {
    for (n, case) in list(&reference()["cases"]).iter().enumerate() {
        let sessions: Vec<u64> = variants(case).iter().map(|group| group.trials()).collect();
        let weights: Vec<f64> = list(&case["weights"]).iter().map(number).collect();
        match sample_ratio(&sessions, &weights) {
            Ok(got) => {
                close(
                    &format!("case {n}, chi-square"),
                    got.chi_square,
                    &case["sample_ratio"]["chi_square"],
                );
                close(&format!("case {n}, p"), got.p_value, &case["sample_ratio"]["p_value"]);
            }
            Err(_) => assert!(case["sample_ratio"].is_null(), "case {n}"),
        }
    }
}

#[test]
fn tests_of_means_agree_with_and_without_the_cap() {
    for (n, case) in list(&reference()["cases"]).iter().enumerate() {
        let money = &case["money"];
        if money.is_null() {
            continue;
        }
        let groups = variants(case);
        let paying: Vec<Vec<f64>> = list(&money["paying"])
            .iter()
            .map(|v| list(v).iter().map(number).collect())
            .collect();
        let cap = quantile(&paying.concat(), 0.99);
        match cap {
            Some(cap) => close(&format!("case {n}, cap"), cap, &money["cap"]),
            None => assert!(money["cap"].is_null()),
        }
        for (name, limit) in [("plain", f64::INFINITY), ("capped", cap.unwrap_or(f64::INFINITY))] {
            let wanted = &money[name];
            let samples: Vec<Sample> = groups
                .iter()
                .zip(&paying)
                .map(|(group, values)| Sample::new(group.trials(), &capped(values, limit)).unwrap())
                .collect();
            for (i, sample) in samples.iter().enumerate() {
                close(&format!("case {n}, {name}, mean {i}"), sample.mean, &wanted["mean"][i]);
                match sample.variance {
                    Some(variance) => close(
                        &format!("case {n}, {name}, variance {i}"),
                        variance,
                        &wanted["variance"][i],
                    ),
                    None => assert!(wanted["variance"][i].is_null()),
                }
            }
            for ((i, j), wanted) in pairs(samples.len()).zip(list(&wanted["pairs"])) {
                let what = format!("case {n}, {name}, pair {i}-{j}");
                match welch(&samples[i], &samples[j]) {
                    Ok(got) => {
                        close(&format!("{what}, t"), got.t, &wanted["t"]);
                        close(&format!("{what}, freedom"), got.freedom, &wanted["freedom"]);
                        close(&format!("{what}, p"), got.p_value, &wanted["p_value"]);
                    }
                    Err(error) => assert_eq!(reason(error), wanted["undefined"], "{what}"),
                }
            }
        }
    }
}

#[test]
fn students_tail_agrees_for_any_degrees_of_freedom() {
    for wanted in list(&reference()["student_two_sided"]) {
        let (t, freedom) = (number(&wanted["t"]), number(&wanted["freedom"]));
        close(
            &format!("t {t}, freedom {freedom}"),
            student_two_sided(t, freedom),
            &wanted["p_value"],
        );
    }
}
