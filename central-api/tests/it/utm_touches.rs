//! `first-and-last-touch` over HTTP: stories with orders as a shop sends them, and generated data against a plain count.

use std::collections::BTreeMap;
use std::sync::Arc;

use central_api::auth::Scope;
use central_api::business::upkeep;
use central_api::clock::Clock;
use central_api::site::Site;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::TestApp;
use crate::utm_data::{Data, Session};

fn now() -> DateTime<Utc> {
    "2026-11-20T23:10:00Z".parse().unwrap()
}

struct Shop {
    app: TestApp,
    site: Arc<Site>,
    client: Client,
}

/// A session of a visitor, so many days ago.
struct Came {
    visitor: u128,
    session: u128,
    days_ago: i64,
    channel: Option<&'static str>,
    source: Option<&'static str>,
}

const fn came(
    visitor: u128,
    session: u128,
    days_ago: i64,
    channel: &'static str,
    source: Option<&'static str>,
) -> Came {
    Came {
        visitor,
        session,
        days_ago,
        channel: Some(channel),
        source,
    }
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start_at(Clock::from_fn(now)).await;
        let site = app.site("shop").await;
        let client = app.bearer(&site, &[Scope::Read, Scope::Orders]).await;
        Self { app, site, client }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let url = self.app.url(&format!("/api/utm/{path}"));
        let answer = self.client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn come(&self, sessions: &[Came]) {
        for came in sessions {
            sqlx::query(
                "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count,
                    page_views, points, channel, utm_source)
                values ($1, $2, $3, $4, $4, 1, '{}', 1, 1, 1, $5, $6)",
            )
            .bind(self.site.id)
            .bind(Uuid::from_u128(came.visitor))
            .bind(Uuid::from_u128(came.session))
            .bind(now() - TimeDelta::days(came.days_ago))
            .bind(came.channel)
            .bind(came.source)
            .execute(&self.app.db.pool)
            .await
            .unwrap();
        }
    }

    /// An order of a session an hour ago; of nobody's when that is 0.
    async fn order(&self, id: &str, session: u128, total: &str, more: Value) {
        let at = now() - TimeDelta::hours(1);
        let mut order = json!({
            "order_id": id, "total": total, "currency": "UAH", "payment_status": "paid", "created_at": at, "updated_at": at,
        });
        if session > 0 {
            order["session_id"] = Uuid::from_u128(session).to_string().into();
        }
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let url = self.app.url("/api/v1/orders");
        let answer = self.client.post(url).json(&order).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
}

/// What a row has.
pub const COLUMNS: [&str; 5] = [
    "value",
    "first_touch_purchases",
    "first_touch_revenue",
    "last_touch_purchases",
    "last_touch_revenue",
];

/// The [`COLUMNS`] of each row.
fn rows(body: &Value) -> Vec<Value> {
    let rows = body["first_and_last_touch"].as_array().unwrap();
    rows.iter()
        .map(|row| COLUMNS.iter().map(|key| row[*key].clone()).collect())
        .collect()
}

fn totals(body: &Value) -> [Value; 4] {
    [
        "purchases",
        "revenue",
        "purchases_begun_earlier",
        "revenue_begun_earlier",
    ]
    .map(|key| body[key].clone())
}

