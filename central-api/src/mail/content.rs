//! The figures of a report, asked for with the functions that answer the API.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::chart::Point;
use super::timing::Covered;
use crate::catalogue::{Dimension, Metric};
use crate::db::coverage::{self, OrderCoverage};
use crate::endpoints::utm::compare::{self, Comparison};
use crate::endpoints::utm::customers::{self, RepeatRate};
use crate::endpoints::utm::funnel::{self, Funnel};
use crate::endpoints::utm::lists::{LISTS, List};
use crate::endpoints::utm::ltv::{self, SourceLtv};
use crate::endpoints::utm::{export, time_series};
use crate::error::ApiError;
use crate::reports::filter::Filters;
use crate::reports::period::Period;
use crate::reports::scope::{AttributionDate, Bots, Scope};
use crate::reports::sql::Question;
use crate::reports::table::{self, Row};
use crate::site::Site;
use crate::state::AppState;

/// Sources of each ranking.
const TOP: i64 = 5;
/// Days up to which the trend has a point a day; then a week, and beyond the second number a month.
const DAYS_TO_WEEKS: (i64, i64) = (62, 400);
/// Bytes of one attached table; servers refuse mails from about 20 MB on, and base64 adds a third.
const MAX_FILE: usize = 6 * 1024 * 1024;

/// What a report is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The site.
    pub site: Arc<Site>,
    /// As its subject line says.
    pub covered: Covered,
    /// Exactly.
    pub period: Period,
    /// Which sessions count.
    pub filters: Filters,
}

impl Subject {
    /// Whole days, for a schedule.
    pub fn of_days(site: Arc<Site>, covered: Covered, days: (NaiveDate, NaiveDate), filters: Filters) -> Self {
        let period = Period::of_days(days.0, days.1, site.time_zone);
        Self {
            site,
            covered,
            period,
            filters,
        }
    }

    /// A named period of the API, up to `now`.
    ///
    /// # Errors
    /// 400 for a period that the API does not know.
    pub fn until(site: Arc<Site>, covered: Covered, now: DateTime<Utc>, filters: Filters) -> Result<Self, ApiError> {
        let period = Period::parse(Some(covered.name()), None, None, site.time_zone, now)?;
        Ok(Self {
            site,
            covered,
            period,
            filters,
        })
    }

    fn scope(&self) -> Scope {
        Scope {
            site: self.site.clone(),
            period: self.period,
            filters: self.filters.clone(),
            bots: Bots::Exclude,
            confirmed: false,
            attribution_date: AttributionDate::Session,
        }
    }
}

/// A table to attach.
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// The list's path in the API.
    pub list: &'static str,
    /// As the export sends it; none: too long for a mail.
    pub bytes: Option<Vec<u8>>,
}

/// Every figure of a report.
pub struct Content {
    /// What it is about.
    pub subject: Subject,
    /// The general figures with those before.
    pub(crate) comparison: Comparison,
    /// The most visited sources.
    pub sources: Vec<Row>,
    /// The most valuable sources.
    pub(crate) ltv: Vec<SourceLtv>,
    /// Who came back; none while the customers of a large history are joined for the first time.
    pub(crate) repeat: Option<RepeatRate>,
    /// How far sessions came.
    pub(crate) funnel: Funnel,
    /// Orders that no session explains; without filters only.
    pub coverage: Option<OrderCoverage>,
    /// The trend.
    pub trend: Vec<Point>,
    /// Tables to attach.
    pub files: Vec<File>,
}

/// Asks for everything, several statements at a time as the pool for reading allows.
///
/// # Errors
/// The database's.
pub async fn gather(state: &AppState, subject: Subject, attach_csv: bool, language: &str) -> Result<Content, ApiError> {
    let scope = subject.scope();
    let pool = &state.read_pool;
    let top_sources = async {
        let question = Question {
            limit: Some(TOP),
            ..list("sources")?.question(&scope)
        };
        Ok(table::ask(pool, &question).await?.rows)
    };
    let coverage = async {
        match scope.filters.iter().next() {
            Some(_) => Ok(None),
            None => coverage::of_orders(pool, &scope.site, &scope.period)
                .await
                .map(|(coverage, _)| Some(coverage))
                .map_err(ApiError::from),
        }
    };
    let files = async {
        let mut files = Vec::new();
        if attach_csv {
            for (name, path) in [("utm_sources.csv", "sources"), ("utm_campaigns.csv", "campaigns")] {
                let bytes = export::list_file(pool, &scope, list(path)?, language, MAX_FILE).await?;
                files.push(File {
                    name,
                    list: path,
                    bytes,
                });
            }
        }
        Ok(files)
    };
    let (comparison, sources, (ltv, _), repeat, funnel, coverage, trend, files) = tokio::try_join!(
        async { compare::ask(pool, &scope).await.map_err(ApiError::from) },
        top_sources,
        async { ltv::ask(pool, &scope, TOP, 0).await.map_err(ApiError::from) },
        customers::ask_soon(state, &scope),
        async { funnel::ask(pool, &scope, false).await.map_err(ApiError::from) },
        coverage,
        trend(pool, &scope),
        files,
    )?;
    Ok(Content {
        subject,
        comparison,
        sources,
        ltv,
        repeat,
        funnel,
        coverage,
        trend,
        files,
    })
}

fn list(path: &str) -> Result<&'static List, ApiError> {
    let found = LISTS.iter().find(|list| list.path == path);
    found.ok_or_else(|| ApiError::Internal(anyhow::anyhow!("there is no list {path}")))
}

async fn trend(pool: &sqlx::PgPool, scope: &Scope) -> Result<Vec<Point>, ApiError> {
    let first_day = match scope.period.first_day {
        Some(day) => Some(day),
        None => coverage::newest(pool, &scope.site)
            .await?
            .first_session_at
            .map(|at| at.with_timezone(&scope.site.time_zone).date_naive()),
    };
    let days = first_day.map_or(1, |first| (scope.period.last_day - first).num_days() + 1);
    let bucket = match days {
        _ if days <= DAYS_TO_WEEKS.0 => Dimension::Day,
        _ if days <= DAYS_TO_WEEKS.1 => Dimension::Week,
        _ => Dimension::Month,
    };
    let rows = time_series::ask(pool, scope, bucket).await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            Some(Point {
                day: NaiveDate::parse_from_str(row.text(bucket.key())?, "%Y-%m-%d").ok()?,
                sessions: row.figure(Metric::Sessions),
                revenue: row.figure(Metric::Revenue),
            })
        })
        .collect())
}
