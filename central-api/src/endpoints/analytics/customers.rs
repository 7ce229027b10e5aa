//! Customers: worth, risk, loyalty; one customer for admins.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use axum::extract::State;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, FilterParams, PeriodParams};
use super::segments::{CustomerSegments, ends, segments};
use super::{SegmentName, share};
use crate::auth::Admin;
use crate::business::metrics::month_number;
use crate::business::people::{self, Group, Makeup, Month, Section};
use crate::business::segments::{Segment, SegmentRules};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path, Query};
use crate::reports::figure::Figure;
use crate::reports::filter::Filters;
use crate::state::AppState;

/// Customers of each list.
const LISTED: i64 = 20;
/// Orders shown of one customer.
const ORDERS: i64 = 200;
/// Months of the trends.
const MONTHS: u32 = 12;
/// Sources listed.
const SOURCES: usize = 20;

/// Customers of one VIP tier.
#[derive(Debug, Serialize, ToSchema)]
struct TierRow {
    /// As orders carry it; null: none.
    vip_tier: Option<String>,
    /// How many.
    customers: i64,
    /// Of all customers, in percent.
    share: Figure,
    /// What they spent in all.
    revenue: Figure,
}

/// Customers by what they spent in all.
#[derive(Debug, Serialize, ToSchema)]
struct BandRow {
    /// From so much, in the site's currency: the site's setting `ltv_bands`.
    from: Figure,
    /// To less than so much; null: no limit.
    to: Figure,
    /// How many.
    customers: i64,
    /// What they spent in all.
    revenue: Figure,
}

/// Customers whose first purchase one source brought.
#[derive(Debug, Serialize, ToSchema)]
struct SourceRow {
    /// As it is filtered by; null: none.
    utm_source: Option<String>,
    /// How many.
    customers: i64,
    /// Of all customers, in percent.
    share: Figure,
    /// What they spent in all, whatever brought their later orders.
    revenue: Figure,
    /// What each of them spent on average.
    avg_lifetime_value: Figure,
    /// Those with two purchases or more, in percent.
    repeat_rate: Figure,
}

/// A calendar month's customers.
#[derive(Debug, Serialize, ToSchema)]
struct MonthRow {
    /// Its first day; the last one is not over.
    month: NaiveDate,
    /// Customers with a purchase in it.
    customers: i64,
    /// Those of them who also purchased in the month before.
    retained: i64,
    /// Retained in percent of the customers of the month before.
    retention_rate: Figure,
    /// Purchases that were not their customer's first, in percent of those with a customer.
    repeat_purchase_rate: Figure,
}

/// Loyalty points and recommendations, over all time.
#[derive(Debug, Serialize, ToSchema)]
struct LoyaltyFigures {
    /// Points that purchases brought.
    points_earned: Figure,
    /// Points that purchases used.
    points_redeemed: Figure,
    /// Customers who referred others.
    referrers: i64,
    /// Customers who were referred by another and purchased.
    referred_customers: i64,
    /// Customers with an active subscription.
    subscribers: i64,
}

/// A customer in a list.
#[derive(Debug, Serialize, ToSchema)]
struct CustomerRow {
    /// Number by which an admin can look the customer up; null for others.
    customer: Option<i64>,
    /// Purchases.
    orders: i32,
    /// Orders of any payment status.
    orders_placed: i32,
    /// What was spent in all, net of refunds: the lifetime value so far.
    revenue: Figure,
    /// Revenue per purchase of known value; null without one.
    avg_order_value: Figure,
    /// First purchase, UTC.
    first_order_at: DateTime<Utc>,
    /// Last purchase, UTC.
    last_order_at: DateTime<Utc>,
    /// Local days since the last purchase.
    days_since_last_order: i64,
    /// No purchase for longer than the site's setting and no active subscription.
    churn_risk: bool,
    /// As last stated by an order.
    vip_tier: Option<String>,
    /// As last stated by an order.
    subscription: Option<String>,
    /// As last stated by an order.
    subscription_active: bool,
    /// Points that purchases brought.
    loyalty_earned: Figure,
    /// Points that purchases used.
    loyalty_redeemed: Figure,
    /// Other customers with a purchase whom this one referred.
    referrals: i32,
    /// The segment today.
    segment: Option<SegmentName>,
}

