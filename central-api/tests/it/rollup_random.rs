//! Whatever comes in, in whatever order: figures from rollups equal figures from the sessions, and `rollup verify` finds nothing.

use std::sync::Arc;

use central_api::auth::Scope as KeyScope;
use central_api::catalogue::{Dimension, Metric};
use central_api::db::retention;
use central_api::reports::counted::count;
use central_api::reports::filter::Filters;
use central_api::reports::period::Period;
use central_api::reports::scope::{AttributionDate, Bots, Scope};
use central_api::reports::sql::{Question, statement};
use central_api::reports::table::{read, rolled, snapshot};
use central_api::rollup::SPLITS;
use central_api::rollup::upkeep::{self, Take};
use central_api::site::Site;
use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use shared::ids::uuid_v7;
use uuid::Uuid;

use crate::ingest::{app, deliver, now};
use crate::rollup::assert_coverage_is_exact;
use crate::support::TestApp;

const METRICS: [Metric; 5] = [
    Metric::Visitors,
    Metric::Sessions,
    Metric::Visits,
    Metric::Revenue,
    Metric::PageViews,
];

/// Questions that rollups answer, with their visitors or without.
fn questions() -> Vec<(Vec<Dimension>, Filters)> {
    let filter = |pairs: &[(Dimension, &str)]| {
        let mut filters = Filters::default();
        for (dimension, value) in pairs {
            filters.add(*dimension, value).unwrap();
        }
        filters
    };
    let none = || filter(&[]);
    let mut questions: Vec<_> = SPLITS.iter().map(|split| (split.to_vec(), none())).collect();
    for bucket in [Dimension::Hour, Dimension::Day, Dimension::Week, Dimension::Month] {
        questions.push((vec![bucket], none()));
        questions.push((vec![bucket, Dimension::UtmSource], none()));
    }
    questions.push((vec![Dimension::UtmMedium], filter(&[(Dimension::UtmSource, "google")])));
    questions.push((vec![], filter(&[(Dimension::Country, "(not set)")])));
    questions.push((vec![Dimension::City], filter(&[(Dimension::Country, "!UA")])));
    questions.push((
        vec![],
        filter(&[(Dimension::UtmSource, "google"), (Dimension::UtmSource, "tiktok")]),
    ));
    // None that a split holds.
    questions.push((
        vec![Dimension::UtmSource, Dimension::Day, Dimension::City],
        filter(&[(Dimension::LandingPage, "!/"), (Dimension::Country, "UA")]),
    ));
    questions.push((
        vec![Dimension::Hour, Dimension::VisitorType],
        filter(&[(Dimension::UtmSource, "google"), (Dimension::UtmSource, "(not set)")]),
    ));
    questions.push((vec![Dimension::BotReason, Dimension::Language], none()));
    questions.push((
        vec![],
        filter(&[(Dimension::VisitorType, "returning"), (Dimension::City, "Kyiv")]),
    ));
    questions
}

/// Compares all ways for one zone and period. Answers how many answers had their visitors from the sums, and how many were counted from the
/// blocks as well.
async fn assert_the_same_all_ways(
    app: &TestApp,
    site: &Arc<Site>,
    period: Period,
    skipped: usize,
    told: &str,
) -> (usize, usize) {
    let (mut by_sums, mut by_blocks) = (0, 0);
    // A third of the questions each time.
    for (turn, (dimensions, filters)) in questions().into_iter().enumerate().skip(skipped).step_by(3) {
        let everybody = (Bots::Exclude, false);
        let (bots, confirmed) = [
            everybody,
            everybody,
            (Bots::Include, false),
            (Bots::Exclude, true),
            (Bots::Only, false),
        ][turn % 5];
        let scope = Scope {
            site: site.clone(),
            period,
            filters,
            bots,
            confirmed,
            attribution_date: AttributionDate::Session,
        };
        let question = Question {
            scope: &scope,
            dimensions: &dimensions,
            metrics: &METRICS,
            sort: None,
            limit: None,
            offset: 0,
        };
        let mut tx = snapshot(&app.db.pool).await.unwrap();
        let rolled = rolled(&mut tx, &question).await.unwrap();
        by_sums += usize::from(rolled.as_ref().is_some_and(|rolled| rolled.distinct));
        let beside = count(&mut tx, &question, rolled.as_ref()).await.unwrap();
        let alone = count(&mut tx, &question, None).await.unwrap();
        by_blocks += usize::from(alone.is_some());
        let mut answers = Vec::new();
        for (rolled, counted) in [(None, None), (rolled.as_ref(), beside.as_ref()), (None, alone.as_ref())] {
            let mut statement = statement(&question, rolled, counted);
            let rows = statement.build().persistent(false).fetch_all(&mut *tx).await.unwrap();
            answers.push(rows.iter().map(|row| read(row, &question).unwrap()).collect::<Vec<_>>());
        }
        for answer in &answers[1..] {
            assert_eq!(
                answer, &answers[0],
                "{told}: {dimensions:?} {:?} {bots:?} {confirmed} {} {period:?}",
                scope.filters, site.time_zone
            );
        }
    }
    (by_sums, by_blocks)
}

