//! The verdict on an A/B test in words.

use serde::Serialize;

use super::Undefined;
use super::ab_test::{Analysis, Missing};

/// A name or sentence in the panel's two languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Words {
    /// Ukrainian.
    pub uk: String,
    /// English.
    pub en: String,
}

impl Undefined {
    /// The reason as part of a sentence: Ukrainian, English.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoSessions => ("немає сесій", "there are no sessions"),
            Self::NoConversions => ("немає жодної конверсії", "nobody converted"),
            Self::AllConverted => ("конвертувалися всі", "everybody converted"),
            Self::TooFewValues => (
                "менше двох сесій у групі",
                "there are fewer than two sessions in a group",
            ),
            Self::NoVariance => ("значення однакові", "the values do not vary"),
            Self::EqualRates => ("конверсія однакова", "the rates are equal"),
            Self::OneVariant => ("є лише один варіант", "there is only one variant"),
            Self::BelowMinimumSample => ("замало сесій у варіанті", "a variant has too few sessions"),
            Self::ExpectedTooSmall => (
                "очікується менше п’яти сесій у варіанті",
                "fewer than five sessions are expected in a variant",
            ),
            Self::NoCustomers => ("немає покупців", "there are no customers"),
            Self::NobodyCameBack => ("ніхто не купив удруге", "no customer has two orders"),
            Self::NoWeights => ("план розподілу не задано", "no planned split was given"),
        }
    }
}

/// Says who won, or what is missing. `names` are those of the variants, in the analysis' order.
pub fn words(analysis: &Analysis, names: &[&str]) -> Words {
    let name = |i: usize| names.get(i).copied().unwrap_or_default();
    if let Some(winner) = analysis.winner {
        let mut words = Words {
            uk: format!("Переможець: {}.", name(winner)),
            en: format!("Winner: {}.", name(winner)),
        };
        if let Some(judged) = analysis.variants.get(winner)
            && let (Ok(lift), Some(other)) = (judged.lift, judged.compared_with)
        {
            let lift = 100.0 * lift;
            words
                .uk
                .push_str(&format!(" Конверсія на {} % вища, ніж у {}.", in_uk(lift), name(other)));
            words.en.push_str(&format!(
                " Its conversion rate is {lift:.1} % above that of {}.",
                name(other)
            ));
        }
        return words;
    }
    let (mut uk, mut en) = ("Переможця ще немає.".to_owned(), "No winner yet.".to_owned());
    for missing in &analysis.missing {
        let (in_uk, in_en) = sentence(missing, analysis, &name);
        uk = format!("{uk} {in_uk}");
        en = format!("{en} {in_en}");
    }
    Words { uk, en }
}

/// With one decimal, as it is written in Ukrainian.
fn in_uk(number: f64) -> String {
    format!("{number:.1}").replace('.', ",")
}

