//! `POST /api/v1/orders`, `GET /api/v1/orders/{id}`, `PUT /api/v1/exchange-rates`.

mod bad_input;
mod linking;
mod meanwhile;
mod money;
mod states;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use central_api::auth::Scope;
use central_api::clock::Clock;
use central_api::orders::store::refresh_due;
use central_api::site::Site;
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
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

    async fn join_customers(&self) {
        let (pool, secret) = (&self.app.db.pool, &self.app.state.config.secret);
        central_api::business::upkeep::catch_up(pool, secret, &self.site, self.now())
            .await
            .unwrap();
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
