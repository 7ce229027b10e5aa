//! One server per data directory, shared by every central-api on it.
//!
//! Who comes first makes the cluster and starts the server; who comes later finds it running and uses it; who leaves last stops it.
//! "Who uses it" is a shared file lock, which the kernel releases however a process ends, so a SIGKILL leaves at most a running server
//! behind, and the next central-api uses that. A server that dies is started again on the same port by whoever notices first.
//!
//! Files in the data directory: `postgres/` (the cluster), `postgres-run/` (its socket), `postgres.log`, `postgres-password` (ours alone),
//! `postgres-start.lock` (held while starting or stopping) and `postgres-use.lock` (held while using).

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::process::Child;
use tokio::sync::Mutex;

use super::account::{self, Account};
use super::discover::{self, Programs};
use super::process::{is_in_use, is_server_of, runs};
use super::run;
use crate::config::{Config, PostgresSetting};
use crate::secret::{Secret, hex};

/// Name of the database in the cluster.
pub const DATABASE: &str = "utm_dispatcher";
/// Its files, in the data directory.
const CLUSTER: &str = "postgres";
/// A socket's path may be this long on every system we know, with the file's name.
const MAX_SOCKET_PATH: usize = 90;
/// How often a server that refuses to start is tried again: backends of a killed one may still hold its memory for a moment.
const START_TRIES: u32 = 10;
/// Longest wait for what a killed server left behind to end, before tries count. It ends by itself, but not on a slow machine at once.
const LEFT_BEHIND_WAIT: Duration = Duration::from_secs(30);
/// Longest wait for a server to finish by itself when told to stop.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// Longest wait for another central-api that is starting or stopping the server.
const LOCK_WAIT: Duration = Duration::from_secs(120);

/// A running server, and our share in it.
#[derive(Debug)]
pub struct Cluster {
    paths: Paths,
    starter: Starter,
    major: u32,
    password: Secret,
    port: u16,
    /// Held shared while we live.
    in_use: File,
    server: Mutex<Server>,
}

/// What a start needs. Whoever finds the server running needs neither the programs nor a way to them.
#[derive(Debug)]
struct Starter {
    bin_dir: Option<PathBuf>,
    account: Option<Account>,
    settings: Vec<PostgresSetting>,
}

#[derive(Debug)]
struct Server {
    pid: Pid,
    /// When we started it: to be waited for, or it stays a zombie.
    child: Option<Child>,
}

#[derive(Debug)]
struct Paths {
    directory: PathBuf,
    data: PathBuf,
    run: PathBuf,
    log: PathBuf,
}

