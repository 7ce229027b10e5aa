//! `cohort-analysis` against a slow, plain computation over raw events and orders, around both clock changes of Kyiv.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use central_api::auth::Scope;
use central_api::clock::Clock;
use central_api::rollup::cohorts::{dirty, upkeep as kept};
use central_api::site::Site;
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::TestApp;

/// Thursday, 18:40 in Kyiv.
const NOW: &str = "2026-11-19T16:40:00Z";

#[derive(Clone)]
struct Event {
    visitor: Uuid,
    session: Uuid,
    id: Uuid,
    at: DateTime<Utc>,
}

#[derive(Clone)]
struct SessionFacts {
    source: Option<&'static str>,
    bot: bool,
    lead: bool,
}

#[derive(Clone)]
struct Order {
    visitor: Option<Uuid>,
    at: DateTime<Utc>,
    revenue: Option<Decimal>,
    bot: bool,
}

#[derive(Clone)]
struct Raw {
    events: Vec<Event>,
    sessions: BTreeMap<(Uuid, Uuid), SessionFacts>,
    orders: Vec<Order>,
}

impl Raw {
    fn generate(seed: u64, visitors: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // Clock changes, local midnights of Kyiv and New York, ends of weeks and months, and just before now.
        let anchors: Vec<DateTime<Utc>> = [
            "2026-03-29T01:00:00Z",
            "2026-03-28T22:00:00Z",
            "2026-03-29T21:00:00Z",
            "2026-03-31T21:00:00Z",
            "2026-04-05T21:00:00Z",
            "2026-10-24T21:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T22:00:00Z",
            "2026-10-31T22:00:00Z",
            "2026-11-01T05:00:00Z",
            "2026-11-15T22:00:00Z",
            "2026-11-18T22:00:00Z",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let mut raw = Self {
            events: Vec::new(),
            sessions: BTreeMap::new(),
            orders: Vec::new(),
        };
        for _ in 0..visitors {
            let visitor = Uuid::from_u128(rng.random());
            for _ in 0..rng.random_range(1..5) {
                let session = Uuid::from_u128(rng.random());
                let mut at = *anchors.choose(&mut rng).unwrap()
                    + TimeDelta::milliseconds(rng.random_range(-7_200_000..3_600_000));
                let facts = SessionFacts {
                    source: *[Some("facebook"), Some("google"), None].choose(&mut rng).unwrap(),
                    bot: rng.random_bool(0.1),
                    lead: rng.random_bool(0.2),
                };
                for _ in 0..rng.random_range(1..7) {
                    raw.events.push(Event {
                        visitor,
                        session,
                        id: Uuid::from_u128(rng.random()),
                        at,
                    });
                    // Within a visit, at its edge, and the next days.
                    let pause: i64 = *[0, 1, 600_000, 1_799_999, 1_800_000, 1_800_001, 90_000_000]
                        .choose(&mut rng)
                        .unwrap();
                    at += TimeDelta::milliseconds(pause);
                }
                for _ in 0..rng.random_range(0..3) {
                    raw.orders.push(Order {
                        visitor: rng.random_bool(0.9).then_some(visitor),
                        at: at + TimeDelta::milliseconds(rng.random_range(-200_000_000..2_000_000_000)),
                        revenue: rng
                            .random_bool(0.9)
                            .then(|| Decimal::new(rng.random_range(0..900_000), 2)),
                        bot: facts.bot,
                    });
                }
                raw.sessions.insert((visitor, session), facts);
            }
        }
        // What lies in the future has not happened.
        let now: DateTime<Utc> = NOW.parse().unwrap();
        raw.events.retain(|event| event.at <= now);
        raw.orders.retain(|order| order.at <= now);
        let seen: BTreeSet<_> = raw.events.iter().map(|event| (event.visitor, event.session)).collect();
        raw.sessions.retain(|key, _| seen.contains(key));
        raw
    }

    /// Writes the events, and sessions from the events as ingestion keeps them: a range of half an hour for each event.
    async fn store(&self, pool: &PgPool, site_id: i32) {
        sqlx::query("create table if not exists events_of_this_test partition of events default")
            .execute(pool)
            .await
            .unwrap();
        for event in &self.events {
            sqlx::query(
                "insert into events (site_id, visitor_id, event_id, minted_at, session_id, occurred_at, action, origin, visit_no, points)
                values ($1, $2, $3, $4, $5, $4, 1, 1, 1, 1)",
            )
            .bind(site_id)
            .bind(event.visitor)
            .bind(event.id)
            .bind(event.at)
            .bind(event.session)
            .execute(pool)
            .await
            .unwrap();
        }
        sqlx::query(
            "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points)
            select site_id, visitor_id, session_id, min(occurred_at), max(occurred_at), 1,
                range_agg(int8range((extract(epoch from occurred_at) * 1000)::bigint, (extract(epoch from occurred_at) * 1000)::bigint + 1800000)),
                count(*), count(*), count(*)
            from events where site_id = $1 group by 1, 2, 3",
        )
        .bind(site_id)
        .execute(pool)
        .await
        .unwrap();
        for ((visitor, session), facts) in &self.sessions {
            sqlx::query(
                "update sessions set utm_source = $4, bot_reason = $5, lead_at = case when $6 then first_seen end
                where site_id = $1 and visitor_id = $2 and session_id = $3",
            )
            .bind(site_id)
            .bind(visitor)
            .bind(session)
            .bind(facts.source)
            .bind(facts.bot.then_some(1_i16))
            .bind(facts.lead)
            .execute(pool)
            .await
            .unwrap();
        }
        for (n, order) in self.orders.iter().enumerate() {
            sqlx::query(
                "insert into orders (site_id, order_id, visitor_id, currency, total, revenue, payment_status, created_at, updated_at, bot_reason)
                values ($1, $2, $3, 'UAH', 1, $4, 'paid', $5, $5, $6)",
            )
            .bind(site_id)
            .bind(format!("order {n}"))
            .bind(order.visitor)
            .bind(order.revenue)
            .bind(order.at)
            .bind(order.bot.then_some(1_i16))
            .execute(pool)
            .await
            .unwrap();
        }
    }
}

/// First local day of the bucket of a local day, by walking back.
fn bucket(kind: &str, mut day: NaiveDate) -> NaiveDate {
    let begins = |day: NaiveDate| match kind {
        "day" => true,
        "week" => day.weekday() == Weekday::Mon,
        _ => day.day() == 1,
    };
    while !begins(day) {
        day = day.pred_opt().unwrap();
    }
    day
}

/// First day of the bucket after the one that begins on a day.
fn next(kind: &str, start: NaiveDate) -> NaiveDate {
    let mut day = start.succ_opt().unwrap();
    while bucket(kind, day) == start {
        day = day.succ_opt().unwrap();
    }
    day
}

fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

struct Wanted {
    cohorts: Vec<NaiveDate>,
    matrix: Vec<Vec<Option<Decimal>>>,
    /// Size, converted, orders, revenue.
    totals: Vec<(i64, i64, i64, Decimal)>,
}

/// The definitions, word by word.
fn truth(
    raw: &Raw,
    zone: Tz,
    kind: &str,
    metric: &str,
    (first, last): (NaiveDate, NaiveDate),
    source: Option<&str>,
    periods: usize,
) -> Wanted {
    let now: DateTime<Utc> = NOW.parse().unwrap();
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
    let today = local(now);
    let is_bot = |event: &Event| raw.sessions[&(event.visitor, event.session)].bot;
    let people: Vec<&Event> = raw.events.iter().filter(|event| !is_bot(event)).collect();
    let mut members: BTreeMap<NaiveDate, Vec<Uuid>> = BTreeMap::new();
    for visitor in people.iter().map(|event| event.visitor).collect::<BTreeSet<_>>() {
        let own = people.iter().filter(|event| event.visitor == visitor);
        let start = |session: Uuid| {
            people
                .iter()
                .filter(|e| e.session == session)
                .map(|e| e.at)
                .min()
                .unwrap()
        };
        let first_session = own
            .map(|event| event.session)
            .min_by_key(|session| (start(*session), *session))
            .unwrap();
        let day = local(start(first_session));
        let fits = source.is_none_or(|source| raw.sessions[&(visitor, first_session)].source == Some(source));
        if day >= first && day <= last && fits {
            members.entry(bucket(kind, day)).or_default().push(visitor);
        }
    }
    let mut cohorts = vec![bucket(kind, first)];
    while next(kind, *cohorts.last().unwrap()) <= last.min(today) {
        cohorts.push(next(kind, *cohorts.last().unwrap()));
    }
    let mut wanted = Wanted {
        cohorts: cohorts.clone(),
        matrix: Vec::new(),
        totals: Vec::new(),
    };
    for cohort in cohorts {
        let who = members.get(&cohort).cloned().unwrap_or_default();
        let size = Decimal::from(who.len());
        let orders: Vec<&Order> = raw
            .orders
            .iter()
            .filter(|o| !o.bot && o.visitor.is_some_and(|v| who.contains(&v)))
            .collect();
        let mut row = Vec::new();
        let mut start = cohort;
        for k in 0..periods {
            let end = next(kind, start);
            let until: Vec<_> = orders.iter().filter(|order| local(order.at) < end).collect();
            let revenue: Decimal = until.iter().filter_map(|order| order.revenue).sum();
            let active = who.iter().filter(|visitor| {
                people
                    .iter()
                    .any(|event| event.visitor == **visitor && bucket(kind, local(event.at)) == start)
            });
            let value = match metric {
                "retention" if k == 0 => (!who.is_empty()).then_some(Decimal::ONE_HUNDRED),
                _ if today < end => None,
                "orders" => Some(Decimal::from(until.len())),
                "revenue" => Some(revenue),
                _ if who.is_empty() => None,
                "retention" => Some(rounded(Decimal::ONE_HUNDRED * Decimal::from(active.count()) / size)),
                _ => Some(rounded(revenue / size)),
            };
            row.push(value);
            start = end;
        }
        wanted.matrix.push(row);
        let converted = who.iter().filter(|visitor| {
            raw.sessions
                .iter()
                .any(|((v, _), facts)| v == *visitor && !facts.bot && facts.lead)
        });
        wanted.totals.push((
            who.len() as i64,
            converted.count() as i64,
            orders.len() as i64,
            orders.iter().filter_map(|order| order.revenue).sum(),
        ));
    }
    wanted
}

struct Shop {
    app: TestApp,
    site: Arc<Site>,
    client: reqwest::Client,
}

impl Shop {
    async fn open(raw: &Raw, zone: Tz) -> Self {
        let app = TestApp::start_at(Clock::from_fn(|| NOW.parse().unwrap())).await;
        app.site("shop").await;
        sqlx::query("update sites set time_zone = $1")
            .bind(zone.name())
            .execute(&app.db.pool)
            .await
            .unwrap();
        app.reload_sites().await;
        let site = app.state.sites.by_key("shop").unwrap();
        raw.store(&app.db.pool, site.id).await;
        let client = app.bearer(&site, &[Scope::Read]).await;
        Self { app, site, client }
    }

