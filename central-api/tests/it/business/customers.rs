//! Customers as they are kept against the plain union over all orders.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use central_api::auth::Scope;
use central_api::business::segments::Segment;
use central_api::orders::identity::{ContactHash, Identifier};
use central_api::statistics::customers::{OrderGroup, join};
use chrono::{NaiveDate, TimeDelta};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::Row as _;
use uuid::Uuid;

use super::{Shop, now};

/// Any order in any state: few ids, few people, many meetings, some contacts that a whole crowd shares.
pub(super) fn any_order(rng: &mut StdRng) -> Value {
    let minutes = rng.random_range(0..200_000) / 30 * 30;
    let at = now() - TimeDelta::minutes(minutes) - TimeDelta::days(1);
    let status = [
        "paid",
        "paid",
        "paid",
        "partially_refunded",
        "refunded",
        "cancelled",
        "unpaid",
        "prepaid",
    ][rng.random_range(0..8)];
    let mut order = json!({
        "order_id": format!("o{}", rng.random_range(0..150)), "total": "100.00", "refunded": if status == "paid" { "0" } else { "30.50" },
        "payment_status": status, "created_at": at, "updated_at": at + TimeDelta::minutes(rng.random_range(0..1_000)),
        "discount": rng.random_range(0..20).to_string(),
    });
    if rng.random_bool(0.5) {
        order["customer_id"] = rng.random_range(0..60).to_string().into();
    }
    if rng.random_bool(0.6) {
        order["email"] = format!("p{}@a.example", rng.random_range(0..80)).into();
    }
    if rng.random_bool(0.5) {
        // Every third is the call centre's.
        let n = if rng.random_bool(0.3) {
            0
        } else {
            rng.random_range(0..50)
        };
        order["phone"] = format!("+3806700000{n:02}").into();
    }
    for (field, values) in [
        ("vip_tier", &["gold", "silver"][..]),
        ("subscription", &["monthly"]),
        ("referred_by", &["1", "2", "3"]),
        ("promo_code", &["WINTER", "spring"]),
        ("revenue_stream", &["corporate", "own stream"]),
    ] {
        if rng.random_bool(0.2) {
            order[field] = values[rng.random_range(0..values.len())].into();
        }
    }
    if rng.random_bool(0.2) {
        order["subscription_active"] = rng.random_bool(0.5).into();
    }
    if rng.random_bool(0.7) {
        let session = Uuid::from_u128(rng.random_range(0..SESSIONS));
        order["session_id"] = session.to_string().into();
        order["visitor_id"] = session.to_string().into();
    }
    order
}

/// Sessions that orders come from, whose orders are often placed in another order than they began.
pub(super) async fn open_sessions(shop: &Shop, rng: &mut StdRng) {
    for number in 0..SESSIONS {
        sqlx::query(
            "insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views,
                points, utm_source, device_type, bot_reason)
            values ($1, $2, $2, $3, $3, 1, '{}', 1, 1, 1, $4, $5, $6)",
        )
        .bind(shop.site.id)
        .bind(Uuid::from_u128(number))
        .bind(now() - TimeDelta::minutes(rng.random_range(1..200_000)))
        .bind([Some("ig"), Some("google"), None][rng.random_range(0..3)])
        .bind(["mobile", "desktop"][rng.random_range(0..2)])
        .bind(rng.random_bool(0.1).then_some(1_i16))
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    }
}

const SESSIONS: u128 = 40;

/// Questions that sums answer, and some that only purchases do.
const ASKED: [&str; 9] = [
    "period=all_time",
    "period=month",
    "period=month&attribution_date=order",
    "start_date=2026-08-01&end_date=2026-10-15",
    "start_date=2026-08-01&end_date=2026-10-15&attribution_date=order",
    "period=all_time&utm_source=ig",
    "period=all_time&utm_source=!ig&device_type=mobile&attribution_date=order",
    "period=all_time&bots=include",
    "period=all_time&bots=only&attribution_date=order",
];

