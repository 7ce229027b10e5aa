//! Connections: two pools, so that reports cannot starve what comes in, and one connection of its own for migrations.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tracing::log::LevelFilter;

use crate::MIGRATOR;
use crate::config::Config;
use crate::secret::Secret;

/// Longest wait for a free connection; then the caller gets a 503.
const ACQUIRE: Duration = Duration::from_secs(5);
/// Connections that idle longer than this are closed.
const IDLE: Duration = Duration::from_secs(300);
/// A connection that idled longer than this is tried before it is used.
const TRY_AFTER: Duration = Duration::from_secs(1);

/// Reads a database URL without ever repeating it.
///
/// # Errors
/// When it is not one.
pub fn options_of(url: &Secret, variable: &str) -> anyhow::Result<PgConnectOptions> {
    PgConnectOptions::from_str(url.expose())
        .map_err(|_| anyhow::anyhow!("{variable}: cannot be read; it must be postgres://user:password@host:port/database, where what is special in an address is written in percent (a / in a password as %2F, an @ as %40, a % as %25), and sslmode, where given, one of disable, prefer, require, verify-ca, verify-full"))
}

/// The pool that writes.
pub fn write_pool(config: &Config, options: PgConnectOptions) -> PgPool {
    // As for reports: compiling the sums of an hour took longer than making them.
    let options = options.options([("jit", "off")]);
    pool_options(config.database_connections).connect_lazy_with(logged(config, options))
}

/// The pool that reads reports: as many reports run at a time as it has connections, each statement no longer than the configured time.
///
/// # Errors
/// When `DATABASE_READ_URL` is not a URL.
pub fn read_pool(config: &Config, options: PgConnectOptions) -> anyhow::Result<PgPool> {
    let options = match &config.database_read_url {
        Some(url) => options_of(url, "DATABASE_READ_URL")?,
        None => options,
    };
    let options = options.options([
        ("statement_timeout", format!("{}s", config.read_timeout_seconds)),
        ("default_transaction_read_only", "on".to_owned()),
        // Compiling a plan takes a second and never pays for itself on reports of this size.
        ("jit", "off".to_owned()),
        // Few connections: cohorts and customers hash what they join instead of sorting it on disk.
        ("work_mem", "32MB".to_owned()),
    ]);
    Ok(pool_options(config.database_read_connections).connect_lazy_with(logged(config, options)))
}

/// Writing where only reading is allowed: a standby that was the primary, or a database set to be read only.
const READ_ONLY: &str = "25006";
/// A statement took longer than it may, or an operator cancelled it.
const CANCELLED: &str = "57014";

/// Whether the database gave the statement up.
pub fn was_cancelled(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().as_deref() == Some(CANCELLED))
}

/// What an error of the database says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is away, overloaded, going down or takes no writes, or two transactions were in each other's way: the same may succeed later.
    Passing,
    /// It refuses the values and always will.
    Data,
    /// Anything else: a fault of this program, or of who changed the schema.
    Other,
}

/// Which of them an error is.
pub fn fault(error: &sqlx::Error) -> Fault {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
            Fault::Passing
        }
        sqlx::Error::Encode(_) => Fault::Data,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // Classes: 08 connections, 40 deadlocks and serialization, 53 resources; 57P0x going down or starting. XX000 is how a
            // distributed database reports a node that went away.
            Some("XX000" | CANCELLED | READ_ONLY) => Fault::Passing,
            Some(code) if ["08", "40", "53", "57P0"].iter().any(|class| code.starts_with(class)) => Fault::Passing,
            Some(code) if code.starts_with("22") || code.starts_with("23") => Fault::Data,
            _ => Fault::Other,
        },
        _ => Fault::Other,
    }
}

