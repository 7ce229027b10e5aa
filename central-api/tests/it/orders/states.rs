//! States of an order arrive in any order, twice, and at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Shop, dec, uuid};

#[tokio::test]
async fn the_same_order_again_changes_nothing_and_says_so() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(2), None).await;
    let body = json!({"order_id": 77, "session_id": uuid(11), "total": "10.50", "payment_status": "paid", "updated_at": "2026-11-20T09:00:00Z"});
    assert_eq!(shop.ok(body.clone()).await["status"], "created");
    shop.marks().await;
    // Written differently, still the same.
    let mut same = body.clone();
    same["total"] = json!(10.5);
    same["order_id"] = json!("77");
    assert_eq!(shop.ok(same).await["status"], "unchanged");
    assert!(shop.marks().await.is_empty());
    let mut older = body.clone();
    older["updated_at"] = json!("2026-11-20T08:59:59Z");
    older["payment_status"] = json!("unpaid");
    let answer = shop.ok(older).await;
    assert_eq!(
        (answer["status"].as_str(), answer["revenue"].as_str()),
        (Some("stale"), Some("10.5000"))
    );
    assert_eq!(shop.get("77").await["payment_status"], "paid");
    let many = shop.ok(json!([body, body])).await;
    assert_eq!(many["orders"][1]["status"], "unchanged");
}

#[test]
fn states_in_any_order_end_in_the_same_row() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let shop = runtime.block_on(async {
        let shop = Shop::open().await;
        shop.session(1, 11, TimeDelta::hours(3), None).await;
        shop.session(1, 12, TimeDelta::hours(2), None).await;
        shop.session(2, 21, TimeDelta::hours(1), None).await;
        shop
    });
    let state = (
        0u32..4,
        prop::sample::select(vec![
            "unpaid",
            "prepaid",
            "paid",
            "refunded",
            "partially_refunded",
            "cancelled",
        ]),
        1u32..4,
        prop::sample::select(vec![None, Some(11u128), Some(21), Some(99)]),
        prop::sample::select(vec![None, Some(1u128), Some(2)]),
        prop::sample::select(vec![None, Some("a@shop.example"), Some("b@shop.example")]),
        // Which of the fields that may be left out a state says.
        any::<u8>(),
    );
    let cases = (prop::collection::vec(state, 1..6), any::<u64>(), 1usize..4);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let number = AtomicI64::new(0);
    runner
        .run(&cases, |(states, seed, parts)| {
            let number = number.fetch_add(1, Ordering::SeqCst);
            let body = |name: &str, s: &(u32, &str, u32, Option<u128>, Option<u128>, Option<&str>, u8)| {
                let said = |bit: u8, value: Value| if s.6 >> bit & 1 == 1 { value } else { Value::Null };
                let (currency, rate) = [("UAH", Value::Null), ("EUR", json!(s.2)), ("EUR", Value::Null)][s.2 as usize % 3].clone();
                json!({"order_id": format!("{name}{number}"), "payment_status": s.1, "total": s.2 * 10,
                    "session_id": s.3.map(uuid), "visitor_id": s.4.map(uuid), "email": s.5,
                    "refunded": said(0, json!(s.2 - 1)), "discount": said(1, json!(s.2 - 1)), "shipping": said(2, json!(s.2)),
                    "currency": said(3, json!(currency)), "rate": said(3, rate), "items": said(4, json!([{"sku": s.2}])),
                    "promo_code": said(5, json!(format!("CODE{}", s.2))), "vip_tier": said(6, json!(s.1)),
                    "paid_at": said(7, json!(format!("2026-11-20T09:2{}:00Z", s.2))),
                    "created_at": format!("2026-11-20T09:0{}:00Z", s.0), "updated_at": format!("2026-11-20T09:3{}:00Z", s.0)})
            };
            let forward: Vec<Value> = states.iter().map(|s| body("f", s)).collect();
            let mut shuffled: Vec<Value> = states.iter().map(|s| body("s", s)).collect();
            let mut seed = seed;
            for i in (1..shuffled.len()).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                shuffled.swap(i, (seed >> 33) as usize % (i + 1));
            }
            let (one, other) = runtime.block_on(async {
                for state in forward {
                    shop.ok(state).await;
                }
                for part in shuffled.chunks(parts) {
                    shop.ok(Value::Array(part.to_vec())).await;
                }
                // What is learnt from other orders meanwhile is looked at again.
                sqlx::query("update orders set recheck_at = $1").bind(shop.now()).execute(&shop.app.db.pool).await.unwrap();
                shop.refresh().await;
                let strip = |mut order: Value| {
                    order["order_id"] = Value::Null;
                    order
                };
                (strip(shop.get(&format!("f{number}")).await), strip(shop.get(&format!("s{number}")).await))
            });
            prop_assert_eq!(one, other);
            Ok(())
        })
        .unwrap();
    runtime.block_on(async {
        let wrong: i64 = sqlx::query_scalar(
            "select count(*) from sessions s where revenue <> coalesce((select sum(o.revenue) from orders o where o.session_id = s.session_id), 0)
                or s.orders <> (select count(*) from orders o where o.session_id = s.session_id)",
        )
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
        assert_eq!(wrong, 0, "sessions' sums are those of their orders");
        drop(shop);
    });
}

