//! `POST /api/v1/events` on the real application.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use central_api::auth::Scope;
use central_api::clock::Clock;
use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::ids::uuid_v7;
use uuid::Uuid;

use crate::ingest::{app, app_at, deliver, event, now};
use crate::support::TestApp;

async fn client(app: &TestApp) -> reqwest::Client {
    let site = app.state.sites.by_key("shop").unwrap();
    app.bearer(&site, &[Scope::Events]).await
}

async fn send(app: &TestApp, client: &reqwest::Client, body: &Value) -> (u16, Value) {
    let answer = client.post(app.url("/api/v1/events")).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn one<T>(app: &TestApp, sql: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(sql).fetch_one(&app.db.pool).await.unwrap()
}

#[tokio::test]
async fn an_event_joins_its_session_and_a_sign_up_marks_the_registration() {
    let app = app().await;
    let client = client(&app).await;
    deliver(&app, &[event(1, 1, 60_000)]).await;
    let session = Uuid::from_u128(2_001);
    let (status, answer) = send(
        &app,
        &client,
        &json!({"action": "sign_up", "session_id": session, "email": "Anna@Example.com"}),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (answer["status"].as_str(), answer["found_by"].as_str()),
        (Some("accepted"), Some("session"))
    );
    assert_eq!(
        one::<i64>(
            &app,
            "select count(*) from sessions where registered_at is not null and human_seen and event_count = 2"
        )
        .await,
        1
    );
    // The e-mail finds the visitor from now on.
    let (_, answer) = send(
        &app,
        &client,
        &json!({"action": "lead", "email": "anna@example.com", "value": 250}),
    )
    .await;
    assert_eq!(answer["found_by"], "contact");
    assert_eq!(answer["session_id"], json!(session));
    let visitor = Uuid::from_u128(1_000);
    let (_, answer) = send(
        &app,
        &client,
        &json!({"action": "search", "label": "jacket", "visitor_id": visitor}),
    )
    .await;
    assert_eq!(answer["found_by"], "visitor");
    assert_eq!(one::<i32>(&app, "select points from sessions").await, 1 + 5 + 52 + 2);
}

#[tokio::test]
async fn the_same_key_and_time_is_the_same_event() {
    let app = app().await;
    let client = client(&app).await;
    deliver(&app, &[event(1, 1, 60_000)]).await;
    let at = (now() - TimeDelta::minutes(1)).to_rfc3339();
    for id in [
        json!("order-77-paid"),
        json!(77),
        json!(Uuid::from_u128(5)),
        json!(uuid_v7(now().timestamp_millis(), [9; 10])),
    ] {
        let body = json!({"event_id": id, "occurred_at": at, "action": "purchase", "value": "10", "session_id": Uuid::from_u128(2_001)});
        assert_eq!(send(&app, &client, &body).await.1["status"], "accepted", "{id}");
        assert_eq!(send(&app, &client, &body).await.1["status"], "duplicate", "{id}");
    }
    assert_eq!(one::<i64>(&app, "select count(*) from events").await, 5);
    let body = json!({"event_id": "order-78", "action": "purchase"});
    let (status, answer) = send(&app, &client, &body).await;
    assert_eq!((status, answer["error"]["field"].as_str()), (400, Some("occurred_at")));
}

#[tokio::test]
async fn an_event_of_a_session_that_was_erased_finds_it_for_a_minute_at_most() {
    let seconds = Arc::new(AtomicI64::new(0));
    let later = seconds.clone();
    let app = app_at(Clock::from_fn(move || {
        now() + TimeDelta::seconds(later.load(Ordering::Relaxed))
    }))
    .await;
    let client = client(&app).await;
    deliver(&app, &[event(1, 1, 60_000)]).await;
    let lead = json!({"action": "lead", "session_id": Uuid::from_u128(2_001)});
    assert_eq!(send(&app, &client, &lead).await.1["found_by"], "session");

    let admin = app.admin().await;
    let erased = admin
        .post(app.url("/api/v1/privacy/erase"))
        .json(&json!({"visitor_id": Uuid::from_u128(1_000)}))
        .send()
        .await
        .unwrap();
    assert_eq!(erased.status(), 200);
    seconds.store(61, Ordering::Relaxed);
    let (status, answer) = send(&app, &client, &lead).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (400, Some("unknown_session")),
        "{answer}"
    );
    assert_eq!(one::<i64>(&app, "select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn an_event_before_its_landing_opens_the_session_and_the_landing_fills_it() {
    let app = app().await;
    let client = client(&app).await;
    let landing = event(1, 1, 60_000);
    let body = json!({
        "action": "add_to_cart", "session_id": landing["session"]["id"], "visitor_id": landing["visitor"],
        "occurred_at": (now() - TimeDelta::seconds(30)).to_rfc3339(),
    });
    assert_eq!(send(&app, &client, &body).await.1["found_by"], "not_seen_yet");
    deliver(&app, &[landing]).await;
    assert_eq!(
        one::<i64>(
            &app,
            "select count(*) from sessions where event_count = 2 and page_views = 1"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn a_list_is_judged_one_by_one_and_every_event_says_where_it_went() {
    let app = app().await;
    let client = client(&app).await;
    deliver(&app, &[event(1, 1, 60_000)]).await;
    let unknown = Uuid::from_u128(99);
    let (status, answer) = send(
        &app,
        &client,
        &json!([
            {"action": "lead", "session_id": Uuid::from_u128(2_001)},
            {"action": "lead"},
            {"action": "lead", "session_id": unknown},
            {"action": "Lead"},
            {"action": "lead", "valu": 1},
            {"action": "lead", "value": -1},
            {"action": "lead", "occurred_at": "yesterday"},
            {"action": "lead", "occurred_at": (now() - TimeDelta::days(40)).to_rfc3339()},
            {"action": "custom"},
            7,
        ]),
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    let found: Vec<_> = answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["index"].as_u64().unwrap(), event["found_by"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [(0, "session"), (1, "none")]);
    let rejected: Vec<_> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["index"].as_u64().unwrap(), r["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        rejected,
        [
            (2, "unknown_session"),
            (3, "invalid_field"),
            (4, "unknown_field"),
            (5, "invalid_field"),
            (6, "invalid_field"),
            (7, "too_old"),
            (8, "invalid_field"),
            (9, "invalid_json")
        ]
    );
    assert_eq!(
        one::<i64>(&app, "select count(*) from dead_letters where kind = 'server_events'").await,
        8
    );
    assert_eq!(one::<i64>(&app, "select count(*) from anonymous_hits").await, 1);
}

#[tokio::test]
async fn a_key_without_the_scope_or_of_nobody_is_refused() {
    let app = app().await;
    let site = app.state.sites.by_key("shop").unwrap();
    let client = app.bearer(&site, &[Scope::Orders]).await;
    assert_eq!(send(&app, &client, &json!({"action": "lead"})).await.0, 403);
    assert_eq!(
        send(&app, &reqwest::Client::new(), &json!({"action": "lead"})).await.0,
        401
    );
}

#[tokio::test]
async fn single_events_sent_at_once_are_all_stored() {
    let app = std::sync::Arc::new(app().await);
    let client = client(&app).await;
    deliver(&app, &[event(1, 1, 60_000)]).await;
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (app, client) = (app.clone(), client.clone());
            tokio::spawn(async move {
                send(
                    &app,
                    &client,
                    &json!({"action": "click", "session_id": Uuid::from_u128(2_001)}),
                )
                .await
                .0
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(one::<i32>(&app, "select event_count from sessions").await, 201);
}

#[tokio::test]
async fn a_dead_letter_is_listed_and_replayed_once_its_cause_is_gone() {
    let app = app().await;
    let client = client(&app).await;
    let unknown = Uuid::from_u128(2_001);
    send(&app, &client, &json!([{"action": "lead", "session_id": unknown}])).await;
    let mut old = event(7, 3, 40 * 86_400_000);
    old["session"]["started"] = old["at"].clone();
    deliver(&app, &[old, event(8, 4, -11 * 60_000), json!({"no": "event"})]).await;
    let admin = app.admin().await;
    let listed = |query: &'static str| {
        let (admin, url) = (admin.clone(), app.url(&format!("/api/v1/dead-letters{query}")));
        async move { admin.get(url).send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let all = listed("").await;
    assert_eq!(all["total"], 4);
    let codes: Vec<_> = all["dead_letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["unknown_session", "too_old", "clock_ahead", "invalid_json"]);
    assert_eq!(listed("?code=too_old").await["total"], 1);
    assert_eq!(listed("?limit=0").await["error"]["field"], "limit");
    // The session arrives after all.
    deliver(&app, &[event(1, 1, 60_000)]).await;
    let mut outcomes = Vec::new();
    for letter in all["dead_letters"].as_array().unwrap() {
        let url = app.url(&format!("/api/v1/dead-letters/{}/replay", letter["id"]));
        outcomes.push(admin.post(url).send().await.unwrap().json::<Value>().await.unwrap()["outcome"].clone());
    }
    assert_eq!(outcomes, ["accepted", "accepted", "clock_ahead", "invalid_json"]);
    assert_eq!(listed("").await["total"], 2);
    assert_eq!(one::<i64>(&app, "select count(*) from dead_letters").await, 4);
    assert_eq!(one::<i64>(&app, "select count(*) from events").await, 3);
    let again = admin
        .post(app.url("/api/v1/dead-letters/1/replay"))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(
        admin
            .post(app.url("/api/v1/dead-letters/99/replay"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        client
            .get(app.url("/api/v1/dead-letters"))
            .send()
            .await
            .unwrap()
            .status(),
        401
    );
}

/// A purchase that named nobody's session half an hour ago; the session is there by now. The number of its letter.
async fn purchase_before_its_session(app: &TestApp) -> i64 {
    let client = client(app).await;
    let body = json!({"action": "purchase", "session_id": Uuid::from_u128(2_001), "value": "500"});
    let (status, answer) = send(app, &client, &body).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (400, Some("unknown_session"))
    );
    sqlx::query("update dead_letters set received_at = received_at - interval '30 minutes'")
        .execute(&app.db.pool)
        .await
        .unwrap();
    deliver(app, &[event(1, 1, 40 * 60_000)]).await;
    one(app, "select dead_letter_id from dead_letters").await
}

async fn replay(app: &TestApp, admin: &reqwest::Client, letter: i64) -> Value {
    let url = app.url(&format!("/api/v1/dead-letters/{letter}/replay"));
    let answer = admin.post(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["outcome"].clone()
}

#[tokio::test]
async fn a_letter_that_was_accepted_counts_once_however_often_it_is_replayed() {
    let app = app().await;
    let letter = purchase_before_its_session(&app).await;
    let admin = app.admin().await;
    let at_once = futures_util::future::join_all((0..6).map(|_| replay(&app, &admin, letter))).await;
    assert_eq!(at_once, ["accepted"; 6]);
    assert_eq!(replay(&app, &admin, letter).await, "accepted");
    let path = app.url("/api/v1/dead-letters?settled=true");
    let listed: Value = admin.get(path).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["dead_letters"][0]["replay_outcome"], "accepted");
    assert_eq!(one::<i64>(&app, "select count(*) from events").await, 2);
}

#[tokio::test]
async fn a_replay_whose_outcome_was_not_noted_stores_the_same_event_again() {
    let app = app().await;
    let letter = purchase_before_its_session(&app).await;
    let admin = app.admin().await;
    assert_eq!(replay(&app, &admin, letter).await, "accepted");
    sqlx::query("update dead_letters set replayed_at = null, replay_outcome = null")
        .execute(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(replay(&app, &admin, letter).await, "duplicate");
    assert_eq!(one::<i64>(&app, "select count(*) from events").await, 2);
}

/// Makes the visitor of a session known by an e-mail.
async fn known_by_email(app: &TestApp, session: u128) {
    let client = client(app).await;
    let at = (now() - TimeDelta::minutes(50)).to_rfc3339();
    let body = json!({"action": "custom", "name": "known", "session_id": Uuid::from_u128(2_000 + session), "email": "anna@shop.example",
        "occurred_at": at});
    assert_eq!(send(app, &client, &body).await.1["found_by"], "session");
}

#[tokio::test]
async fn an_event_found_by_a_contact_is_stored_once_whoever_else_has_the_contact_by_then() {
    let app = app().await;
    let client = client(&app).await;
    let at = (now() - TimeDelta::minutes(30)).to_rfc3339();
    let body = json!({"event_id": "paid-77", "occurred_at": at, "action": "purchase", "value": "500", "email": "anna@shop.example"});
    let admin = app.admin().await;
    sqlx::query("insert into dead_letters (site_id, kind, received_at, code, message, payload) select site_id, 'server_events', $1, 'x', 'x', $2 from sites")
        .bind(now() - TimeDelta::minutes(20))
        .bind(serde_json::to_vec(&json!({"action": "lead", "session_id": Uuid::from_u128(2_005), "email": "anna@shop.example"})).unwrap())
        .execute(&app.db.pool)
        .await
        .unwrap();
    let letter: i64 = one(&app, "select dead_letter_id from dead_letters").await;

    deliver(&app, &[event(1, 1, 55 * 60_000)]).await;
    known_by_email(&app, 1).await;
    let (_, first) = send(&app, &client, &body).await;
    assert_eq!(
        (&first["status"], &first["found_by"]),
        (&json!("accepted"), &json!("contact"))
    );
    assert_eq!(replay(&app, &admin, letter).await, "accepted");
    // Nobody noted it: the process was killed.
    sqlx::query("update dead_letters set replayed_at = null, replay_outcome = null")
        .execute(&app.db.pool)
        .await
        .unwrap();

    // The same person's other browser, whose events and contact come late; and the session that the letter names.
    let started = json!({"id": Uuid::from_u128(2_003), "started": (now() - TimeDelta::minutes(40)).timestamp_millis(), "visit": 1});
    let other = crate::ingest::with(event(2, 3, 39 * 60_000), json!({"session": started}));
    deliver(&app, &[other, event(3, 5, 55 * 60_000)]).await;
    known_by_email(&app, 3).await;
    let (_, again) = send(&app, &client, &body).await;
    assert_eq!(
        (&again["status"], &again["session_id"]),
        (&json!("duplicate"), &first["session_id"])
    );
    assert_eq!(replay(&app, &admin, letter).await, "duplicate");
    assert_eq!(
        one::<i64>(&app, "select sum(purchase_events + lead_events) from sessions").await,
        2
    );
}

#[tokio::test]
async fn what_is_replayed_without_a_time_happened_when_it_came() {
    let app = app().await;
    let letter = purchase_before_its_session(&app).await;
    replay(&app, &app.admin().await, letter).await;
    let at: chrono::DateTime<chrono::Utc> = one(&app, "select max(occurred_at) from events").await;
    assert_eq!(at, now() - TimeDelta::minutes(30));
    let last_seen: chrono::DateTime<chrono::Utc> = one(&app, "select last_seen from sessions").await;
    assert_eq!(last_seen, at);
}

#[tokio::test]
async fn a_session_that_began_before_the_look_back_is_found_while_it_was_alive_within_it() {
    let app = app().await;
    let client = client(&app).await;
    // Both began 40 days ago; one was still visited five days ago, the other one 31.
    for (session, days) in [(1, 5), (3, 31)] {
        let mut seen = event(session, session.into(), days * 86_400_000);
        seen["session"]["started"] = json!((now() - TimeDelta::days(40)).timestamp_millis());
        assert_eq!(deliver(&app, &[seen]).await.accepted, 1);
    }
    let found_by = async |visitor: u128, days: i64| {
        let at = (now() - TimeDelta::days(days)).to_rfc3339();
        let body = json!({"action": "search", "visitor_id": Uuid::from_u128(visitor), "occurred_at": at});
        send(&app, &client, &body).await.1["found_by"].clone()
    };
    assert_eq!(found_by(1_000, 0).await, "visitor");
    assert_eq!(found_by(1_001, 0).await, "none");
    assert_eq!(found_by(1_001, 2).await, "visitor");
}

#[tokio::test]
async fn a_refusal_names_the_field_as_the_shop_sent_it() {
    let app = app().await;
    let client = client(&app).await;
    deliver(&app, &[event(1, 1, 60_000)]).await;
    let old = now() - TimeDelta::days(40);
    let session = Uuid::from_u128(2_001);
    let long = "x".repeat(300);
    let cases = [
        (
            json!({"action": "lead", "occurred_at": old.to_rfc3339()}),
            Some("occurred_at"),
        ),
        (
            json!({"action": "lead", "occurred_at": old.to_rfc3339(), "event_id": "mine"}),
            Some("occurred_at"),
        ),
        (
            json!({"action": "lead", "event_id": uuid_v7(old.timestamp_millis(), [1; 10])}),
            Some("event_id"),
        ),
        (
            json!({"action": "lead", "session_id": Uuid::nil(), "visitor_id": Uuid::from_u128(5)}),
            Some("session_id"),
        ),
        (
            json!({"action": "lead", "session_id": session, "label": "x".repeat(40_000)}),
            None,
        ),
        (
            json!({"action": "lead", "session_id": session, "label": long}),
            Some("label"),
        ),
        (
            json!({"action": "lead", "session_id": session, "currency": "hryvnia"}),
            Some("currency"),
        ),
        // Also of somebody who is not known: it would be refused with the first who is.
        (
            json!({"action": "lead", "email": "nobody@example.com", "currency": "UA"}),
            Some("currency"),
        ),
        (json!({"action": "custom", "session_id": session}), Some("name")),
        (json!("x"), None),
        (json!({"action": "lead", "valu": 1}), Some("valu")),
    ];
    for (body, field) in &cases {
        let (status, answer) = send(&app, &client, body).await;
        assert_eq!((status, answer["error"]["field"].as_str()), (400, *field), "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(field.is_none_or(|field| message.starts_with(field)), "{message}");
    }
    let list: Vec<&Value> = cases.iter().map(|(body, _)| body).collect();
    let (_, answer) = send(&app, &client, &json!(list)).await;
    let fields: Vec<Option<&str>> = answer["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rejected| rejected["field"].as_str())
        .collect();
    let wanted: Vec<Option<&str>> = cases.iter().map(|(_, field)| *field).collect();
    assert_eq!(fields, wanted);
}

#[tokio::test]
async fn a_contact_that_many_people_share_finds_no_session_and_is_not_remembered() {
    let app = app().await;
    let client = client(&app).await;
    deliver(&app, &(1..9).map(|n| event(n, n.into(), 60_000)).collect::<Vec<_>>()).await;
    let site = app.state.sites.by_key("shop").unwrap();
    let shop = app.bearer(&site, &[Scope::Orders]).await;
    let (visitor, session): (Uuid, Uuid) =
        sqlx::query_as("select visitor_id, session_id from sessions order by session_id limit 1")
            .fetch_one(&app.db.pool)
            .await
            .unwrap();
    let mut orders: Vec<Value> = (0..6)
        .map(|n| json!({"order_id": format!("o{n}"), "customer_id": "0", "email": format!("guest{n}@shop.example"), "total": 1, "payment_status": "paid"}))
        .collect();
    orders[0]["session_id"] = json!(session);
    let answer = shop.post(app.url("/api/v1/orders")).json(&orders).send().await.unwrap();
    assert!(answer.status().is_success());
    let lead = |contact: Value| {
        let mut body = json!({"action": "lead"});
        body.as_object_mut()
            .unwrap()
            .extend(contact.as_object().unwrap().clone());
        body
    };
    let answer = send(&app, &client, &lead(json!({"customer_id": "0"}))).await.1;
    assert_eq!(
        answer["found_by"], "contact",
        "what nobody has counted yet may be one person's"
    );
    central_api::business::upkeep::catch_up(&app.db.pool, &app.state.config.secret, &site, now())
        .await
        .unwrap();

    let answer = send(&app, &client, &lead(json!({"customer_id": "0"}))).await.1;
    assert_eq!(
        (&answer["found_by"], &answer["session_id"]),
        (&json!("none"), &Value::Null)
    );
    let answer = send(
        &app,
        &client,
        &lead(json!({"customer_id": "0", "email": "guest0@shop.example"})),
    )
    .await
    .1;
    assert_eq!(
        (&answer["found_by"], &answer["session_id"]),
        (&json!("contact"), &json!(session))
    );
    let (_, answer) = send(&app, &client, &json!({"action": "sign_up", "visitor_id": visitor, "session_id": session, "customer_id": "0", "phone": "+380671234567"})).await;
    assert_eq!(answer["found_by"], "session");
    sqlx::query("delete from visitor_contacts")
        .execute(&app.db.pool)
        .await
        .unwrap();
    let (_, answer) = send(&app, &client, &json!({"action": "sign_up", "visitor_id": visitor, "session_id": session, "customer_id": "0", "phone": "+380671234568"})).await;
    assert_eq!(answer["found_by"], "session");
    assert_eq!(
        one::<String>(&app, "select string_agg(kind, ',') from visitor_contacts").await,
        "phone"
    );
}
