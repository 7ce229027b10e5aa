//! What is stored is stored once, in whatever way it comes.

use std::sync::Arc;

use central_api::clock::Clock;
use central_api::db;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::strategy::{Strategy, ValueTree};
use serde_json::{Value, json};
use shared::event::BatchAnswer;

use super::*;

#[tokio::test]
async fn a_batch_becomes_events_a_session_marks_and_an_answer() {
    let app = app().await;
    let answer = deliver(
        &app,
        &[
            landing(1, 1, 60_000, "FB"),
            with(
                event(2, 1, 30_000),
                json!({"action": "purchase", "value": "250.50", "order": "A1", "origin": "script", "human": true}),
            ),
            with(
                event(3, 1, 20_000),
                json!({"action": "add_to_cart", "product": "P", "quantity": 2, "props": {"size": "M\u{0}L"}}),
            ),
        ],
    )
    .await;
    assert_eq!((answer.accepted, answer.duplicates, answer.rejected.len()), (3, 0, 0));
    let session = &sessions(&app).await[0];
    assert_eq!(session["utm_source"], "facebook");
    assert_eq!(session["utm_campaign"], "autumn");
    assert_eq!(session["raw"]["utm_source"], "FB");
    assert_eq!(session["click_ids"]["gclid"], "G1");
    assert_eq!(session["device_type"], "mobile");
    assert_eq!(session["os_name"], "iOS");
    assert_eq!(session["browser_name"], "Safari");
    assert_eq!(session["points"], 1 + (100 + 2) + 10);
    assert_eq!(session["event_count"], 3);
    assert_eq!(session["page_views"], 1);
    assert_eq!(session["event_revenue"], 250.5);
    assert_eq!(session["human_seen"], true);
    assert!(
        session["purchase_at"].is_string() && session["add_to_cart_at"].is_string() && session["lead_at"].is_null()
    );
    let at = now().timestamp_millis();
    assert_eq!(
        session["active"],
        format!("{{[{},{})}}", at - 60_000, at - 20_000 + 30 * 60_000)
    );
    let props: Value = sqlx::query_scalar("select props from events where props is not null")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(props["size"], "ML");
    let hour: DateTime<Utc> = sqlx::query_scalar("select hour from rollup_marks")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(hour, now() - TimeDelta::hours(1));
    assert_eq!(count(&app, "user_agents").await, 1);
}

#[tokio::test]
async fn a_browser_script_that_ran_proves_no_person_until_it_says_so() {
    let app = app().await;
    let looked = |seq, human| {
        with(
            event(seq, 1, 20_000),
            json!({"action": "time_on_page", "amount": 3, "origin": "script", "human": human}),
        )
    };
    deliver(&app, &[landing(1, 1, 60_000, "FB"), looked(2, false)]).await;
    assert_eq!(sessions(&app).await[0]["human_seen"], false);
    deliver(&app, &[looked(3, true)]).await;
    assert_eq!(sessions(&app).await[0]["human_seen"], true);
}

#[tokio::test]
async fn the_same_batch_five_times_in_parallel_changes_nothing() {
    let app = Arc::new(app().await);
    let events: Vec<Value> = (0..200)
        .map(|n| {
            if n % 4 == 0 {
                landing(n, u128::from(n / 4), 60_000, "google")
            } else {
                event(n, u128::from(n / 4), 50_000)
            }
        })
        .collect();
    let body = batch("shop", &events);
    let answers = (0..5).map(|_| {
        let (app, body) = (app.clone(), body.clone());
        tokio::spawn(async move { post(&app, body).await.json::<BatchAnswer>().await.unwrap() })
    });
    let mut accepted = 0;
    let mut duplicates = 0;
    for answer in answers.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        accepted += answer.accepted;
        duplicates += answer.duplicates;
    }
    assert_eq!((accepted, duplicates), (200, 800));
    assert_eq!(count(&app, "events").await, 200);
    let counted: i64 = sqlx::query_scalar("select sum(event_count)::bigint from sessions")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(counted, 200);
}

/// Events of a few sessions with everything that merges.
fn mixed_events() -> Vec<Value> {
    let mut events = Vec::new();
    for n in 0..60_u64 {
        let session = u128::from(n % 5);
        let ms_back = 3_000_000 - i64::try_from(n * 7_919 % 50).unwrap() * 61_000;
        let mut event = event(n, session, ms_back);
        event["session"]["visit"] = json!(1 + n % 3);
        event["action"] = json!(
            [
                "page_view",
                "product_view",
                "add_to_cart",
                "lead",
                "purchase",
                "sign_up",
                "search"
            ][(n % 7) as usize]
        );
        if n % 7 == 4 {
            event["value"] = json!(format!("{}.25", n * 10));
        }
        if n % 6 == 0 {
            event = with(
                event,
                json!({"touch": {"utm_source": format!("s{n}"), "landing_path": format!("/{n}")}, "context": {"city": format!("c{n}")}}),
            );
        } else if n % 10 == 1 {
            event = with(
                event,
                json!({"context": {"city": format!("h{n}"), "hints": {"model": "\"SM-G991B\"", "platform": "\"Android\"", "platform-version": "\"13.0.0\""}}}),
            );
        }
        if n % 11 == 3 {
            event["bot"] = json!("data_centre");
        }
        if n % 13 == 5 {
            event["session"]["started"] =
                json!(now().timestamp_millis() - 3_600_000 - i64::try_from(n).unwrap() * 90_000);
        }
        events.push(event);
    }
    events
}

