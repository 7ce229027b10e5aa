//! Numbers as people read them in Ukrainian and English.

use chrono::{Datelike, NaiveDate};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::catalogue::Unit;
use crate::reports::figure::Figure;

/// What stands where there is no figure.
pub const NONE: &str = "–";
const NO_BREAK_SPACE: char = '\u{a0}';

/// How to write numbers.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// `uk` or `en`.
    pub language: &'a str,
    /// ISO 4217 code of all money.
    pub currency: &'a str,
}

impl Style<'_> {
    fn marks(&self) -> (char, char) {
        match self.language {
            "en" => (',', '.'),
            _ => (NO_BREAK_SPACE, ','),
        }
    }

    /// With thousands apart and exactly `decimals` digits after the point.
    pub fn decimal(&self, value: Decimal, decimals: u32) -> String {
        let (thousands, point) = self.marks();
        let rounded = value.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero);
        let text = format!("{:.*}", decimals as usize, rounded.abs());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut shown = String::with_capacity(text.len() + 8);
        if rounded.is_sign_negative() && !rounded.is_zero() {
            shown.push('−');
        }
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                shown.push(thousands);
            }
            shown.push(digit);
        }
        if !fraction.is_empty() {
            shown.push(point);
            shown.push_str(fraction);
        }
        shown
    }

    /// A figure with its unit.
    pub fn figure(&self, figure: Figure, unit: Unit) -> String {
        let Some(value) = figure.0 else {
            return NONE.to_owned();
        };
        match unit {
            Unit::Count | Unit::Points => self.decimal(value, 0),
            Unit::Percent => format!("{}{NO_BREAK_SPACE}%", self.decimal(value, 2)),
            Unit::Money => self.money(value),
            Unit::Ratio => self.decimal(value, 2),
            Unit::Seconds => self.duration(value),
        }
    }

    /// Money with the currency's sign, or its code where it has none that everybody knows.
    pub fn money(&self, value: Decimal) -> String {
        let amount = self.decimal(value, 2);
        let sign = match self.currency {
            "UAH" => "₴",
            "USD" => "$",
            "EUR" => "€",
            "GBP" => "£",
            code => code,
        };
        match (self.language, sign.chars().count()) {
            ("en", 1) => match amount.strip_prefix('−') {
                Some(amount) => format!("−{sign}{amount}"),
                None => format!("{sign}{amount}"),
            },
            _ => format!("{amount}{NO_BREAK_SPACE}{sign}"),
        }
    }

    /// Minutes and seconds.
    fn duration(&self, seconds: Decimal) -> String {
        let whole = seconds.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
        let sixty = Decimal::from(60);
        let (minutes, rest) = ((whole / sixty).trunc(), whole % sixty);
        let (minute, second) = if self.language == "en" {
            ("min", "s")
        } else {
            ("хв", "с")
        };
        let (minutes, rest) = (self.decimal(minutes, 0), rest.normalize());
        format!("{minutes}{NO_BREAK_SPACE}{minute} {rest}{NO_BREAK_SPACE}{second}")
    }

    /// A change in percent with its sign, one decimal.
    pub fn change(&self, percent: Figure) -> String {
        match percent.0 {
            None => NONE.to_owned(),
            Some(value) => {
                let shown = self.decimal(value, 1);
                let sign = if value.is_sign_positive() && !value.is_zero() {
                    "+"
                } else {
                    ""
                };
                format!("{sign}{shown}{NO_BREAK_SPACE}%")
            }
        }
    }

    /// A span of days, both included, such as 09.11–15.11.2026.
    pub fn days(&self, first: Option<NaiveDate>, last: NaiveDate) -> String {
        let full = |day: NaiveDate| match self.language {
            "en" => day.format("%-d %b %Y").to_string(),
            _ => day.format("%d.%m.%Y").to_string(),
        };
        match first {
            None => match self.language {
                "en" => format!("up to {}", full(last)),
                _ => format!("до {}", full(last)),
            },
            Some(first) if first == last => full(last),
            Some(first) if first.year() == last.year() => {
                let begin = match self.language {
                    "en" => first.format("%-d %b").to_string(),
                    _ => first.format("%d.%m").to_string(),
                };
                format!("{begin}–{}", full(last))
            }
            Some(first) => format!("{}–{}", full(first), full(last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UK: Style<'_> = Style {
        language: "uk",
        currency: "UAH",
    };
    const EN: Style<'_> = Style {
        language: "en",
        currency: "USD",
    };

    fn figure(text: &str) -> Figure {
        Figure(Some(text.parse().unwrap()))
    }

    #[test]
    fn figures_are_written_as_each_language_writes_them() {
        for (value, unit, uk, en) in [
            ("1234567", Unit::Count, "1\u{a0}234\u{a0}567", "1,234,567"),
            ("999", Unit::Count, "999", "999"),
            ("17.12", Unit::Percent, "17,12\u{a0}%", "17.12\u{a0}%"),
            ("12345.6", Unit::Money, "12\u{a0}345,60\u{a0}₴", "$12,345.60"),
            ("-0.004", Unit::Money, "0,00\u{a0}₴", "$0.00"),
            ("-1500.005", Unit::Money, "−1\u{a0}500,01\u{a0}₴", "−$1,500.01"),
            ("125.5", Unit::Seconds, "2\u{a0}хв 6\u{a0}с", "2\u{a0}min 6\u{a0}s"),
            ("0", Unit::Ratio, "0,00", "0.00"),
        ] {
            assert_eq!(UK.figure(figure(value), unit), uk);
            assert_eq!(EN.figure(figure(value), unit), en);
        }
        assert_eq!(UK.figure(Figure(None), Unit::Money), NONE);
        assert_eq!(
            Style {
                language: "en",
                currency: "PLN"
            }
            .money(5.into()),
            "5.00\u{a0}PLN"
        );
        let huge = UK.figure(Figure(Some(Decimal::MAX)), Unit::Money);
        assert!(huge.starts_with("79\u{a0}228\u{a0}162"), "{huge}");
    }

    #[test]
    fn a_change_has_its_sign_and_none_from_nothing() {
        assert_eq!(UK.change(figure("12.54")), "+12,5\u{a0}%");
        assert_eq!(EN.change(figure("-3")), "−3.0\u{a0}%");
        assert_eq!(EN.change(figure("0")), "0.0\u{a0}%");
        assert_eq!(EN.change(Figure(None)), NONE);
    }

    #[test]
    fn days_say_their_year_once_where_it_is_the_same() {
        let ymd = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        let of = |first, last| (UK.days(first, last), EN.days(first, last));
        assert_eq!(
            of(Some(ymd(2026, 11, 9)), ymd(2026, 11, 15)),
            ("09.11–15.11.2026".into(), "9 Nov–15 Nov 2026".into())
        );
        assert_eq!(of(Some(ymd(2026, 12, 28)), ymd(2027, 1, 3)).0, "28.12.2026–03.01.2027");
        assert_eq!(of(Some(ymd(2026, 11, 9)), ymd(2026, 11, 9)).0, "09.11.2026");
        assert_eq!(
            of(None, ymd(2026, 11, 9)),
            ("до 09.11.2026".into(), "up to 9 Nov 2026".into())
        );
    }
}
