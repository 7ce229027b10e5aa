//! What an event may be, and what becomes of one that is not.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn what_cannot_be_stored_is_refused_by_field_and_kept_beside_good_neighbours() {
    let app = app().await;
    let day = 86_400_000;
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!(5), "invalid_json", "the event"),
        (json!({}), "invalid_json", "id"),
        (with(event(1, 1, 0), json!({"at": 1.5})), "invalid_json", "at:"),
        (
            with(event(2, 1, 0), json!({"action": "Purchase"})),
            "invalid_json",
            "action: unknown variant",
        ),
        (
            with(
                event(3, 1, 0),
                json!({"session": {"id": "x", "started": 1, "visit": 1}}),
            ),
            "invalid_json",
            "session.id",
        ),
        (with(event(4, 1, 0), json!({"id": Uuid::nil()})), "invalid_field", "id:"),
        (
            with(event(5, 1, 0), json!({"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"})),
            "invalid_field",
            "UUIDv7",
        ),
        (event(6, 1, -10 * 60_000 - 1_000), "clock_ahead", "id:"),
        (
            with(event(7, 1, 0), json!({"at": now().timestamp_millis() + 11 * 60_000})),
            "clock_ahead",
            "at:",
        ),
        (event(8, 1, 36 * day), "too_old", "id:"),
        (with(event(9, 1, 0), json!({"at": i64::MIN})), "too_old", "at:"),
        (with(event(10, 1, 0), json!({"at": i64::MAX})), "clock_ahead", "at:"),
        (
            with(event(11, 1, 0), json!({"session": null})),
            "invalid_field",
            "session:",
        ),
        (
            with(event(12, 1, 0), json!({"visitor": null})),
            "invalid_field",
            "visitor:",
        ),
        (
            with(event(13, 1, 0), json!({"visitor": Uuid::nil()})),
            "invalid_field",
            "visitor:",
        ),
        (
            with(event(14, 1, 0), json!({"consent": "refused"})),
            "invalid_field",
            "visitor:",
        ),
        (
            with(
                event(15, 1, 0),
                json!({"session": {"id": Uuid::max(), "started": now().timestamp_millis(), "visit": 0}}),
            ),
            "invalid_field",
            "session.visit",
        ),
        (
            with(
                event(16, 1, 0),
                json!({"session": {"id": Uuid::max(), "started": now().timestamp_millis() + 3_600_000, "visit": 1}}),
            ),
            "invalid_field",
            "session.started",
        ),
        (
            with(
                event(17, 1, 0),
                json!({"session": {"id": Uuid::max(), "started": 0, "visit": 1}}),
            ),
            "invalid_field",
            "session.started",
        ),
        (with(event(18, 1, 0), json!({"value": "-1"})), "invalid_field", "value:"),
        (
            with(event(19, 1, 0), json!({"value": "1e3000"})),
            "invalid_field",
            "value:",
        ),
        (
            with(event(20, 1, 0), json!({"value": "100000000000000"})),
            "invalid_field",
            "value:",
        ),
        (with(event(21, 1, 0), json!({"value": 5.5})), "invalid_json", "value:"),
        (
            with(event(22, 1, 0), json!({"currency": "hryvnia"})),
            "invalid_field",
            "currency:",
        ),
        (
            with(event(23, 1, 0), json!({"quantity": u32::MAX})),
            "invalid_field",
            "quantity:",
        ),
        (
            with(event(24, 1, 0), json!({"product": "x".repeat(256)})),
            "invalid_field",
            "product:",
        ),
        (
            with(event(25, 1, 0), json!({"order": "\u{0}"})),
            "invalid_field",
            "order:",
        ),
        (
            with(event(26, 1, 0), json!({"props": {"a": "x".repeat(5_000)}})),
            "invalid_field",
            "props:",
        ),
        (
            with(event(27, 1, 0), json!({"action": "custom"})),
            "invalid_field",
            "name:",
        ),
        (
            with(event(28, 1, 0), json!({"context": {"country": "Ukraine"}})),
            "invalid_field",
            "context.country",
        ),
        (
            with(event(29, 1, 0), json!({"context": {"ip": "1.2.3.4/99"}})),
            "invalid_field",
            "context.ip",
        ),
        (
            with(event(30, 1, 0), json!({"label": "x".repeat(1_000_000)})),
            "too_large",
            "32768",
        ),
        (
            with(
                event(31, 1, 0),
                json!({"touch": {"click_ids": (0..40).map(|n| (n.to_string(), n.to_string())).collect::<std::collections::BTreeMap<_, _>>()}}),
            ),
            "invalid_field",
            "touch.click_ids",
        ),
    ];
    for (n, (bad, code, part)) in cases.iter().enumerate() {
        let n = n as u64;
        let answer = deliver(
            &app,
            &[event(1_000 + n, 2, 1_000), bad.clone(), event(2_000 + n, 2, 1_000)],
        )
        .await;
        assert_eq!((answer.accepted, answer.duplicates), (2, 0), "{bad}");
        let [rejection] = &answer.rejected[..] else {
            panic!("{answer:?}")
        };
        assert_eq!(rejection.index, 1);
        assert_eq!(rejection.code, *code, "{}", rejection.message);
        assert!(rejection.message.contains(part), "{}", rejection.message);
        let kept: Vec<u8> = sqlx::query_scalar("select payload from dead_letters order by dead_letter_id desc limit 1")
            .fetch_one(&app.db.pool)
            .await
            .unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), *bad);
    }
    let lone_surrogate = String::from_utf8(batch("shop", &[event(9_000, 3, 0)]))
        .unwrap()
        .replace("\"/p\"", r#""\ud800""#);
    let answer: BatchAnswer = post(&app, lone_surrogate.into_bytes()).await.json().await.unwrap();
    assert_eq!(answer.rejected[0].code, "invalid_json");
    assert!(answer.rejected[0].message.starts_with("path:"), "{answer:?}");
    // The same refused event again is the same dead letter.
    let before = count(&app, "dead_letters").await;
    deliver(&app, &[cases[4].0.clone()]).await;
    assert_eq!(count(&app, "dead_letters").await, before);
}

