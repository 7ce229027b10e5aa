//! What mails and the page for unsubscribing say, in both languages. Names of figures are the catalogue's.

use super::timing::Covered;
use crate::catalogue::Text;

const fn text(uk: &'static str, en: &'static str) -> Text {
    Text { uk, en }
}

/// Name of the product as the subject says it.
pub const PRODUCT: Text = text("UTM Аналітика", "UTM Analytics");

/// Beginning of the subject's second half.
pub const fn report_for(covered: Covered) -> Text {
    match covered {
        Covered::Day => text("звіт за день", "daily report"),
        Covered::Today => text("звіт за сьогодні", "report for today"),
        Covered::Week => text("звіт за тиждень", "weekly report"),
        Covered::Month => text("звіт за місяць", "monthly report"),
        Covered::Days => text("звіт за період", "report"),
        Covered::AllTime => text("звіт за весь час", "report for all time"),
    }
}

/// Sentences and headings of a report.
#[expect(missing_docs, reason = "each is its own description")]
pub struct Words {
    pub preheader: Text,
    pub compared_with: Text,
    pub late: Text,
    pub earlier_failed: Text,
    pub general: Text,
    pub figure: Text,
    pub now: Text,
    pub before: Text,
    pub change: Text,
    pub trend: Text,
    pub chart_alt: Text,
    pub sources: Text,
    pub source: Text,
    pub ltv: Text,
    pub ltv_per_session: Text,
    pub max_cpa: Text,
    pub funnel: Text,
    pub repeat: Text,
    pub repeat_later: Text,
    pub repeat_rate: Text,
    pub repeat_customers: Text,
    pub one_time_customers: Text,
    pub total_customers: Text,
    pub orders_per_customer: Text,
    pub days_between: Text,
    pub coverage: Text,
    pub coverage_orders: Text,
    pub coverage_linked: Text,
    pub coverage_unlinked: Text,
    pub without_rate: Text,
    pub nothing: Text,
    pub filters: Text,
    pub attached: Text,
    pub too_long: Text,
    pub open: Text,
    pub why: Text,
    pub why_by_hand: Text,
    pub unsubscribe: Text,
    pub zone: Text,
}

/// See [`Words`].
pub const WORDS: Words = Words {
    preheader: text(
        "Сесії, дохід, джерела та воронка",
        "Sessions, revenue, sources and funnel",
    ),
    compared_with: text("Зміна – проти", "Change is against"),
    late: text(
        "Цей звіт запізнився: його час був",
        "This report is late: it was due on",
    ),
    earlier_failed: text(
        "Попередній звіт отримали не всі. Адрес, яким його не доставлено:",
        "The report before this one did not reach everybody. Addresses it was not delivered to:",
    ),
    general: text("Загальні показники", "General figures"),
    figure: text("Показник", "Figure"),
    now: text("Зараз", "Now"),
    before: text("Було", "Before"),
    change: text("Зміна", "Change"),
    trend: text("Динаміка", "Trend"),
    chart_alt: text(
        "Графік сесій і доходу за період",
        "Chart of sessions and revenue over the period",
    ),
    sources: text("Топ-5 джерел", "Top 5 sources"),
    source: text("Джерело", "Source"),
    ltv: text("LTV за джерелом (топ-5)", "LTV by source (top 5)"),
    ltv_per_session: text("LTV сесії", "LTV per session"),
    max_cpa: text("Макс. CPA", "Max. CPA"),
    funnel: text("Воронка конверсій", "Conversion funnel"),
    repeat: text("Повторні покупки", "Repeat purchases"),
    repeat_later: text(
        "Клієнтів ще об’єднують за контактами; ці показники будуть у наступному звіті.",
        "Customers are still being joined by their contacts; these figures will be in the next report.",
    ),
    repeat_rate: text("Частка повторних", "Repeat rate"),
    repeat_customers: text("Повторні клієнти", "Repeat customers"),
    one_time_customers: text("Купили один раз", "Bought once"),
    total_customers: text("Усього клієнтів", "All customers"),
    orders_per_customer: text("Замовлень на клієнта", "Orders per customer"),
    days_between: text("Днів між замовленнями", "Days between orders"),
    coverage: text("Покриття", "Coverage"),
    coverage_orders: text("Замовлень за період", "Orders in the period"),
    coverage_linked: text("Пов’язано із сесією", "Linked to a session"),
    coverage_unlinked: text("Без сесії", "Without a session"),
    without_rate: text(
        "Покупок без курсу валюти (не в доході)",
        "Purchases without an exchange rate (not in revenue)",
    ),
    nothing: text("За цей період даних немає.", "There is nothing in this period."),
    filters: text("Фільтри", "Filters"),
    attached: text("Додано файли", "Attached"),
    too_long: text(
        "Таблиця завелика для листа; її можна завантажити в панелі:",
        "This table is too long for a mail; the panel exports it:",
    ),
    open: text("Відкрити в панелі", "Open in the panel"),
    why: text(
        "Ви отримуєте цей лист за розкладом",
        "You get this mail by the schedule",
    ),
    why_by_hand: text("Цей лист надіслано на запит", "This mail was sent on request"),
    unsubscribe: text("Відписатися", "Unsubscribe"),
    zone: text("Дні – за часом", "Days are those of"),
};

/// What the page for unsubscribing says.
#[expect(missing_docs, reason = "each is its own description")]
pub struct UnsubscribeWords {
    pub title: Text,
    pub question: Text,
    pub button: Text,
    pub done: Text,
    pub unknown: Text,
}

/// See [`UnsubscribeWords`].
pub const UNSUBSCRIBE: UnsubscribeWords = UnsubscribeWords {
    title: text("Відписка від звітів", "Unsubscribe from reports"),
    question: text(
        "Більше не надсилати вам звіти за розкладом",
        "Send you no more reports by the schedule",
    ),
    button: text("Відписатися", "Unsubscribe"),
    done: text(
        "Готово: звіти за цим розкладом більше не надходитимуть.",
        "Done: no more reports of this schedule will come.",
    ),
    unknown: text(
        "Це посилання більше не діє: вас уже немає у списку.",
        "This link is no longer valid: you are not on the list any more.",
    ),
};