impl Cluster {
    /// Whether there is a cluster in a data directory.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn exists(data_dir: &Path) -> anyhow::Result<bool> {
        Ok(version_in(&data_dir.join(CLUSTER))?.is_some())
    }

    /// Makes sure that the data directory's server runs and our database exists.
    ///
    /// # Errors
    /// What stands in the way, in a sentence.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let paths = Paths::make(&config.data_dir)?;
        let account = account::for_this_process(&paths.directory, &paths.data)?;
        let _starting = lock(&paths.directory, "postgres-start.lock").await?;
        let in_use = open_lock(&paths.directory, "postgres-use.lock")?;
        in_use.lock_shared().context("locking postgres-use.lock")?;

        let password = paths.password()?;
        let starter = Starter {
            bin_dir: config.postgres_bin_dir.clone(),
            account,
            settings: config.postgres_settings.clone(),
        };
        let (port, server) = match adopt(&paths, &password).await? {
            Some(running) => running,
            None => {
                let programs = starter.programs(&paths)?;
                paths.make_run(starter.account.as_ref())?;
                if paths.existing_version()?.is_none() {
                    paths.initdb(&programs, starter.account.as_ref(), &password).await?;
                }
                start(&paths, &programs, &starter, &password, None).await?
            }
        };
        let major = paths.existing_version()?.context("the cluster has no version")?;
        let cluster = Self {
            paths,
            starter,
            major,
            password,
            port,
            in_use,
            server: Mutex::new(server),
        };
        cluster.create_database().await?;
        Ok(cluster)
    }

    /// How to connect to our database: over the socket where its path is short enough, else over loopback.
    pub fn connect_options(&self) -> PgConnectOptions {
        options(&self.paths, &self.password, self.port).database(DATABASE)
    }

    /// The same for other programs, over loopback.
    pub fn url(&self) -> Secret {
        Secret::new(format!(
            "postgres://postgres:{}@127.0.0.1:{}/{DATABASE}",
            self.password.expose(),
            self.port
        ))
    }

    /// Major version of the server.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Process id of the server.
    pub async fn pid(&self) -> i32 {
        self.server.lock().await.pid.as_raw_nonzero().get()
    }

    /// Whether the server's process lives.
    pub async fn is_alive(&self) -> bool {
        self.server.lock().await.is_alive()
    }

    /// Starts the server again when it died. To be called now and then.
    ///
    /// # Errors
    /// When it does not start; the next call tries again.
    pub async fn revive(&self) -> anyhow::Result<bool> {
        let mut server = self.server.lock().await;
        if server.is_alive() {
            return Ok(false);
        }
        let _starting = lock(&self.paths.directory, "postgres-start.lock").await?;
        *server = match adopt(&self.paths, &self.password).await? {
            Some((port, running)) if port == self.port => running,
            Some((port, _)) => bail!("Postgres was started on port {port} by another process; restart central-api"),
            None => {
                let programs = self.starter.programs(&self.paths)?;
                start(&self.paths, &programs, &self.starter, &self.password, Some(self.port))
                    .await?
                    .1
            }
        };
        Ok(true)
    }

    /// Leaves; stops the server when nobody else uses it. Answers whether it was stopped.
    ///
    /// # Errors
    /// When the server cannot be told to stop.
    pub async fn close(&self) -> anyhow::Result<bool> {
        let _starting = lock(&self.paths.directory, "postgres-start.lock").await?;
        self.in_use.unlock().context("unlocking postgres-use.lock")?;
        match self.in_use.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error).context("locking postgres-use.lock"),
        }
        let stopped = self.stop().await;
        // Only now may another one come in, also when this value lives on.
        self.in_use.unlock().context("unlocking postgres-use.lock")?;
        stopped.map(|()| true)
    }

    async fn stop(&self) -> anyhow::Result<()> {
        let mut server = self.server.lock().await;
        // SIGINT is Postgres' fast shutdown: sessions end, everything is written; SIGQUIT leaves a recovery to the next start.
        for (signal, wait) in [(Signal::INT, STOP_WAIT), (Signal::QUIT, Duration::from_secs(5))] {
            if !server.is_alive() {
                return Ok(());
            }
            let _ = kill_process(server.pid, signal);
            let until = Instant::now() + wait;
            while server.is_alive() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        match server.is_alive() {
            true => bail!("Postgres (process {}) does not stop", server.pid.as_raw_nonzero()),
            false => Ok(()),
        }
    }

    async fn create_database(&self) -> anyhow::Result<()> {
        let missing = |error: &sqlx::Error| {
            error
                .as_database_error()
                .is_some_and(|error| error.code().as_deref() == Some("3D000"))
        };
        match PgConnection::connect_with(&self.connect_options()).await {
            Ok(connection) => connection.close().await.context("closing a connection"),
            Err(error) if missing(&error) => {
                let mut connection = PgConnection::connect_with(&self.connect_options().database("postgres"))
                    .await
                    .context("connecting to the embedded Postgres")?;
                sqlx::query(AssertSqlSafe(format!("create database {DATABASE}")))
                    .execute(&mut connection)
                    .await
                    .context("creating the database")?;
                connection.close().await.context("closing a connection")
            }
            Err(error) => Err(error).context("connecting to the embedded Postgres"),
        }
    }
}

impl Server {
    fn is_alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => runs(self.pid),
        }
    }
}

impl Starter {
    /// The programs of the cluster's version, or any where there is none yet; and that whoever is to run them can reach what they need.
    fn programs(&self, paths: &Paths) -> anyhow::Result<Programs> {
        let programs = discover::find(self.bin_dir.as_deref(), paths.existing_version()?)?;
        if let Some(account) = &self.account {
            account.check_reach(&paths.directory)?;
            account.check_reach(&programs.bin)?;
        }
        Ok(programs)
    }
}

