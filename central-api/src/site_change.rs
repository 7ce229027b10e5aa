//! What a change of a site does beyond itself: rows that are computed anew, and a sentence for whoever made it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use crate::db::{exchange_rates, orders};
use crate::error::ApiError;
use crate::site::Site;

/// Something that follows from a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Effect {
    /// Machine-readable.
    pub code: &'static str,
    /// Rows that are computed anew in the background; 0 where none are.
    pub rows: u64,
    /// Ukrainian sentence.
    pub uk: &'static str,
    /// English sentence.
    pub en: &'static str,
}

/// Does in the transaction of the change what must follow it, and says what follows.
///
/// # Errors
/// The database's.
pub async fn apply(
    conn: &mut PgConnection,
    before: &Site,
    after: &Site,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Effect>> {
    let mut effects = Vec::new();
    let mut say = |code, rows, uk, en| effects.push(Effect { code, rows, uk, en });
    let (old, new) = (&before.settings, &after.settings);
    if before.currency != after.currency {
        exchange_rates::delete_all(&mut *conn, before.id).await?;
        let rows = orders::revalue_all(&mut *conn, before.id, now).await?;
        say(
            "orders_revalued",
            rows,
            "Усі замовлення переоцінюються: у новій валюті вони рахуються як є, в інших чекають на новий курс. Старі курси видалено. Сума покупок із подій браузера та бали не перераховуються.",
            "Every order is valued anew: those in the new currency count as they are, others wait for a new rate. The old rates were deleted. Purchase values of browser events and points are not converted.",
        );
    } else if before.time_zone != after.time_zone {
        let rows = orders::wake_by_day(&mut *conn, before.id, &before.currency, now).await?;
        say(
            "rates_by_day",
            rows,
            "Замовлення в іншій валюті беруть курс свого дня за новим поясом.",
            "Orders in another currency take the rate of their day in the new zone.",
        );
    }
    if before.time_zone != after.time_zone {
        say(
            "periods_moved",
            0,
            "Періоди, зокрема минулі, відтепер починаються опівночі нового поясу; звіти рахуються одразу.",
            "Periods, past ones too, begin at the new zone's midnight from now on; reports follow at once.",
        );
    }
    if old.source_aliases != new.source_aliases
        || old.medium_aliases != new.medium_aliases
        || old.channel_rules != new.channel_rules
        || old.points != new.points
    {
        say(
            "from_now_on",
            0,
            "Псевдоніми, правила каналів і бали діють для подій від цієї миті; збережені сесії не змінюються.",
            "Aliases, channel rules and points hold for events from this moment on; sessions that are stored stay as they are.",
        );
    }
    if before.domains != after.domains || old.payment_hosts != new.payment_hosts || old.worker != new.worker {
        say(
            "worker_follows",
            0,
            "Воркер візьме нові налаштування протягом кількох хвилин, з наступними відвідувачами.",
            "The worker takes the new settings over within minutes, with its next visitors.",
        );
    }
    if old.blocked_contacts != new.blocked_contacts {
        say(
            "customers_regrouped",
            0,
            "Покупці об’єднуються за новим списком одразу, зокрема за минулими замовленнями.",
            "Customers are joined by the new list at once, past orders included.",
        );
    }
    if before.country != after.country {
        say(
            "phones_from_now_on",
            0,
            "Телефони без коду країни читаються за новою країною лише в нових замовленнях.",
            "Phones without country code are read by the new country in new orders only.",
        );
    }
    if old.revenue_from_events != new.revenue_from_events {
        say(
            "revenue_source_switched",
            0,
            "Дохід в усіх звітах, зокрема минулих, відтепер рахується з іншого джерела.",
            "Revenue in every report, past ones too, comes from the other source from now on.",
        );
    }
    if new.retention_days < old.retention_days {
        say(
            "data_will_be_deleted",
            0,
            "Старіші за новий строк дані буде видалено під час наступного щоденного завдання.",
            "Data older than the new limit is deleted by the next daily job.",
        );
    }
    Ok(effects)
}

/// Fields that differ, each as `[before, after]`. Contacts are people's: only how many there are is told.
///
/// # Errors
/// None that a site could cause: it is plain data.
pub fn difference(before: &impl Serialize, after: &impl Serialize) -> Result<Value, ApiError> {
    let (before, after) = (flat(before)?, flat(after)?);
    let names = before.keys().chain(after.keys());
    let changed: Map<String, Value> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name.clone(), json!([before.get(name), after.get(name)])))
        .collect();
    Ok(Value::Object(changed))
}

/// A site's fields and settings side by side, settings as `settings.name`.
fn flat(site: &impl Serialize) -> Result<Map<String, Value>, ApiError> {
    let site = serde_json::to_value(site).map_err(|error| ApiError::Internal(error.into()))?;
    let mut fields = site.as_object().cloned().unwrap_or_default();
    let settings = fields.remove("settings");
    for (name, value) in settings.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let value = match (name.as_str(), value) {
            ("blocked_contacts", Value::Array(contacts)) => json!({"entries": contacts.len()}),
            (_, value) => value.clone(),
        };
        fields.insert(format!("settings.{name}"), value);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_fields_and_settings_and_keeps_contacts_out() {
        let site = |name: &str, days: u32, contacts: &[&str]| json!({"name": name, "key": "shop", "settings": {"look_back_days": days, "blocked_contacts": contacts}});
        let changed = difference(&site("a", 30, &[]), &site("b", 7, &["info@shop.example"])).unwrap();
        assert_eq!(
            changed,
            json!({
                "name": ["a", "b"], "settings.look_back_days": [30, 7],
                "settings.blocked_contacts": [{"entries": 0}, {"entries": 1}],
            })
        );
    }
}
