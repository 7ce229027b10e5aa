//! What is known of the customers whose first purchase has some dimensions, counted from their packed rows: no sums are kept of them.
//!
//! A customer is one whatever the later orders came by: acquired through what brought the first purchase, and shown with everything since.
//! The same definitions as in [`super::people`], which a test compares.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::customer_blocks::{self, Block, Origins, Pairs, Worth, day_number};
use super::order_blocks::decimal;
use super::people::{Group, Makeup, Month, Move, Section, SegmentSum, Whom};
use super::segments::{Segment, SegmentRules};
use crate::catalogue::Side;
use crate::reports::sql::chosen;
use crate::reports::table;
use crate::rollup::blocks::format::{Numbers, Texts};

/// The condition on customers `o`, whose columns are named as those of orders.
pub(super) fn within(sql: &mut QueryBuilder<Postgres>, whom: Whom<'_>) {
    sql.push(" where o.site_id = ").push_bind(whom.site.id);
    for (dimension, choice) in whom.filters.iter() {
        chosen(sql, dimension.sql(Side::Orders), choice);
    }
}

/// The condition that customers `o` are in a section on a day.
pub(super) fn section(sql: &mut QueryBuilder<Postgres>, day: NaiveDate, section: Section<'_>) {
    match section {
        Section::All => {}
        Section::In(segment) => {
            sql.push(" and o.segments[width_bucket(").push_bind(day);
            sql.push("::date, o.move_days)] = ").push_bind(segment.code());
        }
        Section::AtRisk(rules) => {
            sql.push(" and ");
            at_risk(sql, day, rules);
        }
    }
}

/// That customers `o` are at risk of not coming back.
fn at_risk(sql: &mut QueryBuilder<Postgres>, day: NaiveDate, rules: &SegmentRules) {
    let before = |days: u16| day - Days::new(days.into());
    sql.push("not o.subscription_active and o.last_day < ")
        .push_bind(before(rules.at_risk_after_days));
    sql.push(" and o.last_day >= ").push_bind(before(rules.lost_after_days));
}

/// Which columns of the blocks are read.
#[derive(Clone, Copy)]
struct Columns {
    worth: bool,
    moves: bool,
    months: bool,
}

/// The customers of a block; what was not asked for is `None`.
struct Known<'a> {
    origins: Origins<'a>,
    worth: Option<Worth<'a>>,
    moves: Option<Pairs<'a>>,
    months: Option<Pairs<'a>>,
}

impl<'a> Known<'a> {
    /// `None`: these are not the bytes of a block.
    fn read(block: &'a Block, whom: Whom<'_>, columns: Columns) -> Option<Self> {
        let origins = Origins::read(&block.origins, whom.filters)?;
        let customers = origins.chosen.len();
        let worth = || Worth::read(&block.worth, customers);
        let moves = || Pairs::read(&block.moves, &origins.moves, customers);
        let months = || Pairs::read(&block.months, &origins.months, customers);
        Some(Self {
            worth: if columns.worth { Some(worth()?) } else { None },
            moves: if columns.moves { Some(moves()?) } else { None },
            months: if columns.months { Some(months()?) } else { None },
            origins,
        })
    }
}

/// Reads the blocks one after another and hands each to `take`.
async fn each_block(
    pool: &PgPool,
    whom: Whom<'_>,
    columns: Columns,
    mut take: impl FnMut(&Known<'_>),
) -> sqlx::Result<()> {
    let mut hand_over = |block: &Block| -> sqlx::Result<()> {
        let known = Known::read(block, whom, columns);
        let unreadable = || format!("the customers from {} on cannot be read", block.first_no);
        take(&known.ok_or_else(|| sqlx::Error::Decode(unreadable().into()))?);
        Ok(())
    };
    let mut db = table::snapshot(pool).await?;
    let mut blocks = sqlx::query_as!(
        Block,
        r#"select first_no, origins, case when $2 then worth else '' end as "worth!", case when $3 then moves else '' end as "moves!",
            case when $4 then months else '' end as "months!"
        from customer_blocks where site_id = $1"#,
        whom.site.id,
        columns.worth,
        columns.moves,
        columns.months
    )
    .fetch(&mut *db);
    let mut packed_before = false;
    while let Some(block) = blocks.try_next().await? {
        packed_before = true;
        hand_over(&block)?;
    }
    drop(blocks);
    if !packed_before {
        // There are none, or upkeep has not packed them yet since an update of the program.
        let mut from = 0;
        while let Some(packed) = customer_blocks::pack_from(&mut db, whom.site.id, from, i64::MAX).await? {
            hand_over(&packed.block)?;
            from = packed.next;
        }
    }
    Ok(())
}

/// Where each customer's pairs are among a block's.
fn places<'a>(of_each: &'a Numbers<'_>, customers: usize) -> impl Iterator<Item = (usize, Range<usize>)> + 'a {
    let mut end = 0;
    (0..customers).map(move |customer| {
        let start = end;
        end = of_each.get(customer).unsigned_abs() as usize + start;
        (customer, start..end)
    })
}

/// Days since 1970 on which the last purchase of those who are at risk on a day was, if no subscription keeps them.
fn at_risk_days(day: NaiveDate, rules: &SegmentRules) -> Range<i64> {
    let day = day_number(day);
    day - i64::from(rules.lost_after_days)..day - i64::from(rules.at_risk_after_days)
}

impl Worth<'_> {
    fn is_at_risk(&self, customer: usize, days: &Range<i64>) -> bool {
        self.subscription_active.get(customer) == 0 && days.contains(&self.last_day.get(customer))
    }
}

