//! The panel's files. What they do in a browser: tests/panel/.

use crate::support::TestApp;

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[tokio::test]
async fn every_address_of_the_panel_is_the_same_page_with_a_strict_policy() {
    let app = TestApp::start().await;
    let mut pages = Vec::new();
    for path in ["/", "/account", "/settings/users?site=demo", "/no/such/page"] {
        let answer = app
            .client
            .get(app.url(path))
            .header("accept", BROWSER)
            .send()
            .await
            .unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'self'") && !policy.contains("unsafe"),
            "{policy}"
        );
        // 503 says how to build the panel, where it was not built.
        assert!([200, 503].contains(&answer.status().as_u16()), "{path}");
        pages.push((answer.status(), answer.text().await.unwrap()));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));
    let text = &pages[0].1;
    for unwanted in ["http://", "https://", "onclick=", "style=\"", "<style"] {
        assert!(!text.contains(unwanted), "{unwanted}");
    }
}

#[tokio::test]
async fn a_program_and_a_missing_file_are_told_that_there_is_nothing() {
    let app = TestApp::start().await;
    for (path, accept) in [
        ("/no/such/page", "application/json"),
        ("/no/such/page", "*/*"),
        ("/api/v1/no-such", BROWSER),
        ("/api/utm/no-such", BROWSER),
        ("/assets/no-such.js", BROWSER),
        ("/assets/..%2f..%2fpackage.json", BROWSER),
        ("/assets/.gitignore", BROWSER),
    ] {
        let answer = app
            .client
            .get(app.url(path))
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "not_found", "{path}");
    }
}
