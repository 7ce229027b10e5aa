//! Packed customers: each is in one block, and what the blocks add up to is what the kept sums say.

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{Shop, now};

/// Sums of the page, which kept sums answer without a filter and packed customers with one.
async fn customers_page(shop: &Shop, filter: &str) -> Value {
    let path = format!("/api/v1/analytics/customers?period=all_time{filter}");
    let mut page = shop.get(&path).await;
    // The lists come from the rows either way.
    for list in ["filters", "at_risk", "top_customers"] {
        page.as_object_mut().unwrap().remove(list);
    }
    page
}

#[tokio::test]
async fn more_customers_than_one_block_holds_are_each_in_one_whatever_becomes_of_their_orders() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let mut rng = StdRng::seed_from_u64(5);
    let blocks = async || -> Vec<i64> {
        sqlx::query_scalar("select first_no from customer_blocks order by 1")
            .fetch_all(&shop.app.db.pool)
            .await
            .unwrap()
    };
    let order = |n: i64, status: &str, minutes: i64| {
        let at = now() - TimeDelta::days(n % 300 + 1);
        json!({"order_id": format!("o{n}"), "customer_id": format!("c{n}"), "total": "100.10", "payment_status": status, "created_at": at,
            "updated_at": at + TimeDelta::minutes(minutes), "vip_tier": if n % 2 == 0 { "gold" } else { "silver" }})
    };
    for step in 0..4 {
        // New ones at the end, those of earlier blocks again, some of whom are no customers any more.
        let new: Vec<Value> = (step * 400..(step + 1) * 400).map(|n| order(n, "paid", 0)).collect();
        shop.send(&new).await;
        let mut again = Vec::new();
        for _ in 0..step * 10 {
            let n = rng.random_range(0..step * 400);
            let mut later = order(n, "paid", 0);
            later["order_id"] = format!("later {n}").into();
            later["created_at"] = json!(now() - TimeDelta::hours(5));
            again.push(later);
            again.push(order(rng.random_range(0..step * 400), "cancelled", 9));
        }
        shop.send(&again).await;
        shop.catch_up().await;
        let whole = customers_page(&shop, "").await;
        assert_eq!(
            customers_page(&shop, "&utm_source=!nobody").await,
            whole,
            "after step {step}"
        );
    }
    assert_eq!(blocks().await.len(), 4, "{:?}", blocks().await);

    // Everybody of a block in the middle goes.
    let of_block = "select substr(o.order_id, 2)::bigint from orders o join order_facts f using (site_id, order_id)
        where f.customer_no >= $1 and f.customer_no < $2 and o.order_id ~ '^o'";
    let [_, first, next, ..] = blocks().await[..] else {
        panic!()
    };
    let gone: Vec<i64> = sqlx::query_scalar(of_block)
        .bind(first)
        .bind(next)
        .fetch_all(&shop.app.db.pool)
        .await
        .unwrap();
    let cancelled: Vec<Value> = gone
        .iter()
        .flat_map(|n| {
            let mut later = order(*n, "cancelled", 99);
            later["order_id"] = format!("later {n}").into();
            [order(*n, "cancelled", 99), later]
        })
        .collect();
    for some in cancelled.chunks(400) {
        shop.send(some).await;
    }
    shop.catch_up().await;
    assert!(!blocks().await.contains(&first));
    let whole = customers_page(&shop, "").await;
    assert!(
        whole["total_customers"].as_u64().is_some_and(|left| left > 900),
        "{whole}"
    );
    assert_eq!(customers_page(&shop, "&utm_source=!nobody").await, whole);
    // One of them comes back, between two blocks.
    let mut back = order(gone[0], "paid", 100);
    back["order_id"] = "back".into();
    shop.send(&[back]).await;
    shop.catch_up().await;
    let whole = customers_page(&shop, "").await;
    assert_eq!(customers_page(&shop, "&utm_source=!nobody").await, whole);

    shop.rebuild().await;
    assert_eq!(customers_page(&shop, "&utm_source=!nobody").await, whole);
    // As after an update of the program, until upkeep has packed them.
    shop.execute("delete from customer_blocks").await;
    assert_eq!(customers_page(&shop, "&utm_source=!nobody").await, whole);
    let listed = shop.get("/api/v1/analytics/customer-metrics?utm_source=!nobody").await;
    assert_eq!(listed["total_rows"], whole["total_customers"]);
}
