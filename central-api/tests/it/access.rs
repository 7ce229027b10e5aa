//! Who may call what, over every path that the API describes.

use central_api::auth::{Role, Scope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

/// Open to everybody by design: logging in, and the description of the API itself.
const OPEN: [(&str, &str); 3] = [
    ("post", "/api/v1/session"),
    ("get", "/api/openapi.json"),
    ("get", "/api/docs"),
];

/// Every method and path under /api and /internal that is described, parameters filled in.
fn described(app: &TestApp) -> Vec<(Method, String, String)> {
    let (_, description) = central_api::router::build(app.state.clone());
    let document = serde_json::to_value(&description).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let Ok(verb) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                continue;
            };
            if !["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                continue;
            }
            let guarded = ["/api/", "/internal/", "/ingest/"]
                .iter()
                .any(|prefix| path.starts_with(prefix));
            if guarded && !OPEN.contains(&(method.as_str(), path.as_str())) {
                let mut filled = path.clone();
                while let (Some(from), Some(to)) = (filled.find('{'), filled.find('}')) {
                    filled.replace_range(from..=to, "00000000000000000000000000000000");
                }
                found.push((verb, filled, path.clone()));
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

#[tokio::test]
async fn nobody_gets_anything_without_credentials_or_with_bad_ones() {
    let app = TestApp::start().await;
    app.site("shop").await;
    for (method, path, _) in described(&app) {
        for (name, value) in [
            ("accept", "*/*"),
            (
                "authorization",
                "Bearer ud_0000000000000000000000000000000000000000000000000000000000000000",
            ),
            ("authorization", "Basic YWRtaW46YWRtaW4="),
            (
                "cookie",
                "ud_admin=0000000000000000000000000000000000000000000000000000000000000000",
            ),
        ] {
            let request = app.client.request(method.clone(), app.url(&path)).header(name, value);
            let answer = request.json(&json!({})).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{method} {path} with {name}: {value}");
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body["error"]["code"], "unauthorized", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_viewer_and_a_token_change_nothing_that_is_an_admin_s() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let viewer = app.logged_in(Role::Viewer, None).await;
    let token = app.bearer(&site, &[Scope::Read, Scope::Orders, Scope::Events]).await;
    let url = app.url("/api/v1/sites/shop");
    let answer = viewer.patch(&url).json(&json!({"name": "x"})).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let answer = token.patch(&url).json(&json!({"name": "x"})).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    app.reload_sites().await;
    assert_eq!(app.state.sites.by_key("shop").unwrap().name, "shop");
}

#[tokio::test]
async fn a_token_of_one_site_gets_nothing_of_another_from_any_analysis() {
    let app = TestApp::start().await;
    let one = app.site("one").await;
    app.site("two").await;
    let token = app.bearer(&one, &[Scope::Read]).await;
    let mut asked = 0;
    for (method, path, template) in described(&app) {
        if method != Method::GET || !template.starts_with("/api/utm/") {
            continue;
        }
        asked += 1;
        let foreign = token.get(app.url(&format!("{path}?site=two"))).send().await.unwrap();
        let missing = token.get(app.url(&format!("{path}?site=three"))).send().await.unwrap();
        assert!(foreign.status().is_client_error(), "{path}: {}", foreign.status());
        assert_eq!(foreign.status(), missing.status(), "{path}");
        assert_eq!(foreign.text().await.unwrap(), missing.text().await.unwrap(), "{path}");
    }
    assert!(asked > 5, "{asked}");
}
