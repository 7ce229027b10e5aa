use std::sync::{Arc, Mutex};

use central_api::clock::Clock;
use central_api::jobs;
use central_api::rollup::upkeep;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::TestApp;

async fn ask(app: &TestApp, key: (&str, &str), body: &str) -> reqwest::Response {
    let now = app.state.clock.now().timestamp();
    let signature = shared::signature::sign(key.0, key.1.as_bytes(), now, body.as_bytes());
    let request = app
        .client
        .post(app.url("/internal/cron"))
        .header("x-ud-signature", signature);
    request.body(body.to_owned()).send().await.unwrap()
}

#[tokio::test]
async fn what_is_due_runs_once_however_often_and_by_however_many_it_is_asked_for() {
    let time = Arc::new(Mutex::new("2026-03-01T12:00:00Z".parse::<DateTime<Utc>>().unwrap()));
    let clock = {
        let time = time.clone();
        Clock::from_fn(move || *time.lock().unwrap())
    };
    let app = TestApp::start_at(clock).await;
    let site = app.site("shop").await;
    let (id, secret) = app.ingest_key(&site).await;
    let body = json!({"scheduled_time": 1, "cron": "0 * * * *"}).to_string();
    let names = async || {
        let answer = ask(&app, (&id, &secret), &body).await;
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        let ran = answer["ran"].as_array().unwrap().clone();
        assert!(ran.iter().all(|job| job["ok"] == true), "{answer}");
        (
            ran.iter()
                .map(|job| job["job"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>(),
            answer["busy"] == true,
        )
    };
    let asked = tokio::join!(names(), names(), names());
    let asked = [asked.0, asked.1, asked.2];
    let ran: Vec<_> = asked.iter().flat_map(|(ran, _)| ran.clone()).collect();
    assert_eq!(ran.len(), jobs::JOBS.len(), "{asked:?}");
    assert_eq!(names().await, (vec![], false));
    *time.lock().unwrap() += TimeDelta::hours(1);
    let hourly: Vec<_> = jobs::JOBS
        .iter()
        .filter(|job| job.every_seconds <= 3_600)
        .map(|job| job.name)
        .collect();
    assert_eq!(names().await.0, hourly);
}

#[tokio::test]
async fn months_are_made_ahead_and_old_ones_dropped() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    sqlx::query("create table events_2019_01 partition of events for values from ('2019-01-01 00:00+00') to ('2019-02-01 00:00+00')")
        .execute(&app.db.pool)
        .await
        .unwrap();
    let now = app.state.clock.now();
    let contact = |hash: u8, seen: DateTime<Utc>| {
        sqlx::query("insert into visitor_contacts values ($1, $2, $3, 'email', $4)")
            .bind(site.id)
            .bind(vec![hash; 16])
            .bind(uuid::Uuid::from_u128(1))
            .bind(seen)
            .execute(&app.db.pool)
    };
    contact(1, now - TimeDelta::days(759)).await.unwrap();
    contact(2, now - TimeDelta::days(761)).await.unwrap();
    let session = |id: u128, seen: DateTime<Utc>| {
        sqlx::query("insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points) values ($1, $2, $2, $3, $3, 1, '{}', 1, 1, 0)")
            .bind(site.id)
            .bind(uuid::Uuid::from_u128(id))
            .bind(seen)
            .execute(&app.db.pool)
    };
    let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap();
    let (old, young) = (hour - TimeDelta::days(761), hour - TimeDelta::days(758));
    session(1, old).await.unwrap();
    session(2, young).await.unwrap();
    upkeep::mark_every_hour(&app.db.pool, site.id, old, old).await.unwrap();
    upkeep::mark_every_hour(&app.db.pool, site.id, young, young)
        .await
        .unwrap();
    upkeep::catch_up(&app.db.pool, now, |_| {}).await.unwrap();
    let agent = |hash: i64, seen: DateTime<Utc>| {
        sqlx::query("insert into user_agents values ($1, 'x', $2)")
            .bind(hash)
            .bind(seen)
            .execute(&app.db.pool)
    };
    agent(1, old).await.unwrap();
    agent(2, young).await.unwrap();
    let ran = jobs::run_due(&app.state, now).await.unwrap().unwrap();
    assert!(ran.iter().all(|job| job.ok), "{ran:?}");
    upkeep::catch_up(&app.db.pool, now, |_| {}).await.unwrap();
    let left = async |sql: &'static str| -> Vec<DateTime<Utc>> {
        sqlx::query_scalar(sql).fetch_all(&app.db.pool).await.unwrap()
    };
    assert_eq!(left("select first_seen from sessions").await, [young]);
    assert_eq!(left("select first_seen from user_agents").await, [young]);
    assert_eq!(
        left("select start from rollups where split = 0 and hours = 1").await,
        [young]
    );
    let months = central_api::db::retention::partitions(&app.db.pool).await.unwrap();
    assert!(!months.contains(&"events_2019_01".to_owned()));
    for time in [now, now + TimeDelta::days(60)] {
        assert!(
            months.contains(&format!("events_{}", time.format("%Y_%m"))),
            "{months:?}"
        );
    }
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("select contact_hash from visitor_contacts")
        .fetch_all(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(kept, [vec![1; 16]]);
}

#[tokio::test]
async fn what_a_site_keeps_is_what_it_is_set_to_not_what_this_process_read() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    sqlx::query("update sites set settings = '{\"retention_days\": 30}'")
        .execute(&app.db.pool)
        .await
        .unwrap();
    app.reload_sites().await;
    let now = app.state.clock.now();
    sqlx::query("insert into visitor_contacts values ($1, $2, $3, 'email', $4)")
        .bind(site.id)
        .bind(vec![1_u8; 16])
        .bind(uuid::Uuid::from_u128(1))
        .bind(now - TimeDelta::days(300))
        .execute(&app.db.pool)
        .await
        .unwrap();
    // Somebody changed their mind, at another process.
    sqlx::query("update sites set settings = '{\"retention_days\": 760}'")
        .execute(&app.db.pool)
        .await
        .unwrap();
    let ran = jobs::run_due(&app.state, now).await.unwrap().unwrap();
    assert!(ran.iter().all(|job| job.ok), "{ran:?}");
    let kept: i64 = sqlx::query_scalar("select count(*) from visitor_contacts")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn an_unsigned_or_unreadable_question_runs_nothing() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let (id, secret) = app.ingest_key(&site).await;
    let good = json!({"scheduled_time": 1, "cron": "0 * * * *"}).to_string();
    let unsigned = app
        .client
        .post(app.url("/internal/cron"))
        .body(good.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(unsigned.status(), 401);
    assert_eq!(ask(&app, (&id, "wrong"), &good).await.status(), 401);
    let unknown = app.state.config.secret.ingest_key("k_unknown");
    assert_eq!(ask(&app, ("k_unknown", &unknown), &good).await.status(), 401);
    for bad in ["", "{}", "[]", "{\"scheduled_time\":\"x\",\"cron\":1}", "\u{0}"] {
        assert_eq!(ask(&app, (&id, &secret), bad).await.status(), 400, "{bad}");
    }
    let runs = central_api::db::jobs::last_runs(&app.db.pool).await.unwrap();
    assert!(runs.is_empty());
}

#[tokio::test]
async fn jobs_that_ran_while_the_clock_was_days_ahead_run_again_when_it_is_right() {
    let app = TestApp::start().await;
    let now = app.state.clock.now();
    let names = async |at: DateTime<Utc>| -> Vec<String> {
        let ran = jobs::run_due(&app.state, at).await.unwrap().unwrap();
        ran.into_iter().map(|job| job.job).collect()
    };
    assert_eq!(names(now + TimeDelta::days(3)).await, ["partitions", "retention"]);
    assert_eq!(names(now).await, ["partitions", "retention"]);
    assert!(names(now).await.is_empty(), "a slot is done once");
    // Another process, whose clock is a little behind.
    assert!(names(now - TimeDelta::hours(1)).await.is_empty());
}

/// A backup that reads the events: it locks them against a change of their table, not against new rows.
async fn backup(app: &TestApp) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut reading = app.db.pool.begin().await.unwrap();
    for table in ["events", "anonymous_hits"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("lock table {table} in access share mode")))
            .execute(&mut *reading)
            .await
            .unwrap();
    }
    reading
}

