use central_api::auth::{Role, Scope};
use central_api::db::ingest_keys;
use serde_json::{Value, json};

use crate::support::{TestApp, client_with, waits_for_a_lock};

async fn body(answer: reqwest::Response, status: u16) -> Value {
    let got = answer.status();
    let text = answer.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[tokio::test]
async fn an_api_key_works_from_when_it_is_made_until_it_is_revoked_and_is_shown_once() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let url = app.url("/api/v1/api-keys");
    let new = json!({"name": "CRM", "scopes": ["read", "orders", "read"]});
    let made = body(admin.post(&url).json(&new).send().await.unwrap(), 201).await;
    let token = made["token"].as_str().unwrap();
    let program = client_with("authorization", &format!("Bearer {token}"));
    body(program.get(app.url("/api/v1/sites")).send().await.unwrap(), 200).await;
    let listed = body(admin.get(&url).send().await.unwrap(), 200).await;
    assert_eq!(listed[0]["scopes"], json!(["orders", "read"]));
    assert!(!listed.to_string().contains(token));

    let one = format!("{url}/{}", made["id"].as_str().unwrap());
    body(admin.delete(&one).send().await.unwrap(), 204).await;
    body(admin.delete(&one).send().await.unwrap(), 404).await;
    body(program.get(app.url("/api/v1/sites")).send().await.unwrap(), 401).await;
    let log = body(
        admin.get(app.url("/api/v1/audit-log?limit=2")).send().await.unwrap(),
        200,
    )
    .await;
    assert_eq!(
        (&log[0]["action"], &log[1]["action"], &log[0]["site"]),
        (&json!("api_key.revoke"), &json!("api_key.create"), &json!("shop"))
    );
    assert!(!log.to_string().contains(token));
}

#[tokio::test]
async fn ingest_keys_rotate_two_at_a_time() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let admin = app.admin().await;
    let url = app.url("/api/v1/ingest-keys");
    let new = json!({"name": "worker"});
    let first = body(admin.post(&url).json(&new).send().await.unwrap(), 201).await;
    let (id, secret) = first["value"].as_str().unwrap().split_once(':').unwrap();
    assert_eq!(secret, app.state.config.secret.ingest_key(id));
    assert_eq!(app.state.keys.ingest_site(&app.state, id).await.unwrap(), Some(site.id));
    body(admin.post(&url).json(&new).send().await.unwrap(), 201).await;
    body(admin.post(&url).json(&new).send().await.unwrap(), 409).await;
    body(admin.delete(format!("{url}/{id}")).send().await.unwrap(), 204).await;
    assert_eq!(app.state.keys.ingest_site(&app.state, id).await.unwrap(), None);
    body(admin.post(&url).json(&new).send().await.unwrap(), 201).await;
    let listed = body(admin.get(&url).send().await.unwrap(), 200).await;
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert!(!listed.to_string().contains(secret));
}

#[tokio::test]
async fn of_two_signing_keys_made_at_once_no_third_comes_alive() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    app.ingest_key(&site).await;
    let admin = app.admin().await;
    let mut other = app.db.pool.begin().await.unwrap();
    let now = app.state.clock.now();
    assert!(
        ingest_keys::insert(&mut *other, "k_other", site.id, "another admin's", now)
            .await
            .unwrap()
    );
    let new = json!({"name": "worker"});
    let made = tokio::spawn(admin.post(app.url("/api/v1/ingest-keys")).json(&new).send());
    assert!(waits_for_a_lock(&app.db.pool, &made).await);
    other.commit().await.unwrap();
    body(made.await.unwrap().unwrap(), 409).await;
}

#[tokio::test]
async fn keys_are_for_admins_of_their_site_and_bad_fields_are_named() {
    let app = TestApp::start().await;
    let (one, two) = (app.site("one").await, app.site("two").await);
    app.api_key(&two, &[Scope::Read]).await;
    let keys = central_api::db::api_keys::all(&app.db.pool).await.unwrap();
    let foreign = app.url(&format!("/api/v1/api-keys/{}", keys[0].key_id));
    let of_one = app.logged_in(Role::Admin, Some(&one)).await;
    body(of_one.delete(&foreign).send().await.unwrap(), 404).await;
    body(
        of_one.get(app.url("/api/v1/api-keys?site=two")).send().await.unwrap(),
        400,
    )
    .await;
    assert_eq!(
        body(of_one.get(app.url("/api/v1/api-keys")).send().await.unwrap(), 200).await,
        json!([])
    );
    let viewer = app.logged_in(Role::Viewer, None).await;
    for path in [
        "/api/v1/api-keys?site=one",
        "/api/v1/ingest-keys?site=one",
        "/api/v1/audit-log?site=one",
    ] {
        body(viewer.get(app.url(path)).send().await.unwrap(), 403).await;
    }
    let admin = app.admin().await;
    for (json, field) in [
        (json!({"name": "x", "scopes": ["read"]}), "site"),
        (json!({"site": "one", "name": "", "scopes": ["read"]}), "name"),
        (json!({"site": "one", "name": "a\u{0}", "scopes": ["read"]}), "name"),
        (json!({"site": "one", "name": "x", "scopes": []}), "scopes"),
        (json!({"site": "one", "name": "x", "scopes": ["write"]}), "scopes[0]"),
    ] {
        let answer = admin
            .post(app.url("/api/v1/api-keys"))
            .json(&json)
            .send()
            .await
            .unwrap();
        let error = body(answer, 400).await;
        assert_eq!(error["error"]["field"], field, "{error}");
    }
    for limit in ["0", "1001", "x"] {
        let url = app.url(&format!("/api/v1/audit-log?site=one&limit={limit}"));
        assert_eq!(
            body(admin.get(url).send().await.unwrap(), 400).await["error"]["field"],
            "limit"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_while_the_keys_are_read_is_not_known_by_that_reading() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let admin = app.admin().await;
    let url = app.url("/api/v1/api-keys");
    let new = json!({"name": "CRM", "scopes": ["read"]});
    let made = body(admin.post(&url).json(&new).send().await.unwrap(), 201).await;
    let program = client_with("authorization", &format!("Bearer {}", made["token"].as_str().unwrap()));
    let ask = || program.get(app.url("/api/v1/sites")).send();
    // The reading has the tokens and waits for the keys of the workers.
    let mut other = app.db.pool.begin().await.unwrap();
    sqlx::query("lock table ingest_keys in access exclusive mode")
        .execute(&mut *other)
        .await
        .unwrap();
    let asked = tokio::spawn(ask());
    assert!(waits_for_a_lock(&app.db.pool, &asked).await);
    let one = format!("{url}/{}", made["id"].as_str().unwrap());
    body(admin.delete(&one).send().await.unwrap(), 204).await;
    other.rollback().await.unwrap();
    body(asked.await.unwrap().unwrap(), 401).await;
    body(ask().await.unwrap(), 401).await;
    assert_eq!(site.key, "shop");
}