#[tokio::test]
async fn a_purchase_is_credited_to_what_it_is_linked_to_and_to_what_its_person_first_came_by() {
    let shop = Shop::open().await;
    shop.come(&[
        // An ad, and an e-mail that closed.
        came(1, 11, 10, "paid_search", Some("google")),
        came(1, 12, 1, "email", Some("newsletter")),
        // A visit without a touch is none; what came first after it is.
        came(2, 21, 9, "direct", None),
        came(2, 22, 3, "paid_social", Some("facebook")),
        // Nothing but visits without a touch.
        came(3, 31, 9, "direct", None),
        came(3, 32, 2, "direct", None),
        // The ad is longer ago than the look-back of 30 days.
        came(4, 41, 45, "paid_search", Some("google")),
        came(4, 42, 1, "organic_search", Some("google")),
    ])
    .await;
    shop.order("a", 12, "100.00", json!({})).await;
    shop.order("b", 22, "200.50", json!({})).await;
    shop.order("c", 32, "30.00", json!({})).await;
    shop.order("d", 42, "4.00", json!({})).await;
    shop.order("unpaid", 12, "1000.00", json!({"payment_status": "unpaid"}))
        .await;
    // Nobody knows where it came from; it has no session, so that it counts on its own date alone.
    shop.order("nobody", 0, "7.00", json!({})).await;

    let body = shop.ok("first-and-last-touch?period=month").await;
    assert_eq!(body, shop.ok("first-and-last-touch/?period=month").await);
    assert_eq!(
        (&body["dimension"], &body["look_back_days"]),
        (&json!("channel"), &json!(30))
    );
    assert_eq!(
        rows(&body),
        [
            json!(["paid_social", 1, 200.5, 1, 200.5]),
            json!(["email", 0, 0, 1, 100]),
            json!(["direct", 1, 30, 1, 30]),
            json!(["organic_search", 1, 4, 1, 4]),
            json!(["paid_search", 1, 100, 0, 0]),
        ]
    );
    assert_eq!(totals(&body), [json!(4), json!(334.5), json!(1), json!(100)]);

    let by_source = shop
        .ok("first-and-last-touch?period=month&dimension=utm_source&sort=-first_touch_revenue&limit=2")
        .await;
    assert_eq!(
        rows(&by_source),
        [json!(["facebook", 1, 200.5, 1, 200.5]), json!(["google", 2, 104, 1, 4])]
    );
    assert_eq!(
        (by_source["total_rows"].clone(), totals(&by_source)),
        (json!(4), totals(&body))
    );
    let rest = shop
        .ok("first-and-last-touch?period=month&dimension=utm_source&sort=first_touch_purchases&offset=1&limit=1")
        .await;
    assert_eq!(rows(&rest), [json!([null, 1, 30, 1, 30])]);

    let filtered = shop.ok("first-and-last-touch?period=month&channel=email").await;
    assert_eq!(
        rows(&filtered),
        [json!(["email", 0, 0, 1, 100]), json!(["paid_search", 1, 100, 0, 0])]
    );
    let by_order = shop
        .ok("first-and-last-touch?period=month&attribution_date=order&sort=last_touch_revenue")
        .await;
    assert!(rows(&by_order).contains(&json!([null, 1, 7, 1, 7])), "{by_order}");
    assert_eq!(totals(&by_order)[..2], [json!(5), json!(341.5)]);

    // A longer look-back finds the ad of six weeks ago.
    let admin = shop.app.admin().await;
    let changed = admin
        .patch(shop.app.url("/api/v1/sites/shop"))
        .json(&json!({"settings": {"look_back_days": 60}}))
        .send()
        .await
        .unwrap();
    assert_eq!(changed.status(), 200);
    let body = shop.ok("first-and-last-touch?period=month").await;
    assert!(rows(&body).contains(&json!(["paid_search", 2, 104, 0, 0])), "{body}");
}

#[tokio::test]
async fn a_persons_first_touch_is_found_on_another_device_by_a_contact() {
    let shop = Shop::open().await;
    shop.come(&[
        came(1, 11, 20, "paid_social", Some("tiktok")),
        came(2, 21, 2, "organic_search", Some("google")),
        // Somebody else.
        came(3, 31, 25, "email", Some("newsletter")),
    ])
    .await;
    // The telephone is known by an order that came to nothing, the computer by the purchase.
    shop.order(
        "before",
        11,
        "5.00",
        json!({"email": "ann@a.example", "payment_status": "cancelled"}),
    )
    .await;
    shop.order("other", 31, "9.00", json!({"email": "bob@a.example"})).await;
    shop.order("now", 21, "50.00", json!({"email": " Ann@A.example"})).await;
    let body = shop.ok("first-and-last-touch?period=month").await;
    assert_eq!(
        rows(&body),
        [
            json!(["organic_search", 0, 0, 1, 50]),
            json!(["email", 1, 9, 1, 9]),
            json!(["paid_social", 1, 50, 0, 0]),
        ]
    );
    // A bot's arrival is nobody's first touch.
    sqlx::query("update sessions set bot_reason = 1 where session_id = $1")
        .bind(Uuid::from_u128(11))
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    let body = shop.ok("first-and-last-touch?period=month").await;
    assert_eq!(rows(&body)[0], json!(["organic_search", 1, 50, 1, 50]));
    assert_eq!(totals(&body)[2], json!(0));
}

