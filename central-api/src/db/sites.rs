//! Table `sites`.

use anyhow::Context;
use sqlx::PgPool;

use crate::site::Site;

/// All sites.
///
/// # Errors
/// The database's, or a row whose zone or settings cannot be read (it names the site).
pub async fn all(pool: &PgPool) -> anyhow::Result<Vec<Site>> {
    let rows = sqlx::query!("select site_id, site_key, name, domains, time_zone, currency, country, language, settings from sites order by site_id")
        .fetch_all(pool)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Site {
                id: row.site_id,
                time_zone: row
                    .time_zone
                    .parse()
                    .ok()
                    .with_context(|| format!("site {}: unknown time zone", row.site_key))?,
                settings: serde_json::from_value(row.settings)
                    .with_context(|| format!("site {}: settings", row.site_key))?,
                key: row.site_key,
                name: row.name,
                domains: row.domains,
                currency: row.currency,
                country: row.country,
                language: row.language,
            })
        })
        .collect()
}
