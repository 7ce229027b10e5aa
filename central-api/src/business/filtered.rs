//! The figures of a period over the orders that have some dimensions, counted from the days' packed orders: no sums are kept of them.
//!
//! The same definitions as in [`super::days`], which a test compares.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{NaiveDate, TimeDelta};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sqlx::{PgPool, QueryBuilder};

use super::figures::{Day, Item, Overview, RecentOrder, StreamDay, StreamSum, Window};
use super::order_blocks::{Items, Orders, decimal};
use crate::catalogue::{Dimension, Side};
use crate::reports::filter::Filters;
use crate::reports::period::start_of_day;
use crate::reports::sql::chosen;
use crate::rollup::blocks::format::{Reader, Texts};

/// The dimensions that orders take over from their session.
pub fn dimensions() -> impl Iterator<Item = Dimension> {
    Dimension::filters().filter(|dimension| !dimension.needs_session_of_order())
}

/// Reads the texts of the dimensions, which stand beside one another in a block, and finds the rows that the filters admit by them. `wanted`: the
/// dimension whose texts are asked for besides. `None`: these are not the bytes of a block.
pub(super) fn admitted<'a>(
    reader: &mut Reader<'a>,
    filters: &Filters,
    wanted: Option<Dimension>,
) -> Option<(Vec<bool>, Option<Texts<'a>>)> {
    let mut admitted = vec![true; reader.rows()];
    let mut texts_wanted = None;
    for dimension in dimensions() {
        let choice = filters.iter().find(|(filtered, _)| *filtered == dimension);
        let is_wanted = wanted == Some(dimension);
        if choice.is_none() && !is_wanted {
            reader.skip_texts()?;
            continue;
        }
        let texts = reader.texts()?;
        if let Some((_, choice)) = choice {
            let fits: Vec<bool> = texts.values.iter().map(|value| choice.admits(*value)).collect();
            for (row, admitted) in admitted.iter_mut().enumerate() {
                *admitted &= fits[texts.codes.get(row) as usize];
            }
        }
        if is_wanted {
            texts_wanted = Some(texts);
        }
    }
    Some((admitted, texts_wanted))
}

/// Reads the packed orders of some days, and what was sold in them where `items` are asked for, and hands each day to `take`, the latest
/// first, until it answers `false`.
async fn each_day(
    pool: &PgPool,
    window: &Window,
    (first, last): (Option<NaiveDate>, NaiveDate),
    items: bool,
    mut take: impl FnMut(NaiveDate, &Orders<'_>, Option<&Items<'_>>) -> bool,
) -> sqlx::Result<()> {
    let mut days = sqlx::query!(
        "select day, orders, case when $4 then items end as items from order_blocks
         where site_id = $1 and ($2::date is null or day >= $2) and day <= $3 order by day desc",
        window.site_id,
        first,
        last,
        items
    )
    .fetch(pool);
    while let Some(row) = days.try_next().await? {
        let unreadable = || sqlx::Error::Decode(format!("the orders of {} cannot be read", row.day).into());
        let orders = Orders::read(&row.orders, &window.filters).ok_or_else(unreadable)?;
        let items = row
            .items
            .as_deref()
            .map(|bytes| Items::read(bytes).ok_or_else(unreadable));
        if !orders.chosen.is_empty() && !take(row.day, &orders, items.transpose()?.as_ref()) {
            break;
        }
    }
    Ok(())
}