#[tokio::test]
async fn every_field_is_stored_as_it_was_sent() {
    let shop = Shop::open().await;
    shop.ok(json!({"order_id": "all", "order_number": "N-1", "total": "120.00", "discount": "10", "tax": 20, "shipping": 5.5, "currency": "UAH",
        "payment_method": "card", "payment_status": "paid", "sales_channel": "web", "items": [{"sku": 12, "name": "Футболка\nXL", "quantity": 2, "price": 57.25}],
        "created_at": "2026-11-20T11:00:00+02:00", "paid_at": "2026-11-20T09:01:00Z", "updated_at": "2026-11-20T09:01:00.123456Z",
        "discount_type": "percent", "promo_code": "WINTER", "vip_tier": "gold", "subscription": "box", "subscription_active": true,
        "loyalty_earned": 12, "loyalty_redeemed": "3.5", "referral_code": "FRIEND", "referred_by": "c9", "revenue_stream": "subscription"}))
    .await;
    let order = shop.get("all").await;
    assert_eq!(
        order["items"],
        json!([{"sku": "12", "name": "Футболка XL", "quantity": "2", "price": "57.25"}])
    );
    assert_eq!(order["created_at"], "2026-11-20T09:00:00Z");
    assert_eq!(order["updated_at"], "2026-11-20T09:01:00.123456Z");
    assert_eq!(
        (order["shipping"].as_str().map(dec), order["discount"].as_str().map(dec)),
        (Some(dec("5.5")), Some(dec("10")))
    );
    assert_eq!(order["extra"]["loyalty_redeemed"], "3.5");
    assert_ne!(order["extra"]["referred_by"], "c9", "who referred is a hash");
}

#[tokio::test]
async fn a_refund_that_names_nobody_keeps_the_link() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.ok(json!({"order_id": "1", "session_id": uuid(11), "email": "a@b.cc", "total": 10, "payment_status": "paid", "updated_at": "2026-11-20T09:40:00Z"})).await;
    let answer = shop
        .ok(json!({"order_id": "1", "total": 10, "payment_status": "refunded", "updated_at": "2026-11-20T09:50:00Z"}))
        .await;
    assert_eq!(
        (answer["status"].as_str(), answer["linked_by"].as_str()),
        (Some("updated"), Some("session"))
    );
    assert_eq!(shop.money(11).await, (1, 0, 0, dec("0")));
}

