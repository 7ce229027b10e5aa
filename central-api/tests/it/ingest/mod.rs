//! `POST /ingest/v1/events` on the real application.

mod delivery;
mod door;
mod judged;

use central_api::clock::Clock;
use central_api::db;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::event::BatchAnswer;
use shared::ids::uuid_v7;
use shared::signature;
use uuid::Uuid;

use crate::support::TestApp;

const NOW: &str = "2026-11-20T12:00:00Z";

pub fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// The application at noon, with a site and a key to sign with.
pub async fn app() -> TestApp {
    app_at(Clock::from_fn(now)).await
}

/// The same with another clock.
pub async fn app_at(clock: Clock) -> TestApp {
    let app = TestApp::start_at(clock).await;
    let site = app.site("shop").await;
    assert!(
        db::ingest_keys::insert(&app.db.pool, "k1", site.id, "test", now())
            .await
            .unwrap()
    );
    app
}

pub fn batch(site: &str, events: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({
        "schema": 1, "batch_id": Uuid::from_u128(7), "sent_at": now().timestamp_millis(), "site": site, "events": events,
    }))
    .unwrap()
}

pub async fn post(app: &TestApp, body: Vec<u8>) -> reqwest::Response {
    let signature = signature::sign(
        "k1",
        app.state.config.secret.ingest_key("k1").as_bytes(),
        now().timestamp(),
        &body,
    );
    app.client
        .post(app.url("/ingest/v1/events"))
        .header(signature::HEADER, signature)
        .body(body)
        .send()
        .await
        .unwrap()
}

pub async fn deliver(app: &TestApp, events: &[Value]) -> BatchAnswer {
    let answer = post(app, batch("shop", events)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

pub fn id(seq: u64, ms_back: i64) -> Uuid {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&seq.to_be_bytes());
    uuid_v7(now().timestamp_millis() - ms_back, random)
}

/// A page view, `ms_back` before now, in a session that started an hour ago.
pub fn event(seq: u64, session: u128, ms_back: i64) -> Value {
    let started = now() - TimeDelta::hours(1);
    json!({
        "id": id(seq, ms_back), "at": now().timestamp_millis() - ms_back, "action": "page_view", "origin": "edge",
        "visitor": Uuid::from_u128(1_000 + session / 2), "consent": "granted", "path": "/p",
        "session": {"id": Uuid::from_u128(2_000 + session), "started": started.timestamp_millis(), "visit": 1},
    })
}

pub fn with(mut event: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

pub fn landing(seq: u64, session: u128, ms_back: i64, source: &str) -> Value {
    with(
        event(seq, session, ms_back),
        json!({
            "touch": {"utm_source": source, "utm_medium": "cpc", "utm_campaign": "Autumn", "landing_path": "/l", "click_ids": {"gclid": "G1"}},
            "context": {"country": "UA", "city": source, "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1"},
        }),
    )
}

pub async fn count(app: &TestApp, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
        .fetch_one(&app.db.pool)
        .await
        .unwrap()
}

/// Every session as JSON, but for what only says how a row came to be.
pub async fn sessions(app: &TestApp) -> Vec<Value> {
    sqlx::query_scalar("select to_jsonb(s) - 'moved_from' from sessions s order by site_id, visitor_id, session_id")
        .fetch_all(&app.db.pool)
        .await
        .unwrap()
}
