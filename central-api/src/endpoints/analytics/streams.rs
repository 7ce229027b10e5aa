//! Revenue streams: where the money comes from.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, FilterParams, PeriodParams};
use super::{BusinessScope, Words, average_order, share};
use crate::business::figures::{self, StreamSum};
use crate::business::streams::STREAMS;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::reports::figure::Figure;
use crate::site::Site;

/// A stream over the period.
#[derive(Debug, Serialize, ToSchema)]
struct StreamTotal {
    /// As orders carry it.
    stream: String,
    /// For people; its own name when it is the shop's.
    label: Words,
    /// Whether it is one of the known streams or of the site's setting `revenue_streams`; else an order named it and nobody knows it.
    known: bool,
    /// Revenue of its purchases, net of refunds.
    amount: Figure,
    /// Purchases.
    transactions: i64,
    /// Of the period's revenue, in percent.
    share: Figure,
    /// Revenue per purchase of known value; null without one.
    avg_order_value: Figure,
    /// Revenue of the period before; null for all time.
    previous_amount: Figure,
    /// Against the period before, in percent; null where that was 0.
    change: Figure,
}

/// A stream on a day.
#[derive(Debug, Serialize, ToSchema)]
struct StreamOfDay {
    /// As orders carry it.
    stream: String,
    /// Revenue.
    amount: Figure,
    /// Purchases.
    transactions: i64,
}

/// A day and its streams.
#[derive(Debug, Serialize, ToSchema)]
struct StreamDay {
    /// Local day.
    day: NaiveDate,
    /// Their sum.
    amount: Figure,
    /// Those with a purchase.
    streams: Vec<StreamOfDay>,
}

/// Revenue by stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevenueStreams {
    #[serde(flatten)]
    scope: BusinessScope,
    /// Revenue of all streams.
    total_amount: Figure,
    /// Purchases of all streams.
    total_transactions: i64,
    /// The known streams, those without a purchase too, and unknown ones; the largest first.
    streams: Vec<StreamTotal>,
    /// Days with a purchase.
    days: Vec<StreamDay>,
}

/// A stream's name for people, and whether it is known.
pub fn name(stream: &str, site: &Site) -> (Words, bool) {
    match STREAMS.iter().find(|known| known.key == stream) {
        Some(known) => (known.label.into(), true),
        None => (
            (stream.to_owned(), stream.to_owned()).into(),
            site.settings.revenue_streams.iter().any(|own| own == stream),
        ),
    }
}

/// Revenue by stream: totals with shares, and the daily trend.
#[utoipa::path(get, path = "/api/v1/analytics/revenue-streams", operation_id = "revenue_streams", tag = "business", params(PeriodParams, FilterParams), responses(
    (status = 200, body = RevenueStreams, description = "the streams of the period"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn revenue_streams(mut asked: Asked) -> Result<Json<RevenueStreams>, ApiError> {
    let period = asked.period()?;
    asked.filters()?;
    asked.params.clone().finish()?;
    let window = &asked.window(&period);
    let (mut sums, days) = tokio::try_join!(
        figures::streams(&asked.pool, window),
        figures::stream_days(&asked.pool, window)
    )?;
    let before = match period.previous() {
        Some(previous) => Some(figures::streams(&asked.pool, &asked.window(&previous)).await?),
        None => None,
    };
    let own = asked.site.settings.revenue_streams.iter().map(String::as_str);
    for stream in STREAMS.iter().map(|stream| stream.key).chain(own) {
        if !sums.iter().any(|sum| sum.stream == stream) {
            sums.push(StreamSum {
                stream: stream.to_owned(),
                amount: Decimal::ZERO,
                transactions: 0,
                unvalued_orders: 0,
            });
        }
    }
    let total: Decimal = sums.iter().map(|sum| sum.amount).sum();
    let streams = sums
        .iter()
        .map(|sum| {
            let (label, known) = name(&sum.stream, &asked.site);
            let previous_amount = Figure(before.as_ref().map(|before| {
                let same = before.iter().find(|other| other.stream == sum.stream);
                same.map_or(Decimal::ZERO, |same| same.amount)
            }));
            StreamTotal {
                stream: sum.stream.clone(),
                label,
                known,
                amount: sum.amount.into(),
                transactions: sum.transactions,
                share: share(sum.amount, total),
                avg_order_value: average_order(sum.amount, sum.transactions, sum.unvalued_orders),
                previous_amount,
                change: Figure::ratio(100, Figure::from(sum.amount).minus(previous_amount), previous_amount),
            }
        })
        .collect();
    let mut by_day: BTreeMap<NaiveDate, Vec<figures::StreamDay>> = BTreeMap::new();
    for day in days {
        by_day.entry(day.day).or_default().push(day);
    }
    Ok(Json(RevenueStreams {
        scope: asked.scope(&period),
        total_amount: total.into(),
        total_transactions: sums.iter().map(|sum| sum.transactions).sum(),
        streams,
        days: by_day
            .into_iter()
            .map(|(day, streams)| StreamDay {
                day,
                amount: streams.iter().map(|stream| stream.amount).sum::<Decimal>().into(),
                streams: streams
                    .into_iter()
                    .map(|stream| StreamOfDay {
                        stream: stream.stream,
                        amount: stream.amount.into(),
                        transactions: stream.transactions.into(),
                    })
                    .collect(),
            })
            .collect(),
    }))
}
