//! The API's description: locked by a snapshot, so that a change of the contract is a visible diff, and true to the routes.

use std::path::Path;

use central_api::auth::Scope;
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
            for (status, answer) in operation["responses"].as_object().unwrap() {
                assert!(
                    answer["description"].as_str().is_some_and(|said| !said.is_empty()),
                    "{told} {status}: OpenAPI wants a description of every answer"
                );
            }
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

/// Whether null is one of the values that a schema allows.
fn allows_null(api: &Value, schema: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        return allows_null(api, api.pointer(reference.strip_prefix('#').unwrap()).unwrap());
    }
    let own = &schema["type"];
    let listed = own
        .as_array()
        .is_some_and(|types| types.iter().any(|one| one == "null"));
    let choices = schema["oneOf"].as_array();
    own == "null" || listed || choices.is_some_and(|all| all.iter().any(|one| allows_null(api, one)))
}

#[test]
fn no_value_is_described_by_two_of_the_schemas_of_which_one_must_fit() {
    fn look(api: &Value, schema: &Value, place: &str) {
        let choices = schema["oneOf"].as_array().into_iter().flatten();
        let nulls = choices.filter(|one| allows_null(api, one)).count();
        assert!(nulls < 2, "null fits {nulls} of them at {place}: {schema}");
        match schema {
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, of)| look(api, of, &format!("{place}/{name}"))),
            Value::Array(all) => all.iter().for_each(|of| look(api, of, place)),
            _ => {}
        }
    }
    let api = serde_json::to_value(description()).unwrap();
    look(&api, &api, "");
}

/// `(method, path with numbers for its names, operation)` of the whole description.
fn operations(api: &Value) -> Vec<(reqwest::Method, String, &Value)> {
    let paths = api["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let concrete: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect();
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let method = method.to_uppercase().parse().unwrap();
            (method, concrete.join("/"), operation)
        })
    });
    all.collect()
}

#[tokio::test]
async fn every_operation_says_who_may_call_it_and_turns_the_others_away() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let with_token = app.bearer(&site, &[Scope::Read, Scope::Orders, Scope::Events]).await;
    let api = serde_json::to_value(description()).unwrap();
    for (method, path, operation) in operations(&api) {
        let told = format!("{method} {path}");
        let security = operation["security"]
            .as_array()
            .unwrap_or_else(|| panic!("{told} does not say who may call it"));
        let known_by = |scheme: &str| security.iter().any(|one| one.get(scheme).is_some());
        let open = security.iter().all(|one| one.as_object().unwrap().is_empty());
        let ask = async |client: &reqwest::Client| {
            let request = client
                .request(method.clone(), app.url(&path))
                .header("content-type", "application/json")
                .body("{}");
            request.send().await.unwrap().status().as_u16()
        };
        // The body of a login names nobody, which is a 400.
        let (by_nobody, by_token) = (ask(&app.client).await, ask(&with_token).await);
        assert_eq!(by_nobody == 401, !open, "{told}: {by_nobody} without credentials");
        assert_eq!(
            by_token == 401,
            !open && !known_by("bearer"),
            "{told}: {by_token} with a token"
        );
        for status in [by_nobody, by_token] {
            assert!(
                operation["responses"][status.to_string()].is_object() || status == 404,
                "{told} does not say that it may answer {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_parameter_is_described_as_required_where_nothing_is_answered_without_it() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let with_token = app.bearer(&site, &[Scope::Read]).await;
    let description = serde_json::to_value(description()).unwrap();
    for (path, item) in description["paths"].as_object().unwrap() {
        let Some(operation) = item
            .get("get")
            .filter(|_| path.starts_with("/api/utm/") && !path.contains('{'))
        else {
            continue;
        };
        let status = with_token.get(app.url(path)).send().await.unwrap().status();
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let required = parameters.any(|parameter| parameter["required"] == true);
        assert_eq!(status == 400, required, "{path}: {status} without any parameter");
    }
}

#[tokio::test]
async fn the_examples_of_the_description_are_taken_as_they_stand() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let with_token = app.bearer(&site, &[Scope::Read, Scope::Orders, Scope::Events]).await;
    let admin = app.admin().await;
    let api = serde_json::to_value(description()).unwrap();
    let mut tried = Vec::new();
    for (method, path, operation) in operations(&api) {
        for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let Some(example) = content.get("example").or_else(|| content.pointer("/schema/examples/0")) else {
                continue;
            };
            let token = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one.get("bearer").is_some());
            let client = if token { &with_token } else { &admin };
            let body = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            let request = client
                .request(method.clone(), app.url(&path))
                .header("content-type", media_type)
                .body(body);
            let answer = request.send().await.unwrap();
            let (status, said) = (answer.status(), answer.text().await.unwrap());
            assert!(status.is_success(), "{method} {path}: {status} {said}");
            tried.push(path.clone());
        }
    }
    tried.sort();
    assert_eq!(
        tried,
        [
            "/api/utm/query",
            "/api/v1/ad-spend",
            "/api/v1/analytics/campaigns",
            "/api/v1/events",
            "/api/v1/exchange-rates",
            "/api/v1/orders",
            "/api/v1/report-schedules",
        ]
    );
}

/// Of two types with one name the description shows one, and says of the other's values what is not true.
#[test]
fn no_two_described_types_have_one_name() {
    fn walk(folder: &Path, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, names);
                continue;
            }
            let mut described = false;
            for line in std::fs::read_to_string(&path).unwrap_or_default().lines() {
                described |= line.starts_with("#[derive(") && line.contains("ToSchema");
                let mut words = line
                    .split_whitespace()
                    .skip_while(|word| !matches!(*word, "struct" | "enum"));
                if let (false, Some(_), Some(name)) = (line.starts_with([' ', '/']), words.next(), words.next()) {
                    let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                    if std::mem::take(&mut described) {
                        names.push(name.to_owned());
                    }
                }
            }
        }
    }
    let mut names = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    assert!(names.len() > 100);
    names.sort();
    let twice: Vec<_> = names
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| &pair[0])
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
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
    assert!(!page.contains("<code></code>"), "something on the page has no name");
    let style = app.client.get(app.url("/api/docs/style.css")).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
}