/// Everything about the customers.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomersPage {
    #[serde(flatten)]
    segments: CustomerSegments,
    /// Customers with two purchases or more, in percent of all.
    repeat_rate: Figure,
    /// What a customer spent on average.
    avg_lifetime_value: Figure,
    /// By VIP tier, the largest first.
    vip_distribution: Vec<TierRow>,
    /// By what they spent in all.
    ltv_bands: Vec<BandRow>,
    /// By the source of their first purchase: the 20 with the most customers.
    sources: Vec<SourceRow>,
    /// The last twelve calendar months, this one included.
    months: Vec<MonthRow>,
    /// Loyalty points and recommendations.
    loyalty: LoyaltyFigures,
    /// Those at risk today who spent most.
    at_risk: Vec<CustomerRow>,
    /// Those who spent most.
    top_customers: Vec<CustomerRow>,
}

/// An order of a customer.
#[derive(Debug, Serialize, ToSchema)]
struct CustomerOrder {
    /// The shop's id.
    order_id: String,
    /// What the customer sees.
    order_number: Option<String>,
    /// When it was placed, UTC.
    created_at: DateTime<Utc>,
    /// Where the payment stands.
    payment_status: String,
    /// In the site's currency; null without an exchange rate.
    revenue: Figure,
    /// Its revenue stream.
    stream: String,
    /// E-mail and phone, only where the site keeps them in plain.
    #[schema(value_type = Option<Object>)]
    contact: Option<serde_json::Value>,
}

/// One customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerView {
    #[serde(flatten)]
    customer: CustomerRow,
    /// The latest orders.
    orders_list: Vec<CustomerOrder>,
}

fn row(found: people::Customer, today: NaiveDate, rules: &SegmentRules, named: bool) -> CustomerRow {
    CustomerRow {
        customer: named.then_some(found.customer_no),
        orders: found.orders,
        orders_placed: found.orders_placed,
        revenue: found.revenue.into(),
        avg_order_value: Figure(found.avg_order_value),
        first_order_at: found.first_order_at,
        last_order_at: found.last_order_at,
        days_since_last_order: found.days_since_last_order(today),
        churn_risk: found.churn_risk(today, rules),
        vip_tier: found.vip_tier,
        subscription: found.subscription,
        subscription_active: found.subscription_active,
        loyalty_earned: found.loyalty_earned.into(),
        loyalty_redeemed: found.loyalty_redeemed.into(),
        referrals: found.referrals,
        segment: SegmentName::of_code(found.segment),
    }
}

fn months(known: &[Month], this_month: NaiveDate) -> Vec<MonthRow> {
    let of = |month: NaiveDate| {
        let found = known.iter().find(|known| known.month == month_number(month));
        found.cloned().unwrap_or_default()
    };
    (0..MONTHS)
        .rev()
        .map(|back| {
            let month = this_month - Months::new(back);
            let (before, own) = (of(month - Months::new(1)), of(month));
            let again = own.purchases - own.first_purchases;
            MonthRow {
                month,
                customers: own.customers,
                retained: own.retained,
                retention_rate: Figure::ratio(100, own.retained.into(), before.customers.into()),
                repeat_purchase_rate: Figure::ratio(100, again.into(), own.purchases.into()),
            }
        })
        .collect()
}

/// The sums over groups that share something, by what they share.
fn summed<K: Ord>(groups: &[Group], key: impl Fn(&Group) -> K) -> BTreeMap<K, Group> {
    let mut sums: BTreeMap<K, Group> = BTreeMap::new();
    for group in groups {
        match sums.entry(key(group)) {
            Entry::Occupied(mut sum) => sum.get_mut().add(group),
            Entry::Vacant(place) => drop(place.insert(group.clone())),
        }
    }
    sums
}

