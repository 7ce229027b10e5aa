//! A number in an answer: exact decimals as JSON numbers, null where there is none.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

/// A figure; none is JSON null, which is what `x / 0` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Figure(pub Option<Decimal>);

impl Figure {
    /// 0.
    pub const ZERO: Self = Self(Some(Decimal::ZERO));

    /// `times × of / per`, rounded half away from zero to two decimals; none where `per` is 0 or either is unknown.
    pub fn ratio(times: i64, of: Self, per: Self) -> Self {
        let ratio = || {
            Decimal::from(times)
                .checked_mul(of.0?)?
                .checked_div(per.0?)
                .map(|r| r.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
        };
        Self(ratio())
    }

    /// The sum; none where either is unknown.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.zip(other.0).and_then(|(a, b)| a.checked_add(b)))
    }

    /// The difference; none where either is unknown.
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.zip(other.0).and_then(|(a, b)| a.checked_sub(b)))
    }
}

impl From<Decimal> for Figure {
    fn from(value: Decimal) -> Self {
        Self(Some(value))
    }
}

impl From<i64> for Figure {
    fn from(value: i64) -> Self {
        Self(Some(value.into()))
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{}", value.normalize()),
            None => Ok(()),
        }
    }
}

impl Serialize for Figure {
    /// As a raw number token: a decimal never becomes a binary float on the way out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => RawValue::from_string(value.normalize().to_string())
                .map_err(S::Error::custom)?
                .serialize(serializer),
            None => serializer.serialize_none(),
        }
    }
}

impl utoipa::PartialSchema for Figure {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Number, Type::Null]))
            .description(Some(
                "An exact decimal; null where it is not defined, such as a quotient by 0.",
            ))
            .into()
    }
}

impl utoipa::ToSchema for Figure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        serde_json::to_string(&Figure(Some(text.parse().unwrap()))).unwrap()
    }

    #[test]
    fn decimals_are_written_exactly_and_without_trailing_zeros() {
        assert_eq!(json("105000.0000"), "105000");
        assert_eq!(json("0.1"), "0.1");
        assert_eq!(json("-12345678901234567890.1234"), "-12345678901234567890.1234");
        assert_eq!(json("0.0000"), "0");
        assert_eq!(serde_json::to_string(&Figure(None)).unwrap(), "null");
    }

    #[test]
    fn a_ratio_rounds_half_away_from_zero_and_knows_no_division_by_zero() {
        assert_eq!(Figure::ratio(100, 89.into(), 520.into()).to_string(), "17.12");
        assert_eq!(Figure::ratio(1, 1.into(), 200.into()).to_string(), "0.01");
        assert_eq!(Figure::ratio(1, (-1).into(), 200.into()).to_string(), "-0.01");
        assert_eq!(Figure::ratio(1, 0.into(), 0.into()), Figure(None));
        assert_eq!(Figure::ratio(1, Figure(None), 5.into()), Figure(None));
        assert_eq!(Figure::ratio(100, Decimal::MAX.into(), 1.into()), Figure(None));
    }
}
