//! What the doors let in, however strange, breaks nothing that reads it later; and nothing that is asked of a report is more than a 400.

use central_api::auth::Scope;
use central_api::business;
use central_api::db::dead_letters::NewDeadLetter;
use central_api::rollup::{cohorts, upkeep};
use central_api::site::Site;
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::ingest::{app, id, now, post};
use crate::parsers::{EVENT, ORDER, SERVER_EVENT, spoiled};
use crate::support::TestApp;

/// Of each kind.
const RECORDS: usize = 200;
/// Bytes of a request's body, about.
const BODY: usize = 1_500_000;

/// The same strange records in every run, each with an id of its own, in bodies of some hundred.
fn bodies(fields: &'static [(&'static str, &'static str)], own: impl Fn(usize, &str) -> String) -> Vec<Vec<String>> {
    let mut runner = TestRunner::deterministic();
    let strategy = spoiled(fields);
    let mut bodies = vec![Vec::new()];
    let mut bytes = 0;
    for n in 0..RECORDS {
        let (text, _) = strategy.new_tree(&mut runner).unwrap().current();
        // What is no JSON at all is no record of a list, but the end of it.
        if serde_json::from_str::<&RawValue>(&text).is_err() {
            continue;
        }
        let text = own(n, &text);
        if bytes + text.len() > BODY {
            bodies.push(Vec::new());
            bytes = 0;
        }
        bytes += text.len();
        bodies.last_mut().unwrap().push(text);
    }
    bodies
}

/// Everything strange through every door; how many records of each kind were stored.
async fn send_everything(app: &TestApp, site: &Site) -> [u64; 3] {
    let in_session = |n: usize, text: &str| {
        text.replace("8000-000000000002", &format!("8000-00000000002{}", n % 7))
            .replace("0000-000000000001\"", &format!("0000-00000000000{}\"", 1 + n % 3))
    };
    let mut stored = [0; 3];
    let at = now().timestamp_millis().to_string();
    let event = |n: usize, text: &str| {
        let text = text.replace(EVENT[0].1, &format!("\"{}\"", id(n as u64, 1_000)));
        in_session(n, &text).replace("1763640000000", &at)
    };
    for body in bodies(EVENT, event) {
        let batch = format!(
            r#"{{"schema":1,"batch_id":"{}","sent_at":{at},"site":"shop","events":[{}]}}"#,
            Uuid::from_u128(9),
            body.join(",")
        );
        let answer = post(app, batch.into_bytes()).await;
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        let answer: Value = answer.json().await.unwrap();
        let rejected = answer["rejected"].as_array().unwrap();
        let (accepted, twice) = (
            answer["accepted"].as_u64().unwrap(),
            answer["duplicates"].as_u64().unwrap(),
        );
        assert_eq!(accepted + twice + rejected.len() as u64, body.len() as u64);
        assert!(rejected.iter().all(|one| one["message"].as_str().unwrap().len() > 5));
        stored[0] += accepted;
    }
    let shop = app.bearer(site, &[Scope::Orders, Scope::Events]).await;
    let order = |n: usize, text: &str| in_session(n, &text.replace("\"A1\"", &format!("\"A{n}\"")));
    let server_event = |n: usize, text: &str| in_session(n, &text.replace("\"k1\"", &format!("\"k{n}\"")));
    for (kind, path, list, bodies) in [
        (1, "/api/v1/orders", "orders", bodies(ORDER, order)),
        (2, "/api/v1/events", "events", bodies(SERVER_EVENT, server_event)),
    ] {
        for body in bodies {
            let answer = shop
                .post(app.url(path))
                .body(format!("[{}]", body.join(",")))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200, "{path}: {}", answer.text().await.unwrap());
            let answer: Value = answer.json().await.unwrap();
            let (taken, rejected) = (answer[list].as_array().unwrap(), answer["rejected"].as_array().unwrap());
            assert_eq!(taken.len() + rejected.len(), body.len());
            for refused in rejected {
                assert!(
                    refused["message"].as_str().is_some_and(|message| message.len() > 5),
                    "{refused}"
                );
            }
            stored[kind] += taken.len() as u64;
        }
    }
    stored
}