/// Customers: segments, VIP tiers, lifetime values, sources, retention by month, loyalty, those at risk and those who spent most. Filters
/// choose customers by their first purchase; each is shown with everything since.
#[utoipa::path(get, path = "/api/v1/analytics/customers", operation_id = "business_customers", tag = "business", params(PeriodParams, FilterParams), responses(
    (status = 200, body = CustomersPage, description = "only an admin's answer has customers' numbers"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn customers(mut asked: Asked) -> Result<Json<CustomersPage>, ApiError> {
    let period = asked.period()?;
    asked.filters()?;
    asked.params.clone().finish()?;
    let (pool, site, whom) = (&asked.pool, &asked.site, asked.whom());
    let today = asked.today();
    let rules = &site.settings.customer_segments;
    let this_month = today.with_day(1).unwrap_or(today);
    let year = (
        this_month - Months::new(MONTHS),
        this_month + Months::new(1) - Days::new(1),
    );
    let (makeup, by_month) = tokio::try_join!(
        people::makeup(pool, whom, ends(&period, today), today),
        people::months(pool, whom, year),
    )?;
    let Makeup {
        segments: sizes,
        moves,
        groups,
        at_risk,
    } = makeup;
    let whole: i64 = groups.iter().map(|group| group.customers).sum();
    let (page, by_revenue) = ((LISTED, 0), people::Order::Revenue);
    let (top, at_risk) = tokio::try_join!(
        people::list(pool, whom, today, Section::All, by_revenue, page, whole),
        people::list(pool, whom, today, Section::AtRisk(rules), by_revenue, page, at_risk),
    )?;
    let list = |found: Vec<people::Customer>| -> Vec<CustomerRow> {
        let named = asked.names_customers;
        found.into_iter().map(|found| row(found, today, rules, named)).collect()
    };
    let revenue: Decimal = groups.iter().map(|group| group.revenue).sum();
    let count = |of: fn(&Group) -> i64| groups.iter().map(of).sum::<i64>();
    let named = |text: String| (!text.is_empty()).then_some(text);
    let mut vip_distribution: Vec<TierRow> = summed(&groups, |group| group.vip_tier.clone())
        .into_iter()
        .map(|(vip_tier, sum)| TierRow {
            vip_tier: named(vip_tier),
            customers: sum.customers,
            share: share(sum.customers.into(), whole.into()),
            revenue: sum.revenue.into(),
        })
        .collect();
    vip_distribution.sort_by_key(|tier| std::cmp::Reverse(tier.customers));
    let mut sources: Vec<SourceRow> = summed(&groups, |group| group.utm_source.clone())
        .into_iter()
        .map(|(utm_source, sum)| SourceRow {
            utm_source: named(utm_source),
            customers: sum.customers,
            share: share(sum.customers.into(), whole.into()),
            revenue: sum.revenue.into(),
            avg_lifetime_value: Figure::ratio(1, sum.revenue.into(), sum.customers.into()),
            repeat_rate: share(sum.repeat_customers.into(), sum.customers.into()),
        })
        .collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.customers));
    sources.truncate(SOURCES);
    let starts = &site.settings.ltv_bands;
    let in_bands = summed(&groups, |group| group.band);
    let bands = (0..=starts.len()).map(|place| {
        let sum = i32::try_from(place).ok().and_then(|band| in_bands.get(&band));
        BandRow {
            from: place
                .checked_sub(1)
                .and_then(|below| starts.get(below))
                .map_or(Figure::ZERO, |from| (*from).into()),
            to: Figure(starts.get(place).copied()),
            customers: sum.map_or(0, |sum| sum.customers),
            revenue: sum.map_or(Decimal::ZERO, |sum| sum.revenue).into(),
        }
    });
    Ok(Json(CustomersPage {
        repeat_rate: share(count(|group| group.repeat_customers).into(), whole.into()),
        avg_lifetime_value: Figure::ratio(1, revenue.into(), whole.into()),
        vip_distribution,
        ltv_bands: bands.collect(),
        sources,
        months: months(&by_month, this_month),
        loyalty: LoyaltyFigures {
            points_earned: groups.iter().map(|group| group.loyalty_earned).sum::<Decimal>().into(),
            points_redeemed: groups
                .iter()
                .map(|group| group.loyalty_redeemed)
                .sum::<Decimal>()
                .into(),
            referrers: count(|group| group.referrers),
            referred_customers: count(|group| group.referrals),
            subscribers: count(|group| group.subscribers),
        },
        at_risk: list(at_risk),
        top_customers: list(top),
        segments: segments(&asked, &period, &sizes, &moves),
    }))
}

/// Customers one by one.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerMetrics {
    /// The site's key.
    site: String,
    /// ISO 4217 code of all money.
    currency: String,
    /// Which first purchases count: dimension → values as they would be asked for again; empty: all.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    filters: Filters,
    /// As sorted.
    customers: Vec<CustomerRow>,
    /// Rows without limit and offset.
    total_rows: i64,
    /// As asked.
    limit: i64,
    /// As asked.
    offset: i64,
}

