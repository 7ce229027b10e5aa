//! When a report is due, and that it is sent once.

use central_api::mail::run;
use central_api::state::AppState;
use serde_json::json;

use super::{MONDAY, Office, weekly};

#[tokio::test]
async fn fifty_triggers_of_two_processes_send_a_slot_once_to_each() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    office.schedule(weekly()).await;
    office.tick().await;
    assert!(office.mails().is_empty(), "nothing is due on Friday");
    office.set(MONDAY);
    let (state, db) = (&office.app.state, &office.app.db);
    let other = AppState::new(
        (*state.config).clone(),
        db.pool.clone(),
        db.pool.clone(),
        state.clock.clone(),
        None,
    )
    .unwrap();
    other
        .sites
        .replace(central_api::db::sites::all(&db.pool).await.unwrap());
    let triggers = (0..50).map(|n| {
        let state = if n % 2 == 0 { state.clone() } else { other.clone() };
        tokio::spawn(async move {
            run::claim_due(&state, state.clock.now()).await.unwrap();
            run::deliver_due(&state).await.unwrap();
        })
    });
    for trigger in triggers.collect::<Vec<_>>() {
        trigger.await.unwrap();
    }
    let mails = office.mails();
    assert_eq!(mails.len(), 2);
    for address in ["ann", "bob"] {
        assert_eq!(
            mails
                .iter()
                .filter(|mail| mail.contains(&format!("To: {address}@shop.example")))
                .count(),
            1
        );
    }
    let runs = office.runs().await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(
        (&runs[0]["slot_at"], &runs[0]["late"]),
        (&json!("2026-11-16T07:00:00Z"), &json!(false))
    );
    assert!(
        runs[0]["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "sent"),
        "{runs:?}"
    );
    assert!(!runs[0]["finished_at"].is_null());
}

#[tokio::test]
async fn a_slot_is_sent_late_within_its_window_and_recorded_as_missed_after_it() {
    let office = Office::open("2026-11-13T08:00:00Z").await;
    office
        .schedule(json!({"frequency": "daily", "recipients": ["ann@shop.example"], "format": "text", "language": "en"}))
        .await;
    // Three days of silence; the last slot, Monday's at 07:00 UTC, is 19 hours old.
    office.set("2026-11-17T02:00:00Z");
    office.tick().await;
    let runs = office.runs().await;
    let told: Vec<_> = runs
        .iter()
        .map(|run| {
            (
                run["slot_at"].as_str().unwrap(),
                run["missed"] == true,
                run["late"] == true,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("2026-11-16T07:00:00Z", false, true),
            ("2026-11-15T07:00:00Z", true, false),
            ("2026-11-14T07:00:00Z", true, false)
        ]
    );
    let mails = office.mails();
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].contains("This report is late: it was due on 16.11.2026 09:00."),
        "{}",
        mails[0]
    );
    assert!(mails[0].contains("daily report (15 Nov 2026)"), "{}", mails[0]);
    // Another day on, at an hour when that day's slot is too old too.
    office.set("2026-11-18T04:00:00Z");
    office.tick().await;
    assert_eq!(office.mails().len(), 1);
    assert_eq!(office.runs().await[0]["missed"], true);
}
