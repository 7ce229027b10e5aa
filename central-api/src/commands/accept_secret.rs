//! `central-api accept-secret`

use anyhow::{Context, bail};
use serde_json::json;
use sqlx::Connection;

use super::output::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::installation::{self, MadeWithSecret};
use crate::installation::{Installation, PATIENCE};

/// Whether it is meant.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Accept what is lost; without it, it is only told.
    #[arg(long)]
    yes: bool,
}

/// Takes the secret as it is set now for that of the database.
///
/// # Errors
/// It is not said to be meant, or the database's.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    let installation = Installation::open_existing(config, PATIENCE).await?;
    let done = accept(&installation, args.yes).await;
    installation.close().await?;
    done
}

async fn accept(installation: &Installation, meant: bool) -> anyhow::Result<()> {
    database::migrate(&installation.options).await?;
    let mut connection = sqlx::PgConnection::connect_with(&installation.options)
        .await
        .context("connecting to the database")?;
    let fingerprint = installation.config.secret.fingerprint();
    let known = installation::secret_fingerprint(&mut connection).await?;
    if known.is_some_and(|known| known == fingerprint) {
        say!("This is the database's secret already; there is nothing to accept.");
        return Ok(());
    }
    let MadeWithSecret { ingest_keys, contacts } = installation::made_with_secret(&mut connection).await?;
    let plural = |count: i64| if count == 1 { "" } else { "s" };
    say!("What was made with another secret than the one that is set now is lost with it:");
    say!(
        "- {ingest_keys} ingest key{}: their workers are refused. Make new ones (`central-api create-key --kind ingest`), put each into its worker, revoke the old.",
        plural(ingest_keys)
    );
    say!(
        "- {contacts} hashed contact{}: no new order, event or request about a person's data finds them. Who ordered before counts as a new customer.",
        plural(contacts)
    );
    say!("- Links to unsubscribe in mails that were sent: they lead nowhere.");
    say!("- Files imported before: importing one again would store it twice.");
    say!("Passwords, logins and API keys stay.");
    if !meant {
        bail!(
            "nothing was changed. Restore the secret if it is to be had; with --yes the one that is set now is accepted"
        );
    }
    let mut transaction = connection.begin().await?;
    installation::replace_fingerprint(&mut *transaction, &fingerprint).await?;
    let entry = Entry {
        site_id: None,
        actor: Actor::CommandLine,
        action: "installation.accept_secret",
        subject: "UD_SECRET",
        detail: json!({}),
    };
    audit_log::insert(&mut *transaction, &entry, Clock::system().now()).await?;
    transaction.commit().await?;
    say!("Accepted. Restart every `serve`, with this secret.");
    Ok(())
}
