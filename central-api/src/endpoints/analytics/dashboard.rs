//! The dashboard, and revenue day by day.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, FilterParams, PeriodParams};
use super::{BusinessScope, Words, average_order, share};
use crate::business::campaigns::{self, Status};
use crate::business::figures::{self, Day};
use crate::catalogue::Text;
use crate::error::{ApiError, ErrorBody};
use crate::extract::Json;
use crate::orders::payment::PaymentStatus;
use crate::reports::figure::Figure;
use crate::reports::period::Period;

/// Rows of each short list.
const LISTED: i64 = 10;

/// Key figures of a period.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Kpis {
    /// Orders of any payment status.
    orders: i64,
    /// Paid or partially refunded orders.
    purchases: i64,
    /// Of purchases, net of refunds.
    revenue: Figure,
    /// Revenue per purchase of known value; null without one.
    avg_order_value: Figure,
    /// Given on purchases.
    discounts: Figure,
    /// Different customers with a purchase.
    unique_customers: i64,
    /// Those whose first purchase ever it was.
    new_customers: i64,
    /// The others.
    returning_customers: i64,
    /// Purchases without a contact that identifies anybody.
    unidentified_purchases: i64,
    /// Purchases with a VIP tier.
    vip_orders: i64,
    /// Purchases of a subscription.
    subscription_orders: i64,
    /// Orders in another currency without an exchange rate: in no sum of money.
    unvalued_orders: i64,
}

/// A local day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RevenueDay {
    /// The day.
    day: NaiveDate,
    /// Of purchases placed on it, net of refunds.
    revenue: Figure,
    /// Orders of any payment status.
    orders: i64,
    /// Paid or partially refunded ones.
    purchases: i64,
    /// Revenue per purchase of known value; null without one.
    avg_order_value: Figure,
    /// Given on purchases.
    discounts: Figure,
    /// Customers with a purchase on it.
    unique_customers: i64,
    /// Those whose first it was.
    new_customers: i64,
    /// The others.
    returning_customers: i64,
}

/// How many orders share something.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct Counted {
    /// As orders carry it; null: not stated.
    value: Option<String>,
    /// For people.
    label: Words,
    /// How many.
    orders: i64,
    /// In percent.
    share: Figure,
}

/// What sold well.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct TopItem {
    /// SKU, else the shop's product id, else the name.
    item: String,
    /// For people.
    name: Option<String>,
    /// Pieces, kilograms, ….
    quantity: Figure,
    /// Price times quantity, as ordered.
    amount: Figure,
    /// Purchases with it.
    orders: i64,
}

/// An order; nothing says whose.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecentOrder {
    /// The shop's id.
    order_id: String,
    /// What the customer sees.
    order_number: Option<String>,
    /// When it was placed, UTC.
    created_at: DateTime<Utc>,
    /// Where the payment stands.
    payment_status: String,
    /// As the shop calls it.
    payment_method: Option<String>,
    /// What the customer is charged, in the order's currency.
    total: Figure,
    /// ISO 4217 code of `total`.
    currency: String,
    /// In the site's currency; null without an exchange rate.
    revenue: Figure,
    /// Of the session that brought it.
    utm_source: Option<String>,
    /// Of the session that brought it.
    utm_campaign: Option<String>,
}

impl From<figures::RecentOrder> for RecentOrder {
    fn from(row: figures::RecentOrder) -> Self {
        Self {
            order_id: row.order_id,
            order_number: row.order_number,
            created_at: row.created_at,
            payment_status: row.payment_status,
            payment_method: row.payment_method,
            total: row.total.into(),
            currency: row.currency,
            revenue: Figure(row.revenue),
            utm_source: row.utm_source,
            utm_campaign: row.utm_campaign,
        }
    }
}

