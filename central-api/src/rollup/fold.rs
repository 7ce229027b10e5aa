//! Sessions into sums. Pure: what each session adds to a metric, and its value of each dimension, was computed by the database from the
//! catalogue's own SQL; here the shares are only added up, and a visitor's sessions looked at one after another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::SPLITS;
use super::statements::{Kind, dimensions};
use crate::db::copy::Rows;

/// Columns of a row of `rollups` before its figures and after them.
const COLUMNS_BESIDE: usize = 8;

/// A value of a dimension, by its place among [`Texts`]; 0 where it is not set.
pub(super) type Code = u32;

/// Each text once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    codes: HashMap<Arc<str>, Code>,
    texts: Vec<Arc<str>>,
}

impl Texts {
    /// The code of a value.
    pub(super) fn code(&mut self, text: Option<&str>) -> Code {
        let Some(text) = text else { return 0 };
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        let code = self.texts.len() as Code;
        self.codes.insert(text, code);
        code
    }

    fn text(&self, code: Code) -> Option<&str> {
        let place = (code as usize).checked_sub(1)?;
        self.texts.get(place).map(|text| &**text)
    }
}

/// A session of one of the visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Met {
    visitor: Uuid,
    /// When it began, in microseconds since 1970.
    at: i64,
    id: Uuid,
    /// Its row of values.
    row: u32,
    /// Its place among those that are counted; none for one that only came before some of them.
    counted: Option<u32>,
}

/// How many figures of each kind a session has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    pub(super) integers: usize,
    pub(super) decimals: usize,
}

/// Sessions of some hours, and the earlier ones of their visitors, in any order.
#[derive(Debug)]
pub(super) struct Sessions {
    width: Width,
    met: Vec<Met>,
    /// A row of the dimensions' values for each of `met`.
    values: Vec<Code>,
    /// Of each that is counted: the start of its hour, in seconds since 1970, and its row of values.
    hours: Vec<(i64, u32)>,
    integers: Vec<i64>,
    decimals: Vec<Decimal>,
}

impl Sessions {
    pub(super) fn new(width: Width) -> Self {
        Self {
            width,
            met: Vec::new(),
            values: Vec::new(),
            hours: Vec::new(),
            integers: Vec::new(),
            decimals: Vec::new(),
        }
    }

    /// Adds an earlier session, which began `at` (microseconds since 1970).
    pub(super) fn earlier(&mut self, visitor: Uuid, at: i64, id: Uuid, values: impl Iterator<Item = Code>) {
        let row = self.met.len() as u32;
        self.values.extend(values);
        self.met.push(Met {
            visitor,
            at,
            id,
            row,
            counted: None,
        });
    }

    /// Adds a session that is counted, with what it adds to the figures.
    pub(super) fn counted(
        &mut self,
        visitor: Uuid,
        at: i64,
        id: Uuid,
        values: impl Iterator<Item = Code>,
        integers: impl Iterator<Item = i64>,
        decimals: impl Iterator<Item = Decimal>,
    ) {
        self.earlier(visitor, at, id, values);
        let hour = at.div_euclid(3_600_000_000) * 3_600;
        if let Some(met) = self.met.last_mut() {
            met.counted = Some(self.hours.len() as u32);
            self.hours.push((hour, met.row));
        }
        self.integers.extend(integers);
        self.decimals.extend(decimals);
    }

    /// Whose they are, sorted: looked up in that order, neighbours lie on the same pages of an index.
    pub(super) fn visitors(&self) -> Vec<Uuid> {
        let mut visitors: Vec<_> = self.met.iter().map(|met| met.visitor).collect();
        visitors.sort_unstable();
        visitors.dedup();
        visitors
    }

