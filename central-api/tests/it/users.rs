use central_api::auth::{Role, password_link};
use central_api::clock::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

use crate::support::TestApp;

async fn body(answer: reqwest::Response, status: u16) -> Value {
    let got = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

async fn post(client: &reqwest::Client, url: String, json: Value) -> reqwest::Response {
    client.post(url).json(&json).send().await.unwrap()
}

fn token_of(link: &Value) -> String {
    let path = link["path"].as_str().unwrap();
    path.strip_prefix("/#/password/").unwrap().to_owned()
}

#[tokio::test]
async fn an_invited_user_sets_a_password_once_and_logs_in() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let invitation = json!({"email": " Olena@Shop.Example", "role": "viewer", "site": "shop"});
    let invited = body(post(&admin, app.url("/api/v1/users"), invitation.clone()).await, 201).await;
    assert_eq!(
        (
            &invited["user"]["email"],
            &invited["user"]["role"],
            &invited["user"]["site"],
            &invited["user"]["invited"]
        ),
        (
            &json!("olena@shop.example"),
            &json!("viewer"),
            &json!("shop"),
            &json!(true)
        )
    );
    body(post(&admin, app.url("/api/v1/users"), invitation).await, 409).await;

    let token = token_of(&invited["link"]);
    let set = async |token: &str, password: &str| {
        let json = json!({"token": token, "new_password": password});
        post(&app.client, app.url("/api/v1/account/password-link"), json).await
    };
    let error = body(set(&token, "short").await, 400).await;
    assert_eq!(error["error"]["field"], "new_password");
    body(set("made up", "a long enough one").await, 403).await;
    assert_eq!(
        body(set(&token, "a long enough one").await, 200).await["email"],
        "olena@shop.example"
    );
    body(set(&token, "another long one").await, 403).await;

    let login = json!({"email": "olena@shop.example", "password": "a long enough one"});
    let me = body(post(&app.client, app.url("/api/v1/session"), login).await, 200).await;
    assert_eq!((&me["role"], &me["sites"]), (&json!("viewer"), &json!(["shop"])));
    let users = body(admin.get(app.url("/api/v1/users")).send().await.unwrap(), 200).await;
    let olena = users
        .as_array()
        .unwrap()
        .iter()
        .find(|user| user["email"] == "olena@shop.example")
        .unwrap();
    assert_eq!(olena["invited"], false);

    let log = body(admin.get(app.url("/api/v1/audit-log")).send().await.unwrap(), 200).await;
    let actions: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["user.set_password", "user.invite"]);
    assert!(!log.to_string().contains(&token));
}

#[tokio::test]
async fn a_reset_link_dies_by_age_by_a_newer_one_and_when_the_user_is_disabled() {
    let time: Arc<Mutex<DateTime<Utc>>> = Arc::new(Mutex::new("2026-03-01T12:00:00Z".parse().unwrap()));
    let clock = {
        let time = time.clone();
        Clock::from_fn(move || *time.lock().unwrap())
    };
    let app = TestApp::start_at(clock).await;
    app.site("shop").await;
    let admin = app.admin().await;
    let user = app.user("ann@shop.example", Role::Viewer, None, "none").await;
    let reset = async || {
        let url = app.url(&format!("/api/v1/users/{user}/password-link"));
        token_of(&body(admin.post(url).send().await.unwrap(), 201).await)
    };
    let set = async |token: &str| {
        let json = json!({"token": token, "new_password": "a long enough one"});
        post(&app.client, app.url("/api/v1/account/password-link"), json)
            .await
            .status()
            .as_u16()
    };
    let first = reset().await;
    let second = reset().await;
    assert_eq!(set(&first).await, 403);
    *time.lock().unwrap() += TimeDelta::hours(24);
    assert_eq!(set(&second).await, 403);
    let third = reset().await;
    let url = app.url(&format!("/api/v1/users/{user}"));
    let disabled = admin.patch(&url).json(&json!({"disabled": true})).send().await.unwrap();
    assert!(!body(disabled, 200).await["disabled_at"].is_null());
    assert_eq!(set(&third).await, 403);
    let enabled = admin
        .patch(&url)
        .json(&json!({"disabled": false}))
        .send()
        .await
        .unwrap();
    assert!(body(enabled, 200).await["disabled_at"].is_null());
    assert_eq!(set(&third).await, 403, "taken back for good");
    assert_eq!(set(&reset().await).await, 200);
}

