//! Filters of the business figures, and the relations one by one and as files.

use central_api::auth::Role;
use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::figures::any_order;
use super::{Shop, now};

const SESSIONS: u128 = 12;

/// A shop whose orders come from sessions of two sources and of none, by events too.
async fn shop_with_sessions() -> Shop {
    let shop = Shop::open().await;
    shop.catch_up().await;
    for number in 0..SESSIONS {
        let id = Uuid::from_u128(100 + number);
        sqlx::query(
            "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views,
                points, utm_source, utm_campaign, device_type)
            values ($1, $2, $2, $3, $3, 1, '{}', 1, 1, 1, $4, $5, $6)",
        )
        .bind(shop.site.id)
        .bind(id)
        .bind(now() - TimeDelta::days(5) - TimeDelta::hours(number as i64))
        .bind([Some("ig"), Some("google"), None][(number % 3) as usize])
        .bind((number % 3 == 0).then_some("winter"))
        .bind(["mobile", "desktop"][(number % 2) as usize])
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    }
    shop.execute("insert into rollup_marks select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions")
        .await;
    let mut rng = StdRng::seed_from_u64(21);
    let orders: Vec<Value> = (0..250)
        .map(|n| {
            let mut order = any_order(&mut rng, n);
            if rng.random_bool(0.8) {
                let session = Uuid::from_u128(100 + rng.random_range(0..SESSIONS)).to_string();
                order["session_id"] = session.clone().into();
                order["visitor_id"] = session.into();
            }
            order
        })
        .collect();
    for some in orders.chunks(100) {
        shop.send(some).await;
    }
    shop.catch_up().await;
    shop
}

const RANGE: &str = "start_date=2025-12-01&end_date=2026-11-20";

#[tokio::test]
async fn a_filter_that_leaves_nothing_out_changes_no_figure_and_sources_add_up_to_the_whole() {
    let shop = shop_with_sessions().await;
    let unfiltered = |mut body: Value| {
        body["filters"] = json!({});
        body
    };
    for path in [
        "dashboard",
        "daily-revenue",
        "revenue-streams",
        "customers",
        "customer-segments",
    ] {
        for range in [RANGE, "period=all_time", "start_date=2026-10-20&end_date=2026-10-31"] {
            let path = format!("/api/v1/analytics/{path}?{range}");
            let whole = shop.get(&path).await;
            let all = shop.get(&format!("{path}&utm_source=!nobody")).await;
            assert_eq!(all["filters"], json!({"utm_source": ["!nobody"]}));
            assert_eq!(unfiltered(all), whole, "{path}");
        }
    }
    let kpis =
        async |filter: &str| shop.get(&format!("/api/v1/analytics/dashboard?{RANGE}{filter}")).await["kpis"].clone();
    let (whole, mut sums) = (kpis("").await, [Decimal::ZERO; 4]);
    let keys = ["orders", "purchases", "revenue", "discounts"];
    let number = |value: &Value| -> Decimal { value.to_string().parse().unwrap() };
    for filter in ["&source=ig", "&utm_source=google", "&utm_source=(not set)"] {
        let part = kpis(filter).await;
        assert!(part["orders"].as_i64().unwrap() > 10, "{filter}: {part}");
        for (sum, key) in sums.iter_mut().zip(keys) {
            *sum += number(&part[key]);
        }
    }
    assert_eq!(sums, keys.map(|key| number(&whole[key])));
    // By the orders themselves.
    let plain: (i64, Decimal) = {
        let row = sqlx::query(
            "select count(*), sum(revenue) from orders where utm_source = 'ig' and device_type = 'mobile' and payment_status in ('paid', 'partially_refunded')",
        )
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
        (row.get(0), row.get(1))
    };
    let told = kpis("&utm_source=ig&device_type=mobile").await;
    assert_eq!((told["purchases"].as_i64().unwrap(), number(&told["revenue"])), plain);
}

#[tokio::test]
async fn a_filter_without_a_meaning_is_refused_by_its_name() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    for (path, field) in [
        ("dashboard?referrer=x", "referrer"),
        ("dashboard?utm_source=", "utm_source"),
        ("dashboard?device_type=phone", "device_type"),
        ("customers?channel=foo", "channel"),
        ("customer-segments?country=Ukraine", "country"),
        ("revenue-streams?region=x", "region"),
        ("customers?referrer=x", "referrer"),
        ("customer-segments?country=", "country"),
        ("customer-metrics?segment=rich", "segment"),
        ("customer-metrics?sort=name", "sort"),
        ("customer-metrics?region=x", "region"),
        ("campaigns?language=uk", "language"),
        ("campaigns/1?in_app=x", "in_app"),
        ("export?type=customers&referrer=x", "referrer"),
        ("export?type=daily&segment=vip", "segment"),
        ("export?type=everything", "type"),
        ("export?format=pdf", "format"),
        ("page-views?limit=0", "limit"),
        ("conversion-events?event_type=page_view", "event_type"),
        ("conversion-events?offset=-1", "offset"),
    ] {
        let answer = shop
            .client
            .get(shop.app.url(&format!("/api/v1/analytics/{path}")))
            .send()
            .await
            .unwrap();
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
        assert_eq!(
            (status, body["error"]["field"].as_str()),
            (400, Some(field)),
            "{path}: {body}"
        );
    }
}

