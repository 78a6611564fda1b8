//! Slow and silent peers are dropped in time, and nobody else notices (security.md S2).

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::house::{House, Reply, exchange, read_all};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const MANY: usize = 200;

async fn house() -> House {
    House::with(|s| {
        s.head_timeout_ms = 1500;
        s.body_timeout_ms = 1500;
        s.idle_timeout_ms = 3000;
    })
    .await
}

/// Opens many connections that each send `bytes` and then no more, or a byte now and then.
async fn crowd(
    house: &House,
    bytes: &[u8],
    drip: Option<&'static [u8]>,
) -> Vec<tokio::task::JoinHandle<Vec<u8>>> {
    let mut all = Vec::new();
    for _ in 0..MANY {
        let (address, bytes) = (house.address, bytes.to_vec());
        all.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let (mut reader, mut writer) = stream.split();
            let dripping = async {
                loop {
                    sleep(Duration::from_millis(200)).await;
                    match drip {
                        Some(drop) if writer.write_all(drop).await.is_err() => std::future::pending().await,
                        _ => {}
                    }
                }
            };
            tokio::select! {
                all = read_all(&mut reader) => all,
                () = dripping => Vec::new(),
            }
        }));
    }
    all
}

#[tokio::test]
async fn crowds_of_slow_and_silent_peers_go_while_a_caller_is_served() {
    let house = house().await;
    let key = house.key("t:read").await;
    let head = String::from_utf8(house.post(&key, "").bytes(false)).unwrap();
    let slow_head = head.trim_end().as_bytes().to_vec();
    let slow_body = head
        .replace("content-length: 0", "content-length: 100")
        .into_bytes();
    let begun = Instant::now();
    let crowds = [
        ("silent", crowd(&house, b"", None).await, &[][..]),
        (
            "slow heads",
            crowd(&house, &slow_head, Some(b"x")).await,
            &b"HTTP/1.1 408 "[..],
        ),
        (
            "slow bodies",
            crowd(&house, &slow_body, Some(b" ")).await,
            &b"HTTP/1.1 408 "[..],
        ),
    ];
    let mut served = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(house.post(&key, PING).send().await.status, 200);
        served += 1;
    }
    assert!(
        served > 10,
        "a caller among slow peers got only {served} answers in a second"
    );
    for (what, crowd, opening) in crowds {
        for peer in crowd {
            let heard = peer.await.unwrap();
            assert!(
                heard.starts_with(opening),
                "{what}: {}",
                String::from_utf8_lossy(&heard)
            );
            assert!(
                !opening.is_empty() || heard.is_empty(),
                "{what}: nothing was asked"
            );
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "they are gone after {:?}",
        begun.elapsed()
    );
    assert_eq!(house.post(&key, PING).send().await.status, 200);
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_a_slow_head() {
    let house = house().await;
    let key = house.key("t:read").await;
    let mut stream = house.connect().await;
    stream
        .write_all(&house.post(&key, PING).bytes(false))
        .await
        .unwrap();
    let mut first = vec![0; 4096];
    let read = stream.read(&mut first).await.unwrap();
    assert_eq!(Reply::parse(&first[..read]).status, 200);
    // Longer than a head may take: the next request still finds its connection.
    sleep(Duration::from_millis(2000)).await;
    stream
        .write_all(&house.post(&key, PING).bytes(false))
        .await
        .unwrap();
    let read = stream.read(&mut first).await.unwrap();
    assert_eq!(Reply::parse(&first[..read]).status, 200);
    let begun = Instant::now();
    assert!(read_all(&mut stream).await.is_empty());
    assert!(
        begun.elapsed() > Duration::from_millis(2500),
        "closed after {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_full_house_says_so_and_recovers() {
    let house = House::with(|s| s.connections = 3).await;
    let key = house.key("t:read").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = house.connect().await;
        stream
            .write_all(&house.post(&key, PING).bytes(false))
            .await
            .unwrap();
        let mut answer = [0; 64];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        held.push(stream);
    }
    let reply = Reply::parse(&read_all(&mut house.connect().await).await);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
    held.pop();
    for _ in 0..100 {
        let mut stream = house.connect().await;
        let reply = exchange(&mut stream, &house.post(&key, PING).bytes(true)).await;
        if reply.status == 200 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the place that was left is never given out again");
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let house = House::with(|s| s.requests_in_flight = 2).await;
    let key = house.key("t:read").await;
    let slow = house.call(&key, "slow", serde_json::json!({ "milliseconds": 1500 }));
    let (one, two) = (slow.open().await, slow.open().await);
    house.noticed.reach(|n| &n.started, 2).await;
    let reply = house.post(&key, PING).send().await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
    for mut stream in [one, two] {
        assert_eq!(Reply::parse(&read_all(&mut stream).await).status, 200);
    }
    assert_eq!(house.post(&key, PING).send().await.status, 200);
}
