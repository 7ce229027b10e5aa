//! The business relations as files, CSV or XLSX.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use futures_util::{Stream, TryStreamExt};
use sqlx::PgPool;
use tokio::sync::mpsc;

use super::asked::{Asked, FilterParams};
use super::campaigns::{all, days_by_name};
use super::customers;
use super::traffic::{event_type, event_types};
use crate::business::campaigns::Status;
use crate::business::figures;
use crate::business::people::{self, Customer, Section};
use crate::business::segments::Segment;
use crate::business::traffic::{self, Conversion, PageViews};
use crate::catalogue::Text;
use crate::endpoints::download::{self, FORMATS, File, Format};
use crate::error::{ApiError, ErrorBody};
use crate::reports::figure::Figure;
use crate::reports::sheet::{Cell, Column, Kind, Part};
use crate::site::Site;
use crate::state::AppState;

/// Rows that travel together.
const BATCH: usize = 500;

/// What can be exported: the relations of `docs/business.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Daily,
    Streams,
    Customers,
    Campaigns,
    CampaignPerformance,
    PageViews,
    Conversions,
}

impl Relation {
    /// The values of `type`.
    const ALL: [(&'static str, Self); 7] = [
        ("daily", Self::Daily),
        ("revenue-streams", Self::Streams),
        ("customers", Self::Customers),
        ("campaigns", Self::Campaigns),
        ("campaign-performance", Self::CampaignPerformance),
        ("page-views", Self::PageViews),
        ("conversion-events", Self::Conversions),
    ];

    /// Its columns, in the order of its rows.
    const fn columns(self) -> &'static [(Text, Kind)] {
        match self {
            Self::Daily => &DAILY,
            Self::Streams => &STREAMS,
            Self::Customers => &CUSTOMERS,
            Self::Campaigns => &CAMPAIGNS,
            Self::CampaignPerformance => &PERFORMANCE,
            Self::PageViews => &PAGE_VIEWS,
            Self::Conversions => &CONVERSIONS,
        }
    }
}

/// Parameters, for the description.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub struct ExportParams {
    /// Key of the site; need not be given when there is only one.
    site: Option<String>,
    /// `today`, `week`, `month` (the default) or `all_time`; or give `start_date` and `end_date`.
    period: Option<String>,
    /// First local day, YYYY-MM-DD.
    start_date: Option<String>,
    /// Last local day, included.
    end_date: Option<String>,
    /// `daily` (the default), `revenue-streams`, `campaign-performance`, `page-views`, `conversion-events`; `customers` and `campaigns` are
    /// all of them, whatever the period.
    r#type: Option<String>,
    /// Of `customers`: those who are in it today.
    segment: Option<Segment>,
    /// Of `campaign-performance`: the campaign with this number alone.
    campaign_id: Option<i64>,
    /// Of `conversion-events`: one of its kinds.
    event_type: Option<String>,
    /// `csv` (the default) or `xlsx`.
    format: Option<String>,
    /// Language of the header: `uk` or `en`; the site's when absent.
    locale: Option<String>,
}

const fn column(kind: Kind, uk: &'static str, en: &'static str) -> (Text, Kind) {
    (Text { uk, en }, kind)
}

static DAILY: [(Text, Kind); 10] = [
    column(Kind::Day, "День", "Day"),
    column(Kind::Count, "Замовлення", "Orders"),
    column(Kind::Count, "Покупки", "Purchases"),
    column(Kind::Fraction, "Виторг", "Revenue"),
    column(Kind::Fraction, "Знижки", "Discounts"),
    column(Kind::Count, "Покупці", "Customers"),
    column(Kind::Count, "Нові покупці", "New customers"),
    column(Kind::Count, "Покупці, що повернулися", "Returning customers"),
    column(Kind::Count, "VIP-замовлення", "VIP orders"),
    column(Kind::Count, "Замовлення за підпискою", "Subscription orders"),
];

static STREAMS: [(Text, Kind); 4] = [
    column(Kind::Day, "День", "Day"),
    column(Kind::Text, "Потік", "Stream"),
    column(Kind::Fraction, "Виторг", "Revenue"),
    column(Kind::Count, "Покупки", "Purchases"),
];