#[tokio::test]
async fn page_views_and_conversions_are_those_of_the_views_of_the_database() {
    let shop = shop_with_sessions().await;
    shop.execute("create table events_of_this_test partition of events default")
        .await;
    let mut rng = StdRng::seed_from_u64(22);
    for number in 0..400_u128 {
        let session = Uuid::from_u128(100 + rng.random_range(0..SESSIONS));
        sqlx::query(
            "insert into events (site_id, visitor_id, event_id, minted_at, session_id, occurred_at, action, origin, visit_no, points, bot_reason,
                path, value)
            values ($1, $2, $3, $4, $2, $4, $5, 1, 1, 1, $6, $7, $8)",
        )
        .bind(shop.site.id)
        .bind(session)
        .bind(Uuid::from_u128(9_000 + number))
        .bind(now() - TimeDelta::minutes(rng.random_range(0..40 * 24 * 60)))
        .bind([1_i16, 1, 1, 2, 3, 5, 6, 7, 12][rng.random_range(0..9)])
        .bind(rng.random_bool(0.1).then_some(1_i16))
        .bind(format!("/p{}", rng.random_range(0..4)))
        .bind(rng.random_bool(0.3).then(|| Decimal::new(rng.random_range(1..100_000), 2)))
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    }
    let told = shop.get("/api/v1/analytics/page-views?period=month").await;
    let rows = sqlx::query(
        "select page_name, sum(view_count)::bigint from page_view_analytics where day > '2026-10-21' group by 1 order by 2 desc, 1",
    )
    .fetch_all(&shop.app.db.pool)
    .await
    .unwrap();
    let wanted: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let views = |body: &Value| -> Vec<(String, i64)> {
        let rows = body["pages"].as_array().unwrap();
        rows.iter()
            .map(|row| (row["page"].as_str().unwrap().to_owned(), row["views"].as_i64().unwrap()))
            .collect()
    };
    assert_eq!((views(&told), told["total_rows"].as_i64()), (wanted.clone(), Some(4)));
    let second = shop
        .get("/api/v1/analytics/page-views?period=month&limit=1&offset=1")
        .await;
    assert_eq!(views(&second), wanted[1..2]);
    let by_source = |body: Value| -> i64 { views(&body).iter().map(|row| row.1).sum() };
    let parts = [
        shop.get("/api/v1/analytics/page-views?period=month&utm_source=ig")
            .await,
        shop.get("/api/v1/analytics/page-views?period=month&utm_source=!ig")
            .await,
    ];
    assert_eq!(
        parts.map(by_source).iter().sum::<i64>(),
        wanted.iter().map(|row| row.1).sum::<i64>()
    );

    let told = shop
        .get("/api/v1/analytics/conversion-events?period=month&limit=1000")
        .await;
    let rows = sqlx::query(
        "select event_id, event_type from conversion_events where day > '2026-10-21' order by occurred_at desc, event_id desc",
    )
    .fetch_all(&shop.app.db.pool)
    .await
    .unwrap();
    let wanted: Vec<(String, String)> = rows
        .iter()
        .map(|row| (row.get::<Uuid, _>(0).to_string(), row.get(1)))
        .collect();
    let events: Vec<(String, String)> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["event_id"].as_str().unwrap().to_owned(),
                row["event_type"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(events, wanted);
    assert_eq!(told["total_rows"].as_u64(), Some(wanted.len() as u64));
    let leads = shop
        .get("/api/v1/analytics/conversion-events?period=month&event_type=lead&limit=1")
        .await;
    let count = wanted.iter().filter(|(_, kind)| kind == "lead").count() as u64;
    assert!(count > 1);
    assert_eq!(
        (leads["total_rows"].as_u64(), leads["events"].as_array().unwrap().len()),
        (Some(count), 1)
    );
}

