//! `central-api create-admin`

use anyhow::{Context, bail};
use shared::ids::uuid_v7;

use super::output::say;
use super::{read_line, the_site, with_state};
use crate::auth::{Role, password};
use crate::config::Config;
use crate::db::users;

/// Who may log in to the panel.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// E-mail to log in with.
    email: String,
    /// What they may do.
    #[arg(long, value_enum, default_value = "admin")]
    role: Role,
    /// Key of the only site they may see; every site when absent.
    #[arg(long, value_name = "KEY")]
    site: Option<String>,
    /// Read the password from standard input instead of making one up.
    #[arg(long)]
    password_stdin: bool,
}

/// Letters and digits that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Makes the user; prints a made-up password once.
///
/// # Errors
/// A value that is not allowed, or the e-mail is taken.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    let email = users::normalised_email(&args.email).context("EMAIL: must be an address such as ann@shop.example")?;
    let (text, made_up) = match args.password_stdin {
        true => (read_line().await?.unwrap_or_default(), false),
        false => (made_up_password(rand::random()), true),
    };
    password::check("password", &text)?;
    let hash = password::hash(text.clone(), rand::random()).await?;
    with_state(config, async |state| {
        let site = args.site.as_deref().map(|key| the_site(state, Some(key))).transpose()?;
        let now = state.clock.now();
        let id = uuid_v7(now.timestamp_millis(), rand::random());
        let site_id = site.map(|site| site.id);
        if !users::insert(&state.pool, id, &email, &hash, args.role, site_id, now).await? {
            bail!("there is a user {email} already");
        }
        say!("User {email} made, role {}.", args.role.name());
        if made_up {
            say!("Password, shown only now: {text}");
        }
        Ok(())
    })
    .await
}

/// 100 random bits, in four groups of five characters.
fn made_up_password(random: [u8; 20]) -> String {
    let characters: Vec<char> = random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect();
    let groups: Vec<String> = characters.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_password_passes_the_rules_and_differs() {
        let one = made_up_password([0; 20]);
        assert_eq!(one, "aaaaa-aaaaa-aaaaa-aaaaa");
        password::check("password", &one).unwrap();
        assert_ne!(made_up_password(rand::random()), made_up_password(rand::random()));
    }
}
