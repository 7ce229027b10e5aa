//! Reports by e-mail: schedules over the API, slots, recipients' states, unsubscribing and previews. Mails go into files here; the SMTP
//! server, and the comparison of every figure, are in tests/e2e.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use central_api::auth::{Role, Scope};
use central_api::clock::Clock;
use central_api::config::{Config, MailTransport};
use central_api::db::{report_runs, report_schedules};
use central_api::mail::run;
use central_api::site::Site;
use central_api::state::AppState;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::utm_data::Data;

/// Monday of the shop's data, 10:00 in Kyiv.
const MONDAY: &str = "2026-11-16T08:00:00Z";

struct Office {
    app: TestApp,
    site: Arc<Site>,
    time: Arc<Mutex<DateTime<Utc>>>,
    folder: PathBuf,
}

impl Office {
    async fn open(now: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ud-mails-{:x}", rand::random::<u64>()));
        let mails = folder.clone();
        Self::with(now, folder, move |config| {
            config.mail_transport = MailTransport::File;
            config.mail_dir = Some(mails);
            config.public_url = Some("https://utm.shop.example".parse().unwrap());
        })
        .await
    }

    async fn with(now: &str, folder: PathBuf, change: impl FnOnce(&mut Config)) -> Self {
        let time = Arc::new(Mutex::new(now.parse::<DateTime<Utc>>().unwrap()));
        let shared = time.clone();
        let app = TestApp::start_configured(Clock::from_fn(move || *shared.lock().unwrap()), change).await;
        let site = app.site("shop").await;
        Self {
            app,
            site,
            time,
            folder,
        }
    }

    fn set(&self, now: &str) {
        *self.time.lock().unwrap() = now.parse().unwrap();
    }

    fn later(&self, by: TimeDelta) {
        *self.time.lock().unwrap() += by;
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        // A login of its own: the tests skip weeks, and logins end.
        let admin = self.app.admin().await;
        let mut request = admin.request(method, self.app.url(path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn schedule(&self, body: Value) -> i64 {
        let (status, made) = self
            .send(reqwest::Method::POST, "/api/v1/report-schedules", Some(body))
            .await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_i64().unwrap()
    }

    async fn runs(&self) -> Vec<Value> {
        let (status, runs) = self.send(reqwest::Method::GET, "/api/v1/report-runs", None).await;
        assert_eq!(status, 200, "{runs}");
        runs.as_array().unwrap().clone()
    }

    /// What the background loop does once.
    async fn tick(&self) {
        run::claim_due(&self.app.state, self.app.state.clock.now())
            .await
            .unwrap();
        run::deliver_due(&self.app.state).await.unwrap();
    }

    fn mails(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn weekly() -> Value {
    json!({"frequency": "weekly", "recipients": ["ann@shop.example", "bob@shop.example"], "format": "text"})
}

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
    );
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
    let states: Vec<_> = runs[0]["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(states, ["uncertain", "sent"]);
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
async fn a_preview_shows_the_figures_and_runs_nothing_that_a_campaign_s_name_holds() {
    let office = Office::open("2026-11-20T23:10:00Z").await;
    Data::generate(7, 120).store(&office.app.db.pool, office.site.id).await;
    sqlx::query("update sessions set utm_source = '<script>alert(1)</script>' where utm_source = 'facebook'")
        .execute(&office.app.db.pool)
        .await
        .unwrap();
    let reader = office.app.bearer(&office.site, &[Scope::Read]).await;
    let get = async |path: &str| reader.get(office.app.url(path)).send().await.unwrap();
    let stats: Value = get("/api/utm/general-stats?period=all_time")
        .await
        .json()
        .await
        .unwrap();
    let answer = get("/api/v1/report-preview?period=all_time").await;
    assert_eq!(answer.status(), 200);
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("sandbox"),
        "{policy}"
    );
    let html = answer.text().await.unwrap();
    assert!(html.contains("UTM Аналітика — звіт за весь час"));
    assert!(html.contains("data:image/png;base64,iVBOR"));
    assert!(!html.contains("<script"), "escaped");
    assert!(
        html.contains("&#60;script&#62;alert(1)") || html.contains("&lt;script&gt;alert(1)"),
        "the source's name is shown as text"
    );
    let text = get("/api/v1/report-preview?period=all_time&format=text&language=en")
        .await
        .text()
        .await
        .unwrap();
    assert!(
        text.contains(&format!("Sessions: {}", stats["total_sessions"])),
        "{text}"
    );
    assert!(text.contains("<script>alert(1)</script>"), "text needs no escaping");
    for (query, field) in [
        ("period=year", "period"),
        ("format=pdf", "format"),
        ("language=ru", "language"),
        ("schedule=x", "schedule"),
        ("bots=only&nonsense=1", "nonsense"),
    ] {
        let refused = get(&format!("/api/v1/report-preview?{query}")).await;
        assert_eq!(refused.status(), 400, "{query}");
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["error"]["field"], field, "{refused}");
    }
    assert_eq!(get("/api/v1/report-preview?schedule=99").await.status(), 404);
}