#[tokio::test]
async fn a_new_month_is_made_while_a_backup_reads_the_events() {
    let app = TestApp::start().await;
    let reading = backup(&app).await;
    let later = app.state.clock.now() + TimeDelta::days(400);
    let made = central_api::db::partitions::ensure_months(&app.db.pool, later, later);
    let made = tokio::time::timeout(std::time::Duration::from_secs(10), made).await;
    assert_eq!(made.expect("it waits for the backup").unwrap(), 2);
    reading.rollback().await.unwrap();
    // As the others are: key, indexes and all.
    let shape = async |month: DateTime<Utc>| -> Vec<String> {
        sqlx::query_scalar(
            "select replace(pg_get_indexdef(i.indexrelid), $1, '') || ' ' || (h.inhrelid is not null) from pg_index i
             left join pg_inherits h on h.inhrelid = i.indexrelid
             where i.indrelid = ('events_' || $1)::regclass
             union all
             select conname || pg_get_constraintdef(c.oid) from pg_constraint c
             where c.conrelid = ('events_' || $1)::regclass and c.contype = 'c' order by 1",
        )
        .bind(month.format("%Y_%m").to_string())
        .fetch_all(&app.db.pool)
        .await
        .unwrap()
    };
    let first: String = sqlx::query_scalar("select min(relname) from pg_class where relname ~ '^events_[0-9_]{7}$'")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    let first = format!("{}-01T00:00:00Z", first.replace("events_", "").replace('_', "-"));
    assert_eq!(shape(later).await, shape(first.parse().unwrap()).await);
}

#[tokio::test]
async fn an_old_month_is_deleted_after_a_backup_and_new_events_do_not_wait_for_that() {
    let app = TestApp::start().await;
    app.site("shop").await;
    let now = app.state.clock.now();
    let old = "2019-01-05T00:00:00Z".parse().unwrap();
    central_api::db::partitions::ensure_months(&app.db.pool, old, old)
        .await
        .unwrap();
    let months = async || central_api::db::retention::partitions(&app.db.pool).await.unwrap();
    let reading = backup(&app).await;
    let run = tokio::time::timeout(std::time::Duration::from_secs(20), jobs::run_due(&app.state, now));
    let ran = run.await.expect("it waits for the backup").unwrap().unwrap();
    assert!(!ran[1].ok, "{ran:?}");
    assert!(months().await.contains(&"events_2019_01".to_owned()));
    reading.rollback().await.unwrap();
    let ran = jobs::run_due(&app.state, now + TimeDelta::minutes(1))
        .await
        .unwrap()
        .unwrap();
    assert!(ran.len() == 1 && ran[0].ok, "tried again: {ran:?}");
    assert!(!months().await.contains(&"events_2019_01".to_owned()));
}
