//! One state of an order, as the shop sends it: the fields, their rules, and which of two states is the later one.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::identity::{Contacts, Identifier};
use super::payment::{PaymentStatus, revenue};
use crate::currency;
use crate::record::{FieldError, Record};
use crate::site::Site;

/// Orders in one request.
pub const MAX_ORDERS: usize = 500;
/// Items of one order.
pub const MAX_ITEMS: usize = 500;
/// Characters of an order's id and other identifiers.
pub const MAX_ID_CHARS: usize = 100;
/// Characters of names and short texts.
pub const MAX_NAME_CHARS: usize = 255;

/// Every field of an order. Anything else is an error that lists them.
pub const FIELDS: [&str; 32] = [
    "order_id",
    "order_number",
    "session_id",
    "visitor_id",
    "customer_id",
    "email",
    "phone",
    "total",
    "discount",
    "tax",
    "shipping",
    "refunded",
    "currency",
    "rate",
    "payment_method",
    "payment_status",
    "sales_channel",
    "items",
    "created_at",
    "paid_at",
    "refunded_at",
    "updated_at",
    "discount_type",
    "promo_code",
    "vip_tier",
    "subscription",
    "subscription_active",
    "loyalty_earned",
    "loyalty_redeemed",
    "referral_code",
    "referred_by",
    "revenue_stream",
];

const ITEM_FIELDS: [&str; 5] = ["sku", "product_id", "name", "quantity", "price"];

/// A state of an order at `updated_at`.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderState {
    /// The shop's id of the order.
    pub order_id: String,
    /// What the customer sees.
    pub order_number: Option<String>,
    /// The session that the shop names.
    pub session: Option<Uuid>,
    /// The visitor that the shop names.
    pub visitor: Option<Uuid>,
    /// Who ordered, as hashes.
    pub contacts: Contacts,
    /// What the customer is charged: after discounts, with tax and shipping.
    pub total: Decimal,
    /// Taken off before `total`.
    pub discount: Option<Decimal>,
    /// Inside `total`.
    pub tax: Option<Decimal>,
    /// Inside `total`.
    pub shipping: Option<Decimal>,
    /// Part of `total` that was paid back.
    pub refunded: Option<Decimal>,
    /// ISO 4217; the site's when the state does not say.
    pub currency: String,
    /// Whether the state says its currency.
    pub currency_said: bool,
    /// Units of the site's currency for one unit of `currency`, when it came with the order.
    pub rate: Option<Decimal>,
    /// As the shop calls it.
    pub payment_method: Option<String>,
    /// Where the payment stands.
    pub payment_status: PaymentStatus,
    /// Where it was sold: web, app, shop, phone, ….
    pub sales_channel: Option<String>,
    /// `[{sku, product_id, name, quantity, price}]`, numbers as text.
    pub items: Option<Value>,
    /// Fields that the API accepts and no report uses yet.
    pub extra: Option<Value>,
    /// When it was placed, as this state says.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
    /// When it was paid back.
    pub refunded_at: Option<DateTime<Utc>>,
    /// When the order came to be in this state.
    pub updated_at: DateTime<Utc>,
    /// 16 bytes over everything above but `updated_at`: equal for equal content however it is written.
    pub content_hash: Vec<u8>,
}

impl OrderState {
    /// Reads one order. `now` is the default of `updated_at` and the limit of all times.
    ///
    /// # Errors
    /// The first field that is missing, unknown or not allowed.
    pub fn read(
        record: &Record<'_>,
        site: &Site,
        identifier: &Identifier,
        now: DateTime<Utc>,
    ) -> Result<Self, FieldError> {
        record.only(&FIELDS)?;
        let order_id = Record::required("order_id", record.id("order_id", MAX_ID_CHARS)?)?;
        let status = Record::required("payment_status", record.text("payment_status", 40)?)?;
        let payment_status = PaymentStatus::from_name(&status).ok_or_else(|| {
            let allowed = PaymentStatus::ALL.map(PaymentStatus::name).join(", ");
            FieldError::invalid("payment_status", format_args!("must be one of {allowed}"))
        })?;
        let total = Record::required("total", record.money("total")?)?;
        let refunded = record.money("refunded")?;
        if refunded.is_some_and(|refunded| refunded > total) {
            return Err(FieldError::invalid("refunded", "must not exceed total"));
        }
        let said = record.text("currency", 8)?;
        let currency_said = said.is_some();
        let currency = match said {
            None => site.currency.clone(),
            Some(text) => currency::read(&text).ok_or_else(|| FieldError::invalid("currency", currency::ALLOWED))?,
        };
        let rate = record.decimal("rate", 8, Decimal::from(10_000_000_000u64))?;
        if let Some(rate) = rate {
            if rate.is_zero() {
                return Err(FieldError::invalid("rate", "must be more than 0"));
            }
            if currency == site.currency && rate != Decimal::ONE {
                return Err(FieldError::invalid(
                    "rate",
                    format_args!("must be 1 or left out for {currency}, the site's currency"),
                ));
            }
            if revenue(PaymentStatus::Paid, total, Decimal::ZERO, Some(rate)).is_none() {
                return Err(FieldError::invalid(
                    "rate",
                    "makes an amount of 100000000000000 or more",
                ));
            }
        }
        let contacts = identifier.identify(
            record.id("customer_id", MAX_NAME_CHARS)?.as_deref(),
            record.text("email", MAX_NAME_CHARS)?.as_deref(),
            record.id("phone", MAX_NAME_CHARS)?.as_deref(),
        );
        let mut state = Self {
            order_id,
            order_number: record.id("order_number", MAX_ID_CHARS)?,
            session: record.uuid("session_id")?,
            visitor: record.uuid("visitor_id")?,
            total,
            discount: record.money("discount")?,
            tax: record.money("tax")?,
            shipping: record.money("shipping")?,
            refunded,
            rate: rate.filter(|_| currency != site.currency),
            currency,
            currency_said,
            payment_method: record.text("payment_method", MAX_ID_CHARS)?,
            payment_status,
            sales_channel: record.text("sales_channel", MAX_ID_CHARS)?,
            items: items(record)?,
            extra: extra(record, identifier)?,
            created_at: record.time("created_at", now)?,
            paid_at: record.time("paid_at", now)?,
            refunded_at: record.time("refunded_at", now)?,
            updated_at: record
                .time("updated_at", now)?
                .or(DateTime::from_timestamp_micros(now.timestamp_micros()))
                .unwrap_or(now),
            contacts,
            content_hash: Vec::new(),
        };
        state.content_hash = state.hash();
        Ok(state)
    }

