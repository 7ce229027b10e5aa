//! What part of a site's data a request is about: its period, filters, bots, and which date money has.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::Filters;
use super::params::Params;
use super::period::{Period, PeriodAnswer};
use crate::catalogue::Dimension;
use crate::error::ApiError;
use crate::site::Site;

/// Which sessions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bots {
    /// People only.
    Exclude,
    /// People and bots.
    Include,
    /// Bots only.
    Only,
}

/// Which date money has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributionDate {
    /// An order counts with its session, on the session's first day, whenever it was placed.
    Session,
    /// An order counts on the day it was placed, with or without a session.
    Order,
}

/// The values of `bots`.
pub const BOTS: [(&str, Bots); 3] = [
    ("exclude", Bots::Exclude),
    ("include", Bots::Include),
    ("only", Bots::Only),
];

/// The values of `attribution_date`.
pub const ATTRIBUTION_DATES: [(&str, AttributionDate); 2] =
    [("session", AttributionDate::Session), ("order", AttributionDate::Order)];

/// The values of `confirmed`.
pub const CONFIRMED: [(&str, bool); 2] = [("true", true), ("false", false)];

/// Names by which the original module asked for filters.
pub const ALIASES: [(&str, Dimension); 2] = [("source", Dimension::UtmSource), ("campaign", Dimension::UtmCampaign)];

/// A checked request's part of the data.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The site.
    pub site: Arc<Site>,
    /// The period.
    pub period: Period,
    /// The filters.
    pub filters: Filters,
    /// Bots.
    pub bots: Bots,
    /// Only sessions in which a person is confirmed.
    pub confirmed: bool,
    /// Which date money has.
    pub attribution_date: AttributionDate,
}

impl Scope {
    /// Takes its parameters; `site` was taken before.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub fn take(params: &mut Params, site: Arc<Site>, now: DateTime<Utc>) -> Result<Self, ApiError> {
        let (period, start, end) = (
            params.one("period")?,
            params.one("start_date")?,
            params.one("end_date")?,
        );
        let period = Period::parse(period.as_deref(), start.as_deref(), end.as_deref(), site.time_zone, now)?;
        let mut filters = Filters::default();
        let names = Dimension::filters().map(|d| (d.key(), d)).chain(ALIASES);
        for (name, dimension) in names {
            for value in params.all(name) {
                filters.ask(dimension, &value, &site.settings)?;
            }
        }
        let scope = Self {
            period,
            filters,
            bots: params.choice("bots", &BOTS, Bots::Exclude)?,
            confirmed: params.choice("confirmed", &CONFIRMED, false)?,
            attribution_date: params.choice("attribution_date", &ATTRIBUTION_DATES, AttributionDate::Session)?,
            site,
        };
        if scope.site.settings.revenue_from_events && scope.attribution_date == AttributionDate::Order {
            return Err(ApiError::invalid(
                "attribution_date",
                "this site takes its revenue from purchase events, which are dated by their session: allowed is session",
            ));
        }
        Ok(scope)
    }

    /// The same for another period.
    pub fn in_period(&self, period: Period) -> Self {
        Self { period, ..self.clone() }
    }

    /// What every answer says.
    pub fn describe(&self) -> ScopeAnswer {
        ScopeAnswer {
            site: self.site.key.clone(),
            period: self.period.describe(),
            attribution_date: self.attribution_date,
            currency: self.site.currency.clone(),
            filters: self.filters.clone(),
            bots: self.bots,
            confirmed: self.confirmed,
        }
    }
}

/// What an answer is about.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScopeAnswer {
    /// The site's key.
    pub site: String,
    /// The period.
    pub period: PeriodAnswer,
    /// Which date money has.
    pub attribution_date: AttributionDate,
    /// ISO 4217 code of all money.
    pub currency: String,
    /// The filters: dimension → values as they would be asked for again.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>)]
    pub filters: Filters,
    /// Which sessions count.
    pub bots: Bots,
    /// Only sessions in which a person is confirmed.
    pub confirmed: bool,
}
