//! What cannot be read: rows that go to a file with the reason, and files that are refused at the start.

use super::*;
use crate::support::{wait_for_locks, waits_for_a_lock};

#[tokio::test]
async fn rows_that_cannot_be_read_go_to_a_file_with_the_reason_and_stop_nothing() {
    let shop = Shop::open().await;
    let good = |id: &str| {
        json!({"order_id": id, "total": "1.00", "payment_status": "paid", "created_at": "2025-01-01T00:00:00Z"})
            .to_string()
    };
    let long = format!("{{\"order_id\":\"{}\"}}", "x".repeat(1_100_000));
    let lines: Vec<Vec<u8>> = vec![
        good("1").into(),
        b"{not json".to_vec(),
        b"".to_vec(),
        good("2").into(),
        vec![b'{', 0xff, b'}'],
        long.into(),
        br#"{"order_id":"a\u0000","total":1,"payment_status":"paid","created_at":"2025-01-01T00:00:00Z"}"#.to_vec(),
        br#"{"order_id":"b","total":-1,"payment_status":"paid","created_at":"2025-01-01T00:00:00Z"}"#.to_vec(),
        br#"{"order_id":"c","total":1,"payment_status":"paid","created_at":"9999-01-01T00:00:00Z"}"#.to_vec(),
        br#"{"order_id":"d","total":1,"payment_status":"paid"}"#.to_vec(),
        br#"{"order_id":"e","total":1,"total":2,"payment_status":"paid","created_at":"2025-01-01T00:00:00Z"}"#.to_vec(),
        "[".repeat(200_000).into_bytes(),
        good("3").into(),
    ];
    let file = shop.folder.file("orders.ndjson", lines.join(&b'\n'));
    let summary = shop.one(Kind::Orders, &file, None).await;
    assert_eq!((summary.stored, summary.rejected), (3, 9));
    assert_eq!(
        summary.rejected_file.as_deref(),
        Some(Path::new(&format!("{file}.rejected.ndjson")))
    );
    let reasons: Vec<(u64, String, Option<String>)> = rejected(&summary)
        .iter()
        .map(|row| {
            (
                row["line"].as_u64().unwrap(),
                row["code"].as_str().unwrap().to_owned(),
                row["field"].as_str().map(str::to_owned),
            )
        })
        .collect();
    let mut lines: Vec<u64> = reasons.iter().map(|reason| reason.0).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 5, 6, 7, 8, 9, 10, 11, 12]);
    for (line, code, field) in [
        (2, "invalid_json", None),
        (5, "unreadable", None),
        (6, "unreadable", None),
        (7, "invalid_field", Some("order_id")),
        (8, "invalid_field", Some("total")),
        (9, "invalid_field", Some("created_at")),
        (10, "missing_field", Some("created_at")),
        (11, "duplicate_field", Some("total")),
    ] {
        let found = reasons.iter().find(|reason| reason.0 == line).unwrap();
        assert_eq!((found.1.as_str(), found.2.as_deref()), (code, field), "line {line}");
    }
    // The file of refused rows stays as it is when nothing is left to do.
    let again = shop.one(Kind::Orders, &file, None).await;
    assert_eq!((again.skipped, again.rejected), (12, 0));
    assert_eq!(rejected(&summary).len(), 9);
}