/// The sums of a day's chosen orders, of which there are some.
fn sums(day: NaiveDate, orders: &Orders<'_>) -> Day {
    let mut sums = Day { day, ..Day::default() };
    let (mut revenue, mut discounts) = (0_i128, 0_i128);
    let mut customers = HashSet::new();
    for order in orders.chosen.iter().copied() {
        sums.orders += 1;
        sums.unvalued_orders += i32::from(orders.valued.get(order) == 0);
        sums.new_customers += i32::from(orders.purchase_no.get(order) == 1);
        revenue += i128::from(orders.revenue.get(order));
        if orders.purchase.get(order) == 0 {
            continue;
        }
        sums.purchases += 1;
        discounts += i128::from(orders.discount.get(order));
        sums.vip_orders += i32::from(orders.vip.get(order) == 1);
        sums.subscription_orders += i32::from(orders.subscription.get(order) == 1);
        match orders.customer.get(order) {
            0 => sums.unidentified_purchases += 1,
            customer => drop(customers.insert(customer)),
        }
    }
    Day {
        revenue: decimal(revenue),
        discounts: decimal(discounts),
        unique_customers: customers.len() as i32,
        ..sums
    }
}

pub(super) async fn days(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<Day>> {
    let mut days = Vec::new();
    each_day(pool, window, (window.first, window.last), false, |day, orders, _| {
        days.push(sums(day, orders));
        true
    })
    .await?;
    days.reverse();
    Ok(days)
}

/// The days of a window and of the one before it, their different customers, and the splits of the window.
pub(super) async fn overview(pool: &PgPool, window: &Window, before: Option<&Window>) -> sqlx::Result<Overview> {
    let mut found = Overview::default();
    let mut previous: (Vec<Day>, HashSet<i64>) = Default::default();
    let mut customers = HashSet::new();
    let first = before.map_or(window.first, |before| before.first);
    each_day(pool, window, (first, window.last), false, |day, orders, _| {
        let now = window.first.is_none_or(|first| day >= first);
        if !now && before.is_none_or(|before| day > before.last) {
            return true;
        }
        let purchases = || (orders.chosen.iter().copied()).filter(|order| orders.purchase.get(*order) == 1);
        let (days, customers) = if now {
            (&mut found.days, &mut customers)
        } else {
            (&mut previous.0, &mut previous.1)
        };
        days.push(sums(day, orders));
        customers.extend(
            purchases()
                .map(|order| orders.customer.get(order))
                .filter(|customer| *customer != 0),
        );
        if now {
            let value = |texts: &Texts<'_>, order| {
                texts.values[texts.codes.get(order) as usize]
                    .unwrap_or_default()
                    .to_owned()
            };
            for order in purchases() {
                *found.methods.entry(value(&orders.method, order)).or_default() += 1;
            }
            for order in orders.chosen.iter().copied() {
                *found.statuses.entry(value(&orders.status, order)).or_default() += 1;
            }
        }
        true
    })
    .await?;
    found.days.reverse();
    previous.0.reverse();
    found.customers = customers.len() as i64;
    found.previous = before.map(|_| (previous.0, previous.1.len() as i64));
    Ok(found)
}

/// What sold best.
pub(super) async fn items(pool: &PgPool, window: &Window, limit: i64) -> sqlx::Result<Vec<Item>> {
    #[derive(Default)]
    struct Sum {
        name: Option<String>,
        quantity: i128,
        amount: i128,
        orders: i64,
    }
    let mut sums: HashMap<String, Sum> = HashMap::new();
    each_day(pool, window, (window.first, window.last), true, |_, orders, items| {
        let Some(items) = items else { return true };
        // By the day's own numbers of them first: an item is met many times a day.
        let mut of_day: Vec<Sum> = items.item.values.iter().map(|_| Sum::default()).collect();
        let chosen: HashSet<usize> = orders.chosen.iter().copied().collect();
        for row in (0..items.rows).filter(|row| chosen.contains(&(items.order.get(*row) as usize))) {
            let sum = &mut of_day[items.item.codes.get(row) as usize];
            let name = items.name.values[items.name.codes.get(row) as usize];
            if sum.name.as_deref() < name {
                sum.name = name.map(str::to_owned);
            }
            sum.quantity += i128::from(items.quantity.get(row));
            sum.amount += i128::from(items.amount.get(row));
            sum.orders += 1;
        }
        for (item, of_day) in items.item.values.iter().zip(of_day).filter(|(_, sum)| sum.orders > 0) {
            let sum = sums.entry(item.unwrap_or_default().to_owned()).or_default();
            sum.name = sum.name.take().max(of_day.name);
            sum.quantity += of_day.quantity;
            sum.amount += of_day.amount;
            sum.orders += of_day.orders;
        }
        true
    })
    .await?;
    let mut items: Vec<Item> = (sums.into_iter())
        .map(|(item, sum)| Item {
            item,
            name: sum.name,
            quantity: decimal(sum.quantity),
            amount: decimal(sum.amount),
            orders: sum.orders,
        })
        .collect();
    items.sort_unstable_by(|a, b| b.amount.cmp(&a.amount).then_with(|| a.item.cmp(&b.item)));
    items.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(items)
}

