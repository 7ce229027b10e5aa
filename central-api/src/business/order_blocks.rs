//! The orders of each local day as one packed value, for the figures that no sum answers: those of the orders that have some dimensions.
//!
//! An order's facts are half a kilobyte and its items lie in yet another row, so that a filtered month of a large shop reads a hundred
//! megabytes. What the figures are made of stands here once more, column by column ([`crate::rollup::blocks::format`]), written with the
//! day's other sums and as exact.

use std::collections::HashMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::filtered::{admitted, dimensions};
use crate::catalogue::Side;
use crate::reports::filter::Filters;
use crate::rollup::blocks::format::{Numbers, Reader, Texts, Writer};

/// Money and quantities stand in ten-thousandths.
const DECIMALS: u32 = 4;
/// Counted up when the columns or their meaning change; beside the dimensions' names it is what the blocks are made by.
const VERSION: u32 = 1;
/// Days whose orders are read at once.
const DAYS_AT_ONCE: usize = 14;

/// Columns of numbers, in the order in which they stand in a block, each with what it is of an order's facts `o`. Money beyond what 64 bits hold
/// (nine hundred trillion) is taken for that much, here and of items.
const NUMBERS: [(&str, &str); 8] = [
    ("purchase", "o.purchase::int::bigint"),
    ("revenue", "coalesce(o.revenue * 10000, 0)::bigint"),
    ("valued", "(o.revenue is not null)::int::bigint"),
    (
        "discount",
        "least(coalesce(o.discount * 10000, 0), 9223372036854775807)::bigint",
    ),
    ("customer", "coalesce(o.customer_no, 0)"),
    ("purchase_no", "coalesce(o.purchase_no, 0)::bigint"),
    ("vip", "(o.vip_tier is not null)::int::bigint"),
    ("subscription", "(o.subscription is not null)::int::bigint"),
];
/// Columns of texts before those of the dimensions.
const TEXTS: [(&str, &str); 3] = [
    ("method", "coalesce(o.payment_method, '')"),
    ("status", "o.payment_status"),
    ("stream", "o.stream"),
];

/// The exact decimal of ten-thousandths.
pub fn decimal(ten_thousandths: i128) -> Decimal {
    Decimal::from_i128_with_scale(ten_thousandths, DECIMALS).normalize()
}

/// Tells blocks apart whose columns are other ones.
pub fn layout() -> String {
    let columns = NUMBERS.iter().chain(&TEXTS).map(|(name, _)| *name);
    let names: Vec<&str> = columns.chain(dimensions().map(|dimension| dimension.key())).collect();
    format!("{VERSION} {}", names.join(" "))
}

