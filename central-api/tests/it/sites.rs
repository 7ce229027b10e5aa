use central_api::auth::{Role, Scope};
use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn everybody_sees_their_own_sites_only() {
    let app = TestApp::start().await;
    let one = app.site("one").await;
    app.site("two").await;
    let keys = async |client: &reqwest::Client| {
        let sites: Vec<Value> = client
            .get(app.url("/api/v1/sites"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        sites
            .iter()
            .map(|site| site["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&app.admin().await).await, ["one", "two"]);
    assert_eq!(keys(&app.logged_in(Role::Viewer, Some(&one)).await).await, ["one"]);
    assert_eq!(keys(&app.bearer(&one, &[Scope::Read]).await).await, ["one"]);
}

#[tokio::test]
async fn a_change_holds_at_once_and_leaves_the_rest() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let change = async |body: Value| {
        let answer = admin
            .patch(app.url("/api/v1/sites/shop"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{body}");
        answer.json::<Value>().await.unwrap()
    };
    let site = change(
        json!({"name": "Крамниця", "currency": "EUR", "settings": {"look_back_days": 7, "points": {"lead": 60}}}),
    )
    .await;
    assert_eq!(
        (&site["name"], &site["currency"], &site["country"]),
        (&json!("Крамниця"), &json!("EUR"), &json!("UA"))
    );
    let site = change(json!({"settings": {"retention_days": 90}})).await;
    assert_eq!(site["settings"]["look_back_days"], 7);
    assert_eq!(site["settings"]["points"]["lead"], 60);
    let site = change(json!({"settings": {"look_back_days": null}})).await;
    assert_eq!(site["settings"]["look_back_days"], 30);
    assert_eq!(app.state.sites.by_key("shop").unwrap().settings.retention_days, 90);
}

#[tokio::test]
async fn two_changes_at_once_both_hold() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let send = |body: Value| admin.patch(app.url("/api/v1/sites/shop")).json(&body).send();
    for round in 1..10 {
        let (one, two) = tokio::join!(
            send(json!({"settings": {"look_back_days": round}})),
            send(json!({"settings": {"retention_days": 100 + round}}))
        );
        assert!(one.unwrap().status().is_success() && two.unwrap().status().is_success());
        app.reload_sites().await;
        let settings = &app.state.sites.by_key("shop").unwrap().settings;
        assert_eq!((settings.look_back_days, settings.retention_days), (round, 100 + round));
    }
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_by_field_and_changes_nothing() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "a\u{0}b"}), "name"),
        (json!({"name": "x".repeat(1_000)}), "name"),
        (json!({"name": 5}), "name"),
        (json!({"key": "other"}), "key"),
        (json!({"domains": ["https://shop.example/"]}), "domains"),
        (json!({"time_zone": "Mars/Olympus"}), "time_zone"),
        (json!({"currency": "грн"}), "currency"),
        (json!({"country": "ukraine"}), "country"),
        (json!({"language": "de"}), "language"),
        (json!({"settings": {"look_back_day": 1}}), "settings.look_back_day"),
        (json!({"settings": {"look_back_days": -1}}), "settings.look_back_days"),
        (json!({"settings": {"retention_days": 1}}), "settings.retention_days"),
        (json!({"settings": {"points": {"fly": 1}}}), "settings.points"),
        (json!({"settings": {"max_cpa_share": "1.5"}}), "settings.max_cpa_share"),
        (
            json!({"settings": {"blocked_contacts": ["a\u{0}"]}}),
            "settings.blocked_contacts",
        ),
    ] {
        let answer = admin
            .patch(app.url("/api/v1/sites/shop"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["field"], field, "{body}: {error}");
    }
    let body = vec![b'x'; 300_000];
    let answer = admin
        .patch(app.url("/api/v1/sites/shop"))
        .header("content-type", "application/json")
        .body(body)
        .send();
    assert_eq!(answer.await.unwrap().status(), 413);
    app.reload_sites().await;
    assert_eq!(app.state.sites.by_key("shop").unwrap().name, "shop");
}

#[tokio::test]
async fn an_admin_of_one_site_cannot_change_another() {
    let app = TestApp::start().await;
    let one = app.site("one").await;
    app.site("two").await;
    let admin = app.logged_in(Role::Admin, Some(&one)).await;
    let patch = async |key: &str| {
        let url = app.url(&format!("/api/v1/sites/{key}"));
        admin
            .patch(url)
            .json(&json!({"name": "mine"}))
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(patch("one").await, 200);
    assert_eq!(patch("two").await, 400);
    assert_eq!(patch("three").await, 400);
}
