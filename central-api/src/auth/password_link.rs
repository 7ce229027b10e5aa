//! Links by which a user sets a password, and the one by which the first admin is made.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::token;
use crate::config::Config;
use crate::db::password_links::{self, Purpose};
use crate::secret::{Secret, hex};

/// An invitation lies in somebody's mailbox for a while.
const INVITE_LIFE: TimeDelta = TimeDelta::days(7);
/// Who asked for a reset waits for it.
const RESET_LIFE: TimeDelta = TimeDelta::hours(24);

/// A link that was just made; its token is known to nobody else and stored nowhere.
#[derive(Debug)]
pub struct Link {
    /// 64 hex digits.
    pub token: Secret,
    /// When it stops working, UTC.
    pub expires_at: DateTime<Utc>,
}

impl Link {
    /// Where the panel takes it. The token stands behind `#`: it reaches neither servers nor their logs.
    pub fn path(&self) -> String {
        format!("/#/password/{}", self.token.expose())
    }
}

/// Makes a link in place of the user's earlier one.
///
/// # Errors
/// The database's.
pub async fn make(db: impl PgExecutor<'_>, user_id: Uuid, purpose: Purpose, now: DateTime<Utc>) -> sqlx::Result<Link> {
    let expires_at = now
        + match purpose {
            Purpose::Invite => INVITE_LIFE,
            Purpose::Reset => RESET_LIFE,
        };
    let token = token::session_token(rand::random());
    password_links::replace(db, user_id, &token::digest(token.expose()), purpose, now, expires_at).await?;
    Ok(Link { token, expires_at })
}

/// The token that lets its holder make the first admin. It follows from the installation's secret, so every process knows it and none
/// stores it; it opens nothing once there was an admin.
pub fn setup_token(secret: &Secret) -> Secret {
    Secret::new(hex(&secret.derive("setup")))
}

/// Whether it is this installation's. Digests of equal length are compared: how far they agree tells nothing of the token.
pub fn is_setup_token(secret: &Secret, given: &str) -> bool {
    token::digest(given) == token::digest(setup_token(secret).expose())
}

/// Where the panel makes the first admin, as an address to click on where the panel's own is known.
pub fn setup_link(config: &Config) -> String {
    absolute(config, &format!("/#/setup/{}", setup_token(&config.secret).expose()))
}

/// A path of the panel with the origin in front.
pub fn absolute(config: &Config, path: &str) -> String {
    match &config.public_url {
        Some(origin) => format!("{}{path}", origin.as_str()),
        None => format!("http://{}{path}", config.listen),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_admin_is_made_by_this_installations_link_only(
            secret in "[!-~]{32,50}", another in "[!-~]{32,50}", label in "[a-z:_0-9]{0,20}", at in any::<prop::sample::Index>(), by in "(?s).", text in "(?s).{0,80}",
        ) {
            let (secret, another) = (Secret::new(secret), Secret::new(another));
            let token = setup_token(&secret);
            let token = token.expose();
            prop_assert!(is_setup_token(&secret, token));
            prop_assert_eq!(is_setup_token(&another, token), secret == another);
            // A worker holds a key that follows from the same secret.
            prop_assert!(!is_setup_token(&secret, &secret.ingest_key(&label)));
            let at = at.index(token.len());
            let changed = format!("{}{by}{}", &token[..at], &token[at + 1..]);
            prop_assert_eq!(is_setup_token(&secret, &changed), changed == token);
            for other in [text, token.to_uppercase(), format!("{token} "), token[..at].to_owned()] {
                prop_assert!(other == token || !is_setup_token(&secret, &other), "{other:?}");
            }
        }

        #[test]
        fn the_path_of_a_link_gives_back_its_token(random: [u8; 32]) {
            let token = token::session_token(random);
            let link = Link { token: token.clone(), expires_at: DateTime::UNIX_EPOCH };
            let path = link.path();
            let (page, sent) = path.split_once("#/password/").unwrap();
            // Nothing of it stands where servers and their logs see it.
            prop_assert_eq!((page, token::digest(sent)), ("/", token::digest(token.expose())));
            let shown = format!("{link:?}");
            prop_assert!(!shown.contains(token.expose()), "{shown}");
        }
    }
}
