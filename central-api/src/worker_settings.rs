//! What the panel sets of the worker. The worker asks for it now and then; what the panel leaves open is as it was deployed.
//!
//! The fields are those of `edge_core::settings`, where each is described, and are checked by it.

use std::sync::LazyLock;

use edge_core::settings::{Bots, ConsentMode, Dnt, Gpc, IpPrivacy, Secrets, Settings, SettingsError, Unsaid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::secret::hex;
use crate::site::Site;

/// Settings of the worker; an absent field is as it was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Paths where nobody lands: a path and what lies below it, or a pattern with `*`. In place of the built-in list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded_paths: Option<Vec<String>>,
    /// Who may be remembered; taken over as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// What is kept of an address: `full`, `truncated` (/24, /48) or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ip: Option<IpPrivacy>,
    /// Landings of machines: `keep` (with the reason, outside every figure) or `drop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub bots: Option<Bots>,
    /// Hours that a session lives without a new touch, 1 to 9600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_life_hours: Option<u32>,
    /// Cookies are shared by all hosts below this domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_domain: Option<String>,
    /// Ask browsers for the model and the platform's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_hints: Option<bool>,
    /// Write Meta's `_fbc` and `_fbp`; leave it off where Meta's pixel runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_cookies: Option<bool>,
}

/// What decides whether a visitor may be remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// `off` (nobody is remembered), `respect` (the cookie and the browser's signals decide) or `granted`.
    #[schema(value_type = String)]
    pub mode: ConsentMode,
    /// Name of the cookie in which the shop's banner keeps the choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// Its values that allow everything; `*` stands for any text.
    #[serde(default)]
    pub accepted: Vec<String>,
    /// Its values that allow measuring, but nothing for advertising platforms.
    #[serde(default)]
    pub limited: Vec<String>,
    /// Its values that refuse.
    #[serde(default)]
    pub refused: Vec<String>,
    /// What holds without the cookie: `granted`, `limited` or `refused`.
    #[serde(default = "refused")]
    #[schema(value_type = String)]
    pub without_cookie: Unsaid,
    /// What Global Privacy Control means: `refuse` or `limit`.
    #[serde(default = "refuse")]
    #[schema(value_type = String)]
    pub gpc: Gpc,
    /// What Do Not Track means: `ignore` or `refuse`.
    #[serde(default = "ignore")]
    #[schema(value_type = String)]
    pub dnt: Dnt,
}

fn refused() -> Unsaid {
    Unsaid::Refused
}

fn refuse() -> Gpc {
    Gpc::Refuse
}

fn ignore() -> Dnt {
    Dnt::Ignore
}

/// Entries and characters that a list may have: the worker reads them for every landing.
const MAX_ENTRIES: usize = 200;
const MAX_CHARS: usize = 255;

/// Says what the worker would refuse.
///
/// # Errors
/// 400 for `settings.worker.` and the field.
pub fn check(settings: &WorkerSettings) -> Result<(), ApiError> {
    let invalid = |field: &str, reason: &str| ApiError::invalid(format!("settings.worker.{field}"), reason);
    let consent = settings.consent.as_ref();
    for (field, list) in [
        ("excluded_paths", settings.excluded_paths.as_ref()),
        ("consent.accepted", consent.map(|consent| &consent.accepted)),
        ("consent.limited", consent.map(|consent| &consent.limited)),
        ("consent.refused", consent.map(|consent| &consent.refused)),
    ] {
        let fine = list.is_none_or(|list| list.len() <= MAX_ENTRIES && list.iter().all(|text| is_text(text)));
        if !fine {
            return Err(invalid(
                field,
                "at most 200 texts of 1 to 255 characters, none of them control characters",
            ));
        }
    }
    if settings
        .excluded_paths
        .iter()
        .flatten()
        .any(|path| !path.starts_with(['/', '*']))
    {
        return Err(invalid("excluded_paths", "a path begins with / or *"));
    }
    let cookie = consent.and_then(|consent| consent.cookie.as_deref());
    if cookie.is_some_and(|name| !is_cookie_name(name)) {
        return Err(invalid(
            "consent.cookie",
            "the name of a cookie, without spaces, = and ;",
        ));
    }
    let mut fields = fields_of(settings);
    fields.insert("site".into(), "site".into());
    fields.insert("hosts".into(), json!(["shop.example"]));
    match Settings::new(&Value::Object(fields).to_string(), ANY_SECRETS.clone()) {
        Ok(_) => Ok(()),
        Err(SettingsError { field, reason }) => Err(invalid(&field, &reason)),
    }
}