fn pool_options(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        // A ping before each use would be a second round trip; one after a pause finds what a restart of the database broke.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for >= TRY_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// Slow statements are logged where they are awaited, so inside the request's span and with its id. The text has placeholders, never
/// values. Setting a name in the database for each request would cost a round trip each; a comment in the text would defeat the
/// preparation of statements.
fn logged(config: &Config, options: PgConnectOptions) -> PgConnectOptions {
    options
        .application_name("central-api")
        .log_statements(LevelFilter::Off)
        .log_slow_statements(
            LevelFilter::Warn,
            Duration::from_millis(u64::from(config.slow_statement_ms)),
        )
}

/// Applies what migrations are missing, under a lock, on a connection that is closed whatever happens: a pooled one would keep the lock
/// after a failure and the next process would wait for ever.
///
/// # Errors
/// The database's, or the migration that failed.
pub async fn migrate(options: &PgConnectOptions) -> anyhow::Result<usize> {
    let mut connection = PgConnection::connect_with(&options.clone().disable_statement_logging())
        .await
        .context("connecting to the database")?;
    let before = applied(&mut connection).await?;
    let newest = MIGRATOR.iter().map(|migration| migration.version).max();
    if before.last().copied() >= newest && before.len() >= MIGRATOR.iter().count() {
        connection.close().await.ok();
        return Ok(0);
    }
    let done = MIGRATOR.run(&mut connection).await.context("applying the migrations");
    let after = match &done {
        Ok(()) => applied(&mut connection).await?.len(),
        Err(_) => 0,
    };
    connection.close().await.ok();
    done?;
    Ok(after.saturating_sub(before.len()))
}

/// Versions of the migrations that the database has, oldest first.
async fn applied(connection: &mut PgConnection) -> anyhow::Result<Vec<i64>> {
    let there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await
        .context("looking for the list of migrations")?;
    if !there {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from _sqlx_migrations where success order by version")
        .fetch_all(connection)
        .await
        .context("reading the list of migrations")
}

/// Where the database's schema and this program differ.
#[derive(Debug, Default)]
pub struct SchemaGap {
    /// Versions of compiled-in migrations that the database lacks.
    pub missing: Vec<i64>,
    /// Versions that it has and this program does not know: a newer one made them. Migrations only add, so this program goes on, as it has to
    /// while several are replaced one by one.
    pub unknown: Vec<i64>,
}

/// Compares the migrations of the database with those compiled in.
///
/// # Errors
/// The database's.
pub async fn schema_gap(pool: &PgPool) -> sqlx::Result<SchemaGap> {
    let there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(pool)
        .await?;
    let applied: BTreeSet<i64> = match there {
        true => {
            let versions: Vec<i64> = sqlx::query_scalar("select version from _sqlx_migrations where success")
                .fetch_all(pool)
                .await?;
            versions.into_iter().collect()
        }
        false => BTreeSet::new(),
    };
    let known: BTreeSet<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    Ok(SchemaGap {
        missing: known.difference(&applied).copied().collect(),
        unknown: applied.difference(&known).copied().collect(),
    })
}

/// Whether it only lets us read: a standby, or set so.
///
/// # Errors
/// The database's.
pub async fn refuses_writes(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar("select current_setting('transaction_read_only')::boolean")
        .fetch_one(pool)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_read_is_told_what_helps_and_not_repeated() {
        for url in [
            "postgres://u:hunter2/x@h/d",
            "postgres://u:hunter2@h/d?sslmode=strong",
            "postgres://u:hunter2@h:port/d",
        ] {
            let error = options_of(&Secret::new(url), "DATABASE_URL").unwrap_err().to_string();
            assert!(error.contains("%2F") && error.contains("verify-full"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_pool_without_a_free_connection_passes_and_a_missing_row_does_not() {
        assert_eq!(fault(&sqlx::Error::PoolTimedOut), Fault::Passing);
        assert_eq!(fault(&sqlx::Error::WorkerCrashed), Fault::Passing);
        assert_eq!(fault(&sqlx::Error::Encode("too long".into())), Fault::Data);
        assert_eq!(fault(&sqlx::Error::RowNotFound), Fault::Other);
    }
}
