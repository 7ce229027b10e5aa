//! Filters of customers and campaigns against a plain count over the orders.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use central_api::auth::Role;
use central_api::business::segments::{History, Segment, SegmentRules};
use central_api::orders::identity::ContactHash;
use central_api::statistics::customers::{OrderGroup, join};
use chrono::{DateTime, Datelike as _, Months, NaiveDate, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::customers::{any_order, open_sessions};
use super::{Shop, now};

/// An order as the shop sent it.
#[derive(Debug, Clone)]
struct Order {
    id: String,
    day: NaiveDate,
    at: DateTime<Utc>,
    purchase: bool,
    cancelled: bool,
    revenue: Decimal,
    discount: Decimal,
    source: Option<String>,
    device: Option<String>,
    extra: Value,
    customer: Option<usize>,
}

/// Every order, in the order of time.
async fn orders(shop: &Shop) -> Vec<Order> {
    let rows = sqlx::query("select * from orders order by created_at, order_id collate \"C\"")
        .fetch_all(&shop.app.db.pool)
        .await
        .unwrap();
    let groups: Vec<OrderGroup> = rows
        .iter()
        .map(|row| OrderGroup {
            contacts: ["customer_hash", "email_hash", "phone_hash"].map(|column| {
                let hash: Option<Vec<u8>> = row.get(column);
                hash.map(|hash| -> ContactHash { hash.try_into().unwrap() })
            }),
            orders: 1,
            counted: Vec::new(),
        })
        .collect();
    let customers = join(&groups, &HashSet::new()).customer_of;
    rows.iter()
        .zip(customers)
        .map(|(row, customer)| {
            let at: DateTime<Utc> = row.get("created_at");
            let status: &str = row.get("payment_status");
            Order {
                id: row.get("order_id"),
                day: at.with_timezone(&chrono_tz::Europe::Kyiv).date_naive(),
                at,
                purchase: ["paid", "partially_refunded"].contains(&status),
                cancelled: status == "cancelled",
                revenue: row.get::<Option<Decimal>, _>("revenue").unwrap_or_default(),
                discount: row.get("discount"),
                source: row.get("utm_source"),
                device: row.get("device_type"),
                extra: row.get::<Option<Value>, _>("extra").unwrap_or_default(),
                customer,
            }
        })
        .collect()
}

/// Filters, and whether an order has what they ask for.
type Filter = (&'static str, fn(&Order) -> bool);

const FILTERS: [Filter; 4] = [
    ("utm_source=ig", |order| order.source.as_deref() == Some("ig")),
    ("utm_source=!ig&device_type=mobile", |order| {
        order.source.as_deref() != Some("ig") && order.device.as_deref() == Some("mobile")
    }),
    ("utm_source=(not set)", |order| order.source.is_none()),
    // Nobody, though each of the two is somebody's.
    ("utm_source=ig&utm_source=!ig", |_| false),
];

/// The orders of each customer whose first purchase has what a filter asks for.
fn acquired(orders: &[Order], fits: fn(&Order) -> bool) -> Vec<Vec<Order>> {
    let mut all: BTreeMap<usize, Vec<Order>> = BTreeMap::new();
    for order in orders {
        if let Some(customer) = order.customer {
            all.entry(customer).or_default().push(order.clone());
        }
    }
    all.into_values()
        .filter(|own| own.iter().find(|order| order.purchase).is_some_and(fits))
        .collect()
}

fn history(own: &[Order]) -> History {
    let mut history = History::default();
    let mut spent = Decimal::ZERO;
    for order in own {
        if order.purchase {
            spent += order.revenue;
            history.purchases.push((order.day, spent));
        }
        let stated = order.extra.get("subscription_active").and_then(Value::as_bool);
        let stated = stated.filter(|active| !(*active && order.cancelled));
        history.subscription.extend(stated.map(|active| (order.day, active)));
        if order.extra.get("vip_tier").is_some() {
            history.vip_since.get_or_insert(order.day);
        }
    }
    history
}

fn spent(own: &[Order]) -> Decimal {
    own.iter().map(|order| order.revenue).sum()
}

fn decimal(value: &Value) -> Decimal {
    value.to_string().parse().unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

async fn customers_are_those_of_the_plain_count(shop: &Shop, orders: &[Order], step: usize) {
    let windows = [
        ("2026-10-22", "2026-11-20"),
        ("2026-07-20", "2026-11-20"),
        ("2026-09-10", "2026-10-10"),
    ];
    let (first, last) = windows[step % windows.len()];
    let (before, day): (NaiveDate, NaiveDate) = (first.parse().unwrap(), last.parse().unwrap());
    let (before, today) = (before.pred_opt().unwrap(), now().date_naive());
    let rules = SegmentRules::default();
    for (filter, fits) in FILTERS {
        let people = acquired(orders, fits);
        let query = format!("{filter}&start_date={first}&end_date={last}");
        let page = shop.get(&format!("/api/v1/analytics/customers?{query}")).await;
        let told = format!("{filter} after step {step}: {page}");

        let (mut sizes, mut moves) = (
            BTreeMap::<Segment, (usize, Decimal, usize, usize)>::new(),
            BTreeMap::new(),
        );
        let mut at_risk = 0;
        for own in &people {
            let history = history(own);
            let (was, is) = (history.segment_on(before, &rules), history.segment_on(day, &rules));
            if let Some(is) = is {
                let size = sizes.entry(is).or_default();
                size.0 += 1;
                size.1 += spent(own);
                size.2 += own.iter().filter(|order| order.purchase).count();
                if was != Some(is) {
                    *moves.entry((was, is)).or_insert(0) += 1;
                }
            }
            if let Some(was) = was {
                sizes.entry(was).or_default().3 += 1;
            }
            at_risk += usize::from(history.segment_on(today, &rules) == Some(Segment::AtRisk));
        }
        for row in page["segments"].as_array().unwrap() {
            let segment = Segment::from_key(row["segment"].as_str().unwrap()).unwrap();
            let known = sizes.get(&segment).copied().unwrap_or_default();
            let found = (
                number(&row["customers"]),
                decimal(&row["revenue"]),
                number(&row["orders"]),
                number(&row["previous_customers"]),
            );
            assert_eq!(found, known, "{segment:?} {told}");
        }
        let found: BTreeMap<(Option<Segment>, Segment), usize> = page["movements"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let from = row["from"].as_str().and_then(Segment::from_key);
                let to = Segment::from_key(row["to"].as_str().unwrap()).unwrap();
                ((from, to), number(&row["customers"]))
            })
            .collect();
        assert_eq!(found, moves, "{told}");
        let alone = shop.get(&format!("/analytics/api/customer-segments/?{query}")).await;
        assert_eq!(
            (&alone["segments"], &alone["movements"]),
            (&page["segments"], &page["movements"])
        );

        for list in ["ltv_bands", "vip_distribution", "sources"] {
            let rows = page[list].as_array().unwrap();
            let sums = rows.iter().fold((0, Decimal::ZERO), |sums, row| {
                (sums.0 + number(&row["customers"]), sums.1 + decimal(&row["revenue"]))
            });
            let known = (people.len(), people.iter().map(|own| spent(own)).sum::<Decimal>());
            assert_eq!(sums, known, "{list} {told}");
        }
        let mut by_month: BTreeMap<NaiveDate, BTreeMap<usize, usize>> = BTreeMap::new();
        for (customer, own) in people.iter().enumerate() {
            for order in own.iter().filter(|order| order.purchase) {
                let month = by_month.entry(order.day.with_day(1).unwrap()).or_default();
                *month.entry(customer).or_default() += 1;
            }
        }
        for row in page["months"].as_array().unwrap() {
            let month: NaiveDate = row["month"].as_str().unwrap().parse().unwrap();
            let none = BTreeMap::new();
            let own = by_month.get(&month).unwrap_or(&none);
            let earlier = by_month.get(&(month - Months::new(1))).unwrap_or(&none);
            let retained = own.keys().filter(|customer| earlier.contains_key(customer)).count();
            assert_eq!(
                (number(&row["customers"]), number(&row["retained"])),
                (own.len(), retained),
                "{row} {told}"
            );
            let purchases: usize = own.values().sum();
            let began = own
                .keys()
                .filter(|customer| by_month.range(..month).all(|(_, known)| !known.contains_key(customer)));
            let rate = (purchases > 0).then(|| {
                let again = Decimal::from(100 * (purchases - began.count()));
                (again / Decimal::from(purchases))
                    .round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
            });
            assert_eq!(
                row["repeat_purchase_rate"]
                    .as_number()
                    .map(|n| n.to_string().parse().unwrap()),
                rate,
                "{row} {told}"
            );
        }
        let mut worth: Vec<Decimal> = people.iter().map(|own| spent(own)).collect();
        worth.sort_unstable_by(|a, b| b.cmp(a));
        let of_list = |list: &Value| -> Vec<Decimal> {
            let rows = list.as_array().unwrap();
            rows.iter().map(|row| decimal(&row["revenue"])).collect()
        };
        assert_eq!(of_list(&page["top_customers"]), worth[..worth.len().min(20)], "{told}");
        assert_eq!(page["at_risk"].as_array().unwrap().len(), at_risk.min(20), "{told}");
        assert!(
            page["at_risk"]
                .as_array()
                .unwrap()
                .iter()
                .all(|row| row["churn_risk"] == true),
            "{told}"
        );
        let metrics = format!("/api/v1/analytics/customer-metrics?{filter}");
        let whole = shop.get(&format!("{metrics}&limit=1000")).await;
        assert_eq!(
            (number(&whole["total_rows"]), of_list(&whole["customers"])),
            (worth.len(), worth.clone()),
            "{told}"
        );
        let risky = shop.get(&format!("{metrics}&segment=at_risk&sort=last_order")).await;
        assert_eq!(number(&risky["total_rows"]), at_risk, "{told}");
        let answer = shop.client.get(
            shop.app
                .url(&format!("/api/v1/analytics/export?type=customers&{filter}")),
        );
        let file = answer.send().await.unwrap().text().await.unwrap();
        assert_eq!(file.lines().count(), worth.len() + 1, "{told}");
    }
}

/// What a campaign must have brought: counts, money, customers.
type Brought = (usize, usize, Decimal, Decimal, usize);

fn brought<'a>(own: impl Iterator<Item = &'a Order> + Clone) -> Brought {
    let purchases = || own.clone().filter(|order| order.purchase);
    let customers: BTreeSet<usize> = purchases().filter_map(|order| order.customer).collect();
    (
        own.clone().count(),
        purchases().count(),
        own.clone().map(|order| order.revenue).sum(),
        purchases().map(|order| order.discount).sum(),
        customers.len(),
    )
}

fn told(row: &Value, customers: &str) -> Brought {
    (
        number(&row["orders"]),
        number(&row["purchases"]),
        decimal(&row["revenue"]),
        decimal(&row["discount_cost"]),
        number(&row[customers]),
    )
}

async fn campaigns_are_those_of_the_plain_count(shop: &Shop, orders: &[Order], campaigns: [i64; 2]) {
    let of_campaign: Vec<&Order> = orders
        .iter()
        .filter(|order| {
            let code = order.extra.get("promo_code").and_then(Value::as_str);
            code.is_some_and(|code| code.eq_ignore_ascii_case("winter")) && order.day >= "2026-08-01".parse().unwrap()
        })
        .collect();
    for (filter, fits) in FILTERS {
        let own = || of_campaign.iter().copied().filter(|order| fits(order));
        let known = brought(own());
        let listed = shop.get(&format!("/api/v1/analytics/campaigns?{filter}")).await;
        for (row, cost) in [(1, 0), (0, 500)] {
            let id = campaigns[1 - row];
            let row = &listed["campaigns"][row];
            assert_eq!(row["id"], id);
            assert_eq!(told(row, "customers_reached"), known, "{filter}: {row}");
            // Discounts belong to orders, a budget does not.
            if cost > 0 {
                assert_eq!(
                    (&row["roi"], &row["undefined"]["roi"]),
                    (&Value::Null, &json!("budget_is_of_all_orders"))
                );
            } else if known.3.is_zero() {
                assert_eq!(
                    (&row["roi"], &row["undefined"]["roi"]),
                    (&Value::Null, &json!("no_cost"))
                );
            } else {
                let roi = Decimal::ONE_HUNDRED * (known.2 - known.3) / known.3;
                let roi = roi.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
                assert_eq!(
                    (decimal(&row["roi"]), &row["undefined"]),
                    (roi, &json!({})),
                    "{filter}: {row}"
                );
            }
            let one = shop.get(&format!("/api/v1/analytics/campaigns/{id}?{filter}")).await;
            assert_eq!(told(&one["campaign"], "customers_reached"), known, "{filter}: {one}");
            let reached = one["segments_reached"].as_array().unwrap().iter();
            assert_eq!(
                reached.map(|row| number(&row["customers"])).sum::<usize>(),
                known.4,
                "{filter}: {one}"
            );
            let days: BTreeSet<NaiveDate> = own().map(|order| order.day).collect();
            let answered: Vec<&Value> = one["days"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|day| day["orders"] != 0)
                .collect();
            assert_eq!(answered.len(), days.len(), "{filter}: {one}");
            for day in answered {
                let date: NaiveDate = day["day"].as_str().unwrap().parse().unwrap();
                assert_eq!(
                    told(day, "customers"),
                    brought(own().filter(|order| order.day == date)),
                    "{filter}: {day}"
                );
            }
            let mut latest: Vec<&Order> = own().collect();
            latest.sort_by(|a, b| b.at.cmp(&a.at).then(a.id.cmp(&b.id)));
            let latest: Vec<&str> = latest.iter().take(20).map(|order| order.id.as_str()).collect();
            let answered: Vec<&str> = one["recent_orders"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["order_id"].as_str().unwrap())
                .collect();
            assert_eq!(answered, latest, "{filter}: {one}");
        }
        let export = async |relation: &str| {
            let path = format!("/api/v1/analytics/export?type={relation}&period=all_time&locale=en&{filter}");
            shop.client
                .get(shop.app.url(&path))
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        };
        let file = export("campaigns").await;
        assert!(
            file.contains(&format!("\nplain,active,2026-08-01,,{},{},", known.0, known.1)),
            "{filter}: {file}"
        );
        let days: BTreeSet<NaiveDate> = own().map(|order| order.day).collect();
        assert_eq!(
            export("campaign-performance").await.lines().count(),
            1 + 2 * days.len(),
            "{filter}"
        );
        for (id, name) in campaigns.iter().zip(["plain", "paid for"]) {
            let file = export(&format!("campaign-performance&campaign_id={id}")).await;
            let own = file
                .lines()
                .skip(1)
                .filter(|line| line.starts_with(&format!("{name},")));
            assert_eq!(
                (own.count(), file.lines().count()),
                (days.len(), 1 + days.len()),
                "{filter}: {file}"
            );
        }
    }
}

#[tokio::test]
async fn filtered_customers_and_campaigns_are_those_of_a_plain_count_while_orders_come_and_change() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let admin = shop.app.logged_in(Role::Admin, Some(&shop.site)).await;
    let mut campaigns = [0; 2];
    for (campaign, (name, budget)) in campaigns.iter_mut().zip([("plain", 0), ("paid for", 500)]) {
        let url = shop.app.url("/api/v1/analytics/campaigns");
        let plan = json!({"name": name, "discount_type": "none", "budget": budget, "start_day": "2026-08-01", "promo_codes": ["winter"]});
        let made: Value = admin.post(&url).json(&plan).send().await.unwrap().json().await.unwrap();
        *campaign = made["id"].as_i64().unwrap();
        let begin = admin
            .patch(format!("{url}/{campaign}"))
            .json(&json!({"status": "active"}));
        assert_eq!(begin.send().await.unwrap().status(), 200);
    }
    let mut rng = StdRng::seed_from_u64(31);
    open_sessions(&shop, &mut rng).await;
    shop.execute("insert into rollup_marks select distinct site_id, visitor_id, date_trunc('hour', first_seen, 'UTC') from sessions").await;
    for step in 0..9 {
        let mut batch: Vec<Value> = (0..rng.random_range(20..60)).map(|_| any_order(&mut rng)).collect();
        // Most are tied to others by the customer's id alone, so that many customers stay apart.
        for order in batch.iter_mut().filter(|_| rng.random_bool(0.9)) {
            let order = order.as_object_mut().unwrap();
            order.remove("email");
            order.remove("phone");
        }
        shop.send(&batch).await;
        shop.catch_up().await;
        let orders = orders(&shop).await;
        customers_are_those_of_the_plain_count(&shop, &orders, step).await;
        campaigns_are_those_of_the_plain_count(&shop, &orders, campaigns).await;
        if step % 4 == 3 {
            let before = shop.kept().await;
            shop.rebuild().await;
            assert_eq!(before, shop.kept().await, "rebuilt after step {step}");
        }
    }
    let people = acquired(&orders(&shop).await, FILTERS[0].1);
    let elsewhere = people
        .iter()
        .flatten()
        .filter(|order| order.source.as_deref() != Some("ig"))
        .count();
    assert!(
        people.len() > 5 && elsewhere > 5,
        "later orders came by other sources too: {elsewhere}"
    );
}