/// An event of one of a few visitors, anywhere in the last six days, with whatever of touch, context and bot it happens to carry.
fn event(rng: &mut StdRng) -> Value {
    let (visitor, session): (u128, u128) = (rng.random_range(0..5), rng.random_range(0..4));
    let pick = |rng: &mut StdRng, values: &[&'static str]| values[rng.random_range(0..values.len())];
    // Sessions of a visitor in the wrong order as often as not; full hours and quarters more often than chance gives.
    let back = match rng.random_range(0..4) {
        0 => rng.random_range(0..24) * 3_600_000,
        1 => rng.random_range(0..600) * 900_000,
        2 => rng.random_range(0..7_200_000),
        _ => rng.random_range(0..6 * 86_400_000),
    };
    let at = now().timestamp_millis() - back;
    let mut event = json!({
        "id": uuid_v7(at, rng.random()), "at": at, "action": pick(rng, &["page_view", "product_view", "purchase"]), "origin": "edge",
        "visitor": Uuid::from_u128(1 + visitor), "consent": "granted", "path": "/p",
        "session": {"id": Uuid::from_u128(100 + visitor * 10 + session), "started": at - rng.random_range(0..3) * 1_000_000,
            "visit": rng.random_range(1..3)},
    });
    if rng.random_bool(0.5) {
        event["touch"] = json!({"utm_source": pick(rng, &["google", "tiktok", "fb"]), "utm_medium": pick(rng, &["cpc", "email"]),
            "utm_campaign": pick(rng, &["a", "b"]), "landing_path": pick(rng, &["/", "/l"])});
    }
    if rng.random_bool(0.4) {
        event["context"] = json!({"country": pick(rng, &["UA", "PL"]), "city": pick(rng, &["Kyiv", "Lviv"])});
    }
    if rng.random_bool(0.06) {
        event["bot"] = json!("headless");
    }
    event
}

async fn one_story(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let app = app().await;
    let site = app.state.sites.all().first().unwrap().clone();
    let shop = app.bearer(&site, &[KeyScope::Orders]).await;
    let mut told: Vec<Vec<Value>> = Vec::new();
    let (mut by_sums, mut by_blocks) = (0, 0);
    for step in 0..30 {
        let what = rng.random_range(0..13);
        match what {
            0..=4 => {
                let events: Vec<_> = (0..rng.random_range(1..10)).map(|_| event(&mut rng)).collect();
                deliver(&app, &events).await;
                told.push(events);
            }
            5 if !told.is_empty() => {
                let again = &told[rng.random_range(0..told.len())];
                deliver(&app, again).await;
            }
            5..=6 => {
                let visitor: u128 = rng.random_range(0..5);
                let number = rng.random_range(0..6);
                let status = ["paid", "prepaid", "refunded", "cancelled"][rng.random_range(0..4)];
                let answer = shop
                    .post(app.url("/api/v1/orders"))
                    .json(&json!({
                        "order_id": format!("o{number}"), "total": "100.50", "currency": "UAH", "payment_status": status,
                        "session_id": Uuid::from_u128(100 + visitor * 10 + rng.random_range(0..4u128)),
                        "created_at": now() - TimeDelta::hours(rng.random_range(1..100)), "updated_at": now() - TimeDelta::seconds(100 - step),
                    }))
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
            }
            7..=8 => {
                upkeep::round(&app.db.pool, now(), Take::Closed).await.unwrap();
            }
            9 => {
                let from = now() - TimeDelta::hours(rng.random_range(0..150));
                upkeep::mark_period(&app.db.pool, site.id, from, now()).await.unwrap();
            }
            10 if step > 15 => {
                let cutoff = now() - TimeDelta::hours(rng.random_range(60..150));
                retention::delete_before(&app.db.pool, site.id, cutoff).await.unwrap();
            }
            _ => {
                upkeep::catch_up(&app.db.pool, now(), |_| {}).await.unwrap();
                let wrong = upkeep::verify(&app.db.pool, site.id, now() - TimeDelta::days(8), now(), |_| {})
                    .await
                    .unwrap();
                assert!(wrong.is_empty(), "seed {seed}, step {step}: {wrong:?}");
            }
        }
        let zone = [
            chrono_tz::Europe::Kyiv,
            chrono_tz::UTC,
            chrono_tz::America::New_York,
            chrono_tz::Asia::Kathmandu,
        ][rng.random_range(0..4)];
        let in_zone = Arc::new(Site {
            time_zone: zone,
            ..(*site).clone()
        });
        let today = now().with_timezone(&zone).date_naive();
        let back = |days| today - chrono::Days::new(days);
        let first = rng.random_range(1..6);
        let period = match rng.random_range(0..4) {
            0 => Period::parse(Some("all_time"), None, None, zone, now()).unwrap(),
            1 => Period::parse(Some("week"), None, None, zone, now()).unwrap(),
            2 => Period::parse(Some("today"), None, None, zone, now()).unwrap(),
            _ => Period::of_days(back(first), back(rng.random_range(0..=first)), zone),
        };
        let told = format!("seed {seed}, step {step} ({what})");
        assert_coverage_is_exact(&app.db.pool, &in_zone, &period, &told).await;
        let (sums, blocks) = assert_the_same_all_ways(&app, &in_zone, period, step as usize % 3, &told).await;
        (by_sums, by_blocks) = (by_sums + sums, by_blocks + blocks);
    }
    assert!(by_blocks > 100, "{by_blocks} answers were counted from blocks");
    assert!(by_sums > 100, "visitors came from the sums in {by_sums} answers");
}

#[tokio::test]
async fn after_any_sequence_of_late_events_refunds_redeliveries_and_rebuilds_sums_and_sessions_agree() {
    for seed in 0..4 {
        one_story(seed).await;
    }
}
