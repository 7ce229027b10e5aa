//! Orders from the shop's backend.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::auth::{ApiKey, Scope};
use crate::db::dead_letters::{self, DeadLetter, NewDeadLetter};
use crate::db::orders;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Json, Path};
use crate::orders::identity::Identifier;
use crate::orders::merge::Outcome;
use crate::orders::payment::PaymentStatus;
use crate::orders::state::{MAX_ORDERS, OrderState};
use crate::orders::store::{Stored, store};
use crate::record::{FieldError, NumberOrText, Record};
use crate::site::Site;
use crate::state::AppState;

/// What became of an order that was sent.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OrderAnswer {
    /// The shop's id.
    order_id: String,
    /// What this state did to the order.
    status: Outcome,
    /// `session`, `visitor`, `customer`, `email`, `phone`, or `none`.
    linked_by: String,
    /// The session that the order belongs to.
    session_id: Option<Uuid>,
    /// Why there is no session, or `bot_session` when there is one and it is a bot's.
    cause: Option<String>,
    /// What the order adds to revenue, in the site's currency; null while its exchange rate is unknown.
    #[schema(value_type = Option<String>)]
    revenue: Option<Decimal>,
    /// What was ignored, and why.
    warnings: Vec<&'static str>,
}

/// An order of a list that was not stored; it is kept as a dead letter.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OrderRejection {
    /// Position in the list, from 0.
    index: usize,
    /// Machine-readable reason.
    code: &'static str,
    /// Sentence that says what is allowed.
    message: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

/// Answer to a list of orders.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OrdersAnswer {
    /// The orders that were taken, in the order of the list.
    orders: Vec<OrderAnswer>,
    /// The others.
    rejected: Vec<OrderRejection>,
}

impl OrdersAnswer {
    /// What a replay of a single order came to: `accepted`, or the code it was refused with.
    pub fn outcome(&self) -> &'static str {
        self.rejected.first().map_or("accepted", |rejected| rejected.code)
    }
}

/// Answer to one order, or to a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Answer {
    /// To one.
    One(OrderAnswer),
    /// To a list.
    Many(OrdersAnswer),
}

/// An order as the shop sends it. Money is a JSON number or text, read exactly; times are RFC 3339; unknown fields are errors.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OrderBody {
    /// The shop's id; one order, many states.
    order_id: String,
    /// What the customer sees.
    order_number: Option<String>,
    /// From the request header `X-UD-Session`.
    session_id: Option<Uuid>,
    /// From the request header `X-UD-Visitor`.
    visitor_id: Option<Uuid>,
    /// The shop's id of the customer.
    customer_id: Option<String>,
    /// Stored as a keyed hash.
    email: Option<String>,
    /// Stored as a keyed hash; without country code it takes the site's country.
    phone: Option<String>,
    /// What the customer is charged: after discounts, with tax and shipping.
    #[schema(value_type = NumberOrText)]
    total: String,
    /// Taken off before `total`.
    #[schema(value_type = Option<NumberOrText>)]
    discount: Option<String>,
    /// Inside `total`.
    #[schema(value_type = Option<NumberOrText>)]
    tax: Option<String>,
    /// Inside `total`.
    #[schema(value_type = Option<NumberOrText>)]
    shipping: Option<String>,
    /// Part of `total` that was paid back.
    #[schema(value_type = Option<NumberOrText>)]
    refunded: Option<String>,
    /// ISO 4217; the site's when left out.
    currency: Option<String>,
    /// Units of the site's currency for one unit of `currency`; its day's stored rate when left out.
    #[schema(value_type = Option<NumberOrText>)]
    rate: Option<String>,
    /// As the shop calls it.
    payment_method: Option<String>,
    /// Where the payment stands.
    payment_status: PaymentStatus,
    /// web, app, store, phone, ….
    sales_channel: Option<String>,
    /// What was ordered.
    items: Option<Vec<ItemBody>>,
    /// When it was placed; now when left out.
    created_at: Option<DateTime<Utc>>,
    /// When it was paid.
    paid_at: Option<DateTime<Utc>>,
    /// When it was paid back.
    refunded_at: Option<DateTime<Utc>>,
    /// When it came into this state: the latest wins, however states arrive. Now when left out.
    updated_at: Option<DateTime<Utc>>,
    /// percent, fixed, ….
    discount_type: Option<String>,
    /// The code that was used.
    promo_code: Option<String>,
    /// The customer's tier.
    vip_tier: Option<String>,
    /// Plan or id of the subscription that it belongs to.
    subscription: Option<String>,
    /// Whether that subscription is active.
    subscription_active: Option<bool>,
    /// Points that the order brings.
    #[schema(value_type = Option<NumberOrText>)]
    loyalty_earned: Option<String>,
    /// Points that it used.
    #[schema(value_type = Option<NumberOrText>)]
    loyalty_redeemed: Option<String>,
    /// The code that it came by.
    referral_code: Option<String>,
    /// Customer id of who referred it; stored as a keyed hash.
    referred_by: Option<String>,
    /// direct_order, subscription, vip_upgrade, corporate, catering, referral, loyalty, ….
    revenue_stream: Option<String>,
}

