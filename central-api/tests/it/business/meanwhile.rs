//! Orders that change between two statements of whoever keeps the figures.

use std::sync::Arc;

use central_api::business::upkeep;
use serde_json::{Value, json};

use super::{Shop, now};
use crate::support::waits_for_a_lock;

fn order(id: &str, updated: u32, more: Value) -> Value {
    let mut order = json!({"order_id": id, "total": "100.00", "payment_status": "paid", "created_at": "2026-11-10T10:00:00Z",
        "updated_at": format!("2026-11-11T10:{updated:02}:00Z")});
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    Round,
    Rebuild,
}

/// Does the work, and sends orders when it has read what it will write and waits for `held`, a table that it writes and orders do not.
async fn meanwhile(shop: &Shop, work: Work, held: &str, orders: &[Value]) {
    let pool = &shop.app.db.pool;
    let mut hold = pool.begin().await.unwrap();
    let lock = format!("lock table {held} in share mode");
    sqlx::query(sqlx::AssertSqlSafe(lock))
        .execute(&mut *hold)
        .await
        .unwrap();
    let (state, site) = (shop.app.state.clone(), Arc::clone(&shop.site));
    let working = tokio::spawn(async move {
        let (pool, secret) = (&state.pool, &state.config.secret);
        match work {
            Work::Round => upkeep::round(pool, secret, &site, now()).await.map(drop),
            Work::Rebuild => upkeep::rebuild(pool, secret, &site, now(), |_| {}).await,
        }
    });
    assert!(waits_for_a_lock(pool, &working).await);
    shop.send(orders).await;
    hold.rollback().await.unwrap();
    working.await.unwrap().unwrap();
}

/// What is kept once every mark is worked off, and what a rebuild of the same orders keeps.
async fn kept_and_rebuilt(shop: &Shop) -> (Vec<String>, Vec<String>) {
    shop.catch_up().await;
    let kept = shop.kept().await;
    shop.rebuild().await;
    (kept, shop.kept().await)
}

#[tokio::test]
async fn a_contact_that_comes_while_its_order_is_looked_at_finds_its_customer() {
    for (work, held) in [
        (Work::Round, "order_facts"),
        (Work::Rebuild, "customer_contacts"),
        (Work::Rebuild, "order_facts"),
    ] {
        let shop = Shop::open().await;
        shop.catch_up().await;
        shop.send(&[
            order("first", 0, json!({"email": "a@a.example"})),
            order("second", 0, json!({"phone": "+380670000001"})),
            order("third", 0, json!({"email": "b@a.example"})),
        ])
        .await;
        if work == Work::Rebuild {
            shop.catch_up().await;
        }
        let changed = [
            order("first", 1, json!({"email": "a@a.example", "phone": "+380670000001"})),
            order("third", 1, json!({"email": "c@a.example", "phone": "+380670000002"})),
            order("fourth", 1, json!({"email": "d@a.example", "phone": "+380670000002"})),
        ];
        meanwhile(&shop, work, held, &changed).await;
        let (kept, rebuilt) = kept_and_rebuilt(&shop).await;
        assert_eq!(kept, rebuilt, "{work:?} while {held} is held");
        let customers = kept.iter().filter(|row| row.starts_with("customer ")).count();
        assert_eq!(customers, 2, "{work:?} while {held} is held");
    }
}

#[tokio::test]
async fn a_contact_that_goes_while_everything_is_made_anew_joins_nobody_any_more() {
    let shop = Shop::open().await;
    shop.send(&[
        order("first", 0, json!({"email": "a@a.example", "phone": "+380670000001"})),
        order("second", 0, json!({"email": "a@a.example"})),
        order("third", 0, json!({"phone": "+380670000001"})),
    ])
    .await;
    let changed = [order(
        "first",
        1,
        json!({"email": "b@a.example", "phone": "+380670000001"}),
    )];
    meanwhile(&shop, Work::Rebuild, "customer_contacts", &changed).await;
    let (kept, rebuilt) = kept_and_rebuilt(&shop).await;
    assert_eq!(kept, rebuilt);
    let customers = kept.iter().filter(|row| row.starts_with("customer ")).count();
    assert_eq!(customers, 2, "{kept:#?}");
}

#[tokio::test]
async fn an_order_whose_items_alone_change_changes_what_was_sold() {
    let shop = Shop::open().await;
    shop.catch_up().await;
    let sold = |name: &str| json!({"items": [{"sku": name, "name": name, "quantity": 1, "price": "100.00"}]});
    shop.send(&[order("first", 0, sold("red"))]).await;
    shop.catch_up().await;
    shop.send(&[order("first", 1, sold("blue"))]).await;
    let (kept, rebuilt) = kept_and_rebuilt(&shop).await;
    assert_eq!(kept, rebuilt);
    let items: Vec<&String> = kept.iter().filter(|row| row.starts_with("item ")).collect();
    assert!(items.len() == 1 && items[0].contains("blue"), "{items:?}");
}
