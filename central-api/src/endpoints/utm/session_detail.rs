//! `{id}/session-detail`: one session with its visits, actions, orders and the visitor's other touches.

use axum::Json;
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use uuid::Uuid;

use super::Endpoint;
use super::asked::Asked;
use super::describe;
use super::sessions::SessionAnswer;
use crate::db::session_detail as db;
use crate::error::ApiError;
use crate::extract::Path;
use crate::reports::figure::Figure;
use crate::reports::session::{self, SessionRow};

/// Actions shown at most; a session seldom has a hundred.
const MAX_ACTIONS: i64 = 1_000;
/// Other touches shown at most, before and after.
const MAX_TOUCHES: i64 = 50;

/// What only the detail shows.
#[derive(Debug, Serialize, ToSchema)]
struct More {
    /// utm_id.
    utm_id: Option<String>,
    /// utm_source_platform.
    utm_source_platform: Option<String>,
    /// utm_creative_format.
    utm_creative_format: Option<String>,
    /// Values as they came, where normalising changed them.
    #[schema(value_type = Option<Object>)]
    raw: Option<serde_json::Value>,
    /// Source and medium were inferred, not tagged.
    inferred: bool,
    /// Click ids by name.
    #[schema(value_type = Option<Object>)]
    click_ids: Option<serde_json::Value>,
    /// The parameter `ref`.
    referral: Option<String>,
    /// Path of the page it came from.
    referrer_path: Option<String>,
    /// Host of the first page.
    landing_host: Option<String>,
    /// Query of the first page, without what is personal.
    landing_query: Option<String>,
    /// Version of the operating system.
    os_version: Option<String>,
    /// Version of the browser.
    browser_version: Option<String>,
    /// Time zone of the connection.
    time_zone: Option<String>,
    /// Continent.
    continent: Option<String>,
    /// Network.
    as_organization: Option<String>,
    /// Address, as far as the privacy setting keeps it.
    ip: Option<String>,
    /// Raw user agent, as long as the privacy setting keeps it.
    user_agent: Option<String>,
    /// When an account was made, UTC.
    registered_at: Option<DateTime<Utc>>,
}

/// A visit.
#[derive(Debug, Serialize, ToSchema)]
struct Visit {
    /// From 1, as in `actions`.
    number: i16,
    /// First event, UTC.
    started_at: DateTime<Utc>,
    /// Last event, UTC.
    ended_at: DateTime<Utc>,
    /// Seconds between them.
    duration: Figure,
}

