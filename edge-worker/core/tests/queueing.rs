//! From events to messages to batches, and what the centre's answers mean.

mod browser;

use browser::{Browser, NOW, open, pack};
use edge_core::queue::{MAX_DELAY, MAX_MESSAGE_BYTES, Verdict, judge};
use proptest::prelude::*;
use shared::event::{Batch, BatchEnvelope, Event};
use shared::ids::SiteKey;
use shared::limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use uuid::Uuid;

fn event(label_bytes: usize) -> Event {
    let mut event = Browser::new("")
        .open("https://shop.ua/p?gclid=x", "")
        .event
        .expect("an event");
    event.label = Some("x".repeat(label_bytes));
    event
}

fn batch(body: &edge_core::queue::Body) -> Batch {
    let site: SiteKey = "shop".parse().expect("a key");
    let json = body.json(&site, NOW, Uuid::from_u128(1));
    assert!(json.len() <= MAX_BATCH_BYTES && body.len() <= MAX_BATCH_EVENTS);
    serde_json::from_str::<BatchEnvelope>(&json).expect("an envelope");
    serde_json::from_str(&json).expect("a batch")
}

#[test]
fn events_come_out_as_they_went_in_with_their_device() {
    let event = event(3);
    let messages = pack(std::slice::from_ref(&event));
    assert_eq!(messages.len(), 1);
    let opened = open(&[&messages[0]]);
    assert!(opened.poison.is_empty());
    let mut back = batch(&opened.bodies[0]).events.remove(0);
    let device = back
        .context
        .as_mut()
        .expect("a context")
        .device
        .take()
        .expect("a device");
    assert_eq!(
        (device.os.as_deref(), device.browser.as_deref()),
        (Some("Windows"), Some("Chrome"))
    );
    assert_eq!(back, event);
}

#[test]
fn messages_stay_under_the_queues_limit_and_batches_under_the_centres() {
    assert!(pack(&[]).is_empty());
    let events = vec![event(10_000); 100];
    let messages = pack(&events);
    assert!(messages.len() > 8 && messages.iter().all(|message| message.len() <= MAX_MESSAGE_BYTES));
    let delivery: Vec<&str> = std::iter::repeat_n(messages.iter().map(String::as_str), 8)
        .flatten()
        .take(100)
        .collect();
    let opened = open(&delivery);
    assert!(opened.bodies.len() > 1);
    let carried: Vec<usize> = opened.bodies.iter().flat_map(|body| body.messages.clone()).collect();
    assert_eq!(carried, (0..delivery.len()).collect::<Vec<_>>());
    let total: usize = opened.bodies.iter().map(|body| batch(body).events.len()).sum();
    let per_message = |text: &&str| text.matches("\"origin\":").count();
    assert_eq!(total, delivery.iter().map(per_message).sum::<usize>());
}

#[test]
fn many_small_events_stay_under_the_number_allowed() {
    let mut small = event(0);
    (small.touch, small.context, small.label) = (None, None, None);
    let messages = pack(&vec![small; 2_500]);
    assert!(messages.iter().all(|message| message.len() <= MAX_MESSAGE_BYTES));
    let delivery: Vec<&str> = messages.iter().map(String::as_str).collect();
    let opened = open(&delivery);
    assert_eq!(
        opened.bodies.iter().map(|body| batch(body).events.len()).sum::<usize>(),
        2_500
    );
}

#[test]
fn an_event_too_large_for_a_message_stands_alone() {
    let messages = pack(&[event(1), event(130_000), event(1)]);
    assert_eq!(
        messages
            .iter()
            .map(|message| message.len() > MAX_MESSAGE_BYTES)
            .collect::<Vec<_>>(),
        [false, true, false]
    );
}

