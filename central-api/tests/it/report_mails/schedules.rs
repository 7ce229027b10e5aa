//! Schedules over the API.

use central_api::auth::Role;
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{MONDAY, Office, weekly};

#[tokio::test]
async fn a_schedule_is_made_changed_listed_and_removed() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    let (status, made) = office
        .send(reqwest::Method::POST, "/api/v1/report-schedules", Some(weekly()))
        .await;
    assert_eq!(status, 201, "{made}");
    for (field, value) in [
        ("site", json!("shop")),
        ("weekday", json!(1)),
        ("hour", json!(9)),
        ("time_zone", json!("Europe/Kyiv")),
        ("language", json!("uk")),
        ("next_at", json!("2026-11-16T07:00:00Z")),
        ("next_from", json!("2026-11-09")),
        ("next_to", json!("2026-11-15")),
        ("late_window_hours", json!(72)),
        ("unsubscribed", json!([])),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    let path = format!("/api/v1/report-schedules/{}", made["id"]);
    let change = json!({"frequency": "monthly", "month_day": 31, "filters": {"utm_source": ["instagram", "!facebook"]}, "enabled": false});
    let (status, changed) = office.send(reqwest::Method::PATCH, &path, Some(change)).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(
        (&changed["month_day"], &changed["weekday"], &changed["next_at"]),
        (&json!(31), &json!(null), &json!(null))
    );
    assert_eq!(changed["filters"], json!({"utm_source": ["instagram", "!facebook"]}));
    assert_eq!(changed["recipients"], made["recipients"]);
    let (_, listed) = office
        .send(reqwest::Method::GET, "/api/v1/report-schedules", None)
        .await;
    assert_eq!(listed["schedules"], json!([changed]));
    assert!(
        listed["transport"].as_str().unwrap().starts_with("files in "),
        "{listed}"
    );
    assert_eq!(office.send(reqwest::Method::DELETE, &path, None).await.0, 204);
    assert_eq!(office.send(reqwest::Method::DELETE, &path, None).await.0, 404);
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_log where action like 'report_%' order by at, action desc")
            .fetch_all(&office.app.db.pool)
            .await
            .unwrap();
    assert_eq!(actions.len(), 3, "{actions:?}");
}

#[tokio::test]
async fn two_changes_of_a_schedule_at_once_both_hold() {
    let office = Office::open(MONDAY).await;
    let id = office.schedule(weekly()).await;
    let path = format!("/api/v1/report-schedules/{id}");
    for round in 1..8 {
        let send = |body: Value| office.send(Method::PATCH, &path, Some(body));
        let name = format!("name {round}");
        let (one, two) = tokio::join!(send(json!({"name": name})), send(json!({"hour": round})));
        assert_eq!((one.0, two.0), (StatusCode::OK, StatusCode::OK));
        let (_, all) = office.send(Method::GET, "/api/v1/report-schedules", None).await;
        let stored = &all["schedules"][0];
        assert_eq!((&stored["name"], &stored["hour"]), (&json!(name), &json!(round)));
    }
}

#[tokio::test]
async fn bad_schedules_are_refused_by_field_and_foreign_ones_are_not_there() {
    let office = Office::open(MONDAY).await;
    for (body, field) in [
        (
            json!({"frequency": "yearly", "recipients": ["a@x.example"]}),
            "frequency",
        ),
        (
            json!({"frequency": "daily", "recipients": ["a@x.example\r\nBcc: b@x.example"]}),
            "recipients",
        ),
        (json!({"frequency": "daily", "recipients": "a@x.example"}), "recipients"),
        (
            json!({"frequency": "daily", "recipients": ["a@x.example"], "hour": "9"}),
            "hour",
        ),
        (
            json!({"frequency": "daily", "recipients": ["a@x.example"], "cron": "* * * * *"}),
            "cron",
        ),
    ] {
        let (status, answer) = office
            .send(reqwest::Method::POST, "/api/v1/report-schedules", Some(body.clone()))
            .await;
        assert_eq!(status, 400, "{body}");
        assert_eq!(answer["error"]["field"], field, "{answer}");
    }
    let id = office.schedule(weekly()).await;
    let other = office.app.site("other").await;
    let stranger = office.app.logged_in(Role::Admin, Some(&other)).await;
    let viewer = office.app.logged_in(Role::Viewer, None).await;
    for action in ["run-now", "test"] {
        let url = office.app.url(&format!("/api/v1/report-schedules/{id}/{action}"));
        assert_eq!(stranger.post(&url).send().await.unwrap().status(), 404);
        assert_eq!(viewer.post(&url).send().await.unwrap().status(), 403);
    }
    let list = office.app.url("/api/v1/report-schedules?site=shop");
    assert_eq!(stranger.get(&list).send().await.unwrap().status(), 400);
    assert_eq!(viewer.get(&list).send().await.unwrap().status(), 403);
    let preview = office.app.url(&format!("/api/v1/report-preview?schedule={id}"));
    assert_eq!(stranger.get(&preview).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_slot_that_a_change_of_the_hour_puts_into_the_past_is_not_made_up_for() {
    let office = Office::open(MONDAY).await;
    let id = office
        .schedule(json!({"frequency": "daily", "recipients": ["ann@shop.example"], "format": "text"}))
        .await;
    let path = format!("/api/v1/report-schedules/{id}");
    office.tick().await;
    assert!(office.mails().is_empty(), "09:00 was over when it was made");
    office
        .send(reqwest::Method::PATCH, &path, Some(json!({"hour": 8})))
        .await;
    office.tick().await;
    assert!(office.mails().is_empty());
    office
        .send(reqwest::Method::PATCH, &path, Some(json!({"enabled": false})))
        .await;
    office.later(TimeDelta::days(1));
    office.tick().await;
    assert!(office.mails().is_empty());
    office
        .send(reqwest::Method::PATCH, &path, Some(json!({"enabled": true})))
        .await;
    office.tick().await;
    assert!(office.mails().is_empty());
    office.later(TimeDelta::days(1));
    office.tick().await;
    assert_eq!(office.mails().len(), 1);
}
