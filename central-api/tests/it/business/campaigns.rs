//! Campaigns: made, checked, moved on, and what they brought.

use central_api::auth::Role;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Shop, now};

struct Panel {
    shop: Shop,
    admin: reqwest::Client,
}

impl Panel {
    async fn open() -> Self {
        let shop = Shop::open().await;
        shop.catch_up().await;
        let admin = shop.app.admin().await;
        Self { shop, admin }
    }

    async fn call(&self, client: &reqwest::Client, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = self.shop.app.url(&format!("/api/v1/analytics/campaigns{path}"));
        let answer = client.request(method, url).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn make(&self, body: &Value) -> i64 {
        let (status, made) = self.call(&self.admin, Method::POST, "", body).await;
        assert_eq!((status, &made["status"]), (201, &json!("draft")), "{made}");
        made["id"].as_i64().unwrap()
    }

    async fn change(&self, id: i64, body: Value) -> (u16, Value) {
        self.call(&self.admin, Method::PATCH, &format!("/{id}"), &body).await
    }

    async fn show(&self, id: i64) -> Value {
        self.shop.get(&format!("/api/v1/analytics/campaigns/{id}")).await
    }
}

fn winter() -> Value {
    json!({"name": " Winter ", "discount_type": "percent", "discount_value": 10, "start_day": "2026-11-10", "end_day": "2026-11-30",
        "budget": "100.50", "utm_campaigns": ["Winter_Sale"], "promo_codes": ["WINTER10 "], "audience": "at_risk"})
}

fn order(id: &str, days_ago: i64, more: Value) -> Value {
    let at = now() - TimeDelta::days(days_ago);
    let mut order = json!({"order_id": id, "total": "900", "discount": "100", "payment_status": "paid", "created_at": at, "updated_at": at});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

#[tokio::test]
async fn a_campaign_counts_the_orders_of_its_codes_and_values_on_its_days() {
    let panel = Panel::open().await;
    let session = Uuid::from_u128(5);
    sqlx::query(
        "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points,
            utm_source, utm_campaign)
        select $1, id, id, $2, $2, 1, '{}', 1, 1, 1, 'ig', 'winter_sale'
        from unnest(array[$3::uuid, gen_random_uuid(), gen_random_uuid(), gen_random_uuid()]) as s(id)",
    )
    .bind(panel.shop.site.id)
    .bind(now() - TimeDelta::days(2))
    .bind(session)
    .execute(&panel.shop.app.db.pool)
    .await
    .unwrap();
    panel.shop.execute("insert into rollup_marks select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions").await;
    let id = panel.make(&winter()).await;
    // Orders from before the campaign runs count too, when placed on its days.
    panel
        .shop
        .send(&[
            order("by-code", 3, json!({"customer_id": "1", "promo_code": "Winter10"})),
            order(
                "by-link",
                2,
                json!({"customer_id": "2", "session_id": session, "visitor_id": session}),
            ),
            order("early", 15, json!({"customer_id": "3", "promo_code": "WINTER10"})),
            order("other", 2, json!({"customer_id": "4", "promo_code": "SPRING"})),
        ])
        .await;
    panel.shop.catch_up().await;
    assert_eq!(panel.show(id).await["campaign"]["orders"], 0, "a draft counts nothing");
    let (status, body) = panel.change(id, json!({"status": "active"})).await;
    assert_eq!(
        (status, &body["allowed_statuses"]),
        (200, &json!(["paused", "completed"]))
    );
    panel.shop.catch_up().await;
    let figures = |body: &Value| {
        [
            "orders",
            "purchases",
            "revenue",
            "customers_reached",
            "discount_cost",
            "roi",
        ]
        .map(|key| body["campaign"][key].clone())
    };
    // (1800 − 200 − 100.5) / 300.5
    let body = panel.show(id).await;
    assert_eq!(
        figures(&body),
        [json!(2), json!(2), json!(1800), json!(2), json!(200), json!(499)]
    );
    assert_eq!(
        (&body["sessions"], &body["converted_sessions"], &body["conversion_rate"]),
        (&json!(4), &json!(1), &json!(25))
    );
    assert_eq!(body["campaign"]["audience"]["segment"], "at_risk");
    assert_eq!(body["segments_reached"][0]["segment"]["segment"], "new");
    let days: Vec<&Value> = body["days"].as_array().unwrap().iter().map(|day| &day["day"]).collect();
    assert_eq!(days, ["2026-11-17", "2026-11-18"]);

    // A later order of the same customer, and a refund.
    panel
        .shop
        .send(&[
            order("again", 1, json!({"customer_id": "1", "promo_code": "winter10"})),
            order(
                "by-link",
                2,
                json!({"customer_id": "2", "payment_status": "refunded", "updated_at": now()}),
            ),
        ])
        .await;
    panel.shop.catch_up().await;
    let body = panel.show(id).await;
    assert_eq!(
        figures(&body)[..5],
        [json!(3), json!(2), json!(1800), json!(1), json!(200)]
    );
    assert_eq!(body["recent_orders"][0]["order_id"], "again");

    // Completed today: what comes tomorrow is not its own.
    let (_, done) = panel.change(id, json!({"status": "completed"})).await;
    assert_eq!(done["end_day"], "2026-11-20");
    assert_eq!(panel.change(id, json!({"name": "x"})).await.0, 409);
    let before = panel.shop.kept().await;
    panel.shop.catch_up().await;
    panel.shop.rebuild().await;
    let settled = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter()
            .map(|row| row.replace("\"stale\": true", "\"stale\": false"))
            .collect()
    };
    assert_eq!(settled(before), settled(panel.shop.kept().await));

