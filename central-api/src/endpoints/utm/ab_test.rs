//! `ab-test`: which creative of a campaign converts best, and whether that can be said yet.

use std::collections::BTreeMap;

use axum::Json;
use axum::routing::get;
use chrono::TimeDelta;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;
use shared::text::normalise;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::catalogue::{Dimension, Metric, Text};
use crate::error::ApiError;
use crate::reports::creatives::{self, Creative};
use crate::reports::figure::Figure;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::sheet::{Cell, Column as SheetColumn, Kind, Sheet};
use crate::reports::sql::{Column, Question, Sort};
use crate::reports::table::{self, Row};
use crate::statistics::ab_test::{Analysis, Judged, Money, Rules, Variant, analyse, confidence};
use crate::statistics::proportion::{Proportion, Test};
use crate::statistics::verdict::{Words, words};
use crate::statistics::{Interval, Undefined};

const METRICS: [Metric; 8] = [
    Metric::Sessions,
    Metric::Conversions,
    Metric::ConversionRate,
    Metric::Revenue,
    Metric::Purchases,
    Metric::Orders,
    Metric::AvgOrderValue,
    Metric::RevenuePerSession,
];

/// Variants compared at most: those with the most sessions.
const MAX_VARIANTS: usize = 20;

/// One creative. Everything compared is compared with `compared_with`, the best of the others.
#[derive(Debug, Serialize, ToSchema)]
struct VariantAnswer {
    /// The creative.
    utm_content: String,
    /// Sessions.
    sessions: Figure,
    /// Sessions with a lead or purchase.
    conversions: Figure,
    /// Percent.
    conversion_rate: Figure,
    /// Wilson interval of the rate, percent, 95 %.
    interval: Option<Interval>,
    /// Net revenue, in the site's currency.
    revenue: Figure,
    /// Orders of any payment status.
    orders: Figure,
    /// Net revenue per paid order.
    avg_order_value: Figure,
    /// Net revenue per session.
    revenue_per_session: Figure,
    /// The best of the others by conversion rate.
    compared_with: Option<String>,
    /// Which test.
    test: Option<Test>,
    /// Standard score of the z-test.
    z: Option<f64>,
    /// Two-sided p-value, not corrected.
    p_value: Option<f64>,
    /// After Holm's correction over all pairs of variants.
    p_value_corrected: Option<f64>,
    /// 100 · (1 − corrected p-value), percent.
    confidence: Option<f64>,
    /// Newcombe interval of the rate less the other's, percentage points, 95 %, not corrected.
    difference: Option<Interval>,
    /// The rate over the other's, less 1, percent.
    lift: Option<f64>,
    /// Welch's test of revenue per session.
    revenue_test: MoneyAnswer,
    /// The same with the largest revenues capped at `revenue_cap`.
    capped_revenue_test: MoneyAnswer,
    /// Probability that its true rate is the highest of all, 0 to 1, with a flat prior.
    probability_best: Option<f64>,
    /// Expected rate given away by choosing it, percentage points.
    expected_loss: Option<f64>,
    /// Further sessions needed: to the minimum and, while the difference is not clear, to find one of this size with a power of 80 %.
    sessions_needed: Option<u64>,
    /// Why a field is null, by its name.
    undefined: BTreeMap<&'static str, Undefined>,
}

/// A test of money per session.
#[derive(Debug, Serialize, ToSchema)]
struct MoneyAnswer {
    /// Mean per session, in the site's currency.
    mean: f64,
    /// Welch's t against the variant compared with.
    t: Option<f64>,
    /// Welch–Satterthwaite degrees of freedom.
    degrees_of_freedom: Option<f64>,
    /// Two-sided p-value, not corrected.
    p_value: Option<f64>,
    /// 100 · (1 − p-value after Holm's correction over all pairs), percent.
    confidence: Option<f64>,
    /// Why the test is null.
    undefined: Option<Undefined>,
}

/// The rules that a winner meets.
#[derive(Debug, Serialize, ToSchema)]
struct RulesAnswer {
    /// Sessions of each variant.
    min_sessions: u64,
    /// Days that all variants ran beside each other.
    min_days: f64,
    /// Corrected confidence against every other variant, percent.
    confidence: f64,
    /// Power that `sessions_needed` is computed for, percent.
    power: f64,
    /// Revenue is capped at this percentile of the sessions that brought any.
    cap_percentile: f64,
}

/// Check of the planned split.
#[derive(Debug, Serialize, ToSchema)]
struct SampleRatioAnswer {
    /// Pearson's chi-square.
    chi_square: Option<f64>,
    /// Below 0.001 the traffic was not split as planned, and no winner is named.
    p_value: Option<f64>,
    /// Why there is none.
    undefined: Option<Undefined>,
}

