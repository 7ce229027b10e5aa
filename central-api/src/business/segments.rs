//! Customer segments: six, by recency, frequency and money; every customer is in exactly one on any day since the first purchase.

use chrono::{Days, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::catalogue::Text;

/// Where segments begin and end; a site setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentRules {
    /// A customer without a purchase for more than so many days is at risk.
    pub at_risk_after_days: u16,
    /// … and for more than so many days lost.
    pub lost_after_days: u16,
    /// Net spend, in the site's currency, from which a customer is a VIP even without a tier.
    pub vip_revenue: Decimal,
    /// Purchases from which a customer is loyal.
    pub loyal_orders: u16,
    /// A customer is new for so many days after the first purchase.
    pub new_days: u16,
}

impl Default for SegmentRules {
    fn default() -> Self {
        Self {
            at_risk_after_days: 60,
            lost_after_days: 180,
            vip_revenue: Decimal::new(20_000, 0),
            loyal_orders: 3,
            new_days: 30,
        }
    }
}

/// One of the six. The first one that fits counts, in the order of [`Segment::ALL`] from the end: who stays away is at risk or lost
/// whatever was spent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// A VIP tier, or a large net spend.
    Vip,
    /// Many purchases.
    Loyal,
    /// None of the others.
    Active,
    /// First purchase lately, and not many yet.
    New,
    /// No purchase for a while and no active subscription.
    AtRisk,
    /// No purchase for long and no active subscription.
    Lost,
}

impl Segment {
    /// Every segment, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Vip,
        Self::Loyal,
        Self::Active,
        Self::New,
        Self::AtRisk,
        Self::Lost,
    ];

    /// The number in the database.
    pub const fn code(self) -> i16 {
        match self {
            Self::Vip => 1,
            Self::Loyal => 2,
            Self::Active => 3,
            Self::New => 4,
            Self::AtRisk => 5,
            Self::Lost => 6,
        }
    }

    /// The segment with this number.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|segment| segment.code() == code)
    }

    /// The name in answers and parameters.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Vip => "vip",
            Self::Loyal => "loyal",
            Self::Active => "active",
            Self::New => "new",
            Self::AtRisk => "at_risk",
            Self::Lost => "lost",
        }
    }

    /// Reads [`Segment::key`].
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|segment| segment.key() == key)
    }

    /// For people.
    pub const fn label(self) -> Text {
        match self {
            Self::Vip => Text { uk: "VIP", en: "VIP" },
            Self::Loyal => Text {
                uk: "Лояльні",
                en: "Loyal",
            },
            Self::Active => Text {
                uk: "Активні",
                en: "Active",
            },
            Self::New => Text {
                uk: "Нові", en: "New"
            },
            Self::AtRisk => Text {
                uk: "Під ризиком",
                en: "At risk",
            },
            Self::Lost => Text {
                uk: "Втрачені",
                en: "Lost",
            },
        }
    }

    /// The definition in words, Ukrainian and English, with the site's thresholds.
    pub fn definition(self, rules: &SegmentRules, currency: &str) -> (String, String) {
        let SegmentRules {
            at_risk_after_days: risk,
            lost_after_days: lost,
            vip_revenue,
            loyal_orders: loyal,
            new_days: new,
        } = rules;
        let vip = vip_revenue.normalize();
        match self {
            Self::Vip => (
                format!(
                    "Має VIP-рівень або витратив щонайменше {vip} {currency}; остання покупка не раніше ніж {risk} дн. тому або є активна підписка."
                ),
                format!(
                    "Has a VIP tier or spent at least {vip} {currency}; the last purchase is at most {risk} days ago, or a subscription is active."
                ),
            ),
            Self::Loyal => (
                format!(
                    "Не VIP; щонайменше {loyal} покупки; остання не раніше ніж {risk} дн. тому або є активна підписка."
                ),
                format!(
                    "Not VIP; at least {loyal} purchases; the last at most {risk} days ago, or a subscription is active."
                ),
            ),
            Self::Active => (
                format!(
                    "Менше ніж {loyal} покупки, перша раніше ніж {new} дн. тому, остання не раніше ніж {risk} дн. тому або є активна підписка."
                ),
                format!(
                    "Fewer than {loyal} purchases, the first more than {new} days ago, the last at most {risk} days ago, or a subscription is active."
                ),
            ),
            Self::New => (
                format!("Перша покупка не раніше ніж {new} дн. тому, менше ніж {loyal} покупки, не VIP."),
                format!("First purchase at most {new} days ago, fewer than {loyal} purchases, not VIP."),
            ),
            Self::AtRisk => (
                format!(
                    "Остання покупка від {} до {lost} дн. тому, активної підписки немає.",
                    u32::from(*risk) + 1
                ),
                format!(
                    "Last purchase {} to {lost} days ago, no active subscription.",
                    u32::from(*risk) + 1
                ),
            ),
            Self::Lost => (
                format!("Остання покупка понад {lost} дн. тому, активної підписки немає."),
                format!("Last purchase more than {lost} days ago, no active subscription."),
            ),
        }
    }
}

/// What segments are decided by, each part sorted by local day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Purchases: the day, and the net spend up to and with it.
    pub purchases: Vec<(NaiveDate, Decimal)>,
    /// Days on which an order stated whether a subscription is active.
    pub subscription: Vec<(NaiveDate, bool)>,
    /// First day on which an order stated a VIP tier.
    pub vip_since: Option<NaiveDate>,
}

