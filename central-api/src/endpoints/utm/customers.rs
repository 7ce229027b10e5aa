//! `repeat-rate`: how many customers come back, and after how long.

use std::collections::BTreeMap;

use anyhow::Context;
use axum::Json;
use axum::extract::State;
use axum::routing::get;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use crate::business::repeat;
use crate::business::upkeep::{self, Rules, Standing};
use crate::catalogue::Text;
use crate::error::ApiError;
use crate::orders::identity::Identifier;
use crate::reports::customers;
use crate::reports::figure::Figure;
use crate::reports::scope::{Scope, ScopeAnswer};
use crate::reports::sheet::{Cell, Column, Kind, Sheet};
use crate::state::AppState;
use crate::statistics::Undefined;
use crate::statistics::customers::{Customers, OrderGroup, Repeats, SharedContact, join, repeats};

/// Shared contacts and possible duplicates listed at most; their numbers are exact.
const MAX_LISTED: usize = 20;
/// Orders that are joined anew for one answer of [`ask_soon`].
const MOST_UNBUILT: i64 = 100_000;
const MILLISECONDS_A_DAY: i64 = 86_400_000;

/// Repeat purchases. Customers are orders joined by customer id, e-mail or phone; paid orders count.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RepeatRate {
    /// Repeat customers in percent of all customers.
    pub(crate) repeat_rate: Figure,
    /// Customers with at least two paid orders in the scope.
    pub(crate) repeat_customers: i64,
    /// Customers with exactly one.
    pub(crate) one_time_customers: i64,
    /// Customers with any.
    pub(crate) total_customers: i64,
    /// Paid orders in the scope that have a customer.
    total_orders: i64,
    /// Paid orders in the scope without a contact that identifies anybody; in no other figure here.
    unidentified_orders: i64,
    /// Orders per customer.
    pub(crate) avg_orders_per_customer: Figure,
    /// Days, with fractions, between consecutive paid orders of the same customer; null when nobody came back.
    pub(crate) avg_time_between_orders: Figure,
    /// Why a figure is null, by its name.
    undefined: BTreeMap<&'static str, Undefined>,
    /// How many contacts too many people share; they join nobody.
    shared_contacts_total: usize,
    /// Those on the most orders.
    shared_contacts: Vec<Shared>,
    /// How many times a customer placed several paid orders in one minute; they count as they are.
    possible_duplicates_total: usize,
    /// The latest of them.
    possible_duplicates: Vec<Duplicates>,
}

/// A contact that joins nobody, because too many people share it.
#[derive(Debug, Serialize, ToSchema)]
struct Shared {
    /// `customer`, `email` or `phone`.
    kind: String,
    /// Orders that carry it, of any status and date.
    orders: i64,
    /// The most different customer ids, e-mails or phones that were seen with it.
    identities: i64,
    /// The latest order that carries it: contacts are kept as keyed hashes only.
    example_order: Option<String>,
}

/// Orders of one customer in one minute.
#[derive(Debug, Serialize, ToSchema)]
struct Duplicates {
    /// Start of the minute, UTC.
    minute: DateTime<Utc>,
    /// The orders' ids.
    orders: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    scope: ScopeAnswer,
    #[serde(flatten)]
    repeat_rate: RepeatRate,
}

async fn repeat_rate(State(state): State<AppState>, mut asked: Asked) -> Result<Json<impl Serialize>, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    Ok(Json(Answer {
        scope: scope.describe(),
        repeat_rate: ask(&state, &scope).await?,
    }))
}

/// Who came back in the scope.
///
/// # Errors
/// The database's.
pub(crate) async fn ask(state: &AppState, scope: &Scope) -> Result<RepeatRate, ApiError> {
    let pool = &state.read_pool;
    let rules = Rules::of(&state.config.secret, &scope.site);
    match upkeep::standing(pool, scope.site.id, &rules).await? {
        Standing::Built | Standing::OldSegments => kept(pool, scope).await,
        // Until customers are joined for the first time (or anew, by another block list) every order is read.
        Standing::Unbuilt => plain(state, pool, scope).await,
    }
}