/// Sessions of the campaign that are not compared.
#[derive(Debug, Serialize, ToSchema)]
struct NotCompared {
    /// Without utm_content.
    not_set: Figure,
    /// Creatives beyond the first 20 by sessions.
    variants: i64,
}

/// The test.
#[derive(Debug, Serialize, ToSchema)]
struct AbTest {
    /// The campaign.
    campaign: String,
    /// Most sessions first.
    variants: Vec<VariantAnswer>,
    /// The leader once every rule is met.
    winner: Option<String>,
    /// Its rate over that of the best of the others, less 1, percent.
    winner_lift: Option<f64>,
    /// The highest rate so far, which may be chance.
    leader: Option<String>,
    /// Who won, or what is missing.
    verdict: Words,
    /// Always true: ad platforms do not assign creatives at random, so a difference may be one of audiences.
    observational: bool,
    /// Days that all variants ran beside each other.
    days: Option<f64>,
    /// Where revenue is capped, in the site's currency.
    revenue_cap: Option<f64>,
    /// Sessions against the planned weights.
    sample_ratio: SampleRatioAnswer,
    /// The rules.
    rules: RulesAnswer,
    /// What is left out.
    not_compared: NotCompared,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    test: AbTest,
}

async fn ab_test(asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    answer(asked).await.map(Json)
}

async fn answer(mut asked: Asked) -> Result<Answer, ApiError> {
    let scope = asked.scope()?;
    let planned = weights(asked.params.all("weight"))?;
    asked.params.finish()?;
    Asked::only_by_session(&scope)?;
    let campaign = campaign(&scope)?;
    let question = Question {
        scope: &scope,
        dimensions: &[Dimension::UtmContent],
        metrics: &METRICS,
        sort: Some(Sort {
            by: Column::Metric(Metric::Sessions),
            descending: true,
        }),
        // All, since the absent value is no variant and may stand behind any number of them.
        limit: None,
        offset: 0,
    };
    let (table, mut creatives) = tokio::try_join!(
        table::ask(&asked.pool, &question),
        creatives::of_question(&asked.pool, &question)
    )?;
    let content = Dimension::UtmContent.key();
    let not_set = table.rows.iter().find(|row| row.text(content).is_none());
    let not_set_sessions = not_set.map_or(Figure::ZERO, |row| row.figure(Metric::Sessions));
    let of_contents = table.total_rows - i64::from(not_set.is_some());
    let rows: Vec<(String, &Row, Creative)> = table
        .rows
        .iter()
        .filter_map(|row| {
            let name = row.text(content)?.to_owned();
            let creative = creatives.remove(&name)?;
            Some((name, row, creative))
        })
        .take(MAX_VARIANTS)
        .collect();
    let variants: Vec<Variant> = rows.iter().map(|(_, row, creative)| variant(row, creative)).collect();
    let planned: Option<Vec<f64>> = rows.iter().map(|(name, ..)| planned.get(name).copied()).collect();
    let analysis = analyse(&variants, planned.as_deref(), &Rules::STANDARD);
    let names: Vec<&str> = rows.iter().map(|(name, ..)| name.as_str()).collect();
    let name = |i: usize| names.get(i).map(|name| (*name).to_owned());
    let lift_of = |i: usize| analysis.variants.get(i).and_then(|judged| judged.lift.ok());
    Ok(Answer {
        scope: scope.describe(),
        test: AbTest {
            campaign,
            winner: analysis.winner.and_then(name),
            winner_lift: analysis.winner.and_then(lift_of).map(percent),
            leader: analysis.leader.and_then(name),
            verdict: words(&analysis, &names),
            observational: true,
            days: analysis.ran.map(days),
            revenue_cap: analysis.cap,
            sample_ratio: sample_ratio(&analysis),
            rules: rules(&Rules::STANDARD),
            not_compared: NotCompared {
                not_set: not_set_sessions,
                variants: (of_contents - rows.len() as i64).max(0),
            },
            variants: rows
                .iter()
                .zip(&analysis.variants)
                .map(|((own, row, _), judged)| described(own, row, judged, judged.compared_with.and_then(name)))
                .collect(),
        },
    })
}

/// The one campaign that was asked for.
fn campaign(scope: &Scope) -> Result<String, ApiError> {
    let needed = || {
        ApiError::invalid(
            "campaign",
            "is needed, once: the name of the campaign whose creatives are compared",
        )
    };
    let choice = scope
        .filters
        .iter()
        .find(|(dimension, _)| *dimension == Dimension::UtmCampaign)
        .map(|(_, choice)| choice)
        .ok_or_else(needed)?;
    match (&choice.include[..], &choice.exclude[..]) {
        ([Some(campaign)], []) => Ok(campaign.clone()),
        _ => Err(needed()),
    }
}