#[tokio::test]
async fn what_a_later_state_leaves_out_stays_as_it_was_said() {
    let shop = Shop::open().await;
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.ok(json!({"order_id": "1", "order_number": "N-1", "session_id": uuid(11), "total": "10.10", "discount": 1, "tax": "2.02", "shipping": 3,
        "currency": "EUR", "rate": "50", "payment_method": "card", "payment_status": "paid", "sales_channel": "web", "items": [{"sku": "TS-1"}],
        "promo_code": "WINTER", "vip_tier": "gold", "paid_at": "2026-11-20T09:39:00Z", "updated_at": "2026-11-20T09:40:00Z"}))
    .await;
    let before = shop.get("1").await;
    let part = json!({"order_id": "1", "total": "10.10", "refunded": "4.10", "payment_status": "partially_refunded", "updated_at": "2026-11-20T09:50:00Z"});
    let answer = shop.ok(part.clone()).await;
    assert_eq!(answer["status"], "updated");
    assert_eq!(dec(answer["revenue"].as_str().unwrap()), dec("300"), "6 EUR, not 6 UAH");
    let after = shop.get("1").await;
    for field in [
        "order_number",
        "discount",
        "tax",
        "shipping",
        "currency",
        "rate",
        "payment_method",
        "sales_channel",
        "items",
        "extra",
        "paid_at",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(shop.ok(part).await["status"], "unchanged");

    // A state in between, late: only what the later one left out is taken from it.
    let between = json!({"order_id": "1", "total": 7, "shipping": "4", "refunded": 0, "promo_code": "SPRING", "payment_status": "paid", "updated_at": "2026-11-20T09:45:00Z"});
    assert_eq!(shop.ok(between).await["status"], "stale");
    let order = shop.get("1").await;
    assert_eq!(
        (order["total"].as_str().map(dec), order["refunded"].as_str().map(dec)),
        (Some(dec("10.10")), Some(dec("4.10")))
    );
    assert_eq!(
        (order["shipping"].as_str().map(dec), &order["extra"]),
        (Some(dec("4")), &json!({"promo_code": "SPRING", "vip_tier": "gold"}))
    );

    // What was said can be taken back by saying it, and a rate belongs to its currency.
    shop.ok(json!({"order_id": "1", "total": 20, "discount": 0, "refunded": 0, "currency": "UAH", "payment_status": "paid", "updated_at": "2026-11-20T09:55:00Z"})).await;
    let order = shop.get("1").await;
    assert_eq!(
        (order["discount"].as_str().map(dec), order["rate"].as_str().map(dec)),
        (Some(dec("0")), Some(dec("1")))
    );
    assert_eq!(shop.money(11).await, (1, 0, 1, dec("20")));
}

#[tokio::test]
async fn a_refund_of_more_than_a_later_total_takes_all_and_says_so() {
    let shop = Shop::open().await;
    let order = |total: u32, rest: Value| {
        let mut order = json!({"order_id": "1", "total": total, "payment_status": "partially_refunded"});
        order.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        order
    };
    let answer = shop.ok(order(100, json!({"updated_at": "2026-11-20T09:30:00Z"}))).await;
    assert_eq!(
        answer["warnings"],
        json!(["payment_status is partially_refunded but refunded is 0"])
    );
    let answer = shop
        .ok(order(
            100,
            json!({"refunded": 60, "updated_at": "2026-11-20T09:40:00Z"}),
        ))
        .await;
    assert_eq!(
        (answer["revenue"].as_str().map(dec), &answer["warnings"]),
        (Some(dec("40")), &json!([]))
    );
    let answer = shop.ok(order(50, json!({"updated_at": "2026-11-20T09:50:00Z"}))).await;
    assert_eq!(answer["revenue"].as_str().map(dec), Some(dec("0")));
    assert!(
        answer["warnings"][0].as_str().unwrap().contains("exceeds total"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_at_once_leave_exact_sums() {
    let shop = Arc::new(Shop::open().await);
    for n in 0..5 {
        shop.session(n, 10 + n, TimeDelta::hours(1), None).await;
    }
    let tasks: Vec<_> = (0..6u128)
        .map(|task| {
            let shop = shop.clone();
            tokio::spawn(async move {
                for round in 0..8u128 {
                    // The same forty orders from every task, in different states and different order.
                    let orders: Vec<Value> = (0..40u128)
                        .map(|n| (n * 7 + task * 11 + round) % 40)
                        .map(|n| {
                            json!({"order_id": format!("o{n}"), "session_id": uuid(10 + (n + round) % 5), "total": 1 + n, "payment_status": if (task + round) % 3 == 1 { "cancelled" } else { "paid" },
                                "updated_at": format!("2026-11-20T09:{:02}:{:02}Z", round, task)})
                        })
                        .collect();
                    shop.ok(Value::Array(orders)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from orders")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(rows, 40);
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from sessions s where revenue <> (select coalesce(sum(o.revenue), 0) from orders o where o.session_id = s.session_id)
            or s.orders <> (select count(*) from orders o where o.session_id = s.session_id)",
    )
    .fetch_one(&shop.app.db.pool)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let paid: Decimal = sqlx::query_scalar("select sum(revenue) from sessions")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(
        paid,
        Decimal::from((1..=40).sum::<i32>()),
        "the last state of every order, task 5 in round 7, is a paid one"
    );
}

#[tokio::test]
async fn a_state_that_is_replayed_is_as_old_as_its_letter() {
    let shop = Shop::open().await;
    // Its clock was ahead, so the state was refused; it says no `updated_at` and no `created_at`.
    let ahead = (shop.now() + TimeDelta::minutes(11)).to_rfc3339();
    for order in ["77", "78"] {
        let refused = json!({"order_id": order, "total": 10, "payment_status": "unpaid", "paid_at": ahead});
        assert_eq!(shop.post(&refused).await.0, 400);
    }
    let came = shop.now();
    shop.wait(TimeDelta::minutes(30));
    shop.ok(json!({"order_id": "77", "total": 10, "payment_status": "paid"}))
        .await;
    let paid = shop.get("77").await;
    shop.wait(TimeDelta::hours(5));
    let admin = shop.app.admin().await;
    let letters: Vec<i64> = sqlx::query_scalar("select dead_letter_id from dead_letters order by dead_letter_id")
        .fetch_all(&shop.app.db.pool)
        .await
        .unwrap();
    for letter in &letters {
        let url = shop.app.url(&format!("/api/v1/dead-letters/{letter}/replay"));
        let answer: Value = admin.post(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["outcome"], "accepted");
    }
    let after = shop.get("77").await;
    assert_eq!(
        (&after["payment_status"], &after["updated_at"]),
        (&json!("paid"), &paid["updated_at"])
    );
    assert_eq!(after["created_at"], json!(came));
    let other = shop.get("78").await;
    assert_eq!(
        (&other["created_at"], &other["updated_at"]),
        (&json!(came), &json!(came))
    );
}

#[tokio::test]
async fn a_replay_that_is_refused_for_another_reason_makes_no_second_letter() {
    let shop = Shop::open().await;
    let ahead = (shop.now() + TimeDelta::minutes(11)).to_rfc3339();
    let refused = json!({"order_id": "77", "total": 10, "payment_status": "unpaid", "paid_at": ahead});
    assert_eq!(shop.post(&refused).await.0, 400);
    // As if the rules had been other ones then.
    sqlx::query("update dead_letters set code = 'of_old'")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    let letter: i64 = sqlx::query_scalar("select dead_letter_id from dead_letters")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    let url = shop.app.url(&format!("/api/v1/dead-letters/{letter}/replay"));
    let answer: Value = shop
        .app
        .admin()
        .await
        .post(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["outcome"], "invalid_field");
    let letters: i64 = sqlx::query_scalar("select count(*) from dead_letters")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(letters, 1);
}
