#![allow(dead_code, reason = "not every build of the tests uses all of it")]
//! Sessions and orders made up from a seed, in memory and in the database: both clock changes of Kyiv and New York, midnights of four
//! zones, bots, refunds, foreign currencies with and without a rate, orders without a session, values that look like syntax.

use central_api::db::ad_spend;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rust_decimal::{Decimal, RoundingStrategy};
use sqlx::PgPool;
use uuid::Uuid;

/// A session's raw row, as far as figures depend on it.
#[derive(Debug, Clone)]
pub struct Session {
    pub visitor: Uuid,
    pub id: Uuid,
    pub first_seen: DateTime<Utc>,
    /// First and last event of each visit, in milliseconds since 1970.
    pub visits: Vec<(i64, i64)>,
    pub page_views: i32,
    pub points: i32,
    pub product_view_at: Option<DateTime<Utc>>,
    pub add_to_cart_at: Option<DateTime<Utc>>,
    pub checkout_at: Option<DateTime<Utc>>,
    pub lead_at: Option<DateTime<Utc>>,
    pub purchase_at: Option<DateTime<Utc>>,
    pub registered_at: Option<DateTime<Utc>>,
    pub event_revenue: Decimal,
    pub lead_events: i32,
    pub purchase_events: i32,
    pub valued_purchase_events: i32,
    pub bot_reason: Option<i16>,
    pub human_seen: bool,
    /// Payment status of each of its orders.
    pub own_orders: Vec<&'static str>,
    /// By the dimension's key.
    pub texts: Vec<(&'static str, Option<String>)>,
}

/// An order's raw row.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    /// Position of its session.
    pub session: Option<usize>,
    pub created_at: DateTime<Utc>,
    pub status: &'static str,
    /// In the site's currency; none while the rate is unknown.
    pub revenue: Option<Decimal>,
}

/// A row of ad spend.
#[derive(Debug, Clone)]
pub struct Spend {
    pub day: NaiveDate,
    /// By the dimension's key: source, medium, campaign, content, channel.
    pub texts: Vec<(&'static str, Option<String>)>,
    pub currency: &'static str,
    pub amount: Decimal,
    /// In the site's currency; none while the rate is unknown.
    pub converted: Option<Decimal>,
    pub clicks: Option<i64>,
}

#[derive(Debug, Clone, Default)]
pub struct Data {
    pub sessions: Vec<Session>,
    pub orders: Vec<Order>,
    pub spend: Vec<Spend>,
}

/// Dimensions that are columns of a session: key, column, whether orders carry a copy.
pub const TEXTS: [(&str, &str, bool); 18] = [
    ("utm_source", "utm_source", true),
    ("utm_medium", "utm_medium", true),
    ("utm_campaign", "utm_campaign", true),
    ("utm_content", "utm_content", true),
    ("utm_term", "utm_term", true),
    ("channel", "channel", true),
    ("country", "country", true),
    ("city", "city", true),
    ("device_type", "device_type", true),
    ("browser_name", "browser_name", true),
    ("os_name", "os_name", true),
    ("landing_page", "landing_path", true),
    ("referrer", "referrer_host", false),
    ("region", "region", false),
    ("language", "language", false),
    ("device_brand", "device_brand", false),
    ("in_app", "in_app", false),
    ("click_platform", "click_platform", false),
];

/// What a dimension's key may have for values.
pub fn values(key: &str) -> &'static [&'static str] {
    match key {
        "utm_source" => &["facebook", "google", "tiktok", "instagram", "e,mail"],
        "utm_medium" => &["cpc", "paid_social", "organic"],
        "utm_campaign" => &["a|b,c&%", "!x", "(not set)", "\\y", "зима 2026", "sale"],
        "utm_content" => &["video_ad_1", "photo_ad_2", "=1+1"],
        "country" => &["UA", "PL", "US", "T1"],
        "city" => &["Kyiv", "Lviv", "Warszawa"],
        "device_type" => &["mobile", "desktop", "tablet"],
        "landing_page" => &["/", "/catalog", "/p/1"],
        _ => &["one", "two", "three"],
    }
}