#[tokio::test]
async fn the_last_admin_of_everything_stays_whoever_asks() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let admin = app.admin().await;
    let users = body(admin.get(app.url("/api/v1/users")).send().await.unwrap(), 200).await;
    let me = app.url(&format!("/api/v1/users/{}", users[0]["id"].as_str().unwrap()));
    for change in [
        json!({"role": "viewer"}),
        json!({"disabled": true}),
        json!({"site": "shop"}),
    ] {
        body(admin.patch(&me).json(&change).send().await.unwrap(), 409).await;
    }
    body(admin.delete(&me).send().await.unwrap(), 409).await;
    // An admin of one site does not count.
    app.user("one@shop.example", Role::Admin, Some(&site), "none").await;
    body(admin.delete(&me).send().await.unwrap(), 409).await;

    // Two admins who remove each other at once: one stays.
    let second = app.user("second@shop.example", Role::Admin, None, "none").await;
    let other = app.admin().await;
    let third = app.user("third@shop.example", Role::Admin, None, "none").await;
    for id in [second, third] {
        let url = app.url(&format!("/api/v1/users/{id}"));
        body(admin.delete(url).send().await.unwrap(), 204).await;
    }
    let users = body(admin.get(app.url("/api/v1/users")).send().await.unwrap(), 200).await;
    let ids: Vec<String> = users
        .as_array()
        .unwrap()
        .iter()
        .filter(|user| user["role"] == "admin" && user["site"].is_null())
        .map(|user| app.url(&format!("/api/v1/users/{}", user["id"].as_str().unwrap())))
        .collect();
    assert_eq!(ids.len(), 2);
    let viewer = json!({"role": "viewer"});
    let (one, two) = tokio::join!(
        admin.patch(&ids[0]).json(&viewer).send(),
        other.patch(&ids[1]).json(&viewer).send()
    );
    let mut statuses = [one.unwrap().status().as_u16(), two.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert!(statuses[0] == 200 && statuses[1] >= 403, "{statuses:?}");
}

#[tokio::test]
async fn as_many_changes_at_once_as_there_are_connections_wait_for_each_other_and_all_hold() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let pool = &app.db.pool;
    // Not one of the application's: all of those are to have a transaction that waits.
    let mut outside = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    sqlx::query("begin").execute(&mut outside).await.unwrap();
    sqlx::query("lock table users in share row exclusive mode")
        .execute(&mut outside)
        .await
        .unwrap();
    // A transaction sees who waits as it was when it looked first.
    let mut watcher = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
    let all = pool.options().get_max_connections();
    let mut changes = Vec::new();
    for n in 0..all {
        // A number that nobody has: what is answered does not matter, that something is does.
        let url = app.url(&format!("/api/v1/users/{}", Uuid::from_u128(n.into())));
        changes.push(tokio::spawn(admin.patch(url).json(&json!({"disabled": true})).send()));
    }
    let mut waiting = 0;
    while waiting < i64::from(all) {
        waiting = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut watcher)
        .await
        .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    sqlx::query("commit").execute(&mut outside).await.unwrap();
    for change in changes {
        assert_eq!(change.await.unwrap().unwrap().status(), 404);
    }
}

#[tokio::test]
async fn only_an_admin_of_every_site_looks_after_users_and_bad_fields_are_named() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    for client in [
        app.logged_in(Role::Viewer, None).await,
        app.logged_in(Role::Admin, Some(&site)).await,
    ] {
        body(client.get(app.url("/api/v1/users")).send().await.unwrap(), 403).await;
        let json = json!({"email": "x@shop.example", "role": "admin"});
        body(post(&client, app.url("/api/v1/users"), json).await, 403).await;
    }
    body(app.client.get(app.url("/api/v1/users")).send().await.unwrap(), 401).await;
    let admin = app.admin().await;
    for (json, field) in [
        (json!({"email": "nobody", "role": "admin"}), "email"),
        (json!({"email": "a\u{0}@b.c", "role": "admin"}), "email"),
        (json!({"email": "a@b.c", "role": "root"}), "role"),
        (json!({"email": "a@b.c", "role": "viewer", "site": "none"}), "site"),
        (json!({"email": "a@b.c", "role": "viewer", "password": "x"}), "password"),
    ] {
        let error = body(post(&admin, app.url("/api/v1/users"), json).await, 400).await;
        assert_eq!(error["error"]["field"], field, "{error}");
    }
    for id in ["x", "00000000-0000-0000-0000-000000000000"] {
        let url = app.url(&format!("/api/v1/users/{id}"));
        body(admin.delete(&url).send().await.unwrap(), 404).await;
        body(admin.patch(&url).json(&json!({})).send().await.unwrap(), 404).await;
    }
}

#[tokio::test]
async fn the_first_admin_is_made_by_the_printed_link_once() {
    let app = TestApp::start().await;
    let needed =
        async || body(app.client.get(app.url("/api/v1/setup")).send().await.unwrap(), 200).await["needed"].clone();
    assert_eq!(needed().await, true);
    let link = password_link::setup_link(&app.state.config);
    let token = link.split_once("/#/setup/").unwrap().1;
    let make = async |token: &str, email: &str, password: &str| {
        let json = json!({"token": token, "email": email, "password": password});
        post(&app.client, app.url("/api/v1/setup"), json).await
    };
    body(make("", "ann@shop.example", "a long enough one").await, 403).await;
    let error = body(make(token, "ann", "a long enough one").await, 400).await;
    assert_eq!(error["error"]["field"], "email");
    let error = body(make(token, "ann@shop.example", "short").await, 400).await;
    assert_eq!(error["error"]["field"], "password");
    let (one, two) = tokio::join!(
        make(token, "ann@shop.example", "a long enough one"),
        make(token, "eve@shop.example", "a long enough one")
    );
    let mut statuses = [one.status().as_u16(), two.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    assert_eq!(needed().await, false);
    sqlx::query("update users set disabled_at = now()")
        .execute(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(needed().await, false, "a disabled admin does not open the door again");
    body(make(token, "third@shop.example", "a long enough one").await, 409).await;
}
