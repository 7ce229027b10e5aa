//! Cohorts from what is kept equal those counted from sessions and orders, whatever happens and whenever one asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use central_api::auth;
use central_api::db::retention;
use central_api::reports::cohorts::{count, count_plainly};
use central_api::reports::params::Params;
use central_api::reports::scope::Scope;
use central_api::rollup::cohorts::{dirty, facts, upkeep as kept, verify};
use central_api::rollup::upkeep::{self, Take};
use central_api::site::Site;
use central_api::statistics::cohorts::{Bucket, Cohort};
use chrono::{DateTime, NaiveDate, TimeDelta};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use shared::ids::uuid_v7;
use sqlx::PgPool;
use uuid::Uuid;

use crate::ingest::{app, deliver, now};
use crate::support::TestApp;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A shop whose visitors come and buy at random, through the doors that real ones use.
struct Street {
    app: TestApp,
    orders: reqwest::Client,
    rng: StdRng,
    delivered: Vec<Value>,
    sent_orders: Vec<Value>,
    seq: u64,
}

impl Street {
    async fn open(seed: u64) -> Self {
        let app = app().await;
        let site = app.state.sites.by_key("shop").unwrap();
        let orders = app.bearer(&site, &[auth::Scope::Orders]).await;
        Self {
            app,
            orders,
            rng: StdRng::seed_from_u64(seed),
            delivered: Vec::new(),
            sent_orders: Vec::new(),
            seq: 0,
        }
    }

    fn pool(&self) -> &PgPool {
        &self.app.db.pool
    }

    fn site(&self) -> Arc<Site> {
        self.app.state.sites.by_key("shop").unwrap()
    }

    /// One of a few visitors and their sessions, so that events meet.
    fn somebody(&mut self) -> (u128, u128) {
        let visitor = self.rng.random_range(0..25);
        (1_000 + visitor, 10_000 + visitor * 10 + self.rng.random_range(0..3))
    }

    /// Up to 34 days ago: both sides of the clock change, and close to local midnights.
    fn some_time(&mut self) -> i64 {
        let back = match self.rng.random_range(0..3) {
            0 => self.rng.random_range(0..34 * DAY_MS),
            1 => self.rng.random_range(0..34) * DAY_MS + 14 * 3_600_000 + self.rng.random_range(-3_600_000..3_600_000),
            _ => 26 * DAY_MS + self.rng.random_range(-DAY_MS..DAY_MS),
        };
        now().timestamp_millis() - back.clamp(0, 34 * DAY_MS)
    }

