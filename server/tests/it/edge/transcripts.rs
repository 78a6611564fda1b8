//! The golden conversations of the wire crate, replayed: each row of protocol.md §1.2, §1.3 and §1.5 and the
//! vectors of §1.4. One server answers them all, so nothing may carry over from one to the next.

use footbridge_protocol::transcript::{Bindings, GOLDEN, Transcript};

use crate::house::House;

#[tokio::test]
async fn golden_conversations_go_as_written() {
    // Sessions have a test of their own; here every legacy message stands alone.
    let house = House::with(|settings| settings.session_ms = 0).await;
    let key = house.key("t:read").await;
    let mut faults = Vec::new();
    let mut played = 0;
    for (file, text) in GOLDEN {
        let transcript = Transcript::parse(text).unwrap();
        let mut bindings = Bindings::default();
        bindings.bind("key", key.as_str());
        bindings.bind("tool", "plain");
        for exchange in transcript.exchanges {
            let request = exchange.request.fill(&bindings).unwrap();
            let mut post = house.post("", &request.body).path(&request.target);
            post.method = match request.method.as_str() {
                "GET" => "GET",
                "POST" => "POST",
                "PUT" => "PUT",
                "PATCH" => "PATCH",
                "DELETE" => "DELETE",
                other => panic!("{other}"),
            };
            post = post.without("content-type").without("accept");
            for (name, value) in &request.headers {
                post = post.header(name, value);
            }
            let reply = post.send().await;
            let header = |name: &str| reply.header(name).map(str::to_owned);
            played += 1;
            if let Err(fault) = exchange
                .reply
                .check(&mut bindings, reply.status, header, &reply.body)
            {
                faults.push(format!(
                    "{file}:{}: {}: {fault}\n  {}",
                    exchange.line,
                    exchange.title,
                    reply.text()
                ));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {played}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(played > 150, "only {played} exchanges were found");
}