#[tokio::test]
async fn a_stray_quote_in_a_table_costs_its_row_and_no_other() {
    let shop = Shop::open().await;
    let mut table = "\u{feff}order_id;total;payment_status;created_at;payment_method\n".to_owned();
    for n in 1..=2_500 {
        let method = match n {
            5 => "\"never closed",
            6 => "5\" pipe",
            7 => "\"over\ntwo; lines\"",
            _ => "card",
        };
        table.push_str(&format!("o{n};1.00;paid;2025-01-01T00:00:00Z;{method}\n"));
    }
    let file = shop.folder.file("orders.csv", table);
    let summary = shop.one(Kind::Orders, &file, None).await;
    assert_eq!((summary.stored, summary.rejected), (2_499, 1));
    assert_eq!(rejected(&summary)[0]["line"], 6);
    let last: i64 = sqlx::query_scalar("select count(*) from orders where order_id in ('o4', 'o6', 'o7', 'o2500')")
        .fetch_one(&shop.app.db.pool)
        .await
        .unwrap();
    assert_eq!(last, 4);

    let mut table = "order_id,total,payment_status,created_at\n".to_owned();
    (1..=3_000).for_each(|n| {
        table.push_str(&format!(
            "p{n},1.00,{}paid,2025-01-01T00:00:00Z\n",
            if n == 3 { "\"" } else { "" }
        ))
    });
    let file = shop.folder.file("lone.csv", table);
    let summary = shop.one(Kind::Orders, &file, None).await;
    assert_eq!((summary.stored, summary.rejected), (2_999, 1));
    let refused = rejected(&summary);
    assert_eq!(refused[0]["line"], 4);
    assert!(
        refused[0]["message"]
            .as_str()
            .unwrap()
            .contains("a quote is opened on this line"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_misspelt_column_stops_the_import_before_it_begins() {
    let shop = Shop::open().await;
    let file = shop.folder.file(
        "orders.csv",
        "order_id,totle,payment_status,created_at\n1,2,paid,2025-01-01T00:00:00Z\n",
    );
    let error = format!(
        "{:#}",
        shop.try_import(args(&[(Kind::Orders, &file)])).await.unwrap_err()
    );
    assert!(
        error.contains("\"totle\" is not a column of orders; known are order_id, order_number"),
        "{error}"
    );
    assert_eq!(shop.count("orders").await, 0);
    let missing = shop
        .try_import(args(&[(Kind::Orders, "/nowhere/orders.csv")]))
        .await
        .unwrap_err();
    assert!(format!("{missing:#}").contains("cannot read /nowhere/orders.csv"));
    assert!(shop.try_import(args(&[])).await.is_err());
}

#[tokio::test]
async fn hostile_tables_are_refused_row_by_row() {
    let shop = Shop::open().await;
    let sessions = shop.folder.file(
        "sessions.csv",
        "session_id,started_at,visit_count,device_type,ip,utm_source,fbclid\n\
        ok,2025-01-01T00:00:00Z,1,mobile,1.2.3.4,fb,\n\
        a,0000-01-01T00:00:00Z,1,mobile,,,\n\
        b,2025-01-01T00:00:00Z,-1,mobile,,,\n\
        c,2025-01-01T00:00:00Z,99999999999,mobile,,,\n\
        d,2025-01-01T00:00:00Z,1,toaster,,,\n\
        e,2025-01-01T00:00:00Z,1,mobile,1.2.3.4.5,,\n\
        f,yesterday,1,mobile,,,\n\
        ,2025-01-01T00:00:00Z,1,mobile,,,\n\
        g,2025-01-01T00:00:00Z,1,mobile,,a\u{0}b,\n\
        h,2025-01-01T00:00:00Z,1,mobile,,,,,,,\n",
    );
    let summary = shop.one(Kind::Sessions, &sessions, None).await;
    assert_eq!((summary.stored, summary.rejected), (1, 9));
    let fields: Vec<Option<String>> = rejected(&summary)
        .iter()
        .map(|row| row["field"].as_str().map(str::to_owned))
        .collect();
    let expected = [
        Some("started_at"),
        Some("visit_count"),
        Some("visit_count"),
        Some("device_type"),
        Some("ip"),
        Some("started_at"),
        Some("session_id"),
        Some("utm_source"),
        None,
    ];
    let mut got: Vec<Option<&str>> = fields.iter().map(Option::as_deref).collect();
    let mut expected = expected.to_vec();
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected);
    let events = shop.folder.file(
        "events.ndjson",
        [
            r#"{"event_id":1,"session_id":"ok","occurred_at":"2025-01-01T00:01:00Z","action":"page_view"}"#,
            r#"{"event_id":2,"session_id":"ok","occurred_at":"2025-01-01T00:01:00Z","action":"explode"}"#,
            r#"{"event_id":3,"session_id":"nobody","occurred_at":"2025-01-01T00:01:00Z","action":"click"}"#,
            r#"{"event_id":4,"session_id":"ok","occurred_at":"2025-01-01T00:01:00Z","action":"custom"}"#,
            r#"{"event_id":5,"session_id":"ok","occurred_at":"2025-01-01T00:01:00Z","action":"lead","value":-1}"#,
            r#"{"event_id":6,"session_id":"ok","occurred_at":"2025-01-01T00:01:00Z","action":"click","props":{"a":"\u0000"}}"#,
        ]
        .join("\n"),
    );
    let summary = shop.one(Kind::Events, &events, None).await;
    assert_eq!((summary.stored, summary.rejected), (1, 5));
}

#[tokio::test]
async fn what_the_judge_of_events_refuses_is_named_by_its_column() {
    let shop = Shop::open().await;
    let sessions = shop.folder.file(
        "sessions.csv",
        "session_id,started_at,last_seen_at,visit_count,country\n\
        a,2025-01-01T00:00:00Z,,1,Ukraine\n\
        b,2023-01-01T00:00:00Z,2025-01-01T00:00:00Z,2,UA\n\
        c,2025-01-01T00:00:00Z,,1,UA\n",
    );
    let events = shop.folder.file(
        "events.csv",
        "event_id,session_id,occurred_at,action,currency\n\
        1,c,2025-01-01T00:00:00Z,custom,UAH\n\
        2,c,2025-01-01T00:00:00Z,purchase,hryvnia\n",
    );
    let mut told = Vec::new();
    for (kind, file) in [(Kind::Sessions, &sessions), (Kind::Events, &events)] {
        for row in rejected(&shop.one(kind, file, None).await) {
            let (field, message) = (row["field"].as_str().unwrap(), row["message"].as_str().unwrap());
            assert!(message.starts_with(&format!("{field}: ")), "{message}");
            told.push(field.to_owned());
        }
    }
    assert_eq!(told, ["country", "started_at", "name", "currency"]);
}

#[tokio::test]
async fn a_refused_row_is_named_by_its_line_whatever_ends_the_lines() {
    let shop = Shop::open().await;
    let text = "order_id,total,payment_status,created_at\n\
        1,x,paid,2025-01-30 12:00:00\n2,5,paid,2025-01-30 12:00:00\n3,y,paid,2025-01-30 12:00:00\n\n\n\
        4,\"1\n2\",paid,2025-01-30 12:00:00\n5,z,paid,2025-01-30 12:00:00\n";
    for (name, content) in [("lf.csv", text.to_owned()), ("crlf.csv", text.replace('\n', "\r\n"))] {
        let file = shop.folder.file(name, content);
        let lines: Vec<(String, u64)> = rejected(&shop.one(Kind::Orders, &file, None).await)
            .iter()
            .map(|row| {
                (
                    row["row"]["order_id"].as_str().unwrap().to_owned(),
                    row["line"].as_u64().unwrap(),
                )
            })
            .collect();
        let expected = [("1", 2), ("3", 4), ("4", 7), ("5", 9)].map(|(id, line)| (id.to_owned(), line));
        assert_eq!(lines, expected, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_could_only_be_read_wrong_is_refused_at_the_start_with_what_helps() {
    let shop = Shop::open().await;
    let row = "order_id,total,payment_status,created_at\n1,2,paid,2025-01-01T00:00:00Z\n";
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (name, content, says) in [
        ("mac.csv", row.replace('\n', "\r").into_bytes(), "end with CR alone"),
        (
            "twice.csv",
            row.replace("payment_status", "total").into_bytes(),
            "the column \"total\" stands there twice",
        ),
        (
            "windows.csv",
            // "Коментар" in Windows-1251.
            [b"order_id,\xca\xee\xec\xe5\xed\xf2\xe0\xf0\n".to_vec(), row.into()].concat(),
            "the header is not UTF-8: save the file as UTF-8",
        ),
        (
            "marked.csv",
            utf16("\u{feff}").into_iter().chain(utf16(row)).collect(),
            "the file is UTF-16",
        ),
        ("unmarked.csv", utf16(row), "the file is UTF-16"),
        ("rows.ndjson", utf16("{\"order_id\": 1}\n"), "the file is UTF-16"),
        ("array.json", b"[{\"order_id\": 1}]".to_vec(), "write an object a line"),
    ] {
        let file = shop.folder.file(name, content);
        let error = format!(
            "{:#}",
            shop.try_import(args(&[(Kind::Orders, &file)])).await.unwrap_err()
        );
        assert!(error.contains(says), "{name}: {error}");
    }
    assert_eq!(shop.count("orders").await, 0);
}

#[tokio::test]
async fn refused_rows_that_cannot_be_written_down_are_refused_again_by_the_next_run() {
    let shop = Shop::open().await;
    let file = shop.folder.file(
        "orders.csv",
        "order_id,total,payment_status,created_at\n1,10,paid,2026-01-05T10:00:00Z\n2,-5,paid,2026-01-05T10:00:00Z\n",
    );
    let sessions = shop.folder.file(
        "sessions.csv",
        "session_id,started_at\nAA,2026-01-05T10:00:00Z\nBB,nonsense\n",
    );
    for (kind, file) in [(Kind::Orders, file), (Kind::Sessions, sessions)] {
        // Nothing can be written where a folder is.
        let rejects = format!("{file}.rejected.ndjson");
        std::fs::create_dir(&rejects).unwrap();
        assert!(shop.try_import(args(&[(kind, &file)])).await.is_err());
        std::fs::remove_dir(&rejects).unwrap();
        let summary = shop.one(kind, &file, None).await;
        assert_eq!((summary.skipped, summary.rejected), (0, 1), "{summary:?}");
        assert_eq!(rejected(&summary)[0]["line"], 3);
    }
}

#[tokio::test]
async fn a_file_that_another_process_is_importing_is_refused_and_its_refused_rows_are_written_down_once() {
    let shop = Shop::open().await;
    let mut lines: Vec<String> = (0..3)
        .map(|n| {
            json!({"order_id": n, "total": "1.00", "payment_status": "paid", "created_at": "2025-01-01T00:00:00Z"})
                .to_string()
        })
        .collect();
    lines.insert(1, "{not json".into());
    let file = shop.folder.file("orders.ndjson", lines.join("\n"));
    let mut hold = shop.app.db.pool.begin().await.unwrap();
    sqlx::query("lock table order_marks in share mode")
        .execute(&mut *hold)
        .await
        .unwrap();
    let begin = || {
        let (pool, secret, site) = (
            shop.app.db.pool.clone(),
            shop.app.state.config.secret.clone(),
            shop.site.clone(),
        );
        let (args, now) = (args(&[(Kind::Orders, &file)]), shop.app.state.clock.now());
        tokio::spawn(async move { import(&args, &pool, &secret, &site, now).await })
    };
    let first = begin();
    assert!(waits_for_a_lock(&shop.app.db.pool, &first).await);
    let second = begin();
    wait_for_locks(&shop.app.db.pool, 2, &second).await;
    hold.rollback().await.unwrap();
    let refused = second.await.unwrap().expect_err("another process is at it");
    assert!(format!("{refused:#}").contains("another process"), "{refused:#}");
    let (_, _, summary) = first.await.unwrap().unwrap().remove(0);
    assert_eq!((summary.stored, summary.rejected), (3, 1));
    assert_eq!(rejected(&summary).len(), 1);
    assert_eq!(shop.one(Kind::Orders, &file, None).await.skipped, 4);
}