pub(super) async fn streams(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamSum>> {
    let mut sums: BTreeMap<String, StreamSum> = BTreeMap::new();
    for day in stream_days(pool, window).await? {
        let sum = sums.entry(day.stream.clone()).or_insert(StreamSum {
            stream: day.stream,
            amount: Decimal::ZERO,
            transactions: 0,
            unvalued_orders: 0,
        });
        sum.amount += day.amount;
        sum.transactions += i64::from(day.transactions);
        sum.unvalued_orders += i64::from(day.unvalued_orders);
    }
    let mut streams: Vec<StreamSum> = sums.into_values().collect();
    streams.sort_by_key(|stream| std::cmp::Reverse(stream.amount));
    Ok(streams)
}

pub(super) async fn stream_days(pool: &PgPool, window: &Window) -> sqlx::Result<Vec<StreamDay>> {
    let mut days = Vec::new();
    each_day(pool, window, (window.first, window.last), false, |day, orders, _| {
        let mut sums: BTreeMap<&str, (i128, i32, i32)> = BTreeMap::new();
        for order in (orders.chosen.iter().copied()).filter(|order| orders.purchase.get(*order) == 1) {
            let stream = orders.stream.values[orders.stream.codes.get(order) as usize];
            let sum = sums.entry(stream.unwrap_or_default()).or_default();
            sum.0 += i128::from(orders.revenue.get(order));
            sum.1 += 1;
            sum.2 += i32::from(orders.valued.get(order) == 0);
        }
        // Its order is turned round below.
        days.extend(
            sums.into_iter()
                .rev()
                .map(|(stream, (amount, transactions, unvalued_orders))| StreamDay {
                    day,
                    stream: stream.to_owned(),
                    amount: decimal(amount),
                    transactions,
                    unvalued_orders,
                }),
        );
        true
    })
    .await?;
    days.reverse();
    Ok(days)
}

pub(super) async fn recent_orders(pool: &PgPool, window: &Window, limit: i64) -> sqlx::Result<Vec<RecentOrder>> {
    // On which day the last of them lies: of rare ones the index would find it by reading all others.
    let (mut known, mut since) = (0, None);
    each_day(pool, window, (None, NaiveDate::MAX), false, |day, orders, _| {
        known += orders.chosen.len() as i64;
        since = Some(day);
        known < limit
    })
    .await?;
    let mut sql = QueryBuilder::new(
        "select o.order_id, o.order_number, o.created_at, o.payment_status, o.payment_method, o.total, o.currency, o.revenue, \
         o.utm_source, o.utm_campaign from orders o where o.site_id = ",
    );
    sql.push_bind(window.site_id);
    let since = since.unwrap_or(window.last);
    sql.push(" and o.created_at >= ")
        .push_bind(start_of_day(since, window.time_zone) - TimeDelta::hours(2));
    for (dimension, choice) in window.filters.iter() {
        chosen(&mut sql, dimension.sql(Side::Orders), choice);
    }
    sql.push(" order by o.created_at desc, o.order_id limit ")
        .push_bind(limit);
    sql.build_query_as().persistent(false).fetch_all(pool).await
}
