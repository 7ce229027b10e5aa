//! `central-api create-site`

use anyhow::bail;
use shared::ids::SiteKey;

use super::output::say;
use super::with_state;
use crate::config::Config;
use crate::db::sites::{self, NewSite};
use crate::site_rules;

/// What a site needs to begin with; the panel changes the rest.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Short public name: 1 to 40 of a-z, 0-9 and -.
    key: String,
    /// Name for people; the key when absent.
    #[arg(long)]
    name: Option<String>,
    /// Host of the shop, such as shop.example; may be given several times.
    #[arg(long = "domain", value_name = "HOST")]
    domains: Vec<String>,
    /// IANA time zone; periods begin at its midnight.
    #[arg(long, default_value = "Europe/Kyiv")]
    time_zone: String,
    /// ISO 4217; revenue is summed in it.
    #[arg(long, default_value = "UAH")]
    currency: String,
    /// ISO 3166-1 alpha-2; a phone without country code takes it.
    #[arg(long, default_value = "UA")]
    country: String,
    /// Language of reports: uk or en.
    #[arg(long, default_value = "uk")]
    language: String,
}

/// Makes the site.
///
/// # Errors
/// A value that is not allowed, or the key is taken.
pub async fn run(config: Config, args: Args) -> anyhow::Result<()> {
    let key: SiteKey = args.key.parse()?;
    let name = args.name.as_deref().unwrap_or(key.as_str());
    site_rules::name(name)?;
    site_rules::time_zone(&args.time_zone)?;
    site_rules::currency(&args.currency)?;
    site_rules::country(&args.country)?;
    site_rules::language(&args.language)?;
    let domains = site_rules::domains(&args.domains)?;
    with_state(config, async |state| {
        let site = NewSite {
            key: key.as_str(),
            name,
            domains: &domains,
            time_zone: &args.time_zone,
            currency: &args.currency,
            country: &args.country,
            language: &args.language,
        };
        if sites::insert(&state.pool, &site).await?.is_none() {
            bail!("there is a site {key} already");
        }
        say!("Site {key} made.");
        Ok(())
    })
    .await
}