/// Views and carts as the endpoints tell them, by page and by kind.
async fn told(shop: &Shop, filter: &str) -> Value {
    let pages = shop
        .get(&format!("/api/v1/analytics/page-views?period=week{filter}"))
        .await;
    let carts = shop
        .get(&format!("/api/v1/analytics/conversion-events?period=week{filter}"))
        .await;
    let listed: Vec<&Value> = carts["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["event_id"])
        .collect();
    assert_eq!(carts["total_rows"].as_u64(), Some(listed.len() as u64));
    json!({"pages": pages["pages"], "carts": carts["event_types"][0]})
}

#[tokio::test]
async fn events_are_people_s_where_their_session_is_and_by_themselves_where_it_is_not_known() {
    let shop = shop_with_sessions().await;
    shop.execute("create table events_of_this_test partition of events default")
        .await;
    // A session of a person, two that turned out to be machines' later, and one of a person whose event looked like a machine's; and an event
    // of a person and of a machine whose sessions are gone.
    for (number, (session, machine)) in [
        (100_u128, false),
        (103, false),
        (109, false),
        (106, true),
        (900, false),
        (901, true),
    ]
    .into_iter()
    .enumerate()
    {
        for (offset, action) in [(0, 1_i16), (50, 3)] {
            sqlx::query(
                "insert into events (site_id, visitor_id, event_id, minted_at, session_id, occurred_at, action, origin, visit_no, points,
                    bot_reason, path)
                values ($1, $2, $3, $4, $2, $4, $5, 1, 1, 1, $6, '/tee')",
            )
            .bind(shop.site.id)
            .bind(Uuid::from_u128(session))
            .bind(Uuid::from_u128(9_000 + offset + number as u128))
            .bind(now() - TimeDelta::hours(1))
            .bind(action)
            .bind(machine.then_some(1_i16))
            .execute(&shop.app.db.pool)
            .await
            .unwrap();
        }
    }
    shop.execute(
        "update sessions set bot_reason = 7 where session_id in
        ('00000000-0000-0000-0000-000000000067', '00000000-0000-0000-0000-00000000006d')",
    )
    .await;
    // Every other figure's way: by the session.
    let people: Vec<Uuid> = sqlx::query_scalar(
        "select session_id from sessions where bot_reason is null and session_id in (select session_id from events) order by 1",
    )
    .fetch_all(&shop.app.db.pool)
    .await
    .unwrap();
    assert_eq!(people, [100, 106].map(Uuid::from_u128));
    let expected = |count: u64| {
        json!({"pages": [{"page": "/tee", "views": count, "visitors": count, "sessions": count}],
            "carts": {"event_type": "add_to_cart", "events": count, "sessions": count}})
    };
    assert_eq!(
        told(&shop, "").await,
        expected(3),
        "of two people, and of one whose session is gone"
    );
    assert_eq!(told(&shop, "&utm_source=ig").await, expected(2));
    let by_sql: (i64, i64) = sqlx::query_as(
        "select (select sum(view_count)::bigint from page_view_analytics), (select count(*) from conversion_events)",
    )
    .fetch_one(&shop.app.db.pool)
    .await
    .unwrap();
    assert_eq!(by_sql, (3, 3));
    for (relation, rows) in [("page-views", 1), ("conversion-events", 3)] {
        let url = format!("/api/v1/analytics/export?period=week&locale=en&type={relation}");
        let file = shop
            .client
            .get(shop.app.url(&url))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert_eq!(file.lines().count(), rows + 1, "{file}");
    }
}

