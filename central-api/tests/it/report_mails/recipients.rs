//! What becomes of each recipient.

use std::path::PathBuf;

use central_api::auth::Role;
use central_api::db::{report_runs, report_schedules};
use central_api::mail::run;
use chrono::TimeDelta;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{MONDAY, Office, weekly};
use crate::support::waits_for_a_lock;

/// What became of each mail of a run.
fn states(run: &Value) -> Vec<Value> {
    let deliveries = run["deliveries"].as_array().unwrap().iter();
    deliveries.map(|one| one["state"].clone()).collect()
}

#[tokio::test]
async fn what_a_dead_process_was_sending_is_uncertain_and_sent_again_only_when_asked() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    let id = office.schedule(json!({"frequency": "weekly", "recipients": ["ann@shop.example", "bob@shop.example"], "format": "text", "language": "en"})).await;
    office.set(MONDAY);
    run::claim_due(&office.app.state, office.app.state.clock.now())
        .await
        .unwrap();
    let pool = &office.app.db.pool;
    let run_id = report_runs::due(pool, office.app.state.clock.now()).await.unwrap()[0];
    // As it stands in the database when a process dies between handing over and writing down.
    assert_eq!(
        report_runs::take(pool, run_id, office.app.state.clock.now())
            .await
            .unwrap()
            .unwrap()
            .0,
        "ann@shop.example"
    );
    office.tick().await;
    let mails = office.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("To: bob@shop.example"));
    let runs = office.runs().await;
    assert_eq!(states(&runs[0]), ["uncertain", "sent"]);
    office.later(TimeDelta::hours(12));
    office.tick().await;
    assert_eq!(office.mails().len(), 1, "nobody asked");
    // The next report says so.
    office.set("2026-11-23T08:00:00Z");
    office.tick().await;
    let next = office
        .mails()
        .into_iter()
        .filter(|mail| mail.contains("16 Nov") && mail.replace("=\r\n", "").contains("was not delivered to: 1."))
        .collect::<Vec<_>>();
    assert_eq!(next.len(), 2);
    let (status, again) = office
        .send(
            reqwest::Method::POST,
            &format!("/api/v1/report-runs/{run_id}/send-again"),
            None,
        )
        .await;
    assert_eq!((status, &again["recipients"]), (StatusCode::ACCEPTED, &json!(1)));
    office.tick().await;
    assert_eq!(office.mails().len(), 4);
    let (_, all) = office
        .send(
            reqwest::Method::GET,
            &format!("/api/v1/report-runs?schedule={id}&id={run_id}"),
            None,
        )
        .await;
    assert!(
        all[0]["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "sent"),
        "{all}"
    );
}

#[tokio::test]
async fn a_report_that_is_sent_again_while_its_run_ends_is_not_forgotten() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    office.schedule(weekly()).await;
    office.set(MONDAY);
    let now = office.app.state.clock.now();
    run::claim_due(&office.app.state, now).await.unwrap();
    let pool = &office.app.db.pool;
    let run_id = report_runs::due(pool, now).await.unwrap()[0];
    while let Some((address, _)) = report_runs::take(pool, run_id, now).await.unwrap() {
        report_runs::settle(pool, run_id, &address, "failed", "no", now, None)
            .await
            .unwrap();
    }
    let mut asked = pool.begin().await.unwrap();
    assert_eq!(report_runs::send_again(&mut asked, run_id, now).await.unwrap(), 2);
    let closing = pool.clone();
    let closing = tokio::spawn(async move { report_runs::close(&closing, run_id, now, None).await });
    assert!(waits_for_a_lock(pool, &closing).await);
    asked.commit().await.unwrap();
    assert!(!closing.await.unwrap().unwrap(), "somebody is to be served");
    assert_eq!(report_runs::due(pool, now).await.unwrap(), [run_id]);
}

