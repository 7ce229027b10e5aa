//! What arrives, is linked or replayed while somebody is erased.

use serde_json::{Value, json};
use sqlx::PgTransaction;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{ask, order};
use crate::ingest::{app, batch, count, deliver, event, now, post, with};
use crate::support::{TestApp, wait_for_locks, waits_for_a_lock};

const VISITOR: Uuid = Uuid::from_u128(1_000);
const SESSION: Uuid = Uuid::from_u128(2_001);

/// Runs a statement in a transaction that holds what it locked until it ends.
async fn hold(app: &TestApp, sql: &'static str) -> PgTransaction<'static> {
    let mut transaction = app.db.pool.begin().await.unwrap();
    sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    transaction
}

/// Somebody who was seen once.
async fn seen() -> TestApp {
    let app = app().await;
    assert_eq!(deliver(&app, &[event(1, 1, 3_000_000)]).await.accepted, 1);
    app
}

async fn erase(app: &TestApp, who: Value) -> JoinHandle<Result<reqwest::Response, reqwest::Error>> {
    let admin = app.admin().await;
    tokio::spawn(admin.post(app.url("/api/v1/privacy/erase")).json(&who).send())
}

async fn send(app: &TestApp, order: Value) -> JoinHandle<Result<reqwest::Response, reqwest::Error>> {
    let site = app.state.sites.by_key("shop").unwrap();
    let shop = app.bearer(&site, &[central_api::auth::Scope::Orders]).await;
    tokio::spawn(shop.post(app.url("/api/v1/orders")).json(&order).send())
}

async fn is_fine(asked: JoinHandle<Result<reqwest::Response, reqwest::Error>>) -> Value {
    let answer = asked.await.unwrap().unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

async fn linked(app: &TestApp) -> Vec<(Option<Uuid>, Option<Uuid>)> {
    sqlx::query_as("select visitor_id, session_id from orders")
        .fetch_all(&app.db.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_that_is_being_linked_when_its_visitor_is_erased_loses_the_link() {
    for who in [json!({"visitor_id": VISITOR}), json!({"email": "olena@shop.example"})] {
        let app = seen().await;
        let hold = hold(&app, "select 1 from sessions for update").await;
        let sent = send(
            &app,
            order("1", json!({"session_id": SESSION, "email": "olena@shop.example"})),
        )
        .await;
        assert!(waits_for_a_lock(&app.db.pool, &sent).await);
        // What leads from the e-mail to the visitor, as an earlier order told it.
        if who.get("email").is_some() {
            sqlx::query("insert into orders (site_id, order_id, currency, total, payment_status, created_at, updated_at, visitor_id, email_hash, content_hash, named_at)
                select site_id, '0', 'UAH', 1, 'paid', now(), now(), $1, $2, '', '{}' from sites")
                .bind(VISITOR)
                .bind(hash_of(&app, "olena@shop.example"))
                .execute(&app.db.pool)
                .await
                .unwrap();
        }
        let erased = erase(&app, who.clone()).await;
        assert!(wait_for_locks(&app.db.pool, 2, &erased).await);
        hold.rollback().await.unwrap();
        is_fine(sent).await;
        let erased = is_fine(erased).await;
        assert_eq!(erased["sessions"], 1, "{erased}");
        assert!(linked(&app).await.iter().all(|link| *link == (None, None)), "{who}");
        assert_eq!(count(&app, "visitor_contacts").await, 0);
    }
}

fn hash_of(app: &TestApp, email: &str) -> Vec<u8> {
    let site = app.state.sites.by_key("shop").unwrap();
    let identifier = central_api::orders::identity::Identifier::new(&app.state.config.secret, &site);
    identifier.identify(None, Some(email), None).email.unwrap().to_vec()
}

#[tokio::test]
async fn an_order_that_comes_while_its_visitor_is_erased_is_linked_to_nobody_who_is_gone() {
    let app = seen().await;
    let hold = hold(&app, "lock table audit_log in share mode").await;
    let erased = erase(&app, json!({"visitor_id": VISITOR})).await;
    assert!(waits_for_a_lock(&app.db.pool, &erased).await);
    let sent = send(&app, order("1", json!({"session_id": SESSION}))).await;
    assert!(wait_for_locks(&app.db.pool, 2, &sent).await);
    hold.rollback().await.unwrap();
    is_fine(erased).await;
    let answer = is_fine(sent).await;
    assert_eq!(
        (&answer["session_id"], &answer["cause"]),
        (&Value::Null, &json!("unknown_session"))
    );
    assert_eq!(linked(&app).await, [(None, None)]);
}

/// Events whose session is not there, and sessions whose events are not all there.
async fn torn(app: &TestApp) -> (i64, i64) {
    let torn = "select (select count(*) from events e where not exists (select from sessions s where s.session_id = e.session_id)),
        (select count(*) from sessions s where s.event_count <> (select count(*) from events e where e.session_id = s.session_id))";
    sqlx::query_as(torn).fetch_one(&app.db.pool).await.unwrap()
}

#[tokio::test]
async fn an_event_that_comes_while_its_visitor_is_erased_stays_with_its_session_or_goes_with_it() {
    for session in [1, 0] {
        let app = seen().await;
        let hold = hold(&app, "select 1 from sessions for update").await;
        let body = batch("shop", &[event(2, 1, 2_000), event(3, session, 1_000)]);
        let app = std::sync::Arc::new(app);
        let of = app.clone();
        let sent = tokio::spawn(async move { post(&of, body).await });
        assert!(waits_for_a_lock(&app.db.pool, &sent).await);
        let erased = erase(&app, json!({"visitor_id": VISITOR})).await;
        assert!(wait_for_locks(&app.db.pool, 2, &erased).await);
        hold.rollback().await.unwrap();
        assert_eq!(sent.await.unwrap().status(), 200);
        is_fine(erased).await;
        assert_eq!(torn(&app).await, (0, 0));
    }
}

#[tokio::test]
async fn a_session_that_begins_while_its_visitor_is_erased_keeps_its_events() {
    let app = seen().await;
    sqlx::query("insert into visitor_contacts select site_id, '\\x01', $1, 'email', now() from sites")
        .bind(VISITOR)
        .execute(&app.db.pool)
        .await
        .unwrap();
    let hold = hold(&app, "select 1 from visitor_contacts for update").await;
    let erased = erase(&app, json!({"visitor_id": VISITOR})).await;
    assert!(waits_for_a_lock(&app.db.pool, &erased).await);
    assert_eq!(deliver(&app, &[event(2, 0, 1_000)]).await.accepted, 1);
    hold.rollback().await.unwrap();
    is_fine(erased).await;
    assert_eq!((count(&app, "sessions").await, count(&app, "events").await), (1, 1));
    assert_eq!(torn(&app).await, (0, 0));
    // The session follows none any more.
    let marks: Vec<Uuid> = sqlx::query_scalar("select visitor_id from rollup_marks")
        .fetch_all(&app.db.pool)
        .await
        .unwrap();
    assert!(marks.contains(&VISITOR));
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_while_its_person_is_erased_brings_nothing_back() {
    let app = std::sync::Arc::new(app().await);
    let letter = with(event(1, 1, 3_000_000), json!({"path": "/theirs"}));
    sqlx::query("insert into dead_letters (site_id, kind, received_at, code, message, payload) select site_id, 'ingest', $1, 'x', 'x', $2 from sites")
        .bind(now())
        .bind(serde_json::to_vec(&letter).unwrap())
        .execute(&app.db.pool)
        .await
        .unwrap();
    let number: i64 = sqlx::query_scalar("select dead_letter_id from dead_letters")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    let hold = hold(&app, "lock table rollup_marks in share mode").await;
    let of = app.clone();
    let replayed = tokio::spawn(async move { central_api::ingest::replay::replay(&of.state, number).await });
    assert!(waits_for_a_lock(&app.db.pool, &replayed).await);
    let erased = erase(&app, json!({"visitor_id": VISITOR})).await;
    assert!(wait_for_locks(&app.db.pool, 2, &erased).await);
    hold.rollback().await.unwrap();
    assert_eq!(replayed.await.unwrap().unwrap(), "accepted");
    is_fine(erased).await;
    for table in ["dead_letters", "events", "sessions"] {
        assert_eq!(count(&app, table).await, 0, "{table}");
    }
    let admin = app.admin().await;
    assert_eq!(
        ask(&app, &admin, "find", json!({"visitor_id": VISITOR}), 200).await["events"],
        0
    );
}