/// Planned weights by creative, from `weight=<utm_content>:<number>`.
fn weights(texts: Vec<String>) -> Result<BTreeMap<String, f64>, ApiError> {
    let wrong = || {
        ApiError::invalid(
            "weight",
            "must be <utm_content>:<weight>, once a creative, the weight a number above 0 and at most 1000000, for example weight=video:1",
        )
    };
    let mut planned = BTreeMap::new();
    for text in texts {
        let (name, weight) = text.rsplit_once(':').ok_or_else(wrong)?;
        let plain = weight.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let weight: f64 = weight.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
        if weight <= 0.0 || weight > 1e6 || planned.insert(normalise(name), weight).is_some() {
            return Err(wrong());
        }
    }
    Ok(planned)
}

fn variant(row: &Row, creative: &Creative) -> Variant {
    let count = |metric| {
        row.figure(metric)
            .0
            .and_then(|value: Decimal| value.to_u64())
            .unwrap_or(0)
    };
    let (sessions, conversions) = (count(Metric::Sessions), count(Metric::Conversions));
    Variant {
        // A converted session is a session, so there are never more.
        conversions: Proportion::new(conversions.min(sessions), sessions).unwrap_or_default(),
        paying: creative.paying.iter().map(|amount| *amount as f64 / 10_000.0).collect(),
        first: creative.first,
        last: creative.last,
    }
}

fn described(own: &str, row: &Row, judged: &Judged, compared_with: Option<String>) -> VariantAnswer {
    let mut undefined = BTreeMap::new();
    let mut known = |field: &'static str, value: Result<f64, Undefined>| match value {
        Ok(value) => Some(value),
        Err(reason) => {
            undefined.insert(field, reason);
            None
        }
    };
    let p_value = known("p_value", judged.tested.map(|tested| tested.p_value));
    let p_value_corrected = known("p_value_corrected", judged.adjusted_p);
    let confidence = known("confidence", judged.adjusted_p.map(confidence));
    let lift = known("lift", judged.lift).map(percent);
    let probability_best = known(
        "probability_best",
        judged.standing.map(|standing| standing.probability_best),
    );
    let expected_loss = known("expected_loss", judged.standing.map(|standing| standing.expected_loss)).map(percent);
    for (field, reason) in [
        ("interval", judged.interval.err()),
        ("difference", judged.difference.err()),
        ("sessions_needed", judged.sessions_needed.err()),
    ] {
        undefined.extend(reason.map(|reason| (field, reason)));
    }
    VariantAnswer {
        utm_content: own.to_owned(),
        sessions: row.figure(Metric::Sessions),
        conversions: row.figure(Metric::Conversions),
        conversion_rate: row.figure(Metric::ConversionRate),
        interval: judged.interval.ok().map(in_percent),
        revenue: row.figure(Metric::Revenue),
        orders: row.figure(Metric::Orders),
        avg_order_value: row.figure(Metric::AvgOrderValue),
        revenue_per_session: row.figure(Metric::RevenuePerSession),
        compared_with,
        test: judged.tested.ok().map(|tested| tested.test),
        z: judged.tested.ok().and_then(|tested| tested.z),
        p_value,
        p_value_corrected,
        confidence,
        difference: judged.difference.ok().map(in_percent),
        lift,
        revenue_test: money(&judged.revenue),
        capped_revenue_test: money(&judged.capped_revenue),
        probability_best,
        expected_loss,
        sessions_needed: judged.sessions_needed.ok(),
        undefined,
    }
}

fn money(money: &Money) -> MoneyAnswer {
    let tested = money.tested.ok();
    MoneyAnswer {
        mean: money.sample.mean,
        t: tested.map(|tested| tested.t),
        degrees_of_freedom: tested.map(|tested| tested.freedom),
        p_value: tested.map(|tested| tested.p_value),
        confidence: money.adjusted_p.ok().map(confidence),
        undefined: money.tested.err(),
    }
}

fn sample_ratio(analysis: &Analysis) -> SampleRatioAnswer {
    let split = analysis.split.ok();
    SampleRatioAnswer {
        chi_square: split.map(|split| split.chi_square),
        p_value: split.map(|split| split.p_value),
        undefined: analysis.split.err(),
    }
}

fn rules(rules: &Rules) -> RulesAnswer {
    RulesAnswer {
        min_sessions: rules.min_sessions,
        min_days: days(rules.min_time),
        confidence: percent(rules.level),
        power: percent(rules.power),
        cap_percentile: percent(rules.cap_percentile),
    }
}

fn percent(share: f64) -> f64 {
    100.0 * share
}

fn in_percent(interval: Interval) -> Interval {
    Interval {
        low: percent(interval.low),
        high: percent(interval.high),
    }
}

fn days(time: TimeDelta) -> f64 {
    time.num_milliseconds() as f64 / 86_400_000.0
}

