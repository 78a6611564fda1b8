//! A provider that rotates its keys, goes away, hangs, lies and floods us. Time is handed in.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use parking_lot::Mutex as Lock;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// What the provider does with whoever asks for its keys.
#[derive(Clone)]
enum Mood {
    Keys(Vec<&'static str>),
    Text(String),
    Fails,
    Hangs,
}

struct Provider {
    issuer: Arc<Issuer>,
    mood: Arc<Lock<Mood>>,
    asked: Arc<AtomicU32>,
    began: Instant,
}

fn key(id: &str) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE" })
}

impl Provider {
    async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limits = OAuthLimits {
            fetch_timeout_ms: 300,
            document_bytes: 4096,
            ..OAuthLimits::default()
        };
        let fetcher = Arc::new(Fetcher::new(&limits).unwrap());
        let provider = Self {
            issuer: Issuer::new(&url, fetcher, limits).unwrap(),
            mood: Arc::new(Lock::new(mood)),
            asked: Arc::default(),
            began: Instant::now(),
        };
        let (mood, asked) = (Arc::clone(&provider.mood), Arc::clone(&provider.asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mood, asked, url) = (mood.lock().clone(), Arc::clone(&asked), url.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 2048];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    let is_keys = String::from_utf8_lossy(&request[..length]).starts_with("GET /keys ");
                    let (status, body) = match mood {
                        _ if !is_keys => (
                            200,
                            json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }).to_string(),
                        ),
                        Mood::Keys(ids) => {
                            let keys: Vec<_> = ids.into_iter().map(key).collect();
                            (200, json!({ "keys": keys }).to_string())
                        }
                        Mood::Text(text) => (200, text),
                        Mood::Fails => (500, String::new()),
                        Mood::Hangs => std::future::pending().await,
                    };
                    if is_keys {
                        asked.fetch_add(1, Ordering::SeqCst);
                    }
                    let head = format!(
                        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        provider
    }

    /// How many keys of that name there are, so long after the beginning.
    async fn found(&self, id: &str, seconds: u64) -> Result<usize, ProviderFault> {
        let now = self.began + Duration::from_secs(seconds);
        let keys = self.issuer.candidates(Some(id), Algorithm::EdDSA, now).await;
        keys.map(|keys| keys.len())
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until the provider was asked so often and nobody asks any more.
    async fn settled(&self, times: u32) {
        let settled = async {
            while self.asked() < times || self.issuer.refreshing.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled)
            .await
            .expect("the refresh ends");
    }
}

#[tokio::test]
async fn a_rotated_key_is_found_and_made_up_names_are_asked_for_once_a_minute() {
    let provider = Provider::start(Mood::Keys(vec!["a"])).await;
    assert_eq!(provider.found("a", 0).await, Ok(1));
    *provider.mood.lock() = Mood::Keys(vec!["b"]);
    assert_eq!(provider.found("b", 1).await, Ok(1), "rotated: one fetch finds it");
    assert_eq!(provider.found("a", 2).await, Ok(0), "withdrawn");
    for made_up in 0..50 {
        assert_eq!(provider.found(&format!("x{made_up}"), 3).await, Ok(0));
    }
    assert_eq!(provider.asked(), 2);
    assert_eq!(provider.found("c", 62).await, Ok(0));
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn however_many_ask_one_fetch_is_under_way() {
    let provider = Provider::start(Mood::Keys(vec!["a"])).await;
    let asks = (0..40).map(|_| provider.found("a", 0));
    for found in futures_util::future::join_all(asks).await {
        assert_eq!(found, Ok(1));
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn known_keys_go_on_for_a_day_while_the_provider_is_away() {
    const DAY: u64 = 24 * 3600;
    let provider = Provider::start(Mood::Keys(vec!["a"])).await;
    assert_eq!(provider.found("a", 0).await, Ok(1));
    *provider.mood.lock() = Mood::Fails;
    // No longer fresh: refreshed behind the caller's back, which fails.
    assert_eq!(provider.found("a", 301).await, Ok(1));
    provider.settled(2).await;
    // Not again at once.
    assert_eq!(provider.found("a", 302).await, Ok(1));
    provider.settled(2).await;
    assert_eq!(provider.asked(), 2);
    assert_eq!(provider.found("a", DAY - 1).await, Ok(1));
    provider.settled(3).await;
    assert_eq!(provider.found("a", DAY + 1).await, Err(ProviderFault::Away));
    *provider.mood.lock() = Mood::Keys(vec!["a"]);
    assert_eq!(provider.found("a", DAY + 10).await, Ok(1), "it is back");
}

#[tokio::test]
async fn fresh_keys_replace_old_ones_without_anybody_waiting() {
    let provider = Provider::start(Mood::Keys(vec!["a"])).await;
    assert_eq!(provider.found("a", 0).await, Ok(1));
    *provider.mood.lock() = Mood::Keys(vec!["b"]);
    assert_eq!(provider.found("a", 300).await, Ok(1), "served from what is known");
    provider.settled(2).await;
    assert_eq!(provider.found("a", 301).await, Ok(0));
}

#[tokio::test]
async fn a_provider_that_hangs_or_lies_is_away_and_not_asked_again_at_once() {
    let large = json!({ "keys": vec![key("a"); 60] }).to_string();
    for mood in [
        Mood::Hangs,
        Mood::Fails,
        Mood::Text("<html>".to_owned()),
        Mood::Text(json!({ "keys": [] }).to_string()),
        Mood::Text(json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }).to_string()),
        Mood::Text(large),
    ] {
        let provider = Provider::start(mood).await;
        assert_eq!(provider.found("a", 0).await, Err(ProviderFault::Away));
        *provider.mood.lock() = Mood::Keys(vec!["a"]);
        assert_eq!(
            provider.found("a", 1).await,
            Err(ProviderFault::Away),
            "not yet again"
        );
        assert_eq!(provider.found("a", 6).await, Ok(1));
    }
}

#[tokio::test]
async fn those_who_wait_for_a_hanging_provider_are_few() {
    let provider = Provider::start(Mood::Hangs).await;
    let asks = (0..100).map(|_| provider.found("a", 0));
    let found = futures_util::future::join_all(asks).await;
    let slow = found
        .iter()
        .filter(|one| **one == Err(ProviderFault::Slow))
        .count();
    assert_eq!(slow, 100 - MOST_WAITING);
}

#[tokio::test]
async fn a_document_that_names_another_issuer_is_not_believed() {
    let provider = Provider::start(Mood::Keys(vec!["a"])).await;
    let limits = OAuthLimits::default();
    let fetcher = Arc::new(Fetcher::new(&limits).unwrap());
    // The same place, spelled another way.
    let url = provider.issuer.url.replace("127.0.0.1", "localhost");
    let other = Issuer::new(&url, fetcher, limits).unwrap();
    let keys = other
        .candidates(Some("a"), Algorithm::EdDSA, Instant::now())
        .await;
    assert_eq!(keys.err(), Some(ProviderFault::Away));
}

#[test]
fn well_known_names_stand_between_host_and_path() {
    let table = [
        ("https://h", "https://h/.well-known/x"),
        ("https://h/", "https://h/.well-known/x"),
        ("https://h/mcp", "https://h/.well-known/x/mcp"),
        ("https://h:8443/a/b/", "https://h:8443/.well-known/x/a/b"),
    ];
    for (url, expected) in table {
        assert_eq!(well_known(url, "x"), expected);
    }
}
