//! Connections: which request is whose, and how long a client may take.
//!
//! axum's own server waits for ever for a request's headers, and holds a connection as long.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::serve::Listener;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From connecting to the end of the first request's headers.
    pub first: Duration,
    /// From a request to the end of the next one's headers; so long a connection may be idle.
    pub next: Duration,
}

impl Default for Deadlines {
    /// Longer than proxies keep a connection idle (nginx 60 s, cloudflared 90 s, Caddy 120 s): whoever closes first must be the one who
    /// sends, or a request now and then meets a closed door.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(30),
            next: Duration::from_secs(130),
        }
    }
}

/// Serves until told to stop, then takes no more connections and waits until every request that was begun is answered.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    deadlines: Deadlines,
    mut stopped: watch::Receiver<bool>,
) {
    // Every connection holds a receiver; when the last one is gone, so are the connections.
    let (open, held) = watch::channel(());
    loop {
        let accepted = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = stop(&mut stopped) => break,
        };
        let (connection, stopped, held) = (router.clone(), stopped.clone(), held.clone());
        tokio::spawn(async move {
            answer(accepted, connection, deadlines, stopped).await;
            drop(held);
        });
    }
    drop((listener, held));
    open.closed().await;
}

async fn stop(stopped: &mut watch::Receiver<bool>) {
    // Whoever could say it is gone: then it is time, too.
    let _ = stopped.wait_for(|stop| *stop).await;
}

/// Answers the requests of one connection.
async fn answer(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    deadlines: Deadlines,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are small: they must not wait to be joined with more.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(AtomicBool::new(false));
    let noted = asked.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        noted.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(deadlines.next)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stopping = pin!(stop(&mut stopped).fuse());
    let mut late = pin!(tokio::time::sleep(deadlines.first).fuse());
    loop {
        tokio::select! {
            // How it ended is the client's affair: it went away, or spoke no HTTP.
            _ = connection.as_mut() => break,
            () = &mut stopping => connection.as_mut().graceful_shutdown(),
            () = &mut late => {
                if !asked.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    /// Long enough for a machine that is busy with other things.
    const SHORT: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(60);

    async fn serving(deadlines: Deadlines) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
        let router = Router::new()
            .route(
                "/",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
            )
            .route(
                "/slow",
                get(async || {
                    tokio::time::sleep(SHORT * 2).await;
                    "done"
                }),
            )
            .route("/length", post(|body: String| async move { body.len().to_string() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(serve(listener, router, deadlines, stopped));
        (address, stop, server)
    }

    /// Sends `text`, then reads to the connection's end.
    async fn sent(address: SocketAddr, text: &str) -> (String, Duration) {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        (to_end(&mut stream).await, began.elapsed())
    }

    async fn to_end(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        // A connection that was reset ends, too.
        let _ = tokio::time::timeout(SHORT * 20, stream.read_to_end(&mut answer))
            .await
            .unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_of_a_header_is_hung_up_on_and_the_others_are_answered() {
        let (address, _stop, _server) = serving(Deadlines {
            first: SHORT,
            next: LONG,
        })
        .await;
        for text in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX: "] {
            let (answer, took) = sent(address, text).await;
            assert_eq!(answer, "", "{text}");
            assert!((SHORT..SHORT * 10).contains(&took), "{text}: {took:?}");
        }
        // Drop by drop is no faster.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let began = Instant::now();
        while stream.write_all(b"G").await.is_ok() {
            assert!(began.elapsed() < SHORT * 10);
            tokio::time::sleep(SHORT / 10).await;
        }
        let asked = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert!(sent(address, asked).await.0.ends_with("127.0.0.1"));
    }

    #[tokio::test]
    async fn a_connection_that_idles_too_long_is_closed_and_one_that_is_used_is_not() {
        let (address, _stop, _server) = serving(Deadlines {
            first: LONG,
            next: SHORT,
        })
        .await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..6 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"127.0.0.1") {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "hung up on");
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
            tokio::time::sleep(SHORT / 4).await;
        }
        assert_eq!(to_end(&mut stream).await, "");
    }

    #[tokio::test]
    async fn a_body_may_take_longer_than_the_headers_and_so_may_the_answer() {
        let (address, _stop, _server) = serving(Deadlines {
            first: SHORT,
            next: SHORT,
        })
        .await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..8 {
            tokio::time::sleep(SHORT / 4).await;
            stream.write_all(b"x").await.unwrap();
        }
        assert!(to_end(&mut stream).await.ends_with("\r\n8"));
        let asked = "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert!(sent(address, asked).await.0.ends_with("done"));
    }

    #[tokio::test]
    async fn told_to_stop_it_finishes_what_was_begun_and_hangs_up_on_who_idles() {
        let (address, stop, server) = serving(Deadlines {
            first: LONG,
            next: LONG,
        })
        .await;
        let idle = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            to_end(&mut stream).await
        });
        let begun = tokio::spawn(async move { sent(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.0 });
        tokio::time::sleep(SHORT).await;
        stop.send(true).unwrap();
        assert!(begun.await.unwrap().ends_with("done"));
        assert!(idle.await.unwrap().ends_with("127.0.0.1"));
        tokio::time::timeout(SHORT * 10, server).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
