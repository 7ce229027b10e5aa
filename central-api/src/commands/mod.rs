//! What the command line can do, a file a command. What a command answers goes to standard output, everything else to standard error.

mod output;

use output::note;

pub mod accept_secret;
pub mod config;
pub mod create_admin;
pub mod create_key;
pub mod create_site;
pub mod dead_letters;
pub mod demo_data;
pub mod doctor;
pub mod import;
pub mod list_keys;
pub mod migrate;
pub mod openapi;
pub mod postgres;
pub mod privacy;
pub mod reset_password;
pub mod revoke_key;
pub mod rollup;
pub mod schedule;
pub mod send_report;
pub mod serve;
pub mod setup_email_reports;
pub mod sums;
pub mod update_analytics;

use std::sync::Arc;

use anyhow::Context;
use chrono::NaiveDate;
use sqlx::migrate::MigrateError;

use crate::config::Config;
use crate::error::ApiError;
use crate::installation::{Installation, PATIENCE, Unknown};
use crate::site::Site;
use crate::state::AppState;

/// Arguments that only the work itself finds wrong; the exit code is that of wrong arguments.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongArguments(pub String);

impl From<ApiError> for WrongArguments {
    /// What the API says beside its sentence, the field at fault, stands in front of it.
    fn from(error: ApiError) -> Self {
        let sentence = error.to_string();
        match error {
            ApiError::Invalid { field: Some(field), .. } if !sentence.starts_with(&field) => {
                Self(format!("{field}: {sentence}"))
            }
            _ => Self(sentence),
        }
    }
}

pub use output::unheard;

/// An error with its causes, without one that says again what the one above it ends with.
pub fn in_full(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    for cause in error.chain() {
        // What the driver makes of it ends with the line of Postgres' source that raised it, which reads as if one of ours were meant.
        if let Some(sqlx::Error::Database(error)) = cause.downcast_ref() {
            told.push(format!("the database says: {}", error.message()));
            break;
        }
        let cause = match cause.downcast_ref::<MigrateError>() {
            Some(MigrateError::Execute(sqlx::Error::Database(_))) => continue,
            Some(MigrateError::ExecuteMigration(sqlx::Error::Database(_), version)) => format!("migration {version}"),
            _ => cause.to_string(),
        };
        if told.last().is_none_or(|above| !above.ends_with(&cause)) {
            told.push(cause);
        }
    }
    told.join(": ")
}

/// Says on standard error why it failed.
pub fn say_error(text: &str) {
    note!("central-api: {text}");
}

/// Opens the installation with its schema up to date, does the work, and leaves it again.
pub async fn with_state<T>(
    config: Config,
    work: impl AsyncFnOnce(&AppState) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let installation = Installation::open_existing(config, PATIENCE).await?;
    let done = match installation.state(Unknown::Leave).await {
        Ok(state) => {
            let done = work(&state).await;
            state.pool.close().await;
            state.read_pool.close().await;
            done
        }
        Err(error) => Err(error),
    };
    installation.close().await?;
    done
}

/// The site with this key, or the only one.
pub fn the_site(state: &AppState, key: Option<&str>) -> anyhow::Result<Arc<Site>> {
    state.sites.wanted(key).map_err(|error| {
        let known: Vec<_> = state.sites.all().iter().map(|site| site.key.clone()).collect();
        anyhow::anyhow!("--site: {error} (sites: {})", known.join(", "))
    })
}

/// Refuses days of which the last lies before the first.
fn in_order(from: Option<NaiveDate>, to: Option<NaiveDate>) -> Result<(), WrongArguments> {
    match from.zip(to) {
        Some((from, to)) if to < from => Err(WrongArguments("--to must not lie before --from".into())),
        _ => Ok(()),
    }
}

/// Reads one line of standard input off the async threads; none at its end.
async fn read_line() -> anyhow::Result<Option<String>> {
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .map(|read| (read > 0).then_some(line))
    });
    let line = line.await?.context("reading standard input")?;
    Ok(line.map(|line| line.trim_end_matches(['\r', '\n']).to_owned()))
}
