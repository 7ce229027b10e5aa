//! A shop without a backend: its purchases are events, and each is one wherever it is counted.

use central_api::rollup;
use chrono::TimeDelta;
use reqwest::Client;
use serde_json::{Value, json};

use crate::ingest::{app, deliver, event, id, landing, now, with};
use crate::support::TestApp;
use crate::utm_touches::COLUMNS;

async fn get(app: &TestApp, client: &Client, path: &str) -> Value {
    let answer = client.get(app.url(path)).send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn of(answer: &Value, keys: &[&str]) -> Vec<Value> {
    keys.iter().map(|key| answer[key].clone()).collect()
}

/// A shop with these settings, and who asks.
async fn with_settings(settings: Value) -> (TestApp, Client) {
    let app = app().await;
    let admin = app.admin().await;
    let changed = admin
        .patch(app.url("/api/v1/sites/shop"))
        .json(&json!({"settings": settings}))
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    (app, admin)
}

/// A shop whose revenue is its events', and who asks.
async fn without_backend() -> (TestApp, Client) {
    with_settings(json!({"revenue_from_events": true})).await
}

fn purchase(seq: u64, session: u128, more: Value) -> Value {
    let told = with(
        event(seq, session, 1_000 * i64::try_from(seq).unwrap()),
        json!({"action": "purchase", "origin": "script"}),
    );
    with(told, more)
}

const GENERAL: &str = "/api/utm/general-stats?period=all_time";
const FIGURES: [&str; 3] = ["purchases", "total_revenue", "avg_order_value"];

/// One session with three purchases, of which one has no known value and the others bring 400.
async fn everywhere(app: &TestApp, admin: &Client) {
    let told = of(&get(app, admin, GENERAL).await, &FIGURES);
    assert_eq!(told, [json!(3), json!(400), json!(200)]);
    let sources = get(app, admin, "/api/utm/sources?period=all_time").await;
    let row = of(&sources["sources"][0], &["utm_source", "orders", "avg_order_value"]);
    assert_eq!(row, [json!("facebook"), json!(3), json!(200)]);
    let touches = get(
        app,
        admin,
        "/api/utm/first-and-last-touch?period=all_time&dimension=utm_source",
    )
    .await;
    let row = of(&touches["first_and_last_touch"][0], &COLUMNS);
    assert_eq!(row, [json!("facebook"), json!(3), json!(400), json!(3), json!(400)]);
    let ltv = get(app, admin, "/api/utm/ltv-comparison?period=all_time").await;
    let keys = ["total_orders", "orders_per_session", "total_revenue", "avg_order_value"];
    assert_eq!(
        of(&ltv["ltv_comparison"][0], &keys),
        [json!(3), json!(3), json!(400), json!(200)]
    );
    let listed = get(app, admin, "/api/utm/sessions?period=all_time").await;
    assert_eq!(
        of(&listed["sessions"][0], &["orders", "revenue"]),
        [json!(3), json!(400)]
    );
    let cohorts = get(app, admin, "/api/utm/cohort-analysis?cohort_type=month&metric=orders").await;
    let orders: i64 = cohorts["totals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|total| total["orders"].as_i64().unwrap())
        .sum();
    assert_eq!(orders, 3, "{cohorts}");
}

#[tokio::test]
async fn purchases_that_are_events_count_one_by_one_and_those_of_unknown_value_are_in_no_average() {
    let (app, admin) = without_backend().await;
    deliver(&app, &[landing(1, 1, 60_000, "FB")]).await;
    deliver(
        &app,
        &[purchase(
            2,
            1,
            json!({"order": "E1", "value": "100", "currency": "EUR"}),
        )],
    )
    .await;
    let told = of(&get(&app, &admin, GENERAL).await, &FIGURES);
    assert_eq!(told, [json!(1), json!(0), Value::Null], "its value is not known");

    // Two orders, the first told of twice, in two deliveries.
    deliver(&app, &[purchase(3, 1, json!({"order": "W1", "value": "100"}))]).await;
    let again = purchase(4, 1, json!({"order": "W1", "value": "100"}));
    deliver(&app, &[again, purchase(5, 1, json!({"order": "W2", "value": "300"}))]).await;
    everywhere(&app, &admin).await;
    // And from what is kept, packed and summed up.
    let site = app.state.sites.by_key("shop").unwrap();
    rollup::upkeep::catch_up(&app.state.pool, now(), |_| {}).await.unwrap();
    rollup::cohorts::upkeep::catch_up(&app.state.pool, &site, now(), |_| {})
        .await
        .unwrap();
    everywhere(&app, &admin).await;

    // Leads by the same rule; a purchase without a value is one of unknown value.
    let lead = |seq: u64, more: Value| with(purchase(seq, 2, json!({"action": "lead"})), more);
    deliver(&app, &[lead(6, json!({"order": "L1"})), lead(7, json!({}))]).await;
    deliver(&app, &[lead(8, json!({"order": "L1"})), purchase(9, 2, json!({}))]).await;
    let told = of(
        &get(&app, &admin, GENERAL).await,
        &["leads", "purchases", "avg_order_value"],
    );
    assert_eq!(told, [json!(2), json!(4), json!(200)]);
}

#[tokio::test]
async fn sessions_of_before_take_over_what_their_events_say() {
    let (app, _) = without_backend().await;
    let gone = purchase(5, 4, json!({"order": "W3", "value": "70"}));
    let events = [
        purchase(1, 1, json!({"order": "W1", "value": "100"})),
        purchase(2, 1, json!({"order": "W2", "value": "300", "currency": "EUR"})),
        with(purchase(3, 1, json!({})), json!({"action": "lead"})),
        event(4, 2, 4_000),
        gone,
    ];
    deliver(&app, &events).await;
    let sums = "select array_agg(array[lead_events, purchase_events, valued_purchase_events] order by session_id) from sessions";
    let told: Vec<i32> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select array(select unnest(a) from ({sums}) s(a))"
    )))
    .fetch_one(&app.db.pool)
    .await
    .unwrap();
    assert_eq!(told, [1, 2, 1, 0, 0, 0, 0, 1, 1]);
    for sql in [
        "update sessions set lead_events = 0, purchase_events = 0, valued_purchase_events = 0",
        "delete from events where order_id = 'W3'",
        include_str!("../../../migrations/20261130030100_purchase_events_of_before.sql"),
    ] {
        sqlx::raw_sql(sql).execute(&app.db.pool).await.unwrap();
    }
    let filled: Vec<i32> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select array(select unnest(a) from ({sums}) s(a))"
    )))
    .fetch_one(&app.db.pool)
    .await
    .unwrap();
    assert_eq!(filled, told);
}

#[tokio::test]
async fn a_purchase_late_in_a_long_session_is_told_with_the_day_on_which_it_happened() {
    let (app, admin) = with_settings(json!({"worker": {"session_life_hours": 90 * 24}})).await;
    // The id of an order's purchase is made with the session's start.
    let started = now() - TimeDelta::days(60);
    let session = json!({"id": id(1, 60 * 86_400_000), "started": started.timestamp_millis(), "visit": 4});
    deliver(&app, &[purchase(2, 1, json!({"order": "A-1", "session": session}))]).await;
    let told = get(&app, &admin, "/api/v1/analytics/conversion-events?period=today").await;
    assert_eq!(
        (&told["total_rows"], &told["events"][0]["order_id"]),
        (&json!(1), &json!("A-1"))
    );
}