    /// For each that is counted and each split: when, in quarters of an hour since 1970, the visitor's previous session with the same
    /// values began; [`NONE`] where there is none.
    fn previous(&mut self, splits: &[Places]) -> Vec<i32> {
        let dimensions = dimensions().len();
        let mut previous = vec![NONE; self.hours.len() * splits.len()];
        self.met.sort_unstable();
        let mut last: HashMap<(usize, Code, Code), i32> = HashMap::new();
        for sessions in self.met.chunk_by(|a, b| a.visitor == b.visitor) {
            if sessions.len() == 1 {
                continue;
            }
            // Clearing what one visitor with a great many sessions filled costs as much each time.
            if last.capacity() > 4_096 {
                last = HashMap::new();
            }
            last.clear();
            for session in sessions {
                let values = &self.values[session.row as usize * dimensions..][..dimensions];
                let quarter = session.at.div_euclid(super::QUARTER * 1_000_000) as i32;
                for (number, places) in splits.iter().enumerate() {
                    let (v0, v1) = places.of(values);
                    match last.entry((number, v0, v1)) {
                        Entry::Occupied(mut before) => {
                            let before = before.insert(quarter);
                            if let Some(counted) = session.counted {
                                previous[counted as usize * splits.len() + number] = before;
                            }
                        }
                        Entry::Vacant(first) => {
                            first.insert(quarter);
                        }
                    }
                }
            }
        }
        previous
    }
}

/// No previous session.
const NONE: i32 = i32::MIN;

/// Which of a session's values a split takes.
#[derive(Debug, Clone, Copy)]
struct Places(Option<usize>, Option<usize>);

impl Places {
    fn all() -> Vec<Self> {
        let dimensions = dimensions();
        let place = |split: &[_], nth: usize| {
            let wanted = split.get(nth)?;
            dimensions.iter().position(|dimension| dimension == wanted)
        };
        SPLITS
            .iter()
            .map(|split| Self(place(split, 0), place(split, 1)))
            .collect()
    }

    fn of(self, values: &[Code]) -> (Code, Code) {
        let value = |place: Option<usize>| place.map_or(0, |place| values[place]);
        (value(self.0), value(self.1))
    }
}

/// Split, and its values.
type Key = (u8, Code, Code);

/// Sums of one stretch of time.
#[derive(Debug)]
struct Sums {
    width: Width,
    places: HashMap<Key, u32>,
    keys: Vec<Key>,
    integers: Vec<i64>,
    decimals: Vec<Decimal>,
    previous: Vec<Vec<i32>>,
}

impl Sums {
    fn new(width: Width) -> Self {
        Self {
            width,
            places: HashMap::new(),
            keys: Vec::new(),
            integers: Vec::new(),
            decimals: Vec::new(),
            previous: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.places.clear();
        self.keys.clear();
        self.integers.clear();
        self.decimals.clear();
        self.previous.clear();
    }

    /// The row of a key.
    fn place(&mut self, key: Key) -> usize {
        let next = self.keys.len() as u32;
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.keys.push(key);
            self.integers.resize(self.integers.len() + self.width.integers, 0);
            self.decimals
                .resize(self.decimals.len() + self.width.decimals, Decimal::ZERO);
            self.previous.push(Vec::new());
        }
        place as usize
    }

    fn add(&mut self, key: Key, integers: &[i64], decimals: &[Decimal], previous: &[i32]) {
        let place = self.place(key);
        let own = &mut self.integers[place * self.width.integers..][..self.width.integers];
        for (sum, share) in own.iter_mut().zip(integers) {
            *sum += share;
        }
        let own = &mut self.decimals[place * self.width.decimals..][..self.width.decimals];
        for (sum, share) in own.iter_mut().zip(decimals) {
            // Most sessions bring no money.
            if !share.is_zero() {
                *sum += share;
            }
        }
        self.previous[place].extend_from_slice(previous);
    }

    fn add_all(&mut self, other: &Self) {
        for (place, key) in other.keys.iter().enumerate() {
            self.add(
                *key,
                &other.integers[place * self.width.integers..][..self.width.integers],
                &other.decimals[place * self.width.decimals..][..self.width.decimals],
                &other.previous[place],
            );
        }
    }
}

/// A sum that its column does not hold.
#[derive(Debug, thiserror::Error)]
#[error("the sum of a metric is too large for its column")]
pub(super) struct TooLarge;

/// Adds sessions up, hour after hour and, for days that are told whole, day after day.
#[derive(Debug)]
pub(super) struct Fold {
    site_id: i32,
    kinds: Vec<Kind>,
    splits: Vec<Places>,
    /// Of the dimensions' values.
    pub(super) texts: Texts,
    hour: Sums,
    day: Sums,
}

impl Fold {
    pub(super) fn new(site_id: i32, kinds: Vec<Kind>) -> Self {
        let width = Self::width(&kinds);
        Self {
            site_id,
            kinds,
            splits: Places::all(),
            texts: Texts::default(),
            hour: Sums::new(width),
            day: Sums::new(width),
        }
    }