/// A line of an order; needs one of sku, product_id and name.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ItemBody {
    /// Stock keeping unit.
    sku: Option<String>,
    /// The shop's product id.
    product_id: Option<String>,
    /// For people.
    name: Option<String>,
    /// Pieces, kilograms, ….
    #[schema(value_type = Option<NumberOrText>)]
    quantity: Option<String>,
    /// Of one, in the order's currency.
    #[schema(value_type = Option<NumberOrText>)]
    price: Option<String>,
}

/// One order as it was sent: an object, or an object of a list.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum OrdersBody {
    /// One.
    One(Box<OrderBody>),
    /// At most 500.
    Many(Vec<OrderBody>),
}

/// Takes orders, new ones and new states of known ones. Sending the same again changes nothing.
///
/// A list is judged one by one: good orders are stored whatever their neighbours are. An order that stands alone and is not allowed
/// answers 400.
#[utoipa::path(post, path = "/api/v1/orders", tag = "orders", request_body(content = OrdersBody, example = json!({
    "order_id": "10045", "session_id": "0199a3c2-7d1e-7c55-9d0f-1c2b3a4d5e6f", "visitor_id": "3f0c9a51-6a0e-4b8e-9a77-0d6c1b2a3f4e",
    "email": "olena@example.com", "total": "1299.50", "payment_status": "paid",
    "items": [{"sku": "TS-1", "name": "T-shirt", "quantity": 2, "price": "649.75"}],
    "created_at": "2026-11-20T10:15:00+02:00", "updated_at": "2026-11-20T10:17:30+02:00"
})), responses(
    (status = 200, description = "what became of the order, or of each order of the list", body = Answer),
    (status = 400, description = "the order, or the body as a whole, cannot be read; the field is named", body = ErrorBody),
    (status = 401, description = "no valid API key", body = ErrorBody),
    (status = 403, description = "the key lacks the scope orders", body = ErrorBody),
    (status = 413, description = "more than 500 orders or 2 MiB", body = ErrorBody),
    (status = 503, description = "the database cannot take it now; nothing was stored, see Retry-After", body = ErrorBody),
))]
pub async fn send(
    State(state): State<AppState>,
    key: ApiKey,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, ApiError> {
    let site = key.site(&state.sites, Scope::Orders)?;
    let body = body.map_err(|_| ApiError::TooLarge("a body has at most 2 MiB; send fewer orders at once".into()))?;
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::unreadable("the body is not UTF-8"))?;
    let many = text.trim_start().starts_with('[');
    let raws: Vec<&str> = if many {
        let list: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| ApiError::unreadable(&error.to_string()))?;
        list.into_iter().map(RawValue::get).collect()
    } else {
        vec![text.trim()]
    };
    if raws.len() > MAX_ORDERS {
        return Err(ApiError::TooLarge(format!("a list has at most {MAX_ORDERS} orders")));
    }
    let mut answer = receive(&state, &site, &raws, None).await?;
    if many {
        return Ok(Json(Answer::Many(answer)));
    }
    match (answer.orders.pop(), answer.rejected.pop()) {
        (Some(order), _) => Ok(Json(Answer::One(order))),
        (None, Some(rejected)) => Err(ApiError::Invalid {
            code: rejected.code,
            field: rejected.field,
            message: rejected.message,
        }),
        (None, None) => Err(ApiError::unreadable("the body is empty")),
    }
}

