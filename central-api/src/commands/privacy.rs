//! `central-api privacy find|export|erase`

use anyhow::bail;
use uuid::Uuid;

use super::output::say;
use super::{the_site, with_state};
use crate::config::Config;
use crate::db::audit_log::{self, Actor, Entry};
use crate::privacy::{self, Who};

/// What is asked for, and whose data is meant.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[arg(value_enum)]
    what: What,
    /// Key of the site; need not be given when there is only one.
    #[arg(long, value_name = "KEY")]
    site: Option<String>,
    /// A visitor's id, as the shop's backend got it in X-UD-Visitor.
    #[arg(long, value_name = "ID")]
    visitor: Option<Uuid>,
    /// The shop's id of the customer.
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// The customer's e-mail.
    #[arg(long)]
    email: Option<String>,
    /// The customer's phone.
    #[arg(long)]
    phone: Option<String>,
    /// Really erase.
    #[arg(long)]
    yes: bool,
}

/// See [`Args`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Say how much is kept.
    Find,
    /// Print everything that is kept, as JSON.
    Export,
    /// Delete it for good; orders stay as numbers without the person. Needs --yes.
    Erase,
}

/// Does it.
///
/// # Errors
/// Nobody is named, or what is given cannot be read.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    if args.what == What::Erase && !args.yes {
        bail!("erasing cannot be undone: look with `privacy find` first, then add --yes");
    }
    let who = Who {
        site: None,
        visitor_id: args.visitor,
        customer_id: args.customer,
        email: args.email,
        phone: args.phone,
    };
    with_state(config, async |state| {
        let site = the_site(state, args.site.as_deref())?;
        let (pool, secret, now) = (&state.pool, &state.config.secret, state.clock.now());
        let answer = match args.what {
            What::Find => serde_json::to_string_pretty(&privacy::find(pool, secret, &site, &who).await?)?,
            What::Export => {
                let data = privacy::export(pool, secret, &site, &who, now).await?;
                let entry = Entry {
                    site_id: Some(site.id),
                    actor: Actor::CommandLine,
                    action: "privacy.export",
                    subject: if who.visitor_id.is_some() {
                        "visitor"
                    } else {
                        "customer"
                    },
                    detail: serde_json::json!({}),
                };
                audit_log::insert(pool, &entry, now).await?;
                serde_json::to_string_pretty(&data)?
            }
            What::Erase => {
                let erased = privacy::erase(pool, secret, &site, &who, Actor::CommandLine, now).await?;
                serde_json::to_string_pretty(&erased)?
            }
        };
        say!("{answer}");
        Ok(())
    })
    .await
}
