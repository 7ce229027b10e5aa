//! `POST /api/v1/orders`, `GET /api/v1/orders/{id}`, `PUT /api/v1/exchange-rates`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use central_api::auth::Scope;
use central_api::clock::Clock;
use central_api::orders::store::refresh_due;
use central_api::site::Site;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TestApp;

fn start() -> DateTime<Utc> {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// The application with a clock that a test moves, a site and a client with an orders key.
struct Shop {
    app: TestApp,
    site: Arc<Site>,
    client: reqwest::Client,
    clock: Arc<AtomicI64>,
}

impl Shop {
    async fn open() -> Self {
        let clock = Arc::new(AtomicI64::new(start().timestamp_millis()));
        let shared = clock.clone();
        let app = TestApp::start_at(Clock::from_fn(move || {
            DateTime::from_timestamp_millis(shared.load(Ordering::SeqCst)).unwrap()
        }))
        .await;
        let site = app.site("shop").await;
        let client = app.bearer(&site, &[Scope::Orders]).await;
        Self {
            app,
            site,
            client,
            clock,
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.app.state.clock.now()
    }

    fn wait(&self, delta: TimeDelta) {
        self.clock.fetch_add(delta.num_milliseconds(), Ordering::SeqCst);
    }

    async fn refresh(&self) -> usize {
        refresh_due(&self.app.db.pool, &self.site, self.now()).await.unwrap()
    }

    async fn set(&mut self, settings: Value) {
        sqlx::query("update sites set settings = $1")
            .bind(settings)
            .execute(&self.app.db.pool)
            .await
            .unwrap();
        self.app.reload_sites().await;
        self.site = self.app.state.sites.by_id(self.site.id).unwrap();
    }

    async fn post(&self, body: &Value) -> (u16, Value) {
        let url = self.app.url("/api/v1/orders");
        let answer = self.client.post(url).body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn ok(&self, body: Value) -> Value {
        let (status, answer) = self.post(&body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn get(&self, id: &str) -> Value {
        let answer = self
            .client
            .get(self.app.url(&format!("/api/v1/orders/{id}")))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// A session of `visitor` that began `ago` before the start, tagged with its number.
    async fn session(&self, visitor: u128, session: u128, ago: TimeDelta, bot: Option<i16>) {
        sqlx::query(
            "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views,
                points, utm_source, utm_campaign, channel, country, bot_reason)
            values ($1, $2, $3, $4, $4, 1, '{}', 1, 1, 1, $5, 'winter', 'paid_social', 'UA', $6)",
        )
        .bind(self.site.id)
        .bind(Uuid::from_u128(visitor))
        .bind(Uuid::from_u128(session))
        .bind(start() - ago)
        .bind(format!("source{session}"))
        .bind(bot)
        .execute(&self.app.db.pool)
        .await
        .unwrap();
    }

    /// orders, lead_orders, paid_orders, revenue of a session.
    async fn money(&self, session: u128) -> (i32, i32, i32, Decimal) {
        sqlx::query_as("select orders, lead_orders, paid_orders, revenue from sessions where session_id = $1")
            .bind(Uuid::from_u128(session))
            .fetch_one(&self.app.db.pool)
            .await
            .unwrap()
    }

    async fn marks(&self) -> Vec<(Uuid, DateTime<Utc>)> {
        sqlx::query_as("delete from rollup_marks returning visitor_id, hour")
            .fetch_all(&self.app.db.pool)
            .await
            .unwrap()
    }
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn uuid(n: u128) -> String {
    Uuid::from_u128(n).to_string()
}

#[tokio::test]
async fn refunds_and_cancellations_change_revenue_to_the_cent() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(2), None).await;
    let mut minute = 0;
    for (status, refunded, revenue, money) in [
        ("unpaid", "0", "0", (1, 0, 0, "0")),
        ("prepaid", "0", "0", (1, 1, 0, "0")),
        ("paid", "0", "1234.56", (1, 0, 1, "1234.56")),
        ("partially_refunded", "0.07", "1234.49", (1, 0, 1, "1234.49")),
        ("refunded", "1234.56", "0", (1, 0, 0, "0")),
        ("paid", "0", "1234.56", (1, 0, 1, "1234.56")),
        ("cancelled", "0", "0", (1, 0, 0, "0")),
    ] {
        minute += 1;
        let answer = shop
            .ok(json!({"order_id": "A1", "session_id": uuid(11), "total": 1234.56, "refunded": refunded, "payment_status": status,
                "created_at": "2026-11-20T09:30:00Z", "updated_at": format!("2026-11-20T09:3{minute}:00Z")}))
            .await;
        assert_eq!(dec(answer["revenue"].as_str().unwrap()), dec(revenue), "{status}");
        assert_eq!(answer["linked_by"], "session");
        let (orders, leads, paid, sum) = shop.money(11).await;
        assert_eq!(
            (orders, leads, paid, sum),
            (money.0, money.1, money.2, dec(money.3)),
            "{status}"
        );
        let marks = shop.marks().await;
        let hours: Vec<String> = marks.iter().map(|mark| mark.1.format("%H").to_string()).collect();
        assert_eq!(
            (marks[0].0, hours),
            (Uuid::from_u128(1), vec!["08".to_owned(), "09".to_owned()]),
            "session's hour and order's"
        );
    }
}

#[tokio::test]
async fn the_same_order_again_changes_nothing_and_says_so() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(2), None).await;
    let body = json!({"order_id": 77, "session_id": uuid(11), "total": "10.50", "payment_status": "paid", "updated_at": "2026-11-20T09:00:00Z"});
    assert_eq!(shop.ok(body.clone()).await["status"], "created");
    shop.marks().await;
    // Written differently, still the same.
    let mut same = body.clone();
    same["total"] = json!(10.5);
    same["order_id"] = json!("77");
    assert_eq!(shop.ok(same).await["status"], "unchanged");
    assert!(shop.marks().await.is_empty());
    let mut older = body.clone();
    older["updated_at"] = json!("2026-11-20T08:59:59Z");
    older["payment_status"] = json!("unpaid");
    let answer = shop.ok(older).await;
    assert_eq!(
        (answer["status"].as_str(), answer["revenue"].as_str()),
        (Some("stale"), Some("10.5000"))
    );
    assert_eq!(shop.get("77").await["payment_status"], "paid");
    let many = shop.ok(json!([body, body])).await;
    assert_eq!(many["orders"][1]["status"], "unchanged");
}

#[test]
fn states_in_any_order_end_in_the_same_row() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let shop = runtime.block_on(async {
        let shop = Shop::open().await;
        shop.session(1, 11, TimeDelta::hours(3), None).await;
        shop.session(1, 12, TimeDelta::hours(2), None).await;
        shop.session(2, 21, TimeDelta::hours(1), None).await;
        shop
    });
    let state = (
        0u32..4,
        prop::sample::select(vec![
            "unpaid",
            "prepaid",
            "paid",
            "refunded",
            "partially_refunded",
            "cancelled",
        ]),
        1u32..4,
        prop::sample::select(vec![None, Some(11u128), Some(21), Some(99)]),
        prop::sample::select(vec![None, Some(1u128), Some(2)]),
        prop::sample::select(vec![None, Some("a@shop.example"), Some("b@shop.example")]),
    );
    let cases = (prop::collection::vec(state, 1..6), any::<u64>(), 1usize..4);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let number = AtomicI64::new(0);
    runner
        .run(&cases, |(states, seed, parts)| {
            let number = number.fetch_add(1, Ordering::SeqCst);
            let body = |name: &str, s: &(u32, &str, u32, Option<u128>, Option<u128>, Option<&str>)| {
                json!({"order_id": format!("{name}{number}"), "payment_status": s.1, "total": s.2 * 10, "refunded": s.2,
                    "session_id": s.3.map(uuid), "visitor_id": s.4.map(uuid), "email": s.5,
                    "created_at": format!("2026-11-20T09:0{}:00Z", s.0), "updated_at": format!("2026-11-20T09:3{}:00Z", s.0)})
            };
            let forward: Vec<Value> = states.iter().map(|s| body("f", s)).collect();
            let mut shuffled: Vec<Value> = states.iter().map(|s| body("s", s)).collect();
            let mut seed = seed;
            for i in (1..shuffled.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                shuffled.swap(i, (seed >> 33) as usize % (i + 1));
            }
            let (one, other) = runtime.block_on(async {
                for state in forward {
                    shop.ok(state).await;
                }
                for part in shuffled.chunks(parts) {
                    shop.ok(Value::Array(part.to_vec())).await;
                }
                // What is learnt from other orders meanwhile is looked at again.
                sqlx::query("update orders set recheck_at = $1").bind(shop.now()).execute(&shop.app.db.pool).await.unwrap();
                shop.refresh().await;
                let strip = |mut order: Value| {
                    order["order_id"] = Value::Null;
                    order
                };
                (strip(shop.get(&format!("f{number}")).await), strip(shop.get(&format!("s{number}")).await))
            });
            prop_assert_eq!(one, other);
            Ok(())
        })
        .unwrap();
    runtime.block_on(async {
        let wrong: i64 = sqlx::query_scalar(
            "select count(*) from sessions s where revenue <> coalesce((select sum(o.revenue) from orders o where o.session_id = s.session_id), 0)
                or s.orders <> (select count(*) from orders o where o.session_id = s.session_id)",
        )
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
        assert_eq!(wrong, 0, "sessions' sums are those of their orders");
        drop(shop);
    });
}

#[tokio::test]
async fn an_order_before_its_session_is_linked_when_the_session_comes() {
    let shop = Shop::open().await;
    let answer = shop
        .ok(json!({"order_id": "early", "session_id": uuid(11), "visitor_id": uuid(1), "total": 100, "payment_status": "paid"}))
        .await;
    assert_eq!(
        (answer["linked_by"].as_str(), answer["cause"].as_str()),
        (Some("none"), Some("unknown_session"))
    );
    assert_eq!(shop.refresh().await, 0, "not due yet");
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 0, "looked at, but the session is not here");
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 1);
    let order = shop.get("early").await;
    assert_eq!(
        (order["linked_by"].as_str(), order["utm_source"].as_str()),
        (Some("session"), Some("source11"))
    );
    assert_eq!(shop.money(11).await, (1, 0, 1, dec("100")));

    // An earlier touch arrives and changes the session's attribution: the order follows.
    sqlx::query("update sessions set utm_source = 'google', first_seen = first_seen - interval '2 hours'")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    shop.marks().await;
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.get("early").await["utm_source"], "google");
    assert_eq!(
        shop.marks().await.len(),
        3,
        "the order's hour, the session's old hour and its new one"
    );

    // After the last event that can still arrive, it is settled.
    shop.wait(TimeDelta::days(40));
    shop.refresh().await;
    assert_eq!(shop.get("early").await["recheck_at"], Value::Null);
}