/// [`ask`], unless it would read too many orders for somebody who waits; then none.
///
/// # Errors
/// The database's.
pub(crate) async fn ask_soon(state: &AppState, scope: &Scope) -> Result<Option<RepeatRate>, ApiError> {
    let (pool, site_id) = (&state.read_pool, scope.site.id);
    let rules = Rules::of(&state.config.secret, &scope.site);
    let is_unbuilt = matches!(upkeep::standing(pool, site_id, &rules).await?, Standing::Unbuilt);
    if is_unbuilt && customers::are_more_than(pool, site_id, MOST_UNBUILT).await? {
        return Ok(None);
    }
    ask(state, scope).await.map(Some)
}

/// From the customers that are kept.
async fn kept(pool: &PgPool, scope: &Scope) -> Result<RepeatRate, ApiError> {
    let found = repeat::counts(pool, scope).await?;
    let (possible_duplicates_total, same_minute) = repeat::same_minute(pool, scope, MAX_LISTED as i64).await?;
    let (shared_contacts_total, shared) = repeat::shared_contacts(pool, scope.site.id, MAX_LISTED as i64).await?;
    let total_customers = found.repeat_customers + found.one_time_customers;
    Ok(RepeatRate {
        repeat_rate: Figure::ratio(100, found.repeat_customers.into(), total_customers.into()),
        repeat_customers: found.repeat_customers,
        one_time_customers: found.one_time_customers,
        total_customers,
        total_orders: found.orders,
        unidentified_orders: found.unidentified_orders,
        avg_orders_per_customer: Figure::ratio(1, found.orders.into(), total_customers.into()),
        avg_time_between_orders: days(found.between_ms, found.orders - total_customers),
        undefined: undefined(total_customers, found.orders - total_customers),
        shared_contacts_total: shared_contacts_total.unsigned_abs() as usize,
        shared_contacts: shared
            .into_iter()
            .map(|contact| Shared {
                kind: contact.kind,
                orders: contact.orders,
                identities: contact.identities,
                example_order: contact.example_order,
            })
            .collect(),
        possible_duplicates_total: possible_duplicates_total.unsigned_abs() as usize,
        possible_duplicates: same_minute
            .into_iter()
            .map(|same| Duplicates {
                minute: same.minute,
                orders: same.orders,
            })
            .collect(),
    })
}

/// From every order of the site.
async fn plain(state: &AppState, pool: &PgPool, scope: &Scope) -> Result<RepeatRate, ApiError> {
    let groups = customers::groups(pool, scope).await?;
    let identifier = Identifier::new(&state.config.secret, &scope.site);
    // A million orders take a moment: not on a thread that serves others.
    let joining = move || {
        let joined = join(&groups, identifier.blocked());
        let found = repeats(&groups, &joined);
        (groups, joined, found)
    };
    let (groups, joined, found) = tokio::task::spawn_blocking(joining)
        .await
        .context("joining customers")?;
    let listed: Vec<SharedContact> = joined.shared.iter().take(MAX_LISTED).copied().collect();
    let examples = customers::example_orders(pool, scope.site.id, &listed).await?;
    let shared = listed
        .iter()
        .zip(examples)
        .map(|(contact, example_order)| Shared {
            kind: contact.kind.name().to_owned(),
            orders: contact.orders as i64,
            identities: contact.identities as i64,
            example_order,
        })
        .collect();
    let possible_duplicates = duplicates(pool, scope.site.id, &groups, &joined, &found).await?;
    let customers = found.customers().into();
    Ok(RepeatRate {
        repeat_rate: Figure::ratio(100, found.repeat_customers.into(), customers),
        repeat_customers: found.repeat_customers,
        one_time_customers: found.one_time_customers,
        total_customers: found.customers(),
        total_orders: found.orders,
        unidentified_orders: found.unidentified_orders,
        avg_orders_per_customer: Figure::ratio(1, found.orders.into(), customers),
        avg_time_between_orders: days(found.between.num_milliseconds(), found.gaps),
        undefined: undefined(found.customers(), found.gaps),
        shared_contacts_total: joined.shared.len(),
        shared_contacts: shared,
        possible_duplicates_total: found.same_minute.len(),
        possible_duplicates,
    })
}

