//! Finding, exporting and erasing a person, on the real application: after an erasure no table holds anything of theirs.

mod meanwhile;

use central_api::auth::{Role, Scope};
use central_api::rollup::upkeep;
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ingest::{app, deliver, event, now, with};
use crate::support::TestApp;

/// Sessions 2 and 3 are of one visitor (see [`event`]), 4 of another.
const VISITOR: Uuid = Uuid::from_u128(1_001);
const SESSION: Uuid = Uuid::from_u128(2_002);
const AGENT: &str = "SomebodysVeryOwnBrowser/7.0";

async fn everything(app: &TestApp) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and not c.relispartition and n.nspname = 'public'",
    )
    .fetch_all(&app.db.pool)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let sql = format!("select '{table}: ' || t::text from {table} t");
        let more: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&app.db.pool)
            .await
            .unwrap();
        rows.extend(more);
    }
    rows
}

fn order(id: &str, fields: Value) -> Value {
    let order = json!({"order_id": id, "total": "100.00", "payment_status": "paid", "created_at": now() - TimeDelta::minutes(30),
        "updated_at": now() - TimeDelta::minutes(30)});
    with(order, fields)
}

/// Somebody with a session, two orders that an e-mail and a phone join, and a refused order; and somebody else.
async fn story() -> TestApp {
    let app = app().await;
    let site = app.state.sites.by_key("shop").unwrap();
    let context = json!({"country": "UA", "city": "Lviv", "user_agent": AGENT, "ip": "203.0.113.0/24", "ip_hash": "abcdef0123456789"});
    let touch = json!({"utm_source": "google", "utm_campaign": "autumn", "landing_path": "/l", "click_ids": {"gclid": "TheirClickId"}});
    let landing = with(event(1, 2, 3_500_000), json!({"touch": touch, "context": context}));
    let other = with(
        event(2, 4, 3_400_000),
        json!({"touch": {"utm_source": "google"}, "context": {"country": "UA"}}),
    );
    assert_eq!(deliver(&app, &[landing, event(3, 3, 1_000), other]).await.accepted, 3);
    let shop = app.bearer(&site, &[Scope::Orders]).await;
    let orders = json!([
        order("1", json!({"session_id": SESSION, "email": "Olena@Shop.example", "phone": "067 123 45 67", "referral_code": "OLENA10"})),
        order("2", json!({"phone": "+380671234567", "customer_id": "C-77"})),
        order("3", json!({"session_id": Uuid::from_u128(2_004), "email": "other@shop.example"})),
        {"order_id": "4", "total": "-5", "payment_status": "paid", "email": " OLENA@shop.example", "phone": "not one"},
        {"order_id": "5", "total": "-5", "payment_status": "paid", "email": "other@shop.example"},
    ]);
    let answer = shop.post(app.url("/api/v1/orders")).json(&orders).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    settle(&app).await;
    app
}