    let log = panel
        .admin
        .get(panel.shop.app.url("/api/v1/audit-log"))
        .send()
        .await
        .unwrap()
        .json::<Value>()
        .await
        .unwrap();
    let actions: Vec<&Value> = log.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["campaign.change", "campaign.change", "campaign.create"]);
    assert_eq!(
        (
            &log[1]["detail"]["before"]["status"],
            &log[1]["detail"]["after"]["status"]
        ),
        (&json!("draft"), &json!("active"))
    );
}

#[tokio::test]
async fn a_campaign_takes_only_allowed_steps_and_values_and_names_the_field() {
    let panel = Panel::open().await;
    for (field, value) in [
        ("name", json!("  ")),
        ("name", json!("x".repeat(101))),
        ("name", json!("a\u{0}b")),
        ("name", Value::Null),
        ("description", json!("x".repeat(2_001))),
        ("discount_type", json!("half")),
        ("discount_value", json!(0)),
        ("discount_value", json!(100.01)),
        ("discount_value", json!("-5")),
        ("discount_value", json!("NaN")),
        ("budget", json!(-1)),
        ("budget", json!("1e30")),
        ("budget", json!(1e300)),
        ("start_day", json!("2026-02-30")),
        ("start_day", json!("")),
        ("end_day", json!("2026-11-09")),
        ("audience", json!("rich")),
        ("utm_campaigns", json!([""])),
        (
            "utm_campaigns",
            json!((0..51).map(|n| n.to_string()).collect::<Vec<_>>()),
        ),
        ("promo_codes", json!(["a\u{0}"])),
        ("status", json!("active")),
        ("colour", json!("red")),
    ] {
        let mut body = winter();
        body[field] = value.clone();
        let (status, answer) = panel.call(&panel.admin, Method::POST, "", &body).await;
        assert_eq!(status, 400, "{field} {value}: {answer}");
        let named = answer["error"]["field"].as_str().unwrap_or_default();
        assert!(named.starts_with(field), "{field} {value}: {answer}");
    }
    let id = panel.make(&winter()).await;
    for (from, to, works) in [
        ("draft", "paused", false),
        ("draft", "completed", false),
        ("draft", "active", true),
        ("active", "draft", false),
        ("active", "paused", true),
        ("paused", "active", true),
        ("active", "completed", true),
    ] {
        let (status, body) = panel.change(id, json!({"status": to})).await;
        if works {
            assert_eq!((status, &body["status"]), (200, &json!(to)));
        } else {
            assert_eq!(
                (status, &body["error"]["field"]),
                (400, &json!("status")),
                "{from} {to}: {body}"
            );
        }
    }
    let mut nameless = winter();
    nameless["utm_campaigns"] = json!([]);
    nameless["promo_codes"] = json!([]);
    let unknown = panel.make(&nameless).await;
    let (status, body) = panel.change(unknown, json!({"status": "active"})).await;
    assert_eq!((status, &body["error"]["field"]), (400, &json!("utm_campaigns")));
    let (status, body) = panel
        .change(unknown, json!({"end_day": null, "audience": null, "budget": 5}))
        .await;
    assert_eq!(
        (status, &body["end_day"], &body["audience"], &body["budget"]),
        (200, &Value::Null, &Value::Null, &json!(5))
    );
    assert_eq!(
        panel
            .call(&panel.admin, Method::DELETE, &format!("/{id}"), &json!({}))
            .await
            .0,
        409
    );
    assert_eq!(
        panel
            .call(&panel.admin, Method::DELETE, &format!("/{unknown}"), &json!({}))
            .await
            .0,
        204
    );
    assert_eq!(
        panel
            .call(&panel.admin, Method::DELETE, &format!("/{unknown}"), &json!({}))
            .await
            .0,
        404
    );
    assert_eq!(panel.change(999, json!({})).await.0, 404);
    let listed = panel.shop.get("/api/v1/analytics/campaigns?status=completed").await;
    assert_eq!(listed["campaigns"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_admins_of_the_site_change_campaigns() {
    let panel = Panel::open().await;
    let id = panel.make(&winter()).await;
    let viewer = panel.shop.app.logged_in(Role::Viewer, None).await;
    let other = panel.shop.app.site("other").await;
    let stranger = panel.shop.app.logged_in(Role::Admin, Some(&other)).await;
    let one = format!("/{id}");
    for (client, expected) in [(&viewer, 403), (&panel.shop.client, 401), (&panel.shop.app.client, 401)] {
        for (method, path, body) in [
            (Method::POST, "", winter()),
            (Method::PATCH, one.as_str(), json!({"name": "x"})),
            (Method::DELETE, one.as_str(), json!({})),
        ] {
            assert_eq!(
                panel.call(client, method.clone(), path, &body).await.0,
                expected,
                "{method}"
            );
        }
    }
    assert_eq!(
        panel
            .call(&stranger, Method::PATCH, &one, &json!({"name": "x"}))
            .await
            .0,
        404
    );
    assert_eq!(panel.call(&stranger, Method::DELETE, &one, &json!({})).await.0, 404);
}

#[tokio::test]
async fn a_campaigns_sessions_and_conversion_rate_are_of_the_sessions_with_the_filters_values() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    sqlx::query(
        "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points,
            utm_source, utm_campaign, country, lead_orders)
        select $1, id, id, $2, $2, 1, '{}', 1, 1, 1, source, campaign, country, leads
        from (select gen_random_uuid() as id, * from (values ('ig', 'sale', 'UA', 1), ('ig', 'sale', 'PL', 0), ('ig', 'sale', 'UA', 0), ('google', 'sale', 'UA', 1),
            ('ig', 'sale_2', 'UA', 1), ('ig', 'other', 'UA', 1)) v(source, campaign, country, leads)) s",
    )
    .bind(shop.site.id)
    .bind(now() - TimeDelta::days(2))
    .execute(&shop.app.db.pool)
    .await
    .unwrap();
    shop.execute("insert into rollup_marks select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions")
        .await;
    let admin = shop.app.logged_in(Role::Admin, Some(&shop.site)).await;
    let url = shop.app.url("/api/v1/analytics/campaigns");
    let plan =
        json!({"name": "x", "discount_type": "none", "start_day": "2026-11-01", "utm_campaigns": ["sale", "sale_2"]});
    let made: Value = admin.post(&url).json(&plan).send().await.unwrap().json().await.unwrap();
    let id = made["id"].as_i64().unwrap();
    let begin = admin.patch(format!("{url}/{id}")).json(&json!({"status": "active"}));
    assert_eq!(begin.send().await.unwrap().status(), 200);
    for (filter, sessions, converted) in [
        ("", 5, 3),
        ("utm_source=ig", 4, 2),
        ("utm_source=ig&country=UA", 3, 2),
        ("utm_campaign=sale_2", 1, 1),
        ("utm_campaign=!sale_2&country=!PL", 3, 2),
        ("utm_campaign=other", 0, 0),
        ("utm_source=tiktok", 0, 0),
    ] {
        let one = shop.get(&format!("/api/v1/analytics/campaigns/{id}?{filter}")).await;
        let list = shop.get(&format!("/api/v1/analytics/campaigns?{filter}")).await;
        for row in [&one, &list["campaigns"][0]] {
            assert_eq!(
                (&row["sessions"], &row["converted_sessions"]),
                (&json!(sessions), &json!(converted)),
                "{filter}: {row}"
            );
        }
    }
}
