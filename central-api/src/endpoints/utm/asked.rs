//! What every analytics request carries: who asks, about which site, with which parameters.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::auth::Viewer;
use crate::catalogue::{Dimension, Metric};
use crate::error::ApiError;
use crate::reports::params::Params;
use crate::reports::scope::Scope;
use crate::reports::search::Search;
use crate::reports::sql::{Column, Sort};
use crate::site::Site;
use crate::state::AppState;

/// Rows of one answer at most.
pub const MAX_LIMIT: i64 = 1_000;
/// Rows that can be skipped; deeper readers want the export.
pub const MAX_OFFSET: i64 = 1_000_000;

/// A request by somebody who may see the site.
#[derive(Debug)]
pub struct Asked {
    /// The site.
    pub site: Arc<Site>,
    /// Parameters not taken yet.
    pub params: Params,
    /// The time of the request.
    pub now: chrono::DateTime<chrono::Utc>,
    /// Connections for reading.
    pub pool: sqlx::PgPool,
}

impl Asked {
    /// From parameters that stand elsewhere than in the query string.
    ///
    /// # Errors
    /// 400 for a site that this viewer may not see.
    pub fn with_params(viewer: &Viewer, state: &AppState, mut params: Params) -> Result<Self, ApiError> {
        let key = params.one("site")?;
        Ok(Self {
            site: viewer.site(&state.sites, key.as_deref())?,
            params,
            now: state.clock.now(),
            pool: state.read_pool.clone(),
        })
    }

    /// Takes the scope's parameters.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn scope(&mut self) -> Result<Scope, ApiError> {
        Scope::take(&mut self.params, self.site.clone(), self.now)
    }

    /// Takes the scope's parameters; the last `days` local days, today included, when no period is given.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn scope_or_last_days(&mut self, days: u64) -> Result<Scope, ApiError> {
        if !["period", "start_date", "end_date"]
            .iter()
            .any(|name| self.params.has(name))
        {
            let today = self.now.with_timezone(&self.site.time_zone).date_naive();
            let first = today - chrono::Days::new(days.saturating_sub(1));
            self.params.give("start_date", first.to_string());
            self.params.give("end_date", today.to_string());
        }
        self.scope()
    }

    /// Refuses money dated by the order, for figures that are about sessions.
    ///
    /// # Errors
    /// 400 for `attribution_date`.
    pub fn only_by_session(scope: &Scope) -> Result<(), ApiError> {
        if scope.attribution_date == crate::reports::scope::AttributionDate::Order {
            return Err(ApiError::invalid(
                "attribution_date",
                "these figures follow sessions and visitors: allowed is session",
            ));
        }
        Ok(())
    }

    /// Takes `limit` and `offset`.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn page(&mut self, default_limit: i64) -> Result<(i64, i64), ApiError> {
        Ok((
            self.params.number("limit", 1..=MAX_LIMIT, default_limit)?,
            self.params.number("offset", 0..=MAX_OFFSET, 0)?,
        ))
    }

    /// Takes `search`.
    ///
    /// # Errors
    /// 400 for a text that no value can contain.
    pub fn search(&mut self) -> Result<Option<Search>, ApiError> {
        match self.params.one("search")? {
            Some(text) => Search::parse(&text),
            None => Ok(None),
        }
    }

    /// Takes `sort`: a column's key, with `-` before it for the largest first.
    ///
    /// # Errors
    /// 400 listing the columns.
    pub fn sort(&mut self, dimensions: &[Dimension], metrics: &[Metric]) -> Result<Option<Sort>, ApiError> {
        let Some(text) = self.params.one("sort")? else {
            return Ok(None);
        };
        let (descending, key) = match text.strip_prefix('-') {
            Some(key) => (true, key),
            None => (false, text.as_str()),
        };
        let dimension = dimensions
            .iter()
            .find(|d| d.key() == key)
            .copied()
            .map(Column::Dimension);
        let metric = || metrics.iter().find(|m| m.key() == key).copied().map(Column::Metric);
        match dimension.or_else(metric) {
            Some(by) => Ok(Some(Sort { by, descending })),
            None => {
                let keys = dimensions
                    .iter()
                    .map(|d| d.key())
                    .chain(metrics.iter().map(|m| m.key()));
                let keys: Vec<_> = keys.collect();
                Err(ApiError::invalid(
                    "sort",
                    format!(
                        "allowed are {}, each with - before it for the largest first",
                        keys.join(", ")
                    ),
                ))
            }
        }
    }
}

impl FromRequestParts<AppState> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        Self::with_params(&viewer, state, Params::new(parts.uri.query().unwrap_or_default()))
    }
}