/// Packs the orders of these days anew.
///
/// # Errors
/// The database's.
pub async fn recompute(conn: &mut PgConnection, site_id: i32, days: &[NaiveDate]) -> sqlx::Result<()> {
    let dimensions = dimensions().map(|dimension| dimension.sql(Side::Orders));
    let columns: Vec<&str> = (NUMBERS.iter().chain(&TEXTS).map(|(_, sql)| *sql))
        .chain(dimensions)
        .collect();
    let orders_of_days = format!(
        "select o.day, o.order_id, {} from order_facts o where o.site_id = $1 and o.day = any($2) order by o.day, o.created_at, o.order_id",
        columns.join(", ")
    );
    for days in days.chunks(DAYS_AT_ONCE) {
        sqlx::query!(
            "delete from order_blocks where site_id = $1 and day = any($2)",
            site_id,
            days
        )
        .execute(&mut *conn)
        .await?;
        let statement = sqlx::query(AssertSqlSafe(orders_of_days.clone()))
            .bind(site_id)
            .bind(days);
        let orders = statement.fetch_all(&mut *conn).await?;
        let orders = orders.iter().map(Order::read).collect::<sqlx::Result<Vec<_>>>()?;
        let places: HashMap<&str, usize> = (orders.chunk_by(|one, next| one.day == next.day))
            .flat_map(|of_day| of_day.iter().enumerate().map(|(place, order)| (&*order.id, place)))
            .collect();
        let mut sold: HashMap<NaiveDate, Vec<(usize, Sold)>> = HashMap::new();
        for sold_of_order in sold_on(conn, site_id, days).await? {
            if let Some(place) = places.get(&*sold_of_order.order_id) {
                sold.entry(sold_of_order.day).or_default().push((*place, sold_of_order));
            }
        }
        let (mut packed, mut orders_of, mut items_of) = (Vec::new(), Vec::new(), Vec::new());
        for of_day in orders.chunk_by(|one, next| one.day == next.day) {
            let day = of_day[0].day;
            packed.push(day);
            orders_of.push(pack(of_day));
            items_of.push(pack_sold(sold.get(&day).map_or(&[], Vec::as_slice)));
        }
        sqlx::query!(
            "insert into order_blocks (site_id, day, orders, items)
             select $1, b.day, b.orders, b.items from unnest($2::date[], $3::bytea[], $4::bytea[]) as b (day, orders, items)",
            site_id,
            &packed,
            &orders_of,
            &items_of
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

struct Order {
    day: NaiveDate,
    id: String,
    numbers: Vec<i64>,
    texts: Vec<Option<String>>,
}

impl Order {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let texts = 2 + NUMBERS.len()..row.len();
        Ok(Self {
            day: row.try_get(0)?,
            id: row.try_get(1)?,
            numbers: (2..texts.start).map(|i| row.try_get(i)).collect::<sqlx::Result<_>>()?,
            texts: texts.map(|i| row.try_get(i)).collect::<sqlx::Result<_>>()?,
        })
    }
}

fn pack(orders: &[Order]) -> Vec<u8> {
    let mut writer = Writer::new(orders.len());
    for i in 0..NUMBERS.len() {
        writer.numbers(&orders.iter().map(|order| order.numbers[i]).collect::<Vec<_>>());
    }
    for i in 0..orders.first().map_or(0, |order| order.texts.len()) {
        writer.texts(&orders.iter().map(|order| order.texts[i].as_deref()).collect::<Vec<_>>());
    }
    writer.finish()
}

/// What of an item was sold in a purchase.
struct Sold {
    day: NaiveDate,
    order_id: String,
    item: String,
    name: Option<String>,
    quantity: i64,
    amount: i64,
}

async fn sold_on(conn: &mut PgConnection, site_id: i32, days: &[NaiveDate]) -> sqlx::Result<Vec<Sold>> {
    sqlx::query_as!(
        Sold,
        r#"select day as "day!", order_id as "order_id!", item as "item!", max(name) as name, round(sum(quantity) * 10000)::bigint as "quantity!",
            least(coalesce(sum(amount), 0) * 10000, 9223372036854775807)::bigint as "amount!"
        from sold_items where site_id = $1 and day = any($2)
        group by day, order_id, item
        order by day, order_id, item"#,
        site_id,
        days
    )
    .fetch_all(conn)
    .await
}

fn pack_sold(sold: &[(usize, Sold)]) -> Vec<u8> {
    let mut writer = Writer::new(sold.len());
    writer.numbers(&sold.iter().map(|(place, _)| *place as i64).collect::<Vec<_>>());
    writer.numbers(&sold.iter().map(|(_, sold)| sold.quantity).collect::<Vec<_>>());
    writer.numbers(&sold.iter().map(|(_, sold)| sold.amount).collect::<Vec<_>>());
    writer.texts(&sold.iter().map(|(_, sold)| Some(&*sold.item)).collect::<Vec<_>>());
    writer.texts(&sold.iter().map(|(_, sold)| sold.name.as_deref()).collect::<Vec<_>>());
    writer.finish()
}

/// The orders of a day: the columns of `order_facts`, 0 where they are null and 1 for true.
#[derive(Debug)]
pub struct Orders<'a> {
    /// Those that the filters admit, the earliest first.
    pub chosen: Vec<usize>,
    pub purchase: Numbers<'a>,
    /// In ten-thousandths of the site's currency.
    pub revenue: Numbers<'a>,
    /// Whether the revenue is known.
    pub valued: Numbers<'a>,
    /// In ten-thousandths of the site's currency.
    pub discount: Numbers<'a>,
    pub customer: Numbers<'a>,
    pub purchase_no: Numbers<'a>,
    pub vip: Numbers<'a>,
    pub subscription: Numbers<'a>,
    pub method: Texts<'a>,
    pub status: Texts<'a>,
    pub stream: Texts<'a>,
}

impl<'a> Orders<'a> {
    /// Reads a block and finds the orders that the filters admit; `None` if these are not the bytes of one.
    pub fn read(bytes: &'a [u8], filters: &Filters) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let mut orders = Self {
            chosen: Vec::new(),
            purchase: reader.numbers()?,
            revenue: reader.numbers()?,
            valued: reader.numbers()?,
            discount: reader.numbers()?,
            customer: reader.numbers()?,
            purchase_no: reader.numbers()?,
            vip: reader.numbers()?,
            subscription: reader.numbers()?,
            method: reader.texts()?,
            status: reader.texts()?,
            stream: reader.texts()?,
        };
        let (admitted, _) = admitted(&mut reader, filters, None)?;
        orders.chosen = (0..admitted.len()).filter(|order| admitted[*order]).collect();
        Some(orders)
    }
}

/// What was sold on a day, a row for each item of a purchase.
#[derive(Debug)]
pub struct Items<'a> {
    /// How many rows.
    pub rows: usize,
    /// The place of its order in the day's [`Orders`].
    pub order: Numbers<'a>,
    /// In ten-thousandths.
    pub quantity: Numbers<'a>,
    /// In ten-thousandths of the site's currency.
    pub amount: Numbers<'a>,
    /// What is sold.
    pub item: Texts<'a>,
    /// How the order calls it.
    pub name: Texts<'a>,
}

impl<'a> Items<'a> {
    /// Reads a block; `None` if these are not the bytes of one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        Some(Self {
            rows: reader.rows(),
            order: reader.numbers()?,
            quantity: reader.numbers()?,
            amount: reader.numbers()?,
            item: reader.texts()?,
            name: reader.texts()?,
        })
    }
}