    /// Makes what is kept, and sees that reports use it.
    async fn keep(&self) {
        let (pool, now) = (&self.app.db.pool, NOW.parse().unwrap());
        kept::catch_up(pool, &self.site, now, |_| {}).await.unwrap();
        let mut conn = pool.acquire().await.unwrap();
        assert_eq!(dirty(&mut conn, &self.site).await.unwrap(), Some(Vec::new()));
    }

    async fn get(&self, query: &str) -> (u16, Value) {
        let url = self.app.url(&format!("/api/utm/cohort-analysis{query}"));
        let answer = self.client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn ok(&self, query: &str) -> Value {
        let (status, body) = self.get(query).await;
        assert_eq!(status, 200, "{query}: {body}");
        body
    }
}

fn decimal(value: &Value) -> Option<Decimal> {
    (!value.is_null()).then(|| value.to_string().parse().unwrap())
}

#[tokio::test]
async fn every_matrix_equals_a_plain_computation_over_the_raw_rows() {
    for (zone, seed) in [(Tz::Europe__Kyiv, 1), (Tz::Europe__Kyiv, 2), (Tz::America__New_York, 3)] {
        let raw = Raw::generate(seed, 60);
        let shop = Shop::open(&raw, zone).await;
        compare(&shop, &raw, zone).await;
        // The same from what is kept.
        shop.keep().await;
        compare(&shop, &raw, zone).await;
    }
}

#[tokio::test]
async fn the_order_in_which_rows_came_changes_nothing() {
    let raw = Raw::generate(4, 60);
    let mut shuffled = raw.clone();
    let mut rng = StdRng::seed_from_u64(9);
    shuffled.events.shuffle(&mut rng);
    shuffled.orders.shuffle(&mut rng);
    let (one, other) = (
        Shop::open(&raw, Tz::Europe__Kyiv).await,
        Shop::open(&shuffled, Tz::Europe__Kyiv).await,
    );
    for kept in [false, true] {
        if kept {
            one.keep().await;
            other.keep().await;
        }
        for kind in ["day", "week", "month"] {
            for metric in ["retention", "ltv", "orders", "revenue"] {
                for more in ["", "&utm_source=google"] {
                    let query =
                        format!("?cohort_type={kind}&metric={metric}&start_date=2026-03-20&end_date=2026-11-19{more}");
                    assert_eq!(one.ok(&query).await, other.ok(&query).await, "{query}, kept: {kept}");
                }
            }
        }
    }
}

/// Every matrix against the plain computation.
async fn compare(shop: &Shop, raw: &Raw, zone: Tz) {
    let range = |first: (u32, u32), last: (u32, u32)| {
        let of = |(month, day)| NaiveDate::from_ymd_opt(2026, month, day).unwrap();
        (of(first), of(last))
    };
    for kind in ["day", "week", "month"] {
        for metric in ["retention", "ltv", "orders", "revenue"] {
            for (days, source, periods) in [
                (range((3, 20), (11, 19)), None, 12),
                (range((3, 25), (4, 10)), Some("facebook"), 31),
                (range((10, 22), (11, 30)), None, 8),
            ] {
                let mut query = format!(
                    "?cohort_type={kind}&metric={metric}&start_date={}&end_date={}&periods={periods}",
                    days.0, days.1
                );
                if let Some(source) = source {
                    query += &format!("&utm_source={source}");
                }
                let body = shop.ok(&query).await;
                let columns = body["periods"].as_array().unwrap().len();
                let wanted = truth(raw, zone, kind, metric, days, source, columns);
                let what = format!("{zone} {query}");
                assert_eq!(
                    body["cohorts"],
                    serde_json::to_value(&wanted.cohorts).unwrap(),
                    "{what}"
                );
                for (n, (got, wanted)) in body["matrix"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .zip(&wanted.matrix)
                    .enumerate()
                {
                    let got: Vec<_> = got.as_array().unwrap().iter().map(decimal).collect();
                    assert_eq!(&got, wanted, "{what}, cohort {n}");
                }
                for (n, (got, wanted)) in body["totals"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .zip(&wanted.totals)
                    .enumerate()
                {
                    let number = |key: &str| got[key].as_i64().unwrap();
                    let got = (
                        number("size"),
                        number("converted"),
                        number("orders"),
                        decimal(&got["revenue"]).unwrap(),
                    );
                    assert_eq!(&got, wanted, "{what}, totals of cohort {n}");
                }
                assert_eq!(body["totals"].as_array().unwrap().len(), wanted.totals.len());
                assert_eq!(body["matrix"].as_array().unwrap().len(), wanted.matrix.len());
                assert!(wanted.totals.iter().any(|total| total.0 > 0), "{what} tests something");
            }
        }
    }
}

#[tokio::test]
async fn cohorts_of_the_last_ninety_days_have_the_shape_of_the_original_module() {
    let raw = Raw::generate(5, 40);
    let shop = Shop::open(&raw, Tz::Europe__Kyiv).await;
    let body = shop.ok("").await;
    assert_eq!(body, shop.ok("/").await);
    assert_eq!(
        (&body["metric"], &body["cohort_type"]),
        (&"retention".into(), &"week".into())
    );
    assert_eq!(
        (&body["period"]["start_date"], &body["period"]["end_date"]),
        (&"2026-08-22".into(), &"2026-11-19".into())
    );
    assert_eq!(body["cohorts"][0], "2026-08-17", "the Monday before");
    assert_eq!(
        (&body["periods"][0], &body["periods"][11]),
        (&"Тиждень 0".into(), &"Тиждень 11".into())
    );
    assert_eq!(body["periods"].as_array().unwrap().len(), 12);
    assert_eq!(
        shop.ok("?lang=en&cohort_type=month").await["periods"],
        serde_json::json!(["Month 0", "Month 1", "Month 2", "Month 3"])
    );

    // Weighted by the cohorts' sizes: all who were active over all who could be.
    let all = shop.ok("?period=all_time&cohort_type=month").await;
    let rows: Vec<&Vec<Value>> = all["matrix"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap())
        .collect();
    let (mut active, mut size) = (Decimal::ZERO, Decimal::ZERO);
    for (row, total) in rows.iter().zip(all["totals"].as_array().unwrap()) {
        if let Some(share) = decimal(&row[1]) {
            let own = Decimal::from(total["size"].as_i64().unwrap());
            active += (share * own / Decimal::ONE_HUNDRED).round();
            size += own;
        }
    }
    assert_eq!(
        decimal(&all["averages"][1]).unwrap(),
        rounded(Decimal::ONE_HUNDRED * active / size)
    );
    // Everybody is in one cohort.
    let sizes: i64 = all["totals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|total| total["size"].as_i64().unwrap())
        .sum();
    let people: BTreeSet<_> = raw
        .sessions
        .iter()
        .filter(|(_, facts)| !facts.bot)
        .map(|((visitor, _), _)| visitor)
        .collect();
    assert_eq!(sizes, people.len() as i64);
    assert_eq!(all["cohorts"][0], "2026-03-01");
    assert_eq!(shop.site.key, "shop");
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let raw = Raw::generate(5, 2);
    let shop = Shop::open(&raw, Tz::Europe__Kyiv).await;
    for (query, field) in [
        ("?cohort_type=year", "cohort_type"),
        ("?metric=ltv2", "metric"),
        ("?periods=32", "periods"),
        ("?periods=0", "periods"),
        ("?lang=ru", "lang"),
        ("?attribution_date=order", "attribution_date"),
        ("?start_date=2026-01-01", "end_date"),
        (
            "?cohort_type=day&start_date=2020-01-01&end_date=2026-01-01",
            "cohort_type",
        ),
        ("?cohort=week", "cohort"),
        ("?utm_source=", "utm_source"),
    ] {
        let (status, body) = shop.get(query).await;
        assert_eq!(
            (status, &body["error"]["field"]),
            (400, &field.into()),
            "{query}: {body}"
        );
    }
    // Before anybody came and in the future: answers without numbers.
    for query in [
        "?start_date=1970-01-01&end_date=1970-01-08",
        "?start_date=2199-01-01&end_date=2199-12-31",
        "?period=today",
    ] {
        let body = shop.ok(query).await;
        assert_eq!(
            body["cohorts"].as_array().unwrap().len(),
            body["matrix"].as_array().unwrap().len(),
            "{query}"
        );
    }
}