#[tokio::test]
async fn a_contact_that_is_blocked_or_that_many_people_share_leads_to_nobody() {
    let shop = Shop::open().await;
    let phone = json!({"phone": "+380441234567"});
    shop.come(&[
        came(1, 11, 20, "paid_social", Some("tiktok")),
        came(2, 21, 2, "email", None),
    ])
    .await;
    shop.order(
        "before",
        11,
        "5.00",
        json!({"phone": "+380441234567", "payment_status": "cancelled"}),
    )
    .await;
    shop.order("now", 21, "50.00", phone).await;
    let (theirs, nobodys) = (json!(["paid_social", 1, 50, 0, 0]), json!(["email", 1, 50, 1, 50]));
    assert!(rows(&shop.ok("first-and-last-touch").await).contains(&theirs));

    let pool = &shop.app.db.pool;
    let block = async |settings: &str| {
        let update = "update sites set settings = $1::jsonb";
        sqlx::query(update).bind(settings).execute(pool).await.unwrap();
        shop.app.reload_sites().await;
    };
    block(r#"{"blocked_contacts": ["+380441234567"]}"#).await;
    assert_eq!(
        rows(&shop.ok("first-and-last-touch").await),
        std::slice::from_ref(&nobodys)
    );
    block("{}").await;
    assert!(rows(&shop.ok("first-and-last-touch").await).contains(&theirs));

    // It turns out to be the call centre's.
    for guest in 0..7 {
        let more =
            json!({"phone": "+380441234567", "email": format!("guest{guest}@a.example"), "payment_status": "unpaid"});
        shop.order(&format!("guest{guest}"), 0, "1.00", more).await;
    }
    upkeep::catch_up(pool, &shop.app.state.config.secret, &shop.site, now())
        .await
        .unwrap();
    assert_eq!(rows(&shop.ok("first-and-last-touch").await), [nobodys]);
}

#[tokio::test]
async fn a_wrong_parameter_is_named_and_another_sites_purchases_are_not_seen() {
    let shop = Shop::open().await;
    shop.come(&[came(1, 11, 1, "email", None)]).await;
    shop.order("a", 11, "1.00", json!({})).await;
    for (query, field) in [
        ("dimension=country", "dimension"),
        ("sort=value", "sort"),
        ("limit=0", "limit"),
        ("period=year", "period"),
        ("by=channel", "by"),
    ] {
        let (status, body) = shop.get(&format!("first-and-last-touch?{query}")).await;
        assert_eq!(
            (status, &body["error"]["field"]),
            (400, &field.into()),
            "{query}: {body}"
        );
    }
    let other = shop.app.site("other").await;
    let stranger = shop.app.bearer(&other, &[Scope::Read]).await;
    let url = shop.app.url("/api/utm/first-and-last-touch");
    assert_eq!(shop.app.client.get(&url).send().await.unwrap().status(), 401);
    let body: Value = stranger.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&body["site"], totals(&body)[0].clone()), (&json!("other"), json!(0)));
}

/// By value: purchases and revenue by first touch, then by last touch.
type Figures = BTreeMap<Option<String>, [Decimal; 4]>;

fn figures(body: &Value, columns: [&str; 5], list: &str) -> Figures {
    let rows = body[list].as_array().unwrap_or_else(|| panic!("{body}"));
    let number = |value: &Value| value.to_string().parse().unwrap_or(Decimal::ZERO);
    rows.iter()
        .map(|row| {
            let [first, of, revenue, last, closed] = columns;
            let figures = [of, revenue, last, closed].map(|key| number(&row[key]));
            (row[first].as_str().map(str::to_owned), figures)
        })
        .collect()
}

