//! The API's description: locked by a snapshot, so that a change of the contract is a visible diff, and true to the routes.

use std::path::Path;

use serde_json::Value;

use crate::support::TestApp;

fn description() -> utoipa::openapi::OpenApi {
    central_api::router::description(&central_api::config::Config::for_tests())
}

#[test]
fn the_description_is_the_one_that_is_committed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = serde_json::to_string_pretty(&description()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "the API's description changed; if that is meant, write it anew: UPDATE_SNAPSHOTS=1 cargo test -p central-api --test it openapi"
    );
}

#[test]
fn every_operation_says_what_it_does_and_what_it_answers() {
    let api = serde_json::to_value(description()).unwrap();
    assert_eq!(api["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let told = format!("{method} {path}");
            assert!(
                operation["responses"].as_object().is_some_and(|r| !r.is_empty()),
                "{told}"
            );
            ids.push(
                operation["operationId"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{told}"))
                    .to_owned(),
            );
            if path.starts_with("/api/utm/") {
                assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{told}");
                for status in ["200", "400", "401", "403", "503"] {
                    assert!(operation["responses"][status].is_object(), "{told} {status}");
                }
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let reference = parameter["$ref"].as_str().map(|r| r.strip_prefix('#').unwrap());
                    let parameter = reference.map_or(parameter, |r| api.pointer(r).unwrap());
                    assert!(
                        parameter["description"].as_str().is_some_and(|s| !s.is_empty()),
                        "{told} {parameter}"
                    );
                }
            }
        }
    }
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an operation's id stands twice");
}

#[test]
fn every_reference_leads_somewhere() {
    let api = serde_json::to_value(description()).unwrap();
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|v| walk(v, found));
            }
            Value::Array(items) => items.iter().for_each(|v| walk(v, found)),
            _ => {}
        }
    }
    let mut references = Vec::new();
    walk(&api, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(api.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn the_description_and_its_page_are_served_without_script_or_another_host() {
    let app = TestApp::start().await;
    let api: Value = app
        .client
        .get(app.url("/api/openapi.json"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(api, serde_json::to_value(description()).unwrap());
    let answer = app.client.get(app.url("/api/docs")).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = answer.text().await.unwrap();
    for unwanted in ["<script", "http://", "https://", "style=", "onclick"] {
        assert!(!page.contains(unwanted), "{unwanted}");
    }
    for path in api["paths"].as_object().unwrap().keys() {
        assert!(page.contains(path.as_str()), "{path}");
    }
    let style = app.client.get(app.url("/api/docs/style.css")).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
}