impl Pairs<'_> {
    /// The code of the segment on a day of the customer whose moves these are; 0: no customer yet.
    fn segment_on(&self, day: i64, own: Range<usize>) -> usize {
        let last = own.take_while(|place| self.when.get(*place) <= day).last();
        // Codes are below eight; whatever stands there, none is taken for more.
        last.map_or(0, |place| self.what.get(place) as usize % CODES)
    }
}

/// More than the largest code of a segment.
const CODES: usize = 8;

/// Customers as they are added up, in ten-thousandths; what they have in common stands elsewhere until it is known.
type Sum = Group<i128>;

fn sum_of(worth: &Worth<'_>, customer: usize) -> Sum {
    let (orders, referrals) = (worth.orders.get(customer), worth.referrals.get(customer));
    Sum {
        customers: 1,
        revenue: worth.revenue.get(customer).into(),
        orders,
        subscribers: worth.subscription_active.get(customer),
        loyalty_earned: worth.loyalty_earned.get(customer).into(),
        loyalty_redeemed: worth.loyalty_redeemed.get(customer).into(),
        referrers: i64::from(referrals > 0),
        referrals,
        repeat_customers: i64::from(orders > 1),
        ..Sum::default()
    }
}

fn group((utm_source, vip_tier, band): (String, String, usize), sum: &Sum) -> Group {
    Group {
        utm_source,
        vip_tier,
        band: band as i32,
        customers: sum.customers,
        revenue: decimal(sum.revenue),
        orders: sum.orders,
        subscribers: sum.subscribers,
        loyalty_earned: decimal(sum.loyalty_earned),
        loyalty_redeemed: decimal(sum.loyalty_redeemed),
        referrers: sum.referrers,
        referrals: sum.referrals,
        repeat_customers: sum.repeat_customers,
    }
}

