//! What others write while an order is stored.

use chrono::{DurationRound, TimeDelta};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Shop, uuid};
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

#[tokio::test]
async fn a_session_that_loses_an_order_is_summed_up_anew_in_the_hour_in_which_it_begins_by_now() {
    let shop = Shop::open().await;
    for (visitor, session) in [(1, 11), (2, 22)] {
        shop.session(visitor, session, TimeDelta::minutes(90), None).await;
    }
    let order = |session: u128, minute: u32| {
        json!({"order_id": "moved", "session_id": uuid(session), "total": 100, "payment_status": "paid",
            "updated_at": format!("2026-11-20T09:{minute:02}:00Z")})
    };
    shop.ok(order(11, 0)).await;
    // A late event tells that the session began earlier, and leaves marks of its own, which are worked off.
    let began: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(
        "update sessions set first_seen = first_seen - interval '3 hours' where session_id = $1 returning first_seen",
    )
    .bind(Uuid::from_u128(11))
    .fetch_one(&shop.app.db.pool)
    .await
    .unwrap();
    shop.marks().await;
    shop.ok(order(22, 1)).await;
    assert_eq!(shop.money(11).await.0, 0);
    let hour = began.duration_trunc(TimeDelta::hours(1)).unwrap();
    let marks = shop.marks().await;
    assert!(marks.contains(&(Uuid::from_u128(1), hour)), "{marks:?}");
}
