//! Table `sites`.

use anyhow::Context;
use sqlx::{PgExecutor, PgPool};

use crate::site::{Site, SiteSettings};

/// A site to be made; everything else starts as the table's defaults say.
pub struct NewSite<'a> {
    /// Checked by [`shared::ids::SiteKey`].
    pub key: &'a str,
    /// Name for people.
    pub name: &'a str,
    /// Lower-case hosts.
    pub domains: &'a [String],
    /// IANA name.
    pub time_zone: &'a str,
    /// ISO 4217.
    pub currency: &'a str,
    /// ISO 3166-1 alpha-2.
    pub country: &'a str,
    /// `uk` or `en`.
    pub language: &'a str,
}

/// Makes a site and answers its number; `None` when the key is taken.
///
/// # Errors
/// The database's.
pub async fn insert(db: impl PgExecutor<'_>, site: &NewSite<'_>) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!(
        "insert into sites (site_key, name, domains, time_zone, currency, country, language) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (site_key) do nothing returning site_id",
        site.key,
        site.name,
        site.domains,
        site.time_zone,
        site.currency,
        site.country,
        site.language,
    )
    .fetch_optional(db)
    .await
}

/// Whether there is no site at all.
///
/// # Errors
/// The database's.
pub async fn none(db: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select not exists (select from sites) as "none!""#)
        .fetch_one(db)
        .await
}

/// What to change of a site; `None` leaves a field as it is.
pub struct Fields<'a> {
    /// Name for people.
    pub name: Option<&'a str>,
    /// Lower-case hosts.
    pub domains: Option<&'a [String]>,
    /// IANA name.
    pub time_zone: Option<&'a str>,
    /// ISO 4217.
    pub currency: Option<&'a str>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<&'a str>,
    /// `uk` or `en`.
    pub language: Option<&'a str>,
    /// All settings that differ from their defaults.
    pub settings: &'a serde_json::Value,
}

/// A row.
pub struct Stored {
    site_id: i32,
    site_key: String,
    name: String,
    domains: Vec<String>,
    time_zone: String,
    currency: String,
    country: String,
    language: String,
    /// All settings that differ from their defaults.
    pub settings: serde_json::Value,
}

impl Stored {
    /// What it says.
    ///
    /// # Errors
    /// Its zone or settings cannot be read (it names the site).
    pub fn site(self) -> anyhow::Result<Site> {
        let settings: SiteSettings =
            serde_json::from_value(self.settings).with_context(|| format!("site {}: settings", self.site_key))?;
        Ok(Site {
            id: self.site_id,
            not_sources: self.domains.iter().chain(&settings.payment_hosts).cloned().collect(),
            time_zone: self
                .time_zone
                .parse()
                .ok()
                .with_context(|| format!("site {}: unknown time zone", self.site_key))?,
            settings,
            key: self.site_key,
            name: self.name,
            domains: self.domains,
            currency: self.currency,
            country: self.country,
            language: self.language,
        })
    }
}

/// A site as it is stored; nobody else changes it until the transaction ends, and no order is valued.
///
/// # Errors
/// The database's, also when the site is gone.
pub async fn lock(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<Stored> {
    sqlx::query_as!(
        Stored,
        "select site_id, site_key, name, domains, time_zone, currency, country, language, settings from sites where site_id = $1 for update",
        site_id
    )
    .fetch_one(db)
    .await
}

/// Whoever changes what there is one of a site at a time waits here for whoever does, until the transaction ends.
///
/// # Errors
/// The database's, also when the site is gone.
pub async fn in_turn(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "select 1 as one from sites where site_id = $1 for no key update",
        site_id
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// The currency that a site's orders are valued in and the zone of its days. Neither changes until the transaction ends. To be asked for
/// before any order is locked: who changes a site locks it first and its orders after.
///
/// # Errors
/// The database's, also when the site is gone.
pub async fn keep_valuation(db: impl PgExecutor<'_>, site_id: i32) -> sqlx::Result<(String, String)> {
    let row = sqlx::query!(
        "select currency, time_zone from sites where site_id = $1 for key share",
        site_id
    )
    .fetch_one(db)
    .await?;
    Ok((row.currency, row.time_zone))
}

/// Changes a site.
///
/// # Errors
/// The database's.
pub async fn update(db: impl PgExecutor<'_>, site_id: i32, fields: &Fields<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "update sites set name = coalesce($2, name), domains = coalesce($3, domains), time_zone = coalesce($4, time_zone),
         currency = coalesce($5, currency), country = coalesce($6, country), language = coalesce($7, language), settings = $8
         where site_id = $1",
        site_id,
        fields.name,
        fields.domains,
        fields.time_zone,
        fields.currency,
        fields.country,
        fields.language,
        fields.settings,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// All sites.
///
/// # Errors
/// The database's, or a row whose zone or settings cannot be read (it names the site).
pub async fn all(pool: &PgPool) -> anyhow::Result<Vec<Site>> {
    let rows = sqlx::query_as!(
        Stored,
        "select site_id, site_key, name, domains, time_zone, currency, country, language, settings from sites order by site_id"
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Stored::site).collect()
}