async fn ask(app: &TestApp, client: &reqwest::Client, what: &str, who: Value, status: u16) -> Value {
    let url = app.url(&format!("/api/v1/privacy/{what}"));
    let answer = client.post(url).json(&who).send().await.unwrap();
    let got = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Has everything that is derived from sessions and orders brought up to date, as it is within minutes.
async fn settle(app: &TestApp) {
    let site = app.state.sites.by_key("shop").unwrap();
    let later = now() + TimeDelta::hours(2);
    upkeep::catch_up(&app.db.pool, later, |_| {}).await.unwrap();
    central_api::rollup::cohorts::upkeep::catch_up(&app.db.pool, &site, later, |_| {})
        .await
        .unwrap();
    central_api::business::upkeep::catch_up(&app.db.pool, &app.state.config.secret, &site, now())
        .await
        .unwrap();
}

async fn revenue(app: &TestApp, date: &str) -> (Value, Value) {
    let site = app.state.sites.by_key("shop").unwrap();
    let reader = app.bearer(&site, &[Scope::Read]).await;
    let url = app.url(&format!("/api/utm/general-stats?period=today&attribution_date={date}"));
    let stats: Value = reader.get(url).send().await.unwrap().json().await.unwrap();
    (stats["total_sessions"].clone(), stats["total_revenue"].clone())
}

#[tokio::test]
async fn a_customer_is_found_by_any_contact_and_erased_from_every_table() {
    let app = story().await;
    let admin = app.admin().await;
    let found =
        json!({"visitors": 1, "shared_visitors": 0, "sessions": 2, "events": 2, "orders": 2, "dead_letters": 1});
    for who in [
        json!({"email": "olena@shop.example"}),
        json!({"phone": "0671234567"}),
        json!({"customer_id": "C-77"}),
    ] {
        assert_eq!(ask(&app, &admin, "find", who, 200).await, found);
    }
    let exported = ask(&app, &admin, "export", json!({"customer_id": "C-77"}), 200).await;
    assert_eq!(exported["visitors"], json!([VISITOR]));
    assert_eq!(exported["sessions"][0]["user_agent"], AGENT);
    assert_eq!(exported["sessions"][0]["click_ids"]["gclid"], "TheirClickId");
    for (kind, rows) in [("sessions", 2), ("events", 2), ("orders", 2), ("refused", 1)] {
        assert_eq!(exported[kind].as_array().unwrap().len(), rows, "{kind}");
    }
    assert!(!exported.to_string().contains("other@shop"));

    let hashes: Vec<String> = exported["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contact| {
            contact["contact_hash"]
                .as_str()
                .unwrap()
                .trim_start_matches("\\x")
                .to_owned()
        })
        .collect();
    assert!(hashes.len() >= 2);
    assert_eq!(revenue(&app, "session").await, (json!(3), json!(300)));
    let erased = ask(&app, &admin, "erase", json!({"email": "olena@shop.example"}), 200).await;
    assert_eq!(
        erased,
        json!({"visitors": 1, "sessions": 2, "events": 2, "orders": 2, "dead_letters": 1})
    );
    assert_eq!(revenue(&app, "session").await, (json!(1), json!(100)), "at once");

    // What is derived follows within seconds: here, at once.
    settle(&app).await;
    let mut traces = vec![
        VISITOR.to_string(),
        SESSION.to_string(),
        AGENT.into(),
        "TheirClickId".into(),
        "203.0.113".into(),
    ];
    traces.extend(["abcdef0123456789", "olena@shop", "OLENA", "671234567", "C-77", "Lviv"].map(str::to_owned));
    traces.extend(hashes);
    let rows = everything(&app).await;
    assert!(rows.iter().any(|row| row.starts_with("orders: ")), "the scan sees rows");
    for row in &rows {
        for trace in &traces {
            assert!(!row.contains(trace.as_str()), "{trace} is still in {row}");
        }
    }
    // The books stay, and what others did; figures are right at once and after upkeep.
    for _ in 0..2 {
        assert_eq!(revenue(&app, "session").await, (json!(1), json!(100)));
        assert_eq!(revenue(&app, "order").await.1, json!(300));
        upkeep::catch_up(&app.db.pool, now() + TimeDelta::hours(2), |_| {})
            .await
            .unwrap();
    }
    assert_eq!(
        ask(&app, &admin, "find", json!({"customer_id": "C-77"}), 200).await["orders"],
        0
    );
    let log: Value = admin
        .get(app.url("/api/v1/audit-log"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&log[0]["action"], &log[0]["subject"], &log[1]["action"]),
        (&json!("privacy.erase"), &json!("customer"), &json!("privacy.export"))
    );
}

