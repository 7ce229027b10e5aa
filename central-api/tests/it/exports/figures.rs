//! Figures that are no lists, as files: each holds what its endpoint answers.

use std::io::Cursor;

use calamine::{Data as Cell, Range, Reader, Xlsx};
use serde_json::Value;

use super::{Shop, number, text};
use crate::utm_touches::COLUMNS;

/// A figure of an answer; null is no number.
fn figure(value: &Value) -> Option<f64> {
    value.as_f64()
}

#[tokio::test]
async fn figures_that_are_no_lists_are_exported_as_their_endpoints_answer_them() {
    let shop = Shop::open().await;
    let campaign: String = sqlx::query_scalar(
        "select utm_campaign from sessions where utm_campaign is not null group by 1 order by count(*) desc limit 1",
    )
    .fetch_one(&shop.app.db.pool)
    .await
    .unwrap();
    // A name may begin with what means something in a filter.
    let campaign: String = form_urlencoded::byte_serialize(format!("\\{campaign}").as_bytes()).collect();
    let get = async |path: String| -> Value {
        let url = shop.app.url(&format!("/api/utm/{path}"));
        shop.client.get(url).send().await.unwrap().json().await.unwrap()
    };
    let rows_of = |sheet: &Range<Cell>| -> Vec<(String, Vec<Option<f64>>)> {
        let rows = sheet.rows().skip(1);
        rows.map(|row| (text(&row[0]), row[1..].iter().map(number).collect()))
            .collect()
    };
    // Each type with its parameters, and the rows that its endpoint's answer makes: a name, and some figures by column.
    type Wanted = Vec<(String, Vec<(usize, Option<f64>)>)>;
    let all = "period=all_time";
    let month = "start_date=2026-10-01&end_date=2026-10-31";
    let compare = get(format!("compare?{month}")).await;
    let funnel = get(format!("funnel?{all}&strict=true")).await;
    let returning = get(format!("returning-visitors?{all}")).await;
    let registrations = get(format!(
        "query?{all}&metrics=registrations,sessions&dimensions=utm_source&sort=-registrations&limit=1000"
    ))
    .await;
    let ltv = get(format!("ltv-comparison?{all}&limit=1000")).await;
    let touches = get(format!(
        "first-and-last-touch?{all}&dimension=utm_medium&sort=first_touch_revenue&limit=1000"
    ))
    .await;
    let repeat = get(format!("repeat-rate?{all}")).await;
    let cohorts = get(format!("cohort-analysis?{all}&cohort_type=month&metric=ltv")).await;
    let test = get(format!("ab-test?{all}&campaign={campaign}")).await;
    let roi = get(format!("roi?{all}&ad_spend=4999.90")).await;
    let list = |rows: &Value| {
        let rows = rows.as_array();
        rows.unwrap_or_else(|| panic!("no rows: {test} {cohorts}")).clone()
    };
    let name = |value: &Value| value.as_str().unwrap_or("(not set)").to_owned();
    let one = |name: &str, figures: &[&Value]| {
        let figures = figures.iter().enumerate().map(|(at, value)| (at, figure(value)));
        (name.to_owned(), figures.collect())
    };
    let wanted: Vec<(&str, String, Wanted)> = vec![
        (
            "general-stats",
            month.into(),
            vec![
                one(
                    "Sessions",
                    &[
                        &compare["current"]["total_sessions"],
                        &compare["previous"]["total_sessions"],
                        &compare["change"]["total_sessions"]["absolute"],
                        &compare["change"]["total_sessions"]["percent"],
                    ],
                ),
                one(
                    "Revenue",
                    &[
                        &compare["current"]["total_revenue"],
                        &compare["previous"]["total_revenue"],
                    ],
                ),
            ],
        ),
        (
            "funnel",
            format!("{all}&strict=true"),
            list(&funnel["stages"])
                .iter()
                .map(|stage| {
                    one(
                        stage["label"]["en"].as_str().unwrap(),
                        &[&stage["sessions"], &stage["rate"]],
                    )
                })
                .collect(),
        ),
        (
            "returning-visitors",
            all.into(),
            [("First", "first"), ("Returning", "returning"), ("Total", "total")]
                .map(|(shown, key)| {
                    (
                        shown.to_owned(),
                        vec![
                            (1, figure(&returning[key]["sessions"])),
                            (6, figure(&returning[key]["revenue"])),
                        ],
                    )
                })
                .to_vec(),
        ),
        (
            "registrations",
            all.into(),
            list(&registrations["rows"])
                .iter()
                .map(|row| one(&name(&row["utm_source"]), &[&row["registrations"], &row["sessions"]]))
                .chain([one("Total", &[&registrations["totals"]["registrations"]])])
                .collect(),
        ),
        (
            "ltv-comparison",
            all.into(),
            list(&ltv["ltv_comparison"])
                .iter()
                .map(|row| {
                    one(
                        &name(&row["utm_source"]),
                        &[
                            &row["total_sessions"],
                            &row["converted_sessions"],
                            &row["total_revenue"],
                            &row["ltv_per_session"],
                        ],
                    )
                })
                .collect(),
        ),
        (
            "first-and-last-touch",
            format!("{all}&dimension=utm_medium&sort=first_touch_revenue"),
            list(&touches["first_and_last_touch"])
                .iter()
                .map(|row| {
                    let [value, figures @ ..] = COLUMNS.map(|key| &row[key]);
                    one(&name(value), &figures)
                })
                .collect(),
        ),
        (
            "repeat-rate",
            all.into(),
            vec![
                one("Repeat rate, %", &[&repeat["repeat_rate"]]),
                one("Paid orders", &[&repeat["total_orders"]]),
            ],
        ),
        (
            "cohort-analysis",
            format!("{all}&cohort_type=month&metric=ltv"),
            list(&cohorts["totals"])
                .iter()
                .zip(list(&cohorts["matrix"]))
                .map(|(total, periods)| {
                    let periods = list(&periods)
                        .iter()
                        .enumerate()
                        .map(|(at, value)| (4 + at, figure(value)))
                        .collect::<Vec<_>>();
                    (
                        name(&total["cohort"]),
                        [
                            vec![(0, figure(&total["size"])), (3, figure(&total["revenue"]))],
                            periods,
                        ]
                        .concat(),
                    )
                })
                .collect(),
        ),
        (
            "ab-test",
            format!("{all}&campaign={campaign}"),
            list(&test["variants"])
                .iter()
                .map(|row| {
                    one(
                        &name(&row["utm_content"]),
                        &[&row["sessions"], &row["conversions"], &row["conversion_rate"]],
                    )
                })
                .collect(),
        ),
        (
            "roi",
            format!("{all}&ad_spend=4999.90"),
            vec![(
                "Total".to_owned(),
                vec![
                    (0, Some(4999.9)),
                    (4, figure(&roi["revenue"])),
                    (5, figure(&roi["profit"])),
                    (6, figure(&roi["roi"])),
                ],
            )],
        ),
    ];
    for (kind, query, wanted) in wanted {
        assert!(!wanted.is_empty(), "{kind}");
        let path = format!("/api/utm/export-csv?type={kind}&locale=en&{query}");
        let file = async |format: &str| {
            let answer = shop
                .client
                .get(shop.app.url(&format!("{path}&format={format}")))
                .send()
                .await
                .unwrap();
            let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
            assert_eq!(
                disposition,
                format!("attachment; filename=\"utm_{}.{format}\"", kind.replace('-', "_"))
            );
            assert_eq!(answer.status(), 200, "{kind}");
            answer.bytes().await.unwrap().to_vec()
        };
        let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(file("xlsx").await)).unwrap();
        let names = book.sheet_names();
        let found = rows_of(&book.worksheet_range(&names[0]).unwrap());
        for (name, figures) in &wanted {
            let (_, row) = found
                .iter()
                .find(|(own, _)| own == name)
                .unwrap_or_else(|| panic!("{kind}: no row {name} in {found:?}"));
            for (at, value) in figures {
                match (row.get(*at).copied().flatten(), value) {
                    (Some(shown), Some(value)) => assert!(
                        (shown - value).abs() < 1e-4,
                        "{kind}, {name}, column {at}: {shown} is not {value}"
                    ),
                    (shown, value) => assert_eq!(shown, *value, "{kind}, {name}, column {at}"),
                }
            }
        }
        let csv = file("csv").await;
        let mut reader = csv::Reader::from_reader(csv.strip_prefix("\u{feff}".as_bytes()).unwrap());
        let width = reader.headers().unwrap().len();
        let records: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert!(records.iter().all(|record| record.len() == width));
        // Lists' files have a row of totals in the workbook only.
        let totals = usize::from(kind == "registrations");
        assert_eq!(records.len() + totals, found.len(), "{kind}");
    }
    for (query, field) in [
        ("type=ab-test", "campaign"),
        ("type=cohort-analysis&metric=happiness", "metric"),
        ("type=roi&ad_spend=-1", "ad_spend"),
        ("type=repeat-rate&metric=ltv", "metric"),
        ("type=sources&strict=true", "strict"),
        ("type=everything", "type"),
    ] {
        let answer = get(format!("export-csv?{query}")).await;
        assert_eq!(answer["error"]["field"], field, "{answer}");
    }
}
