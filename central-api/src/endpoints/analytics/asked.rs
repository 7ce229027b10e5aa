//! What every request of the business analytics carries: who asks, about which site, for which days.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, NaiveDate, Utc};

use super::BusinessScope;
use crate::auth::{Role, Viewer};
use crate::business::figures::Window;
use crate::business::filtered;
use crate::business::people::Whom;
use crate::catalogue::Dimension;
use crate::error::ApiError;
use crate::reports::filter::Filters;
use crate::reports::params::Params;
use crate::reports::period::Period;
use crate::reports::scope::{ALIASES, AttributionDate, Bots, Scope};
use crate::site::Site;
use crate::state::AppState;

/// Parameters of a period, for the description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub struct PeriodParams {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// `today`, `week`, `month` (the last 30 days, the default) or `all_time`; or give `start_date` and `end_date`.
    period: Option<String>,
    /// First local day, YYYY-MM-DD.
    start_date: Option<NaiveDate>,
    /// Last local day, included.
    end_date: Option<NaiveDate>,
}

/// Filters by what an order takes over from its session, for the description. Repeat one for several values; `!` before a value leaves it
/// out, `(not set)` is the absent one.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described; a test compares it with what is taken")]
pub struct FilterParams {
    /// Normalised source; also as `source`.
    utm_source: Option<Vec<String>>,
    /// Normalised medium.
    utm_medium: Option<Vec<String>>,
    /// Normalised campaign; also as `campaign`.
    utm_campaign: Option<Vec<String>>,
    /// Normalised content.
    utm_content: Option<Vec<String>>,
    /// Normalised term.
    utm_term: Option<Vec<String>>,
    /// Channel.
    channel: Option<Vec<String>>,
    /// ISO 3166-1 alpha-2.
    country: Option<Vec<String>>,
    /// City.
    city: Option<Vec<String>>,
    /// Kind of device.
    device_type: Option<Vec<String>>,
    /// Browser.
    browser_name: Option<Vec<String>>,
    /// Operating system.
    os_name: Option<Vec<String>>,
    /// Path of the session's first page.
    landing_page: Option<Vec<String>>,
}

/// Names under which filters are taken.
fn filter_names() -> impl Iterator<Item = (&'static str, Dimension)> {
    filtered::dimensions().map(|d| (d.key(), d)).chain(ALIASES)
}

/// A request by somebody who may see the site.
#[derive(Debug)]
pub struct Asked {
    /// The site.
    pub site: Arc<Site>,
    /// Parameters not taken yet.
    pub params: Params,
    /// The time of the request.
    pub now: DateTime<Utc>,
    /// Connections for reading.
    pub pool: sqlx::PgPool,
    /// Whether customers may be named: to admins.
    pub names_customers: bool,
    /// Which orders count; none until [`Asked::filters`] took them.
    pub filters: Filters,
}

impl Asked {
    /// Takes the period.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn period(&mut self) -> Result<Period, ApiError> {
        let (period, start, end) = (
            self.params.one("period")?,
            self.params.one("start_date")?,
            self.params.one("end_date")?,
        );
        Period::parse(
            period.as_deref(),
            start.as_deref(),
            end.as_deref(),
            self.site.time_zone,
            self.now,
        )
    }

    /// Takes the filters that orders know: the dimensions that they take over from their session. Customers are chosen by those of their
    /// first purchase.
    ///
    /// # Errors
    /// 400 naming the dimension.
    pub fn filters(&mut self) -> Result<(), ApiError> {
        for (name, dimension) in filter_names() {
            for value in self.params.all(name) {
                self.filters.ask(dimension, &value, &self.site.settings)?;
            }
        }
        Ok(())
    }

    /// Takes `limit` and `offset`.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn page(&mut self, default_limit: i64) -> Result<(i64, i64), ApiError> {
        Ok((
            self.params.number("limit", 1..=1_000, default_limit)?,
            self.params.number("offset", 0..=1_000_000, 0)?,
        ))
    }

    /// The sessions of people in a period with the filters taken.
    pub fn sessions_scope(&self, period: Period) -> Scope {
        Scope {
            site: self.site.clone(),
            period,
            filters: self.filters.clone(),
            bots: Bots::Exclude,
            confirmed: false,
            attribution_date: AttributionDate::Session,
        }
    }

    /// The site's day.
    pub fn today(&self) -> NaiveDate {
        self.now.with_timezone(&self.site.time_zone).date_naive()
    }

    /// A period's days on this site.
    pub fn window(&self, period: &Period) -> Window {
        Window {
            site_id: self.site.id,
            time_zone: self.site.time_zone,
            first: period.first_day,
            last: period.last_day,
            filters: self.filters.clone(),
        }
    }

    /// Which customers.
    pub fn whom(&self) -> Whom<'_> {
        Whom {
            site: &self.site,
            filters: &self.filters,
        }
    }

    /// What the answer says that it is about.
    pub fn scope(&self, period: &Period) -> BusinessScope {
        BusinessScope {
            site: self.site.key.clone(),
            currency: self.site.currency.clone(),
            period: period.describe(),
            filters: self.filters.clone(),
        }
    }
}

impl FromRequestParts<AppState> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let viewer = Viewer::from_request_parts(parts, state).await?;
        let mut params = Params::new(parts.uri.query().unwrap_or_default());
        let key = params.one("site")?;
        Ok(Self {
            site: viewer.site(&state.sites, key.as_deref())?,
            params,
            now: state.clock.now(),
            pool: state.read_pool.clone(),
            filters: Filters::default(),
            names_customers: matches!(&viewer, Viewer::User(session) if session.role == Role::Admin),
        })
    }
}

#[cfg(test)]
mod tests {
    use utoipa::IntoParams as _;

    use super::*;

    #[test]
    fn every_filter_that_is_taken_is_described() {
        let described: Vec<String> = FilterParams::into_params(|| None)
            .into_iter()
            .map(|param| param.name)
            .collect();
        let taken: Vec<&str> = filtered::dimensions().map(Dimension::key).collect();
        assert_eq!(described, taken);
    }
}