/// Instants at which figures go wrong first.
fn anchors() -> Vec<DateTime<Utc>> {
    [
        // New York and Kyiv, spring and autumn
        "2026-03-08T07:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-11-01T06:00:00Z",
        // midnights of the four zones around the end of a month
        "2026-10-31T18:15:00Z",
        "2026-10-31T22:00:00Z",
        "2026-11-01T00:00:00Z",
        "2026-11-01T04:00:00Z",
        "2026-11-20T22:00:00Z",
    ]
    .map(|t| t.parse().unwrap())
    .to_vec()
}

impl Data {
    pub fn generate(seed: u64, sessions: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        // Of its own, so that what else a seed gives stays as it is.
        let mut counts = StdRng::seed_from_u64(seed);
        let visitors: Vec<Uuid> = (0..sessions * 2 / 3).map(|_| Uuid::from_u128(rng.random())).collect();
        let anchors = anchors();
        let start: DateTime<Utc> = "2026-02-25T00:00:00Z".parse().unwrap();
        let mut data = Self::default();
        for _ in 0..sessions {
            let first_seen = if rng.random_bool(0.5) {
                *anchors.choose(&mut rng).unwrap() + TimeDelta::milliseconds(rng.random_range(-7_200_000..7_200_000))
            } else {
                start + TimeDelta::milliseconds(rng.random_range(0..270 * 86_400_000))
            };
            let mut at = first_seen.timestamp_millis();
            let visits: Vec<_> = (0..[1, 1, 1, 2, 4][rng.random_range(0..5)])
                .map(|_| {
                    let visit = (
                        at,
                        at + [0, 1, 999, rng.random_range(0..1_700_000)][rng.random_range(0..4)],
                    );
                    at = visit.1 + 1_800_000 + rng.random_range(1..90_000_000);
                    visit
                })
                .collect();
            let stage = |rng: &mut StdRng, chance| {
                rng.random_bool(chance)
                    .then(|| first_seen + TimeDelta::seconds(rng.random_range(0..900)))
            };
            let purchases = counts.random_range(0..4);
            data.sessions.push(Session {
                visitor: *visitors.choose(&mut rng).unwrap(),
                id: Uuid::from_u128(rng.random()),
                first_seen,
                visits,
                page_views: rng.random_range(0..6),
                points: rng.random_range(-5..300),
                product_view_at: stage(&mut rng, 0.7),
                add_to_cart_at: stage(&mut rng, 0.5),
                checkout_at: stage(&mut rng, 0.4),
                lead_at: stage(&mut rng, 0.1),
                purchase_at: stage(&mut rng, 0.1),
                registered_at: stage(&mut rng, 0.1),
                event_revenue: Decimal::new(rng.random_range(0..10_000_000), 4),
                lead_events: counts.random_range(0..3),
                purchase_events: purchases,
                valued_purchase_events: counts.random_range(0..=purchases),
                bot_reason: rng.random_bool(0.1).then(|| rng.random_range(1..=8)),
                human_seen: rng.random_bool(0.6),
                own_orders: Vec::new(),
                texts: TEXTS
                    .map(|(key, ..)| {
                        let value = values(key).choose(&mut rng).unwrap();
                        (key, rng.random_bool(0.8).then(|| (*value).to_owned()))
                    })
                    .to_vec(),
            });
        }
        for n in 0..sessions / 2 {
            let session = rng.random_bool(0.75).then(|| rng.random_range(0..sessions));
            let created_at = match session {
                Some(i) if rng.random_bool(0.8) => {
                    data.sessions[i].first_seen + TimeDelta::milliseconds(rng.random_range(0..14 * 86_400_000))
                }
                _ => {
                    *anchors.choose(&mut rng).unwrap()
                        + TimeDelta::milliseconds(rng.random_range(-7_200_000..7_200_000))
                }
            };
            let status = *[
                "unpaid",
                "prepaid",
                "paid",
                "paid",
                "paid",
                "refunded",
                "partially_refunded",
                "cancelled",
            ]
            .choose(&mut rng)
            .unwrap();
            let purchase = matches!(status, "paid" | "partially_refunded");
            let revenue = match (purchase, rng.random_range(0..10)) {
                (false, _) => Some(Decimal::ZERO),
                // A currency without a rate.
                (true, 0) => None,
                // Another currency, four decimals; more refunded than paid.
                (true, 1) => Some(Decimal::new(rng.random_range(1..90_000_000), 4)),
                (true, 2) => Some(Decimal::new(-rng.random_range(1..9_000), 2)),
                (true, _) => Some(Decimal::new(rng.random_range(1..900_000), 2)),
            };
            if let Some(i) = session {
                data.sessions[i].own_orders.push(status);
            }
            data.orders.push(Order {
                id: format!("order {n}"),
                session,
                created_at,
                status,
                revenue,
            });
        }
        data.spend(&mut rng, sessions / 3);
        data
    }

