//! The average order is one figure, wherever it stands.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Shop, now};

/// What each answer says the average order of all purchases is, by where it says so.
async fn told(shop: &Shop, filter: &str) -> Vec<(String, Value)> {
    let mut told = Vec::new();
    for date in ["session", "order"] {
        let path = format!("/api/utm/general-stats?period=all_time&attribution_date={date}{filter}");
        told.push((path.clone(), shop.get(&path).await["avg_order_value"].clone()));
    }
    for (path, rows, key) in [
        ("dashboard", "/kpis", None),
        ("revenue-streams", "/streams", Some(("stream", "direct_order"))),
        ("customer-segments", "/segments", Some(("segment", "new"))),
        ("customers", "/segments", Some(("segment", "new"))),
        ("campaigns", "/campaigns", Some(("name", "Winter"))),
    ] {
        let period = if path == "campaigns" { "" } else { "&period=all_time" };
        let path = format!("/api/v1/analytics/{path}?site=shop{period}{filter}");
        let answer = shop.get(&path).await;
        let rows = answer.pointer(rows).unwrap();
        let row = match key {
            Some((key, value)) => rows.as_array().unwrap().iter().find(|row| row[key] == value).unwrap(),
            None => rows,
        };
        told.push((path, row["avg_order_value"].clone()));
    }
    told
}

#[tokio::test]
async fn an_order_without_a_rate_lowers_no_average_wherever_it_is_asked_for() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let session = Uuid::from_u128(7);
    sqlx::query(
        "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points,
            utm_source, utm_campaign)
        values ($1, $2, $2, $3, $3, 1, '{}', 1, 1, 1, 'facebook', 'winter')",
    )
    .bind(shop.site.id)
    .bind(session)
    .bind(now() - TimeDelta::days(5))
    .execute(&shop.app.db.pool)
    .await
    .unwrap();
    shop.execute("insert into rollup_marks select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions")
        .await;
    let admin = shop.app.admin().await;
    let campaign =
        json!({"name": "Winter", "discount_type": "none", "start_day": "2026-11-01", "utm_campaigns": ["winter"]});
    let made = admin
        .post(shop.app.url("/api/v1/analytics/campaigns"))
        .json(&campaign)
        .send()
        .await
        .unwrap();
    let id = made.json::<Value>().await.unwrap()["id"].clone();
    let url = shop.app.url(&format!("/api/v1/analytics/campaigns/{id}"));
    let changed = admin
        .request(Method::PATCH, url)
        .json(&json!({"status": "active"}))
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    let order = |id: &str, days_ago: i64, customer: &str, more: Value| {
        let at = now() - TimeDelta::days(days_ago);
        let mut order = json!({"order_id": id, "total": "1250.50", "payment_status": "paid", "created_at": at, "updated_at": at,
            "customer_id": customer, "session_id": session, "visitor_id": session});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    shop.send(&[
        order("known", 2, "1", json!({})),
        order("rateless", 2, "1", json!({"currency": "EUR"})),
        order("alone", 4, "2", json!({"currency": "EUR"})),
        // No purchase: it needs no rate, and is in no average.
        order("unpaid", 2, "1", json!({"currency": "EUR", "payment_status": "unpaid"})),
    ])
    .await;
    shop.catch_up().await;
    let kept = shop.kept().await;
    let average = json!(1250.5);
    let filters = ["", "&utm_source=facebook"];
    for filter in filters {
        for (path, told) in told(&shop, filter).await {
            assert_eq!(told, average, "{path}");
        }
        let path = format!("/api/v1/analytics/daily-revenue?start_date=2026-11-15&end_date=2026-11-18{filter}");
        let days = shop.get(&path).await["days"].clone();
        let averages: Vec<&Value> = (0..4).map(|day| &days[day]["avg_order_value"]).collect();
        assert_eq!(
            averages,
            [&Value::Null, &Value::Null, &Value::Null, &average],
            "{path}: of no purchase, of one without a rate, of none, of two"
        );
        let path = format!("/api/v1/analytics/customer-metrics?site=shop{filter}");
        let customers = shop.get(&path).await["customers"].clone();
        let averages: Vec<&Value> = (0..2).map(|place| &customers[place]["avg_order_value"]).collect();
        assert_eq!(averages, [&average, &Value::Null], "{path}");
    }
    // The relations say the same to whoever asks with SQL.
    for (sql, expected) in [
        (
            "select array_agg(avg_order_value::text order by revenue desc) from customer_metrics_today",
            [Some("1250.50"), None],
        ),
        (
            "select array_agg(avg_order_value::text order by day desc) from daily_analytics_snapshots",
            [Some("1250.50"), None],
        ),
    ] {
        let found: Vec<Option<String>> = sqlx::query_scalar(sql).fetch_one(&shop.app.db.pool).await.unwrap();
        let found: Vec<Option<&str>> = found.iter().map(|found| found.as_deref()).collect();
        assert_eq!(found, expected, "{sql}");
    }
    shop.rebuild().await;
    assert_eq!(shop.kept().await, kept, "made anew it is what was kept");

    // A rate that comes later puts the orders into both sides.
    let rates = json!([{"currency": "EUR", "day": "2026-11-16", "rate": 1}, {"currency": "EUR", "day": "2026-11-18", "rate": 1}]);
    let put = shop
        .client
        .put(shop.app.url("/api/v1/exchange-rates"))
        .json(&rates)
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 200);
    shop.catch_up().await;
    for filter in filters {
        for (path, told) in told(&shop, filter).await {
            assert_eq!(told, average, "{path}: of three that cost the same");
        }
    }
    let divisors: Vec<i64> = sqlx::query_scalar(
        "select sum(unvalued_orders)::bigint from daily_analytics_snapshots union all select sum(unvalued_orders)::bigint from revenue_streams
        union all select sum(unvalued_orders)::bigint from campaign_performance
        union all select sum(unvalued_orders)::bigint from customer_metrics
        union all select sum(unvalued_orders)::bigint from customer_segment_days",
    )
    .fetch_all(&shop.app.db.pool)
    .await
    .unwrap();
    assert_eq!(divisors, [0; 5]);
}