/// An action.
#[derive(Debug, Serialize, ToSchema)]
struct Action {
    /// Its event's id.
    id: Uuid,
    /// When it happened, UTC.
    occurred_at: DateTime<Utc>,
    /// Type: page_view, product_view, …
    action_type: &'static str,
    /// Name of a custom action.
    name: Option<String>,
    /// Visit it belongs to, from 1.
    visit: i16,
    /// Points it earned.
    points: i32,
    /// Page's path.
    path: Option<String>,
    /// The shop's product id.
    product_id: Option<String>,
    /// The shop's order id.
    order_id: Option<String>,
    /// Search phrase, label of a click.
    label: Option<String>,
    /// Pieces.
    quantity: Option<i32>,
    /// Scroll depth in percent, time on page in seconds.
    amount: Option<i32>,
    /// Money.
    value: Figure,
    /// Currency of `value`; null: the site's.
    currency: Option<String>,
    /// Free properties.
    #[schema(value_type = Option<Object>)]
    props: Option<serde_json::Value>,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
struct Order {
    /// The shop's id.
    order_id: String,
    /// The shop's number.
    order_number: Option<String>,
    /// How it was linked.
    link_method: Option<String>,
    /// Currency of total and refunded.
    currency: String,
    /// What the customer was charged.
    total: Figure,
    /// What went back.
    refunded: Figure,
    /// What it adds to revenue, in the site's currency; null while the rate is unknown.
    revenue: Figure,
    /// Payment status.
    payment_status: String,
    /// Placed, UTC.
    created_at: DateTime<Utc>,
    /// Paid, UTC.
    paid_at: Option<DateTime<Utc>>,
}

/// Another session of the same visitor.
#[derive(Debug, Serialize, ToSchema)]
struct Touch {
    /// Its id.
    id: Uuid,
    /// First event, UTC.
    first_seen: DateTime<Utc>,
    /// Normalised utm_source.
    utm_source: Option<String>,
    /// Normalised utm_medium.
    utm_medium: Option<String>,
    /// Normalised utm_campaign.
    utm_campaign: Option<String>,
    /// Channel.
    channel: Option<String>,
    /// Its orders.
    orders: i32,
    /// What they brought.
    revenue: Figure,
}

/// A session with everything that belongs to it.
#[derive(Debug, Serialize, ToSchema)]
struct Detail {
    /// The site's key.
    site: String,
    /// ISO 4217 code of revenue.
    currency: String,
    /// As in the list.
    session: SessionAnswer,
    /// What the list does not show.
    details: More,
    /// Its visits, as far as events tell of them: `session.visit_count` of an imported session is the source's own count. What the shop's backend
    /// sent afterwards neither begins nor lengthens one.
    visits: Vec<Visit>,
    /// Its first 1,000 actions; `session.event_count` says how many there are.
    actions: Vec<Action>,
    /// Its orders.
    orders: Vec<Order>,
    /// The visitor's sessions before it, oldest first, the last 50.
    touches_before: Vec<Touch>,
    /// The visitor's sessions after it, oldest first, the first 50.
    touches_after: Vec<Touch>,
}

impl From<db::Touch> for Touch {
    fn from(touch: db::Touch) -> Self {
        Self {
            id: touch.session_id,
            first_seen: touch.first_seen,
            utm_source: touch.utm_source,
            utm_medium: touch.utm_medium,
            utm_campaign: touch.utm_campaign,
            channel: touch.channel,
            orders: touch.orders,
            revenue: touch.revenue.into(),
        }
    }
}

impl From<db::Action> for Action {
    fn from(row: db::Action) -> Self {
        Self {
            id: row.event_id,
            occurred_at: row.occurred_at,
            action_type: shared::action::Action::from_code(row.action).map_or("custom", |action| action.name()),
            name: row.name,
            visit: row.visit_no,
            points: row.points,
            path: row.path,
            product_id: row.product_id,
            order_id: row.order_id,
            label: row.label,
            quantity: row.quantity,
            amount: row.amount,
            value: Figure(row.value),
            currency: row.currency,
            props: row.props,
        }
    }
}

impl From<db::Order> for Order {
    fn from(row: db::Order) -> Self {
        Self {
            order_id: row.order_id,
            order_number: row.order_number,
            link_method: row.link_method,
            currency: row.currency,
            total: row.total.into(),
            refunded: row.refunded.into(),
            revenue: Figure(row.revenue),
            payment_status: row.payment_status,
            created_at: row.created_at,
            paid_at: row.paid_at,
        }
    }
}

async fn session_detail(Path(id): Path<String>, asked: Asked) -> Result<Json<Detail>, ApiError> {
    asked.params.finish()?;
    let id = Uuid::try_parse(&id).map_err(|_| ApiError::invalid("id", "must be a session's id, a UUID"))?;
    let (pool, site) = (&asked.pool, &asked.site);
    const NOT_FOUND: ApiError = ApiError::NotFound("there is no such session");
    let more = db::more(pool, site.id, id).await?.ok_or(NOT_FOUND)?;
    let visitor = more.visitor_id;
    let mut statement = session::session(site.id, visitor, id);
    let (session, visits, actions, orders, touches) = tokio::try_join!(
        statement.build_query_as::<SessionRow>().fetch_optional(pool),
        db::visits(pool, site.id, visitor, id),
        db::actions(pool, site.id, visitor, id, MAX_ACTIONS),
        db::orders(pool, site.id, id),
        db::touches(pool, site.id, visitor, id, more.first_seen, MAX_TOUCHES),
    )?;
    let session = session.ok_or(NOT_FOUND)?;
    let (before, after): (Vec<_>, Vec<_>) = touches
        .into_iter()
        .partition(|touch| (touch.first_seen, touch.session_id) < (more.first_seen, id));
    let visits = visits.into_iter().scan(0, |last, visit| {
        // An import may not number what it brings.
        *last = (*last + 1).max(visit.visit_no);
        Some((*last, visit))
    });
    let visits = visits.map(|(number, visit)| Visit {
        number,
        started_at: visit.started_at,
        ended_at: visit.ended_at,
        duration: rust_decimal::Decimal::new((visit.ended_at - visit.started_at).num_milliseconds(), 3).into(),
    });
    Ok(Json(Detail {
        site: site.key.clone(),
        currency: site.currency.clone(),
        session: SessionAnswer::of(session, site),
        visits: visits.collect(),
        actions: actions.into_iter().map(Action::from).collect(),
        orders: orders.into_iter().map(Order::from).collect(),
        touches_before: before.into_iter().map(Touch::from).collect(),
        touches_after: after.into_iter().map(Touch::from).collect(),
        details: More {
            utm_id: more.utm_id,
            utm_source_platform: more.utm_source_platform,
            utm_creative_format: more.utm_creative_format,
            raw: more.raw,
            inferred: more.inferred,
            click_ids: more.click_ids,
            referral: more.referral,
            referrer_path: more.referrer_path,
            landing_host: more.landing_host,
            landing_query: more.landing_query,
            os_version: more.os_version,
            browser_version: more.browser_version,
            time_zone: more.time_zone,
            continent: more.continent,
            as_organization: more.as_organization,
            ip: more.ip,
            user_agent: more.user_agent,
            registered_at: more.registered_at,
        },
    }))
}

pub(super) fn endpoint() -> Endpoint {
    let mut schemas = describe::common_schemas();
    describe::schemas_of::<Detail>(&mut schemas);
    let id = ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))),
        ))
        .description(Some("The session's id."))
        .build();
    Endpoint {
        path: "{id}/session-detail",
        alias: Some("{id}/session_detail"),
        handler: get(session_detail),
        operations: describe::get(
            describe::operation(
                "session_detail",
                "One session",
                "The session with its visits, actions, orders and the visitor's touches before and after it. Also under session_detail.",
                [id.into(), describe::site_parameter()],
                describe::reference::<Detail>(),
            )
            .response("404", describe::error("There is no such session on this site.")),
        ),
        schemas,
    }
}