#[tokio::test]
async fn whoever_is_no_user_can_leave_with_one_click_and_is_left_alone() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    office.app.user("bob@shop.example", Role::Viewer, None, "none").await;
    let id = office.schedule(weekly()).await;
    office.set(MONDAY);
    office.tick().await;
    let mails = office.mails();
    let to = |name: &str| {
        mails
            .iter()
            .find(|mail| mail.contains(&format!("To: {name}@shop.example")))
            .unwrap()
            .replace("\r\n ", " ")
    };
    assert!(
        !to("bob").contains("List-Unsubscribe"),
        "a user changes it in the panel"
    );
    let mail = to("ann");
    assert!(mail.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
    let link = mail
        .split("List-Unsubscribe: <")
        .nth(1)
        .unwrap()
        .split('>')
        .next()
        .unwrap();
    let path = link.strip_prefix("https://utm.shop.example").unwrap();
    let public = Client::new();
    let page = public
        .get(office.app.url(path))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("<button"), "{page}");
    office.set("2026-11-23T08:00:00Z");
    office.tick().await;
    assert_eq!(office.mails().len(), 4, "opening the link changes nothing");
    for _ in 0..2 {
        let done = public
            .post(office.app.url(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("List-Unsubscribe=One-Click")
            .send()
            .await
            .unwrap();
        assert_eq!(done.status(), 200);
    }
    for wrong in [
        "/unsubscribe/1/00",
        "/unsubscribe/x/y",
        &path.replace("/unsubscribe/", "/unsubscribe/9"),
    ] {
        assert_eq!(public.post(office.app.url(wrong)).send().await.unwrap().status(), 200);
    }
    office.set("2026-11-30T08:00:00Z");
    office.tick().await;
    assert_eq!(office.mails().len(), 5);
    let runs = office.runs().await;
    assert_eq!(runs[0]["deliveries"][0]["state"], "unsubscribed");
    let schedules = report_schedules::list(&office.app.db.pool, None, Some(id))
        .await
        .unwrap();
    assert_eq!(schedules[0].unsubscribed, ["ann@shop.example"]);
    // Out of the list and in again: an admin who means it.
    let schedule = format!("/api/v1/report-schedules/{id}");
    office
        .send(
            reqwest::Method::PATCH,
            &schedule,
            Some(json!({"recipients": ["bob@shop.example"]})),
        )
        .await;
    let (_, back) = office
        .send(
            reqwest::Method::PATCH,
            &schedule,
            Some(json!({"recipients": ["ann@shop.example", "bob@shop.example"]})),
        )
        .await;
    assert_eq!(back["unsubscribed"], json!([]));
}

#[tokio::test]
async fn whoever_leaves_gets_no_mail_that_waits_either_nor_one_that_is_sent_again() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    let id = office
        .schedule(json!({"frequency": "daily", "recipients": ["ann@shop.example", "bob@shop.example", "eve@shop.example"], "format": "text"}))
        .await;
    office.set(MONDAY);
    run::claim_due(&office.app.state, office.app.state.clock.now())
        .await
        .unwrap();
    let pool = &office.app.db.pool;
    let now = office.app.state.clock.now();
    let run_id = report_runs::due(pool, now).await.unwrap()[0];
    // The server was away for ann and bob, and had refused eve's mail: as it stands in the database then.
    let later = now + TimeDelta::minutes(5);
    for (state, try_after) in [("pending", Some(later)), ("pending", Some(later)), ("failed", None)] {
        let (address, _) = report_runs::take(pool, run_id, now).await.unwrap().unwrap();
        report_runs::settle(pool, run_id, &address, state, "as the server said", now, try_after)
            .await
            .unwrap();
    }
    let public = Client::new();
    for name in ["ann", "eve"] {
        let link = central_api::mail::unsubscribe::link(
            "",
            &office.app.state.config.secret,
            id,
            &format!("{name}@shop.example"),
        );
        assert_eq!(public.post(office.app.url(&link)).send().await.unwrap().status(), 200);
    }
    office.later(TimeDelta::minutes(10));
    office.tick().await;
    let again = format!("/api/v1/report-runs/{run_id}/send-again");
    let (status, again) = office.send(reqwest::Method::POST, &again, None).await;
    assert_eq!((status, &again["recipients"]), (StatusCode::ACCEPTED, &json!(0)));
    office.tick().await;
    let mails = office.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].contains("To: bob@shop.example"));
    let runs = office.runs().await;
    assert_eq!(states(&runs[0]), ["unsubscribed", "sent", "unsubscribed"]);
    assert!(!runs[0]["finished_at"].is_null());
}

