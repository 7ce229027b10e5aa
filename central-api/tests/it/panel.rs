//! The panel's files.

use crate::support::TestApp;

const FILES: [&str; 5] = ["/", "/ui/app.css", "/ui/api.js", "/ui/main.js", "/ui/texts.js"];

#[tokio::test]
async fn the_page_comes_with_its_modules_a_strict_policy_and_no_other_host() {
    let app = TestApp::start().await;
    for path in FILES {
        let answer = app.client.get(app.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let text = answer.text().await.unwrap();
        for unwanted in ["http://", "https://", "onclick=", "style=\"", "innerHTML", "eval("] {
            assert!(!text.contains(unwanted), "{path}: {unwanted}");
        }
    }
}

#[tokio::test]
async fn every_path_that_the_page_asks_for_exists() {
    let app = TestApp::start().await;
    let api = serde_json::to_value(central_api::router::description(&app.state.config)).unwrap();
    let calls = app
        .client
        .get(app.url("/ui/api.js"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let named = calls
        .split("utm(\"")
        .skip(1)
        .map(|rest| format!("/api/utm/{}", rest.split('"').next().unwrap()));
    let named: Vec<_> = named
        .chain(["/api/v1/session".to_owned(), "/api/utm/export-csv".to_owned()])
        .collect();
    assert_eq!(named.len(), 6);
    for path in named {
        assert!(api["paths"][&path].is_object(), "{path}");
        assert!(
            path.starts_with("/api/utm/") && path != "/api/utm/export-csv" || calls.contains(&path),
            "{path}"
        );
    }
    let page = app.client.get(app.url("/")).send().await.unwrap().text().await.unwrap();
    for file in ["/ui/app.css", "/ui/main.js"] {
        assert!(page.contains(file));
    }
}