/// Which orders are whose, by every order: sets of ids.
async fn plain(shop: &Shop) -> BTreeSet<BTreeSet<String>> {
    let rows = sqlx::query("select order_id, customer_hash, email_hash, phone_hash from orders where site_id = $1")
        .bind(shop.site.id)
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
    let site = shop.app.state.sites.by_id(shop.site.id).unwrap();
    let blocked: HashSet<ContactHash> = Identifier::new(&shop.app.state.config.secret, &site).blocked().clone();
    let joined = join(&groups, &blocked);
    let mut sets: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (row, customer) in rows.iter().zip(joined.customer_of) {
        if let Some(customer) = customer {
            sets.entry(customer).or_default().insert(row.get("order_id"));
        }
    }
    sets.into_values().collect()
}

/// The same as it is kept.
async fn kept(shop: &Shop) -> BTreeSet<BTreeSet<String>> {
    let rows = sqlx::query("select array_agg(order_id) from order_facts where site_id = $1 and customer_no is not null group by customer_no")
        .bind(shop.site.id)
        .fetch_all(&shop.app.db.pool)
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.get::<Vec<String>, _>(0).into_iter().collect())
        .collect()
}

#[tokio::test]
async fn whatever_orders_come_change_meet_and_go_customers_are_those_of_the_plain_union() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let mut rng = StdRng::seed_from_u64(7);
    open_sessions(&shop, &mut rng).await;
    let mut sizes = BTreeSet::new();
    let mut shared = 0;
    for step in 0..40 {
        let batches: Vec<Vec<Value>> = (0..3)
            .map(|_| (0..rng.random_range(1..15)).map(|_| any_order(&mut rng)).collect())
            .collect();
        // At once, also of the same orders, while marks are worked off.
        let (a, b, c, ()) = tokio::join!(
            shop.send(&batches[0]),
            shop.send(&batches[1]),
            shop.send(&batches[2]),
            shop.catch_up()
        );
        let ((), (), ()) = (a, b, c);
        match step {
            10 | 25 => {
                shop.execute("with gone as (delete from orders where order_id like '%7' returning site_id, order_id) insert into order_marks select * from gone").await;
            }
            15 => {
                shop.execute(
                    "update sites set settings = '{\"blocked_contacts\": [\"+380670000000\", \"p3@a.example\"]}'",
                )
                .await;
                shop.app.reload_sites().await;
            }
            30 => {
                shop.execute("update sites set settings = '{}'").await;
                shop.app.reload_sites().await;
            }
            _ => {}
        }
        shop.catch_up().await;
        let (told, found) = (plain(&shop).await, kept(&shop).await);
        assert_eq!(told, found, "after step {step}");
        sizes.insert(found.iter().map(BTreeSet::len).max());
        // The figures are the same as those from every order, which is how they are made while nothing is built.
        for question in ["period=all_time&attribution_date=order", ASKED[step % ASKED.len()]] {
            let question = format!("/api/utm/repeat-rate?{question}");
            let asked = shop.get(&question).await;
            shared = shared.max(asked["shared_contacts_total"].as_i64().unwrap());
            shop.execute("alter table business_states rename to business_states_aside")
                .await;
            shop.execute("create table business_states (like business_states_aside)")
                .await;
            let every = shop.get(&question).await;
            shop.execute("drop table business_states").await;
            shop.execute("alter table business_states_aside rename to business_states")
                .await;
            let sorted = |mut body: Value| {
                // Of customers in the same minute either may come first.
                let list = body["possible_duplicates"].as_array_mut().unwrap();
                list.sort_by_key(|entry| (entry["minute"].to_string(), entry["orders"].to_string()));
                body
            };
            if asked["possible_duplicates_total"].as_i64().unwrap() <= 20 {
                assert_eq!(sorted(asked), sorted(every), "{question} after step {step}");
            }
        }
        segments_are_those_of_the_customers(&shop, step).await;

        if step % 8 == 7 {
            let before = shop.kept().await;
            shop.rebuild().await;
            assert_eq!(before, shop.kept().await, "rebuilt after step {step}");
            assert_eq!(told, kept(&shop).await);
        }
    }
    // The sequence met what it is about: merges of several orders, and contacts of a crowd.
    assert!(sizes.len() > 5 && shared > 0, "{sizes:?} {shared}");
    let crossed: i64 = sqlx::query_scalar("select count(*) from customer_metrics where crossed")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert!(crossed > 0);
}