fn sentence<'a>(missing: &Missing, analysis: &Analysis, name: &dyn Fn(usize) -> &'a str) -> (String, String) {
    match *missing {
        Missing::SecondVariant => (
            "Порівнювати немає з чим: потрібні щонайменше два варіанти.".to_owned(),
            "There is nothing to compare: at least two variants are needed.".to_owned(),
        ),
        Missing::Sessions { variant, more } => (
            format!("{}: до мінімуму бракує сесій: {more}.", name(variant)),
            format!("{}: sessions missing to the minimum: {more}.", name(variant)),
        ),
        Missing::Time { more } => {
            // Rounded up, so that waiting as long as it says is enough.
            let days = (more.num_seconds() as f64 / 8_640.0).ceil() / 10.0;
            (
                format!("Варіанти мають іти поруч ще {} дн.", days.to_string().replace('.', ",")),
                format!("The variants must run side by side for another {days} days."),
            )
        }
        Missing::Split => (
            "Трафік розподілився не за планом, тому групи не порівнянні.".to_owned(),
            "Traffic was not split as planned, so the groups cannot be compared.".to_owned(),
        ),
        Missing::Clarity {
            against,
            confidence,
            more,
        } => {
            let leader = analysis.leader.map(name).unwrap_or_default();
            let other = name(against);
            let (mut uk, mut en) = match confidence {
                // Rounded down: 94.96 must not read as 95.0.
                Ok(confidence) => {
                    let confidence = (confidence * 10.0).floor() / 10.0;
                    (
                        format!(
                            "Різниця між {leader} та {other} може бути випадковою: впевненість {} %.",
                            in_uk(confidence)
                        ),
                        format!(
                            "The difference between {leader} and {other} may be chance: confidence {confidence:.1} %."
                        ),
                    )
                }
                Err(reason) => {
                    let (uk, en) = reason.words();
                    (
                        format!("{leader} та {other} порівняти неможливо: {uk}."),
                        format!("{leader} and {other} cannot be compared: {en}."),
                    )
                }
            };
            if let Ok((first, second)) = more
                && (first > 0 || second > 0)
            {
                uk.push_str(&format!(
                    " Щоб підтвердити таку різницю з потужністю 80 %, потрібно ще сесій: {leader} {first}, {other} {second}."
                ));
                en.push_str(&format!(
                    " To confirm a difference of this size with a power of 80 %, sessions still needed: {leader} {first}, {other} {second}."
                ));
            }
            (uk, en)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::ab_test::{Rules, Variant, analyse};
    use crate::statistics::proportion::Proportion;
    use chrono::{DateTime, TimeDelta};

    fn said(groups: &[(u64, u64)], days: i64) -> Words {
        let variants: Vec<Variant> = groups
            .iter()
            .map(|(c, n)| Variant {
                conversions: Proportion::new(*c, *n).unwrap(),
                paying: Vec::new(),
                first: DateTime::UNIX_EPOCH,
                last: DateTime::UNIX_EPOCH + TimeDelta::days(days),
            })
            .collect();
        words(&analyse(&variants, None, &Rules::STANDARD), &["video", "photo", "text"])
    }

    #[test]
    fn a_winner_is_named_with_its_lift() {
        let words = said(&[(100, 1_000), (60, 1_000)], 5);
        assert_eq!(
            words.en,
            "Winner: video. Its conversion rate is 66.7 % above that of photo."
        );
        assert_eq!(words.uk, "Переможець: video. Конверсія на 66,7 % вища, ніж у photo.");
    }

    #[test]
    fn everything_that_is_missing_is_said() {
        let words = said(&[(5, 90), (6, 1_000)], 1);
        assert!(words.en.starts_with("No winner yet. video: sessions missing to the minimum: 10. The variants must run side by side for another 2 days."), "{}", words.en);
        assert!(words.uk.contains("бракує сесій: 10"), "{}", words.uk);
        assert!(said(&[(5, 90)], 1).en.contains("at least two variants"));
        assert!(
            said(&[(0, 900), (0, 900)], 9)
                .en
                .contains("cannot be compared: nobody converted")
        );
    }

    #[test]
    fn ukrainian_has_a_comma_before_the_decimals_and_english_a_point() {
        for (groups, days) in [
            (&[(100, 1_000), (60, 1_000)][..], 5),
            (&[(70, 1_000), (60, 1_000)], 9),
            (&[(70, 1_000), (60, 1_000)], 1),
        ] {
            let words = said(groups, days);
            let point = |text: &str, mark: char| {
                let digits: Vec<char> = text.chars().collect();
                digits
                    .windows(3)
                    .any(|w| w[0].is_ascii_digit() && w[1] == mark && w[2].is_ascii_digit())
            };
            assert!(point(&words.uk, ',') && !point(&words.uk, '.'), "{}", words.uk);
            assert!(point(&words.en, '.') && !point(&words.en, ','), "{}", words.en);
        }
    }

    #[test]
    fn a_confidence_just_below_the_level_is_not_rounded_up_to_it() {
        let words = said(&[(70, 1_000), (60, 1_000)], 9);
        assert!(
            words.en.contains("may be chance") && words.en.contains("power of 80 %"),
            "{}",
            words.en
        );
        assert!(!words.en.contains("confidence 95.0"));
    }
}