/// Why figures of so many customers and times between their orders are null.
fn undefined(customers: i64, gaps: i64) -> BTreeMap<&'static str, Undefined> {
    let mut reasons = BTreeMap::new();
    if customers == 0 {
        reasons.insert("repeat_rate", Undefined::NoCustomers);
        reasons.insert("avg_orders_per_customer", Undefined::NoCustomers);
    }
    if gaps == 0 {
        reasons.insert("avg_time_between_orders", Undefined::NobodyCameBack);
    }
    reasons
}

fn days(between_ms: i64, gaps: i64) -> Figure {
    let gaps = gaps.checked_mul(MILLISECONDS_A_DAY).map(Decimal::from);
    Figure::ratio(1, between_ms.into(), Figure(gaps))
}

/// Ids of the latest possible duplicates.
async fn duplicates(
    pool: &PgPool,
    site_id: i32,
    groups: &[OrderGroup],
    joined: &Customers,
    found: &Repeats,
) -> Result<Vec<Duplicates>, ApiError> {
    let mut listed = Vec::new();
    for same in found.same_minute.iter().rev().take(MAX_LISTED) {
        let placed = customers::placed_in_minute(pool, site_id, same.minute).await?;
        let own = |order: &customers::MinuteOrder| {
            let of_customer = groups.iter().zip(&joined.customer_of);
            of_customer
                .filter(|(_, customer)| **customer == Some(same.customer))
                .any(|(group, _)| order.is_of(group))
        };
        listed.push(Duplicates {
            minute: same.minute,
            orders: placed
                .into_iter()
                .filter(|order| own(order))
                .map(|order| order.order_id)
                .collect(),
        });
    }
    Ok(listed)
}

/// The same as a table, a figure a row.
pub(super) async fn sheet(state: &AppState, mut asked: Asked, language: &str) -> Result<Sheet, ApiError> {
    let scope = asked.scope()?;
    asked.params.finish()?;
    let found = ask(state, &scope).await?;
    let text = |uk, en| Text { uk, en };
    let rows: [(Text, Cell); 8] = [
        (
            text("Частка повторних клієнтів, %", "Repeat rate, %"),
            found.repeat_rate.into(),
        ),
        (
            text("Повторні клієнти", "Repeat customers"),
            found.repeat_customers.into(),
        ),
        (
            text("Разові клієнти", "One-time customers"),
            found.one_time_customers.into(),
        ),
        (text("Усього клієнтів", "Customers"), found.total_customers.into()),
        (text("Оплачені замовлення", "Paid orders"), found.total_orders.into()),
        (
            text("Замовлень на клієнта", "Orders per customer"),
            found.avg_orders_per_customer.into(),
        ),
        (
            text("Днів між замовленнями", "Days between orders"),
            found.avg_time_between_orders.into(),
        ),
        (
            text("Замовлення без контактів", "Orders without a contact"),
            found.unidentified_orders.into(),
        ),
    ];
    Ok(Sheet {
        columns: vec![
            Column::text(text("Показник", "Figure"), language),
            Column::new(text("Значення", "Value"), Kind::Fraction, language),
        ],
        rows: rows
            .into_iter()
            .map(|(label, value)| vec![label.get(language).into(), value])
            .collect(),
    })
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<RepeatRate>(&mut schemas);
    Endpoint {
        path: "repeat-rate",
        alias: None,
        handler: get(repeat_rate),
        operations: describe::get(describe::operation(
            "repeat_rate",
            "Repeat purchases",
            "Customers are orders joined by the shop's customer id, e-mail or phone, transitively, over all orders of any status and date; \
             paid orders in the scope count. A contact that too many people share joins nobody and is listed.",
            describe::scope_parameters(),
            utoipa::openapi::schema::AllOfBuilder::new()
                .item(describe::reference::<ScopeAnswer>())
                .item(describe::reference::<RepeatRate>())
                .into(),
        )),
        schemas,
    }
}