/// Reads, stores and answers orders; what cannot be read is kept as a dead letter. Also what a replay of a dead letter calls: its state is
/// as old as the letter when it does not say, so that it does not go over what came since, and refused again it makes no second letter.
///
/// # Errors
/// The database's; then nothing was stored.
pub async fn receive(
    state: &AppState,
    site: &Site,
    raws: &[&str],
    replayed: Option<&DeadLetter>,
) -> Result<OrdersAnswer, ApiError> {
    let now = state.clock.now();
    let identifier = Identifier::new(&state.config.secret, site);
    let mut states = Vec::new();
    let mut rejected = Vec::new();
    let read = |raw: &str| {
        let record = Record::from_json(raw)?;
        let mut order = OrderState::read(&record, site, &identifier, now)?;
        if let Some(letter) = replayed
            && !record.has("updated_at")
        {
            order.updated_at = letter.received_at;
        }
        Ok(order)
    };
    for (index, raw) in raws.iter().enumerate() {
        match read(raw) {
            Ok(order) => states.push(order),
            Err(FieldError { code, field, message }) => rejected.push(OrderRejection {
                index,
                code,
                message,
                field,
            }),
        }
    }
    if !rejected.is_empty() && replayed.is_none() {
        let mut letters: Vec<NewDeadLetter> = rejected
            .iter()
            .map(|refusal| NewDeadLetter {
                site_id: site.id,
                kind: "orders",
                batch_id: None,
                code: refusal.code.to_owned(),
                message: refusal.message.clone(),
                payload: raws[refusal.index].as_bytes().to_vec(),
            })
            .collect();
        letters.sort_by(|a, b| a.payload.cmp(&b.payload));
        let mut conn = state.pool.acquire().await?;
        dead_letters::insert(&mut conn, &letters.iter().collect::<Vec<_>>(), now).await?;
        metrics::counter!("ud_orders_rejected_total").increment(rejected.len() as u64);
    }
    let stored = if states.is_empty() {
        Vec::new()
    } else {
        store(&state.pool, site, now, &states).await?
    };
    metrics::counter!("ud_orders_accepted_total").increment(stored.len() as u64);
    let orders = states
        .into_iter()
        .zip(stored)
        .map(|(order, stored)| answer(order, stored))
        .collect();
    Ok(OrdersAnswer { orders, rejected })
}

fn answer(order: OrderState, Stored { outcome, row }: Stored) -> OrderAnswer {
    let mut warnings = order.contacts.warnings;
    if row.revenue.is_none() {
        warnings.push("the exchange rate is unknown; the order is left out of sums until it is stored");
    }
    if row.payment_status == PaymentStatus::PartiallyRefunded.name() && row.refunded.is_zero() {
        warnings.push("payment_status is partially_refunded but refunded is 0");
    }
    if row.refunded > row.total {
        warnings.push("refunded, kept from an earlier state, exceeds total; the order adds nothing to revenue");
    }
    let bot = row.session_id.and(row.bot_reason).map(|_| "bot_session".to_owned());
    OrderAnswer {
        order_id: row.order_id,
        status: outcome,
        linked_by: row.link_method.unwrap_or_else(|| "none".into()),
        session_id: row.session_id,
        cause: row.unlinked_cause.or(bot),
        revenue: row.revenue,
        warnings,
    }
}

