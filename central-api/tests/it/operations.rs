//! What operators and browsers rely on whatever the endpoint.

use std::sync::atomic::Ordering;
use std::time::Duration;

use central_api::auth::Scope;
use serde_json::{Value, json};

use crate::support::{TestApp, client_with};

#[tokio::test]
async fn ready_says_no_while_shutting_down_without_a_database_and_with_migrations_missing() {
    let app = TestApp::start().await;
    let ready = async || {
        let answer = app.client.get(app.url("/readyz")).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, body["problems"].to_string())
    };
    assert_eq!(ready().await, (200, "[]".into()));

    app.state.shutting_down.store(true, Ordering::Relaxed);
    let (status, problems) = ready().await;
    assert!(status == 503 && problems.contains("shutting down"), "{problems}");
    app.state.shutting_down.store(false, Ordering::Relaxed);

    sqlx::query("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)")
        .execute(&app.db.pool)
        .await
        .unwrap();
    let (status, problems) = ready().await;
    assert!(status == 503 && problems.contains("lacks migrations"), "{problems}");

    // What a standby says that was the primary until a moment ago.
    let mut connections = Vec::new();
    for _ in 0..app.state.pool.options().get_max_connections() {
        let mut connection = app.state.pool.acquire().await.unwrap();
        sqlx::query("set default_transaction_read_only = on")
            .execute(&mut *connection)
            .await
            .unwrap();
        connections.push(connection);
    }
    drop(connections);
    let (status, problems) = ready().await;
    assert!(status == 503 && problems.contains("takes no writes"), "{problems}");

    app.db.pool.close().await;
    let (status, problems) = ready().await;
    assert!(status == 503 && problems.contains("does not answer"), "{problems}");
}

#[tokio::test]
async fn a_program_older_than_the_schema_goes_on_and_says_so() {
    let app = TestApp::start().await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (29991231000000, 'of a later program', true, '', 0)",
    )
    .execute(&app.db.pool)
    .await
    .unwrap();
    let answer = app.client.get(app.url("/readyz")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["ready"], &body["problems"]), (&json!(true), &json!([])));
    assert!(
        body["notices"].to_string().contains("newer than this program"),
        "{body}"
    );
    let (_, said, _) = super::command_line::run(&app.db, &["doctor"]).await;
    assert!(
        said.contains("notice  migrations: the database's schema is newer") && said.contains("29991231000000"),
        "{said}"
    );
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_name_routes_not_paths() {
    let app = TestApp::start().await;
    central_api::telemetry::metrics();
    app.client.get(app.url("/healthz?secret=1")).send().await.unwrap();
    app.client.get(app.url("/made/up/path")).send().await.unwrap();
    let text = app
        .client
        .get(app.url("/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        text.contains(r#"ud_http_request_seconds_count{route="/healthz",method="GET",status="200"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#"route="unmatched",method="GET",status="404""#),
        "{text}"
    );
    assert!(!text.contains("made/up") && !text.contains("secret"), "{text}");
    assert!(text.contains("process_resident_memory_bytes"), "{text}");
    for header in ["x-forwarded-for", "forwarded", "cf-connecting-ip"] {
        let answer = app
            .client
            .get(app.url("/metrics"))
            .header(header, "127.0.0.1")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 403, "{header}");
    }
}

#[tokio::test]
async fn a_request_id_is_taken_over_when_harmless_and_made_otherwise() {
    let app = TestApp::start().await;
    let id_for = async |sent: &str| {
        let answer = app
            .client
            .get(app.url("/healthz"))
            .header("x-request-id", sent)
            .send()
            .await
            .unwrap();
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id_for("edge-0198c0de.7").await, "edge-0198c0de.7");
    for hostile in ["a b", "\"},{\"", "%0a", &"x".repeat(65)] {
        let made = id_for(hostile).await;
        assert_eq!(made.len(), 32, "{hostile}: {made}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_browsers_in_check() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/api/v1/session", "/nowhere"] {
        let answer = app.client.get(app.url(path)).send().await.unwrap();
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
    }
    let answer = app.client.get(app.url("/api/v1/session")).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn what_is_not_there_is_an_error_in_the_usual_shape() {
    let app = TestApp::start().await;
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/../../etc/passwd", 404, "not_found"),
        ("GET", "/api/v1/%00", 404, "not_found"),
        ("PUT", "/healthz", 405, "method_not_allowed"),
        ("BREW", "/healthz", 405, "method_not_allowed"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = app.client.request(method.clone(), app.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], code, "{method} {path}");
    }
}

#[tokio::test]
async fn only_allowed_origins_may_ask_from_a_page() {
    let app = TestApp::start_with(|config| {
        config.cors_origins = ["https://admin.shop.example"]
            .map(|origin| origin.parse().unwrap())
            .to_vec();
    })
    .await;
    for (origin, allowed) in [
        ("https://admin.shop.example", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let answer = client_with("origin", origin)
            .request(reqwest::Method::OPTIONS, app.url("/api/v1/sites"))
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
            .await
            .unwrap();
        let given = answer
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap());
        assert_eq!(given == Some(origin), allowed, "{origin}: {given:?}");
        assert!(answer.headers().get("access-control-allow-credentials").is_none());
    }
}

#[tokio::test]
async fn a_report_that_the_database_gives_up_took_too_long_and_an_order_is_tried_again() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let shop = app.bearer(&site, &[Scope::Orders, Scope::Read]).await;
    let pool = &app.db.pool;
    let mut hold = pool.begin().await.unwrap();
    sqlx::query("lock table orders, sessions in access exclusive mode")
        .execute(&mut *hold)
        .await
        .unwrap();
    let report = shop.get(app.url("/api/utm/general-stats?period=week")).send();
    let order = json!({"order_id": "1", "total": 1, "payment_status": "paid"});
    let order = shop.post(app.url("/api/v1/orders")).body(order.to_string()).send();
    let (report, order) = (tokio::spawn(report), tokio::spawn(order));
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // As the timeout of statements does, and as an operator may. The order comes back and waits once more.
    let cancel = "select count(*) from (select pg_cancel_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock') as cancelled";
    let mut cancelled = 0;
    while cancelled < 3 {
        cancelled += sqlx::query_scalar::<_, i64>(cancel).fetch_one(pool).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    hold.rollback().await.unwrap();
    let report = report.await.unwrap().unwrap();
    assert_eq!(report.status(), 504);
    assert_eq!(report.json::<Value>().await.unwrap()["error"]["code"], "timed_out");
    assert_eq!(order.await.unwrap().unwrap().status(), 200);
}
