//! What others write while an order is stored.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::Shop;
use crate::support::{wait_for_locks, waits_for_a_lock};

/// Holds whoever stores an order when it has written the row, until the transaction ends.
async fn hold_orders(shop: &Shop) -> sqlx::PgTransaction<'static> {
    let mut hold = shop.app.db.pool.begin().await.unwrap();
    sqlx::query("lock table order_marks in share mode")
        .execute(&mut *hold)
        .await
        .unwrap();
    hold
}

#[tokio::test]
async fn a_rate_that_comes_while_an_order_is_stored_reaches_that_order() {
    let shop = Shop::open().await;
    let pool = &shop.app.db.pool;
    let hold = hold_orders(&shop).await;
    // It names nobody, so that no later look at its session would find the rate.
    let order = json!({"order_id": "meanwhile", "total": 100, "currency": "EUR", "payment_status": "paid"});
    let url = shop.app.url("/api/v1/orders");
    let sent = tokio::spawn(shop.client.post(url).body(order.to_string()).send());
    assert!(waits_for_a_lock(pool, &sent).await);
    let rates = json!([{"currency": "EUR", "day": "2026-11-20", "rate": 48}]);
    let url = shop.app.url("/api/v1/exchange-rates");
    let put = tokio::spawn(shop.client.put(url).body(rates.to_string()).send());
    wait_for_locks(pool, 2, &put).await;
    hold.rollback().await.unwrap();
    let answer: Value = sent.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["revenue"], Value::Null, "{answer}");
    assert_eq!(put.await.unwrap().unwrap().status(), 200);
    shop.wait(TimeDelta::hours(2));
    shop.refresh().await;
    assert_eq!(shop.get("meanwhile").await["revenue"], "4800.0000");
}