#[tokio::test]
async fn text_is_cleaned_and_cut_and_long_click_ids_are_dropped() {
    let app = app().await;
    let strange = with(
        landing(1, 1, 0, "x"),
        json!({
            "path": format!("/a\u{0}\u{7}{}", "й".repeat(2_000)), "label": "a\u{0}b", "currency": "uah", "value": "0.00005",
            "touch": {"utm_source": "é".repeat(300), "click_ids": {"gclid": "g".repeat(1_025), "fbclid": "f"}, "fbp": "fb.1.2.3"},
            "context": {"country": "T1", "ip": "2001:db8::/48", "asn": u32::MAX, "city": "Кропивницький\u{0}", "user_agent": "x".repeat(3_000)},
        }),
    );
    let answer = deliver(&app, &[strange]).await;
    assert_eq!(answer.accepted, 1, "{answer:?}");
    let session = &sessions(&app).await[0];
    assert_eq!(session["utm_source"].as_str().unwrap().chars().count(), 255);
    assert_eq!(session["click_ids"], json!({"fbclid": "f", "fbp": "fb.1.2.3"}));
    assert_eq!(session["city"], "Кропивницький");
    assert_eq!(session["country"], "T1");
    let (path, label, value): (String, String, rust_decimal::Decimal) =
        sqlx::query_as("select path, label, value from events")
            .fetch_one(&app.db.pool)
            .await
            .unwrap();
    assert_eq!(path.chars().count(), 1_024);
    assert_eq!(label, "ab");
    assert_eq!(value.to_string(), "0.0001");
}

#[tokio::test]
async fn limited_consent_keeps_no_click_ids() {
    let app = app().await;
    deliver(&app, &[with(landing(1, 1, 0, "google"), json!({"consent": "limited"}))]).await;
    let session = &sessions(&app).await[0];
    assert_eq!(session["click_ids"], Value::Null);
    assert_eq!(session["utm_source"], "google");
}

#[tokio::test]
async fn a_visitor_who_refused_is_counted_and_leaves_no_id() {
    let app = app().await;
    let hit = json!({
        "id": id(1, 0), "at": now().timestamp_millis(), "action": "page_view", "origin": "edge", "consent": "refused",
        "touch": {"utm_source": "ig", "utm_medium": "cpc", "click_ids": {"fbclid": "secret"}},
        "context": {"country": "PL", "ip": "10.0.0.1", "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"},
    });
    let answer = deliver(&app, &[hit.clone(), hit.clone()]).await;
    assert_eq!((answer.accepted, answer.duplicates), (1, 1));
    assert_eq!(deliver(&app, &[hit]).await.duplicates, 1);
    assert_eq!(
        count(&app, "sessions").await + count(&app, "events").await + count(&app, "user_agents").await,
        0
    );
    let row: Value = sqlx::query_scalar("select to_jsonb(h) from anonymous_hits h")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(row["utm_source"], "instagram");
    assert_eq!(row["device_type"], "desktop");
    assert_eq!(row["country"], "PL");
    assert!(!row.to_string().contains("secret") && !row.to_string().contains("10.0.0.1"));
}

#[tokio::test]
async fn a_record_that_only_the_database_refuses_becomes_a_dead_letter_alone() {
    let app = app().await;
    deliver(&app, &[event(0, 0, 0)]).await;
    sqlx::query("alter table events add constraint no_seven check (label is distinct from 'seven')")
        .execute(&app.db.pool)
        .await
        .unwrap();
    let events: Vec<Value> = (1..=40)
        .map(|n| {
            if n == 7 {
                with(event(n, 1, 0), json!({"label": "seven"}))
            } else {
                event(n, u128::from(n % 3), 0)
            }
        })
        .collect();
    let answer = deliver(&app, &events).await;
    assert_eq!(answer.accepted, 39);
    assert_eq!(answer.rejected.len(), 1);
    assert_eq!(
        (answer.rejected[0].index, answer.rejected[0].code.as_str()),
        (6, "refused_by_database")
    );
    assert_eq!(count(&app, "events").await, 40);
    let counted: i64 = sqlx::query_scalar("select sum(event_count)::bigint from sessions")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(counted, 40);
    let kept: Vec<u8> = sqlx::query_scalar("select payload from dead_letters")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), events[6]);
}

#[tokio::test]
async fn a_session_whose_purchases_are_worth_more_than_a_column_holds_stops_there_and_loses_no_event() {
    let app = app().await;
    let worth_much = |seq| {
        with(
            event(seq, 1, 0),
            json!({"action": "purchase", "value": "99999999999999"}),
        )
    };
    for events in [
        vec![worth_much(1)],
        vec![worth_much(2), worth_much(3)],
        vec![worth_much(4)],
    ] {
        let answer = deliver(&app, &events).await;
        assert_eq!((answer.accepted, answer.rejected.len()), (events.len(), 0));
    }
    let (worth, purchases): (String, i32) = sqlx::query_as("select event_revenue::text, purchase_events from sessions")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!((worth.as_str(), purchases), ("99999999999999.9999", 4));
}
