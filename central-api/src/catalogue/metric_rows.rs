//! The table of metrics: the one place where a figure is defined.

use super::Text;
use super::metric::{Better, Formula, Metric, MetricDefinition, Unit};

/// Whether session `s` converted.
macro_rules! converted {
    () => {
        "(s.lead_orders > 0 or s.paid_orders > 0 or s.lead_at is not null or s.purchase_at is not null)"
    };
}

/// SQL: whether session `s` converted.
pub const CONVERTED: &str = converted!();

/// Whether session `s` came to the cart in the funnel's order.
macro_rules! cart_in_order {
    () => {
        "s.add_to_cart_at >= s.product_view_at"
    };
}

/// Whether session `s` came to the checkout in the funnel's order.
macro_rules! checkout_in_order {
    () => {
        concat!(cart_in_order!(), " and s.checkout_at >= s.add_to_cart_at")
    };
}

/// Sessions `s` for which a condition holds.
macro_rules! sessions_where {
    ($($condition:expr),+) => {
        Formula::Sessions(concat!("count(*) filter (where ", $($condition),+, ")"))
    };
}

const fn text(uk: &'static str, en: &'static str) -> Text {
    Text { uk, en }
}

/// A row: metric, key, label, unit, good direction, formula, definition.
const fn row(
    metric: Metric,
    key: &'static str,
    label: Text,
    unit: Unit,
    better: Better,
    formula: Formula,
    definition: Text,
) -> MetricDefinition {
    MetricDefinition {
        metric,
        key,
        label,
        unit,
        better,
        formula,
        definition,
    }
}

const fn percent_of_sessions(of: Metric) -> Formula {
    Formula::Ratio {
        of,
        per: Metric::Sessions,
        times: 100,
    }
}

const fn per_session(of: Metric) -> Formula {
    Formula::Ratio {
        of,
        per: Metric::Sessions,
        times: 1,
    }
}

