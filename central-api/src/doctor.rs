//! What is wrong with an installation, a sentence a check, with what helps.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool};

use crate::config::Config;
use crate::database;
use crate::db::dead_letters::Wanted;
use crate::db::users;
use crate::installation::{Fit, Installation, RIGHT_SECRET};
use crate::mail::transport::{self, Transport};
use crate::postgres::discover::SUPPORTED;

/// Clocks may differ by this many milliseconds: signatures are refused at 300 s, and events of "the future" at 600 s.
const MAX_SKEW_MS: i64 = 30_000;
/// Free bytes in the data directory below which it is a matter of time.
const MIN_FREE: u64 = 2 * 1024 * 1024 * 1024;

/// What a check found.
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
}

/// How a thing is; then what helps.
pub enum Verdict {
    /// As it should be.
    Fine(String),
    /// Works, but somebody should know.
    Notice(String, String),
    /// Does not work.
    Bad(String, String),
}

use Verdict::{Bad, Fine, Notice};

/// Looks at everything. A database without its schema is reported as such, and what needs the schema is left out.
///
/// # Errors
/// When the database stops answering on the way.
pub async fn examine(installation: &Installation, try_mail: bool) -> anyhow::Result<Vec<Finding>> {
    let config = &installation.config;
    let mut findings = Vec::new();
    findings.extend(disk(config).map(|verdict| Finding { check: "disk", verdict }));
    let mut connection = PgConnection::connect_with(&installation.options).await?;
    for (check, verdict) in [
        ("database version", version(&mut connection).await?),
        ("clock", clock(&mut connection).await?),
        ("layout", layout(&mut connection).await?),
        ("writing", writing(&mut connection).await?),
    ] {
        findings.push(Finding { check, verdict });
    }
    connection.close().await?;
    let pool = database::write_pool(config, installation.options.clone());
    let gap = database::schema_gap(&pool).await?;
    let complete = gap.missing.is_empty();
    findings.push(Finding {
        check: "migrations",
        verdict: match (complete, gap.unknown.last()) {
            (true, None) => Fine("the database is up to date.".into()),
            (true, Some(newest)) => Notice(
                format!(
                    "the database's schema is newer than this program, which does not know {} of its migrations (up to {newest}).",
                    gap.unknown.len()
                ),
                "Update this program to the version that made them.".into(),
            ),
            (false, _) => Bad(
                format!("the database lacks {} migrations.", gap.missing.len()),
                "Run `central-api migrate`, or start `serve`, which does.".into(),
            ),
        },
    });
    if complete {
        for (check, verdict) in [
            ("secret", secret(installation, &pool).await?),
            ("sites", sites(&pool).await?),
            ("admins", admins(&pool).await?),
            ("keys", keys(&pool).await?),
            ("partitions", partitions(&pool, Utc::now()).await?),
            ("jobs", jobs(&pool).await?),
            ("dead letters", dead_letters(&pool).await?),
            ("rollup marks", rollup_marks(&pool).await?),
            ("mail", mail(&pool, config).await?),
        ] {
            findings.push(Finding { check, verdict });
        }
    }
    if try_mail {
        findings.push(Finding {
            check: "mail server",
            verdict: mail_server(config).await,
        });
    }
    pool.close().await;
    Ok(findings)
}

async fn secret(installation: &Installation, pool: &PgPool) -> sqlx::Result<Verdict> {
    let fit = installation.fit(&mut *pool.acquire().await?).await?;
    Ok(match (installation.config.secret.expose().chars().count(), fit) {
        (_, Fit::Wrong) => Bad(installation.wrong_secret(), RIGHT_SECRET.into()),
        (0..32, _) => Bad(
            "the installation's secret is shorter than 32 characters.".into(),
            "Set UD_SECRET to the output of `openssl rand -hex 32`.".into(),
        ),
        (length, Fit::Right) => Fine(format!(
            "{length} characters, and the one that the database was used with."
        )),
        (length, Fit::NotKnown) => Fine(format!(
            "{length} characters; the next start of `serve` notes it as the database's."
        )),
    })
}