/// The page's segments and movements against every customer's own, over windows of all lengths.
async fn segments_are_those_of_the_customers(shop: &Shop, step: usize) {
    let windows = [
        ("2026-10-22", "2026-11-20"),
        ("2026-09-10", "2026-09-20"),
        ("2026-05-01", "2026-11-20"),
        ("2020-01-01", "2026-10-01"),
    ];
    let (first, last) = windows[step % windows.len()];
    let rows = sqlx::query(
        "select segments[width_bucket($1::date - 1, move_days)] as was, segments[width_bucket($2::date, move_days)] as is,
            count(*), trim_scale(sum(revenue))::text from customer_metrics group by 1, 2",
    )
    .bind(first.parse::<NaiveDate>().unwrap())
    .bind(last.parse::<NaiveDate>().unwrap())
    .fetch_all(&shop.app.db.pool)
    .await
    .unwrap();
    let name = |code: Option<i16>| code.map(|code| Segment::from_code(code).unwrap().key());
    let (mut moved, mut sizes) = (BTreeMap::new(), BTreeMap::<&str, (i64, Decimal)>::new());
    for row in rows {
        let (was, is, count, revenue): (Option<i16>, Option<i16>, i64, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let Some(to) = name(is) else { continue };
        let size = sizes.entry(to).or_default();
        size.0 += count;
        size.1 += revenue.parse::<Decimal>().unwrap();
        if was != is {
            moved.insert((name(was), to), count);
        }
    }
    let told = shop
        .get(&format!(
            "/analytics/api/customer-segments/?start_date={first}&end_date={last}"
        ))
        .await;
    let told_moves: BTreeMap<(Option<&str>, &str), i64> = told["movements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                (row["from"].as_str(), row["to"].as_str().unwrap()),
                row["customers"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told_moves, moved, "{first} {last} after step {step}");
    for row in told["segments"].as_array().unwrap() {
        let size = sizes.get(row["segment"].as_str().unwrap()).copied().unwrap_or_default();
        let revenue: Decimal = row["revenue"].to_string().parse().unwrap();
        assert_eq!(
            (row["customers"].as_i64().unwrap(), revenue),
            size,
            "{row} after step {step}"
        );
    }
}

#[tokio::test]
async fn a_merge_keeps_the_smaller_number_and_a_split_gives_a_new_one() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let order = |id: &str, customer: &str, email: &str, minutes: i64| {
        json!({"order_id": id, "total": "10", "payment_status": "paid", "customer_id": customer, "email": email,
            "created_at": now() - TimeDelta::days(2), "updated_at": now() - TimeDelta::minutes(60 - minutes)})
    };
    let number = async |id: &'static str| -> Option<i64> {
        sqlx::query_scalar("select customer_no from order_facts where order_id = $1")
            .bind(id)
            .fetch_one(&shop.app.db.pool)
            .await
            .unwrap()
    };
    shop.send(&[order("a", "1", "one@a.example", 0)]).await;
    shop.catch_up().await;
    shop.send(&[order("b", "2", "two@a.example", 0)]).await;
    shop.catch_up().await;
    let (a, b) = (number("a").await.unwrap(), number("b").await.unwrap());
    assert!(a < b);
    shop.send(&[order("c", "2", "one@a.example", 0)]).await;
    shop.catch_up().await;
    assert_eq!(
        (number("a").await, number("b").await, number("c").await),
        (Some(a), Some(a), Some(a))
    );
    // The shop corrects the e-mail: what it tied together comes apart.
    shop.send(&[order("c", "2", "two@a.example", 10)]).await;
    shop.catch_up().await;
    let (first, second) = (number("a").await.unwrap(), number("b").await.unwrap());
    assert_ne!(first, second);
    assert_eq!(number("c").await, Some(second));
    let rows: i64 = sqlx::query_scalar("select count(*) from customer_metrics")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn nobody_with_an_active_subscription_is_at_risk_and_a_cancelled_order_begins_none() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let order = |customer: &str, n: u32, days: i64, status: &str, active: Option<bool>| {
        let at = now() - TimeDelta::days(days);
        let mut order = json!({"order_id": format!("{customer}{n}"), "customer_id": customer, "total": "100", "payment_status": status,
            "created_at": at, "updated_at": at});
        if let Some(active) = active {
            order["subscription"] = "monthly".into();
            order["subscription_active"] = active.into();
        }
        order
    };
    shop.send(&[
        order("subscribed", 1, 200, "paid", Some(true)),
        order("ended", 1, 200, "paid", Some(true)),
        order("ended", 2, 150, "cancelled", Some(false)),
        order("never", 1, 100, "paid", None),
        order("never", 2, 90, "cancelled", Some(true)),
        order("on_the_last_day", 1, 60, "paid", None),
        order("a_day_later", 1, 61, "paid", None),
    ])
    .await;
    shop.catch_up().await;
    let page = shop.get("/api/v1/analytics/customers").await;
    let of = |segment: &str| {
        let rows = page["segments"].as_array().unwrap().iter();
        rows.filter(|row| row["segment"] == segment)
            .map(|row| row["customers"].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!((of("at_risk"), of("lost"), of("active")), (2, 1, 2), "{page}");
    assert_eq!(page["loyalty"]["subscribers"], 1);
    let list = shop.get("/api/v1/analytics/customer-metrics").await;
    let risky = list["customers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["churn_risk"] == true);
    let days: BTreeSet<i64> = risky
        .map(|row| row["days_since_last_order"].as_i64().unwrap())
        .collect();
    assert_eq!(days, BTreeSet::from([61, 100, 200]));
    let before = shop.kept().await;
    shop.rebuild().await;
    assert_eq!(before, shop.kept().await);
}

#[tokio::test]
async fn the_planner_knows_the_rows_of_a_site_that_was_filled_beside_another() {
    let fill = async |shop: &Shop, customers: usize| {
        let order = |n: usize| {
            json!({"order_id": format!("{n}"), "customer_id": format!("c{n}"), "total": "10", "payment_status": "paid",
                "created_at": "2026-11-01T10:00:00Z"})
        };
        shop.send(&(0..customers).map(order).collect::<Vec<_>>()).await;
        shop.rebuild().await;
    };
    let first = Shop::open().await;
    fill(&first, 100).await;
    first.execute("analyze").await;
    let Shop { app, .. } = first;
    let site = app.site("another").await;
    let client = app.bearer(&site, &[Scope::Read, Scope::Orders]).await;
    let second = Shop { app, site, client };
    fill(&second, 300).await;
    // Without it the planner takes the site for empty, and who referred whom is found by joining each customer with each.
    let sql = "select tablename::text, (most_common_freqs)[array_position(most_common_vals::text::integer[], $1)] as share
        from pg_stats where attname = 'site_id' and tablename = any(array['customer_contacts', 'order_facts', 'customer_metrics'])";
    let known = sqlx::query_as::<_, (String, Option<f32>)>(sql)
        .bind(second.site.id)
        .fetch_all(&second.app.db.pool)
        .await
        .unwrap();
    assert_eq!(known.len(), 3);
    for (table, share) in known {
        assert_eq!(share, Some(0.75), "{table}");
    }
}
