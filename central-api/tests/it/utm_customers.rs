//! `repeat-rate`, `ltv-comparison` and `ab-test` over HTTP.

use std::sync::Arc;

use central_api::auth::Scope;
use central_api::clock::Clock;
use central_api::rollup::upkeep;
use central_api::site::Site;
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TestApp;

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

struct Shop {
    app: TestApp,
    site: Arc<Site>,
    client: reqwest::Client,
}

/// An order as a test writes it: day and minute before now, customer, e-mail, phone, status.
struct Placed<'a> {
    minutes_ago: i64,
    contacts: [&'a str; 3],
    status: &'a str,
    source: &'a str,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(now)).await;
        let site = app.site("shop").await;
        let client = app.bearer(&site, &[Scope::Read, Scope::Orders]).await;
        Self { app, site, client }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self
            .client
            .get(self.app.url(&format!("/api/utm/{path}")))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sessions of one creative, evenly over the days before now: how many, how many converted, revenue of each of those.
    async fn creative(&self, content: Option<&str>, sessions: i32, converted: i32, revenue: i64, days: i64) {
        sqlx::query(
            "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views,
                points, utm_source, utm_campaign, utm_content, orders, paid_orders, revenue)
            select $1, gen_random_uuid(), gen_random_uuid(), at, at, 1, '{}', 1, 1, 1, 'facebook', 'winter', $2, (n <= $4)::int,
                (n <= $4)::int, case when n <= $4 then $5::numeric else 0 end
            from generate_series(1, $3) n, lateral (select $6::timestamptz - interval '1 hour' - $7 * (n::double precision / $3) as at) t",
        )
        .bind(self.site.id)
        .bind(content)
        .bind(sessions)
        .bind(converted)
        .bind(Decimal::from(revenue))
        .bind(now())
        .bind(sqlx::postgres::types::PgInterval {
            months: 0,
            days: i32::try_from(days).unwrap(),
            microseconds: 0,
        })
        .execute(&self.app.db.pool)
        .await
        .unwrap();
        self.mark().await;
    }

    /// Marks the hours of all sessions, as every writer does.
    async fn mark(&self) {
        let marks = "insert into rollup_marks select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions";
        sqlx::query(marks).execute(&self.app.db.pool).await.unwrap();
    }

    /// Sends orders as a shop's backend does, each with a session of its own.
    async fn orders(&self, placed: &[Placed<'_>]) {
        for (n, order) in placed.iter().enumerate() {
            let at = now() - TimeDelta::minutes(order.minutes_ago);
            let (visitor, session) = (Uuid::from_u128(1_000 + n as u128), Uuid::from_u128(5_000 + n as u128));
            sqlx::query(
                "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count,
                    page_views, points, utm_source)
                values ($1, $2, $3, $4, $4, 1, '{}', 1, 1, 1, $5)",
            )
            .bind(self.site.id)
            .bind(visitor)
            .bind(session)
            .bind(at - TimeDelta::minutes(5))
            .bind(order.source)
            .execute(&self.app.db.pool)
            .await
            .unwrap();
            let mut body = json!({
                "order_id": format!("o{n}"), "session_id": session, "visitor_id": visitor, "total": "100.00", "currency": "UAH",
                "payment_status": order.status, "created_at": at, "updated_at": at,
            });
            for (field, value) in ["customer_id", "email", "phone"].iter().zip(order.contacts) {
                if !value.is_empty() {
                    body[*field] = value.into();
                }
            }
            let answer = self
                .client
                .post(self.app.url("/api/v1/orders"))
                .json(&body)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        }
    }
}

const DAY: i64 = 24 * 60;

fn paid(minutes_ago: i64, contacts: [&str; 3]) -> Placed<'_> {
    Placed {
        minutes_ago,
        contacts,
        status: "paid",
        source: "facebook",
    }
}

