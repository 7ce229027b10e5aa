//! What every request of the business analytics carries: who asks, about which site, for which days.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, NaiveDate, Utc};

use super::BusinessScope;
use crate::auth::{Role, Viewer};
use crate::business::figures::Window;
use crate::error::ApiError;
use crate::reports::params::Params;
use crate::reports::period::Period;
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

    /// The site's day.
    pub fn today(&self) -> NaiveDate {
        self.now.with_timezone(&self.site.time_zone).date_naive()
    }

    /// A period's days on this site.
    pub fn window(&self, period: &Period) -> Window {
        Window {
            site_id: self.site.id,
            first: period.first_day,
            last: period.last_day,
        }
    }

    /// What the answer says that it is about.
    pub fn scope(&self, period: &Period) -> BusinessScope {
        BusinessScope {
            site: self.site.key.clone(),
            currency: self.site.currency.clone(),
            period: period.describe(),
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
            names_customers: matches!(&viewer, Viewer::User(session) if session.role == Role::Admin),
        })
    }
}
