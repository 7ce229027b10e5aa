//! `central-api list-keys`

use chrono::{DateTime, SecondsFormat, Utc};

use super::output::say;
use super::with_state;
use crate::config::Config;
use crate::db::{api_keys, ingest_keys};

/// Prints a tab-separated line a key.
///
/// # Errors
/// The database's.
pub async fn run(config: Config) -> anyhow::Result<()> {
    with_state(config, async |state| {
        let site = |id| state.sites.by_id(id).map_or(format!("#{id}"), |site| site.key.clone());
        say!("key\tkind\tsite\tscopes\tcreated\tlast used\trevoked\tname");
        for key in ingest_keys::all(&state.pool).await? {
            let (created, revoked) = (time(Some(key.created_at)), time(key.revoked_at));
            say!(
                "{}\tingest\t{}\t-\t{created}\t-\t{revoked}\t{}",
                key.key_id,
                site(key.site_id),
                key.name
            );
        }
        for key in api_keys::all(&state.pool).await? {
            let (created, used, revoked) = (time(Some(key.created_at)), time(key.last_used_at), time(key.revoked_at));
            say!(
                "{}\tapi\t{}\t{}\t{created}\t{used}\t{revoked}\t{}",
                key.key_id,
                site(key.site_id),
                key.scopes.join(","),
                key.name
            );
        }
        Ok(())
    })
    .await
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or("-".into(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
