//! The business figures as a file.

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_decimal::Decimal;

use super::asked::Asked;
use crate::business::{campaigns, figures};
use crate::catalogue::Text;
use crate::error::{ApiError, ErrorBody};
use crate::reports::csv::{Chunks, harmless};

/// What can be exported.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Daily,
    Streams,
    Campaigns,
}

/// Parameters, for the description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub struct ExportParams {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// `today`, `week`, `month` (the default) or `all_time`; or give `start_date` and `end_date`.
    period: Option<String>,
    /// First local day, YYYY-MM-DD.
    start_date: Option<String>,
    /// Last local day, included.
    end_date: Option<String>,
    /// `daily` (the default), `revenue-streams` or `campaigns` (all of them, whatever the period).
    r#type: Option<String>,
    /// `csv`.
    format: Option<String>,
    /// Language of the header: `uk` or `en`; the site's when absent.
    locale: Option<String>,
}

const fn text(uk: &'static str, en: &'static str) -> Text {
    Text { uk, en }
}

const DAILY: [Text; 10] = [
    text("День", "Day"),
    text("Замовлення", "Orders"),
    text("Покупки", "Purchases"),
    text("Виторг", "Revenue"),
    text("Знижки", "Discounts"),
    text("Покупці", "Customers"),
    text("Нові покупці", "New customers"),
    text("Покупці, що повернулися", "Returning customers"),
    text("VIP-замовлення", "VIP orders"),
    text("Замовлення за підпискою", "Subscription orders"),
];

const STREAMS: [Text; 4] = [
    text("День", "Day"),
    text("Потік", "Stream"),
    text("Виторг", "Revenue"),
    text("Покупки", "Purchases"),
];

const CAMPAIGNS: [Text; 11] = [
    text("Кампанія", "Campaign"),
    text("Статус", "Status"),
    text("Перший день", "First day"),
    text("Останній день", "Last day"),
    text("Замовлення", "Orders"),
    text("Покупки", "Purchases"),
    text("Виторг", "Revenue"),
    text("Покупці", "Customers"),
    text("Вартість знижок", "Discount cost"),
    text("Бюджет", "Budget"),
    text("ROI, %", "ROI, %"),
];

fn money(amount: Decimal) -> String {
    amount.normalize().to_string()
}

async fn rows(asked: &Asked, window: figures::Window, kind: Kind) -> sqlx::Result<Vec<Vec<String>>> {
    Ok(match kind {
        Kind::Daily => figures::days(&asked.pool, window)
            .await?
            .into_iter()
            .map(|day| {
                vec![
                    day.day.to_string(),
                    day.orders.to_string(),
                    day.purchases.to_string(),
                    money(day.revenue),
                    money(day.discounts),
                    day.unique_customers.to_string(),
                    day.new_customers.to_string(),
                    (day.unique_customers - day.new_customers).to_string(),
                    day.vip_orders.to_string(),
                    day.subscription_orders.to_string(),
                ]
            })
            .collect(),
        Kind::Streams => figures::stream_days(&asked.pool, window)
            .await?
            .into_iter()
            .map(|day| {
                vec![
                    day.day.to_string(),
                    harmless(&day.stream).into_owned(),
                    money(day.amount),
                    day.transactions.to_string(),
                ]
            })
            .collect(),
        Kind::Campaigns => campaigns::list(&asked.pool, asked.site.id, None, None, (i64::MAX, 0))
            .await?
            .into_iter()
            .map(|row| {
                let cost = row.discount_cost + row.budget;
                let roi = crate::reports::figure::Figure::ratio(100, (row.revenue - cost).into(), cost.into());
                vec![
                    harmless(&row.name).into_owned(),
                    row.status,
                    row.start_day.to_string(),
                    row.end_day.map(|day| day.to_string()).unwrap_or_default(),
                    row.orders.to_string(),
                    row.purchases.to_string(),
                    money(row.revenue),
                    row.customers_reached.to_string(),
                    money(row.discount_cost),
                    money(row.budget),
                    roi.to_string(),
                ]
            })
            .collect(),
    })
}

/// Business figures as CSV.
#[utoipa::path(get, path = "/api/v1/analytics/export", operation_id = "export_business", tag = "business", params(ExportParams), responses(
    (status = 200, content_type = "text/csv", body = String, description = "UTF-8 with a byte order mark"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn export(mut asked: Asked) -> Result<Response, ApiError> {
    let period = asked.period()?;
    let kinds = [
        ("daily", ("daily", Kind::Daily, &DAILY[..])),
        ("revenue-streams", ("revenue_streams", Kind::Streams, &STREAMS[..])),
        ("campaigns", ("campaigns", Kind::Campaigns, &CAMPAIGNS[..])),
    ];
    let (name, kind, columns) = asked.params.choice("type", &kinds, kinds[0].1)?;
    asked.params.choice("format", &[("csv", ())], ())?;
    let own = if asked.site.language == "en" { "en" } else { "uk" };
    let language = asked.params.choice("locale", &[("uk", "uk"), ("en", "en")], own)?;
    asked.params.clone().finish()?;
    let rows = rows(&asked, asked.window(&period), kind).await?;
    let mut chunks = Chunks::default();
    let whole = |error: csv::Error| ApiError::Internal(error.into());
    chunks
        .row(columns.iter().map(|column| column.get(language)))
        .map_err(whole)?;
    for row in rows {
        chunks.row(row).map_err(whole)?;
    }
    let bytes = chunks.take().map_err(|error| ApiError::Internal(error.into()))?;
    Ok((
        [
            (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
        ],
        Body::from(bytes),
    )
        .into_response())
}