/// Which customers, for the description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub struct MetricsParams {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// Those who are in it today; all when absent.
    segment: Option<Segment>,
    /// `revenue` (the default), `last_order` or `first_order`: the largest or latest first.
    sort: Option<String>,
    /// At most 1,000; 100 when absent.
    limit: Option<i64>,
    /// To skip.
    offset: Option<i64>,
}

/// The values of `sort`.
pub(super) const ORDERS_OF_LIST: [(&str, people::Order); 3] = [
    ("revenue", people::Order::Revenue),
    ("last_order", people::Order::LastOrder),
    ("first_order", people::Order::FirstOrder),
];

/// Takes `segment`.
///
/// # Errors
/// 400 naming the six.
pub(super) fn segment(asked: &mut Asked) -> Result<Option<Segment>, ApiError> {
    let allowed = Segment::ALL.map(|segment| (segment.key(), Some(segment)));
    asked.params.choice("segment", &allowed, None)
}

/// Customers with what each bought, spent and is; nothing says who. Filters are about the first purchase.
#[utoipa::path(get, path = "/api/v1/analytics/customer-metrics", operation_id = "customer_metrics", tag = "business", params(MetricsParams, FilterParams), responses(
    (status = 200, body = CustomerMetrics, description = "only an admin's answer has customers' numbers"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
))]
pub async fn customer_metrics(mut asked: Asked) -> Result<Json<CustomerMetrics>, ApiError> {
    asked.filters()?;
    let section = segment(&mut asked)?.map_or(Section::All, Section::In);
    let order = asked.params.choice("sort", &ORDERS_OF_LIST, people::Order::Revenue)?;
    let (limit, offset) = asked.page(100)?;
    asked.params.clone().finish()?;
    let today = asked.today();
    let (pool, site, whom) = (&asked.pool, &asked.site, asked.whom());
    let total_rows = people::count(pool, whom, today, section).await?;
    // Nobody is looked for where nobody is.
    let found = if offset < total_rows {
        people::list(pool, whom, today, section, order, (limit, offset), total_rows).await?
    } else {
        Vec::new()
    };
    Ok(Json(CustomerMetrics {
        site: site.key.clone(),
        currency: site.currency.clone(),
        filters: asked.filters.clone(),
        total_rows,
        customers: found
            .into_iter()
            .map(|found| row(found, today, &site.settings.customer_segments, asked.names_customers))
            .collect(),
        limit,
        offset,
    }))
}

/// Whose.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfSite {
    /// Key of the site; need not be given when there is only one.
    pub site: Option<String>,
}

/// One customer, with the orders and what the site keeps of who it is. For admins.
#[utoipa::path(get, path = "/api/v1/analytics/customers/{customer}", operation_id = "business_customer", tag = "business",
    security(("session" = [])),
    params(OfSite, ("customer" = i64, Path, description = "number of the customer")), responses(
    (status = 200, body = CustomerView, description = "the customer"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 403, body = ErrorBody, description = "not an admin"),
    (status = 404, body = ErrorBody, description = "there is no such customer, or no longer: customers merge"),
))]
pub async fn customer(
    State(state): State<AppState>,
    admin: Admin,
    Path(number): Path<String>,
    Query(of): Query<OfSite>,
) -> Result<Json<CustomerView>, ApiError> {
    const NONE: ApiError =
        ApiError::NotFound("there is no such customer, or no longer: customers merge when they turn out to be one");
    let site = admin.site(&state.sites, of.site.as_deref())?;
    let number: i64 = number.parse().map_err(|_| NONE)?;
    let today = state.clock.now().with_timezone(&site.time_zone).date_naive();
    let found = people::one(&state.read_pool, site.id, today, number)
        .await?
        .ok_or(NONE)?;
    let orders = people::orders_of(&state.read_pool, site.id, number, ORDERS).await?;
    Ok(Json(CustomerView {
        customer: row(found, today, &site.settings.customer_segments, true),
        orders_list: orders
            .into_iter()
            .map(|order| CustomerOrder {
                order_id: order.order_id,
                order_number: order.order_number,
                created_at: order.created_at,
                payment_status: order.payment_status,
                revenue: Figure(order.revenue),
                stream: order.stream,
                contact: order.customer_contact,
            })
            .collect(),
    }))
}