fn disk(config: &Config) -> Option<Verdict> {
    if !config.is_embedded() {
        return None;
    }
    let place = config.data_dir.display();
    Some(match rustix::fs::statvfs(&config.data_dir) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let gigabytes = free / (1024 * 1024 * 1024);
            match free < MIN_FREE {
                true => Bad(
                    format!("only {gigabytes} GiB are free in {place}."),
                    "Make room: Postgres stops when the disk is full.".into(),
                ),
                false => Fine(format!("{gigabytes} GiB are free in {place}.")),
            }
        }
        Err(error) => Notice(
            format!("{place} cannot be looked at: {error}."),
            "Check UD_DATA_DIR.".into(),
        ),
    })
}

async fn version(db: &mut PgConnection) -> sqlx::Result<Verdict> {
    let number: i32 = sqlx::query_scalar("select current_setting('server_version_num')::integer")
        .fetch_one(db)
        .await?;
    let major = u32::try_from(number / 10_000).unwrap_or(0);
    Ok(match SUPPORTED.contains(&major) {
        true => Fine(format!("Postgres {major}.")),
        false => Bad(
            format!("Postgres {major} is not supported."),
            "Use Postgres 15 to 18.".into(),
        ),
    })
}

async fn clock(db: &mut PgConnection) -> sqlx::Result<Verdict> {
    let before = Utc::now();
    let theirs: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(db).await?;
    let ours = before + (Utc::now() - before) / 2;
    let skew = (theirs - ours).num_milliseconds();
    Ok(match skew.abs() > MAX_SKEW_MS {
        true => Bad(
            format!("the database's clock is {} s away from this machine's.", skew / 1_000),
            "Keep both machines' clocks by NTP; signatures and times of events depend on them.".into(),
        ),
        false => Fine(format!("{} ms away from the database's.", skew.abs())),
    })
}

async fn layout(db: &mut PgConnection) -> sqlx::Result<Verdict> {
    let citus: bool = sqlx::query_scalar("select exists (select from pg_extension where extname = 'citus')")
        .fetch_one(db)
        .await?;
    Ok(Fine(match citus {
        true => "Citus is installed in this database.".into(),
        false => "plain Postgres.".into(),
    }))
}

async fn writing(db: &mut PgConnection) -> sqlx::Result<Verdict> {
    let (standby, read_only): (bool, bool) =
        sqlx::query_as("select pg_is_in_recovery(), current_setting('transaction_read_only')::boolean")
            .fetch_one(db)
            .await?;
    Ok(match (standby, read_only) {
        (true, _) => Bad(
            "the database is a standby and takes no writes.".into(),
            "Point DATABASE_URL at the primary; a standby belongs into DATABASE_READ_URL.".into(),
        ),
        (false, true) => Bad(
            "the database is set to be read only.".into(),
            "See default_transaction_read_only of the server, the database and the user.".into(),
        ),
        (false, false) => Fine("allowed.".into()),
    })
}

async fn sites(pool: &PgPool) -> anyhow::Result<Verdict> {
    Ok(match crate::db::sites::all(pool).await {
        Ok(sites) if sites.is_empty() => Bad(
            "there is no site.".into(),
            "Run `central-api create-site my-shop --domain shop.example`.".into(),
        ),
        Ok(sites) => Fine(
            sites
                .iter()
                .map(|site| site.key.as_str())
                .collect::<Vec<_>>()
                .join(", ")
                + ".",
        ),
        Err(error) => Bad(
            format!("the sites cannot be read: {error:#}."),
            "Correct the row in the table sites.".into(),
        ),
    })
}

async fn admins(pool: &PgPool) -> sqlx::Result<Verdict> {
    Ok(match users::count_admins(pool).await? {
        0 => Bad(
            "nobody can log in as admin of every site.".into(),
            "Run `central-api create-admin you@shop.example`.".into(),
        ),
        count => Fine(format!("{count}.")),
    })
}

async fn keys(pool: &PgPool) -> sqlx::Result<Verdict> {
    let ingest = crate::db::ingest_keys::live(pool).await?.len();
    let api = crate::db::api_keys::live(pool).await?.len();
    Ok(match ingest {
        0 => Bad(
            format!("there is no ingest key, so no worker can send ({api} API keys)."),
            "Run `central-api create-key --kind ingest`.".into(),
        ),
        _ => Fine(format!("{ingest} for workers, {api} for programs.")),
    })
}

