//! Sites as the panel shows and changes them.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::{Admin, Viewer};
use crate::db::sites::{self, Fields};
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::site::{Site, SiteSettings};
use crate::site_rules;
use crate::state::AppState;

/// One shop.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SiteView {
    /// Public short name; never changes.
    key: String,
    /// Name for people.
    name: String,
    /// Hosts of the shop.
    domains: Vec<String>,
    /// IANA name; periods begin at this zone's midnight.
    time_zone: String,
    /// ISO 4217; revenue is summed in it.
    currency: String,
    /// ISO 3166-1 alpha-2; a phone without country code takes it.
    country: String,
    /// `uk` or `en`.
    language: String,
    /// Every setting, with its default where it was not set.
    #[schema(value_type = Object)]
    settings: SiteSettings,
}

impl From<&Site> for SiteView {
    fn from(site: &Site) -> Self {
        Self {
            key: site.key.clone(),
            name: site.name.clone(),
            domains: site.domains.clone(),
            time_zone: site.time_zone.name().to_owned(),
            currency: site.currency.clone(),
            country: site.country.clone(),
            language: site.language.clone(),
            settings: site.settings.clone(),
        }
    }
}

/// Sites that the caller may see, by key.
#[utoipa::path(get, path = "/api/v1/sites", operation_id = "list_sites", tag = "sites", responses(
    (status = 200, body = Vec<SiteView>, description = "by key"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
))]
pub async fn list(State(state): State<AppState>, viewer: Viewer) -> Json<Vec<SiteView>> {
    let sites = viewer.sites(&state.sites);
    Json(sites.iter().map(|site| SiteView::from(&**site)).collect())
}

/// What to change; absent fields stay as they are.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteChange {
    /// 1 to 100 characters.
    name: Option<String>,
    /// Hosts such as `shop.example`.
    domains: Option<Vec<String>>,
    /// IANA name.
    time_zone: Option<String>,
    /// ISO 4217. Revenue that was summed up in another currency is not converted.
    currency: Option<String>,
    /// ISO 3166-1 alpha-2.
    country: Option<String>,
    /// `uk` or `en`.
    language: Option<String>,
    /// Settings to change; `null` puts one back to its default.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
}

/// Changes a site.
#[utoipa::path(patch, path = "/api/v1/sites/{key}", tag = "sites", request_body = SiteChange, params(("key" = String, Path, description = "of the site")), responses(
    (status = 200, body = SiteView, description = "as it is now; every process knows within seconds"),
    (status = 400, description = "a field or setting has a value that is not allowed, or there is no such site", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn change(
    State(state): State<AppState>,
    admin: Admin,
    Path(key): Path<String>,
    Json(change): Json<SiteChange>,
) -> Result<Json<SiteView>, ApiError> {
    let site = admin.site(&state.sites, Some(&key))?;
    let domains = change.domains.as_deref().map(site_rules::domains).transpose()?;
    change.name.as_deref().map(site_rules::name).transpose()?;
    change.time_zone.as_deref().map(site_rules::time_zone).transpose()?;
    change.currency.as_deref().map(site_rules::currency).transpose()?;
    change.country.as_deref().map(site_rules::country).transpose()?;
    change.language.as_deref().map(site_rules::language).transpose()?;

    // Locked while the settings are merged: two admins who change two settings at once both get their way.
    let mut transaction = state.pool.begin().await?;
    let stored = sites::lock_settings(&mut *transaction, site.id).await?;
    let settings = merged(stored, change.settings.unwrap_or_default())?;
    sites::update(
        &mut *transaction,
        site.id,
        &Fields {
            name: change.name.as_deref(),
            domains: domains.as_deref(),
            time_zone: change.time_zone.as_deref(),
            currency: change.currency.as_deref(),
            country: change.country.as_deref(),
            language: change.language.as_deref(),
            settings: &settings,
        },
    )
    .await?;
    transaction.commit().await?;
    state.sites.replace(sites::all(&state.pool).await?);
    let site = state
        .sites
        .by_id(site.id)
        .ok_or(ApiError::NotFound("the site was removed meanwhile"))?;
    Ok(Json(SiteView::from(&*site)))
}

/// The stored settings with the changes on top, checked.
fn merged(stored: Value, changes: Map<String, Value>) -> Result<Value, ApiError> {
    let mut settings = match stored {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    for (name, value) in changes {
        match value {
            Value::Null => drop(settings.remove(&name)),
            value => {
                // Each on its own, so that the error names the one that is wrong.
                let alone = Map::from_iter([(name.clone(), value.clone())]);
                if let Err(error) = serde_json::from_value::<SiteSettings>(Value::Object(alone)) {
                    return Err(ApiError::invalid(format!("settings.{name}"), error.to_string()));
                }
                settings.insert(name, value);
            }
        }
    }
    let settings = Value::Object(settings);
    let typed: SiteSettings =
        serde_json::from_value(settings.clone()).map_err(|error| ApiError::invalid("settings", error.to_string()))?;
    site_rules::settings(&typed)?;
    Ok(settings)
}
