//! "Is it working" on real sockets; the whole chain with the worker is in tests/e2e.

use axum::response::Html;
use axum::routing::get;
use central_api::auth::Role;
use serde_json::{Value, json};

use crate::support::TestApp;

/// A server on loopback that answers its health path with `health` and everything else with a page.
async fn shop(health: Value) -> String {
    let router = axum::Router::new()
        .route("/_ud/health", get(move || async move { axum::Json(health) }))
        .fallback(|| async { Html("<p>shop</p>") });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/")
}

async fn app() -> (TestApp, reqwest::Client) {
    let app = TestApp::start_with(|config| config.private_shops = true).await;
    app.site("shop").await;
    let admin = app.admin().await;
    let change = json!({"domains": ["shop.example", "127.0.0.1"]});
    let answer = admin
        .patch(app.url("/api/v1/sites/shop"))
        .json(&change)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    (app, admin)
}

async fn check(app: &TestApp, client: &reqwest::Client, body: Value, status: u16) -> Value {
    let answer = client
        .post(app.url("/api/v1/site-check"))
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), status);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_first_hop_that_fails_says_why_in_both_languages_and_ends_the_walk() {
    let (app, admin) = app().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let ours = |site: &str, status: &str| json!({"status": status, "error": "hosts: names no host", "version": "1.0.0", "site": site});
    for (url, says) in [
        (format!("http://{free}/"), "does not answer"),
        (shop(json!("not the worker")).await, "route"),
        (shop(ours("shop", "misconfigured")).await, "names no host"),
        (shop(ours("other", "ok")).await, "another site: other"),
    ] {
        let report = check(&app, &admin, json!({"url": url}), 200).await;
        let hops = report["hops"].as_array().unwrap();
        assert_eq!((&report["ok"], hops.len()), (&json!(false), 1));
        assert!(hops[0]["en"].as_str().unwrap().contains(says), "{report}");
        assert!(
            hops[0]["uk"]
                .as_str()
                .unwrap()
                .chars()
                .any(|c| ('а'..='я').contains(&c)),
            "{report}"
        );
    }
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_connected_to_unless_the_operator_allows_it() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let admin = app.admin().await;
    let hosts = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "169.254.169.254"];
    let changed = admin
        .patch(app.url("/api/v1/sites/shop"))
        .json(&json!({ "domains": hosts }));
    assert_eq!(changed.send().await.unwrap().status(), 200);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in hosts {
        let report = check(&app, &admin, json!({"url": format!("http://{host}:{port}/")}), 200).await;
        let said = report["hops"][0]["en"].as_str().unwrap();
        assert!(
            said.contains("not a public one") && said.contains("UD_PRIVATE_SHOPS"),
            "{host}: {report}"
        );
    }
    let connected = tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(connected.is_err(), "somebody connected");
}

#[tokio::test]
async fn an_event_that_never_arrives_is_told_with_where_to_look() {
    let (app, admin) = app().await;
    let url = shop(json!({"status": "ok", "version": "1.0.0", "site": "shop", "delivery": "queue"})).await;
    let asked = {
        let (admin, to) = (admin.clone(), app.url("/api/v1/site-check"));
        tokio::spawn(async move {
            admin
                .post(to)
                .json(&json!({"url": url}))
                .send()
                .await
                .unwrap()
                .json::<Value>()
                .await
                .unwrap()
        })
    };
    // Nothing arrives: the walk waits its time and names the queue.
    let report = asked.await.unwrap();
    let hops = report["hops"].as_array().unwrap();
    assert_eq!(
        (hops.len(), &hops[1]["ok"], &hops[2]["ok"]),
        (3, &json!(true), &json!(false)),
        "{report}"
    );
    assert!(hops[2]["en"].as_str().unwrap().contains("queue"), "{report}");
    assert!(hops[1]["en"].as_str().unwrap().contains("without cookies"), "{report}");
}

#[tokio::test]
async fn only_an_admin_may_and_only_the_site_s_own_address() {
    let (app, admin) = app().await;
    let site = app.state.sites.by_key("shop").unwrap();
    let viewer = app.logged_in(Role::Viewer, Some(&site)).await;
    check(&app, &viewer, json!({}), 403).await;
    check(&app, &app.client, json!({}), 401).await;
    for url in [
        "https://evil.example/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "http://u:p@shop.example/",
        "x",
    ] {
        let error = check(&app, &admin, json!({"url": url}), 400).await;
        assert_eq!(error["error"]["field"], "url", "{url}");
    }
}
