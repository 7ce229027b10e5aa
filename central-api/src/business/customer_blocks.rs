//! Customers packed column by column ([`crate::rollup::blocks::format`]), some hundreds in a value: for the figures of those whose first
//! purchase has some dimensions, of which no sums are kept.
//!
//! A block holds the customers of a range of numbers. It is packed from their rows, whole, in the transaction that changes one of them;
//! numbers only grow, so that new customers meet in the last block.

use chrono::NaiveDate;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::filtered::{admitted, dimensions};
use crate::catalogue::{Dimension, Side};
use crate::reports::filter::Filters;
use crate::rollup::blocks::format::{Numbers, Reader, Texts, Writer};

/// Counted up when the columns or their meaning change; beside the dimensions' names it is what the blocks are made by.
const VERSION: u32 = 2;
/// Customers of one block: a returning customer's order packs as many anew, and a page reads as many at once.
const CUSTOMERS: i64 = 512;

/// Columns of numbers, in the order in which they stand in `worth`, each with what it is of a row `o` of `customer_metrics`. Money beyond
/// what 64 bits hold (nine hundred trillion) is taken for that much.
const WORTH: [(&str, &str); 8] = [
    ("revenue", "least(o.revenue * 10000, 9223372036854775807)::bigint"),
    ("orders", "o.orders::bigint"),
    ("unvalued_orders", "o.unvalued_orders::bigint"),
    ("subscription_active", "o.subscription_active::int::bigint"),
    (
        "loyalty_earned",
        "least(o.loyalty_earned * 10000, 9223372036854775807)::bigint",
    ),
    (
        "loyalty_redeemed",
        "least(o.loyalty_redeemed * 10000, 9223372036854775807)::bigint",
    ),
    ("referrals", "o.referrals::bigint"),
    ("last_day", "(o.last_day - date '1970-01-01')::bigint"),
];

/// Tells blocks apart whose columns are other ones.
pub fn layout() -> String {
    let columns = WORTH.iter().map(|(name, _)| *name);
    let names: Vec<&str> = columns.chain(dimensions().map(|dimension| dimension.key())).collect();
    format!("{VERSION} {}", names.join(" "))
}

/// Days since 1970, as days stand in blocks.
pub fn day_number(day: NaiveDate) -> i64 {
    day.to_epoch_days().into()
}

/// Packs the blocks anew that these customers are, were or will be in.
///
/// # Errors
/// The database's.
pub async fn recompute(conn: &mut PgConnection, site_id: i32, customers: &[i64]) -> sqlx::Result<()> {
    // What is below the first block belongs to it.
    let ranges = sqlx::query!(
        r#"select f.first as "first!", (select min(b.first_no) from customer_blocks b where b.site_id = $1 and b.first_no > f.first) as next
        from (select distinct coalesce((select max(b.first_no) from customer_blocks b where b.site_id = $1 and b.first_no <= k.no), 0) as first
            from unnest($2::bigint[]) as k(no)) f
        order by 1"#,
        site_id,
        customers
    )
    .fetch_all(&mut *conn)
    .await?;
    for range in ranges {
        pack_range(conn, site_id, range.first, range.next.unwrap_or(i64::MAX)).await?;
    }
    Ok(())
}

/// Packs all customers of the site anew.
///
/// # Errors
/// The database's.
pub async fn rebuild(conn: &mut PgConnection, site_id: i32) -> sqlx::Result<()> {
    pack_range(conn, site_id, 0, i64::MAX).await
}

/// Packs the customers from one number to below another, into more than one block where they have become too many for one.
async fn pack_range(conn: &mut PgConnection, site_id: i32, first: i64, next: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from customer_blocks where site_id = $1 and first_no >= $2 and first_no < $3",
        site_id,
        first,
        next
    )
    .execute(&mut *conn)
    .await?;
    let mut from = first;
    while let Some(Packed { block, next: after }) = pack_from(conn, site_id, from, next).await? {
        // The first block of a range keeps the range's beginning, so that no number falls between two blocks.
        let first_no = if from == first { first } else { block.first_no };
        sqlx::query!(
            "insert into customer_blocks (site_id, first_no, origins, worth, moves, months) values ($1, $2, $3, $4, $5, $6)",
            site_id,
            first_no,
            block.origins,
            block.worth,
            block.moves,
            block.months
        )
        .execute(&mut *conn)
        .await?;
        from = after;
    }
    Ok(())
}

