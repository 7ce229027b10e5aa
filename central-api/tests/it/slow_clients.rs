//! Clients that take their time, on real sockets: they must not keep others waiting, and whoever has much to send may.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestApp;

/// As many as are answered at a time in the panel's group, and some.
const SLOW: usize = 300;

async fn connect(app: &TestApp) -> TcpStream {
    let address = app.url("");
    TcpStream::connect(address.strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

/// The beginning of a request that sends a byte of its body.
fn begun(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    )
}

#[tokio::test]
async fn bodies_of_strangers_that_do_not_arrive_take_nobody_s_place_and_are_given_up() {
    let app = TestApp::start().await;
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let path = ["/api/v1/session", "/api/v1/setup", "/api/v1/account/password-link"][n % 3];
        let mut stream = connect(&app).await;
        stream.write_all(begun(path).as_bytes()).await.unwrap();
        slow.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let answer = app.client.get(app.url("/api/v1/session")).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let login = serde_json::json!({"email": "ann@shop.example", "password": "a wrong password"});
    let answer = app
        .client
        .post(app.url("/api/v1/session"))
        .json(&login)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    for path in ["/internal/cron", "/internal/worker-settings"] {
        let mut stream = connect(&app).await;
        stream.write_all(begun(path).as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for stream in slow.iter_mut().rev().take(5) {
        let mut answer = [0; 12];
        let read = stream.read_exact(&mut answer);
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    }
}