impl Paths {
    fn make(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("creating the data directory {}", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("looking up {}", directory.display()))?;
        Ok(Self {
            data: directory.join(CLUSTER),
            run: directory.join("postgres-run"),
            log: directory.join("postgres.log"),
            directory,
        })
    }

    /// Makes the directory of the socket. One that is there belongs to whoever runs the server, and is left alone.
    fn make_run(&self, account: Option<&Account>) -> anyhow::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.run) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.with_context(|| format!("creating {}", self.run.display()))?,
        }
        let meta = std::fs::metadata(&self.run).with_context(|| format!("looking at {}", self.run.display()))?;
        match account {
            // Root made it, now or before it was stopped right here.
            Some(account) if meta.uid() == 0 => chown(&self.run, Some(account.uid), Some(account.gid))
                .with_context(|| format!("giving {} to {}", self.run.display(), account.name)),
            _ => Ok(()),
        }
    }

    /// The major version that made the cluster; `None` when there is none yet.
    fn existing_version(&self) -> anyhow::Result<Option<u32>> {
        version_in(&self.data)
    }

    /// The superuser's password, made on first use and readable by us alone.
    fn password(&self) -> anyhow::Result<Secret> {
        let file = self.directory.join("postgres-password");
        let lost = |how: &str| {
            anyhow::anyhow!(
                "{} is {how}, and with it the password that Postgres was made with; restore it from a backup of the data directory",
                file.display(),
            )
        };
        if !file.exists() && self.existing_version()?.is_some() {
            return Err(lost("missing"));
        }
        let password = crate::secret::read_or_make(&file, || hex(&rand::random::<[u8; 24]>()))?;
        if password == Secret::new("") {
            return Err(lost("empty"));
        }
        account::leave_to_owner(&self.directory, &file)?;
        Ok(password)
    }

    /// Makes the cluster aside and moves it into place when complete: a crash in between leaves nothing that looks finished.
    async fn initdb(&self, programs: &Programs, account: Option<&Account>, password: &Secret) -> anyhow::Result<()> {
        tracing::info!(
            major = programs.major,
            "creating a Postgres cluster in the data directory"
        );
        let new = self.run.join("new");
        let password_file = self.run.join("password");
        for path in [&new, &password_file] {
            remove(path)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&password_file)
            .with_context(|| format!("creating {}", password_file.display()))?;
        file.write_all(password.expose().as_bytes())
            .context("writing the password file")?;
        if let Some(account) = account {
            chown(&password_file, Some(account.uid), Some(account.gid)).context("giving the password file away")?;
        }
        let made = run::initdb(programs, account, &new, &password_file).await;
        remove(&password_file)?;
        made?;
        std::fs::rename(&new, &self.data).with_context(|| format!("moving the new cluster to {}", self.data.display()))
    }

    /// Socket directory, where the path is short enough for one.
    fn socket_directory(&self) -> Option<&Path> {
        (self.run.as_os_str().len() <= MAX_SOCKET_PATH).then_some(self.run.as_path())
    }

    /// Removes a lock file that names a living process which is not our server: as long as that lives, Postgres would take it for one if
    /// both are of the same user. Not while anybody works in the cluster.
    fn remove_stale_lock(&self) -> anyhow::Result<()> {
        let Some((pid, _)) = self.postmaster() else {
            return Ok(());
        };
        if !runs(pid) || is_server_of(pid, &self.data) || is_in_use(&self.data) != Some(false) {
            return Ok(());
        }
        tracing::warn!(
            pid = pid.as_raw_nonzero().get(),
            "postmaster.pid was left behind, and its number is another process's by now; removing it"
        );
        remove(&self.data.join("postmaster.pid"))
    }

    /// Process and port of the server that says it runs on this cluster.
    fn postmaster(&self) -> Option<(Pid, u16)> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
        let port = lines.nth(2)?.trim().parse().ok()?;
        Some((pid, port))
    }
}