    fn event(&mut self) -> Value {
        let (visitor, session) = self.somebody();
        self.seq += 1;
        let at = self.some_time();
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.seq.to_be_bytes());
        let action = *["page_view", "page_view", "add_to_cart", "lead", "purchase"]
            .choose(&mut self.rng)
            .unwrap();
        let mut event = json!({
            "id": uuid_v7(at, random), "at": at, "action": action, "origin": "edge", "visitor": Uuid::from_u128(visitor),
            "consent": "granted", "path": "/p", "session": {"id": Uuid::from_u128(session), "started": at, "visit": 1},
        });
        if action == "purchase" {
            event["value"] = "99.90".into();
            event["origin"] = "script".into();
        }
        if self.rng.random_bool(0.5) {
            let source = *["facebook", "google", "tiktok"].choose(&mut self.rng).unwrap();
            event["touch"] = json!({"utm_source": source, "utm_medium": "cpc", "landing_path": "/l"});
            event["context"] = json!({"country": "UA", "city": source});
        }
        if self.rng.random_bool(0.05) {
            event["bot"] = "headless".into();
        }
        event
    }

    async fn send_orders(&self, orders: &[Value]) {
        let url = self.app.url("/api/v1/orders");
        let body = Value::from(orders.to_vec()).to_string();
        let answer = self.orders.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    fn order(&mut self) -> Value {
        let (visitor, session) = self.somebody();
        let at = DateTime::from_timestamp_millis(self.some_time()).unwrap();
        let status = *[
            "unpaid",
            "prepaid",
            "paid",
            "paid",
            "refunded",
            "cancelled",
            "partially_refunded",
        ]
        .choose(&mut self.rng)
        .unwrap();
        let number = self.rng.random_range(0..30);
        let mut order = json!({
            "order_id": format!("o{number}"), "total": format!("{}.50", self.rng.random_range(1..900)), "currency": "UAH",
            "payment_status": status, "created_at": at, "updated_at": now() - TimeDelta::milliseconds(self.rng.random_range(0..1_000_000)),
        });
        if status == "partially_refunded" {
            order["refunded"] = "0.25".into();
        }
        // Without a name it stays unlinked; another time it may be linked to somebody else.
        if self.rng.random_bool(0.9) {
            order["visitor_id"] = Uuid::from_u128(visitor).to_string().into();
            order["session_id"] = Uuid::from_u128(session).to_string().into();
        }
        order
    }

    /// Something happens.
    async fn step(&mut self) -> &'static str {
        match self.rng.random_range(0..100) {
            0..40 => {
                let events: Vec<Value> = (0..self.rng.random_range(1..12)).map(|_| self.event()).collect();
                deliver(&self.app, &events).await;
                self.delivered.extend(events);
                "events"
            }
            40..50 => {
                let mut again = self.delivered.clone();
                again.shuffle(&mut self.rng);
                again.truncate(20);
                if !again.is_empty() {
                    deliver(&self.app, &again).await;
                }
                "delivered again"
            }
            50..65 => {
                // A known one again is a later or an earlier state of it: a refund, another link.
                let mut ids = std::collections::BTreeSet::new();
                let orders: Vec<Value> = (0..self.rng.random_range(1..5))
                    .map(|_| self.order())
                    .filter(|order| ids.insert(order["order_id"].to_string()))
                    .collect();
                self.send_orders(&orders).await;
                self.sent_orders.extend(orders);
                "orders"
            }
            65..70 => {
                if let Some(order) = self.sent_orders.choose(&mut self.rng).cloned() {
                    self.send_orders(&[order]).await;
                }
                "an order again"
            }
            70..73 => {
                // Erasure leaves a mark as every writer does.
                let (visitor, _) = self.somebody();
                let mut tx = self.pool().begin().await.unwrap();
                for statement in [
                    "delete from sessions where visitor_id = $1",
                    "delete from events where visitor_id = $1",
                    "update orders set visitor_id = null, session_id = null, session_first_seen = null where visitor_id = $1",
                    "insert into rollup_marks (site_id, visitor_id, hour) select site_id, $1, now() from sites",
                ] {
                    sqlx::query(statement)
                        .bind(Uuid::from_u128(visitor))
                        .execute(&mut *tx)
                        .await
                        .unwrap();
                }
                tx.commit().await.unwrap();
                "erasure"
            }
            73..75 => {
                let cutoff = now() - TimeDelta::days(self.rng.random_range(20..34));
                retention::delete_before(self.pool(), self.site().id, cutoff)
                    .await
                    .unwrap();
                "retention"
            }
            75..77 => {
                let zone = *["Europe/Kyiv", "America/New_York", "Asia/Kathmandu"]
                    .choose(&mut self.rng)
                    .unwrap();
                sqlx::query("update sites set time_zone = $1")
                    .bind(zone)
                    .execute(self.pool())
                    .await
                    .unwrap();
                self.app.reload_sites().await;
                "another zone"
            }
            77..79 => {
                kept::forget(self.pool(), self.site().id).await.unwrap();
                "forgotten"
            }
            79..86 => {
                upkeep::round(self.pool(), now(), Take::Due).await.unwrap();
                "marks collected"
            }
            86..93 => {
                // A site that is begun anew takes several rounds, between which other things happen.
                let at_once = self.rng.random_range(1..40);
                kept::round_of(
                    self.pool(),
                    &[self.site()],
                    now() + TimeDelta::minutes(1),
                    Take::Due,
                    at_once,
                )
                .await
                .unwrap();
                "due visitors"
            }
            _ => {
                self.catch_up().await;
                "all caught up"
            }
        }
    }

    async fn catch_up(&self) {
        upkeep::round(self.pool(), now(), Take::Due).await.unwrap();
        kept::catch_up(self.pool(), &self.site(), now(), |_| {}).await.unwrap();
    }

    fn scope(&self, query: &str) -> Scope {
        Scope::take(&mut Params::new(query), self.site(), now()).unwrap()
    }

    /// Whether reports take what is kept now.
    async fn is_kept(&self) -> bool {
        let mut connection = self.pool().acquire().await.unwrap();
        dirty(&mut connection, &self.site()).await.unwrap().is_some()
    }

    /// Every bucket and some filters: as reports count, and plainly.
    async fn assert_true(&self, what: &str) {
        for query in [
            "period=all_time",
            "start_date=2026-10-20&end_date=2026-11-19",
            "period=all_time&utm_source=facebook",
            "period=all_time&confirmed=true",
            "start_date=2026-10-25&end_date=2026-11-20&utm_source=!google&country=(not%20set)",
            "period=month&city=tiktok&city=google&landing_page=/l",
            "period=week&referrer=(not%20set)",
            "period=all_time&bots=include",
        ] {
            for (_, bucket) in Bucket::ALLOWED {
                let scope = self.scope(query);
                let told = count(self.pool(), &scope, bucket, true).await.unwrap();
                let mut plain = count_plainly(self.pool(), &scope, bucket, true).await.unwrap();
                shown(&mut plain, bucket);
                let mut told = told;
                shown(&mut told, bucket);
                assert_eq!(told, plain, "{query} {bucket:?} after {what}");
            }
        }
    }
}

