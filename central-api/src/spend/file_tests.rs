use proptest::prelude::*;

use super::*;
use crate::site::SiteSettings;

fn site() -> Site {
    Site {
        id: 1,
        key: "shop".into(),
        name: "Shop".into(),
        domains: vec!["shop.example".into()],
        time_zone: chrono_tz::Tz::Europe__Kyiv,
        currency: "UAH".into(),
        country: "UA".into(),
        language: "uk".into(),
        not_sources: Vec::new(),
        settings: SiteSettings {
            source_aliases: BTreeMap::from([("fbshop".to_owned(), "facebook".to_owned())]),
            ..SiteSettings::default()
        },
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn report(text: impl AsRef<[u8]>) -> Report {
    read(text.as_ref(), &site(), &Defaults::default(), now()).unwrap()
}

fn shown(report: &Report) -> Vec<String> {
    report
        .spend
        .iter()
        .map(|(key, spend)| {
            let count = |n: Option<i64>| n.map_or("-".to_owned(), |n| n.to_string());
            format!(
                "{} {}/{}/{}/{} {} {} {} {} {}",
                key.day,
                key.source,
                key.medium,
                key.campaign,
                key.content,
                spend.amount,
                key.currency,
                count(spend.clicks),
                count(spend.impressions),
                spend.channel
            )
        })
        .collect()
}

fn reasons(report: &Report) -> Vec<(u64, String)> {
    report
        .refused
        .iter()
        .map(|(row, error)| (row.line, error.field.clone().unwrap_or_default()))
        .collect()
}

#[test]
fn rows_of_one_day_and_tags_add_up_and_tags_are_those_of_sessions() {
    let report = report(
        "date,source,medium,campaign,content,amount,currency,clicks,impressions\n\
         2026-11-01,FBshop,CPC,Winter Sale,Video_1,100.50,UAH,10,1000\n\
         2026-11-01,facebook,cpc,winter sale,video_1,\"1,000.25\",UAH,,500\n\
         2026-11-01,facebook,cpc,winter sale,video_1,5,EUR,1,\n\
         2026-11-02,google,cpc,,,7,,,\n",
    );
    assert_eq!(
        shown(&report),
        [
            "2026-11-01 facebook/cpc/winter sale/video_1 5 EUR 1 - paid_social",
            "2026-11-01 facebook/cpc/winter sale/video_1 1100.75 UAH 10 1500 paid_social",
            "2026-11-02 google/cpc// 7 UAH - - paid_search",
        ]
    );
    assert_eq!((report.rows, report.refused.len(), report.layout), (4, 0, Layout::Own));
}

#[test]
fn exports_of_the_platforms_are_read_with_their_titles_totals_and_currencies() {
    let meta = report(
        "Campaign name,Ad set name,Ad name,Day,Amount spent (USD),Link clicks,Clicks (all),Impressions,Reporting starts,Reporting ends\n\
         Winter,Broad,Video 1,2026-11-01,10.10,5,9,1000,2026-11-01,2026-11-30\n\
         Winter,Lookalike,Video 1,2026-11-01,2.90,1,2,100,2026-11-01,2026-11-30\n\
         ,,,2026-11-01,13.00,6,11,1100,2026-11-01,2026-11-30\n",
    );
    assert_eq!(
        shown(&meta),
        ["2026-11-01 facebook/paid_social/winter/video 1 13 USD 6 1100 paid_social"]
    );
    assert_eq!(reasons(&meta), [(4, "Campaign name".to_owned())]);

    let google = report(
        "Campaign report\n\"November 1, 2026 - November 2, 2026\"\nCampaign,Day,Currency code,Cost,Impr.,Clicks\n\
         Brand,2026-11-01,UAH,\"1,234.50\",\"12,345\",67\nBrand,2026-11-02,UAH,0.00,0,0\nTotal: Account, --,UAH,\"1,234.50\",\"12,345\",67\n",
    );
    assert_eq!(
        shown(&google),
        [
            "2026-11-01 google/cpc/brand/ 1234.5 UAH 67 12345 paid_search",
            "2026-11-02 google/cpc/brand/ 0 UAH 0 0 paid_search"
        ]
    );
    assert_eq!((google.layout, google.rows, google.totals), (Layout::Google, 2, 1));

    let tiktok = report(
        "Campaign name\tAd name\tBy Day\tCost\tCurrency\tClicks (destination)\tImpressions\n\
         Drop\tDance\t2026-11-01\t3.5\tUSD\t-\t10\nTotal of 1 results\t\t-\t3.5\tUSD\t-\t10\n",
    );
    assert_eq!(
        shown(&tiktok),
        ["2026-11-01 tiktok/paid_social/drop/dance 3.5 USD - 10 paid_social"]
    );
    assert_eq!(tiktok.totals, 1);
}

#[test]
fn a_period_in_one_row_is_refused_since_nobody_knows_its_days() {
    let meta = report(
        "Campaign name,Amount spent (UAH),Reporting starts,Reporting ends\nA,5,2026-11-01,2026-11-02\nA,5,2026-11-02,2026-11-02\n",
    );
    assert_eq!(reasons(&meta), [(2, "Reporting ends".to_owned())]);
    assert_eq!(meta.spend.len(), 1);
}

#[test]
fn rows_that_cannot_be_read_are_named_by_line_and_field_and_stop_no_other() {
    let mut text = b"date;source;amount;currency;clicks;campaign\n".to_vec();
    let rows: [(&[u8], &str); 21] = [
        (b"2026-11-01;facebook;-1;UAH;;", "amount"),
        (b"2026-11-01;facebook;1,234;UAH;;", "amount"),
        (b"2026-11-01;facebook;1.00001;UAH;;", "amount"),
        (b"2026-11-01;facebook;100000000000000;UAH;;", "amount"),
        (b"2026-11-01;facebook;NaN;UAH;;", "amount"),
        (b"2026-11-01;facebook;;UAH;;", "amount"),
        (b"2026-11-01;;5;UAH;;", "source"),
        (b";facebook;5;UAH;;", "date"),
        (b"0000-01-01;facebook;5;UAH;;", "date"),
        (b"9999-12-31;facebook;5;UAH;;", "date"),
        (b"2026-11-22;facebook;5;UAH;;", "date"),
        (b"2026-02-30;facebook;5;UAH;;", "date"),
        (b"01.11.2026;facebook;5;UAH;;", "date"),
        (b"2026-11-01;facebook;5;XXZ;;", "currency"),
        (b"2026-11-01;facebook;5;UAHX;;", "currency"),
        (b"2026-11-01;facebook;5;UAH;-1;", "clicks"),
        (b"2026-11-01;facebook;5;UAH;4294967296;", "clicks"),
        (b"2026-11-01;facebook;5;UAH;1.5;", "clicks"),
        (b"2026-11-01;facebook;5;UAH;;a\0b", "campaign"),
        (b"2026-11-01;facebook;5;UAH;;\xff\xfe", ""),
        (b"2026-11-01;facebook;5;UAH;;a;b", ""),
    ];
    for (row, _) in rows {
        text.extend_from_slice(row);
        text.push(b'\n');
    }
    text.extend(format!("2026-11-01;facebook;5;UAH;;{}\n", "x".repeat(1_000_000)).bytes());
    text.extend(b";;;;;\n2026-11-21;facebook;6;UAH;;\n");
    let report = report(text);
    let expected: Vec<_> = rows
        .iter()
        .map(|(_, field)| *field)
        .chain(["campaign"])
        .enumerate()
        .map(|(n, field)| (n as u64 + 2, field.to_owned()))
        .collect();
    assert_eq!(reasons(&report), expected);
    assert_eq!(shown(&report), ["2026-11-21 facebook/// 6 UAH - - organic_social"]);
}

#[test]
fn a_file_without_a_header_or_with_a_misspelt_column_is_refused_whole() {
    let refused = |text: &[u8]| read(text, &site(), &Defaults::default(), now()).unwrap_err();
    for text in [
        &b""[..],
        b"\n\n",
        b"2026-11-01,facebook,5\n",
        b"{\"date\":\"2026-11-01\"}",
        b"\xff\xfe",
        b"PK\x03\x04\0\0",
    ] {
        assert_eq!(refused(text).field.as_deref(), Some("date"));
    }
    let error = refused(b"date,amount,campain\n2026-11-01,5,x\n");
    assert_eq!((error.code, error.field.as_deref()), ("unknown_field", Some("campain")));
    assert!(error.message.contains("campaign"));
}

#[test]
fn what_a_row_does_not_say_comes_from_the_defaults() {
    let defaults = Defaults {
        source: Some("olx".into()),
        medium: Some("banner".into()),
        currency: Some("EUR".into()),
    };
    let report = read(b"day,spend\n2026-11-01,5\n", &site(), &defaults, now()).unwrap();
    assert_eq!(shown(&report), ["2026-11-01 olx/banner// 5 EUR - - display"]);
}

#[test]
fn a_file_for_excel_in_utf_16_is_the_same_file() {
    let text = "date\tsource\tcampaign\tamount\n2026-11-01\tgoogle\tЗима 2026\t5\n";
    let mut wide = vec![0xff, 0xfe];
    wide.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(shown(&report(wide)), shown(&report(text)));
    assert_eq!(shown(&report(format!("\u{feff}{text}"))), shown(&report(text)));
}

#[test]
fn a_stray_quote_costs_its_line_and_no_other() {
    let report = report(
        "Report\n\"of November\ndate,source,amount\n2026-11-01,google,1\n2026-11-02,\"google,2\n2026-11-03,google,3\n2026-11-04,5\" pipe,4\n",
    );
    assert_eq!(
        shown(&report),
        [
            "2026-11-01 google/// 1 UAH - - organic_search",
            "2026-11-03 google/// 3 UAH - - organic_search",
            "2026-11-04 5\" pipe/// 4 UAH - - unassigned",
        ]
    );
    assert_eq!((report.rows, reasons(&report)), (4, vec![(5, String::new())]));
    let (row, error) = &report.refused[0];
    assert!(
        row.content.is_err() && error.message.contains("a quote is opened"),
        "{}",
        error.message
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_and_no_row_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut text = b"date,source,amount,clicks\n".to_vec();
        text.extend(&bytes);
        let _ = read(&bytes, &site(), &Defaults::default(), now());
        if let Ok(report) = read(&text, &site(), &Defaults::default(), now()) {
            prop_assert!(report.refused.len() as u64 + report.spend.len() as u64 <= report.rows);
        }
    }

    #[test]
    fn the_order_of_rows_changes_nothing(mut amounts in proptest::collection::vec(0u32..1_000_000, 1..20)) {
        let text = |amounts: &[u32]| {
            let rows = amounts.iter().map(|cents| {
                format!("2026-11-0{},facebook,{}.{:02}\n", 1 + cents % 3, cents / 100, cents % 100)
            });
            format!("date,source,amount\n{}", rows.collect::<String>())
        };
        let one = report(text(&amounts)).spend;
        amounts.reverse();
        prop_assert_eq!(one, report(text(&amounts)).spend);
    }
}
