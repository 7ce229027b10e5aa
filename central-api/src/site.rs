//! A site (one shop), its settings, and the cached list of all sites that every request asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};

use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use shared::action::Action;

use crate::business::segments::SegmentRules;
use crate::channel_rules::ChannelRule;
use crate::error::ApiError;
use crate::worker_settings::WorkerSettings;

/// One shop.
#[derive(Debug, Clone)]
pub struct Site {
    /// Short number that large tables carry.
    pub id: i32,
    /// Public short name.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Hosts of the shop, lower-case; they never become a source.
    pub domains: Vec<String>,
    /// Periods begin at this zone's midnight.
    pub time_zone: Tz,
    /// ISO 4217; revenue is summed in it.
    pub currency: String,
    /// ISO 3166-1 alpha-2; a phone without country code takes it.
    pub country: String,
    /// `uk` or `en`.
    pub language: String,
    /// `domains` and the setting `payment_hosts`: who comes from there has no new source.
    pub not_sources: Vec<String>,
    /// The rest.
    pub settings: SiteSettings,
}

/// Settings with a default each; stored as JSON, unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiteSettings {
    /// Points by action name, over the built-in ones.
    #[schema(value_type = BTreeMap<String, i32>)]
    pub points: BTreeMap<Action, i32>,
    /// Source aliases over the built-in ones: raw lower-case value → canonical value.
    pub source_aliases: BTreeMap<String, String>,
    /// Medium aliases over the built-in ones.
    pub medium_aliases: BTreeMap<String, String>,
    /// The site's own rules for the channel, asked in order before the built-in ones.
    pub channel_rules: Vec<ChannelRule>,
    /// Hosts of payment gateways beside the well-known ones: who comes back from there has no new source.
    pub payment_hosts: Vec<String>,
    /// How far back an order finds its visitor by customer or contact, in days.
    pub look_back_days: u16,
    /// Contacts that must never join customers: placeholders, the call centre's own. E-mails and phones as people write them.
    pub blocked_contacts: Vec<String>,
    /// Keep plain contact data on orders.
    pub store_contacts: bool,
    /// The shop has no backend that sends orders: purchase events are its revenue.
    pub revenue_from_events: bool,
    /// Keep raw user agents.
    pub keep_user_agents: bool,
    /// Days that events and sessions are kept.
    pub retention_days: u16,
    /// Share of LTV per session that may be spent on acquiring it (rate, 0 to 1).
    #[schema(value_type = String)]
    pub max_cpa_share: Decimal,
    /// LTV per session from which a source is shown as good and as fair, in the site's currency.
    #[schema(value_type = Vec<String>)]
    pub ltv_thresholds: (Decimal, Decimal),
    /// Where the customer segments begin and end.
    #[schema(value_type = Object)]
    pub customer_segments: SegmentRules,
    /// What a customer spent in all, in the site's currency, at which the bands of lifetime value begin; below the first is the lowest.
    #[schema(value_type = Vec<String>)]
    pub ltv_bands: Vec<Decimal>,
    /// Revenue streams of the shop's own, beside [`crate::business::streams::Stream`]'s. Others are kept under their name and flagged.
    pub revenue_streams: Vec<String>,
    /// Where visitors find the shop, for test visits: an address whose host is one of the site's. Null: the first domain.
    pub public_url: Option<String>,
    /// What the worker does; absent fields are as it was deployed.
    pub worker: WorkerSettings,
}

impl Default for SiteSettings {
    fn default() -> Self {
        Self {
            points: BTreeMap::new(),
            source_aliases: BTreeMap::new(),
            medium_aliases: BTreeMap::new(),
            channel_rules: Vec::new(),
            payment_hosts: Vec::new(),
            look_back_days: 30,
            blocked_contacts: Vec::new(),
            store_contacts: false,
            revenue_from_events: false,
            keep_user_agents: true,
            retention_days: 760,
            max_cpa_share: Decimal::new(7, 1),
            ltv_thresholds: (Decimal::new(500, 0), Decimal::new(200, 0)),
            customer_segments: SegmentRules::default(),
            ltv_bands: [500, 1_000, 2_500, 5_000, 10_000, 25_000].map(Decimal::from).to_vec(),
            revenue_streams: Vec::new(),
            public_url: None,
            worker: WorkerSettings::default(),
        }
    }
}

impl SiteSettings {
    /// Points of an action without the part that its value earns.
    pub fn base_points(&self, action: Action) -> i32 {
        self.points.get(&action).copied().unwrap_or(action.default_points())
    }
}

type SiteList = HashMap<i32, Arc<Site>>;

/// Every site, read often and changed seldom. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Sites {
    list: Arc<RwLock<Arc<SiteList>>>,
    reading: Arc<tokio::sync::Mutex<()>>,
}

impl Sites {
    /// Replaces the list by what `read` answers. Of several at once one reads after another: what was read before a change must not stand
    /// in place of what was read after it.
    ///
    /// # Errors
    /// Those of `read`; the list stays as it was.
    pub async fn read<E>(&self, read: impl Future<Output = Result<Vec<Site>, E>>) -> Result<(), E> {
        let _one_reader = self.reading.lock().await;
        self.replace(read.await?);
        Ok(())
    }

    /// Replaces the list.
    pub fn replace(&self, sites: Vec<Site>) {
        let map = Arc::new(sites.into_iter().map(|site| (site.id, Arc::new(site))).collect());
        *self.list.write().unwrap_or_else(std::sync::PoisonError::into_inner) = map;
    }

    fn known(&self) -> Arc<SiteList> {
        self.list
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// All sites, by key.
    pub fn all(&self) -> Vec<Arc<Site>> {
        let mut sites: Vec<_> = self.known().values().cloned().collect();
        sites.sort_by(|a, b| a.key.cmp(&b.key));
        sites
    }

    /// The site with this number.
    pub fn by_id(&self, id: i32) -> Option<Arc<Site>> {
        self.known().get(&id).cloned()
    }

    /// The site with this key.
    pub fn by_key(&self, key: &str) -> Option<Arc<Site>> {
        self.known().values().find(|site| site.key == key).cloned()
    }

    /// The site that a request means: the one named, or the only one there is.
    ///
    /// # Errors
    /// 400 for `site` when the key is unknown, or absent while there are several; 404 when there is no site at all.
    pub fn wanted(&self, key: Option<&str>) -> Result<Arc<Site>, ApiError> {
        let all = self.all();
        match key {
            Some(key) => all.iter().find(|site| site.key == key).cloned().ok_or_else(|| {
                // Which sites exist is not said: a token of one site learns nothing of the others.
                ApiError::invalid("site", "there is no such site")
            }),
            None if all.len() == 1 => Ok(all[0].clone()),
            None if all.is_empty() => Err(ApiError::NotFound("no site has been created yet")),
            None => Err(ApiError::invalid(
                "site",
                "there are several sites; say which one is meant",
            )),
        }
    }
}
