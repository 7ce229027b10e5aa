//! The program itself, as an operator and the service manager use it.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use central_api::secret::Secret;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use shared::ids::uuid_v7;
use shared::signature;
use sqlx::ConnectOptions;

use crate::support::{TestApp, TestDb};

const SECRET: &str = "the secret of these tests has more than thirty-two characters";

/// The program on a database, with nothing else in its environment.
fn program(db: &TestDb, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_central-api"));
    command
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", db.pool.connect_options().to_url_lossy().as_str())
        .env("UD_SECRET", SECRET)
        .env("UD_LISTEN", "127.0.0.1:0");
    command
}

/// Runs a command to its end: whether it succeeded, and what it printed on each stream.
pub async fn run(db: &TestDb, arguments: &[&str]) -> (bool, String, String) {
    let mut command = program(db, arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

async fn ok(db: &TestDb, arguments: &[&str]) -> String {
    let (succeeded, out, err) = run(db, arguments).await;
    assert!(succeeded, "{arguments:?}: {err}");
    out
}

fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap()
}

#[tokio::test]
async fn config_shows_every_setting_and_where_it_comes_from_and_hides_secrets() {
    let db = TestDb::new().await;
    let printed = ok(&db, &["config"]).await;
    assert!(printed.contains("listen = \"127.0.0.1:0\""), "{printed}");
    for line in [
        "# environment: UD_LISTEN; default: 127.0.0.1:8080",
        "# database_url is set and hidden (environment only)",
        "# secret is set and hidden (environment only)",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
    assert!(!printed.contains(SECRET) && !printed.contains(&db.name), "{printed}");
    // What is printed can be read again.
    let settings: toml::Table = printed.parse().unwrap();
    assert!(settings.contains_key("request_timeout_seconds"));

    let file = std::env::temp_dir().join(format!("{}.toml", db.name));
    std::fs::write(&file, "listn = \"127.0.0.1:1\"\n").unwrap();
    let (succeeded, _, told) = run(&db, &["config", "--config", file.to_str().unwrap()]).await;
    std::fs::remove_file(&file).unwrap();
    assert!(!succeeded && told.contains("listn"), "{told}");
}

#[tokio::test]
async fn a_key_that_is_revoked_is_listed_so_and_cannot_be_revoked_twice() {
    let db = TestDb::new().await;
    ok(
        &db,
        &["create-site", "shop", "--name", "Shop", "--domain", "shop.example"],
    )
    .await;
    for (kind, more) in [("ingest", &[][..]), ("api", &["--scopes", "events"][..])] {
        let made = ok(&db, &[&["create-key", "--kind", kind], more].concat()).await;
        let id = value(&made, "KEY_ID");
        let listed = async || {
            let list = ok(&db, &["list-keys"]).await;
            let line = list.lines().find(|line| line.starts_with(&format!("{id}\t"))).unwrap();
            let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            assert_eq!((cells[1].as_str(), cells[2].as_str()), (kind, "shop"), "{line}");
            cells[6].clone()
        };
        let before = listed().await;
        assert!(ok(&db, &["revoke-key", id]).await.contains("revoked"));
        assert_ne!(listed().await, before, "the list says since when");
        let (succeeded, _, told) = run(&db, &["revoke-key", id]).await;
        assert!(!succeeded && told.contains("list-keys"), "{told}");
    }
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_replayed() {
    let app = TestApp::start().await;
    let site = app.site("shop").await;
    let (key_id, key) = app.ingest_key(&site).await;
    let old = Utc::now() - TimeDelta::days(40);
    let event = |n: u8, action: &str| {
        json!({
            "id": uuid_v7(old.timestamp_millis(), [n; 10]), "at": old.timestamp_millis(), "action": action, "origin": "edge",
            "visitor": uuid::Uuid::from_u128(1), "consent": "granted",
            "session": {"id": uuid::Uuid::from_u128(2), "started": old.timestamp_millis(), "visit": 1},
        })
    };
    let body = batch(
        "shop",
        &[event(1, "page_view"), event(2, "click"), event(3, "no_such_action")],
    );
    let header = signature::sign(&key_id, key.as_bytes(), Utc::now().timestamp(), &body);
    let request = app
        .client
        .post(app.url("/ingest/v1/events"))
        .header(signature::HEADER, header)
        .body(body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["rejected"].as_array().unwrap().len(), 3, "{answer}");

    let list = ok(&app.db, &["dead-letters", "list"]).await;
    assert_eq!(list.lines().count(), 3, "{list}");
    assert_eq!(list.matches("\tshop\tingest\t").count(), 3, "{list}");
    let too_old = ok(
        &app.db,
        &["dead-letters", "list", "--code", "too_old", "--site", "shop"],
    )
    .await;
    assert_eq!(too_old.lines().count(), 2, "{too_old}");
    let id = too_old.split('\t').next().unwrap();
    assert!(ok(&app.db, &["dead-letters", "show", id]).await.contains("too_old"));

    // How old an event is by now does not count against its replay.
    assert_eq!(
        ok(&app.db, &["dead-letters", "replay", "--id", id]).await,
        format!("{id}: accepted\n")
    );
    let rest = ok(&app.db, &["dead-letters", "replay", "--all"]).await;
    assert!(
        rest.contains("accepted: 1") && rest.contains("invalid_json: 1"),
        "{rest}"
    );
    let open = ok(&app.db, &["dead-letters", "list"]).await;
    assert!(open.lines().count() == 1 && open.contains("invalid_json"), "{open}");
    let settled = ok(&app.db, &["dead-letters", "list", "--settled"]).await;
    assert_eq!(settled.matches("(replayed: accepted)").count(), 2, "{settled}");
    let stored: i64 = sqlx::query_scalar("select count(*) from events")
        .fetch_one(&app.db.pool)
        .await
        .unwrap();
    assert_eq!(stored, 2);
    let (succeeded, _, told) = run(&app.db, &["dead-letters", "replay"]).await;
    assert!(!succeeded && told.contains("--all"), "{told}");

    // One is left, and it will never be taken.
    let (succeeded, said, told) = run(&app.db, &["dead-letters", "replay", "--all"]).await;
    assert!(
        !succeeded && said == "invalid_json: 1\n" && told.contains("all 1 were refused again"),
        "{said}{told}"
    );
    let left = open.split('\t').next().unwrap();
    let (succeeded, _, told) = run(&app.db, &["dead-letters", "replay", "--id", left]).await;
    assert!(!succeeded && told.contains("refused again"), "{told}");
    let (_, said, _) = run(&app.db, &["doctor"]).await;
    assert!(
        said.contains("notice  dead letters: 1 events or orders were refused and wait."),
        "{said}"
    );
    app.site("other").await;
    for (site, says) in [("nosuch", "--site: "), ("other", "is not of site other")] {
        let (succeeded, said, told) = run(&app.db, &["dead-letters", "replay", "--id", left, "--site", site]).await;
        assert!(!succeeded && said.is_empty() && told.contains(says), "{said}{told}");
    }
}

#[tokio::test]
async fn days_that_end_before_they_begin_are_refused_and_not_found_to_be_right() {
    let db = TestDb::new().await;
    ok(&db, &["create-site", "shop", "--domain", "shop.example"]).await;
    for verb in [&["rollup", "verify"][..], &["rollup", "rebuild"], &["update-analytics"]] {
        let days = ["--from", "2026-11-05", "--to", "2026-11-01"];
        let (succeeded, said, told) = run(&db, &[verb, &days].concat()).await;
        assert!(
            !succeeded && said.is_empty() && told.contains("--to must not lie before --from"),
            "{verb:?}: {said}{told}"
        );
    }
    sqlx::query("insert into sessions (site_id, visitor_id, session_id, first_seen, last_seen, visit_count, active, event_count, page_views, points)
         select site_id, gen_random_uuid(), gen_random_uuid(), now(), now(), 1, '{}', 1, 1, 0 from sites")
        .execute(&db.pool)
        .await
        .unwrap();
    for (end, says) in [
        (["--from", "2199-01-01"], "--from must not lie after today"),
        (["--to", "2001-01-01"], "--to lies before the first session"),
    ] {
        let (succeeded, said, told) = run(&db, &[&["rollup", "verify"][..], &end].concat()).await;
        assert!(!succeeded && said.is_empty() && told.contains(says), "{said}{told}");
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_quietly_and_a_full_disk_is_told() {
    let db = TestDb::new().await;
    for (arguments, stream) in [
        (&["config"][..], "stdout"),
        (&["list-keys"], "stdout"),
        (&["nosuch"], "stderr"),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program(&db, arguments);
        match stream {
            "stdout" => command.stdout(writer).stderr(Stdio::piped()),
            _ => command.stderr(writer).stdout(Stdio::piped()),
        };
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let wanted = if stream == "stdout" { 0 } else { 2 };
        assert_eq!(output.status.code(), Some(wanted), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
    if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
        let mut command = program(&db, &["config"]);
        command.stdout(full);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.starts_with("central-api: writing to standard output: ") && told.lines().count() == 1,
            "{told}"
        );
    }
}

#[tokio::test]
async fn whoever_asks_what_is_wrong_is_told_within_seconds_that_the_database_is_away() {
    let db = TestDb::new().await;
    let mut command = program(&db, &["doctor"]);
    command.env("DATABASE_URL", "postgres://utm:password@127.0.0.1:1/utm");
    let began = std::time::Instant::now();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && told.contains("does not take connections"),
        "{told}"
    );
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let last = told.lines().last().unwrap();
    assert_eq!(last.matches("Connection refused").count(), 1, "said twice: {last}");
}

#[tokio::test]
async fn what_the_database_refuses_is_told_in_its_words_and_without_the_lines_of_its_source() {
    let db = TestDb::new().await;
    let mut command = program(&db, &["doctor"]);
    let url = db.pool.connect_options().to_url_lossy();
    command.env("DATABASE_URL", url.as_str().replace(&db.name, "there_is_none"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let end = "the database says: database \"there_is_none\" does not exist\n";
    assert!(told.ends_with(end) && !told.contains("at line"), "{told}");
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_a_problem_to_the_doctor() {
    let db = TestDb::new().await;
    let (_, said, _) = run(&db, &["doctor"]).await;
    assert!(said.contains("ok      writing: allowed."), "{said}");
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "alter database {} set default_transaction_read_only = on",
        db.name
    )))
    .execute(&db.pool)
    .await
    .unwrap();
    let (succeeded, said, _) = run(&db, &["doctor"]).await;
    assert!(
        !succeeded && said.contains("PROBLEM writing: the database is set to be read only."),
        "{said}"
    );
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_refused_with_the_name_of_what_is_wrong() {
    let db = TestDb::new().await;
    ok(&db, &["create-site", "shop"]).await;
    for (wrong, field) in [
        (["yearly", "--hour=9"], "frequency"),
        (["daily", "--filter=utm_sauce=x"], "utm_sauce"),
        (["daily", "--filter=device_type=phone"], "device_type"),
        (["daily", "--format=pdf"], "format"),
    ] {
        let arguments = [
            &["schedule", "add", "--recipients", "a@shop.example", "--frequency"],
            &wrong[..],
        ]
        .concat();
        let (succeeded, _, told) = run(&db, &arguments).await;
        assert!(
            !succeeded && told.contains(field) && told.contains("allowed are"),
            "{told}"
        );
    }
}

/// Runs a command with another secret than that of these tests.
async fn with_other_secret(db: &TestDb, arguments: &[&str]) -> (bool, String, String) {
    let mut command = program(db, arguments);
    command.env("UD_SECRET", "quite another secret, which has enough characters as well");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn another_secret_than_the_one_that_the_database_was_used_with_is_refused_until_it_is_accepted() {
    let db = TestDb::new().await;
    // Whatever brings the schema up to date may do so with any secret: it hashes and signs nothing.
    assert!(with_other_secret(&db, &["migrate"]).await.0);
    ok(&db, &["create-site", "shop"]).await;
    ok(&db, &["create-key", "--kind", "ingest"]).await;
    for arguments in [
        &["list-keys"][..],
        &["create-key", "--kind", "ingest"],
        &["serve"],
        &["update-analytics"],
    ] {
        let (succeeded, said, told) = with_other_secret(&db, arguments).await;
        assert!(!succeeded && said.is_empty(), "{arguments:?}: {said}");
        for says in ["UD_SECRET is not the secret", "Restore it", "accept-secret"] {
            assert!(told.contains(says), "{arguments:?}: {told}");
        }
        assert!(!told.contains("quite another secret"), "{told}");
    }
    let (succeeded, said, _) = with_other_secret(&db, &["doctor"]).await;
    assert!(
        !succeeded && said.contains("PROBLEM secret: UD_SECRET is not the secret"),
        "{said}"
    );
    assert!(with_other_secret(&db, &["migrate"]).await.0);

    // On purpose: first it says what is lost.
    let (succeeded, said, told) = with_other_secret(&db, &["accept-secret"]).await;
    assert!(!succeeded && told.contains("--yes"), "{said}{told}");
    assert!(said.contains("1 ingest key") && said.contains("contacts"), "{said}");
    ok(&db, &["list-keys"]).await;
    let (succeeded, said, told) = with_other_secret(&db, &["accept-secret", "--yes"]).await;
    assert!(succeeded && said.contains("create-key --kind ingest"), "{said}{told}");
    assert!(with_other_secret(&db, &["list-keys"]).await.0);
    let (succeeded, _, told) = run(&db, &["list-keys"]).await;
    assert!(!succeeded && told.contains("UD_SECRET is not the secret"), "{told}");
    let (succeeded, said, _) = with_other_secret(&db, &["accept-secret", "--yes"]).await;
    assert!(succeeded && said.contains("already"), "{said}");
    let kept: String = sqlx::query_scalar("select string_agg(i::text, '') from installation i")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert!(kept.len() < 80, "no more than what tells one from another: {kept}");
}

#[tokio::test]
async fn an_installation_of_before_takes_the_secret_of_its_next_serve_and_of_no_other_command() {
    let db = TestDb::new().await;
    ok(&db, &["create-site", "shop"]).await;
    sqlx::query("delete from installation").execute(&db.pool).await.unwrap();
    // A command with a wrong secret must not keep the service from starting.
    assert!(with_other_secret(&db, &["list-keys"]).await.0);
    let (_, said, _) = run(&db, &["doctor"]).await;
    assert!(said.contains("ok      secret:"), "{said}");
    // Several processes start at once.
    let both = futures_util::future::join(Serving::start(&db), Serving::start(&db)).await;
    drop(both);
    let rows: i64 = sqlx::query_scalar("select count(*) from installation")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(rows, 1);
    let (succeeded, _, told) = with_other_secret(&db, &["list-keys"]).await;
    assert!(!succeeded && told.contains("UD_SECRET is not the secret"), "{told}");

    // A database that takes no writes now is served as ever, with the secret that it knows and while it knows none.
    let read_only = format!("alter database {} set default_transaction_read_only = on", db.name);
    sqlx::query(sqlx::AssertSqlSafe(read_only))
        .execute(&db.pool)
        .await
        .unwrap();
    drop(Serving::start(&db).await);
    sqlx::raw_sql("begin read write; delete from installation; commit")
        .execute(&db.pool)
        .await
        .unwrap();
    drop(Serving::start(&db).await);
}

#[tokio::test]
async fn a_country_that_there_is_not_makes_no_site() {
    let db = TestDb::new().await;
    let (succeeded, _, told) = run(&db, &["create-site", "shop", "--country", "QQ"]).await;
    assert!(!succeeded && told.contains("country"), "{told}");
}

fn batch(site: &str, events: &[Value]) -> Vec<u8> {
    let batch = json!({
        "schema": 1, "batch_id": uuid::Uuid::from_u128(rand::random()), "sent_at": Utc::now().timestamp_millis(), "site": site, "events": events,
    });
    serde_json::to_vec(&batch).unwrap()
}

/// A serving program; killed with the value if it still runs.
struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    async fn start(db: &TestDb) -> Self {
        let mut child = program(db, &["serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (told, address) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut told = Some(told);
            // Read on to the end: a full pipe would stop the program.
            for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if line["message"] == "ready"
                    && let Some(told) = told.take()
                {
                    let _ = told.send(line["address"].as_str().unwrap().to_owned());
                }
            }
        });
        let address = tokio::time::timeout(std::time::Duration::from_secs(60), address)
            .await
            .unwrap()
            .unwrap();
        Self {
            child,
            url: format!("http://{address}"),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_sigterm_under_load_leaves_nothing_stored_that_was_not_answered_and_nothing_answered_that_is_not_stored() {
    let db = TestDb::new().await;
    ok(
        &db,
        &["create-site", "shop", "--name", "Shop", "--domain", "shop.example"],
    )
    .await;
    let made = ok(&db, &["create-key", "--kind", "ingest"]).await;
    let key_id = value(&made, "KEY_ID").to_owned();
    let key = Secret::new(SECRET).ingest_key(&key_id);
    let mut serving = Serving::start(&db).await;

    // A centre in this process brings it along; run by itself, this test has none, and its senders could not begin.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..8)
        .map(|sender: u128| {
            let (url, key_id, key, stop) = (serving.url.clone(), key_id.clone(), key.clone(), stop.clone());
            tokio::spawn(async move {
                // A connection a request: one that is kept could be closed just when the next request leaves, and then nobody accepted it.
                let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
                let mut answered = 0_i64;
                while !stop.load(Ordering::Relaxed) {
                    let now = Utc::now().timestamp_millis();
                    let events: Vec<Value> = (0..50)
                        .map(|n| {
                            json!({
                                "id": uuid_v7(now, rand::random()), "at": now, "action": "page_view", "origin": "edge",
                                "visitor": uuid::Uuid::from_u128(sender + 1), "consent": "granted",
                                "session": {"id": uuid::Uuid::from_u128(100 + sender * 50 + n), "started": now, "visit": 1},
                            })
                        })
                        .collect();
                    let body = batch("shop", &events);
                    let header = signature::sign(&key_id, key.as_bytes(), Utc::now().timestamp(), &body);
                    let request = client.post(format!("{url}/ingest/v1/events")).header(signature::HEADER, header);
                    match request.body(body).send().await {
                        Ok(answer) => {
                            assert_eq!(answer.status(), 200);
                            answered += answer.json::<Value>().await.unwrap()["accepted"].as_i64().unwrap();
                        }
                        // The door is closed.
                        Err(_) => break,
                    }
                }
                answered
            })
        })
        .collect();
    let stored = async || -> i64 {
        sqlx::query_scalar("select count(*) from events")
            .fetch_one(&db.pool)
            .await
            .unwrap()
    };
    while stored().await < 1_000 {
        tokio::task::yield_now().await;
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(serving.child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let (status, serving) = tokio::task::spawn_blocking(move || (serving.child.wait().unwrap(), serving))
        .await
        .unwrap();
    assert!(status.success(), "{status}");
    stop.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for sender in senders {
        answered += sender.await.unwrap();
    }
    assert_eq!(stored().await, answered);
    drop(serving);
}
