//! Who may send a batch, in which form, and what they are told when it cannot be taken.

use central_api::db;
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn who_is_not_allowed_to_send_is_told_so_and_nothing_is_kept() {
    let app = app().await;
    let other = app.site("other").await;
    db::ingest_keys::insert(&app.db.pool, "k2", other.id, "other", now())
        .await
        .unwrap();
    let body = batch("shop", &[event(1, 1, 0)]);
    let secret = app.state.config.secret.clone();
    let sign = |key: &str, at: i64| signature::sign(key, secret.ingest_key(key).as_bytes(), at, &body);
    let t = now().timestamp();
    let cases = [
        (None, "must read"),
        (Some("v1;k=k1".to_owned()), "must read"),
        (Some(sign("k1", t - 301)), "300 seconds"),
        (Some(sign("k1", t + 301)), "300 seconds"),
        (Some(sign("unknown", t)), "does not match"),
        (Some(sign("k1", t).replace("k=k1", "k=k2")), "does not match"),
        (Some(sign("k2", t)), "site"),
    ];
    for (header, part) in cases {
        let mut request = app.client.post(app.url("/ingest/v1/events")).body(body.clone());
        if let Some(header) = &header {
            request = request.header(signature::HEADER, header);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{header:?}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(part), "{header:?}: {text}");
    }
    db::ingest_keys::revoke(&app.db.pool, "k1", now()).await.unwrap();
    app.state.keys.forget();
    assert_eq!(post(&app, body.clone()).await.status(), 401);
    assert_eq!(count(&app, "events").await + count(&app, "dead_letters").await, 0);
}

#[tokio::test]
async fn an_envelope_that_cannot_be_read_is_a_400_that_names_the_field() {
    let app = app().await;
    for (body, part) in [
        (b"".to_vec(), "body"),
        (b"[1]".to_vec(), "body"),
        (b"\xff\xfe".to_vec(), "body"),
        (br#"{"schema":1,"batch_id":"x"}"#.to_vec(), "body"),
        (
            String::from_utf8(batch("shop", &[]))
                .unwrap()
                .replace("\"schema\":1", "\"schema\":2")
                .into_bytes(),
            "schema",
        ),
    ] {
        let answer = post(&app, body).await;
        assert_eq!(answer.status(), 400);
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["code"], "invalid_envelope");
        assert_eq!(error["error"]["field"], part);
    }
    assert_eq!(deliver(&app, &[]).await.accepted, 0);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_a_413_in_every_form() {
    let app = app().await;
    let many: Vec<Value> = (0..1_001).map(|_| json!(0)).collect();
    assert_eq!(post(&app, batch("shop", &many)).await.status(), 413);
    assert_eq!(post(&app, vec![b' '; 4 * 1024 * 1024 + 1]).await.status(), 413);
    // A little gzip that would be four times what a batch may be.
    let mut bomb = Vec::new();
    let mut encoder = flate2::write::GzEncoder::new(&mut bomb, flate2::Compression::fast());
    let spaces = vec![b' '; 1024 * 1024];
    for _ in 0..16 {
        std::io::Write::write_all(&mut encoder, &spaces).unwrap();
    }
    encoder.finish().unwrap();
    assert_eq!(post_gzip(&app, bomb).await.status(), 413);
}

async fn post_gzip(app: &TestApp, body: Vec<u8>) -> reqwest::Response {
    let signature = signature::sign(
        "k1",
        app.state.config.secret.ingest_key("k1").as_bytes(),
        now().timestamp(),
        &body,
    );
    app.client
        .post(app.url("/ingest/v1/events"))
        .header(signature::HEADER, signature)
        .header("content-encoding", "gzip")
        .body(body)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn gzip_is_read_and_its_signature_covers_what_travelled() {
    let app = app().await;
    let mut zipped = Vec::new();
    let mut encoder = flate2::write::GzEncoder::new(&mut zipped, flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &batch("shop", &[event(1, 1, 0), event(2, 1, 0)])).unwrap();
    encoder.finish().unwrap();
    let answer: BatchAnswer = post_gzip(&app, zipped).await.json().await.unwrap();
    assert_eq!(answer.accepted, 2);
    assert_eq!(post_gzip(&app, b"no gzip".to_vec()).await.status(), 400);
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_and_the_same_batch_is_taken_afterwards() {
    let app = app().await;
    let events = [event(1, 1, 0), event(2, 1, 0)];
    deliver(&app, &[]).await;
    // A lock that nobody may pass for a while looks like an overloaded database.
    sqlx::query("alter table rollup_marks rename to away")
        .execute(&app.db.pool)
        .await
        .unwrap();
    let answer = post(&app, batch("shop", &events)).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(count(&app, "events").await, 0);
    sqlx::query("alter table away rename to rollup_marks")
        .execute(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(deliver(&app, &events).await.accepted, 2);
}

#[tokio::test]
async fn who_comes_while_too_much_is_in_flight_is_told_when_to_come_back_and_loses_nothing() {
    let app = app().await;
    let events = [event(1, 1, 0)];
    let all = usize::try_from(central_api::ingest::admission::MAX_IN_FLIGHT_KIB).unwrap() * 1_024;
    let held = app.state.ingest.admission.share(all).await.unwrap();
    let answer = post(&app, batch("shop", &events)).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(
        answer.json::<Value>().await.unwrap()["error"]["code"],
        "too_many_requests"
    );
    drop(held);
    assert_eq!(deliver(&app, &events).await.accepted, 1);
}

#[tokio::test]
async fn strangers_who_announce_much_and_send_little_keep_no_worker_out() {
    use tokio::io::AsyncWriteExt;

    let app = app().await;
    let host = app.url("").replace("http://", "");
    let mut slow = Vec::new();
    // With no signature, an unreadable one, one of another time and one of a key that does not live.
    for header in [
        "",
        "x",
        "v1;k=k1;t=1;s=",
        &format!("v1;k=none;t={};s=", now().timestamp()),
    ] {
        for _ in 0..4 {
            let mut stranger = tokio::net::TcpStream::connect(&host).await.unwrap();
            let signature = format!("{header}{}", "0".repeat(64));
            let head = format!(
                "POST /ingest/v1/events HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 4194303\r\nx-ud-signature: {signature}\r\n\r\n{{"
            );
            stranger.write_all(head.as_bytes()).await.unwrap();
            slow.push(stranger);
        }
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(deliver(&app, &[event(1, 1, 0)]).await.accepted, 1);
}