/// A block, and the number from which on the next one's customers are.
pub struct Packed {
    /// The block.
    pub block: Block,
    /// Of no customer of this one.
    pub next: i64,
}

/// Packs the first customers from one number to below another, as many as a block has; none where there are none.
///
/// # Errors
/// The database's.
pub async fn pack_from(conn: &mut PgConnection, site_id: i32, from: i64, to: i64) -> sqlx::Result<Option<Packed>> {
    let columns: Vec<&str> = (WORTH.iter().map(|(_, sql)| *sql))
        .chain(dimensions().map(|dimension| dimension.sql(Side::Orders)))
        .collect();
    let statement = format!(
        "select o.customer_no, o.vip_tier, o.move_days, o.segments, o.purchase_months, o.month_purchases, {} \
         from customer_metrics o \
         where o.site_id = $1 and o.customer_no >= $2 and o.customer_no < $3 order by o.customer_no limit $4",
        columns.join(", ")
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(site_id)
        .bind(from)
        .bind(to)
        .bind(CUSTOMERS)
        .fetch_all(conn)
        .await?;
    let customers = rows.iter().map(Customer::read).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(customers.last().map(|last| Packed {
        block: pack(&customers),
        next: last.number + 1,
    }))
}

struct Customer {
    number: i64,
    vip_tier: Option<String>,
    /// Days since 1970, and the segment from each on.
    moves: Vec<(i64, i64)>,
    /// Months, and the purchases of each.
    months: Vec<(i64, i64)>,
    worth: Vec<i64>,
    dimensions: Vec<Option<String>>,
}

impl Customer {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let days: Vec<NaiveDate> = row.try_get(2)?;
        let segments: Vec<i16> = row.try_get(3)?;
        let months: Vec<i32> = row.try_get(4)?;
        let purchases: Vec<i32> = row.try_get(5)?;
        let worth = 6..6 + WORTH.len();
        let dimensions = worth.end..row.len();
        Ok(Self {
            number: row.try_get(0)?,
            vip_tier: row.try_get(1)?,
            moves: days
                .into_iter()
                .map(day_number)
                .zip(segments.into_iter().map(i64::from))
                .collect(),
            months: months
                .into_iter()
                .map(i64::from)
                .zip(purchases.into_iter().map(i64::from))
                .collect(),
            worth: worth.map(|i| row.try_get(i)).collect::<sqlx::Result<_>>()?,
            dimensions: dimensions.map(|i| row.try_get(i)).collect::<sqlx::Result<_>>()?,
        })
    }
}

/// As it stands in the table.
pub struct Block {
    /// The number of its first customer, or a smaller one.
    pub first_no: i64,
    /// For [`Origins::read`].
    pub origins: Vec<u8>,
    /// For [`Worth::read`].
    pub worth: Vec<u8>,
    /// For [`Pairs::read`].
    pub moves: Vec<u8>,
    /// For [`Pairs::read`].
    pub months: Vec<u8>,
}

fn pack(customers: &[Customer]) -> Block {
    let numbers = |of: &dyn Fn(&Customer) -> i64| customers.iter().map(of).collect::<Vec<_>>();
    let mut origins = Writer::new(customers.len());
    origins.numbers(&numbers(&|customer| customer.moves.len() as i64));
    origins.numbers(&numbers(&|customer| customer.months.len() as i64));
    for i in 0..customers.first().map_or(0, |customer| customer.dimensions.len()) {
        let texts: Vec<Option<&str>> = customers.iter().map(|one| one.dimensions[i].as_deref()).collect();
        origins.texts(&texts);
    }
    let mut worth = Writer::new(customers.len());
    for i in 0..WORTH.len() {
        worth.numbers(&numbers(&|customer| customer.worth[i]));
    }
    let tiers: Vec<Option<&str>> = customers.iter().map(|one| one.vip_tier.as_deref()).collect();
    worth.texts(&tiers);
    Block {
        first_no: customers.first().map_or(0, |customer| customer.number),
        origins: origins.finish(),
        worth: worth.finish(),
        moves: pack_pairs(customers.iter().flat_map(|customer| &customer.moves)),
        months: pack_pairs(customers.iter().flat_map(|customer| &customer.months)),
    }
}

