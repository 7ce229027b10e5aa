//! What an order of the demo shop carries beside its money: items, discount, tier, subscription, points, recommendations. Made of its
//! number and customer alone, so that it takes nothing from the story's chance.

use serde_json::{Map, Value, json};

use super::shop::PRODUCTS;
use super::story::DemoOrder;
use super::tables::contact;
use crate::secret::hex;

/// The columns that it fills.
#[derive(Debug)]
pub(super) struct Basket {
    /// Hundredths taken off.
    pub(super) discount: i64,
    /// JSON array.
    pub(super) items: String,
    /// JSON object.
    pub(super) extra: String,
}

/// A number without a pattern (the finaliser of SplitMix64).
const fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A product: the first ones sell best.
fn product(chance: u64) -> u64 {
    let products = PRODUCTS as u64;
    let drawn = chance % products;
    drawn * drawn / products
}

fn item(product: u64, quantity: i64, cents: i64) -> Value {
    json!({
        "sku": format!("p{product}"), "name": format!("Product {product}"), "quantity": quantity.to_string(),
        "price": format!("{}.{:02}", cents / 100, cents % 100),
    })
}

impl Basket {
    pub(super) fn of(order: &DemoOrder) -> Self {
        let (chance, customer) = (mixed(order.number), mixed(order.customer));
        let discount = if chance.is_multiple_of(6) {
            order.cents / 1_000 * 100
        } else {
            0
        };
        // The items are what was ordered: what is paid and what was taken off.
        let whole = order.cents + discount;
        let first = whole / 100 * 60;
        let items = if chance.is_multiple_of(3) {
            vec![
                item(product(chance >> 8), 1, first),
                item(product(chance >> 24), 1, whole - first),
            ]
        } else {
            vec![item(product(chance >> 8), 1, whole)]
        };
        let mut extra = Map::new();
        let mut put = |key: &str, value: Value| drop(extra.insert(key.to_owned(), value));
        if discount > 0 {
            put(
                "promo_code",
                ["WELCOME10", "WINTER", "FRIENDS"][(chance >> 16) as usize % 3].into(),
            );
        }
        match customer % 100 {
            0 => put("vip_tier", "gold".into()),
            1..4 => put("vip_tier", "silver".into()),
            4..7 => {
                put("subscription", "monthly".into());
                put("subscription_active", (customer % 7 != 0).into());
            }
            // Recommended by somebody who came a little earlier.
            7..10 if order.customer > 20 => {
                let referrer = order.customer - 1 - customer % 20;
                put("referred_by", hex(&contact(2, referrer)).into());
            }
            10..12 => put("revenue_stream", "corporate".into()),
            12 => put("revenue_stream", "catering".into()),
            _ => {}
        }
        if customer % 3 == 0 {
            put("loyalty_earned", (order.cents / 10_000).to_string().into());
            if chance.is_multiple_of(7) {
                put("loyalty_redeemed", (order.cents / 40_000).to_string().into());
            }
        }
        Self {
            discount,
            items: Value::from(items).to_string(),
            extra: Value::Object(extra).to_string(),
        }
    }
}