/// Every GET of the description that needs nothing in its path.
fn questions() -> Vec<(String, Vec<String>)> {
    let api = central_api::router::description(&central_api::config::Config::for_tests());
    let api = serde_json::to_value(api).unwrap();
    let paths = api["paths"].as_object().unwrap();
    let gets = paths
        .iter()
        .filter_map(|(path, item)| Some((path, item.get("get")?)))
        .filter(|(path, _)| path.starts_with("/api/") && !path.contains('{'));
    gets.map(|(path, operation)| {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let names = parameters.map(|parameter| {
            let reference = parameter["$ref"].as_str().map(|r| r.strip_prefix('#').unwrap());
            let parameter = reference.map_or(parameter, |r| api.pointer(r).unwrap());
            parameter["name"].as_str().unwrap().to_owned()
        });
        (path.clone(), names.collect())
    })
    .collect()
}

/// What a question of this path needs beside its period.
fn needed(path: &str) -> &'static str {
    match path {
        "/api/utm/query" => "&metrics=sessions,revenue&dimensions=utm_source,city",
        "/api/utm/ab-test" => "&dimension=utm_campaign",
        "/api/utm/export-csv" => "&report=sessions",
        "/api/v1/analytics/export" => "&report=customers",
        _ => "",
    }
}

/// Whoever reads what is stored is answered: every report in both ways of counting money, every session and every order.
async fn read_everything(app: &TestApp, admin: &reqwest::Client) {
    let mut answered = 0;
    for (path, parameters) in questions() {
        let has = |name: &str| parameters.iter().any(|parameter| parameter == name);
        let period = match (has("period"), has("start_date")) {
            (true, _) => "period=all_time",
            (false, true) => "start_date=2026-01-01&end_date=2026-11-20",
            (false, false) => "",
        };
        let mut ways = vec![""];
        if has("attribution_date") {
            ways.push("&attribution_date=order");
        }
        for way in ways {
            let url = format!("{}?{period}{}{way}", app.url(&path), needed(&path));
            let answer = admin.get(&url).send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert!(status < 500, "{url}: {text}");
            answered += usize::from(status == 200);
        }
    }
    assert!(answered > 60, "{answered} reports were answered");
    let sessions: Value = admin
        .get(app.url("/api/utm/sessions?period=all_time&limit=1000"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let ids: Vec<Uuid> = sqlx::query_scalar("select session_id from sessions")
        .fetch_all(&app.db.pool)
        .await
        .unwrap();
    assert!(!ids.is_empty() && sessions.to_string().len() > 100);
    for id in ids {
        let url = app.url(&format!("/api/utm/{id}/session-detail"));
        let answer = admin.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
}

#[tokio::test]
async fn whatever_is_let_in_can_be_read_counted_and_summed_up_afterwards() {
    let app = app().await;
    let site = app.state.sites.wanted(Some("shop")).unwrap();
    let stored = send_everything(&app, &site).await;
    assert!(stored.iter().all(|stored| *stored >= 4), "{stored:?}");
    // The same again changes nothing.
    let events = crate::ingest::count(&app, "events").await;
    send_everything(&app, &site).await;
    assert_eq!(crate::ingest::count(&app, "events").await, events);

    let admin = app.admin().await;
    read_everything(&app, &admin).await;
    let (pool, later) = (&app.db.pool, now() + TimeDelta::days(2));
    upkeep::catch_up(pool, later, |_| {}).await.unwrap();
    cohorts::upkeep::catch_up(pool, &site, later, |_| {}).await.unwrap();
    business::upkeep::catch_up(pool, &app.state.config.secret, &site, later)
        .await
        .unwrap();
    read_everything(&app, &admin).await;
    let from = later - TimeDelta::days(60);
    let wrong = upkeep::verify(pool, site.id, from, later, |_| {}).await.unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");

    // Every letter is listed and can be tried again, also one that no door would have kept.
    let bytes: [&[u8]; 6] = [b"", b"\0", b"\xff\xfe", b"{}", b"[[[", &[b'['; 100_000]];
    let letters: Vec<NewDeadLetter> = ["ingest", "orders", "server_events"]
        .into_iter()
        .flat_map(|kind| bytes.map(|payload| (kind, payload)))
        .map(|(kind, payload)| NewDeadLetter {
            site_id: site.id,
            kind,
            batch_id: None,
            code: "test".into(),
            message: "\u{202e}".into(),
            payload: payload.to_vec(),
        })
        .collect();
    let mut connection = pool.acquire().await.unwrap();
    let letters: Vec<&NewDeadLetter> = letters.iter().collect();
    central_api::db::dead_letters::insert(&mut connection, &letters, now())
        .await
        .unwrap();
    // Those that were put there, and every fourth of those that came through a door.
    let ids: Vec<i64> =
        sqlx::query_scalar("select dead_letter_id from dead_letters where code = 'test' or dead_letter_id % 4 = 0")
            .fetch_all(pool)
            .await
            .unwrap();
    assert!(ids.len() > 60, "{}", ids.len());
    let outcomes: Vec<u16> = stream::iter(ids)
        .map(|id| {
            let request = admin.post(app.url(&format!("/api/v1/dead-letters/{id}/replay")));
            async move { request.send().await.unwrap().status().as_u16() }
        })
        .buffer_unordered(4)
        .collect()
        .await;
    assert!(outcomes.iter().all(|status| *status == 200), "{outcomes:?}");
    let listed = admin.get(app.url("/api/v1/dead-letters?settled=true&limit=1000"));
    assert_eq!(listed.send().await.unwrap().status(), 200);
}

/// Values of parameters as only programs and bored people send them.
const STRANGE: [&str; 18] = [
    "",
    "%00",
    "%ff%fe",
    "%",
    "'",
    "\"",
    "0",
    "-1",
    "1.5",
    "1e9",
    "99999999999999999999",
    "0000-01-01",
    "9999-12-31",
    "2026-02-30",
    "(not%20set)",
    "%F0%9F%98%80",
    "a%2Cb%2C%2C",
    "!%5C%5C",
];

#[tokio::test]
async fn a_strange_parameter_of_any_report_is_a_400_that_names_it_or_is_answered() {
    let app = app().await;
    let admin = app.admin().await;
    let long = "%D0%B9".repeat(3_000);
    let mut asked = Vec::new();
    for (p, (path, parameters)) in questions().into_iter().enumerate() {
        for (n, name) in parameters.iter().enumerate() {
            // Another one for each, and now and then a long one.
            let value = match (p + n) % 5 {
                0 => long.as_str(),
                _ => STRANGE[(5 * p + 7 * n) % STRANGE.len()],
            };
            let own = name.ends_with("_date") || name == "period" || !parameters.iter().any(|one| one == "period");
            let period = if own { "" } else { "&period=week" };
            asked.push((
                path.clone(),
                name.clone(),
                format!("{name}={value}{period}{}", needed(&path)),
            ));
        }
    }
    assert!(asked.len() > 900);
    let refused: Vec<bool> = stream::iter(asked)
        .map(|(path, name, query)| {
            let request = admin.get(format!("{}?{query}", app.url(&path)));
            async move {
                let answer = request.send().await.unwrap();
                let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
                let told: String = query.chars().take(100).collect();
                assert!(matches!(status, 200 | 400 | 404), "{path}?{told}: {status} {text}");
                if status == 400 {
                    let error: Value = serde_json::from_str(&text).unwrap();
                    assert!(error["error"]["field"].is_string(), "{path}?{told} ({name}): {text}");
                }
                status == 400
            }
        })
        .buffer_unordered(6)
        .collect()
        .await;
    let refused = refused.iter().filter(|refused| **refused).count();
    assert!(refused > 300, "{refused}");
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_refused_like_every_other_error() {
    let app = app().await;
    let site = app.state.sites.all().remove(0);
    let admin = app.admin().await;
    let shop = app.bearer(&site, &[Scope::Orders]).await;
    let api = central_api::router::description(&central_api::config::Config::for_tests());
    let api = serde_json::to_value(api).unwrap();
    let mut asked = 0;
    for (path, item) in api["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(path, _)| path.contains('{'))
    {
        let (before, rest) = path.split_once('{').unwrap();
        let url = app.url(&format!("{before}%ff{}", rest.split_once('}').unwrap().1));
        let url = url.replace("{token}", "x");
        for method in item.as_object().unwrap().keys() {
            let Ok(method) = method.to_uppercase().parse::<reqwest::Method>() else {
                continue;
            };
            let who = if path.starts_with("/api/v1/orders") {
                &shop
            } else {
                &admin
            };
            let sent = who.request(method.clone(), &url).json(&serde_json::json!({})).send();
            let answer = sent.await.unwrap();
            assert_eq!(answer.status(), 400, "{method} {path}");
            let body: Value = answer.json().await.unwrap();
            assert!(body["error"]["field"].is_string(), "{method} {path}: {body}");
            asked += 1;
        }
    }
    assert!(asked > 15, "{asked}");
}
