//! Which session an order is linked to, and when.

use std::collections::BTreeSet;

use central_api::auth::Scope;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Shop, dec, uuid};

#[tokio::test]
async fn an_order_before_its_session_is_linked_when_the_session_comes() {
    let shop = Shop::open().await;
    let answer = shop
        .ok(json!({"order_id": "early", "session_id": uuid(11), "visitor_id": uuid(1), "total": 100, "payment_status": "paid"}))
        .await;
    assert_eq!(
        (answer["linked_by"].as_str(), answer["cause"].as_str()),
        (Some("none"), Some("unknown_session"))
    );
    assert_eq!(shop.refresh().await, 0, "not due yet");
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 0, "looked at, but the session is not here");
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 1);
    let order = shop.get("early").await;
    assert_eq!(
        (order["linked_by"].as_str(), order["utm_source"].as_str()),
        (Some("session"), Some("source11"))
    );
    assert_eq!(shop.money(11).await, (1, 0, 1, dec("100")));

    // An earlier touch arrives and changes the session's attribution: the order follows.
    sqlx::query("update sessions set utm_source = 'google', first_seen = first_seen - interval '2 hours'")
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    shop.marks().await;
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.get("early").await["utm_source"], "google");
    assert_eq!(
        shop.marks().await.len(),
        3,
        "the order's hour, the session's old hour and its new one"
    );

    // After the last event that can still arrive, it is settled.
    shop.wait(TimeDelta::days(40));
    shop.refresh().await;
    assert_eq!(shop.get("early").await["recheck_at"], Value::Null);
}

#[tokio::test]
async fn a_link_by_visitor_gives_way_to_the_named_session_when_it_comes() {
    let shop = Shop::open().await;
    shop.session(1, 10, TimeDelta::hours(5), None).await;
    let answer = shop
        .ok(json!({"order_id": "x", "session_id": uuid(11), "visitor_id": uuid(1), "total": 50, "payment_status": "paid"}))
        .await;
    assert_eq!(
        (answer["linked_by"].as_str(), answer["session_id"].as_str()),
        (Some("visitor"), Some(uuid(10).as_str()))
    );
    assert_eq!(shop.money(10).await, (1, 0, 1, dec("50")));
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.wait(TimeDelta::seconds(4));
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.money(10).await, (0, 0, 0, dec("0")));
    assert_eq!(shop.money(11).await, (1, 0, 1, dec("50")));
}

#[tokio::test]
async fn an_order_keeps_what_brought_it_when_its_session_has_become_too_old_to_be_kept() {
    let shop = Shop::open().await;
    shop.session(1, 10, TimeDelta::hours(5), None).await;
    shop.session(1, 11, TimeDelta::hours(1), None).await;
    shop.session(2, 20, TimeDelta::hours(1), None).await;
    let paid = |id: &str| json!({"order_id": id, "total": 100, "payment_status": "paid"});
    let mut named = paid("named");
    named["session_id"] = uuid(11).into();
    let mut visitor = paid("visitor");
    visitor["visitor_id"] = uuid(2).into();
    for order in [named, visitor] {
        shop.ok(order).await;
    }
    shop.wait(TimeDelta::days(60));
    // As the nightly job does, but for a session of the same visitor that would be the next best.
    sqlx::query("delete from sessions where session_id <> $1")
        .bind(uuid::Uuid::parse_str(&uuid(10)).unwrap())
        .execute(&shop.app.db.pool)
        .await
        .unwrap();
    for (id, method, source) in [("named", "session", "source11"), ("visitor", "visitor", "source20")] {
        let answer = shop
            .ok(json!({"order_id": id, "total": 100, "refunded": 40, "payment_status": "partially_refunded"}))
            .await;
        assert_eq!(answer["status"], "updated", "{answer}");
        let order = shop.get(id).await;
        assert_eq!(
            (
                order["linked_by"].as_str(),
                order["utm_source"].as_str(),
                order["revenue"].as_str()
            ),
            (Some(method), Some(source), Some("60.0000")),
            "{order}"
        );
    }
}

