//! What commands say. The standard library's `println!` panics when nobody reads any more (`central-api config | head -1`).

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// The first answer that could not be written. The work goes on: who reads no further wants it done all the same.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Writes a line of what the command answers.
macro_rules! say {
    ($($what:tt)*) => { $crate::commands::output::line(format_args!($($what)*)) };
}

/// Writes a line for the person at the terminal.
macro_rules! note {
    ($($what:tt)*) => { $crate::commands::output::aside(format_args!("{}\n", format_args!($($what)*))) };
}

pub(crate) use {note, say};

/// See [`say`].
pub(super) fn line(what: Arguments<'_>) {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{what}").and_then(|()| out.flush());
    if let Err(error) = written {
        let _ = FAILED.set(error);
    }
}

/// Writes to standard error. Where that is closed there is nobody to tell.
pub(super) fn aside(what: Arguments<'_>) {
    let mut err = io::stderr().lock();
    let _ = err.write_fmt(what).and_then(|()| err.flush());
}

/// Why not everything that was answered reached its reader. Nothing where the reader went away by itself, as `head` does.
pub fn unheard() -> Option<&'static io::Error> {
    FAILED.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}