    /// Days around the anchors; euros have a rate on 1 March and 25 October, whose reach ends seven days later.
    fn spend(&mut self, rng: &mut StdRng, rows: usize) {
        let anchors = anchors();
        for n in 0..rows {
            let day = (*anchors.choose(rng).unwrap() + TimeDelta::days(rng.random_range(-9..9))).date_naive();
            let mut text = |key: &'static str| {
                let value = values(key).choose(rng).unwrap();
                (key, rng.random_bool(0.8).then(|| (*value).to_owned()))
            };
            let mut texts: Vec<_> = ["utm_source", "utm_medium", "utm_campaign"].map(&mut text).to_vec();
            // Makes the key one of its own.
            texts.push(("utm_content", (n > 0).then(|| format!("ad {n}"))));
            texts.push(("channel", Some(text("channel").1.unwrap_or_else(|| "one".into()))));
            let currency = if rng.random_bool(0.3) { "EUR" } else { "UAH" };
            let amount = Decimal::new(rng.random_range(0..9_000_000), 4);
            let rate = [
                ("2026-03-01", Decimal::new(45_123_456, 6)),
                ("2026-10-25", Decimal::new(487, 1)),
            ]
            .into_iter()
            .find(|(from, _)| {
                let from: NaiveDate = from.parse().unwrap();
                (0..=7).contains(&(day - from).num_days())
            })
            .map(|(_, rate)| rate);
            let converted = match currency {
                "UAH" => Some(amount),
                _ => rate.map(|rate| (amount * rate).round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero)),
            };
            self.spend.push(Spend {
                day,
                texts,
                currency,
                amount,
                converted,
                clicks: rng.random_bool(0.7).then(|| rng.random_range(0..500)),
            });
        }
    }

    /// Writes the rows, with what orders bring summed onto their sessions.
    pub async fn store(&self, pool: &PgPool, site_id: i32) {
        let mut tx = pool.begin().await.unwrap();
        for (i, s) in self.sessions.iter().enumerate() {
            let orders: Vec<_> = self.orders.iter().filter(|o| o.session == Some(i)).collect();
            let with = |statuses: &[&str]| orders.iter().filter(|o| statuses.contains(&o.status)).count() as i32;
            let active: Vec<_> = s
                .visits
                .iter()
                .map(|(a, b)| format!("[{a},{})", b + 1_800_000))
                .collect();
            let columns = TEXTS.map(|(_, column, _)| column).join(", ");
            let places: Vec<_> = (0..TEXTS.len()).map(|n| format!("${}", n + 28)).collect();
            let sql = format!(
                "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count,
                    page_views, points, product_view_at, add_to_cart_at, checkout_at, lead_at, purchase_at, registered_at,
                    event_revenue, bot_reason, human_seen, orders, lead_orders, paid_orders, revenue, unvalued_orders, lead_events,
                    purchase_events, valued_purchase_events, {columns})
                values ($1, $2, $3, $4, $5, $6, $7::text::int8multirange, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                    $20, $21, $22, $23, $24, $25, $26, $27, {})",
                places.join(", ")
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(site_id)
                .bind(s.visitor)
                .bind(s.id)
                .bind(s.first_seen)
                .bind(DateTime::from_timestamp_millis(s.visits.last().unwrap().1).unwrap())
                .bind(s.visits.len() as i16)
                .bind(format!("{{{}}}", active.join(",")))
                .bind(s.page_views.max(1))
                .bind(s.page_views)
                .bind(s.points)
                .bind(s.product_view_at)
                .bind(s.add_to_cart_at)
                .bind(s.checkout_at)
                .bind(s.lead_at)
                .bind(s.purchase_at)
                .bind(s.registered_at)
                .bind(s.event_revenue)
                .bind(s.bot_reason)
                .bind(s.human_seen)
                .bind(orders.len() as i32)
                .bind(with(&["prepaid"]))
                .bind(with(&["paid", "partially_refunded"]))
                .bind(orders.iter().filter_map(|o| o.revenue).sum::<Decimal>())
                .bind(orders.iter().filter(|o| o.revenue.is_none()).count() as i32)
                .bind(s.lead_events)
                .bind(s.purchase_events)
                .bind(s.valued_purchase_events);
            for (_, value) in &s.texts {
                query = query.bind(value);
            }
            query.execute(&mut *tx).await.unwrap();
        }
        for o in &self.orders {
            let session = o.session.map(|i| &self.sessions[i]);
            let copied: Vec<_> = TEXTS.iter().filter(|t| t.2).collect();
            let columns: Vec<_> = copied.iter().map(|t| t.1).collect();
            let places: Vec<_> = (0..copied.len()).map(|n| format!("${}", n + 12)).collect();
            let sql = format!(
                "insert into orders (site_id, order_id, visitor_id, session_id, link_method, unlinked_cause, currency, total, revenue,
                    payment_status, created_at, updated_at, bot_reason, {})
                values ($1, $2, $3, $4, $5, $6, 'UAH', $7, $8, $9, $10, $10, $11, {})",
                columns.join(", "),
                places.join(", ")
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(site_id)
                .bind(&o.id)
                .bind(session.map(|s| s.visitor))
                .bind(session.map(|s| s.id))
                .bind(session.map(|_| "session"))
                .bind(session.is_none().then_some("no_match"))
                .bind(o.revenue.unwrap_or(Decimal::TEN))
                .bind(o.revenue)
                .bind(o.status)
                .bind(o.created_at)
                .bind(session.and_then(|s| s.bot_reason));
            for (key, ..) in copied {
                query = query.bind(session.and_then(|s| s.texts.iter().find(|(k, _)| k == key).unwrap().1.clone()));
            }
            query.execute(&mut *tx).await.unwrap();
        }
        for s in &self.spend {
            let text = |key: &str| {
                let (_, value) = s.texts.iter().find(|(k, _)| *k == key).unwrap();
                value.clone().unwrap_or_default()
            };
            sqlx::query(
                "insert into ad_spend (site_id, day, utm_source, utm_medium, utm_campaign, utm_content, channel, currency, amount, clicks)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(site_id)
            .bind(s.day)
            .bind(text("utm_source"))
            .bind(text("utm_medium"))
            .bind(text("utm_campaign"))
            .bind(text("utm_content"))
            .bind(text("channel"))
            .bind(s.currency)
            .bind(s.amount)
            .bind(s.clicks)
            .execute(&mut *tx)
            .await
            .unwrap();
        }
        let days = self.spend.iter().map(|s| s.day);
        if let Some(days) = days.clone().min().zip(days.max()) {
            ad_spend::sum_up(&mut tx, site_id, days).await.unwrap();
        }
        sqlx::query(
            "insert into exchange_rates (site_id, currency, day, rate)
            values ($1, 'EUR', '2026-03-01', 45.123456), ($1, 'EUR', '2026-10-25', 48.7)",
        )
        .bind(site_id)
        .execute(&mut *tx)
        .await
        .unwrap();
        // As every writer does, in the same transaction.
        let marks = "insert into rollup_marks
            select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions where site_id = $1
            union select site_id, md5(order_id)::uuid, date_trunc('hour', created_at, 'UTC') from orders where site_id = $1";
        sqlx::query(marks).bind(site_id).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        sqlx::query("analyze sessions").execute(pool).await.unwrap();
    }
}