fn text<'a>(session: &'a Session, key: &str) -> Option<&'a str> {
    session.texts.iter().find(|(name, _)| *name == key)?.1.as_deref()
}

/// What an order's person first came by, by a plain walk over all sessions.
fn first<'a>(data: &'a Data, linked: &'a Session, placed: DateTime<Utc>) -> &'a Session {
    let earlier = data.sessions.iter().filter(|s| {
        s.visitor == linked.visitor
            && text(s, "channel").is_some_and(|channel| channel != "direct")
            && s.bot_reason.is_none()
            && s.first_seen <= linked.first_seen
            && s.first_seen >= placed - TimeDelta::days(30)
    });
    earlier.min_by_key(|s| (s.first_seen, s.id)).unwrap_or(linked)
}

#[tokio::test]
async fn generated_purchases_are_credited_as_a_plain_count_says_and_add_up_to_the_other_figures() {
    for seed in [3, 11] {
        let shop = Shop::open().await;
        let data = Data::generate(seed, 300);
        data.store(&shop.app.db.pool, shop.site.id).await;
        let mut differing = 0;
        for scope in [
            "period=all_time",
            "start_date=2026-10-01&end_date=2026-11-20",
            "period=all_time&utm_source=google",
            "period=all_time&bots=include",
            "period=all_time&attribution_date=order",
            "period=month&attribution_date=order",
        ] {
            let general = shop.ok(&format!("general-stats?{scope}")).await;
            for dimension in [
                "channel",
                "utm_source",
                "utm_medium",
                "utm_campaign",
                "utm_content",
                "utm_term",
            ] {
                let body = shop
                    .ok(&format!(
                        "first-and-last-touch?{scope}&dimension={dimension}&limit=1000"
                    ))
                    .await;
                let shown = figures(&body, COLUMNS, "first_and_last_touch");
                assert_eq!(
                    totals(&body)[..2],
                    [general["purchases"].clone(), general["total_revenue"].clone()],
                    "{scope}"
                );
                for (column, total) in [0, 2, 1, 3].into_iter().zip([0, 0, 1, 1]) {
                    let sum: Decimal = shown.values().map(|figures| figures[column]).sum();
                    assert_eq!(
                        sum,
                        totals(&body)[total].to_string().parse().unwrap(),
                        "{scope} {dimension}"
                    );
                }
                // The last touch is what every list says.
                let list = shop
                    .ok(&format!(
                        "query?{scope}&metrics=purchases,revenue&dimensions={dimension}&limit=1000"
                    ))
                    .await;
                let columns = [dimension, "purchases", "revenue", "purchases", "revenue"];
                let listed = figures(&list, columns, "rows");
                for (value, [purchases, revenue, ..]) in &listed {
                    let [_, _, last, closed] = shown.get(value).copied().unwrap_or_default();
                    assert_eq!((last, closed), (*purchases, *revenue), "{scope} {dimension} {value:?}");
                }
                differing += shown.values().filter(|f| (f[0], f[1]) != (f[2], f[3])).count();
                if scope == "period=all_time" {
                    let mut plain = BTreeMap::<Option<String>, [Decimal; 2]>::new();
                    for order in &data.orders {
                        let paid = ["paid", "partially_refunded"].contains(&order.status);
                        let Some(linked) = order.session.map(|n| &data.sessions[n]) else {
                            continue;
                        };
                        if !paid || linked.bot_reason.is_some() || linked.first_seen > now() {
                            continue;
                        }
                        let from = first(&data, linked, order.created_at);
                        let sum = plain.entry(text(from, dimension).map(str::to_owned)).or_default();
                        sum[0] += Decimal::ONE;
                        sum[1] += order.revenue.unwrap_or_default();
                    }
                    let begun = shown.iter().filter(|(_, figures)| figures[0] > Decimal::ZERO);
                    let begun: BTreeMap<_, _> =
                        begun.map(|(value, [n, sum, ..])| (value.clone(), [*n, *sum])).collect();
                    assert_eq!(begun, plain, "{dimension}");
                }
            }
        }
        assert!(differing > 20, "first and last touch hardly ever differ: {differing}");
    }
}