/// No matrix shows later periods, and none are kept.
fn shown(cohorts: &mut BTreeMap<NaiveDate, Cohort>, bucket: Bucket) {
    for (start, cohort) in cohorts {
        cohort.active.retain(|at, _| bucket.distance(*start, *at) < 31);
    }
}

#[tokio::test]
async fn cohorts_are_the_same_at_every_moment_of_a_random_history() {
    for seed in [1, 2] {
        let mut street = Street::open(seed).await;
        let mut history = Vec::new();
        let mut used = 0;
        for n in 0..60 {
            history.push(street.step().await);
            if n % 4 == 3 {
                used += usize::from(street.is_kept().await);
                street
                    .assert_true(&format!("seed {seed}: {}", history.join(", ")))
                    .await;
            }
        }
        assert!(used > 4, "seed {seed} tests something: {used}");
        street.catch_up().await;
        street.assert_true("all").await;
        let site = street.site();
        assert_eq!(
            verify::verify(street.pool(), &site, |_| {}).await.unwrap(),
            Some(verify::Wrong::default()),
            "seed {seed}"
        );
        let mut connection = street.pool().acquire().await.unwrap();
        assert_eq!(dirty(&mut connection, &site).await.unwrap(), Some(vec![]));
        let rows: i64 = sqlx::query_scalar("select count(*) from cohort_visitors")
            .fetch_one(street.pool())
            .await
            .unwrap();
        assert!(rows > 5, "seed {seed} tests something: {rows}");
    }
}

/// Every visitor's row and every sum that is not zero.
async fn everything_kept(pool: &PgPool) -> (Vec<String>, Vec<String>) {
    let rows = "select v::text from cohort_visitors v order by visitor_id";
    let sums = "select (part, first_day, at, visitors, orders, trim_scale(revenue))::text from cohort_cells
        where visitors <> 0 or orders <> 0 or revenue <> 0 order by part, first_day, at";
    (
        sqlx::query_scalar(rows).fetch_all(pool).await.unwrap(),
        sqlx::query_scalar(sums).fetch_all(pool).await.unwrap(),
    )
}

#[tokio::test]
async fn a_site_begun_anew_while_things_change_has_the_rows_and_sums_that_its_visitors_have_one_by_one() {
    let mut street = Street::open(21).await;
    for sessions in [1, 13, 1_000] {
        for _ in 0..20 {
            street.step().await;
        }
        let site = street.site();
        kept::forget(street.pool(), site.id).await.unwrap();
        let mut rounds = 0;
        loop {
            let round = kept::round_of(
                street.pool(),
                std::slice::from_ref(&site),
                now(),
                Take::Closed,
                sessions,
            )
            .await;
            rounds += 1;
            if !round.unwrap().unwrap().more {
                break;
            }
            if rounds < 5 {
                let events: Vec<Value> = (0..5).map(|_| street.event()).collect();
                deliver(&street.app, &events).await;
                street.delivered.extend(events);
                upkeep::round(street.pool(), now(), Take::Due).await.unwrap();
            }
        }
        assert!(sessions > 1 || rounds > 10, "in many transactions: {rounds}");
        let at_once = everything_kept(street.pool()).await;
        assert!(at_once.0.len() > 15 && at_once.1.len() > 15);

        sqlx::raw_sql(
            "delete from cohort_visitors; delete from cohort_cells;
             insert into cohort_dirty select distinct site_id, visitor_id, now() from sessions",
        )
        .execute(street.pool())
        .await
        .unwrap();
        kept::catch_up(street.pool(), &site, now(), |_| {}).await.unwrap();
        assert_eq!(
            at_once,
            everything_kept(street.pool()).await,
            "{sessions} sessions at once"
        );
    }
}

#[tokio::test]
async fn the_columns_of_a_visitor_are_those_that_the_statements_write() {
    let app = app().await;
    let found: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns where table_name = 'cohort_visitors'
         and column_name not in ('site_id', 'visitor_id') order by ordinal_position",
    )
    .fetch_all(&app.db.pool)
    .await
    .unwrap();
    assert_eq!(found.join(", "), facts::columns());
}