#[tokio::test]
async fn any_order_split_repetition_and_parallel_delivery_gives_the_same_sessions() {
    let events = mixed_events();
    let reference = app().await;
    deliver(&reference, &events).await;
    let expected = sessions(&reference).await;
    assert_eq!(expected.len(), 5);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..5 {
        let order = proptest::strategy::Just(events.clone())
            .prop_shuffle()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let size = (1usize..25).new_tree(&mut runner).unwrap().current();
        let app = Arc::new(app().await);
        let mut parts: Vec<Vec<Value>> = order.chunks(size).map(<[Value]>::to_vec).collect();
        parts.extend(parts.clone().into_iter().step_by(3));
        let deliveries: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let app = app.clone();
                tokio::spawn(async move { deliver(&app, &part).await })
            })
            .collect();
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        assert_eq!(sessions(&app).await, expected, "in parts of {size}");
        assert_eq!(count(&app, "events").await, 60);
        // Every hour in which a session ever began is marked, the one it left too.
        let unmarked: i64 = sqlx::query_scalar(
            "select count(*) from sessions s where not exists (select from rollup_marks m where m.site_id = s.site_id \
             and m.visitor_id = s.visitor_id and m.hour = date_trunc('hour', s.first_seen))",
        )
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
        assert_eq!(unmarked, 0);
    }
}

/// An event alone that knows nothing of attribution is merged by a statement of its own.
#[tokio::test]
async fn events_sent_one_by_one_give_the_same_sessions_as_all_at_once() {
    let events = mixed_events();
    let reference = app().await;
    deliver(&reference, &events).await;
    let expected = sessions(&reference).await;
    let backwards: Vec<Value> = events.iter().rev().cloned().collect();
    for order in [events, backwards] {
        let app = app().await;
        for event in order {
            deliver(&app, &[event]).await;
        }
        assert_eq!(sessions(&app).await, expected);
    }
}