/// The shop at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dashboard {
    #[serde(flatten)]
    scope: BusinessScope,
    /// Of the period.
    kpis: Kpis,
    /// Of the same number of days before; null for all time.
    previous: Option<Kpis>,
    /// Change of each money figure and count against the period before, in percent; null where that was 0.
    change: Option<BTreeMap<&'static str, Figure>>,
    /// Every day of the period.
    revenue_trend: Vec<RevenueDay>,
    /// Orders by payment status.
    statuses: Vec<Counted>,
    /// Purchases by payment method.
    payment_methods: Vec<Counted>,
    /// The best-selling items.
    top_items: Vec<TopItem>,
    /// The latest orders, whatever the period.
    recent_orders: Vec<RecentOrder>,
    /// Campaigns that run.
    active_campaigns: usize,
}

/// Revenue day by day.
#[derive(Debug, Serialize, ToSchema)]
pub struct DailyRevenue {
    #[serde(flatten)]
    scope: BusinessScope,
    /// Every day of the period, in order.
    days: Vec<RevenueDay>,
    /// Their sum.
    total_revenue: Figure,
    /// Their purchases.
    total_purchases: i64,
}

fn kpis(days: &[Day], unique_customers: i64) -> Kpis {
    let count = |of: fn(&Day) -> i32| days.iter().map(|day| i64::from(of(day))).sum::<i64>();
    let purchases = count(|day| day.purchases);
    let revenue: Decimal = days.iter().map(|day| day.revenue).sum();
    let unvalued_orders = count(|day| day.unvalued_orders);
    let new_customers = count(|day| day.new_customers);
    Kpis {
        orders: count(|day| day.orders),
        purchases,
        revenue: revenue.into(),
        avg_order_value: average_order(revenue, purchases, unvalued_orders),
        discounts: days.iter().map(|day| day.discounts).sum::<Decimal>().into(),
        unique_customers,
        new_customers,
        returning_customers: unique_customers - new_customers,
        unidentified_purchases: count(|day| day.unidentified_purchases),
        vip_orders: count(|day| day.vip_orders),
        subscription_orders: count(|day| day.subscription_orders),
        unvalued_orders,
    }
}

fn change(now: &Kpis, then: &Kpis) -> BTreeMap<&'static str, Figure> {
    let pairs: [(&'static str, Figure, Figure); 8] = [
        ("orders", now.orders.into(), then.orders.into()),
        ("purchases", now.purchases.into(), then.purchases.into()),
        ("revenue", now.revenue, then.revenue),
        ("avg_order_value", now.avg_order_value, then.avg_order_value),
        ("discounts", now.discounts, then.discounts),
        (
            "unique_customers",
            now.unique_customers.into(),
            then.unique_customers.into(),
        ),
        ("new_customers", now.new_customers.into(), then.new_customers.into()),
        (
            "returning_customers",
            now.returning_customers.into(),
            then.returning_customers.into(),
        ),
    ];
    pairs
        .into_iter()
        .map(|(key, now, then)| (key, Figure::ratio(100, now.minus(then), then)))
        .collect()
}

/// Every local day of the period, those without orders too.
fn trend(period: &Period, days: Vec<Day>) -> Vec<RevenueDay> {
    let Some(first) = period.first_day.or(days.first().map(|day| day.day)) else {
        return Vec::new();
    };
    let mut known: BTreeMap<NaiveDate, Day> = days.into_iter().map(|day| (day.day, day)).collect();
    first
        .iter_days()
        .take_while(|day| *day <= period.last_day)
        .map(|date| {
            let day = known.remove(&date).unwrap_or_default();
            RevenueDay {
                day: date,
                revenue: day.revenue.into(),
                orders: day.orders.into(),
                purchases: day.purchases.into(),
                avg_order_value: average_order(day.revenue, day.purchases.into(), day.unvalued_orders.into()),
                discounts: day.discounts.into(),
                unique_customers: day.unique_customers.into(),
                new_customers: day.new_customers.into(),
                returning_customers: (day.unique_customers - day.new_customers).into(),
            }
        })
        .collect()
}