/// Uses the server that runs already, if one does: that of another central-api, or what a killed one left behind.
async fn adopt(paths: &Paths, password: &Secret) -> anyhow::Result<Option<(u16, Server)>> {
    let Some((pid, port)) = paths.postmaster() else {
        return Ok(None);
    };
    if !runs(pid) || !is_server_of(pid, &paths.data) {
        // Left behind by a server that ended without a word.
        return Ok(None);
    }
    let mut server = Server { pid, child: None };
    if wait_until_ready(paths, password, port, &mut server).await? {
        tracing::info!(port, "using the Postgres that runs already");
        return Ok(Some((port, server)));
    }
    Ok(None)
}

async fn start(
    paths: &Paths,
    programs: &Programs,
    starter: &Starter,
    password: &Secret,
    port: Option<u16>,
) -> anyhow::Result<(u16, Server)> {
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&paths.log)
        .with_context(|| format!("opening {}", paths.log.display()))?;
    account::leave_to_owner(&paths.directory, &paths.log)?;
    let mut said = 0;
    let mut attempt = 0;
    let left_behind_until = Instant::now() + LEFT_BEHIND_WAIT;
    while attempt < START_TRIES {
        said = log.metadata().context("looking at Postgres' log file")?.len();
        // A lock file whose process is gone Postgres replaces by itself. At each try: what a killed server left may still work in the cluster.
        paths.remove_stale_lock()?;
        let port = match port {
            Some(port) => port,
            None => free_port()?,
        };
        let child = run::server(
            programs,
            starter.account.as_ref(),
            &paths.data,
            paths.socket_directory(),
            port,
            &starter.settings,
            &log,
        )?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut server = Server {
            pid: pid.context("Postgres ended at once")?,
            child: Some(child),
        };
        if wait_until_ready(paths, password, port, &mut server).await? {
            tracing::info!(port, major = programs.major, "Postgres started");
            return Ok((port, server));
        }
        if is_in_use(&paths.data) != Some(true) || Instant::now() > left_behind_until {
            attempt += 1;
        }
        tokio::time::sleep(Duration::from_millis(u64::from(attempt.max(1)) * 100)).await;
    }
    bail!(
        "Postgres does not start; {} says: {}",
        paths.log.display(),
        run::said(&paths.log, said)
    )
}

/// Whether the server came to accept connections; `false` when it ended instead. Recovery after a crash may take its time.
async fn wait_until_ready(paths: &Paths, password: &Secret, port: u16, server: &mut Server) -> anyhow::Result<bool> {
    let options = options(paths, password, port).database("postgres");
    let mut waited = Instant::now();
    while server.is_alive() {
        match PgConnection::connect_with(&options).await {
            Ok(connection) => {
                let _ = connection.close().await;
                return Ok(true);
            }
            // All its connections may be taken for the moment.
            Err(sqlx::Error::Database(error))
                if error
                    .code()
                    .is_none_or(|code| !code.starts_with("57P0") && code != "53300") =>
            {
                bail!(
                    "the embedded Postgres refuses us: {}; is postgres-password the one it was made with?",
                    error.message()
                );
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        if waited.elapsed() > Duration::from_secs(10) {
            tracing::info!("waiting for Postgres: it is still recovering");
            waited = Instant::now();
        }
    }
    Ok(false)
}

fn options(paths: &Paths, password: &Secret, port: u16) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .password(password.expose());
    match paths.socket_directory() {
        Some(directory) => options.socket(directory),
        None => options,
    }
}

/// The major version that made the cluster in this directory; `None` when there is none.
fn version_in(cluster: &Path) -> anyhow::Result<Option<u32>> {
    let file = cluster.join("PG_VERSION");
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let major = text.trim().parse();
            major
                .map(Some)
                .with_context(|| format!("{} holds no version", file.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    let gone = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match gone {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn open_lock(directory: &Path, name: &str) -> anyhow::Result<File> {
    let path = directory.join(name);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    account::leave_to_owner(directory, &path)?;
    Ok(file)
}

/// Holds the lock for as long as the file lives.
async fn lock(directory: &Path, name: &str) -> anyhow::Result<File> {
    let file = open_lock(directory, name)?;
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error).with_context(|| format!("locking {name}")),
        }
    }
}