static CUSTOMERS: [(Text, Kind); 17] = [
    column(Kind::Count, "Номер покупця", "Customer number"),
    column(Kind::Text, "Сегмент", "Segment"),
    column(Kind::Count, "Покупки", "Purchases"),
    column(Kind::Count, "Усі замовлення", "Orders placed"),
    column(Kind::Fraction, "Виторг", "Revenue"),
    column(Kind::Fraction, "Середній чек", "Average order"),
    column(Kind::Fraction, "Знижки", "Discounts"),
    column(Kind::Time, "Перша покупка", "First purchase"),
    column(Kind::Time, "Остання покупка", "Last purchase"),
    column(
        Kind::Count,
        "Днів від останньої покупки",
        "Days since the last purchase",
    ),
    column(Kind::Text, "Може піти", "At risk of leaving"),
    column(Kind::Text, "VIP-рівень", "VIP tier"),
    column(Kind::Text, "Підписка", "Subscription"),
    column(Kind::Text, "Підписка активна", "Subscription active"),
    column(Kind::Count, "Нараховано балів", "Points earned"),
    column(Kind::Count, "Використано балів", "Points redeemed"),
    column(Kind::Count, "Запрошені покупці", "Referrals"),
];

static CAMPAIGNS: [(Text, Kind); 12] = [
    column(Kind::Text, "Кампанія", "Campaign"),
    column(Kind::Text, "Статус", "Status"),
    column(Kind::Day, "Перший день", "First day"),
    column(Kind::Day, "Останній день", "Last day"),
    column(Kind::Count, "Замовлення", "Orders"),
    column(Kind::Count, "Покупки", "Purchases"),
    column(Kind::Fraction, "Виторг", "Revenue"),
    column(Kind::Count, "Покупці", "Customers"),
    column(Kind::Fraction, "Вартість знижок", "Discount cost"),
    column(Kind::Fraction, "Бюджет", "Budget"),
    column(Kind::Fraction, "Конверсія, %", "Conversion rate, %"),
    column(Kind::Fraction, "ROI, %", "ROI, %"),
];

static PERFORMANCE: [(Text, Kind); 10] = [
    column(Kind::Text, "Кампанія", "Campaign"),
    column(Kind::Day, "День", "Day"),
    column(Kind::Count, "Замовлення", "Orders"),
    column(Kind::Count, "Покупки", "Purchases"),
    column(Kind::Fraction, "Виторг", "Revenue"),
    column(Kind::Fraction, "Вартість знижок", "Discount cost"),
    column(Kind::Count, "Покупці", "Customers"),
    column(Kind::Count, "Сесії", "Sessions"),
    column(Kind::Fraction, "Конверсія, %", "Conversion rate, %"),
    column(Kind::Fraction, "ROI на кінець дня, %", "ROI to date, %"),
];

static PAGE_VIEWS: [(Text, Kind); 5] = [
    column(Kind::Day, "День", "Day"),
    column(Kind::Text, "Сторінка", "Page"),
    column(Kind::Count, "Перегляди", "Views"),
    column(Kind::Count, "Відвідувачі", "Visitors"),
    column(Kind::Count, "Сесії", "Sessions"),
];

static CONVERSIONS: [(Text, Kind); 9] = [
    column(Kind::Time, "Час", "Time"),
    column(Kind::Text, "Подія", "Event"),
    column(Kind::Text, "Сесія", "Session"),
    column(Kind::Text, "Замовлення", "Order"),
    column(Kind::Fraction, "Сума", "Value"),
    column(Kind::Text, "Валюта", "Currency"),
    column(Kind::Text, "Джерело", "Source"),
    column(Kind::Text, "Тип трафіку", "Medium"),
    column(Kind::Text, "Кампанія", "Campaign"),
];

fn text(text: impl ToString) -> Cell {
    Cell::Text(text.to_string())
}

fn maybe(found: Option<impl ToString>) -> Cell {
    found.map_or(Cell::Nothing, text)
}

fn count(number: i64) -> Cell {
    Cell::Number(number.into())
}

fn local(at: chrono::DateTime<chrono::Utc>, site: &Site) -> Cell {
    Cell::Time(at.with_timezone(&site.time_zone).naive_local())
}