impl History {
    /// The segment on a day, by what was known of orders up to that day; none before the first purchase.
    pub fn segment_on(&self, day: NaiveDate, rules: &SegmentRules) -> Option<Segment> {
        let count = self.purchases.partition_point(|(at, _)| *at <= day);
        let (last, spent) = *self.purchases[..count].last()?;
        let (first, _) = *self.purchases.first()?;
        let stated = self.subscription.partition_point(|(at, _)| *at <= day);
        let subscribed = self.subscription[..stated].last().is_some_and(|(_, active)| *active);
        let away = (day - last).num_days();
        if !subscribed && away > i64::from(rules.lost_after_days) {
            Some(Segment::Lost)
        } else if !subscribed && away > i64::from(rules.at_risk_after_days) {
            Some(Segment::AtRisk)
        } else if spent >= rules.vip_revenue || self.vip_since.is_some_and(|since| since <= day) {
            Some(Segment::Vip)
        } else if count >= usize::from(rules.loyal_orders) {
            Some(Segment::Loyal)
        } else if (day - first).num_days() <= i64::from(rules.new_days) {
            Some(Segment::New)
        } else {
            Some(Segment::Active)
        }
    }

    /// The days on which the segment changes and what it becomes, also those ahead, if no other order comes.
    pub fn moves(&self, rules: &SegmentRules) -> Vec<(NaiveDate, Segment)> {
        let after = |day: NaiveDate, days: u16| day.checked_add_days(Days::new(u64::from(days) + 1));
        let mut days: Vec<NaiveDate> = Vec::with_capacity(3 * self.purchases.len() + self.subscription.len() + 2);
        for (day, _) in &self.purchases {
            days.push(*day);
            days.extend(after(*day, rules.at_risk_after_days));
            days.extend(after(*day, rules.lost_after_days));
        }
        days.extend(self.subscription.iter().map(|(day, _)| *day));
        days.extend(self.vip_since);
        days.extend(self.purchases.first().and_then(|(day, _)| after(*day, rules.new_days)));
        days.sort_unstable();
        days.dedup();
        let mut moves: Vec<(NaiveDate, Segment)> = Vec::new();
        for day in days {
            if let Some(segment) = self.segment_on(day, rules)
                && moves.last().is_none_or(|(_, known)| *known != segment)
            {
                moves.push((day, segment));
            }
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(n: u64) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + Days::new(n)
    }

    fn history(purchases: &[(u64, i64)]) -> History {
        let mut spent = Decimal::ZERO;
        let purchases = purchases
            .iter()
            .map(|(n, revenue)| {
                spent += Decimal::from(*revenue);
                (day(*n), spent)
            })
            .collect();
        History {
            purchases,
            ..History::default()
        }
    }

    #[test]
    fn a_customer_is_new_then_active_then_at_risk_then_lost() {
        let moves = history(&[(0, 100)]).moves(&SegmentRules::default());
        assert_eq!(
            moves,
            [
                (day(0), Segment::New),
                (day(31), Segment::Active),
                (day(61), Segment::AtRisk),
                (day(181), Segment::Lost)
            ]
        );
    }

    #[test]
    fn an_active_subscription_keeps_a_customer_from_being_at_risk() {
        let mut subscriber = history(&[(0, 100), (5, 100), (6, 100)]);
        subscriber.subscription = vec![(day(0), true), (day(300), false)];
        let rules = SegmentRules::default();
        assert_eq!(subscriber.segment_on(day(299), &rules), Some(Segment::Loyal));
        assert_eq!(subscriber.segment_on(day(300), &rules), Some(Segment::Lost));
    }

    #[test]
    fn a_vip_is_one_by_tier_or_by_spend_and_only_while_buying() {
        let rules = SegmentRules::default();
        let rich = history(&[(0, 20_000)]);
        assert_eq!(rich.segment_on(day(60), &rules), Some(Segment::Vip));
        assert_eq!(rich.segment_on(day(61), &rules), Some(Segment::AtRisk));
        let mut tier = history(&[(0, 10), (9, 10)]);
        tier.vip_since = Some(day(9));
        assert_eq!(tier.segment_on(day(8), &rules), Some(Segment::New));
        assert_eq!(tier.segment_on(day(9), &rules), Some(Segment::Vip));
    }

    proptest! {
        #[test]
        fn on_every_day_the_moves_say_the_one_segment_that_the_rules_say(
            mut purchases in prop::collection::vec((0u64..400, 1i64..9_000), 1..12),
            subscription in prop::collection::vec((0u64..400, any::<bool>()), 0..4),
            vip in prop::option::of(0u64..400),
        ) {
            purchases.sort_unstable();
            let mut known = history(&purchases);
            known.subscription = subscription.into_iter().map(|(n, active)| (day(n), active)).collect();
            known.subscription.sort_by_key(|(day, _)| *day);
            known.vip_since = vip.map(day);
            let rules = SegmentRules::default();
            let moves = known.moves(&rules);
            for n in 0..700 {
                let told = moves.iter().rev().find(|(from, _)| *from <= day(n)).map(|(_, segment)| *segment);
                prop_assert_eq!(told, known.segment_on(day(n), &rules));
                prop_assert_eq!(told.is_some(), known.purchases[0].0 <= day(n));
            }
        }
    }
}