    fn width(kinds: &[Kind]) -> Width {
        let decimals = kinds.iter().filter(|kind| **kind == Kind::Numeric).count();
        Width {
            integers: kinds.len() - decimals,
            decimals,
        }
    }

    /// No session yet.
    pub(super) fn sessions(&self) -> Sessions {
        Sessions::new(Self::width(&self.kinds))
    }

    /// Appends the sums of each hour of these sessions to `rows`. All of an hour's sessions have to come at once. Where `days`, they
    /// go to the present day's sums as well, which [`Self::end_day`] takes.
    pub(super) fn add(&mut self, mut sessions: Sessions, days: bool, rows: &mut Rows) -> Result<(), TooLarge> {
        let dimensions = dimensions().len();
        let previous = sessions.previous(&self.splits);
        let mut by_hour: Vec<u32> = (0..sessions.hours.len() as u32).collect();
        by_hour.sort_by_key(|counted| sessions.hours[*counted as usize].0);
        for counted in by_hour.chunk_by(|a, b| sessions.hours[*a as usize].0 == sessions.hours[*b as usize].0) {
            self.hour.clear();
            let mut start = 0;
            for counted in counted.iter().map(|counted| *counted as usize) {
                let (hour, row) = sessions.hours[counted];
                start = hour;
                let values = &sessions.values[row as usize * dimensions..][..dimensions];
                let integers = &sessions.integers[counted * sessions.width.integers..][..sessions.width.integers];
                let decimals = &sessions.decimals[counted * sessions.width.decimals..][..sessions.width.decimals];
                let previous = &previous[counted * self.splits.len()..][..self.splits.len()];
                for (number, places) in self.splits.iter().enumerate() {
                    let (v0, v1) = places.of(values);
                    let previous = &previous[number..=number];
                    let previous = if previous == [NONE] { &[] } else { previous };
                    self.hour.add((number as u8, v0, v1), integers, decimals, previous);
                }
            }
            if days {
                self.day.add_all(&self.hour);
            }
            let mut sums = std::mem::replace(&mut self.hour, Sums::new(sessions.width));
            self.write(1, start, &mut sums, rows)?;
            self.hour = sums;
        }
        Ok(())
    }

    /// Appends the sums of the day, which begins at `start` (seconds since 1970), and begins anew.
    pub(super) fn end_day(&mut self, start: i64, rows: &mut Rows) -> Result<(), TooLarge> {
        let width = self.day.width;
        let mut sums = std::mem::replace(&mut self.day, Sums::new(width));
        self.write(24, start, &mut sums, rows)
    }

    /// Rows of one split lie together, as they are read.
    fn write(&self, hours: i16, start: i64, sums: &mut Sums, rows: &mut Rows) -> Result<(), TooLarge> {
        let mut order: Vec<usize> = (0..sums.keys.len()).collect();
        order.sort_unstable_by_key(|place| sums.keys[*place]);
        for place in order {
            let (split, v0, v1) = sums.keys[place];
            rows.row((COLUMNS_BESIDE + self.kinds.len()) as i16)
                .i32(self.site_id)
                .i16(hours)
                .i16(split.into())
                .time(start * 1_000)
                .optional(self.texts.text(v0), Rows::text)
                .optional(self.texts.text(v1), Rows::text);
            let mut integers = sums.integers[place * sums.width.integers..].iter();
            let mut decimals = sums.decimals[place * sums.width.decimals..].iter();
            for kind in &self.kinds {
                match kind {
                    Kind::Numeric => rows.decimal(decimals.next().copied().unwrap_or_default()),
                    Kind::BigInteger => rows.i64(integers.next().copied().unwrap_or_default()),
                    Kind::Integer => {
                        let sum = integers.next().copied().unwrap_or_default();
                        rows.i32(i32::try_from(sum).map_err(|_| TooLarge)?)
                    }
                };
            }
            let previous = &mut sums.previous[place];
            previous.sort_unstable();
            rows.i32(i32::try_from(previous.len()).map_err(|_| TooLarge)?);
            rows.optional((!previous.is_empty()).then_some(&previous[..]), Rows::integers);
        }
        Ok(())
    }
}