/// An order as it is stored. Contacts are only said to be there.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[expect(missing_docs, reason = "the fields are those of OrderBody")]
pub struct StoredOrder {
    pub order_id: String,
    pub order_number: Option<String>,
    pub payment_status: String,
    pub payment_method: Option<String>,
    pub sales_channel: Option<String>,
    pub currency: String,
    /// Given with the order, or its day's; null while unknown.
    #[schema(value_type = Option<String>)]
    pub rate: Option<Decimal>,
    #[schema(value_type = String)]
    pub total: Decimal,
    #[schema(value_type = String)]
    pub discount: Decimal,
    #[schema(value_type = String)]
    pub tax: Decimal,
    #[schema(value_type = String)]
    pub shipping: Decimal,
    #[schema(value_type = String)]
    pub refunded: Decimal,
    /// In the site's currency.
    #[schema(value_type = Option<String>)]
    pub revenue: Option<Decimal>,
    #[schema(value_type = Option<Vec<Object>>)]
    pub items: Option<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    pub extra: Option<serde_json::Value>,
    pub created_at: DateTime<Utc>,
    pub paid_at: Option<DateTime<Utc>>,
    pub refunded_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// When its first state arrived here.
    pub received_at: DateTime<Utc>,
    /// `session`, `visitor`, `customer`, `email`, `phone`, or `none`.
    pub linked_by: String,
    /// Why it is not linked.
    pub cause: Option<String>,
    pub session_id: Option<Uuid>,
    pub visitor_id: Option<Uuid>,
    /// When its link is looked at again; null when settled.
    pub recheck_at: Option<DateTime<Utc>>,
    pub has_customer: bool,
    pub has_email: bool,
    pub has_phone: bool,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub channel: Option<String>,
}

/// One order, for the developer who wires the shop in.
#[utoipa::path(get, path = "/api/v1/orders/{order_id}", tag = "orders", params(("order_id" = String, Path, description = "the shop's id")), responses(
    (status = 200, description = "the order", body = StoredOrder),
    (status = 401, description = "no valid API key", body = ErrorBody),
    (status = 403, description = "the key lacks the scope orders", body = ErrorBody),
    (status = 404, description = "the site has no such order", body = ErrorBody),
))]
pub async fn show(
    State(state): State<AppState>,
    key: ApiKey,
    Path(id): Path<String>,
) -> Result<Json<StoredOrder>, ApiError> {
    let site = key.site(&state.sites, Scope::Orders)?;
    const NONE: ApiError = ApiError::NotFound("the site has no such order");
    // Text in Postgres cannot hold NUL: such an id cannot exist.
    let row = if id.contains('\0') {
        None
    } else {
        orders::get(&state.pool, site.id, &id).await?
    };
    let row = row.ok_or(NONE)?;
    Ok(Json(StoredOrder {
        has_customer: row.customer_hash.is_some(),
        has_email: row.email_hash.is_some(),
        has_phone: row.phone_hash.is_some(),
        linked_by: row.link_method.unwrap_or_else(|| "none".into()),
        cause: row.unlinked_cause,
        order_id: row.order_id,
        order_number: row.order_number,
        payment_status: row.payment_status,
        payment_method: row.payment_method,
        sales_channel: row.sales_channel,
        currency: row.currency,
        rate: row.rate,
        total: row.total,
        discount: row.discount,
        tax: row.tax,
        shipping: row.shipping,
        refunded: row.refunded,
        revenue: row.revenue,
        items: row.items,
        extra: row.extra,
        created_at: row.created_at,
        paid_at: row.paid_at,
        refunded_at: row.refunded_at,
        updated_at: row.updated_at,
        received_at: row.received_at,
        session_id: row.session_id,
        visitor_id: row.visitor_id,
        recheck_at: row.recheck_at,
        utm_source: row.utm_source,
        utm_medium: row.utm_medium,
        utm_campaign: row.utm_campaign,
        channel: row.channel,
    }))
}
