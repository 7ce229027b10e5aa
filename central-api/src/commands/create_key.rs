//! `central-api create-key`

use anyhow::bail;

use super::output::say;
use super::{the_site, with_state};
use crate::auth::{Scope, token};
use crate::config::Config;
use crate::db::{api_keys, ingest_keys};

/// Who will use the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The worker, to sign what it sends.
    Ingest,
    /// A program, to send orders and events or to ask for analytics.
    Api,
}

/// A key to be made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For a worker or for a program.
    #[arg(long, value_enum)]
    kind: Kind,
    /// Key of the site; need not be given when there is only one.
    #[arg(long, value_name = "KEY")]
    site: Option<String>,
    /// What an api key may do, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', required_if_eq("kind", "api"))]
    scopes: Vec<Scope>,
    /// Name for people, such as where it is used.
    #[arg(long, default_value = "")]
    name: String,
}

/// Makes the key and prints its secret once.
///
/// # Errors
/// There is no such site, or the site has two live ingest keys already.
pub async fn run(config: Config, mut args: Args) -> anyhow::Result<()> {
    if args.kind == Kind::Ingest && !args.scopes.is_empty() {
        bail!("--scopes: only for --kind api; an ingest key signs events and nothing else");
    }
    args.scopes.sort_by_key(|scope| scope.name());
    args.scopes.dedup();
    with_state(config, async |state| {
        let site = the_site(state, args.site.as_deref())?;
        let now = state.clock.now();
        let key_id = token::key_id(rand::random());
        match args.kind {
            Kind::Ingest => {
                if !ingest_keys::insert(&state.pool, &key_id, site.id, &args.name, now).await? {
                    bail!("site {} has two live ingest keys, enough to rotate; revoke one first", site.key);
                }
                say!("Ingest key for site {}. Configure the worker with both; the secret can be shown again by nobody but this installation.", site.key);
                say!("KEY_ID={key_id}");
                say!("SECRET={}", state.config.secret.ingest_key(&key_id));
            }
            Kind::Api => {
                let token = token::api_token(rand::random());
                let digest = token::digest(token.expose());
                api_keys::insert(&state.pool, &key_id, site.id, &digest, &args.name, &args.scopes, now).await?;
                let scopes: Vec<_> = args.scopes.iter().map(|scope| scope.name()).collect();
                say!("API key for site {}, scopes {}. The token is shown only now.", site.key, scopes.join(", "));
                say!("KEY_ID={key_id}");
                say!("TOKEN={}", token.expose());
            }
        }
        Ok(())
    })
    .await
}