#[tokio::test]
async fn verify_finds_the_visitor_and_the_sum_that_were_changed_past_the_writers() {
    let mut street = Street::open(9).await;
    let events: Vec<Value> = (0..60).map(|_| street.event()).collect();
    deliver(&street.app, &events).await;
    let site = street.site();
    assert_eq!(
        verify::verify(street.pool(), &site, |_| {}).await.unwrap(),
        None,
        "nothing is kept yet"
    );
    street.catch_up().await;
    assert_eq!(
        verify::verify(street.pool(), &site, |_| {}).await.unwrap(),
        Some(verify::Wrong::default())
    );

    sqlx::query(
        "update sessions set utm_source = 'elsewhere' where (visitor_id, first_seen) in (
           select visitor_id, min(first_seen) from sessions where bot_reason is null group by 1 order by 1 limit 1)",
    )
    .execute(street.pool())
    .await
    .unwrap();
    let changed = verify::Wrong { visitors: 1, sums: 0 };
    assert_eq!(
        verify::verify(street.pool(), &site, |_| {}).await.unwrap(),
        Some(changed)
    );
    sqlx::query("update cohort_cells set visitors = visitors + 1 where (part, first_day) = (select part, min(first_day) from cohort_cells where part = 'visitors' group by 1)")
        .execute(street.pool())
        .await
        .unwrap();
    let changed = verify::Wrong { visitors: 1, sums: 1 };
    assert_eq!(
        verify::verify(street.pool(), &site, |_| {}).await.unwrap(),
        Some(changed)
    );

    kept::forget(street.pool(), site.id).await.unwrap();
    street.assert_true("forgotten").await;
    street.catch_up().await;
    assert_eq!(
        verify::verify(street.pool(), &site, |_| {}).await.unwrap(),
        Some(verify::Wrong::default())
    );
}

#[tokio::test]
async fn the_order_in_which_rows_were_written_changes_nothing() {
    let mut street = Street::open(11).await;
    let mut events: Vec<Value> = (0..80).map(|_| street.event()).collect();
    let mut ids = std::collections::BTreeSet::new();
    let mut orders: Vec<Value> = (0..40)
        .map(|_| street.order())
        .filter(|order| ids.insert(order["order_id"].to_string()))
        .collect();
    let mut answers: Vec<BTreeMap<&str, BTreeMap<NaiveDate, Cohort>>> = Vec::new();
    for seed in 0..3 {
        let other = Street::open(seed).await;
        for part in events.chunks(7) {
            deliver(&other.app, part).await;
            if seed == 1 {
                other.catch_up().await;
            }
        }
        other.send_orders(&orders).await;
        other.catch_up().await;
        let mut answer = BTreeMap::new();
        for (name, bucket) in Bucket::ALLOWED {
            answer.insert(
                name,
                count(other.pool(), &other.scope("period=all_time"), bucket, true)
                    .await
                    .unwrap(),
            );
        }
        answers.push(answer);
        events.shuffle(&mut street.rng);
        orders.shuffle(&mut street.rng);
    }
    assert!(
        answers[0]["month"]
            .values()
            .any(|cohort| cohort.size > 3 && !cohort.money.is_empty())
    );
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test]
async fn cohorts_add_up_to_the_totals_of_the_period() {
    let mut street = Street::open(5).await;
    let events: Vec<Value> = (0..120).map(|_| street.event()).collect();
    deliver(&street.app, &events).await;
    let orders: Vec<Value> = (0..30)
        .map(|n| {
            let mut order = street.order();
            order["order_id"] = format!("t{n}").into();
            order
        })
        .collect();
    street.send_orders(&orders).await;
    for caught_up in [false, true] {
        if caught_up {
            street.catch_up().await;
        }
        // Everybody's first session, and every order of somebody who has one.
        let (visitors, orders, revenue): (i64, i64, rust_decimal::Decimal) = sqlx::query_as(
            "select (select count(distinct visitor_id) from sessions where bot_reason is null), count(*), coalesce(sum(revenue), 0)
             from orders o where bot_reason is null
             and exists (select from sessions s where s.visitor_id = o.visitor_id and s.bot_reason is null)",
        )
        .fetch_one(street.pool())
        .await
        .unwrap();
        assert!(visitors > 10 && orders > 10);
        for (name, bucket) in Bucket::ALLOWED {
            let cohorts = count(street.pool(), &street.scope("period=all_time"), bucket, false)
                .await
                .unwrap();
            let money = || cohorts.values().flat_map(|cohort| cohort.money.values());
            assert_eq!(
                cohorts.values().map(|cohort| cohort.size).sum::<i64>(),
                visitors,
                "{name}"
            );
            assert_eq!(money().map(|money| money.0).sum::<i64>(), orders, "{name}");
            assert_eq!(
                money().map(|money| money.1).sum::<rust_decimal::Decimal>(),
                revenue,
                "{name}"
            );
        }
    }
}
