use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
};

use super::*;

fn outgoing(allow_private: bool) -> Outgoing {
    Outgoing::new(&Reach {
        allow_private,
        ca_file: None,
        timeout: Duration::from_secs(10),
    })
    .unwrap()
}

/// Answers each connection with the next of `answers`, with `{port}` filled in, and counts them.
async fn scripted(answers: Vec<&'static str>) -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await.unwrap();
            let answer = answer.replace("{port}", &port.to_string());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, served)
}

#[test]
fn what_an_address_tells_by_itself_is_judged_before_anything_is_sent() {
    let table = [
        ("https://93.184.215.14/", false, None),
        ("https://api.example.com/", false, None),
        ("http://api.example.com/", false, Some(Forbidden::PlainText)),
        ("http://127.0.0.1:1/", true, None),
        (
            "https://127.0.0.1/",
            false,
            Some(Forbidden::Private("127.0.0.1".into())),
        ),
        (
            "https://2130706433/",
            false,
            Some(Forbidden::Private("127.0.0.1".into())),
        ),
        (
            "https://0x7f.1/",
            false,
            Some(Forbidden::Private("127.0.0.1".into())),
        ),
        (
            "https://[::ffff:10.0.0.1]/",
            false,
            Some(Forbidden::Private("::ffff:10.0.0.1".into())),
        ),
        (
            "ftp://93.184.215.14/",
            true,
            Some(Forbidden::Scheme("ftp".into())),
        ),
        (
            "https://user:word@api.example.com/",
            true,
            Some(Forbidden::Credentials),
        ),
    ];
    for (url, allow_private, refusal) in table {
        let judged = outgoing(allow_private).judge(&url.parse().unwrap());
        assert_eq!(judged.err(), refusal, "{url}");
    }
}

#[tokio::test]
async fn a_name_that_leads_home_is_refused_after_it_was_resolved() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let url: Url = format!("https://localhost:{port}/").parse().unwrap();
    let error = outgoing(false)
        .request(http::Method::GET, url)
        .unwrap()
        .send()
        .await
        .unwrap_err();
    assert!(format!("{error:?}").contains("Private"), "{error:?}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nothing may have been connected");
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_origin_only() {
    let (port, _) = scripted(vec![
        "HTTP/1.1 307 x\r\nlocation: /there\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
    ])
    .await;
    let get = |port: u16| {
        let url = format!("http://127.0.0.1:{port}/here").parse().unwrap();
        outgoing(true).request(http::Method::GET, url).unwrap().send()
    };
    assert_eq!(get(port).await.unwrap().text().await.unwrap(), "ok");

    let (elsewhere, visits) = scripted(vec!["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]).await;
    let away: &'static str = Box::leak(
        format!("HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:{elsewhere}/\r\ncontent-length: 0\r\n\r\n")
            .into_boxed_str(),
    );
    let (port, _) = scripted(vec![away]).await;
    assert_eq!(get(port).await.unwrap().status(), 307);
    assert_eq!(visits.load(std::sync::atomic::Ordering::SeqCst), 0);

    let circle = "HTTP/1.1 302 x\r\nlocation: /here\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (port, visits) = scripted(vec![circle; 9]).await;
    assert_eq!(get(port).await.unwrap().status(), 302);
    assert_eq!(
        visits.load(std::sync::atomic::Ordering::SeqCst),
        1 + MOST_REDIRECTS
    );
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_cap_and_no_further() {
    let cases = [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfour",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\nfour",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
            false,
        ),
    ];
    for (answer, fits) in cases {
        let (port, _) = scripted(vec![answer]).await;
        let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        let response = outgoing(true)
            .request(http::Method::GET, url)
            .unwrap()
            .send()
            .await
            .unwrap();
        let read = read_capped(response, 5).await;
        assert_eq!(read.is_ok(), fits, "{answer}: {read:?}");
    }
}