#[test]
fn a_message_that_cannot_be_read_is_reported_and_its_neighbours_go_on() {
    let good = pack(&[event(1)]).remove(0);
    let next = good.replacen("\"v\":1", "\"v\":2", 1);
    let neighbours = good.replacen("\"site\":\"shop\"", "\"site\":\"shop-2\"", 1);
    assert_ne!(neighbours, good);
    let crowd = format!(r#"{{"v":1,"events":[{}]}}"#, vec!["1"; 1_001].join(","));
    let hostile = [
        "",
        "null",
        "{}",
        "[]",
        "{\"v\":1}",
        "{\"v\":1,\"events\":1}",
        "\u{0}",
        &next,
        &neighbours,
        &crowd,
        &good[..good.len() - 1],
    ];
    let mut delivery = vec![good.as_str()];
    delivery.extend(hostile);
    delivery.push(&good);
    let opened = open(&delivery);
    assert_eq!(
        opened.poison.iter().map(|(position, _)| *position).collect::<Vec<_>>(),
        (1..=hostile.len()).collect::<Vec<_>>()
    );
    assert!(opened.poison.iter().all(|(_, reason)| !reason.is_empty()));
    assert_eq!(opened.bodies[0].messages, [0, hostile.len() + 1]);
}

#[test]
fn a_message_of_a_worker_that_did_not_name_its_site_is_read() {
    let good = pack(&[event(1)]).remove(0);
    let before = good.replacen("\"site\":\"shop\",", "", 1);
    assert_ne!(before, good);
    assert_eq!(open(&[&before]).bodies[0].len(), 1);
}

#[test]
fn an_event_of_another_version_goes_on_untouched() {
    let opened = open(&[r#"{"v":1,"events":[{"id":"new","action":"teleport"}]}"#]);
    let json = opened.bodies[0].json(&"shop".parse().expect("a key"), NOW, Uuid::nil());
    assert!(json.contains(r#"{"id":"new","action":"teleport"}"#));
}

#[test]
fn an_empty_message_needs_no_batch() {
    let opened = open(&[r#"{"v":1,"events":[]}"#]);
    assert!(opened.bodies[0].is_empty() && opened.bodies[0].messages == [0]);
    assert!(open(&[]).bodies.is_empty());
}

#[test]
fn a_body_splits_by_messages() {
    let messages: Vec<String> = (1..=3).flat_map(|count| pack(&vec![event(1); count])).collect();
    let body = open(&messages.iter().map(String::as_str).collect::<Vec<_>>())
        .bodies
        .remove(0);
    let [first, second] = body.split().expect("halves");
    assert_eq!((first.messages.clone(), batch(&first).events.len()), (vec![0], 1));
    assert_eq!((second.messages.clone(), batch(&second).events.len()), (vec![1, 2], 5));
    assert!(first.split().is_none());
}

#[test]
fn only_a_readable_200_acknowledges() {
    let answer = r#"{"accepted":3,"duplicates":1,"rejected":[{"index":0,"code":"too_old","message":"…"}]}"#;
    assert!(
        matches!(judge(Some(200), None, 1, answer, 0), Verdict::Ack(answer) if answer.accepted == 3 && answer.rejected.len() == 1)
    );
    assert_eq!(
        judge(Some(413), None, 1, "", 0),
        Verdict::Split {
            delay_seconds: MAX_DELAY
        }
    );
    // A whole that is refused again holds one message that is; a server that is down or busy holds none.
    for (status, splits) in [
        (400, true),
        (403, true),
        (422, true),
        (401, false),
        (404, false),
        (429, false),
        (502, false),
        (503, false),
    ] {
        let verdict = judge(Some(status), None, 2, "", 0);
        assert_eq!(
            matches!(verdict, Verdict::Split { delay_seconds } if delay_seconds >= MAX_DELAY / 4),
            splits,
            "{status}"
        );
    }
    for (status, text) in [
        (Some(200), "<html>Welcome to nginx</html>"),
        (Some(200), ""),
        (Some(204), answer),
        (Some(302), answer),
        (None, answer),
        (Some(0), answer),
        (Some(400), answer),
        (Some(401), ""),
        (Some(403), ""),
        (Some(404), ""),
        (Some(408), ""),
        (Some(429), ""),
        (Some(500), ""),
        (Some(503), ""),
        (Some(999), ""),
    ] {
        assert!(
            matches!(judge(status, None, 1, text, 7), Verdict::Retry { .. }),
            "{status:?}"
        );
    }
}

#[test]
fn retries_back_off_and_obey_the_centre() {
    let delay = |status, after, attempts, random| match judge(status, after, attempts, "", random) {
        Verdict::Retry { delay_seconds } => delay_seconds,
        other => panic!("{other:?}"),
    };
    let fixed: Vec<_> = [1, 2, 3, 5, 9, 10, 60, u32::MAX]
        .map(|attempts| delay(Some(500), None, attempts, 0))
        .into();
    assert_eq!(fixed, [5, 10, 20, 80, 1_280, 1_800, 1_800, 1_800]);
    assert_eq!(delay(Some(503), Some("120"), 1, 0), 120);
    assert_eq!(delay(Some(429), Some("99999999"), 1, 0), 43_200);
    for text in ["", "-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9"] {
        assert_eq!(delay(Some(429), Some(text), 1, 0), 5, "{text}");
    }
    assert!(delay(Some(400), None, 1, 0) >= MAX_DELAY / 4 && delay(Some(401), None, 1, 0) < 60);
}

proptest! {
    #[test]
    fn any_answer_is_judged(status in proptest::option::of(any::<u16>()), after in proptest::option::of(".{0,12}"), attempts: u32, answer in ".{0,40}", random: u64) {
        if let Verdict::Retry { delay_seconds } = judge(status, after.as_deref(), attempts, &answer, random) {
            prop_assert!((5..=43_200).contains(&delay_seconds));
        }
    }

    #[test]
    fn any_delivery_opens(messages in proptest::collection::vec("(\\{\"v\":1,\"events\":\\[)?.{0,60}(\\]\\})?", 0..8)) {
        let delivery: Vec<&str> = messages.iter().map(String::as_str).collect();
        let opened = open(&delivery);
        let mut seen: Vec<usize> = opened.bodies.iter().flat_map(|body| body.messages.clone()).chain(opened.poison.iter().map(|(at, _)| *at)).collect();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..delivery.len()).collect::<Vec<_>>());
    }
}
