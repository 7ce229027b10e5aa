//! A row of orders as a state of an order.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::ids::ImportIds;
use crate::orders::identity::Identifier;
use crate::orders::state::{MAX_ID_CHARS, OrderState};
use crate::record::{FieldError, Record};
use crate::site::Site;

/// Reads a row of either layout. Ids of sessions and visitors may be the source's own.
///
/// # Errors
/// The first field at fault, by the name of its column.
pub fn read(
    record: &Record<'_>,
    site: &Site,
    identifier: &Identifier,
    ids: &ImportIds,
    now: DateTime<Utc>,
) -> Result<OrderState, FieldError> {
    if record.has(super::Kind::Orders.django_column()) {
        return django(record, site, identifier, ids, now);
    }
    let session = record
        .id("session_id", MAX_ID_CHARS)?
        .map(|id| ids.named("session", &id));
    let visitor = record
        .id("visitor_id", MAX_ID_CHARS)?
        .map(|id| ids.named("visitor", &id));
    let mut state = OrderState::read(&record.without(&["session_id", "visitor_id"]), site, identifier, now)?;
    let created_at = Record::required("created_at", state.created_at)?;
    if !record.has("updated_at") {
        // A second run must find the state it stored, not a newer one.
        state.updated_at = created_at
            .max(state.paid_at.unwrap_or(created_at))
            .max(state.refunded_at.unwrap_or(created_at));
    }
    state.name(session, visitor);
    Ok(state)
}

/// Table `orders_order` of the Django module.
fn django(
    record: &Record<'_>,
    site: &Site,
    identifier: &Identifier,
    ids: &ImportIds,
    now: DateTime<Utc>,
) -> Result<OrderState, FieldError> {
    let mut order = Map::new();
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            order.insert(field.to_owned(), value);
        }
    };
    put(
        "order_id",
        Some(Record::required("id", record.id("id", MAX_ID_CHARS)?)?.into()),
    );
    put(
        "order_number",
        record.id("order_number", MAX_ID_CHARS)?.map(Value::from),
    );
    put("customer_id", record.id("user_id", MAX_ID_CHARS)?.map(Value::from));
    put("email", record.text("email", 255)?.map(Value::from));
    put("phone", record.id("phone", 255)?.map(Value::from));
    // There total_sum is before the discount, and the customer pays the difference.
    let sum = Record::required("total_sum", record.money("total_sum")?)?;
    let discount = record.money("discount_amount")?.unwrap_or_default();
    put("total", Some((sum - discount).max(Decimal::ZERO).to_string().into()));
    put("discount", Some(discount.to_string().into()));
    put(
        "payment_method",
        record.text("pay_type", MAX_ID_CHARS)?.map(Value::from),
    );
    put(
        "sales_channel",
        record
            .text("sale_source", MAX_ID_CHARS)?
            .or(record.text("source", MAX_ID_CHARS)?)
            .map(Value::from),
    );
    put("promo_code", record.id("promo_code_id", MAX_ID_CHARS)?.map(Value::from));
    let status = record.text("payment_status", 40)?.unwrap_or_else(|| "unpaid".into());
    let status = match (record.text("status", 40)?.as_deref(), status.as_str()) {
        (Some("cancelled"), _) => "cancelled",
        (_, "unpaid" | "checking") => "unpaid",
        (_, "prepaid" | "partial") => "prepaid",
        (_, "paid") => "paid",
        _ => {
            return Err(FieldError::invalid(
                "payment_status",
                "must be one of unpaid, checking, prepaid, partial, paid",
            ));
        }
    };
    put("payment_status", Some(status.into()));
    let created = Record::required("created", record.time("created", now)?)?;
    let updated = record.time("updated", now)?.unwrap_or(created);
    put("created_at", Some(created.to_rfc3339().into()));
    put("updated_at", Some(updated.to_rfc3339().into()));
    let text = Value::Object(order).to_string();
    let mut state = OrderState::read(&Record::from_json(&text)?, site, identifier, now)?;
    let session = record.id("utm_session_id", MAX_ID_CHARS)?;
    state.name(session.map(|id| ids.named("session", &format!("django:{id}"))), None);
    Ok(state)
}
