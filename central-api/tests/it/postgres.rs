//! The embedded Postgres, on the real programs of every version that this machine has.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use central_api::config::Config;
use central_api::postgres::Cluster;
use central_api::postgres::discover::{self, Programs};
use sqlx::{Connection, PgConnection};

/// A data directory of its own, gone with the value.
struct DataDir(PathBuf);

impl DataDir {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ud-it-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(data: &Path, programs: &Programs) -> Config {
    let mut config = Config::for_tests();
    config.data_dir = data.to_owned();
    config.postgres_bin_dir = Some(programs.bin.clone());
    config
}

fn versions() -> Vec<Programs> {
    let mut found = discover::all();
    if let Some(bin) = std::env::var_os("UD_TEST_POSTGRES_BIN_DIR") {
        found.push(discover::find(Some(Path::new(&bin)), None).unwrap());
    }
    assert!(!found.is_empty(), "no Postgres 15 to 18 on this machine");
    found
}

async fn count(cluster: &Cluster) -> i64 {
    let mut connection = PgConnection::connect_with(&cluster.connect_options()).await.unwrap();
    let count = sqlx::query_scalar("select count(*) from kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    count
}

async fn run(cluster: &Cluster, statement: &'static str) {
    let mut connection = PgConnection::connect_with(&cluster.connect_options()).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn lives(pid: i32) -> bool {
    // A zombie of ours counts as gone.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn gone(pid: i32) {
    let until = Instant::now() + Duration::from_secs(30);
    while lives(pid) {
        assert!(Instant::now() < until, "process {pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_cluster_is_made_once_and_keeps_its_data_over_a_restart() {
    for programs in versions() {
        let data = DataDir::new();
        let config = config(&data.0, &programs);
        let cluster = Cluster::open(&config).await.unwrap();
        assert_eq!(cluster.major(), programs.major);
        run(&cluster, "create table kept as select 1 as n").await;
        let pid = cluster.pid().await;
        assert!(cluster.close().await.unwrap(), "the last one stops the server");
        gone(pid).await;

        let cluster = Cluster::open(&config).await.unwrap();
        assert_eq!(count(&cluster).await, 1, "Postgres {}", programs.major);
        assert!(cluster.close().await.unwrap());
    }
}

#[tokio::test]
async fn the_operator_s_settings_of_postgres_hold_over_the_defaults_but_not_over_where_it_listens() {
    let data = DataDir::new();
    let mut config = config(&data.0, &versions()[0]);
    let variables = [
        ("UD_SECRET", "a secret of at least thirty-two characters"),
        ("UD_POSTGRES_SETTINGS", "shared_buffers=64MB, listen_addresses=*"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    config.postgres_settings = Config::load(variables, None).unwrap().config.postgres_settings;
    let cluster = Cluster::open(&config).await.unwrap();
    let mut connection = PgConnection::connect_with(&cluster.connect_options()).await.unwrap();
    let told: (String, String, String) =
        sqlx::query_as("select current_setting('shared_buffers'), current_setting('listen_addresses'), current_setting('max_wal_size')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    connection.close().await.unwrap();
    assert_eq!(told, ("64MB".to_owned(), "127.0.0.1".to_owned(), "2GB".to_owned()));
    assert!(cluster.close().await.unwrap());
}

#[tokio::test]
async fn two_on_one_directory_share_the_server_and_the_last_stops_it() {
    for programs in versions() {
        let data = DataDir::new();
        let config = config(&data.0, &programs);
        let (first, second) = tokio::join!(Cluster::open(&config), Cluster::open(&config));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.pid().await, second.pid().await);
        run(&first, "create table kept as select 1 as n").await;
        assert_eq!(count(&second).await, 1);
        let pid = first.pid().await;
        assert!(!first.close().await.unwrap(), "somebody still uses it");
        assert_eq!(count(&second).await, 1);
        assert!(second.close().await.unwrap());
        gone(pid).await;
    }
}

#[tokio::test]
async fn a_server_that_was_killed_is_started_again_on_its_port_with_what_was_committed() {
    for programs in versions() {
        let data = DataDir::new();
        let config = config(&data.0, &programs);
        let cluster = Cluster::open(&config).await.unwrap();
        run(&cluster, "create table kept as select 1 as n").await;
        let url = cluster.url();
        let pid = cluster.pid().await;
        signal(pid, rustix::process::Signal::KILL);
        gone(pid).await;
        assert!(!cluster.is_alive().await);
        assert!(cluster.revive().await.unwrap(), "it had to be started");
        assert!(!cluster.revive().await.unwrap(), "it lives");
        assert_eq!(cluster.url(), url);
        assert_eq!(count(&cluster).await, 1, "Postgres {}", programs.major);
        assert!(cluster.close().await.unwrap());
    }
}

/// Makes a table, kills the server, and answers the number that it had.
async fn kill_with_a_table(cluster: Cluster) -> i32 {
    run(&cluster, "create table kept as select 1 as n").await;
    let pid = cluster.pid().await;
    signal(pid, rustix::process::Signal::KILL);
    gone(pid).await;
    pid
}

#[tokio::test]
async fn a_stale_pid_file_of_a_killed_server_is_no_obstacle() {
    for programs in versions() {
        let data = DataDir::new();
        let config = config(&data.0, &programs);
        let cluster = Cluster::open(&config).await.unwrap();
        let pid = kill_with_a_table(cluster).await;
        // The number may belong to anybody by now: here to this test.
        let file = data.0.join("postgres/postmaster.pid");
        let text = std::fs::read_to_string(&file).unwrap();
        let taken = text.replacen(&pid.to_string(), &std::process::id().to_string(), 1);
        for content in [text, taken] {
            std::fs::write(&file, content).unwrap();
            let cluster = Cluster::open(&config).await.unwrap();
            assert_eq!(count(&cluster).await, 1);
            assert!(cluster.close().await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_stale_pid_file_whose_number_another_postgres_has_by_now_is_no_obstacle() {
    for programs in versions() {
        let (data, other) = (DataDir::new(), DataDir::new());
        let config_of = |data: &DataDir| config(&data.0, &programs);
        let other = Cluster::open(&config_of(&other)).await.unwrap();
        let cluster = Cluster::open(&config_of(&data)).await.unwrap();
        let pid = kill_with_a_table(cluster).await;
        let file = data.0.join("postgres/postmaster.pid");
        let text = std::fs::read_to_string(&file).unwrap();
        // Of the same user, so that Postgres itself takes it for its own server.
        std::fs::write(
            &file,
            text.replacen(&pid.to_string(), &other.pid().await.to_string(), 1),
        )
        .unwrap();
        // As a connection's process that the killed server left behind and that has not noticed yet.
        let mut behind = std::process::Command::new("sleep")
            .arg("8")
            .current_dir(data.0.join("postgres"))
            .spawn()
            .unwrap();
        let config = config_of(&data);
        let cluster = tokio::time::timeout(Duration::from_secs(30), Cluster::open(&config))
            .await
            .expect("it does not wait for somebody else's server")
            .unwrap();
        behind.wait().unwrap();
        assert_eq!(count(&cluster).await, 1);
        assert!(other.is_alive().await);
        assert!(cluster.close().await.unwrap());
        assert!(other.close().await.unwrap());
    }
}

#[tokio::test]
async fn a_password_or_a_secret_that_is_lost_is_not_made_anew_for_what_was_made_with_another() {
    let programs = &versions()[0];
    let data = DataDir::new();
    let command = |arguments: &[&str]| {
        let mut process = Process::start(&data.0, programs, arguments);
        let told = std::io::read_to_string(process.0.stderr.take().unwrap()).unwrap();
        (process.0.wait().unwrap().success(), told)
    };
    // Made without a secret, by the one command that needs none: the first that does makes it.
    assert!(
        Cluster::open(&config(&data.0, programs))
            .await
            .unwrap()
            .close()
            .await
            .unwrap()
    );
    for arguments in [&["migrate"][..], &["create-site", "shop"]] {
        let (success, told) = command(arguments);
        assert!(success, "{arguments:?}: {told}");
    }
    for (name, says) in [
        (
            "secret",
            "secret is missing, and with it the installation's secret; restore it",
        ),
        (
            "postgres-password",
            "postgres-password is missing, and with it the password",
        ),
    ] {
        let (file, aside) = (data.0.join(name), data.0.join("aside"));
        std::fs::rename(&file, &aside).unwrap();
        let (success, told) = command(&["list-keys"]);
        assert!(!success && told.contains(says), "{told}");
        assert!(!file.exists(), "{name} was made anew");
        std::fs::rename(&aside, &file).unwrap();
        let (success, told) = command(&["list-keys"]);
        assert!(success, "{told}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_start_is_told_in_whole_lines_of_its_last_try() {
    use std::os::unix::fs::PermissionsExt;
    let programs = &versions()[0];
    let data = DataDir::new();
    let config = config(&data.0, programs);
    assert!(Cluster::open(&config).await.unwrap().close().await.unwrap());
    let cluster = data.0.join("postgres");
    std::fs::set_permissions(&cluster, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = Cluster::open(&config).await.unwrap_err().to_string();
    let said = error.split_once(" says: ").unwrap().1;
    assert!(
        said.contains("has invalid permissions") && said.lines().count() == 1,
        "{error}"
    );
    assert!(said.starts_with("20"), "{error}");
}

/// A `central-api` of its own; killed with the value if it still runs.
struct Process(std::process::Child);

impl Process {
    fn start(data: &Path, programs: &Programs, arguments: &[&str]) -> Self {
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_central-api"))
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env("UD_DATA_DIR", data)
            .env("UD_POSTGRES_BIN_DIR", &programs.bin)
            .env("UD_LISTEN", "127.0.0.1:0")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, which: rustix::process::Signal) {
        signal(i32::try_from(self.0.id()).unwrap(), which);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn first_line_with(stream: impl std::io::Read, wanted: &str) -> String {
    use std::io::BufRead;
    let mut seen = String::new();
    for line in std::io::BufReader::new(stream).lines() {
        let line = line.unwrap();
        if line.contains(wanted) {
            return line;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("no line with {wanted} in:\n{seen}");
}

#[tokio::test]
async fn what_a_killed_central_api_leaves_running_is_used_by_the_next_and_stopped_by_it() {
    let programs = &versions()[0];
    let data = DataDir::new();
    let mut process = Process::start(&data.0, programs, &["postgres"]);
    let line = first_line_with(process.0.stdout.take().unwrap(), "DATABASE_URL=");
    let url = line.strip_prefix("DATABASE_URL=").unwrap().to_owned();
    process.signal(rustix::process::Signal::KILL);
    process.0.wait().unwrap();
    // Postgres runs on: it was not told anything.
    PgConnection::connect(&url).await.unwrap().close().await.unwrap();

    let cluster = Cluster::open(&config(&data.0, programs)).await.unwrap();
    assert_eq!(cluster.url().expose(), url);
    let pid = cluster.pid().await;
    assert!(cluster.close().await.unwrap());
    gone(pid).await;
}

#[tokio::test]
async fn the_password_is_asked_for_by_socket_and_by_port() {
    let programs = &versions()[0];
    let data = DataDir::new();
    let cluster = Cluster::open(&config(&data.0, programs)).await.unwrap();
    for options in [cluster.connect_options(), cluster.url().expose().parse().unwrap()] {
        let error = PgConnection::connect_with(&options.password("guess"))
            .await
            .unwrap_err();
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("28P01"), "{error}");
    }
    cluster.close().await.unwrap();
}

#[tokio::test]
async fn serving_migrates_answers_and_stops_with_its_postgres() {
    let programs = &versions()[0];
    let data = DataDir::new();
    let mut process = Process::start(&data.0, programs, &["serve"]);
    let line = first_line_with(process.0.stderr.take().unwrap(), "\"ready\"");
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = ready["address"].as_str().unwrap();
    let url = format!("http://{address}/readyz");
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());

    let pid_file = data.0.join("postgres/postmaster.pid");
    let pid = || {
        std::fs::read_to_string(&pid_file)
            .ok()?
            .lines()
            .next()?
            .parse::<i32>()
            .ok()
    };
    let first = pid().unwrap();
    signal(first, rustix::process::Signal::KILL);
    gone(first).await;
    let until = Instant::now() + Duration::from_secs(30);
    while pid() == Some(first) || reqwest::get(&url).await.unwrap().status() != 200 {
        assert!(Instant::now() < until, "Postgres was not started again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let second = pid().unwrap();
    process.signal(rustix::process::Signal::TERM);
    assert!(process.0.wait().unwrap().success());
    gone(second).await;
}

#[tokio::test]
async fn only_serve_migrate_and_postgres_make_an_installation_and_the_others_say_that_there_is_none() {
    let programs = &versions()[0];
    let data = DataDir::new();
    let inside = data.0.join("elsewhere");
    for arguments in [
        &["list-keys"][..],
        &["create-site", "shop"],
        &["doctor"],
        &["demo-data"],
    ] {
        let mut process = Process::start(&inside, programs, arguments);
        let told = std::io::read_to_string(process.0.stderr.take().unwrap()).unwrap();
        assert_eq!(process.0.wait().unwrap().code(), Some(1), "{arguments:?}: {told}");
        assert!(
            told.contains(&format!(
                "there is no installation in {}; set UD_DATA_DIR or DATABASE_URL",
                inside.display()
            )),
            "{told}"
        );
        assert!(!inside.exists(), "{arguments:?}");
    }
    for arguments in [&["migrate"][..], &["create-site", "shop"]] {
        let mut process = Process::start(&inside, programs, arguments);
        let told = std::io::read_to_string(process.0.stderr.take().unwrap()).unwrap();
        assert!(process.0.wait().unwrap().success(), "{arguments:?}: {told}");
    }
}

#[tokio::test]
async fn root_beside_a_service_uses_what_runs_as_it_is_and_leaves_all_of_it_to_its_owner() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    // `nobody`: initdb wants a user that has a name.
    const OWNER: u32 = 65_534;
    const STRANGER: u32 = 61_234;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let programs = &versions()[0];
    let top = DataDir::new();
    std::fs::set_permissions(&top.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = top.0.join("data");
    std::fs::create_dir(&data).unwrap();
    chown(&data, Some(OWNER), Some(OWNER)).unwrap();
    let config = config(&data, programs);
    let owners = || -> Vec<(String, u32)> {
        std::fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    entry.metadata().unwrap().uid(),
                )
            })
            .collect()
    };

    // Whatever root makes for it is the owner's.
    let service = Cluster::open(&config).await.unwrap();
    let made = owners();
    assert!(
        made.len() >= 6 && made.iter().all(|(_, owner)| *owner == OWNER),
        "{made:?}"
    );
    // Where systemd keeps the directory of a user that it makes up, nobody but root may enter.
    std::fs::set_permissions(&top.0, std::fs::Permissions::from_mode(0o700)).unwrap();
    let beside = Cluster::open(&config).await.unwrap();
    assert_eq!(beside.pid().await, service.pid().await);
    assert!(!beside.close().await.unwrap());
    assert_eq!(owners().len(), made.len());
    assert!(owners().iter().all(|(_, owner)| *owner == OWNER), "{:?}", owners());
    std::fs::set_permissions(&top.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(service.close().await.unwrap());

    // A directory of the socket that is somebody else's stays theirs: they could not take it back.
    chown(data.join("postgres-run"), Some(STRANGER), Some(STRANGER)).unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(60), Cluster::open(&config)).await;
    assert!(refused.unwrap().is_err());
    assert_eq!(std::fs::metadata(data.join("postgres-run")).unwrap().uid(), STRANGER);
}
