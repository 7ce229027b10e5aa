//! Recomputes the worked numbers of `docs/methods.md`.

use chrono::{DateTime, TimeDelta};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::HashSet;

use super::customers::{OrderGroup, join, repeats};
use super::mean::{Sample, quantile, welch};
use super::multiple::holm;
use super::posterior::standings;
use super::proportion::{Proportion, compare, fisher, newcombe, pooled_z};
use super::sample::{sample_ratio, sessions_needed};
use crate::reports::figure::Figure;

fn numbers(text: &str) -> Vec<f64> {
    text.split(',').map(|number| number.parse().unwrap()).collect()
}

/// `89/520`
fn proportion(text: &str) -> Proportion {
    let (successes, trials) = text.split_once('/').unwrap();
    Proportion::new(successes.parse().unwrap(), trials.parse().unwrap()).unwrap()
}

/// `4:10,20`: four values, two of them not 0.
fn sample(text: &str) -> Sample {
    let (count, values) = text.split_once(':').unwrap();
    Sample::new(count.parse().unwrap(), &numbers(values)).unwrap()
}

fn ratio(times: i64, text: &str) -> f64 {
    let (of, per) = text.split_once('/').unwrap();
    let of_text = |text: &str| Figure::from(text.parse::<Decimal>().unwrap());
    Figure::ratio(times, of_text(of), of_text(per))
        .0
        .unwrap()
        .to_f64()
        .unwrap()
}

/// Customers with their orders' days: how often they come back.
fn customers(arguments: &[&str]) -> super::customers::Repeats {
    let groups: Vec<OrderGroup> = arguments
        .iter()
        .zip(1..)
        .map(|(days, n)| OrderGroup {
            contacts: [Some([n; 16]), None, None],
            orders: 1,
            counted: numbers(days)
                .into_iter()
                .map(|day| DateTime::UNIX_EPOCH + TimeDelta::seconds((day * 86_400.0) as i64))
                .collect(),
        })
        .collect();
    repeats(&groups, &join(&groups, &HashSet::new()))
}

fn worked(name: &str, arguments: &[&str]) -> Vec<f64> {
    let pair = || (proportion(arguments[0]), proportion(arguments[1]));
    let all = || arguments.iter().map(|text| proportion(text)).collect::<Vec<_>>();
    match name {
        "retention" => vec![ratio(100, arguments[0])],
        "ltv" => vec![ratio(1, arguments[0])],
        "max_cpa" => {
            let (quotient, share) = arguments[0].split_once('*').unwrap();
            let (of, per) = quotient.split_once('/').unwrap();
            let affordable = of.parse::<Decimal>().unwrap() * share.parse::<Decimal>().unwrap();
            vec![ratio(1, &format!("{affordable}/{per}"))]
        }
        "days_between" => {
            let found = customers(arguments);
            vec![found.between.num_seconds() as f64 / found.gaps as f64 / 86_400.0]
        }
        "repeat_rate" => {
            let found = customers(arguments);
            vec![100.0 * found.repeat_customers as f64 / found.customers() as f64]
        }
        "wilson" => {
            let interval = proportion(arguments[0]).wilson(0.95).unwrap();
            vec![interval.low, interval.high]
        }
        "newcombe" => {
            let interval = newcombe(pair().0, pair().1, 0.95).unwrap();
            vec![interval.low, interval.high]
        }
        "z" => vec![pooled_z(pair().0, pair().1).unwrap()],
        "p" => vec![compare(pair().0, pair().1).unwrap().p_value],
        "fisher" => vec![fisher(pair().0, pair().1)],
        "holm" => holm(&arguments.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>()),
        "mean" => vec![sample(arguments[0]).mean],
        "welch" => {
            let tested = welch(&sample(arguments[0]), &sample(arguments[1])).unwrap();
            vec![tested.t, tested.freedom, tested.p_value]
        }
        "quantile" => vec![quantile(&numbers(arguments[1]), arguments[0].parse().unwrap()).unwrap()],
        "best" => standings(&all()).iter().map(|s| s.probability_best).collect(),
        "loss" => standings(&all()).iter().map(|s| s.expected_loss).collect(),
        "split" => {
            let sessions: Vec<u64> = numbers(arguments[0]).into_iter().map(|n| n as u64).collect();
            let found = sample_ratio(&sessions, &numbers(arguments[1])).unwrap();
            vec![found.chi_square, found.p_value]
        }
        "needed" => {
            let [p, q, alpha] = [0, 1, 2].map(|n| arguments[n].parse().unwrap());
            vec![sessions_needed((p, q), alpha, 0.8).unwrap().ceil()]
        }
        other => panic!("nothing computes {other}"),
    }
}

#[test]
fn every_worked_number_of_the_page_is_what_the_code_computes() {
    let page = include_str!("../../../docs/methods.md");
    let blocks = page
        .split("```worked\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let lines: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(lines.len() >= 20, "only {} worked numbers were found", lines.len());
    let mut wrong = Vec::new();
    for line in lines {
        let (expression, written) = line.split_once(" = ").unwrap();
        let words: Vec<&str> = expression.split(' ').collect();
        let computed = worked(words[0], &words[1..]);
        let shown: Vec<String> = computed
            .iter()
            .map(|value| {
                let text = format!("{value:.6}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            })
            .collect();
        if shown.join(" ") != written {
            wrong.push(format!("{expression} = {}", shown.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "the code computes:\n{}", wrong.join("\n"));
}
