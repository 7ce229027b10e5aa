//! Starts Postgres' programs the way they must be: as the right user, in a process group of their own, without our environment's PG*.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

use super::account::Account;
use super::discover::Programs;
use crate::config::PostgresSetting;

fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    // The working directory may be closed to the other user; so may be what our environment points at.
    command.current_dir("/").stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    // Ctrl-C in the terminal is for us: Postgres must outlive the requests that are still in flight.
    command.process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Creates the files of a new cluster in `data`, with the superuser `postgres` and the password in `password_file`.
pub(super) async fn initdb(
    programs: &Programs,
    account: Option<&Account>,
    data: &Path,
    password_file: &Path,
) -> anyhow::Result<()> {
    // Sorting by bytes is stable across systems; the character types are those of Unicode, so that lower() knows Cyrillic.
    let locale = if cfg!(target_os = "macos") {
        "en_US.UTF-8"
    } else {
        "C.UTF-8"
    };
    let output = command(&programs.bin.join("initdb"), account)
        .arg("--pgdata")
        .arg(data)
        .arg("--pwfile")
        .arg(password_file)
        .args([
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-instructions",
        ])
        .arg(format!("--locale={locale}"))
        .output()
        .await
        .context("starting initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Starts the server in the foreground of a process group of its own, with the operator's settings over our defaults; what it says goes
/// to `log`.
pub(super) fn server(
    programs: &Programs,
    account: Option<&Account>,
    data: &Path,
    socket_directory: Option<&Path>,
    port: u16,
    chosen: &[PostgresSetting],
    log: &File,
) -> anyhow::Result<Child> {
    let sockets = socket_directory.map_or(String::new(), |directory| directory.display().to_string());
    let defaults = [
        "max_connections=60",
        "shared_buffers=256MB",
        "max_wal_size=2GB",
        // Files of the log that are written over need not be filled with zeros first, which a busy minute's commits would wait for.
        "min_wal_size=1GB",
        "checkpoint_completion_target=0.9",
    ];
    let ours = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={sockets}"),
        "unix_socket_permissions=0700".to_owned(),
        // What a statement was about must not reach the log: neither its text nor the row in an error's detail.
        "log_min_error_statement=panic".to_owned(),
        "log_error_verbosity=terse".to_owned(),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
    ];
    let mut server = command(&programs.bin.join("postgres"), account);
    server.arg("-D").arg(data);
    // The last one of a name holds.
    let chosen = chosen.iter().map(PostgresSetting::as_str);
    for setting in defaults
        .into_iter()
        .chain(chosen)
        .chain(ours.iter().map(String::as_str))
    {
        server.arg("-c").arg(setting);
    }
    server
        .stdout(Stdio::null())
        .stderr(log.try_clone().context("sharing Postgres' log file")?)
        .spawn()
        .with_context(|| format!("starting {}", programs.bin.join("postgres").display()))
}

/// What the log says from here on, for an error message; of much the end.
pub(super) fn said(log: &Path, from: u64) -> String {
    const MOST: u64 = 1_000;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        let cut = length.saturating_sub(MOST) > from;
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(MOST))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole_lines = match cut {
            true => text.split_once('\n').map_or(&*text, |(_, rest)| rest),
            false => &text,
        };
        Ok(whole_lines.trim().to_owned())
    };
    read().unwrap_or_default()
}