#[tokio::test]
async fn linking_case_by_case() {
    let mut shop = Shop::open().await;
    shop.set(json!({"blocked_contacts": ["noreply@shop.example", "044 123 45 67"], "look_back_days": 10}))
        .await;
    shop.session(1, 10, TimeDelta::days(3), None).await;
    shop.session(1, 11, TimeDelta::days(1), None).await;
    shop.session(2, 20, TimeDelta::days(12), None).await;
    shop.session(3, 30, TimeDelta::hours(1), Some(2)).await;
    shop.session(4, 40, TimeDelta::hours(1), None).await;
    // What teaches the contacts of visitor 1, and of visitor 2 outside the look-back.
    shop.ok(json!([
        {"order_id": "t1", "session_id": uuid(11), "customer_id": "c1", "email": "Olena@Example.com", "phone": "067 123 45 67", "total": 1, "payment_status": "paid"},
        {"order_id": "t2", "session_id": uuid(20), "email": "old@example.com", "total": 1, "payment_status": "paid"},
        {"order_id": "t3", "session_id": uuid(40), "email": "noreply@shop.example", "phone": "0441234567", "total": 1, "payment_status": "paid"},
    ]))
    .await;
    let cases = [
        (
            "a session wins over everything",
            json!({"session_id": uuid(40), "visitor_id": uuid(1), "email": "fourth@example.com"}),
            "session",
            Some(40),
            Value::Null,
        ),
        (
            "an unknown session falls back to the visitor's latest",
            json!({"session_id": uuid(99), "visitor_id": uuid(1)}),
            "visitor",
            Some(11),
            Value::Null,
        ),
        (
            "the latest at or before the order",
            json!({"visitor_id": uuid(1), "created_at": "2026-11-18T10:00:00Z"}),
            "visitor",
            Some(10),
            Value::Null,
        ),
        (
            "no session at or before the order",
            json!({"visitor_id": uuid(1), "created_at": "2026-11-01T10:00:00Z"}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "outside the look-back",
            json!({"visitor_id": uuid(2)}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "an unknown visitor",
            json!({"visitor_id": uuid(77)}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "by customer id",
            json!({"customer_id": "c1"}),
            "customer",
            Some(11),
            Value::Null,
        ),
        (
            "a customer id is not an e-mail",
            json!({"customer_id": "olena@example.com"}),
            "none",
            None,
            json!("unknown_contact"),
        ),
        (
            "by e-mail in any case",
            json!({"email": " OLENA@example.COM "}),
            "email",
            Some(11),
            Value::Null,
        ),
        (
            "by phone however written",
            json!({"phone": "+38 (067) 123-45-67"}),
            "phone",
            Some(11),
            Value::Null,
        ),
        (
            "an e-mail outside the look-back",
            json!({"email": "old@example.com"}),
            "none",
            None,
            json!("no_session_in_look_back"),
        ),
        (
            "a contact nobody was seen with",
            json!({"email": "new@example.com"}),
            "none",
            None,
            json!("unknown_contact"),
        ),
        (
            "a blocked e-mail joins nobody",
            json!({"email": "NOREPLY@shop.example"}),
            "none",
            None,
            json!("blocked_contact"),
        ),
        (
            "a blocked phone joins nobody",
            json!({"phone": "+380441234567"}),
            "none",
            None,
            json!("blocked_contact"),
        ),
        (
            "nothing to find it by",
            json!({}),
            "none",
            None,
            json!("no_identifiers"),
        ),
        (
            "an unknown session and nothing else",
            json!({"session_id": uuid(99)}),
            "none",
            None,
            json!("unknown_session"),
        ),
        (
            "a bot's session links and says so",
            json!({"session_id": uuid(30)}),
            "session",
            Some(30),
            json!("bot_session"),
        ),
        (
            "an invalid phone is ignored with a warning",
            json!({"phone": "12"}),
            "none",
            None,
            json!("no_identifiers"),
        ),
    ];
    for (index, (name, mut order, linked_by, session, cause)) in cases.into_iter().enumerate() {
        order["order_id"] = json!(format!("case{index}"));
        order["total"] = json!(1);
        order["payment_status"] = json!("unpaid");
        let answer = shop.ok(order).await;
        assert_eq!(answer["linked_by"], linked_by, "{name}");
        assert_eq!(
            answer["session_id"],
            session.map_or(Value::Null, |s| json!(uuid(s))),
            "{name}"
        );
        assert_eq!(answer["cause"], cause, "{name}");
        assert_eq!(
            answer["warnings"].as_array().unwrap().is_empty(),
            !name.contains("blocked") && !name.contains("warning"),
            "{name}: {answer}"
        );
    }
    let plain: i64 = sqlx::query_scalar("select count(*) from orders where customer_contact is not null")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(plain, 0, "contacts are not kept in plain unless the site says so");
}

#[tokio::test]
async fn a_site_may_keep_plain_contacts() {
    let mut shop = Shop::open().await;
    shop.set(json!({"store_contacts": true})).await;
    shop.ok(json!({"order_id": "1", "email": "Olena@Example.com", "phone": "0671234567", "total": 1, "payment_status": "paid"})).await;
    let plain: Value = sqlx::query_scalar("select customer_contact from orders")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(plain, json!({"email": "olena@example.com", "phone": "+380671234567"}));
}

#[tokio::test]
async fn a_contact_that_many_people_share_links_nothing() {
    let shop = Shop::open().await;
    let order = |id: &str, more: Value| {
        let mut order = json!({"order_id": id, "total": 10, "payment_status": "paid"});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    for guest in 1..=7 {
        shop.session(guest, 10 * guest, TimeDelta::hours(2), None).await;
    }
    // The id of all guests and the phone of the shop's own call centre: with the first guest they may be one person's still.
    let shared = json!({"customer_id": "0", "phone": "+380441234567"});
    let guest = |id: u128| {
        let mut more = json!({"session_id": uuid(10 * id), "email": format!("guest{id}@shop.example")});
        more.as_object_mut()
            .unwrap()
            .extend(shared.as_object().unwrap().clone());
        order(&format!("guest{id}"), more)
    };
    shop.ok(guest(1)).await;
    let early = shop.ok(order("early", shared.clone())).await;
    assert_eq!(early["linked_by"], "customer");
    shop.ok(Value::Array((2..=6).map(guest).collect())).await;
    shop.join_customers().await;

    let none = (json!("none"), Value::Null, json!("shared_contact"));
    for (id, more) in [
        ("by-id", json!({"customer_id": "0"})),
        ("by-phone", json!({"phone": "044 123 45 67"})),
        ("by-both", shared.clone()),
    ] {
        let answer = shop.ok(order(id, more)).await;
        assert_eq!(
            (
                answer["linked_by"].clone(),
                answer["session_id"].clone(),
                answer["cause"].clone()
            ),
            none,
            "{id}"
        );
    }
    // What else stands on the order still finds its visit, and what that teaches leaves the shared contacts out.
    let mut own = shared.clone();
    own["email"] = json!("guest3@shop.example");
    let answer = shop.ok(order("own", own)).await;
    assert_eq!(
        (&answer["linked_by"], &answer["session_id"]),
        (&json!("email"), &json!(uuid(30)))
    );
    shop.ok(guest(7)).await;
    let known: Vec<String> = sqlx::query_scalar("select kind from visitor_contacts where visitor_id = $1")
        .bind(Uuid::from_u128(7))
        .fetch_all(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(known, ["email"]);

    // The order from before it was known loses the stranger's visit when it is looked at again.
    assert_eq!(shop.money(10).await, (2, 0, 2, dec("20")));
    shop.wait(TimeDelta::seconds(4));
    shop.refresh().await;
    let early = shop.get("early").await;
    assert_eq!(
        (
            early["linked_by"].clone(),
            early["session_id"].clone(),
            early["cause"].clone()
        ),
        none
    );
    assert_eq!(shop.money(10).await, (1, 0, 1, dec("10")));
}

#[tokio::test]
async fn who_ordered_is_a_confirmed_person_though_no_script_said_so() {
    let shop = Shop::open().await;
    shop.session(1, 10, TimeDelta::hours(30), None).await;
    shop.session(1, 11, TimeDelta::hours(27), None).await;
    shop.session(2, 20, TimeDelta::hours(30), None).await;
    let reader = shop.app.bearer(&shop.site, &[Scope::Read]).await;
    let confirmed = async || {
        let path = "/api/utm/general-stats?start_date=2026-11-17&end_date=2026-11-20&confirmed=true";
        let stats: Value = reader
            .get(shop.app.url(path))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        [
            stats["total_sessions"].clone(),
            stats["unique_visitors"].clone(),
            stats["conversion_rate"].clone(),
        ]
    };
    let sum_up = async || {
        central_api::rollup::upkeep::catch_up(&shop.app.db.pool, shop.now(), |_| {})
            .await
            .unwrap();
        central_api::rollup::cohorts::upkeep::catch_up(&shop.app.db.pool, &shop.site, shop.now(), |_| {})
            .await
            .unwrap();
    };
    sum_up().await;
    assert_eq!(confirmed().await, [json!(0), json!(0), Value::Null]);

    let order = json!({"order_id": "1", "session_id": uuid(10), "total": 100, "payment_status": "paid"});
    shop.ok(order.clone()).await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let hours = |visitor: Uuid, marks: &[(Uuid, DateTime<Utc>)]| -> BTreeSet<String> {
        let own = marks.iter().filter(|(of, _)| *of == visitor);
        own.map(|(_, hour)| hour.format("%d %H").to_string()).collect()
    };
    let marks: Vec<(Uuid, DateTime<Utc>)> = sqlx::query_as("select visitor_id, hour from rollup_marks")
        .fetch_all(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(
        hours(first, &marks),
        ["19 04", "19 07", "20 10"].map(str::to_owned).into(),
        "its hour, the later session's, the order's"
    );
    assert_eq!(hours(second, &marks), BTreeSet::new());
    let known = [json!(1), json!(1), json!(100)];
    assert_eq!(confirmed().await, known);
    sum_up().await;
    assert_eq!(confirmed().await, known);

    // A state that changes nothing marks nothing.
    shop.marks().await;
    shop.ok(order).await;
    assert_eq!(shop.marks().await, []);
}