/// Relations of few rows, whole; `campaign`: that one's alone.
async fn rows(
    asked: &Asked,
    window: &figures::Window,
    relation: Relation,
    campaign: Option<i64>,
) -> Result<Vec<Vec<Cell>>, ApiError> {
    let pool = &asked.pool;
    Ok(match relation {
        Relation::Daily => figures::days(pool, window)
            .await?
            .into_iter()
            .map(|day| {
                vec![
                    day.day.into(),
                    day.orders.into(),
                    day.purchases.into(),
                    Cell::Number(day.revenue),
                    Cell::Number(day.discounts),
                    day.unique_customers.into(),
                    day.new_customers.into(),
                    (day.unique_customers - day.new_customers).into(),
                    day.vip_orders.into(),
                    day.subscription_orders.into(),
                ]
            })
            .collect(),
        Relation::Streams => figures::stream_days(pool, window)
            .await?
            .into_iter()
            .map(|day| {
                vec![
                    day.day.into(),
                    text(day.stream),
                    Cell::Number(day.amount),
                    day.transactions.into(),
                ]
            })
            .collect(),
        Relation::Campaigns => all(asked)
            .await?
            .into_iter()
            .map(|(row, rate, roi)| {
                vec![
                    text(row.name),
                    text(Status::from_name(&row.status).map_or("", Status::name)),
                    row.start_day.into(),
                    row.end_day.map_or(Cell::Nothing, Cell::Day),
                    count(row.orders),
                    count(row.purchases),
                    Cell::Number(row.revenue),
                    count(row.customers_reached),
                    Cell::Number(row.discount_cost),
                    Cell::Number(row.budget),
                    rate.into(),
                    roi.into(),
                ]
            })
            .collect(),
        _ => days_by_name(asked, window, campaign)
            .await?
            .into_iter()
            .map(|(name, day)| {
                vec![
                    text(name),
                    day.day.into(),
                    count(day.orders),
                    count(day.purchases),
                    day.revenue.into(),
                    day.discount_cost.into(),
                    count(day.customers),
                    day.sessions.into(),
                    day.conversion_rate.into(),
                    day.roi_to_date.into(),
                ]
            })
            .collect(),
    })
}

fn customer(row: Customer, site: &Site, today: NaiveDate, language: &str, named: bool) -> Vec<Cell> {
    let segment = row.segment.and_then(Segment::from_code);
    let yes_no = |yes: bool| {
        let words = if yes { ("так", "yes") } else { ("ні", "no") };
        let (uk, en) = words;
        text(Text { uk, en }.get(language))
    };
    let at_risk = row.churn_risk(today, &site.settings.customer_segments);
    vec![
        if named { count(row.customer_no) } else { Cell::Nothing },
        maybe(segment.map(|segment| segment.label().get(language))),
        row.orders.into(),
        row.orders_placed.into(),
        Cell::Number(row.revenue),
        Figure(row.avg_order_value).into(),
        Cell::Number(row.discounts),
        local(row.first_order_at, site),
        local(row.last_order_at, site),
        count(row.days_since_last_order(today)),
        yes_no(at_risk),
        maybe(row.vip_tier),
        maybe(row.subscription),
        yes_no(row.subscription_active),
        Cell::Number(row.loyalty_earned),
        Cell::Number(row.loyalty_redeemed),
        row.referrals.into(),
    ]
}

fn page_view(row: PageViews) -> Vec<Cell> {
    vec![
        maybe(row.day),
        maybe(row.page),
        count(row.views),
        count(row.visitors),
        count(row.sessions),
    ]
}

fn conversion(row: Conversion, site: &Site) -> Vec<Cell> {
    vec![
        local(row.occurred_at, site),
        text(event_type(row.action)),
        text(row.session_id),
        maybe(row.order_id),
        Figure(row.value).into(),
        text(row.currency.as_ref().unwrap_or(&site.currency)),
        maybe(row.utm_source),
        maybe(row.utm_medium),
        maybe(row.utm_campaign),
    ]
}

/// Hands rows on as they are read; stops early when nobody takes them any more.
async fn hand_on(
    mut found: impl Stream<Item = sqlx::Result<Vec<Cell>>> + Unpin,
    parts: &mpsc::Sender<Part>,
) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = found.try_next().await? {
        batch.push(row);
        if batch.len() == BATCH && parts.send(Part::Rows(std::mem::take(&mut batch))).await.is_err() {
            return Ok(());
        }
    }
    // Nobody reads any more, or everybody has it all.
    let _ = parts.send(Part::Rows(batch)).await;
    Ok(())
}

/// Relations of many rows, as they are read.
struct Large {
    asked: Asked,
    relation: Relation,
    segment: Option<Segment>,
    actions: Vec<shared::action::Action>,
    scope: crate::reports::scope::Scope,
    language: &'static str,
}

