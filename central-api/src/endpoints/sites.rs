//! Sites as the panel shows and changes them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::ids::SiteKey;

use crate::auth::{Admin, Viewer};
use crate::db::audit_log::{self, Actor, Entry};
use crate::db::sites::{self, Fields, NewSite};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::site::{Site, SiteSettings};
use crate::site_change::{self, Effect};
use crate::site_rules;
use crate::state::AppState;
use crate::worker_settings;

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
    settings: SiteSettings,
    /// Version of the settings that its worker is to follow; `/_ud/health` says which it does follow.
    worker_version: String,
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
            worker_version: worker_settings::served(site).version,
        }
    }
}

/// Sites that the caller may see, by key.
#[utoipa::path(get, path = "/api/v1/sites", operation_id = "list_sites", tag = "sites", security(("bearer" = []), ("session" = [])), responses(
    (status = 200, body = Vec<SiteView>, description = "by key"),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
))]
pub async fn list(State(state): State<AppState>, viewer: Viewer) -> Json<Vec<SiteView>> {
    let sites = viewer.sites(&state.sites);
    Json(sites.iter().map(|site| SiteView::from(&**site)).collect())
}

/// A shop to be added; what is absent starts as the defaults say.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewShop {
    /// Public short name, never changed: 1 to 40 of a-z, 0-9 and -.
    key: String,
    /// 1 to 100 characters.
    name: String,
    /// Hosts such as `shop.example`.
    domains: Vec<String>,
    /// IANA name; Europe/Kyiv when absent.
    time_zone: Option<String>,
    /// ISO 4217; UAH when absent.
    currency: Option<String>,
    /// ISO 3166-1 alpha-2; UA when absent.
    country: Option<String>,
    /// `uk` or `en`; uk when absent.
    language: Option<String>,
}

/// Adds a site. Only an admin of every site may.
#[utoipa::path(post, path = "/api/v1/sites", operation_id = "create_site", tag = "sites", request_body = NewShop, responses(
    (status = 201, body = SiteView, description = "added"),
    (status = 400, description = "a field has a value that is not allowed", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin of every site", body = ErrorBody),
    (status = 409, description = "there is a site with this key", body = ErrorBody),
))]
pub async fn create(
    State(state): State<AppState>,
    admin: Admin,
    Json(new): Json<NewShop>,
) -> Result<(StatusCode, Json<SiteView>), ApiError> {
    if admin.0.site_id.is_some() {
        return Err(ApiError::Forbidden("only an admin of every site may add one"));
    }
    let key: SiteKey = new
        .key
        .parse()
        .map_err(|error: shared::ids::BadSiteKey| ApiError::invalid("key", error.to_string()))?;
    site_rules::name(&new.name)?;
    let domains = site_rules::domains(&new.domains)?;
    let time_zone = new.time_zone.as_deref().unwrap_or("Europe/Kyiv");
    let currency = new.currency.as_deref().unwrap_or("UAH");
    let country = new.country.as_deref().unwrap_or("UA");
    let language = new.language.as_deref().unwrap_or("uk");
    site_rules::time_zone(time_zone)?;
    site_rules::currency(currency)?;
    site_rules::country(country)?;
    site_rules::language(language)?;
    let site = NewSite {
        key: key.as_str(),
        name: &new.name,
        domains: &domains,
        time_zone,
        currency,
        country,
        language,
    };
    let mut transaction = state.pool.begin().await?;
    let id = sites::insert(&mut *transaction, &site)
        .await?
        .ok_or_else(|| ApiError::Conflict("there is a site with this key already".into()))?;
    let entry = Entry {
        site_id: Some(id),
        actor: Actor::User(&admin.0),
        action: "site.create",
        subject: key.as_str(),
        detail: json!({}),
    };
    audit_log::insert(&mut *transaction, &entry, state.clock.now()).await?;
    transaction.commit().await?;
    state.sites.read(sites::all(&state.pool)).await?;
    let site = state
        .sites
        .by_id(id)
        .ok_or(ApiError::NotFound("the site was removed meanwhile"))?;
    Ok((StatusCode::CREATED, Json(SiteView::from(&*site))))
}

/// A site after a change, and what the change does beyond itself.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Changed {
    #[serde(flatten)]
    site: SiteView,
    /// What follows: now, later, or not.
    effects: Vec<Effect>,
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
    /// ISO 4217. Every order is valued anew; rates given in units of the old currency are forgotten.
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
    (status = 200, body = Changed, description = "as it is now, and what follows; every process knows within seconds"),
    (status = 400, description = "a field or setting has a value that is not allowed, or there is no such site", body = ErrorBody),
    (status = 401, description = "nobody is logged in", body = ErrorBody),
    (status = 403, description = "not an admin", body = ErrorBody),
))]
pub async fn change(
    State(state): State<AppState>,
    admin: Admin,
    Path(key): Path<String>,
    Json(change): Json<SiteChange>,
) -> Result<Json<Changed>, ApiError> {
    let site = admin.site(&state.sites, Some(&key))?;
    let domains = change.domains.as_deref().map(site_rules::domains).transpose()?;
    change.name.as_deref().map(site_rules::name).transpose()?;
    change.time_zone.as_deref().map(site_rules::time_zone).transpose()?;
    change.currency.as_deref().map(site_rules::currency).transpose()?;
    change.country.as_deref().map(site_rules::country).transpose()?;
    change.language.as_deref().map(site_rules::language).transpose()?;

    // Locked while the settings are merged: two admins who change two settings at once both get their way. And what follows from a change
    // follows from what is stored: this process may not have read another's change yet.
    let mut transaction = state.pool.begin().await?;
    let stored = sites::lock(&mut *transaction, site.id).await?;
    let settings = merged(stored.settings.clone(), change.settings.unwrap_or_default())?;
    let site = stored.site()?;
    let typed: SiteSettings =
        serde_json::from_value(settings.clone()).map_err(|error| ApiError::invalid("settings", error.to_string()))?;
    site_rules::public_url(typed.public_url.as_deref(), domains.as_deref().unwrap_or(&site.domains))?;
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
    let mut after = site.clone();
    after.name = change.name.unwrap_or(after.name);
    after.domains = domains.unwrap_or(after.domains);
    if let Some(zone) = &change.time_zone {
        after.time_zone = site_rules::time_zone(zone)?;
    }
    after.currency = change.currency.unwrap_or(after.currency);
    after.country = change.country.unwrap_or(after.country);
    after.language = change.language.unwrap_or(after.language);
    after.settings = typed;
    let now = state.clock.now();
    let effects = site_change::apply(&mut transaction, &site, &after, now).await?;
    let detail = site_change::difference(&SiteView::from(&site), &SiteView::from(&after))?;
    let entry = Entry {
        site_id: Some(site.id),
        actor: Actor::User(&admin.0),
        action: "site.change",
        subject: &site.key,
        detail,
    };
    audit_log::insert(&mut *transaction, &entry, now).await?;
    transaction.commit().await?;
    state.sites.read(sites::all(&state.pool)).await?;
    let site = state
        .sites
        .by_id(site.id)
        .ok_or(ApiError::NotFound("the site was removed meanwhile"))?;
    Ok(Json(Changed {
        site: SiteView::from(&*site),
        effects,
    }))
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