/// Only to have the worker's own check run; they sign nothing.
static ANY_SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets {
    cookie_keys: vec![("k1".into(), vec![0; 32])],
    hash_key: vec![0; 32],
});

fn is_text(text: &str) -> bool {
    (1..=MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_cookie_name(name: &str) -> bool {
    is_text(name) && name.is_ascii() && !name.contains([' ', '=', ';', ',', '"'])
}

fn fields_of(settings: &WorkerSettings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// What the worker of a site asks for.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Served {
    /// Changes with the settings.
    pub version: String,
    /// Fields to put over the deployed ones.
    #[schema(value_type = Object)]
    pub settings: Value,
}

/// The settings of a site's worker as it takes them.
pub fn served(site: &Site) -> Served {
    let mut fields = fields_of(&site.settings.worker);
    if !site.domains.is_empty() {
        fields.insert("hosts".into(), json!(site.domains));
    }
    if !site.settings.payment_hosts.is_empty() {
        fields.insert("payment_hosts".into(), json!(site.settings.payment_hosts));
    }
    let settings = Value::Object(fields);
    let digest: [u8; 32] = Sha256::digest(settings.to_string()).into();
    Served {
        version: hex(&digest[..8]),
        settings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_field(json: &str) -> String {
        let error = check(&serde_json::from_str(json).unwrap()).unwrap_err();
        match error {
            ApiError::Invalid { field, .. } => field.unwrap_or_default(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_worker_would_refuse_is_refused_by_name() {
        for (json, field) in [
            (r#"{"excluded_paths":["admin"]}"#, "settings.worker.excluded_paths"),
            (r#"{"excluded_paths":["/a\u0000"]}"#, "settings.worker.excluded_paths"),
            (r#"{"session_life_hours":0}"#, "settings.worker.session_life_hours"),
            (r#"{"session_life_hours":9601}"#, "settings.worker.session_life_hours"),
            (r#"{"cookie_domain":"ua"}"#, "settings.worker.cookie_domain"),
            (
                r#"{"consent":{"mode":"respect","cookie":"c"}}"#,
                "settings.worker.consent.accepted",
            ),
            (
                r#"{"consent":{"mode":"respect","cookie":"a b","accepted":["1"]}}"#,
                "settings.worker.consent.cookie",
            ),
            (
                r#"{"consent":{"mode":"off","refused":[""]}}"#,
                "settings.worker.consent.refused",
            ),
        ] {
            assert_eq!(refused_field(json), field, "{json}");
        }
    }

    #[test]
    fn what_is_served_is_what_the_worker_reads() {
        let full = r#"{"excluded_paths":["/admin","*/feed"],"consent":{"mode":"respect","cookie":"c","accepted":["yes"],"limited":[],
            "refused":["no"],"without_cookie":"granted","gpc":"limit","dnt":"refuse"},"ip":"none","bots":"drop","session_life_hours":48,
            "cookie_domain":"shop.ua","client_hints":false,"meta_cookies":true}"#;
        let settings: WorkerSettings = serde_json::from_str(full).unwrap();
        check(&settings).unwrap();
        check(&WorkerSettings::default()).unwrap();
        assert_eq!(serde_json::to_string(&WorkerSettings::default()).unwrap(), "{}");
        assert!(serde_json::from_str::<WorkerSettings>(r#"{"secure_cookies":false}"#).is_err());
    }
}