/// The catalogue's metrics.
pub static METRICS: [MetricDefinition; 43] = [
    row(
        Metric::Sessions,
        "sessions",
        text("Сесії", "Sessions"),
        Unit::Count,
        Better::Higher,
        Formula::Sessions("count(*)"),
        text(
            "Сесії, що почалися в періоді. Сесія — це все, що принесло одне джерело: вона триває до 14 днів і містить кілька візитів.",
            "Sessions that began in the period. A session is all that one touch brought; it lives up to 14 days and holds several visits.",
        ),
    ),
    row(
        Metric::Visitors,
        "visitors",
        text("Відвідувачі", "Visitors"),
        Unit::Count,
        Better::Higher,
        Formula::Distinct("count(distinct s.visitor_id)"),
        text(
            "Різні відвідувачі (браузери) цих сесій, точно. Рядки таблиці не додаються: один відвідувач може прийти з кількох джерел.",
            "Distinct visitors (browsers) of these sessions, exact. Rows of a table do not add up: one visitor may come from several sources.",
        ),
    ),
    row(
        Metric::Visits,
        "visits",
        text("Візити", "Visits"),
        Unit::Count,
        Better::Higher,
        Formula::Sessions("coalesce(sum(s.visit_count), 0)"),
        text(
            "Візити цих сесій; новий візит починається після 30 хвилин без дій.",
            "Visits of these sessions; a new visit begins after 30 idle minutes.",
        ),
    ),
    row(
        Metric::Conversions,
        "conversions",
        text("Конверсії", "Conversions"),
        Unit::Count,
        Better::Higher,
        sessions_where!(converted!()),
        text(
            "Сесії, що мають лід або покупку: передплачене чи оплачене замовлення або подію lead чи purchase. Рахуються за датою сесії.",
            "Sessions that have a lead or a purchase: a prepaid or paid order, or a lead or purchase event. Counted by the session's date.",
        ),
    ),
    row(
        Metric::ConversionRate,
        "conversion_rate",
        text("Конверсія, %", "Conversion rate, %"),
        Unit::Percent,
        Better::Higher,
        percent_of_sessions(Metric::Conversions),
        text("Конверсії / сесії.", "Conversions / sessions."),
    ),
    row(
        Metric::Revenue,
        "revenue",
        text("Дохід", "Revenue"),
        Unit::Money,
        Better::Higher,
        Formula::Money {
            by_session: "coalesce(sum(s.revenue), 0)",
            by_order: "coalesce(sum(o.revenue), 0)",
            by_event: "coalesce(sum(s.event_revenue), 0)",
        },
        text(
            "Сума оплачених замовлень без повернень у валюті сайту. Замовлення в іншій валюті без відомого курсу не входить.",
            "Sum of paid orders net of refunds, in the site's currency. An order in another currency without a known rate is left out.",
        ),
    ),
    row(
        Metric::Orders,
        "orders",
        text("Замовлення", "Orders"),
        Unit::Count,
        Better::Higher,
        Formula::Money {
            by_session: "coalesce(sum(s.orders), 0)",
            by_order: "count(*)",
            by_event: "coalesce(sum(s.purchase_events), 0)",
        },
        text(
            "Замовлення з будь-яким статусом оплати.",
            "Orders of any payment status.",
        ),
    ),
    row(
        Metric::Leads,
        "leads",
        text("Ліди", "Leads"),
        Unit::Count,
        Better::Higher,
        Formula::Money {
            by_session: "coalesce(sum(s.lead_orders), 0)",
            by_order: "count(*) filter (where o.payment_status = 'prepaid')",
            by_event: "coalesce(sum(s.lead_events), 0)",
        },
        text("Передплачені замовлення.", "Prepaid orders."),
    ),
    row(
        Metric::Purchases,
        "purchases",
        text("Покупки", "Purchases"),
        Unit::Count,
        Better::Higher,
        Formula::Money {
            by_session: "coalesce(sum(s.paid_orders), 0)",
            by_order: "count(*) filter (where o.payment_status in ('paid', 'partially_refunded'))",
            by_event: "coalesce(sum(s.purchase_events), 0)",
        },
        text(
            "Оплачені замовлення, разом із частково повернутими.",
            "Paid orders, partially refunded ones included.",
        ),
    ),
    row(
        Metric::ValuedPurchases,
        "valued_purchases",
        text("Покупки з відомою сумою", "Purchases of known value"),
        Unit::Count,
        Better::Higher,
        Formula::Money {
            by_session: "coalesce(sum(s.paid_orders - s.unvalued_orders), 0)",
            by_order: "count(o.revenue) filter (where o.payment_status in ('paid', 'partially_refunded'))",
            by_event: "coalesce(sum(s.valued_purchase_events), 0)",
        },
        text(
            "Покупки, чий дохід відомий: усі, крім тих у валюті без відомого курсу.",
            "Purchases whose revenue is known: all but those in a currency without a known rate.",
        ),
    ),
    row(
        Metric::AvgOrderValue,
        "avg_order_value",
        text("Середній чек", "Average order value"),
        Unit::Money,
        Better::Higher,
        Formula::Ratio {
            of: Metric::Revenue,
            per: Metric::ValuedPurchases,
            times: 1,
        },
        text(
            "Дохід / покупки з відомою сумою: покупка у валюті без відомого курсу не входить ні в дохід, ні в дільник.",
            "Revenue / purchases of known value: a purchase in a currency without a known rate is neither in the revenue nor in the divisor.",
        ),
    ),
    row(
        Metric::RevenuePerSession,
        "revenue_per_session",
        text("Дохід на сесію", "Revenue per session"),
        Unit::Money,
        Better::Higher,
        per_session(Metric::Revenue),
        text("Дохід / сесії.", "Revenue / sessions."),
    ),
    row(
        Metric::OrdersPerSession,
        "orders_per_session",
        text("Замовлень на сесію", "Orders per session"),
        Unit::Ratio,
        Better::Higher,
        per_session(Metric::Orders),
        text("Замовлення / сесії.", "Orders / sessions."),
    ),
    row(
        Metric::TotalScore,
        "total_score",
        text("Бали", "Score"),
        Unit::Points,
        Better::Higher,
        Formula::Sessions("coalesce(sum(s.points), 0)"),
        text(
            "Сума балів за дії цих сесій.",
            "Sum of the points that these sessions' actions earned.",
        ),
    ),
    row(
        Metric::AvgScorePerSession,
        "avg_score_per_session",
        text("Балів на сесію", "Score per session"),
        Unit::Ratio,
        Better::Higher,
        per_session(Metric::TotalScore),
        text("Бали / сесії.", "Score / sessions."),
    ),
    row(
        Metric::Bounces,
        "bounces",
        text("Відмови", "Bounces"),
        Unit::Count,
        Better::Lower,
        sessions_where!(
            "s.visit_count <= 1 and s.page_views <= 1 and s.add_to_cart_at is null and s.checkout_at is null ",
            "and s.registered_at is null and not ",
            converted!()
        ),
        text(
            "Сесії з одним візитом і не більш як одним переглядом сторінки, без кошика, оформлення, реєстрації, ліда та покупки.",
            "Sessions with one visit and at most one page view, without cart, checkout, registration, lead and purchase.",
        ),
    ),
    row(
        Metric::BounceRate,
        "bounce_rate",
        text("Відмови, %", "Bounce rate, %"),
        Unit::Percent,
        Better::Lower,
        percent_of_sessions(Metric::Bounces),
        text("Відмови / сесії.", "Bounces / sessions."),
    ),
    row(
        Metric::PageViews,
        "page_views",
        text("Перегляди сторінок", "Page views"),
        Unit::Count,
        Better::Higher,
        Formula::Sessions("coalesce(sum(s.page_views), 0)"),
        text("Перегляди сторінок у цих сесіях.", "Page views in these sessions."),
    ),
    row(
        Metric::PagesPerSession,
        "pages_per_session",
        text("Сторінок на сесію", "Pages per session"),
        Unit::Ratio,
        Better::Higher,
        per_session(Metric::PageViews),
        text("Перегляди сторінок / сесії.", "Page views / sessions."),
    ),
    row(
        Metric::Duration,
        "duration",
        text("Час на сайті, с", "Time on site, s"),
        Unit::Seconds,
        Better::Higher,
        // A visit is a range of `active`, which reaches 30 minutes beyond its last event: in an hour there is room for one only. Taking
        // a session apart costs more than all its other figures, so only those are that last longer.
        Formula::Sessions(
            "coalesce(sum(case when upper(s.active) - lower(s.active) <= 3600000 then upper(s.active) - lower(s.active) - 1800000 \
             else (select sum(upper(v) - lower(v) - 1800000) from unnest(s.active) as v) end), 0) / 1000",
        ),
        text(
            "Сума тривалостей візитів: від першої до останньої події кожного. Перерви між візитами не входять.",
            "Sum of the visits' lengths, each from its first to its last event. The time between visits is left out.",
        ),
    ),
    row(
        Metric::AvgSessionDuration,
        "avg_session_duration",
        text("Середня тривалість сесії, с", "Average session duration, s"),
        Unit::Seconds,
        Better::Higher,
        per_session(Metric::Duration),
        text("Час на сайті / сесії.", "Time on site / sessions."),
    ),
    row(
        Metric::Registrations,
        "registrations",
        text("Реєстрації", "Registrations"),
        Unit::Count,
        Better::Higher,
        sessions_where!("s.registered_at is not null"),
        text(
            "Сесії, в яких створено акаунт.",
            "Sessions in which an account was made.",
        ),
    ),
    row(
        Metric::ProductViews,
        "product_views",
        text("Перегляд товару", "Product view"),
        Unit::Count,
        Better::Higher,
        sessions_where!("s.product_view_at is not null"),
        text(
            "Сесії, в яких переглянуто товар.",
            "Sessions in which a product was viewed.",
        ),
    ),
    row(
        Metric::AddToCart,
        "add_to_cart",
        text("Додали в кошик", "Added to cart"),
        Unit::Count,
        Better::Higher,
        sessions_where!("s.add_to_cart_at is not null"),
        text(
            "Сесії, в яких товар додано в кошик.",
            "Sessions in which a product was added to the cart.",
        ),
    ),
    row(
        Metric::InitiateCheckout,
        "initiate_checkout",
        text("Оформлення", "Checkout"),
        Unit::Count,
        Better::Higher,
        sessions_where!("s.checkout_at is not null"),
        text(
            "Сесії, в яких почато оформлення.",
            "Sessions in which the checkout was entered.",
        ),
    ),
    row(
        Metric::LeadSessions,
        "lead_sessions",
        text("Сесії з лідом", "Sessions with a lead"),
        Unit::Count,
        Better::Higher,
        sessions_where!("s.lead_orders > 0 or s.lead_at is not null"),
        text(
            "Сесії з передплаченим замовленням або подією lead.",
            "Sessions with a prepaid order or a lead event.",
        ),
    ),
    row(
        Metric::PurchaseSessions,
        "purchase_sessions",
        text("Сесії з покупкою", "Sessions with a purchase"),
        Unit::Count,
        Better::Higher,
        sessions_where!("s.paid_orders > 0 or s.purchase_at is not null"),
        text(
            "Сесії з оплаченим замовленням або подією purchase.",
            "Sessions with a paid order or a purchase event.",
        ),
    ),
    row(
        Metric::ProductViewRate,
        "product_view_rate",
        text("Перегляд товару, %", "Product view rate, %"),
        Unit::Percent,
        Better::Higher,
        percent_of_sessions(Metric::ProductViews),
        text(
            "Сесії з переглядом товару / сесії.",
            "Sessions with a product view / sessions.",
        ),
    ),
    row(
        Metric::AddToCartRate,
        "add_to_cart_rate",
        text("У кошик, %", "Add to cart rate, %"),
        Unit::Percent,
        Better::Higher,
        percent_of_sessions(Metric::AddToCart),
        text("Сесії з кошиком / сесії.", "Sessions with a cart / sessions."),
    ),
    row(
        Metric::InitiateCheckoutRate,
        "initiate_checkout_rate",
        text("Оформлення, %", "Checkout rate, %"),
        Unit::Percent,
        Better::Higher,
        percent_of_sessions(Metric::InitiateCheckout),
        text("Сесії з оформленням / сесії.", "Sessions with a checkout / sessions."),
    ),
    row(
        Metric::LeadRate,
        "lead_rate",
        text("Лід, %", "Lead rate, %"),
        Unit::Percent,
        Better::Higher,
        percent_of_sessions(Metric::LeadSessions),
        text("Сесії з лідом / сесії.", "Sessions with a lead / sessions."),
    ),
    row(
        Metric::PurchaseRate,
        "purchase_rate",
        text("Покупка, %", "Purchase rate, %"),
        Unit::Percent,
        Better::Higher,
        percent_of_sessions(Metric::PurchaseSessions),
        text("Сесії з покупкою / сесії.", "Sessions with a purchase / sessions."),
    ),
    row(
        Metric::StrictAddToCart,
        "strict_add_to_cart",
        text("Кошик після перегляду", "Cart after a product view"),
        Unit::Count,
        Better::Higher,
        sessions_where!(cart_in_order!()),
        text(
            "Сесії, в яких товар уперше додано в кошик не раніше, ніж уперше переглянуто.",
            "Sessions whose first add to cart came no earlier than their first product view.",
        ),
    ),
    row(
        Metric::StrictInitiateCheckout,
        "strict_initiate_checkout",
        text("Оформлення після кошика", "Checkout after the cart"),
        Unit::Count,
        Better::Higher,
        sessions_where!(checkout_in_order!()),
        text(
            "Сесії з переглядом, кошиком та оформленням, уперше саме в цьому порядку.",
            "Sessions with product view, cart and checkout, each first time in this order.",
        ),
    ),
    row(
        Metric::StrictLeadSessions,
        "strict_lead_sessions",
        text("Лід після оформлення", "Lead after the checkout"),
        Unit::Count,
        Better::Higher,
        sessions_where!(
            checkout_in_order!(),
            " and (s.lead_at >= s.checkout_at or (s.lead_at is null and s.lead_orders > 0))"
        ),
        text(
            "Сесії, що пройшли до оформлення по порядку й мають лід після нього; лід, відомий лише із замовлень, вважається пізнішим.",
            "Sessions that came to the checkout in order and have a lead after it; a lead known from orders alone counts as later.",
        ),
    ),
    row(
        Metric::StrictPurchaseSessions,
        "strict_purchase_sessions",
        text("Покупка після оформлення", "Purchase after the checkout"),
        Unit::Count,
        Better::Higher,
        sessions_where!(
            checkout_in_order!(),
            " and (s.purchase_at >= s.checkout_at or (s.purchase_at is null and s.paid_orders > 0))"
        ),
        text(
            "Сесії, що пройшли до оформлення по порядку й мають покупку після нього; лід для цього не потрібен.",
            "Sessions that came to the checkout in order and have a purchase after it; a lead is not needed for that.",
        ),
    ),
    row(
        Metric::AdSpend,
        "ad_spend",
        text("Витрати на рекламу", "Ad spend"),
        Unit::Money,
        Better::Neither,
        Formula::Spend("coalesce(sum(a.amount), 0)"),
        text(
            "Завантажені витрати на рекламу за місцевими днями періоду, у валюті сайту. Сума в іншій валюті без відомого курсу не входить. Порожньо в розрізах і фільтрах, яких витрати не мають.",
            "Stored ad spend of the period's local days, in the site's currency. An amount in another currency without a known rate is left out. Null where split or filtered by what spend does not have.",
        ),
    ),
    row(
        Metric::AdClicks,
        "ad_clicks",
        text("Кліки за даними платформ", "Clicks by the platforms' count"),
        Unit::Count,
        Better::Higher,
        Formula::Spend("coalesce(sum(a.clicks), 0)"),
        text(
            "Кліки із завантажених звітів рекламних платформ.",
            "Clicks of the stored reports of ad platforms.",
        ),
    ),
    row(
        Metric::AdImpressions,
        "ad_impressions",
        text("Покази за даними платформ", "Impressions by the platforms' count"),
        Unit::Count,
        Better::Neither,
        Formula::Spend("coalesce(sum(a.impressions), 0)"),
        text(
            "Покази із завантажених звітів рекламних платформ.",
            "Impressions of the stored reports of ad platforms.",
        ),
    ),
    row(
        Metric::Roas,
        "roas",
        text("ROAS", "ROAS"),
        Unit::Ratio,
        Better::Higher,
        Formula::Ratio {
            of: Metric::Revenue,
            per: Metric::AdSpend,
            times: 1,
        },
        text("Дохід / витрати на рекламу.", "Revenue / ad spend."),
    ),
    row(
        Metric::CostPerConversion,
        "cpa",
        text("Ціна конверсії", "Cost per conversion"),
        Unit::Money,
        Better::Lower,
        Formula::Ratio {
            of: Metric::AdSpend,
            per: Metric::Conversions,
            times: 1,
        },
        text("Витрати на рекламу / конверсії.", "Ad spend / conversions."),
    ),
    row(
        Metric::CostPerSession,
        "cost_per_session",
        text("Ціна сесії", "Cost per session"),
        Unit::Money,
        Better::Lower,
        per_session(Metric::AdSpend),
        text("Витрати на рекламу / сесії.", "Ad spend / sessions."),
    ),
    row(
        Metric::CostPerClick,
        "cost_per_click",
        text("Ціна кліку", "Cost per click"),
        Unit::Money,
        Better::Lower,
        Formula::Ratio {
            of: Metric::AdSpend,
            per: Metric::AdClicks,
            times: 1,
        },
        text(
            "Витрати на рекламу / кліки за даними платформ.",
            "Ad spend / clicks by the platforms' count.",
        ),
    ),
];
