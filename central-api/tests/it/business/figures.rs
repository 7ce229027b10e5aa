//! Days, streams and segments against a plain count over the orders.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use central_api::auth::Role;
use central_api::business::upkeep;
use central_api::orders::identity::Identifier;
use central_api::statistics::customers::{OrderGroup, join};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{Shop, now};

/// Orders around the midnights of both clock changes, of a year's end and of last week, in two currencies, with and without a rate.
pub(super) fn any_order(rng: &mut StdRng, n: usize) -> Value {
    let midnights = [
        "2026-03-28T22:00:00Z",
        "2026-03-29T21:00:00Z",
        "2026-10-24T21:00:00Z",
        "2026-10-25T22:00:00Z",
        "2025-12-31T22:00:00Z",
        "2026-11-15T22:00:00Z",
    ];
    let midnight: DateTime<Utc> = midnights[rng.random_range(0..midnights.len())].parse().unwrap();
    let at = midnight + TimeDelta::minutes(rng.random_range(-90..90));
    let status = [
        "paid",
        "paid",
        "partially_refunded",
        "refunded",
        "cancelled",
        "unpaid",
        "prepaid",
    ][rng.random_range(0..7)];
    let total = Decimal::new(rng.random_range(1..100_000), 2);
    let mut order = json!({
        "order_id": format!("o{n}"), "total": total.to_string(), "payment_status": status, "created_at": at,
        "updated_at": at + TimeDelta::minutes(rng.random_range(0..600)), "customer_id": rng.random_range(0..40).to_string(),
        "payment_method": if rng.random_bool(0.5) { "card" } else { "cash" }, "discount": Decimal::new(rng.random_range(0..5_000), 2).to_string(),
        "items": [{"sku": format!("s{}", rng.random_range(0..5)), "quantity": rng.random_range(1..4).to_string(), "price": "12.50"}],
    });
    if status.contains("refunded") {
        order["refunded"] = (total / Decimal::TWO).round_dp(2).to_string().into();
    }
    match rng.random_range(0..4) {
        0 => {
            order["currency"] = "EUR".into();
            order["rate"] = "48.9512".into();
        }
        1 => order["currency"] = "USD".into(),
        _ => {}
    }
    if rng.random_bool(0.5) {
        order["revenue_stream"] = ["subscription", "corporate", "gift cards"][rng.random_range(0..3)].into();
    }
    order
}

#[tokio::test]
async fn one_order_of_absurd_amounts_does_not_stop_the_figures_of_the_others() {
    let shop = Shop::open().await;
    let most = "99999999999999.9999";
    let line = |sku: &str| json!({"sku": sku, "quantity": "999999.999", "price": most});
    shop.send(&[
        json!({"order_id": "absurd", "total": "1", "discount": most, "currency": "EUR", "rate": "9999999999", "payment_status": "paid",
            "customer_id": "1", "created_at": "2026-11-19T10:00:00Z", "updated_at": "2026-11-19T10:00:00Z",
            "loyalty_earned": most, "items": vec![line("a"); 100]}),
        json!({"order_id": "good", "total": "25", "payment_status": "paid", "customer_id": "2",
            "created_at": "2026-11-19T11:00:00Z", "updated_at": "2026-11-19T11:00:00Z",
            "items": [{"sku": "b", "quantity": 2, "price": "12.50"}]}),
        // What is not known is not taken for absurd.
        json!({"order_id": "unvalued", "total": "25", "discount": "1", "currency": "USD", "payment_status": "paid", "customer_id": "3",
            "created_at": "2026-11-19T11:00:00Z", "updated_at": "2026-11-19T11:00:00Z",
            "items": [{"sku": "c", "quantity": 2, "price": "12.50"}, {"sku": "d"}]}),
    ])
    .await;
    shop.catch_up().await;
    for filter in ["", "&utm_source=!ig"] {
        let days = shop
            .get(&format!("/api/v1/analytics/dashboard?period=month{filter}"))
            .await;
        let text = days.to_string();
        assert!(text.contains("\"b\"") && text.contains("\"a\""), "{filter}: {text}");
    }
    let unknown: i64 =
        sqlx::query_scalar("select count(*) from sold_items where order_id = 'unvalued' and amount is null")
            .fetch_one(&shop.app.db.pool)
            .await
            .unwrap();
    assert_eq!(unknown, 2);
    let kept = shop.kept().await;
    shop.rebuild().await;
    assert_eq!(shop.kept().await, kept);
}

#[derive(Default, PartialEq, Debug)]
struct Plain {
    revenue: Decimal,
    orders: i64,
    purchases: i64,
    discounts: Decimal,
    customers: BTreeSet<usize>,
    new: i64,
}

