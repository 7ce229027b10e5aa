//! A session as lists and exports show it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// One row of [`super::sql::sessions`].
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "columns of the table sessions, where they are described")]
pub struct SessionRow {
    pub session_id: Uuid,
    pub visitor_id: Uuid,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    pub visit_count: i32,
    pub event_count: i32,
    pub page_views: i32,
    pub points: i32,
    pub is_converted: bool,
    pub orders: i32,
    pub revenue: Decimal,
    pub event_revenue: Decimal,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_content: Option<String>,
    pub utm_term: Option<String>,
    pub channel: Option<String>,
    pub click_platform: Option<String>,
    pub referrer_host: Option<String>,
    pub landing_path: Option<String>,
    pub device_type: Option<String>,
    pub device_brand: Option<String>,
    pub device_model: Option<String>,
    pub os_name: Option<String>,
    pub browser_name: Option<String>,
    pub in_app: Option<String>,
    pub language: Option<String>,
    pub country: Option<String>,
    pub region: Option<String>,
    pub city: Option<String>,
    pub bot_reason: Option<i16>,
    pub human_seen: bool,
}
