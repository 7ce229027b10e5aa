//! Customers and business figures: kept from orders as they come, equal to what every order says.

mod acquired;
mod average_order;
mod campaigns;
mod customer_blocks;
mod customers;
mod figures;
mod meanwhile;
mod relations;

use std::sync::Arc;

use central_api::auth::Scope;
use central_api::business::upkeep;
use central_api::clock::Clock;
use central_api::demo::{DemoOptions, generate};
use central_api::site::Site;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row as _;

use crate::support::TestApp;

pub fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// A shop, and a client that sends its orders and asks.
pub struct Shop {
    pub app: TestApp,
    pub site: Arc<Site>,
    pub client: reqwest::Client,
}

impl Shop {
    pub async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(now)).await;
        let site = app.site("shop").await;
        let client = app.bearer(&site, &[Scope::Read, Scope::Orders]).await;
        Self { app, site, client }
    }

    /// Sends orders as a list; every one must be taken.
    pub async fn send(&self, orders: &[Value]) {
        let answer = self
            .client
            .post(self.app.url("/api/v1/orders"))
            .json(&orders)
            .send()
            .await
            .unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!(
            (status.as_u16(), body["rejected"].as_array().map(Vec::len)),
            (200, Some(0)),
            "{body}"
        );
    }

    /// Works off every mark.
    pub async fn catch_up(&self) {
        let site = self.app.state.sites.by_id(self.site.id).unwrap();
        let state = &self.app.state;
        upkeep::catch_up(&state.pool, &state.config.secret, &site, now())
            .await
            .unwrap();
    }

    /// Makes everything anew.
    pub async fn rebuild(&self) {
        let site = self.app.state.sites.by_id(self.site.id).unwrap();
        let state = &self.app.state;
        upkeep::rebuild(&state.pool, &state.config.secret, &site, now(), |_| {})
            .await
            .unwrap();
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(self.app.url(path)).send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.app.db.pool).await.unwrap();
    }

    /// Everything that is kept, but for the customers' numbers, which are free: rows as text, by table.
    pub async fn kept(&self) -> Vec<String> {
        let sql = "select 'fact ' || (to_jsonb(f) - 'customer_no')::text from order_facts f
            union all select 'contact ' || (to_jsonb(c) - 'customer_no')::text || (c.customer_no is null)::text from customer_contacts c
            union all select 'customer ' || (to_jsonb(m) - 'customer_no')::text from customer_metrics m
            union all select 'day ' || to_jsonb(d)::text from daily_analytics_snapshots d
            union all select 'stream ' || to_jsonb(s)::text from revenue_streams s
            union all select 'performance ' || to_jsonb(p)::text from campaign_performance p
            union all select 'item ' || to_jsonb(i)::text from daily_item_sales i
            union all select 'campaign ' || to_jsonb(c)::text from campaigns c
            union all select 'repeat ' || to_jsonb(r)::text from repeat_purchases r where (purchases, between_us) <> (0, 0)
            union all select format('segment %s %s %s %s %s %s', day, segment, customers, trim_scale(revenue), orders, unvalued_orders)
                from customer_segment_days
                where (customers, revenue, orders) <> (0, 0, 0)
            union all select format('move %s %s %s', day, from_segment, to_segment) from customer_moves
            union all select format('group %s %s', (to_jsonb(g) - '{revenue,loyalty_earned,loyalty_redeemed}'::text[]),
                    array[trim_scale(revenue), trim_scale(loyalty_earned), trim_scale(loyalty_redeemed)])
                from customer_groups g where customers <> 0";
        let rows = sqlx::query(sql).fetch_all(&self.app.db.pool).await.unwrap();
        let mut rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        rows.sort();
        rows
    }
}

/// As a running server does it: it knows the site, empty, before somebody fills it.
#[tokio::test]
async fn demo_data_in_a_site_whose_figures_stand_already_comes_into_them() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let (pool, secret) = (&shop.app.db.pool, &shop.app.state.config.secret);
    let standing = async || {
        upkeep::standing(pool, shop.site.id, &upkeep::Rules::of(secret, &shop.site))
            .await
            .unwrap()
    };
    assert_eq!(standing().await, upkeep::Standing::Built);
    let options = DemoOptions {
        sessions: 300,
        orders: 100,
        days: 30,
        until: now(),
        seed: 1,
    };
    generate(pool, &shop.site, options, |_| {}).await.unwrap();
    shop.catch_up().await;
    assert_eq!(standing().await, upkeep::Standing::Built);
    let (orders, facts): (i64, i64) =
        sqlx::query_as("select (select count(*) from orders), (select count(*) from order_facts)")
            .fetch_one(pool)
            .await
            .unwrap();
    assert!(orders > 0 && orders == facts, "{orders} orders, {facts} facts");
}