/// The same as [`super::people::makeup`] of some customers.
pub(super) async fn makeup(
    pool: &PgPool,
    whom: Whom<'_>,
    (before, day): (NaiveDate, NaiveDate),
    today: NaiveDate,
) -> sqlx::Result<Makeup> {
    let settings = &whom.site.settings;
    // What the settings allow fits: below a trillion, in hundredths.
    let in_ten_thousandths = |from: &Decimal| (*from * Decimal::from(10_000)).to_i128().unwrap_or(i128::MAX);
    let bands: Vec<i128> = settings.ltv_bands.iter().map(in_ten_thousandths).collect();
    let (before, day) = (day_number(before), day_number(day));
    let risky = at_risk_days(today, &settings.customer_segments);
    let mut segments: [Sum; CODES] = Default::default();
    let mut unvalued = [0_i64; CODES];
    // From the segment of the first place to that of the second; 0: no customer yet.
    let mut moves = [[0_i64; CODES]; CODES];
    let mut groups: BTreeMap<(String, String, usize), Sum> = BTreeMap::new();
    let mut at_risk = 0;
    let columns = Columns {
        worth: true,
        moves: true,
        months: false,
    };
    each_block(pool, whom, columns, |block| {
        let (Some(worth), Some(known)) = (&block.worth, &block.moves) else {
            return;
        };
        let Origins { chosen, source, .. } = &block.origins;
        // By the block's own numbers of sources and tiers first: a block has few.
        let mut of_block: HashMap<(i64, i64, usize), Sum> = HashMap::new();
        for (customer, own) in places(&block.origins.moves, chosen.len()).filter(|(customer, _)| chosen[*customer]) {
            let sum = sum_of(worth, customer);
            let (was, is) = (known.segment_on(before, own.clone()), known.segment_on(day, own));
            moves[was][is] += 1;
            segments[is].add(&sum);
            unvalued[is] += worth.unvalued_orders.get(customer);
            at_risk += i64::from(worth.is_at_risk(customer, &risky));
            let band = bands.partition_point(|from| *from <= sum.revenue);
            let key = (source.codes.get(customer), worth.vip_tier.codes.get(customer), band);
            of_block.entry(key).or_default().add(&sum);
        }
        for ((source_code, tier_code, band), sum) in of_block {
            let text = |texts: &Texts<'_>, code: i64| texts.values[code as usize].unwrap_or_default().to_owned();
            let key = (text(source, source_code), text(&worth.vip_tier, tier_code), band);
            groups.entry(key).or_default().add(&sum);
        }
    })
    .await?;
    let named = |segment: &Segment| (segment.code(), segment.code() as usize);
    let sizes = Segment::ALL.iter().map(named).map(|(segment, place)| SegmentSum {
        segment,
        customers: segments[place].customers,
        revenue: decimal(segments[place].revenue),
        orders: segments[place].orders,
        unvalued_orders: unvalued[place],
        before: moves[place].iter().sum(),
    });
    let from = Segment::ALL.iter().map(named).map(|(code, place)| (Some(code), place));
    let moved = std::iter::once((None, 0)).chain(from).flat_map(|(from, was)| {
        let moves = &moves;
        (Segment::ALL.iter().map(named))
            .filter(move |(_, is)| *is != was)
            .map(move |(to, is)| Move {
                from,
                to,
                customers: moves[was][is],
            })
    });
    Ok(Makeup {
        segments: sizes.collect(),
        moves: moved.filter(|moved| moved.customers != 0).collect(),
        groups: groups.into_iter().map(|(key, sum)| group(key, &sum)).collect(),
        at_risk,
    })
}

pub(super) async fn count(pool: &PgPool, whom: Whom<'_>, day: NaiveDate, of: Section<'_>) -> sqlx::Result<i64> {
    let columns = Columns {
        worth: matches!(of, Section::AtRisk(_)),
        moves: matches!(of, Section::In(_)),
        months: false,
    };
    let mut count = 0;
    each_block(pool, whom, columns, |block| {
        let chosen = &block.origins.chosen;
        count += places(&block.origins.moves, chosen.len())
            .filter(|(customer, own)| {
                chosen[*customer]
                    && match of {
                        Section::All => true,
                        Section::In(segment) => (block.moves.as_ref()).is_some_and(|moves| {
                            moves.segment_on(day_number(day), own.clone()) == segment.code() as usize
                        }),
                        Section::AtRisk(rules) => (block.worth.as_ref())
                            .is_some_and(|worth| worth.is_at_risk(*customer, &at_risk_days(day, rules))),
                    }
            })
            .count() as i64;
    })
    .await?;
    Ok(count)
}

pub(super) async fn months(pool: &PgPool, whom: Whom<'_>, (first, last): (i32, i32)) -> sqlx::Result<Vec<Month>> {
    let asked = i64::from(first)..=i64::from(last);
    let mut found: BTreeMap<i32, Month> = BTreeMap::new();
    let columns = Columns {
        worth: false,
        moves: false,
        months: true,
    };
    each_block(pool, whom, columns, |block| {
        let Some(months) = &block.months else { return };
        let chosen = &block.origins.chosen;
        for (_, own) in places(&block.origins.months, chosen.len()).filter(|(customer, _)| chosen[*customer]) {
            let mut before = None;
            for place in own {
                let month = months.when.get(place);
                if asked.contains(&month) {
                    let sum = found.entry(month as i32).or_default();
                    sum.customers += 1;
                    sum.retained += i64::from(before == Some(month - 1));
                    sum.first_purchases += i64::from(before.is_none());
                    sum.purchases += months.what.get(place);
                }
                before = Some(month);
            }
        }
    })
    .await?;
    Ok(found.into_iter().map(|(month, sum)| Month { month, ..sum }).collect())
}