#[tokio::test]
async fn a_contact_that_many_people_share_leads_to_none_of_them() {
    let app = story().await;
    let admin = app.admin().await;
    let site = app.state.sites.by_key("shop").unwrap();
    let shop = app.bearer(&site, &[Scope::Orders]).await;
    // A guest's customer id and the phone of the shop's own call centre: on Olena's next order, and on those of six others.
    let guest = |id: usize, email: &str| {
        order(
            &format!("guest-{id}"),
            json!({"email": email, "customer_id": "0", "phone": "+380441234567", "visitor_id": Uuid::from_u128(1_002)}),
        )
    };
    let mut orders: Vec<Value> = (1..=6)
        .map(|id| guest(id, &format!("guest{id}@shop.example")))
        .collect();
    orders.push(order(
        "guest-7",
        json!({"email": "olena@shop.example", "customer_id": "0", "phone": "+380441234567"}),
    ));
    let answer = shop.post(app.url("/api/v1/orders")).json(&orders).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    settle(&app).await;

    let found =
        json!({"visitors": 1, "shared_visitors": 0, "sessions": 2, "events": 2, "orders": 3, "dead_letters": 1});
    for who in [json!({"email": "olena@shop.example"}), json!({"customer_id": " C-77 "})] {
        assert_eq!(ask(&app, &admin, "find", who, 200).await, found);
    }
    for who in [json!({"customer_id": "0"}), json!({"phone": "+380441234567"})] {
        let refused = ask(&app, &admin, "erase", who, 409).await;
        assert!(
            refused["error"]["message"].as_str().unwrap().contains("many people"),
            "{refused}"
        );
    }
    let erased = ask(&app, &admin, "erase", json!({"email": "olena@shop.example"}), 200).await;
    assert_eq!((&erased["orders"], &erased["visitors"]), (&json!(3), &json!(1)));
    let others = ask(&app, &admin, "find", json!({"email": "guest1@shop.example"}), 200).await;
    assert_eq!((&others["orders"], &others["visitors"]), (&json!(1), &json!(1)));
    settle(&app).await;
    let kept: i64 = sqlx::query_scalar("select count(*) from orders where customer_hash is not null")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(kept, 6);
}