async fn partitions(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<Verdict> {
    let there = crate::db::retention::partitions(pool).await?;
    let next = now.checked_add_months(chrono::Months::new(1)).map_or(now, |next| next);
    let missing: Vec<String> = [now, next]
        .iter()
        .flat_map(|time| ["events", "anonymous_hits"].map(|table| format!("{table}_{}", time.format("%Y_%m"))))
        .filter(|name| !there.contains(name))
        .collect();
    Ok(match missing.is_empty() {
        true => Fine(format!(
            "{} months of tables, this and the next among them.",
            there.len()
        )),
        false => Notice(
            format!("{} are not there yet.", missing.join(", ")),
            "A running `serve` makes them; check its log when they stay away.".into(),
        ),
    })
}

async fn jobs(pool: &PgPool) -> sqlx::Result<Verdict> {
    let runs = crate::db::jobs::last_runs(pool).await?;
    let failed: Vec<String> = runs
        .iter()
        .filter(|run| !run.ok)
        .map(|run| format!("{} ({})", run.job_name, run.outcome))
        .collect();
    let late = runs
        .iter()
        .filter(|run| run.ran_at < Utc::now() - chrono::TimeDelta::days(2))
        .count();
    Ok(match (failed.is_empty(), late) {
        (false, _) => Bad(
            format!("failed: {}.", failed.join("; ")),
            "They are tried again by themselves; the log has the cause.".into(),
        ),
        (true, 1..) => Notice(
            "some have not run for two days.".into(),
            "Keep a `serve` with run_jobs running, or let the worker's cron ask.".into(),
        ),
        (true, 0) if runs.is_empty() => Notice("none has run yet.".into(), "A running `serve` runs them.".into()),
        (true, 0) => Fine(format!("{} ran well.", runs.len())),
    })
}

async fn dead_letters(pool: &PgPool) -> sqlx::Result<Verdict> {
    let waiting = crate::db::dead_letters::count(pool, &Wanted::default()).await?;
    Ok(match waiting {
        0 => Fine("none waits.".into()),
        waiting => Notice(
            format!("{waiting} events or orders were refused and wait."),
            "See them with `central-api dead-letters list`, and replay them once the cause is gone.".into(),
        ),
    })
}

async fn mail(pool: &PgPool, config: &Config) -> anyhow::Result<Verdict> {
    const HELP: &str = "See docs/reports.md, and try it with `central-api doctor --mail`.";
    let schedules = crate::db::report_schedules::list(pool, None, None).await?;
    let active = schedules.iter().filter(|schedule| schedule.plan.enabled).count();
    let failed = crate::db::report_runs::count_failed_since(pool, Utc::now() - chrono::TimeDelta::days(7)).await?;
    let ready = Transport::of(config).and_then(|transport| transport::sender(config).map(|_| transport));
    Ok(match (ready, active, failed) {
        (Err(_), 0, _) if config.mail_transport == crate::config::MailTransport::None => {
            Fine("not set up, and no schedule needs it.".into())
        }
        (Err(error), _, _) => Bad(format!("{active} schedules, but: {error:#}."), HELP.into()),
        (Ok(_), _, 1..) => Notice(
            format!("{failed} mails of the last 7 days failed or are uncertain."),
            "The panel shows why, and sends them again.".into(),
        ),
        (Ok(transport), _, _) => Fine(format!("{active} schedules; {}.", transport.describe())),
    })
}

async fn mail_server(config: &Config) -> Verdict {
    const HELP: &str = "Check UD_SMTP_HOST, UD_SMTP_PORT, UD_SMTP_SECURITY, UD_SMTP_USER and UD_SMTP_PASSWORD.";
    let tried = async {
        transport::sender(config).map_err(|error| format!("{error:#}"))?;
        let transport = Transport::of(config).map_err(|error| format!("{error:#}"))?;
        let mut link = transport.open().await?;
        link.check().await?;
        link.close().await;
        Ok::<_, String>(transport.describe())
    };
    match tried.await {
        Ok(name) => Fine(format!("{name} takes mails.")),
        Err(error) => Bad(format!("{error}."), HELP.into()),
    }
}

async fn rollup_marks(pool: &PgPool) -> sqlx::Result<Verdict> {
    let marks: i64 = sqlx::query_scalar("select count(*) from rollup_marks")
        .fetch_one(pool)
        .await?;
    Ok(Fine(format!("{marks} hours wait to be summed up.")))
}