#[tokio::test]
async fn customers_are_joined_over_all_orders_and_paid_ones_in_the_period_count() {
    let shop = Shop::open().await;
    shop.orders(&[
        // One person: by customer id, then by the e-mail that a cancelled order of last year ties to a phone.
        paid(DAY, ["7", "ann@a.example", ""]),
        paid(3 * DAY + 720, ["7", "", ""]),
        paid(8 * DAY, ["", "", "+380671234567"]),
        Placed {
            status: "cancelled",
            ..paid(300 * DAY, ["", " Ann@A.example", "067 123 45 67"])
        },
        // Twice in the same minute.
        paid(2 * DAY, ["8", "", ""]),
        paid(2 * DAY, ["8", "", ""]),
        // Once; not paid; nobody known; before the period; another source.
        paid(5 * DAY, ["9", "", ""]),
        Placed {
            status: "unpaid",
            ..paid(4 * DAY, ["9", "", ""])
        },
        paid(6 * DAY, ["", "", ""]),
        paid(200 * DAY, ["9", "", ""]),
        Placed {
            source: "google",
            ..paid(6 * DAY, ["10", "", ""])
        },
    ])
    .await;
    let body = shop.ok("repeat-rate?period=month").await;
    assert_eq!(body, shop.ok("repeat-rate/?period=month").await);
    let figures = |body: &Value| {
        [
            "repeat_rate",
            "repeat_customers",
            "one_time_customers",
            "total_customers",
            "total_orders",
            "unidentified_orders",
            "avg_orders_per_customer",
            "avg_time_between_orders",
        ]
        .map(|key| body[key].clone())
    };
    // Gaps: 2.5 and 4.5 days, and none at all: 7 / 3 days.
    assert_eq!(
        figures(&body),
        [
            json!(50),
            json!(2),
            json!(2),
            json!(4),
            json!(7),
            json!(1),
            json!(1.75),
            json!(2.33)
        ]
    );
    assert_eq!(
        (&body["possible_duplicates_total"], &body["shared_contacts_total"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(body["possible_duplicates"][0]["orders"], json!(["o4", "o5"]));
    let google = shop.ok("repeat-rate?period=month&utm_source=google").await;
    assert_eq!(
        figures(&google),
        [
            json!(0),
            json!(0),
            json!(1),
            json!(1),
            json!(1),
            json!(0),
            json!(1),
            json!(null)
        ]
    );
    let nobody = shop.ok("repeat-rate?start_date=2020-01-01&end_date=2020-01-31").await;
    assert_eq!(figures(&nobody)[0], json!(null));
    // All time has the order before the period, which makes customer 9 come back.
    assert_eq!(shop.ok("repeat-rate?period=all_time").await["repeat_customers"], 3);
    // Every order by its own date gives the same here, since each session is minutes before its order.
    assert_eq!(
        figures(&shop.ok("repeat-rate?period=month&attribution_date=order").await),
        figures(&body)
    );
}

#[tokio::test]
async fn a_call_centres_phone_joins_nobody_and_is_shown_by_an_order_that_has_it() {
    let shop = Shop::open().await;
    let emails: Vec<String> = (0..8).map(|n| format!("p{n}@a.example")).collect();
    let phones: Vec<String> = (0..7).map(|n| format!("+38067000000{n}")).collect();
    let called = emails
        .iter()
        .zip(1..)
        .map(|(email, n)| paid(n * DAY, ["", email, "+380441112233"]));
    let guests = phones
        .iter()
        .zip(1..)
        .map(|(phone, n)| paid(n * DAY, ["", "guest@a.example", phone]));
    let orders: Vec<_> = called.chain(guests).collect();
    shop.orders(&orders).await;
    let body = shop.ok("repeat-rate?period=month").await;
    assert_eq!(
        (&body["total_customers"], &body["repeat_customers"]),
        (&json!(15), &json!(0))
    );
    assert_eq!(
        body["shared_contacts"],
        json!([
            {"kind": "phone", "orders": 8, "identities": 8, "example_order": "o0"},
            {"kind": "email", "orders": 7, "identities": 7, "example_order": "o8"},
        ])
    );
    // Once on the block list it is no finding any more.
    sqlx::query("update sites set settings = '{\"blocked_contacts\": [\"044 111 22 33\"]}'")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    shop.app.reload_sites().await;
    let body = shop.ok("repeat-rate?period=month").await;
    assert_eq!(
        (&body["total_customers"], &body["shared_contacts_total"]),
        (&json!(15), &json!(1))
    );
}

#[tokio::test]
async fn sources_are_ranked_by_what_a_session_is_worth() {
    let shop = Shop::open().await;
    shop.creative(Some("video"), 10, 4, 1_500, 5).await;
    sqlx::query("update sessions set utm_source = 'google' where revenue = 0")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    let body = shop.ok("ltv-comparison?period=month").await;
    assert_eq!(
        body["ltv_comparison"],
        json!([
            {"utm_source": "facebook", "total_sessions": 4, "converted_sessions": 4, "total_revenue": 6000, "ltv_per_session": 1500,
             "avg_order_value": 1500, "orders_per_session": 1, "total_orders": 4, "max_cpa": 1050, "level": "good"},
            {"utm_source": "google", "total_sessions": 6, "converted_sessions": 0, "total_revenue": 0, "ltv_per_session": 0,
             "avg_order_value": null, "orders_per_session": 0, "total_orders": 0, "max_cpa": 0, "level": "poor"},
        ])
    );
    assert_eq!(
        shop.ok("ltv-comparison/?limit=1").await["ltv_comparison"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_clear_test_names_its_winner_in_the_original_shape() {
    let shop = Shop::open().await;
    shop.creative(Some("video_ad_1"), 1_000, 100, 1_180, 10).await;
    shop.creative(Some("photo_ad_2"), 1_000, 60, 1_174, 10).await;
    shop.creative(None, 30, 3, 500, 10).await;
    let body = shop.ok("ab-test?campaign=winter&period=month").await;
    assert_eq!(body, shop.ok("ab-test/?utm_campaign=winter&period=month").await);
    assert_eq!(body, shop.ok("ab-test?campaign=Winter&period=month").await);
    assert_eq!(
        (&body["campaign"], &body["winner"], &body["observational"]),
        (&json!("winter"), &json!("video_ad_1"), &json!(true))
    );
    assert!((body["winner_lift"].as_f64().unwrap() - 66.666_666_67).abs() < 1e-6);
    let video = &body["variants"]
        .as_array()
        .unwrap()
        .iter()
        .find(|v| v["utm_content"] == "video_ad_1")
        .unwrap();
    assert_eq!(
        [
            &video["sessions"],
            &video["conversions"],
            &video["conversion_rate"],
            &video["revenue"],
            &video["avg_order_value"]
        ],
        [&json!(1_000), &json!(100), &json!(10), &json!(118_000), &json!(1_180)]
    );
    // z = 0.04 / √(0.08 · 0.92 · 2/1000) = 3.2969.
    assert!(
        (video["z"].as_f64().unwrap() - 3.296_902_366_978_0).abs() < 1e-9,
        "{}",
        video["z"]
    );
    assert!((99.9..99.91).contains(&video["confidence"].as_f64().unwrap()));
    assert_eq!(video["compared_with"], "photo_ad_2");
    assert_eq!(video["undefined"], json!({}));
    assert_eq!(
        body["verdict"]["en"],
        "Winner: video_ad_1. Its conversion rate is 66.7 % above that of photo_ad_2."
    );
    assert_eq!(body["not_compared"], json!({"not_set": 30, "variants": 0}));
    assert_eq!(body["sample_ratio"]["undefined"], "no_weights");

    let split = shop
        .ok("ab-test?campaign=winter&weight=video_ad_1:1&weight=photo_ad_2:3")
        .await;
    assert_eq!(split["winner"], json!(null));
    assert!(split["sample_ratio"]["p_value"].as_f64().unwrap() < 0.001);
    assert!(
        split["verdict"]["en"]
            .as_str()
            .unwrap()
            .contains("not split as planned")
    );
}

#[tokio::test]
async fn sessions_without_a_creative_are_told_however_many_creatives_have_more() {
    let shop = Shop::open().await;
    for n in 0..23 {
        shop.creative(Some(&format!("v{n:02}")), 5, 1, 100, 10).await;
    }
    shop.creative(None, 2, 0, 0, 10).await;
    let body = shop.ok("ab-test?campaign=winter&period=month").await;
    assert_eq!(body["variants"].as_array().unwrap().len(), 20);
    assert_eq!(body["not_compared"], json!({"not_set": 2, "variants": 3}));
}

#[tokio::test]
async fn what_creatives_brought_is_the_same_from_packed_days_and_from_the_sessions() {
    const ASKED: [&str; 5] = [
        "ab-test?campaign=winter&period=month",
        "ab-test?campaign=winter&period=all_time",
        "ab-test?campaign=winter&period=all_time&utm_content=!b",
        "ab-test?campaign=winter&period=all_time&bots=include",
        "ab-test?campaign=winter&period=all_time&utm_source=facebook",
    ];
    let shop = Shop::open().await;
    let (pool, from) = (&shop.app.db.pool, now() - TimeDelta::days(30));
    shop.creative(Some("a"), 900, 100, 1_300, 14).await;
    shop.creative(Some("b"), 800, 120, 900, 13).await;
    shop.creative(Some("c"), 300, 7, -40, 10).await;
    shop.creative(None, 50, 20, 70, 10).await;
    for statement in [
        "update sessions set bot_reason = 1 where utm_content = 'a' and extract(minute from first_seen) < 10",
        "update sessions set utm_campaign = 'spring' where utm_content = 'b' and extract(minute from first_seen) < 5",
        "update sessions set revenue = revenue + extract(minute from first_seen) / 100 where revenue > 0",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    shop.mark().await;
    let ask_all = async || {
        let mut answers = Vec::new();
        for path in ASKED {
            answers.push(shop.ok(path).await["variants"].clone());
        }
        answers
    };
    let from_sessions = ask_all().await;
    assert!(from_sessions[0][0]["revenue_test"]["mean"].as_f64().unwrap() > 1.0);

    upkeep::catch_up(pool, now(), |_| {}).await.unwrap();
    assert_eq!(ask_all().await, from_sessions);
    let verify = async || upkeep::verify(pool, shop.site.id, from, now(), |_| {}).await.unwrap();
    assert!(verify().await.is_empty());

    // They are what is read: without one day of them its revenue is missed, and the difference is found.
    let day: DateTime<Utc> =
        sqlx::query_scalar("delete from payer_blocks where start = '2026-11-18T00:00:00Z' returning start")
            .fetch_one(pool)
            .await
            .unwrap();
    assert_ne!(ask_all().await[..3], from_sessions[..3]);
    assert_eq!(Vec::from_iter(verify().await), [day]);
    upkeep::mark_period(pool, shop.site.id, from, now()).await.unwrap();
    assert_eq!(ask_all().await, from_sessions);
    upkeep::catch_up(pool, now(), |_| {}).await.unwrap();
    assert_eq!(ask_all().await, from_sessions);

    // After an upgrade: not read, and made anew when nothing else is to be done.
    let outdated = "update payer_blocks set layout = 0, data = ''";
    sqlx::query(outdated).execute(pool).await.unwrap();
    assert_eq!(ask_all().await, from_sessions);
    upkeep::catch_up(pool, now(), |_| {}).await.unwrap();
    assert_eq!(ask_all().await, from_sessions);
    let waiting: i64 = sqlx::query_scalar("select count(*) from payer_blocks where layout = 0")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(waiting, 0);

    let refund = "update sessions set revenue = 0 where session_id = (
        select session_id from sessions where revenue > 0 and first_seen < '2026-11-19' and bot_reason is null and utm_campaign = 'winter' and utm_content = 'a' limit 1)";
    sqlx::query(refund).execute(pool).await.unwrap();
    shop.mark().await;
    let refunded = ask_all().await;
    assert_ne!(refunded, from_sessions);
    upkeep::catch_up(pool, now(), |_| {}).await.unwrap();
    assert_eq!(ask_all().await, refunded);
}

#[tokio::test]
async fn a_test_without_enough_says_what_is_missing_and_has_no_numbers_where_there_are_none() {
    let shop = Shop::open().await;
    shop.creative(Some("a"), 90, 0, 0, 1).await;
    shop.creative(Some("b"), 200, 0, 0, 1).await;
    let body = shop.ok("ab-test?campaign=winter").await;
    assert_eq!((&body["winner"], &body["winner_lift"]), (&json!(null), &json!(null)));
    let a = &body["variants"][1];
    assert_eq!(a["utm_content"], "a");
    assert_eq!(
        (&a["confidence"], &a["undefined"]["confidence"]),
        (&json!(null), &json!("no_conversions"))
    );
    assert_eq!(a["undefined"]["probability_best"], "below_minimum_sample");
    assert_eq!(
        (&a["revenue_test"]["t"], &a["revenue_test"]["undefined"]),
        (&json!(null), &json!("no_variance"))
    );
    let text = body["verdict"]["uk"].as_str().unwrap();
    assert!(
        text.starts_with("Переможця ще немає. a: до мінімуму бракує сесій: 10."),
        "{text}"
    );
    let unknown = shop.ok("ab-test?campaign=no-such").await;
    assert_eq!((&unknown["variants"], &unknown["winner"]), (&json!([]), &json!(null)));
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let shop = Shop::open().await;
    for (path, field) in [
        ("ab-test?period=month", "campaign"),
        ("ab-test?campaign=", "utm_campaign"),
        ("ab-test?campaign=!a", "campaign"),
        ("ab-test?campaign=a&campaign=b", "campaign"),
        ("ab-test?campaign=(not set)", "campaign"),
        ("ab-test?campaign=a&attribution_date=order", "attribution_date"),
        ("ab-test?campaign=a&weight=x", "weight"),
        ("ab-test?campaign=a&variant=x", "variant"),
        ("ltv-comparison?limit=0", "limit"),
        ("ltv-comparison?period=year", "period"),
        ("repeat-rate?limit=1", "limit"),
        ("repeat-rate?utm_source=a%00", "utm_source"),
    ] {
        let (status, body) = shop.get(path).await;
        assert_eq!(
            (status, &body["error"]["field"]),
            (400, &field.into()),
            "{path}: {body}"
        );
    }
}

#[tokio::test]
async fn another_sites_customers_and_creatives_are_not_seen() {
    let shop = Shop::open().await;
    shop.creative(Some("a"), 100, 10, 500, 5).await;
    shop.orders(&[paid(DAY, ["7", "", ""])]).await;
    let other = shop.app.site("other").await;
    let stranger = shop.app.bearer(&other, &[Scope::Read]).await;
    for path in [
        "cohort-analysis",
        "ltv-comparison",
        "repeat-rate",
        "ab-test?campaign=winter",
    ] {
        let url = shop.app.url(&format!("/api/utm/{path}"));
        assert_eq!(shop.app.client.get(&url).send().await.unwrap().status(), 401, "{path}");
        let body: Value = stranger.get(&url).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["site"], "other", "{path}");
        let seen = [&body["ltv_comparison"], &body["variants"], &body["total_orders"]];
        assert!(
            seen.iter()
                .all(|part| part.is_null() || **part == json!([]) || **part == json!(0)),
            "{body}"
        );
        let sizes = body["totals"]
            .as_array()
            .map_or(0, |totals| totals.iter().map(|t| t["size"].as_i64().unwrap()).sum());
        assert_eq!(sizes, 0, "{path}");
    }
}