#[tokio::test]
async fn a_link_by_visitor_gives_way_to_the_named_session_when_it_comes() {
    let shop = Shop::open().await;
    shop.session(1, 10, TimeDelta::hours(5), None).await;
    let answer = shop
        .ok(json!({"order_id": "x", "session_id": uuid(11), "visitor_id": uuid(1), "total": 50, "payment_status": "paid"}))
        .await;
    assert_eq!(
        (answer["linked_by"].as_str(), answer["session_id"].as_str()),
        (Some("visitor"), Some(uuid(10).as_str()))
    );
    assert_eq!(shop.money(10).await, (1, 0, 1, dec("50")));
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.money(10).await, (0, 0, 0, dec("0")));
    assert_eq!(shop.money(11).await, (1, 0, 1, dec("50")));
}

#[tokio::test]
async fn linking_case_by_case() {
    let mut shop = Shop::open().await;
    shop.set(json!({"blocked_contacts": ["noreply@shop.example", "044 123 45 67"], "look_back_days": 10}))
        .await;
    shop.session(1, 10, TimeDelta::days(3), None).await;
    shop.session(1, 11, TimeDelta::days(1), None).await;
    shop.session(2, 20, TimeDelta::days(12), None).await;
    shop.session(3, 30, TimeDelta::hours(1), Some(2)).await;
    shop.session(4, 40, TimeDelta::hours(1), None).await;
    // What teaches the contacts of visitor 1, and of visitor 2 outside the look-back.
    shop.ok(json!([
        {"order_id": "t1", "session_id": uuid(11), "customer_id": "c1", "email": "Olena@Example.com", "phone": "067 123 45 67", "total": 1, "payment_status": "paid"},
        {"order_id": "t2", "session_id": uuid(20), "email": "old@example.com", "total": 1, "payment_status": "paid"},
        {"order_id": "t3", "session_id": uuid(40), "email": "noreply@shop.example", "phone": "0441234567", "total": 1, "payment_status": "paid"},
    ]))
    .await;
    let cases = [
        (
            "a session wins over everything",
            json!({"session_id": uuid(40), "visitor_id": uuid(1), "email": "fourth@example.com"}),
            "session",
            Some(40),
            Value::Null,
        ),
        (
            "an unknown session falls back to the visitor's latest",
            json!({"session_id": uuid(99), "visitor_id": uuid(1)}),
            "visitor",
            Some(11),
            Value::Null,
        ),
        (
            "the latest at or before the order",
            json!({"visitor_id": uuid(1), "created_at": "2026-11-18T10:00:00Z"}),
            "visitor",
            Some(10),
            Value::Null,
        ),
        (
            "no session at or before the order",
            json!({"visitor_id": uuid(1), "created_at": "2026-11-01T10:00:00Z"}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "outside the look-back",
            json!({"visitor_id": uuid(2)}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "an unknown visitor",
            json!({"visitor_id": uuid(77)}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "by customer id",
            json!({"customer_id": "c1"}),
            "customer",
            Some(11),
            Value::Null,
        ),
        (
            "a customer id is not an e-mail",
            json!({"customer_id": "olena@example.com"}),
            "none",
            None,
            json!("unknown_contact"),
        ),
        (
            "by e-mail in any case",
            json!({"email": " OLENA@example.COM "}),
            "email",
            Some(11),
            Value::Null,
        ),
        (
            "by phone however written",
            json!({"phone": "+38 (067) 123-45-67"}),
            "phone",
            Some(11),
            Value::Null,
        ),
        (
            "an e-mail outside the look-back",
            json!({"email": "old@example.com"}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "a contact nobody was seen with",
            json!({"email": "new@example.com"}),
            "none",
            None,
            json!("unknown_contact"),
        ),
        (
            "a blocked e-mail joins nobody",
            json!({"email": "NOREPLY@shop.example"}),
            "none",
            None,
            json!("blocked_contact"),
        ),
        (
            "a blocked phone joins nobody",
            json!({"phone": "+380441234567"}),
            "none",
            None,
            json!("blocked_contact"),
        ),
        (
            "nothing to find it by",
            json!({}),
            "none",
            None,
            json!("no_identifiers"),
        ),
        (
            "an unknown session and nothing else",
            json!({"session_id": uuid(99)}),
            "none",
            None,
            json!("unknown_session"),
        ),
        (
            "a bot's session links and says so",
            json!({"session_id": uuid(30)}),
            "session",
            Some(30),
            json!("bot_session"),
        ),
        (
            "an invalid phone is ignored with a warning",
            json!({"phone": "12"}),
            "none",
            None,
            json!("no_identifiers"),
        ),
    ];
    for (index, (name, mut order, linked_by, session, cause)) in cases.into_iter().enumerate() {
        order["order_id"] = json!(format!("case{index}"));
        order["total"] = json!(1);
        order["payment_status"] = json!("unpaid");
        let answer = shop.ok(order).await;
        assert_eq!(answer["linked_by"], linked_by, "{name}");
        assert_eq!(
            answer["session_id"],
            session.map_or(Value::Null, |s| json!(uuid(s))),
            "{name}"
        );
        assert_eq!(answer["cause"], cause, "{name}");
        assert_eq!(
            answer["warnings"].as_array().unwrap().is_empty(),
            !name.contains("blocked") && !name.contains("warning"),
            "{name}: {answer}"
        );
    }
    let plain: i64 = sqlx::query_scalar("select count(*) from orders where customer_contact is not null")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(plain, 0, "contacts are not kept in plain unless the site says so");
}

#[tokio::test]
async fn a_site_may_keep_plain_contacts() {
    let mut shop = Shop::open().await;
    shop.set(json!({"store_contacts": true})).await;
    shop.ok(json!({"order_id": "1", "email": "Olena@Example.com", "phone": "0671234567", "total": 1, "payment_status": "paid"})).await;
    let plain: Value = sqlx::query_scalar("select customer_contact from orders")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(plain, json!({"email": "olena@example.com", "phone": "+380671234567"}));
}

#[tokio::test]
async fn two_currencies_are_summed_in_the_sites_one() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    let order = |id: &str, rest: Value| {
        let mut order = json!({"order_id": id, "session_id": uuid(11), "total": "10.10", "currency": "EUR", "payment_status": "paid",
            "created_at": "2026-11-20T09:00:00Z", "updated_at": "2026-11-20T09:00:00Z"});
        order.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        order
    };
    let given = shop.ok(order("given", json!({"rate": "48.5"}))).await;
    assert_eq!(dec(given["revenue"].as_str().unwrap()), dec("489.85"));
    let waiting = shop.ok(order("waiting", json!({}))).await;
    assert_eq!(waiting["revenue"], Value::Null);
    assert!(waiting["warnings"][0].as_str().unwrap().contains("exchange rate"));
    shop.ok(order("home", json!({"currency": "UAH", "total": 100}))).await;
    assert_eq!(shop.money(11).await, (3, 0, 3, dec("589.85")));

    let put = async |rates: Value| {
        let answer = shop
            .client
            .put(shop.app.url("/api/v1/exchange-rates"))
            .body(rates.to_string())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    // Six days before: the fallback. Then the day itself.
    assert_eq!(
        put(json!([{"currency": "EUR", "day": "2026-11-14", "rate": 40}])).await,
        (200, json!({"changed": 1, "orders": 1}))
    );
    assert_eq!(shop.money(11).await, (3, 0, 3, dec("993.85")));
    put(json!([{"currency": "EUR", "day": "2026-11-20", "rate": "50.00"}])).await;
    assert_eq!(shop.money(11).await, (3, 0, 3, dec("1094.85")));
    assert_eq!(
        put(json!([{"currency": "EUR", "day": "2026-11-20", "rate": "50"}]))
            .await
            .1,
        json!({"changed": 0, "orders": 0})
    );
    // Too old for a fallback; another shop's key; nonsense.
    put(json!([{"currency": "EUR", "day": "2026-11-12", "rate": 1}])).await;
    assert_eq!(shop.money(11).await.3, dec("1094.85"));
    for (rates, field) in [
        (
            json!([{"currency": "UAH", "day": "2026-11-20", "rate": 1}]),
            "[0].currency",
        ),
        (
            json!([{"currency": "EUR", "day": "2026-11-20", "rate": 1}, {"currency": "eur", "day": "2026-11-20", "rate": 1}]),
            "[1].currency",
        ),
        (json!([{"currency": "EUR", "day": "2026-02-30", "rate": 1}]), "[0].day"),
        (json!([{"currency": "EUR", "day": "2026-11-20", "rate": 0}]), "[0].rate"),
        (
            json!([{"currency": "EUR", "day": "2026-11-20", "rate": -3}]),
            "[0].rate",
        ),
        (json!([{"currency": "EUR", "day": "2026-11-20"}]), "[0].rate"),
        (
            json!([{"currency": "EUR", "day": "2026-11-20", "rate": 1}, {"currency": "EUR", "day": "2026-11-20", "rate": 2}]),
            "day",
        ),
    ] {
        let (status, answer) = put(rates.clone()).await;
        assert_eq!(
            (status, answer["error"]["field"].as_str()),
            (400, Some(field)),
            "{rates}"
        );
    }
}

#[tokio::test]
async fn a_rate_of_one_shop_does_not_change_another() {
    let shop = Shop::open().await;
    let other = shop.app.site("other").await;
    let theirs = shop.app.bearer(&other, &[Scope::Orders]).await;
    let rates = json!([{"currency": "EUR", "day": "2026-11-20", "rate": 1}]);
    theirs
        .put(shop.app.url("/api/v1/exchange-rates"))
        .body(rates.to_string())
        .send()
        .await
        .unwrap();
    let answer = shop
        .ok(json!({"order_id": "1", "total": 1, "currency": "EUR", "payment_status": "paid"}))
        .await;
    assert_eq!(answer["revenue"], Value::Null);
    let missing = theirs.get(shop.app.url("/api/v1/orders/1")).send().await.unwrap();
    assert_eq!(missing.status(), 404, "a site's key sees that site only");
}

#[tokio::test]
async fn a_list_is_judged_one_by_one_and_what_is_refused_is_kept() {
    let shop = Shop::open().await;
    let good = |id: &str| json!({"order_id": id, "total": 5, "payment_status": "paid"});
    let answer = shop
        .ok(json!([good("1"), {"order_id": "2", "total": -5, "payment_status": "paid"}, good("3"), {"order_id": "4", "total": 5, "payment_status": "payed"}, 7]))
        .await;
    assert_eq!(answer["orders"].as_array().unwrap().len(), 2);
    assert_eq!(answer["rejected"][0]["index"], 1);
    assert_eq!(answer["rejected"][0]["field"], "total");
    assert_eq!(answer["rejected"][1]["field"], "payment_status");
    assert_eq!(
        answer["rejected"][1]["message"],
        "payment_status must be one of unpaid, prepaid, paid, refunded, partially_refunded, cancelled"
    );
    assert_eq!(answer["rejected"][2]["code"], "invalid_json");
    let kept: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as("select kind, code, payload from dead_letters order by dead_letter_id")
            .fetch_all(&shop.app.db.pool)
            .await
            .unwrap();
    assert_eq!(kept.len(), 3);
    assert_eq!((kept[2].0.as_str(), kept[2].2.as_slice()), ("orders", b"7".as_slice()));
}

#[tokio::test]
async fn hostile_orders_are_refused_with_their_field_and_nothing_breaks() {
    let shop = Shop::open().await;
    let long = "x".repeat(1_000_000);
    let with =
        |field: &str, value: &str| format!(r#"{{"order_id":"h","total":1,"payment_status":"paid","{field}":{value}}}"#);
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let cases = [
        (
            r#"{"order_id":"a\u0000b","total":1,"payment_status":"paid"}"#.to_owned(),
            "order_id",
        ),
        (
            r#"{"order_id":"","total":1,"payment_status":"paid"}"#.to_owned(),
            "order_id",
        ),
        (
            r#"{"order_id":1.5,"total":1,"payment_status":"paid"}"#.to_owned(),
            "order_id",
        ),
        (r#"{"total":1,"payment_status":"paid"}"#.to_owned(), "order_id"),
        (r#"{"order_id":"h","payment_status":"paid"}"#.to_owned(), "total"),
        (
            r#"{"order_id":"h","total":null,"payment_status":"paid"}"#.to_owned(),
            "total",
        ),
        (r#"{"order_id":"h","total":1}"#.to_owned(), "payment_status"),
        (with("total", "2"), "total"),
        (with("order_number", "\"\\ud800\""), "order_number"),
        (with("discount", "-0.01"), "discount"),
        (with("tax", "100000000000000000000"), "tax"),
        (with("shipping", "1e20"), "shipping"),
        (with("shipping", "1e-20"), "shipping"),
        (with("refunded", "1.01"), "refunded"),
        (with("rate", "0"), "rate"),
        (with("rate", "2"), "rate"),
        (with("currency", "\"uah\""), "currency"),
        (with("currency", "\"EURO\""), "currency"),
        (with("created_at", "\"0000-01-01T00:00:00Z\""), "created_at"),
        (with("paid_at", "\"9999-12-31T23:59:59Z\""), "paid_at"),
        (with("updated_at", "\"2026-11-20T10:20:00Z\""), "updated_at"),
        (with("session_id", "\"not-a-uuid\""), "session_id"),
        (with("visitor_id", "{}"), "visitor_id"),
        (with("items", &format!(r#"[{{"name":"{long}"}}]"#)), "items[0].name"),
        (with("items", r#"[{"sku":"a","price":-1}]"#), "items[0].price"),
        (with("items", r#"[{"sku":"a"},{"skuu":"b"}]"#), "items[1].skuu"),
        (with("items", r#"[{}]"#), "items[0]"),
        (with("items", &deep), "items[0]"),
        (with("items", "{}"), "items"),
        (with("unheard_of", "1"), "unheard_of"),
        (with("loyalty_earned", "\"many\""), "loyalty_earned"),
        (with("subscription_active", "\"yes\""), "subscription_active"),
    ];
    for (body, field) in cases {
        let answer = shop
            .client
            .post(shop.app.url("/api/v1/orders"))
            .body(body.clone())
            .send()
            .await
            .unwrap();
        let shown: String = body.chars().take(120).collect();
        assert_eq!(answer.status(), 400, "{shown}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"]["field"], field, "{shown}: {answer}");
    }
    for body in ["", "nonsense", "[1,", "\u{feff}[]", "[\"\u{0}\"]"] {
        let answer = shop
            .client
            .post(shop.app.url("/api/v1/orders"))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{body:?}");
    }
    let bytes = shop
        .client
        .post(shop.app.url("/api/v1/orders"))
        .body(vec![0xff, 0xfe])
        .send()
        .await
        .unwrap();
    assert_eq!(bytes.status(), 400);
    let big = shop
        .client
        .post(shop.app.url("/api/v1/orders"))
        .body(vec![b' '; 3_000_000])
        .send()
        .await
        .unwrap();
    assert_eq!(big.status(), 413);
    let many = vec![json!(1); 501];
    assert_eq!(shop.post(&json!(many)).await.0, 413);
    let stored: i64 = sqlx::query_scalar("select count(*) from orders")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(stored, 0);
    // The largest amount that is allowed, kept to the last digit.
    shop.ok(json!({"order_id": "max", "total": "99999999999999.9999", "payment_status": "paid"}))
        .await;
    assert_eq!(shop.get("max").await["revenue"], "99999999999999.9999");
}

#[tokio::test]
async fn every_field_is_stored_as_it_was_sent() {
    let shop = Shop::open().await;
    shop.ok(json!({"order_id": "all", "order_number": "N-1", "total": "120.00", "discount": "10", "tax": 20, "shipping": 5.5, "currency": "UAH",
        "payment_method": "card", "payment_status": "paid", "sales_channel": "web", "items": [{"sku": 12, "name": "Футболка\nXL", "quantity": 2, "price": 57.25}],
        "created_at": "2026-11-20T11:00:00+02:00", "paid_at": "2026-11-20T09:01:00Z", "updated_at": "2026-11-20T09:01:00.123456Z",
        "discount_type": "percent", "promo_code": "WINTER", "vip_tier": "gold", "subscription": "box", "subscription_active": true,
        "loyalty_earned": 12, "loyalty_redeemed": "3.5", "referral_code": "FRIEND", "referred_by": "c9", "revenue_stream": "subscription"}))
    .await;
    let order = shop.get("all").await;
    assert_eq!(
        order["items"],
        json!([{"sku": "12", "name": "Футболка XL", "quantity": "2", "price": "57.25"}])
    );
    assert_eq!(order["created_at"], "2026-11-20T09:00:00Z");
    assert_eq!(order["updated_at"], "2026-11-20T09:01:00.123456Z");
    assert_eq!(
        (order["shipping"].as_str().map(dec), order["discount"].as_str().map(dec)),
        (Some(dec("5.5")), Some(dec("10")))
    );
    assert_eq!(order["extra"]["loyalty_redeemed"], "3.5");
    assert_ne!(order["extra"]["referred_by"], "c9", "who referred is a hash");
}

#[tokio::test]
async fn a_refund_that_names_nobody_keeps_the_link() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.ok(json!({"order_id": "1", "session_id": uuid(11), "email": "a@b.cc", "total": 10, "payment_status": "paid", "updated_at": "2026-11-20T09:40:00Z"})).await;
    let answer = shop
        .ok(json!({"order_id": "1", "total": 10, "payment_status": "refunded", "updated_at": "2026-11-20T09:50:00Z"}))
        .await;
    assert_eq!(
        (answer["status"].as_str(), answer["linked_by"].as_str()),
        (Some("updated"), Some("session"))
    );
    assert_eq!(shop.money(11).await, (1, 0, 0, dec("0")));
}

#[tokio::test]
async fn only_a_key_with_the_scope_may_send_or_see_orders() {
    let shop = Shop::open().await;
    let reader = shop.app.bearer(&shop.site, &[Scope::Read]).await;
    let url = shop.app.url("/api/v1/orders");
    assert_eq!(reader.post(&url).body("[]").send().await.unwrap().status(), 403);
    assert_eq!(reader.get(format!("{url}/1")).send().await.unwrap().status(), 403);
    assert_eq!(
        reader
            .put(shop.app.url("/api/v1/exchange-rates"))
            .body("[]")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    assert_eq!(
        shop.app.client.post(&url).body("[]").send().await.unwrap().status(),
        401
    );
    assert_eq!(
        shop.client.get(format!("{url}/a%00b")).send().await.unwrap().status(),
        404
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_at_once_leave_exact_sums() {
    let shop = Arc::new(Shop::open().await);
    for n in 0..5 {
        shop.session(n, 10 + n, TimeDelta::hours(1), None).await;
    }
    let tasks: Vec<_> = (0..6u128)
        .map(|task| {
            let shop = shop.clone();
            tokio::spawn(async move {
                for round in 0..8u128 {
                    // The same forty orders from every task, in different states and different order.
                    let orders: Vec<Value> = (0..40u128)
                        .map(|n| (n * 7 + task * 11 + round) % 40)
                        .map(|n| {
                            json!({"order_id": format!("o{n}"), "session_id": uuid(10 + (n + round) % 5), "total": 1 + n, "payment_status": if (task + round) % 3 == 1 { "cancelled" } else { "paid" },
                                "updated_at": format!("2026-11-20T09:{:02}:{:02}Z", round, task)})
                        })
                        .collect();
                    shop.ok(Value::Array(orders)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from orders")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(rows, 40);
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from sessions s where revenue <> (select coalesce(sum(o.revenue), 0) from orders o where o.session_id = s.session_id)
            or s.orders <> (select count(*) from orders o where o.session_id = s.session_id)",
    )
    .fetch_one(&shop.app.db.pool)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let paid: Decimal = sqlx::query_scalar("select sum(revenue) from sessions")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(
        paid,
        Decimal::from((1..=40).sum::<i32>()),
        "the last state of every order, task 5 in round 7, is a paid one"
    );
}