    /// Sets the session and visitor that the order names, for a source that has its own ids of them.
    pub fn name(&mut self, session: Option<Uuid>, visitor: Option<Uuid>) {
        self.session = session;
        self.visitor = visitor;
        self.content_hash = self.hash();
    }

    /// The currency and the rate that came with it, for a site that counts in `own`: the state may have been read when it was another one.
    pub fn money_for(&self, own: &str) -> (String, Option<Decimal>) {
        let currency = if self.currency_said { &self.currency } else { own };
        (currency.to_owned(), self.rate.filter(|_| currency != own))
    }

    /// Which of two states of one order is the later: by time, then by content, so that order of arrival decides nothing.
    pub fn version(&self) -> (DateTime<Utc>, &[u8]) {
        (self.updated_at, &self.content_hash)
    }

    fn hash(&self) -> Vec<u8> {
        // What is not said counts as 0 here: the hash only tells two states of one time apart.
        let money = [Some(self.total), self.discount, self.tax, self.shipping, self.refunded]
            .map(|amount| amount.unwrap_or_default().normalize().to_string());
        let content = json!([
            self.order_number,
            self.session,
            self.visitor,
            self.contacts.customer,
            self.contacts.email,
            self.contacts.phone,
            self.contacts.plain,
            money,
            self.currency,
            self.rate.map(|rate| rate.normalize().to_string()),
            self.payment_method,
            self.payment_status.name(),
            self.sales_channel,
            self.items,
            self.extra,
            self.created_at,
            self.paid_at,
            self.refunded_at,
        ]);
        Sha256::digest(content.to_string().as_bytes())[..16].to_vec()
    }
}

fn items(record: &Record<'_>) -> Result<Option<Value>, FieldError> {
    let Some(list) = record.objects("items", MAX_ITEMS)? else {
        return Ok(None);
    };
    let read = |item: &Record<'_>| -> Result<Value, FieldError> {
        item.only(&ITEM_FIELDS)?;
        let mut object = Map::new();
        for field in ["sku", "product_id"] {
            if let Some(id) = item.id(field, MAX_ID_CHARS)? {
                object.insert(field.into(), id.into());
            }
        }
        if let Some(name) = item.text("name", MAX_NAME_CHARS)? {
            object.insert("name".into(), name.into());
        }
        if object.is_empty() {
            return Err(FieldError {
                code: "missing_field",
                field: None,
                message: "an item needs sku, product_id or name".into(),
            });
        }
        if let Some(quantity) = item.decimal("quantity", 3, Decimal::from(1_000_000))? {
            object.insert("quantity".into(), quantity.to_string().into());
        }
        if let Some(price) = item.money("price")? {
            object.insert("price".into(), price.to_string().into());
        }
        Ok(Value::Object(object))
    };
    list.iter()
        .enumerate()
        .map(|(index, item)| read(item).map_err(|error| error.inside(&format!("items[{index}]"))))
        .collect::<Result<Vec<_>, _>>()
        .map(|items| Some(Value::Array(items)))
}

fn extra(record: &Record<'_>, identifier: &Identifier) -> Result<Option<Value>, FieldError> {
    let mut extra = Map::new();
    for field in [
        "discount_type",
        "promo_code",
        "vip_tier",
        "subscription",
        "referral_code",
        "revenue_stream",
    ] {
        if let Some(text) = record.id(field, MAX_ID_CHARS)? {
            extra.insert(field.into(), text.into());
        }
    }
    if let Some(active) = record.flag("subscription_active")? {
        extra.insert("subscription_active".into(), active.into());
    }
    for field in ["loyalty_earned", "loyalty_redeemed"] {
        if let Some(points) = record.money(field)? {
            extra.insert(field.into(), points.to_string().into());
        }
    }
    if let Some(customer) = record.id("referred_by", MAX_NAME_CHARS)? {
        // The same hash as that customer's own orders carry.
        let hash = identifier.hash(super::identity::ContactKind::Customer, &customer);
        extra.insert("referred_by".into(), crate::secret::hex(&hash).into());
    }
    Ok((!extra.is_empty()).then_some(Value::Object(extra)))
}