/// Every day by every order.
async fn plain(
    shop: &Shop,
) -> (
    BTreeMap<NaiveDate, Plain>,
    BTreeMap<(NaiveDate, String), (Decimal, i64)>,
) {
    let rows = sqlx::query("select order_id, created_at, payment_status, revenue, discount, rate, extra, customer_hash from orders order by created_at, order_id")
        .fetch_all(&shop.app.db.pool)
        .await
        .unwrap();
    let groups: Vec<OrderGroup> = rows
        .iter()
        .map(|row| OrderGroup {
            contacts: [
                row.get::<Option<Vec<u8>>, _>("customer_hash")
                    .map(|hash| hash.try_into().unwrap()),
                None,
                None,
            ],
            orders: 1,
            counted: Vec::new(),
        })
        .collect();
    let customers = join(&groups, &HashSet::new()).customer_of;
    let (mut days, mut streams, mut seen) = (BTreeMap::<NaiveDate, Plain>::new(), BTreeMap::new(), BTreeSet::new());
    for (row, customer) in rows.iter().zip(customers) {
        let at: DateTime<Utc> = row.get("created_at");
        let date = at.with_timezone(&chrono_tz::Europe::Kyiv).date_naive();
        let day = days.entry(date).or_default();
        day.orders += 1;
        let revenue = row.get::<Option<Decimal>, _>("revenue").unwrap_or_default();
        let status: String = row.get("payment_status");
        if status != "paid" && status != "partially_refunded" {
            assert_eq!(revenue, Decimal::ZERO);
            continue;
        }
        day.revenue += revenue;
        day.purchases += 1;
        let rate: Option<Decimal> = row.get("rate");
        // To four places, halves away from zero, as the database rounds.
        let discount = rate.map_or(Decimal::ZERO, |rate| row.get::<Decimal, _>("discount") * rate);
        day.discounts += discount.round_dp_with_strategy(4, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
        if let Some(customer) = customer {
            day.customers.insert(customer);
            day.new += i64::from(seen.insert(customer));
        }
        let extra: Option<Value> = row.get("extra");
        let stream = extra.and_then(|extra| Some(extra.get("revenue_stream")?.as_str()?.to_owned()));
        let stream = streams
            .entry((date, stream.unwrap_or("direct_order".into())))
            .or_insert((Decimal::ZERO, 0));
        stream.0 += revenue;
        stream.1 += 1;
    }
    (days, streams)
}

fn decimal(value: &Value) -> Decimal {
    value.to_string().parse().unwrap()
}

async fn compare(shop: &Shop) {
    let (days, streams) = plain(shop).await;
    let range = "start_date=2025-12-01&end_date=2026-11-20";
    let told = shop.get(&format!("/api/v1/analytics/daily-revenue?{range}")).await;
    assert_eq!(told, shop.get(&format!("/analytics/api/daily-revenue/?{range}")).await);
    let listed = told["days"].as_array().unwrap();
    assert_eq!(listed.len(), 355, "every day is there");
    let empty = Plain::default();
    for day in listed {
        let known = days
            .get(&day["day"].as_str().unwrap().parse().unwrap())
            .unwrap_or(&empty);
        let counts = ["orders", "purchases", "unique_customers", "new_customers"].map(|key| day[key].as_i64().unwrap());
        assert_eq!(
            counts,
            [known.orders, known.purchases, known.customers.len() as i64, known.new],
            "{day}"
        );
        assert_eq!(
            (decimal(&day["revenue"]), decimal(&day["discounts"])),
            (known.revenue, known.discounts),
            "{day}"
        );
    }
    let told = shop.get(&format!("/api/v1/analytics/revenue-streams?{range}")).await;
    let mut found = BTreeMap::new();
    for day in told["days"].as_array().unwrap() {
        let date: NaiveDate = day["day"].as_str().unwrap().parse().unwrap();
        for stream in day["streams"].as_array().unwrap() {
            let key = (date, stream["stream"].as_str().unwrap().to_owned());
            found.insert(
                key,
                (decimal(&stream["amount"]), stream["transactions"].as_i64().unwrap()),
            );
        }
        // The streams of a day are its revenue.
        assert_eq!(decimal(&day["amount"]), days[&date].revenue);
    }
    assert_eq!(found, streams);
    let own: Vec<&Value> = told["streams"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stream| stream["known"] == false)
        .collect();
    assert!(own.iter().all(|stream| stream["stream"] == "gift cards"));

    // Any window's customers, that which ends today and one that does not.
    for (first, last) in [
        ("2025-12-01", "2026-11-20"),
        ("2026-03-29", "2026-10-25"),
        ("2026-10-25", "2026-10-25"),
    ] {
        let board = shop
            .get(&format!(
                "/api/v1/analytics/dashboard?start_date={first}&end_date={last}"
            ))
            .await;
        let (first, last): (NaiveDate, NaiveDate) = (first.parse().unwrap(), last.parse().unwrap());
        let customers: BTreeSet<usize> = days
            .range(first..=last)
            .flat_map(|(_, day)| day.customers.iter().copied())
            .collect();
        assert_eq!(
            board["kpis"]["unique_customers"],
            customers.len() as i64,
            "{first} {last}"
        );
        let trend: Decimal = board["revenue_trend"]
            .as_array()
            .unwrap()
            .iter()
            .map(|day| decimal(&day["revenue"]))
            .sum();
        assert_eq!(decimal(&board["kpis"]["revenue"]), trend);
        let statuses: i64 = board["statuses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|status| status["orders"].as_i64().unwrap())
            .sum();
        assert_eq!(board["kpis"]["orders"], statuses);
    }
    // Each customer is in exactly one segment.
    let page = shop.get("/api/v1/analytics/customers?period=month").await;
    let sum = |list: &Value| -> i64 {
        list.as_array()
            .unwrap()
            .iter()
            .map(|row| row["customers"].as_i64().unwrap())
            .sum()
    };
    let everybody: BTreeSet<usize> = days.values().flat_map(|day| day.customers.iter().copied()).collect();
    assert_eq!(page["total_customers"], everybody.len() as i64);
    for list in ["segments", "vip_distribution", "ltv_bands"] {
        assert_eq!(sum(&page[list]), everybody.len() as i64, "{list}");
    }
    for segment in page["segments"].as_array().unwrap() {
        let number = |key: &str| segment[key].as_i64().unwrap();
        assert_eq!(
            number("customers"),
            number("previous_customers") + number("entered") - number("left"),
            "{segment}"
        );
        assert_eq!(number("change"), number("entered") - number("left"));
    }
    let october: BTreeSet<usize> = days
        .range(date("2026-10-01")..date("2026-11-01"))
        .flat_map(|(_, day)| day.customers.iter().copied())
        .collect();
    let november: BTreeSet<usize> = days
        .range(date("2026-11-01")..)
        .flat_map(|(_, day)| day.customers.iter().copied())
        .collect();
    let months = page["months"].as_array().unwrap();
    let counts = |month: &Value| ["customers", "retained"].map(|key| month[key].as_u64().unwrap() as usize);
    assert_eq!(months.len(), 12);
    assert_eq!(counts(&months[10])[0], october.len());
    assert_eq!(
        counts(&months[11]),
        [november.len(), november.intersection(&october).count()]
    );
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[tokio::test]
async fn days_streams_and_segments_are_those_of_a_plain_count_while_orders_come_and_change() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let mut rng = StdRng::seed_from_u64(11);
    for round in 0..6 {
        let orders: Vec<Value> = (0..80)
            .map(|_| {
                let n = rng.random_range(0..250);
                any_order(&mut rng, n)
            })
            .collect();
        shop.send(&orders).await;
        if round == 3 {
            // A rate comes later: the orders in dollars are valued anew.
            let rate = json!([{"currency": "USD", "day": "2026-10-24", "rate": "41.5"}]);
            let answer = shop
                .client
                .put(shop.app.url("/api/v1/exchange-rates"))
                .json(&rate)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
            central_api::orders::store::refresh_due(&shop.app.db.pool, &shop.site, now())
                .await
                .unwrap();
        }
        shop.catch_up().await;
        compare(&shop).await;
    }
    let before = shop.kept().await;
    shop.rebuild().await;
    assert_eq!(before, shop.kept().await);
}

#[tokio::test]
async fn a_range_that_went_wrong_is_put_right_and_nothing_else_is_touched() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let mut rng = StdRng::seed_from_u64(12);
    let orders: Vec<Value> = (0..200).map(|n| any_order(&mut rng, n)).collect();
    shop.send(&orders).await;
    shop.catch_up().await;
    let right = shop.kept().await;
    shop.execute("delete from order_facts where day between '2026-10-01' and '2026-10-31' and order_id like '%3'")
        .await;
    shop.execute("update order_facts set revenue = revenue + 1 where day = '2026-10-25'")
        .await;
    shop.execute("update daily_analytics_snapshots set revenue = 0, orders = 7 where day = '2026-10-24'")
        .await;
    shop.execute("delete from revenue_streams where day = '2026-10-25'")
        .await;
    assert_ne!(right, shop.kept().await);
    let state = &shop.app.state;
    let range = (date("2026-10-20"), date("2026-10-31"));
    let corrected = upkeep::rebuild_days(&state.pool, &state.config.secret, &shop.site, range, |_| {})
        .await
        .unwrap();
    assert!(corrected > 5, "{corrected}");
    assert_eq!(right, shop.kept().await);
}

#[tokio::test]
async fn other_thresholds_make_other_segments_and_bad_ones_are_named() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let order = |id: &str, days: i64| {
        json!({"order_id": id, "customer_id": id, "total": "100", "payment_status": "paid",
        "created_at": now() - TimeDelta::days(days), "updated_at": now() - TimeDelta::days(days)})
    };
    shop.send(&[order("a", 1), order("b", 45), order("c", 70), order("d", 400)])
        .await;
    shop.catch_up().await;
    let sizes = async || -> Vec<(String, i64)> {
        let body = shop.get("/analytics/api/customer-segments/").await;
        let list = body["segments"].as_array().unwrap();
        let row = |row: &Value| {
            (
                row["segment"].as_str().unwrap().to_owned(),
                row["customers"].as_i64().unwrap(),
            )
        };
        list.iter().map(row).filter(|row| row.1 > 0).collect()
    };
    let of =
        |rows: &[(&str, i64)]| -> Vec<(String, i64)> { rows.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect() };
    assert_eq!(
        sizes().await,
        of(&[("active", 1), ("new", 1), ("at_risk", 1), ("lost", 1)])
    );
    let admin = shop.app.admin().await;
    let change = async |rules: Value| {
        let body = json!({"settings": {"customer_segments": rules}});
        let answer = admin
            .patch(shop.app.url("/api/v1/sites/shop"))
            .json(&body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(change(json!({"at_risk_after_days": 40})).await.0, 200);
    shop.catch_up().await;
    assert_eq!(sizes().await, of(&[("new", 1), ("at_risk", 2), ("lost", 1)]));
    for bad in [
        json!({"lost_after_days": 10}),
        json!({"loyal_orders": 1}),
        json!({"vip_revenue": "0"}),
        json!({"new_days": 0}),
        json!({"x": 1}),
    ] {
        let (status, body) = change(bad).await;
        assert_eq!(
            (status, &body["error"]["field"]),
            (400, &json!("settings.customer_segments")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn viewers_see_figures_and_only_admins_see_who() {
    let shop = Shop::open().await;
    shop.send(&[json!({"order_id": "a", "customer_id": "7", "total": "100", "payment_status": "paid", "created_at": now(), "updated_at": now()})]).await;
    shop.catch_up().await;
    let viewer = shop.app.logged_in(Role::Viewer, Some(&shop.site)).await;
    let admin = shop.app.logged_in(Role::Admin, Some(&shop.site)).await;
    let other = shop.app.site("other").await;
    let stranger = shop.app.logged_in(Role::Admin, Some(&other)).await;
    let ask = async |client: &reqwest::Client, path: &str| {
        let answer = client.get(shop.app.url(path)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap_or_default())
    };
    for path in [
        "dashboard",
        "daily-revenue",
        "revenue-streams",
        "customers",
        "customer-segments",
        "campaigns",
        "customer-metrics",
        "page-views",
        "conversion-events",
        "export?type=daily",
        "export?type=customers&format=xlsx",
    ] {
        let path = format!("/api/v1/analytics/{path}");
        let joiner = if path.contains('?') { '&' } else { '?' };
        assert_eq!(ask(&shop.app.client, &path).await.0, 401, "{path}");
        for client in [&viewer, &admin, &shop.client] {
            assert_eq!(ask(client, &format!("{path}{joiner}site=shop")).await.0, 200, "{path}");
        }
        assert_eq!(
            ask(&stranger, &format!("{path}{joiner}site=shop")).await.0,
            400,
            "{path}"
        );
        assert_eq!(
            ask(&viewer, &format!("{path}{joiner}nonsense=1")).await.1["error"]["field"],
            "nonsense",
            "{path}"
        );
    }
    let number = |body: &Value| body["top_customers"][0]["customer"].clone();
    let page = "/api/v1/analytics/customers?site=shop";
    assert_eq!(number(&ask(&viewer, page).await.1), Value::Null);
    assert_eq!(number(&ask(&shop.client, page).await.1), Value::Null);
    let customer = number(&ask(&admin, page).await.1).as_i64().unwrap();
    let path = format!("/api/v1/analytics/customers/{customer}?site=shop");
    assert_eq!(
        (
            ask(&viewer, &path).await.0,
            ask(&shop.client, &path).await.0,
            ask(&stranger, &path).await.0
        ),
        (403, 401, 400)
    );
    let (status, body) = ask(&admin, &path).await;
    assert_eq!(
        (status, &body["orders_list"][0]["order_id"], &body["segment"]["segment"]),
        (200, &json!("a"), &json!("new"))
    );
    let gone = format!("/api/v1/analytics/customers/{}?site=shop", customer + 1);
    assert_eq!(ask(&admin, &gone).await.0, 404);
    // The identifier is what the site's contacts are hashed with; nobody is told them.
    let hash = Identifier::new(&shop.app.state.config.secret, &shop.site)
        .identify(Some("7"), None, None)
        .customer
        .unwrap();
    assert!(!body.to_string().contains(&central_api::secret::hex(&hash)));
}