#[tokio::test]
async fn an_old_state_of_an_order_brings_nobody_back_and_a_newer_one_is_new_data() {
    let app = story().await;
    let admin = app.admin().await;
    ask(&app, &admin, "erase", json!({"customer_id": "C-77"}), 200).await;
    let site = app.state.sites.by_key("shop").unwrap();
    let shop = app.bearer(&site, &[Scope::Orders]).await;
    let send = async |order: Value| {
        let answer = shop.post(app.url("/api/v1/orders")).json(&order).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    let state = order(
        "1",
        json!({"session_id": SESSION, "email": "Olena@Shop.example", "phone": "067 123 45 67", "referral_code": "OLENA10"}),
    );
    send(state.clone()).await;
    send(with(
        state.clone(),
        json!({"updated_at": now() - TimeDelta::minutes(1), "total": "120"}),
    ))
    .await;
    let orders =
        async || ask(&app, &admin, "find", json!({"email": "olena@shop.example"}), 200).await["orders"].clone();
    assert_eq!(orders().await, 0);
    settle(&app).await;
    assert!(!everything(&app).await.iter().any(|row| row.contains("OLENA10")));
    send(with(state, json!({"updated_at": now() + TimeDelta::minutes(1)}))).await;
    assert_eq!(orders().await, 1);
}

#[tokio::test]
async fn a_visitor_goes_and_the_customer_s_orders_keep_their_contacts() {
    let app = story().await;
    let admin = app.admin().await;
    let erased = ask(&app, &admin, "erase", json!({"visitor_id": VISITOR}), 200).await;
    assert_eq!(
        erased,
        json!({"visitors": 1, "sessions": 2, "events": 2, "orders": 2, "dead_letters": 0})
    );
    settle(&app).await;
    for row in everything(&app).await {
        for trace in [
            VISITOR.to_string(),
            SESSION.to_string(),
            AGENT.into(),
            "TheirClickId".into(),
        ] {
            assert!(!row.contains(&trace), "{trace} is still in {row}");
        }
    }
    let found = ask(&app, &admin, "find", json!({"email": "olena@shop.example"}), 200).await;
    assert_eq!((&found["orders"], &found["visitors"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn more_are_looked_for_at_once_than_there_are_connections() {
    let app = story().await;
    let admin = app.admin().await;
    let asked: Vec<_> = (0..12)
        .map(|n| {
            let body = json!({"email": format!("nobody{n}@shop.example")});
            tokio::spawn(admin.post(app.url("/api/v1/privacy/find")).json(&body).send())
        })
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn what_names_a_neighbour_whose_address_only_holds_the_person_s_is_left_alone() {
    let app = app().await;
    let site = app.state.sites.by_key("shop").unwrap();
    let shop = app.bearer(&site, &[Scope::Orders]).await;
    let refused = async |body: String| {
        let answer = shop.post(app.url("/api/v1/orders")).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400);
    };
    for neighbour in [
        "joanna@shop.example",
        "jo.anna@shop.example",
        "anna@shop.example.com",
        "anna@shop.examples",
        "jo+anna@shop.example",
        "anna@shop.example-two.com",
    ] {
        refused(json!({"order_id": "n", "total": -5, "email": neighbour}).to_string()).await;
    }
    let admin = app.admin().await;
    let who = json!({"email": "anna@shop.example"});
    assert_eq!(ask(&app, &admin, "find", who.clone(), 200).await["dead_letters"], 0);
    for theirs in [
        json!({"order_id": "1", "total": -5, "note": "write to:\nAnna@shop.example."}).to_string(),
        json!({"order_id": "2", "total": -5, "note": "<anna@shop.example>,joanna@shop.example"}).to_string(),
        json!({"order_id": "3", "total": -5, "note": "joanna@shop.example; anna@shop.example"}).to_string(),
        json!({"order_id": "4", "total": -5, "page": "/?to=%20anna@shop.example"}).to_string(),
        r#"{"order_id": "6", "total": -5, "note": "\u003canna@shop.example\u003e"}"#.to_owned(),
        r#"{"order_id": "5", "total": nothing, "email":anna@shop.example}"#.to_owned(),
    ] {
        refused(theirs).await;
    }
    assert_eq!(ask(&app, &admin, "find", who, 200).await["dead_letters"], 6);
}

#[tokio::test]
async fn only_an_admin_may_and_must_say_who() {
    let app = app().await;
    let site = app.state.sites.by_key("shop").unwrap();
    let viewer = app.logged_in(Role::Viewer, Some(&site)).await;
    let admin = app.admin().await;
    for what in ["find", "export", "erase"] {
        ask(&app, &viewer, what, json!({"email": "a@b.example"}), 403).await;
        ask(&app, &app.client, what, json!({"email": "a@b.example"}), 401).await;
        for (who, field) in [
            (json!({}), "visitor_id"),
            (json!({"visitor_id": VISITOR, "email": "a@b.example"}), "visitor_id"),
            (json!({"visitor_id": "x"}), "visitor_id"),
            (json!({"email": "nobody"}), "email"),
            (json!({"customer_id": " "}), "customer_id"),
            (json!({"phone": "12"}), "phone"),
            (json!({"name": "Olena"}), "name"),
            (json!({"email": "a@b.example", "site": "none"}), "site"),
        ] {
            assert_eq!(ask(&app, &admin, what, who, 400).await["error"]["field"], field);
        }
    }
    let change = json!({"settings": {"blocked_contacts": ["info@shop.example"]}});
    admin
        .patch(app.url("/api/v1/sites/shop"))
        .json(&change)
        .send()
        .await
        .unwrap();
    ask(&app, &admin, "erase", json!({"email": "info@shop.example"}), 409).await;
}