#[tokio::test]
async fn the_view_of_customers_says_what_depends_on_today() {
    let shop = shop_with_sessions().await;
    shop.execute("update customer_metrics set subscription_active = true, segments = array_fill(2::smallint, array[cardinality(segments)])
        where customer_no % 7 = 0").await;
    // By the clock of the database: the test's stands still.
    let rows = sqlx::query(
        "select v.segment, v.churn_risk, v.lifetime_value = m.revenue, v.days_since_last_order,
            (now() at time zone 'Europe/Kyiv')::date - m.last_day, m.subscription_active
        from customer_metrics_today v join customer_metrics m using (site_id, customer_no)",
    )
    .fetch_all(&shop.app.db.pool)
    .await
    .unwrap();
    assert!(rows.len() > 20);
    for row in rows {
        let (segment, risk, days): (&str, bool, i32) = (row.get(0), row.get(1), row.get(4));
        assert_eq!((row.get::<bool, _>(2), row.get::<i32, _>(3)), (true, days));
        if row.get(5) {
            assert_eq!(
                (segment, risk),
                ("loyal", false),
                "whoever has a subscription does not leave"
            );
        } else {
            let left = ["at_risk", "lost"].contains(&segment);
            assert_eq!((risk, left), (days > 60, days > 60), "{segment} after {days} days");
        }
    }
}

/// Makes a campaign and lets it run, with its figures up to date.
async fn running_campaign(shop: &Shop, admin: &reqwest::Client, campaign: &Value) -> Value {
    let url = shop.app.url("/api/v1/analytics/campaigns");
    let made = admin.post(&url).json(campaign).send().await.unwrap();
    let made: Value = made.json().await.unwrap();
    let change = admin
        .patch(format!("{url}/{}", made["id"]))
        .json(&json!({"status": "active"}));
    assert_eq!(change.send().await.unwrap().status(), 200);
    shop.catch_up().await;
    made
}

#[tokio::test]
async fn every_relation_is_exported_as_text_and_as_a_workbook() {
    let shop = shop_with_sessions().await;
    let admin = shop.app.logged_in(Role::Admin, Some(&shop.site)).await;
    let campaign =
        json!({"name": "=Winter", "discount_type": "none", "start_day": "2025-12-01", "utm_campaigns": ["winter"]});
    let made = running_campaign(&shop, &admin, &campaign).await;
    let listed = shop.get("/api/v1/analytics/campaigns").await;
    assert_eq!(
        (
            &listed["campaigns"][0]["sessions"],
            &listed["campaigns"][0]["converted_sessions"]
        ),
        (&json!(4), &json!(4)),
        "{listed}"
    );
    let file = async |client: &reqwest::Client, query: &str| {
        let answer = client
            .get(
                shop.app
                    .url(&format!("/api/v1/analytics/export?{RANGE}&locale=en&{query}")),
            )
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        answer.bytes().await.unwrap()
    };
    let customers: i64 = sqlx::query_scalar("select count(*) from customer_metrics")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    let url = format!("/api/v1/analytics/campaigns/{}", made["id"]);
    let performed = shop.get(&url).await["days"].as_array().unwrap().len() as i64;
    let streams: i64 = sqlx::query_scalar("select count(*) from revenue_streams")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    let days: i64 = sqlx::query_scalar("select count(*) from daily_analytics_snapshots")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    for (relation, head, rows) in [
        ("daily", "Day,Orders", days),
        ("revenue-streams", "Day,Stream", streams),
        ("customers", "Customer number,Segment", customers),
        ("campaigns", "Campaign,Status", 1),
        ("campaign-performance", "Campaign,Day", performed),
        ("page-views", "Day,Page", 0),
        ("conversion-events", "Time (Europe/Kyiv),Event", 0),
    ] {
        let text = String::from_utf8(file(&shop.client, &format!("type={relation}")).await.to_vec()).unwrap();
        assert!(text.starts_with(&format!("\u{feff}{head}")), "{relation}: {text}");
        assert_eq!(text.lines().count() as i64, rows + 1, "{relation}");
        let workbook = file(&shop.client, &format!("type={relation}&format=xlsx")).await;
        assert!(workbook.starts_with(b"PK"), "{relation}");
        match relation {
            "campaigns" => assert!(text.contains("\n'=Winter,active,"), "{text}"),
            // Numbers of customers are for admins alone.
            "customers" => {
                assert!(text.lines().skip(1).all(|line| line.starts_with(',')), "{text}");
                let named = String::from_utf8(file(&admin, "site=shop&type=customers").await.to_vec()).unwrap();
                assert!(named.lines().skip(1).all(|line| !line.starts_with(',')), "{named}");
            }
            _ => {}
        }
    }
    // Another campaign of the same orders: a file of one has no row of the other's, and is asked of nothing else.
    let other =
        json!({"name": "Other", "discount_type": "none", "start_day": "2025-12-01", "utm_campaigns": ["winter"]});
    running_campaign(&shop, &admin, &other).await;
    let both = file(&shop.client, "type=campaign-performance").await;
    assert_eq!(String::from_utf8_lossy(&both).lines().count() as i64, 1 + 2 * performed);
    let one = file(
        &shop.client,
        &format!("type=campaign-performance&campaign_id={}", made["id"]),
    )
    .await;
    let one = String::from_utf8_lossy(&one);
    assert_eq!(one.lines().count() as i64, 1 + performed);
    assert!(one.lines().skip(1).all(|line| line.starts_with("'=Winter,")), "{one}");
    for (query, status) in [
        ("type=campaign-performance&campaign_id=9223372036854775807", 404),
        ("type=campaign-performance&campaign_id=winter", 400),
        ("type=campaigns&campaign_id=1", 400),
    ] {
        let url = shop.app.url(&format!("/api/v1/analytics/export?{RANGE}&{query}"));
        assert_eq!(shop.client.get(url).send().await.unwrap().status(), status, "{query}");
    }
    // The list says the same as the file.
    let listed = shop
        .get("/api/v1/analytics/customer-metrics?limit=3&sort=last_order")
        .await;
    assert_eq!(
        (
            listed["total_rows"].as_i64(),
            listed["customers"].as_array().unwrap().len()
        ),
        (Some(customers), 3)
    );
}
