//! `central-api reset-password`

use anyhow::Context;
use serde_json::json;

use super::output::say;
use super::with_state;
use crate::auth::password_link;
use crate::config::Config;
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::password_links::Purpose;
use crate::db::users;

/// Whose password.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// E-mail of the user.
    email: String,
}

/// Prints a link that sets a new password, once.
///
/// # Errors
/// There is no such user, or they are disabled.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    let email = users::normalised_email(&args.email).context("EMAIL: must be an address such as ann@shop.example")?;
    with_state(config, async |state| {
        let known = users::credentials(&state.pool, &email).await?;
        let user = known.with_context(|| format!("there is no user {email} who may log in"))?;
        let now = state.clock.now();
        let mut transaction = state.pool.begin().await?;
        let link = password_link::make(&mut *transaction, user.user_id, Purpose::Reset, now).await?;
        let entry = Entry {
            site_id: None,
            actor: Actor::CommandLine,
            action: "user.reset_password",
            subject: &email,
            detail: json!({}),
        };
        audit_log::insert(&mut *transaction, &entry, now).await?;
        transaction.commit().await?;
        say!(
            "A link that sets a new password once, until {}:",
            link.expires_at.format("%Y-%m-%d %H:%M UTC")
        );
        say!("{}", password_link::absolute(&state.config, &link.path()));
        Ok(())
    })
    .await
}