#[tokio::test]
async fn two_applications_on_one_database_lose_nothing_to_deadlocks() {
    let app = Arc::new(app().await);
    let config = (*app.state.config).clone();
    let (pool, clock) = (app.db.pool.clone(), Clock::from_fn(now));
    let second = central_api::state::AppState::new(config, pool.clone(), pool, clock, None).unwrap();
    second
        .sites
        .replace(central_api::db::sites::all(&app.db.pool).await.unwrap());
    let (router, _) = central_api::router::build(second);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ingest/v1/events", listener.local_addr().unwrap());
    tokio::spawn(async move {
        axum::serve(
            listener,
            router.into_make_service_with_connect_info::<std::net::SocketAddr>(),
        )
        .await
        .unwrap();
    });
    let tasks: Vec<_> = (0..40_u64)
        .map(|n| {
            let (app, url) = (app.clone(), url.clone());
            tokio::spawn(async move {
                // Every batch meets the same 50 sessions, each in another order.
                let events: Vec<Value> = (0..50)
                    .map(|i| event(n * 100 + i, u128::from((i * 7 + n) % 50), 1_000))
                    .collect();
                let body = batch("shop", &events);
                let signature = signature::sign(
                    "k1",
                    app.state.config.secret.ingest_key("k1").as_bytes(),
                    now().timestamp(),
                    &body,
                );
                let url = if n % 2 == 0 { url } else { app.url("/ingest/v1/events") };
                let answer = app
                    .client
                    .post(url)
                    .header(signature::HEADER, signature)
                    .body(body)
                    .send()
                    .await
                    .unwrap();
                answer.json::<BatchAnswer>().await.unwrap().accepted
            })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += task.await.unwrap();
    }
    assert_eq!(accepted, 2_000);
    let counted: i64 = sqlx::query_scalar("select sum(event_count)::bigint from sessions")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(counted, 2_000);
}

#[tokio::test]
async fn an_order_s_purchase_counts_once_in_its_session_however_often_the_thank_you_page_is_loaded() {
    let purchase = |seq: u64, session: u128, order: Value, value: &str| {
        with(
            event(seq, session, 1_000 * i64::try_from(seq).unwrap()),
            json!({"action": "purchase", "origin": "script", "order": order, "value": value}),
        )
    };
    let mut events = Vec::new();
    for n in 0..4 {
        events.push(purchase(4 * n, 1, json!("A1"), "100.00"));
        events.push(purchase(4 * n + 1, 1, json!("A2"), "20.50"));
        // The same order in another session: somebody opened the link from an e-mail on a phone.
        events.push(purchase(4 * n + 2, 2, json!(" A1 "), "100.00"));
        // Without an order's id nobody can tell one purchase from another.
        events.push(purchase(4 * n + 3, 3, Value::Null, "1.00"));
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..3 {
        let order = proptest::strategy::Just(events.clone())
            .prop_shuffle()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let app = Arc::new(app().await);
        let deliveries: Vec<_> = order
            .chunks(3)
            .chain(order.chunks(5))
            .map(|part| {
                let (app, part) = (app.clone(), part.to_vec());
                tokio::spawn(async move { deliver(&app, &part).await })
            })
            .collect();
        for delivery in deliveries {
            assert!(delivery.await.unwrap().rejected.is_empty());
        }
        let told: Vec<(i64, f64)> = sessions(&app)
            .await
            .iter()
            .map(|session| {
                (
                    session["event_count"].as_i64().unwrap(),
                    session["event_revenue"].as_f64().unwrap(),
                )
            })
            .collect();
        assert_eq!(told, [(2, 120.5), (1, 100.0), (4, 4.0)]);
        assert_eq!(count(&app, "events").await, 7);
    }
}

#[tokio::test]
async fn the_first_content_of_an_id_wins() {
    let app = app().await;
    let answer = deliver(&app, &[event(1, 1, 0), with(event(1, 1, 0), json!({"path": "/other"}))]).await;
    assert_eq!((answer.accepted, answer.duplicates), (1, 1));
    assert_eq!(
        deliver(&app, &[with(event(1, 1, 0), json!({"path": "/third"}))])
            .await
            .duplicates,
        1
    );
    let paths: Vec<String> = sqlx::query_scalar("select path from events")
        .fetch_all(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(paths, ["/p"]);
}

#[tokio::test]
async fn an_event_of_an_earlier_month_makes_its_partition() {
    let app = app().await;
    assert_eq!(
        deliver(
            &app,
            &[event(1, 1, 34 * 86_400_000), event(2, 2, 0)].map(|mut event| {
                event["session"]["started"] = event["at"].clone();
                event
            })
        )
        .await
        .accepted,
        2
    );
    let months: Vec<String> = sqlx::query_scalar("select tableoid::regclass::text from events order by 1")
        .fetch_all(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(months, ["events_2026_10", "events_2026_11"]);
}

#[tokio::test]
async fn several_processes_make_the_same_months_at_once() {
    let app = app().await;
    let made: Vec<_> = (0..4)
        .map(|_| {
            let pool = app.db.pool.clone();
            tokio::spawn(async move {
                db::partitions::ensure_months(&pool, now() - TimeDelta::days(35), now() + TimeDelta::days(92))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut total = 0;
    for task in made {
        total += task.await.unwrap();
    }
    // October to February, of two tables.
    assert_eq!(total, 10);
    let bounds: String =
        sqlx::query_scalar("select pg_get_expr(relpartbound, oid) from pg_class where relname = 'events_2026_12'")
            .fetch_one(&app.db.pool)
            .await
            .unwrap();
    assert!(
        bounds.contains("2026-12-01 00:00:00+00") && bounds.contains("2027-01-01 00:00:00+00"),
        "{bounds}"
    );
}

#[tokio::test]
async fn the_hot_statements_look_rows_up_by_their_keys() {
    let app = app().await;
    let events: Vec<Value> = (0..900)
        .map(|n| landing(n, u128::from(n / 3), 60_000, "google"))
        .collect();
    deliver(&app, &events).await;
    sqlx::query("analyze").execute(&app.db.pool).await.unwrap();
    let plan = |sql: &'static str| {
        let pool = app.db.pool.clone();
        async move {
            let lines: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap();
            lines.join("\n")
        }
    };
    // The conflict check of both writes is the primary key's, and nothing is scanned.
    let insert = plan(
        "explain (costs off) insert into events select * from events where visitor_id = '00000000-0000-0000-0000-0000000003e8' and site_id = 1 on conflict do nothing",
    )
    .await;
    assert!(
        insert.contains("events_2026_11_pkey") && !insert.contains("Seq Scan"),
        "{insert}"
    );
    let by_id = plan("explain (costs off) select first_seen from sessions where site_id = 1 and session_id = any('{00000000-0000-0000-0000-0000000007d0}')").await;
    assert!(by_id.contains("sessions_by_id"), "{by_id}");
    let of_visitor = plan("explain (costs off) select first_seen from sessions where site_id = 1 and visitor_id = any('{00000000-0000-0000-0000-0000000003e8}')").await;
    assert!(of_visitor.contains("sessions_pkey"), "{of_visitor}");
    // No index beyond those that are argued for: each costs ingest about 15 %.
    let indexes: Vec<String> = sqlx::query_scalar(
        "select indexname::text from pg_indexes where tablename in ('sessions', 'events_2026_11', 'rollup_marks') order by 1",
    )
    .fetch_all(&app.db.pool)
    .await
    .unwrap();
    assert!(
        indexes.iter().filter(|name| name.starts_with("events")).count() == 1,
        "{indexes:?}"
    );
    assert!(
        !indexes.iter().any(|name| name.starts_with("rollup_marks")),
        "{indexes:?}"
    );
}