impl Large {
    async fn read(&self, pool: &PgPool, parts: &mpsc::Sender<Part>) -> anyhow::Result<()> {
        let mut tx = crate::reports::table::snapshot(pool).await?;
        // As long as it takes somebody to save the file; whoever takes nothing for a minute is cut off.
        sqlx::query("set local statement_timeout = '2h'")
            .execute(&mut *tx)
            .await?;
        let site = &*self.asked.site;
        match self.relation {
            Relation::PageViews => {
                let mut statement = traffic::page_views_statement(&self.scope, true, None);
                let rows = statement.build_query_as().persistent(false).fetch(&mut *tx);
                hand_on(rows.map_ok(page_view), parts).await
            }
            Relation::Conversions => {
                let mut statement = traffic::conversions_statement(&self.scope, &self.actions, None);
                let rows = statement.build_query_as().persistent(false).fetch(&mut *tx);
                hand_on(rows.map_ok(|row| conversion(row, site)), parts).await
            }
            _ => {
                let today = self.asked.today();
                let section = self.segment.map_or(Section::All, Section::In);
                let mut statement = people::statement(self.asked.whom(), today, section, false);
                statement.push(" order by revenue desc, customer_no");
                let rows = statement.build_query_as().persistent(false).fetch(&mut *tx);
                let named = self.asked.names_customers;
                hand_on(
                    rows.map_ok(|row| customer(row, site, today, self.language, named)),
                    parts,
                )
                .await
            }
        }
    }
}

/// Business figures as a file.
#[utoipa::path(get, path = "/api/v1/analytics/export", operation_id = "export_business", tag = "business", params(ExportParams, FilterParams),
    responses(
    (status = 200, body = String, description = "CSV: UTF-8 with a byte order mark; or a workbook", content_type = "text/csv"),
    (status = 400, body = ErrorBody, description = "a parameter has a value that is not allowed; it is named"),
    (status = 401, body = ErrorBody, description = "nobody is logged in"),
    (status = 404, body = ErrorBody, description = "there is no such campaign"),
    (status = 429, body = ErrorBody, description = "other exports are under way; Retry-After says when to ask again"),
))]
pub async fn export(State(state): State<AppState>, mut asked: Asked) -> Result<Response, ApiError> {
    let period = asked.period()?;
    let named = Relation::ALL.map(|(name, relation)| (name, (name, relation)));
    let (name, relation) = asked.params.choice("type", &named, Relation::ALL[0])?;
    let format = asked.params.choice("format", &FORMATS, Format::Csv)?;
    let own = if asked.site.language == "en" { "en" } else { "uk" };
    let language = asked.params.choice("locale", &[("uk", "uk"), ("en", "en")], own)?;
    asked.filters()?;
    let segment = match relation {
        Relation::Customers => customers::segment(&mut asked)?,
        _ => None,
    };
    let campaign = match relation {
        Relation::CampaignPerformance => asked.params.one("campaign_id")?,
        _ => None,
    };
    let wrong = |_| ApiError::invalid("campaign_id", "must be the number of a campaign");
    let campaign = campaign.map(|id| id.parse().map_err(wrong)).transpose()?;
    let actions = match relation {
        Relation::Conversions => event_types(&mut asked)?,
        _ => Vec::new(),
    };
    asked.params.clone().finish()?;
    let file = File {
        columns: relation
            .columns()
            .iter()
            .map(|(label, kind)| Column::local(*label, *kind, asked.site.time_zone, language))
            .collect(),
        name: name.replace('-', "_"),
        sheet: name,
        format,
    };
    // A workbook ends with a row of totals; sums of these columns would mean nothing, so it is empty.
    let totals = Part::Totals(file.columns.iter().map(|_| Cell::Nothing).collect());
    let large = Large {
        scope: asked.sessions_scope(period),
        asked,
        relation,
        segment,
        actions,
        language,
    };
    let few = match relation {
        Relation::Customers | Relation::PageViews | Relation::Conversions => None,
        _ => Some(rows(&large.asked, &large.asked.window(&period), relation, campaign).await?),
    };
    download::send(&state, file, move |parts| async move {
        match few {
            Some(rows) => drop(parts.send(Part::Rows(rows)).await),
            None => large.read(&large.asked.pool, &parts).await?,
        }
        let _ = parts.send(totals).await;
        Ok(())
    })
    .await
}
