//! Which process a cluster's lock file speaks of: its server, or by now somebody else's.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, test_kill_process};

/// Whether a process lives.
pub(super) fn runs(pid: Pid) -> bool {
    // Ended, but nobody has waited for it yet: in a container without a proper init that stays so.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    !zombie && !matches!(test_kill_process(pid), Err(error) if error == rustix::io::Errno::SRCH)
}

/// Whether a process is the Postgres of this cluster, where that can be seen: a number may belong to somebody else by now, and after the
/// machine started anew with some likelihood to another Postgres.
pub(super) fn is_server_of(pid: Pid, cluster: &Path) -> bool {
    let number = pid.as_raw_nonzero();
    match std::fs::read_to_string(format!("/proc/{number}/comm")) {
        Ok(name) => name.trim_end().contains("postgres") && works_in(&number.to_string(), cluster) != Some(false),
        Err(_) => !has_proc(),
    }
}

/// Whether somebody works in this cluster: a server, or a connection's process that a killed one left behind. `None` without `/proc`, where
/// that cannot be seen.
pub(super) fn is_in_use(cluster: &Path) -> Option<bool> {
    let entries = std::fs::read_dir("/proc").ok()?;
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut numbers = names.filter(|name| name.bytes().all(|b| b.is_ascii_digit()));
    has_proc().then(|| numbers.any(|number| works_in(&number, cluster) == Some(true)))
}

/// Whether this directory is a process's working directory, as it is of all of Postgres' processes. The same file, not the same path: a
/// service may see it under another one. Where that may not be seen, the process's user decides: Postgres runs as its files' owner only.
fn works_in(number: &str, directory: &Path) -> Option<bool> {
    let wanted = std::fs::metadata(directory).ok()?;
    if let Ok(is) = std::fs::metadata(format!("/proc/{number}/cwd")) {
        return Some((is.dev(), is.ino()) == (wanted.dev(), wanted.ino()));
    }
    let user = std::fs::metadata(format!("/proc/{number}")).ok()?.uid();
    (user != wanted.uid()).then_some(false)
}

fn has_proc() -> bool {
    Path::new("/proc/self/comm").exists()
}