fn pack_pairs<'a>(pairs: impl Iterator<Item = &'a (i64, i64)>) -> Vec<u8> {
    let (ones, others): (Vec<i64>, Vec<i64>) = pairs.copied().unzip();
    let mut writer = Writer::new(ones.len());
    writer.numbers(&ones);
    writer.numbers(&others);
    writer.finish()
}

/// What brought the customers of a block.
#[derive(Debug)]
pub struct Origins<'a> {
    /// Whether the filters admit each.
    pub chosen: Vec<bool>,
    /// How many of the block's moves are of each.
    pub moves: Numbers<'a>,
    /// How many of the block's months are of each.
    pub months: Numbers<'a>,
    /// Sources of the first purchases.
    pub source: Texts<'a>,
}

impl<'a> Origins<'a> {
    /// Reads a block and finds the customers that the filters admit; `None`, here and below: these are not the bytes of one.
    pub fn read(bytes: &'a [u8], filters: &Filters) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let (moves, months) = (reader.numbers()?, reader.numbers()?);
        let (chosen, source) = admitted(&mut reader, filters, Some(Dimension::UtmSource))?;
        Some(Self {
            chosen,
            moves,
            months,
            source: source?,
        })
    }
}

/// What the customers of a block bought and are: the columns of `customer_metrics`, 1 for true.
#[derive(Debug)]
pub struct Worth<'a> {
    /// In ten-thousandths of the site's currency.
    pub revenue: Numbers<'a>,
    pub orders: Numbers<'a>,
    pub unvalued_orders: Numbers<'a>,
    pub subscription_active: Numbers<'a>,
    /// In ten-thousandths.
    pub loyalty_earned: Numbers<'a>,
    /// In ten-thousandths.
    pub loyalty_redeemed: Numbers<'a>,
    pub referrals: Numbers<'a>,
    /// Days since 1970.
    pub last_day: Numbers<'a>,
    pub vip_tier: Texts<'a>,
}

impl<'a> Worth<'a> {
    /// Reads a block of so many customers.
    pub fn read(bytes: &'a [u8], customers: usize) -> Option<Self> {
        let mut reader = Reader::new(bytes).filter(|reader| reader.rows() == customers)?;
        Some(Self {
            revenue: reader.numbers()?,
            orders: reader.numbers()?,
            unvalued_orders: reader.numbers()?,
            subscription_active: reader.numbers()?,
            loyalty_earned: reader.numbers()?,
            loyalty_redeemed: reader.numbers()?,
            referrals: reader.numbers()?,
            last_day: reader.numbers()?,
            vip_tier: reader.texts()?,
        })
    }
}

/// Moves between segments, or months with purchases, of a block's customers, one customer after another.
#[derive(Debug)]
pub struct Pairs<'a> {
    /// Days since 1970, or months counted from the year 0.
    pub when: Numbers<'a>,
    /// The code of the segment from then on, or the number of purchases then.
    pub what: Numbers<'a>,
}

impl<'a> Pairs<'a> {
    /// Reads a block, of whose pairs each customer has so many.
    pub fn read(bytes: &'a [u8], of_each: &Numbers<'a>, customers: usize) -> Option<Self> {
        let mut reader = Reader::new(bytes)?;
        let mut known = 0_usize;
        for customer in 0..customers {
            known = known.checked_add(usize::try_from(of_each.get(customer)).ok()?)?;
        }
        (known == reader.rows()).then_some(())?;
        Some(Self {
            when: reader.numbers()?,
            what: reader.numbers()?,
        })
    }
}