#[tokio::test]
async fn without_a_way_out_a_report_says_what_is_missing_and_is_tried_again_for_half_a_day() {
    let office = Office::with("2026-11-13T08:00:00Z", PathBuf::from("/nowhere"), |_| {}).await;
    let id = office.schedule(weekly()).await;
    let (_, listed) = office
        .send(reqwest::Method::GET, "/api/v1/report-schedules", None)
        .await;
    assert!(
        listed["problem"].as_str().unwrap().contains("UD_MAIL_TRANSPORT"),
        "{listed}"
    );
    let (status, refused) = office
        .send(
            reqwest::Method::POST,
            &format!("/api/v1/report-schedules/{id}/test"),
            None,
        )
        .await;
    assert_eq!(status, 409, "{refused}");
    office.set(MONDAY);
    office.tick().await;
    let runs = office.runs().await;
    assert!(
        runs[0]["failure"].as_str().unwrap().contains("UD_MAIL_TRANSPORT"),
        "{runs:?}"
    );
    let first = &runs[0]["deliveries"][0];
    assert_eq!(
        (&first["state"], &first["attempts"], &first["try_after"]),
        (&json!("pending"), &json!(1), &json!("2026-11-16T08:01:00Z"))
    );
    office.tick().await;
    assert_eq!(
        office.runs().await[0]["deliveries"][0]["attempts"],
        1,
        "not before its time"
    );
    for _ in 0..10 {
        office.later(TimeDelta::hours(6));
        office.tick().await;
    }
    let runs = office.runs().await;
    let last = &runs[0]["deliveries"][0];
    assert_eq!(
        (&last["state"], &last["attempts"]),
        (&json!("failed"), &json!(8)),
        "{runs:?}"
    );
    assert!(!runs[0]["finished_at"].is_null());
}

#[tokio::test]
async fn who_is_taken_out_and_everybody_of_a_schedule_that_is_off_gets_no_mail_that_waits() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    let body = |recipients: &[&str]| json!({"frequency": "daily", "recipients": recipients, "format": "text"});
    let id = office.schedule(body(&["ann@shop.example", "bob@shop.example"])).await;
    let path = format!("/api/v1/report-schedules/{id}");
    let pool = &office.app.db.pool;
    // The server is away for everybody: as it stands in the database then.
    let put_off = async || {
        let now = office.app.state.clock.now();
        run::claim_due(&office.app.state, now).await.unwrap();
        let run_id = report_runs::due(pool, now).await.unwrap()[0];
        let later = Some(now + TimeDelta::minutes(5));
        while let Some((address, _)) = report_runs::take(pool, run_id, now).await.unwrap() {
            report_runs::settle(pool, run_id, &address, "pending", "later", now, later)
                .await
                .unwrap();
        }
    };
    let latest = async || {
        let runs = office.runs().await;
        assert!(!runs[0]["finished_at"].is_null(), "{runs:?}");
        states(&runs[0])
    };
    let change = async |body: Value| {
        let (status, answer) = office.send(reqwest::Method::PATCH, &path, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    };

    office.set(MONDAY);
    put_off().await;
    change(json!({"recipients": ["bob@shop.example"]})).await;
    office.later(TimeDelta::minutes(10));
    office.tick().await;
    assert_eq!(latest().await, ["withdrawn", "sent"]);
    assert_eq!(office.mails().len(), 1);

    office.set("2026-11-17T08:00:00Z");
    put_off().await;
    change(json!({"enabled": false})).await;
    office.later(TimeDelta::minutes(10));
    office.tick().await;
    assert_eq!(latest().await, ["withdrawn"]);
    assert_eq!(office.mails().len(), 1, "nobody else got one");

    // By hand it is sent, off or not.
    let (status, _) = office
        .send(reqwest::Method::POST, &format!("{path}/run-now"), None)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    office.tick().await;
    assert_eq!(latest().await, ["sent"]);
}
