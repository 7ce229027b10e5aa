use central_api::auth::{Role, Scope, password};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

use crate::support::{TestApp, client_with, waits_for_a_lock};
use central_api::clock::Clock;

const PASSWORD: &str = "correct horse battery";

async fn app_with_user() -> TestApp {
    let app = TestApp::start().await;
    let hash = password::hash(PASSWORD.into(), [3; 16]).await.unwrap();
    app.site("shop").await;
    app.user("ann@shop.example", Role::Admin, None, &hash).await;
    app
}

async fn log_in(app: &TestApp, email: &str, password: &str) -> reqwest::Response {
    let body = json!({"email": email, "password": password});
    app.client
        .post(app.url("/api/v1/session"))
        .json(&body)
        .send()
        .await
        .unwrap()
}

fn cookie_of(answer: &reqwest::Response) -> String {
    let set = answer.headers()["set-cookie"].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn who_logs_in_is_known_until_they_log_out() {
    let app = app_with_user().await;
    let answer = log_in(&app, " Ann@Shop.Example", PASSWORD).await;
    assert_eq!(answer.status(), 200);
    let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    let ann = client_with("cookie", &cookie_of(&answer));
    let me: Value = ann
        .get(app.url("/api/v1/session"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(me["email"], "ann@shop.example");
    assert_eq!(me["role"], "admin");
    assert_eq!(me["sites"], json!(["shop"]));

    assert_eq!(
        ann.delete(app.url("/api/v1/session")).send().await.unwrap().status(),
        204
    );
    let answer = ann.get(app.url("/api/v1/session")).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "unauthorized");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let app = app_with_user().await;
    let mut answers = Vec::new();
    for (email, password) in [
        ("ann@shop.example", "wrong password"),
        ("bob@shop.example", PASSWORD),
        ("not an address", PASSWORD),
        ("ann@shop.example\0", PASSWORD),
        ("ann@shop.example", &"x".repeat(10_000)),
    ] {
        let answer = log_in(&app, email, password).await;
        assert_eq!(answer.status(), 401);
        assert!(answer.headers().get("set-cookie").is_none());
        answers.push(answer.text().await.unwrap());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    // What is longer than a login can be is not read.
    let answer = log_in(&app, "ann@shop.example", &"x".repeat(100_000)).await;
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn a_disabled_user_cannot_log_in_and_their_session_ends() {
    let app = app_with_user().await;
    let ann = client_with("cookie", &cookie_of(&log_in(&app, "ann@shop.example", PASSWORD).await));
    sqlx::query("update users set disabled_at = now()")
        .execute(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(ann.get(app.url("/api/v1/session")).send().await.unwrap().status(), 401);
    assert_eq!(log_in(&app, "ann@shop.example", PASSWORD).await.status(), 401);
}

#[tokio::test]
async fn a_login_with_the_password_that_is_being_replaced_does_not_outlive_it() {
    let app = app_with_user().await;
    let mut change = app.db.pool.begin().await.unwrap();
    sqlx::query("update users set password_hash = 'another'")
        .execute(&mut *change)
        .await
        .unwrap();
    sqlx::query("update admin_sessions set revoked_at = now()")
        .execute(&mut *change)
        .await
        .unwrap();
    let body = json!({"email": "ann@shop.example", "password": PASSWORD});
    let login = tokio::spawn(app.client.post(app.url("/api/v1/session")).json(&body).send());
    waits_for_a_lock(&app.db.pool, &login).await;
    change.commit().await.unwrap();
    let answer = login.await.unwrap().unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().get("set-cookie").is_none());
}

#[tokio::test]
async fn guessing_is_stopped_with_the_time_to_wait() {
    let app = app_with_user().await;
    for _ in 0..8 {
        assert_eq!(log_in(&app, "ann@shop.example", "guess").await.status(), 401);
    }
    let answer = log_in(&app, "ann@shop.example", PASSWORD).await;
    assert_eq!(answer.status(), 429);
    let wait: u32 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((890..=900).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_request_that_another_site_makes_the_browser_send_is_refused() {
    let app = app_with_user().await;
    let ann = client_with("cookie", &cookie_of(&log_in(&app, "ann@shop.example", PASSWORD).await));
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let answer = ann
            .delete(app.url("/api/v1/session"))
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 403, "{name}: {value}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "forbidden");
    }
    let own = app.url("").trim_end_matches('/').to_owned();
    let answer = ann
        .delete(app.url("/api/v1/session"))
        .header("origin", own)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 204);
}

#[tokio::test]
async fn a_session_ends_when_idle_and_at_its_end() {
    let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
    let time = Arc::new(Mutex::new(now));
    let clock = {
        let time = time.clone();
        Clock::from_fn(move || *time.lock().unwrap())
    };
    let app = TestApp::start_at(clock).await;
    let ann = app.admin().await;
    let status = async |after: TimeDelta| {
        *time.lock().unwrap() = now + after;
        ann.get(app.url("/api/v1/session"))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    // Used every six days it lives, but not past thirty.
    for days in [0, 6, 12, 18, 24, 29] {
        assert_eq!(status(TimeDelta::days(days)).await, 200, "day {days}");
    }
    assert_eq!(status(TimeDelta::days(30)).await, 401);
    let bob = app.admin().await;
    *time.lock().unwrap() = now + TimeDelta::days(37);
    assert_eq!(bob.get(app.url("/api/v1/session")).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_one_by_one() {
    let app = app_with_user().await;
    let first = client_with("cookie", &cookie_of(&log_in(&app, "ann@shop.example", PASSWORD).await));
    let second = client_with("cookie", &cookie_of(&log_in(&app, "ann@shop.example", PASSWORD).await));
    let listed: Vec<Value> = first
        .get(app.url("/api/v1/sessions"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(listed.len(), 2);
    let other = listed.iter().find(|session| session["current"] == false).unwrap();
    let url = app.url(&format!("/api/v1/sessions/{}", other["id"].as_str().unwrap()));
    assert_eq!(first.delete(&url).send().await.unwrap().status(), 204);
    assert_eq!(first.delete(&url).send().await.unwrap().status(), 404);
    assert_eq!(
        second.get(app.url("/api/v1/session")).send().await.unwrap().status(),
        401
    );
    assert_eq!(
        first.get(app.url("/api/v1/session")).send().await.unwrap().status(),
        200
    );
    for bad in ["x", "00", "%00", &"f".repeat(33)] {
        let answer = first
            .delete(app.url(&format!("/api/v1/sessions/{bad}")))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{bad}");
    }
}

#[tokio::test]
async fn a_viewer_sees_and_ends_only_their_own_sessions() {
    let app = app_with_user().await;
    let admin = app.admin().await;
    let viewer = app.logged_in(Role::Viewer, None).await;
    let all: Vec<Value> = admin
        .get(app.url("/api/v1/sessions"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let own: Vec<Value> = viewer
        .get(app.url("/api/v1/sessions"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((all.len(), own.len()), (2, 1));
    let foreign = all.iter().find(|session| session["current"] == true).unwrap();
    let url = app.url(&format!("/api/v1/sessions/{}", foreign["id"].as_str().unwrap()));
    assert_eq!(viewer.delete(&url).send().await.unwrap().status(), 404);
    assert_eq!(
        admin.get(app.url("/api/v1/session")).send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn a_token_for_reading_says_which_site_it_sees() {
    let app = TestApp::start().await;
    let (one, _two) = (app.site("one").await, app.site("two").await);
    let reader = app.bearer(&one, &[Scope::Read]).await;
    let me: Value = reader
        .get(app.url("/api/v1/session"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(me, json!({"role": "viewer", "sites": ["one"]}));
    let sender = app.bearer(&one, &[Scope::Orders, Scope::Events]).await;
    assert_eq!(
        sender.get(app.url("/api/v1/session")).send().await.unwrap().status(),
        403
    );
    assert_eq!(
        reader.get(app.url("/api/v1/sessions")).send().await.unwrap().status(),
        401
    );
}