/// The same as a table, a creative a row.
pub(super) async fn sheet(asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let test = answer(asked).await?.test;
    let fraction = |uk, en| SheetColumn::new(Text { uk, en }, Kind::Fraction, language);
    let of = |metric| SheetColumn::of(metric, language);
    let columns = vec![
        SheetColumn::text(Dimension::UtmContent.definition().label, language),
        of(Metric::Sessions),
        of(Metric::Conversions),
        of(Metric::ConversionRate),
        fraction("Інтервал 95 %, від", "95 % interval, from"),
        fraction("Інтервал 95 %, до", "95 % interval, to"),
        of(Metric::Revenue),
        of(Metric::Orders),
        of(Metric::AvgOrderValue),
        of(Metric::RevenuePerSession),
        SheetColumn::text(
            Text {
                uk: "Порівняно з",
                en: "Compared with",
            },
            language,
        ),
        fraction("Різниця, %", "Lift, %"),
        fraction("Упевненість, %", "Confidence, %"),
        fraction("Імовірність бути найкращим, %", "Probability to be best, %"),
        SheetColumn::new(
            Text {
                uk: "Ще потрібно сесій",
                en: "Sessions still needed",
            },
            Kind::Count,
            language,
        ),
        SheetColumn::text(
            Text {
                uk: "Переможець",
                en: "Winner",
            },
            language,
        ),
    ];
    let yes = Text {
        uk: "так", en: "yes"
    };
    let rows = test.variants.iter().map(|variant| {
        let is_winner = test.winner.as_deref() == Some(variant.utm_content.as_str());
        vec![
            variant.utm_content.as_str().into(),
            variant.sessions.into(),
            variant.conversions.into(),
            variant.conversion_rate.into(),
            Cell::statistic(variant.interval.map(|interval| interval.low)),
            Cell::statistic(variant.interval.map(|interval| interval.high)),
            variant.revenue.into(),
            variant.orders.into(),
            variant.avg_order_value.into(),
            variant.revenue_per_session.into(),
            variant.compared_with.as_deref().map_or(Cell::Nothing, Cell::from),
            Cell::statistic(variant.lift),
            Cell::statistic(variant.confidence),
            Cell::statistic(variant.probability_best.map(percent)),
            variant
                .sessions_needed
                .map_or(Cell::Nothing, |more| Cell::Number(more.into())),
            if is_winner {
                yes.get(language).into()
            } else {
                Cell::Nothing
            },
        ]
    });
    Ok(Sheet {
        columns,
        rows: rows.collect(),
    })
}

/// Its own parameters, but for the campaign, which is required here and a filter elsewhere.
pub(super) fn parameters() -> Vec<RefOr<Parameter>> {
    vec![describe::text(
        "weight",
        "Planned share of traffic of a creative, <utm_content>:<weight> on any scale; repeat for each. Then the split is checked.",
    )]
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<AbTest>(&mut schemas);
    let mut parameters: Vec<_> = describe::scope_parameters()
        .into_iter()
        // Here it is required.
        .filter(|parameter| !matches!(parameter, RefOr::Ref(common) if common.ref_location.ends_with("/campaign")))
        .collect();
    parameters.push(describe::required_text(
        "campaign",
        "The campaign, once. The same as utm_campaign.",
    ));
    parameters.extend(self::parameters());
    Endpoint {
        path: "ab-test",
        alias: None,
        handler: get(ab_test),
        operations: describe::get(describe::operation(
            "ab_test",
            "A/B test of a campaign's creatives",
            "Each creative (utm_content) against the best of the others: pooled two-proportion z-test, or Fisher's exact test where fewer \
             than five are expected in a cell; Holm's correction over all pairs. A winner is named only with at least 100 sessions in each, \
             three days beside each other and a corrected confidence of 95 % against every other; else the verdict says what is missing. \
             Looking daily and stopping at the first win finds too many winners: decide on the number of sessions first.",
            parameters,
            utoipa::openapi::schema::AllOfBuilder::new()
                .item(describe::reference::<ScopeAnswer>())
                .item(describe::reference::<AbTest>())
                .into(),
        )),
        schemas,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_name_and_a_number() {
        let read = |texts: &[&str]| weights(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(
            read(&["a:b:2", "c:0.5"]).unwrap(),
            BTreeMap::from([("a:b".to_owned(), 2.0), ("c".to_owned(), 0.5)])
        );
        for bad in [
            &["a"][..],
            &["a:"],
            &["a:0"],
            &["a:-1"],
            &["a:NaN"],
            &["a:1e3"],
            &["a:1000001"],
            &["a:1", "a:2"],
            &["a:."],
        ] {
            let error = read(bad).unwrap_err();
            assert!(
                matches!(&error, ApiError::Invalid { field: Some(field), .. } if field == "weight"),
                "{bad:?}"
            );
        }
    }
}