fn status_label(status: &str) -> Text {
    match PaymentStatus::from_name(status) {
        Some(PaymentStatus::Prepaid) => Text {
            uk: "Передоплата",
            en: "Prepaid",
        },
        Some(PaymentStatus::Paid) => Text {
            uk: "Оплачено",
            en: "Paid",
        },
        Some(PaymentStatus::Refunded) => Text {
            uk: "Повернено",
            en: "Refunded",
        },
        Some(PaymentStatus::PartiallyRefunded) => Text {
            uk: "Частково повернено",
            en: "Partially refunded",
        },
        Some(PaymentStatus::Cancelled) => Text {
            uk: "Скасовано",
            en: "Cancelled",
        },
        Some(PaymentStatus::Unpaid) | None => Text {
            uk: "Не оплачено",
            en: "Unpaid",
        },
    }
}

fn counted(found: BTreeMap<String, i64>, label: impl Fn(&str) -> Words) -> Vec<Counted> {
    let whole: i64 = found.values().sum();
    let mut list: Vec<Counted> = found
        .into_iter()
        .map(|(value, orders)| Counted {
            label: label(&value),
            value: (!value.is_empty()).then_some(value),
            orders,
            share: share(orders.into(), whole.into()),
        })
        .collect();
    list.sort_by_key(|entry| std::cmp::Reverse(entry.orders));
    list
}

fn method_label(method: &str) -> Words {
    if method.is_empty() {
        return Text {
            uk: "Не вказано",
            en: "Not stated",
        }
        .into();
    }
    (method.to_owned(), method.to_owned()).into()
}

/// Dashboard: key figures, revenue trend, statuses, payment methods, top items, latest orders.
#[utoipa::path(get, path = "/api/v1/analytics/dashboard", operation_id = "business_dashboard", tag = "business", params(PeriodParams, FilterParams), responses(
    (status = 200, body = Dashboard, description = "the shop at a glance"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn dashboard(mut asked: Asked) -> Result<Json<Dashboard>, ApiError> {
    let period = asked.period()?;
    asked.filters()?;
    asked.params.clone().finish()?;
    let (pool, window, today) = (&asked.pool, &asked.window(&period), asked.today());
    let before = period.previous().map(|before| asked.window(&before));
    let (found, items, recent, running) = tokio::try_join!(
        figures::overview(pool, window, before.as_ref(), today),
        figures::items(pool, window, LISTED),
        figures::recent_orders(pool, window, LISTED),
        campaigns::list(pool, asked.site.id, Some(Status::Active), None, (1_000, 0)),
    )?;
    let previous = found.previous.as_ref().map(|(days, customers)| kpis(days, *customers));
    let kpis = kpis(&found.days, found.customers);
    Ok(Json(Dashboard {
        scope: asked.scope(&period),
        change: previous.as_ref().map(|previous| change(&kpis, previous)),
        kpis,
        previous,
        revenue_trend: trend(&period, found.days),
        statuses: counted(found.statuses, |status| status_label(status).into()),
        payment_methods: counted(found.methods, method_label),
        top_items: items
            .into_iter()
            .map(|item| TopItem {
                item: item.item,
                name: item.name,
                quantity: item.quantity.into(),
                amount: item.amount.into(),
                orders: item.orders,
            })
            .collect(),
        recent_orders: recent.into_iter().map(RecentOrder::from).collect(),
        active_campaigns: running.len(),
    }))
}

/// Revenue of each day. Also answered at `/analytics/api/daily-revenue/`.
#[utoipa::path(get, path = "/api/v1/analytics/daily-revenue", operation_id = "daily_revenue", tag = "business", params(PeriodParams, FilterParams), responses(
    (status = 200, body = DailyRevenue, description = "every day of the period"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn daily_revenue(mut asked: Asked) -> Result<Json<DailyRevenue>, ApiError> {
    let period = asked.period()?;
    asked.filters()?;
    asked.params.clone().finish()?;
    let days = figures::days(&asked.pool, &asked.window(&period)).await?;
    Ok(Json(DailyRevenue {
        scope: asked.scope(&period),
        total_revenue: days.iter().map(|day| day.revenue).sum::<Decimal>().into(),
        total_purchases: days.iter().map(|day| i64::from(day.purchases)).sum(),
        days: trend(&period, days),
    }))
}
