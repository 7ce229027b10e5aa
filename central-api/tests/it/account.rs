use central_api::auth::{Role, password};
use serde_json::{Value, json};

use crate::support::{TestApp, client_with, waits_for_a_lock};

#[tokio::test]
async fn a_new_password_holds_at_once_and_ends_the_other_sessions() {
    let app = TestApp::start().await;
    let hash = password::hash("the first password".into(), [3; 16]).await.unwrap();
    let user = app.user("ann@shop.example", Role::Viewer, None, &hash).await;
    let log_in = async |password: &str| {
        let body = json!({"email": "ann@shop.example", "password": password});
        app.client
            .post(app.url("/api/v1/session"))
            .json(&body)
            .send()
            .await
            .unwrap()
    };
    let session = async || {
        let answer = log_in("the first password").await;
        let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        client_with("cookie", set.split(';').next().unwrap())
    };
    let (here, elsewhere) = (session().await, session().await);
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        here.post(app.url("/api/v1/account/password"))
            .json(&body)
            .send()
            .await
            .unwrap()
    };
    for (current, new, field) in [
        ("wrong", "the second password", "current_password"),
        ("the first password", "short", "new_password"),
    ] {
        let answer = change(current, new).await;
        assert_eq!(answer.status(), 400);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["field"], field);
    }
    let admin = app.admin().await;
    let url = app.url(&format!("/api/v1/users/{user}/password-link"));
    let link: Value = admin.post(url).send().await.unwrap().json().await.unwrap();
    let token = link["path"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(change("the first password", "the second password").await.status(), 204);
    // A link that somebody else may have found sets no other one.
    let body = json!({"token": token, "new_password": "the third password"});
    let url = app.url("/api/v1/account/password-link");
    assert_eq!(app.client.post(url).json(&body).send().await.unwrap().status(), 403);
    assert_eq!(here.get(app.url("/api/v1/session")).send().await.unwrap().status(), 200);
    assert_eq!(
        elsewhere.get(app.url("/api/v1/session")).send().await.unwrap().status(),
        401
    );
    assert_eq!(log_in("the first password").await.status(), 401);
    assert_eq!(log_in("the second password").await.status(), 200);
}

#[tokio::test]
async fn a_password_that_was_set_by_a_link_meanwhile_is_not_replaced_by_who_knew_the_one_before() {
    let app = TestApp::start().await;
    let hash = password::hash("the first password".into(), [3; 16]).await.unwrap();
    let user = app.user("ann@shop.example", Role::Viewer, None, &hash).await;
    let body = json!({"email": "ann@shop.example", "password": "the first password"});
    let url = app.url("/api/v1/session");
    let answer = app.client.post(url).json(&body).send().await.unwrap();
    let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let here = client_with("cookie", set.split(';').next().unwrap());

    let mut by_link = app.db.pool.begin().await.unwrap();
    sqlx::query("update users set password_hash = 'set by the link' where user_id = $1")
        .bind(user)
        .execute(&mut *by_link)
        .await
        .unwrap();
    let body = json!({"current_password": "the first password", "new_password": "the second password"});
    let asked = tokio::spawn(here.post(app.url("/api/v1/account/password")).json(&body).send());
    assert!(waits_for_a_lock(&app.db.pool, &asked).await);
    by_link.commit().await.unwrap();
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status(), 400);
    let refused: Value = answer.json().await.unwrap();
    assert_eq!(refused["error"]["field"], "current_password");
    let kept: String = sqlx::query_scalar("select password_hash from users where user_id = $1")
        .bind(user)
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(kept, "set by the link");
}
