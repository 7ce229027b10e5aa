//! Revenue streams: the kinds of business that money comes from.

use crate::catalogue::Text;

/// A stream that every installation knows; a site's settings add its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// As orders carry it in `revenue_stream`.
    pub key: &'static str,
    /// For people.
    pub label: Text,
}

/// The streams, in the order in which they are shown.
pub static STREAMS: [Stream; 7] = [
    stream("direct_order", "Прямі замовлення", "Direct orders"),
    stream("subscription", "Підписки", "Subscriptions"),
    stream("vip_upgrade", "VIP-статус", "VIP upgrades"),
    stream("corporate", "Корпоративні", "Corporate"),
    stream("catering", "Кейтеринг", "Catering"),
    stream("referral", "Рекомендації", "Referrals"),
    stream("loyalty", "Лояльність", "Loyalty"),
];

const fn stream(key: &'static str, uk: &'static str, en: &'static str) -> Stream {
    Stream {
        key,
        label: Text { uk, en },
    }
}
