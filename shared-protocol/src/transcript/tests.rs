use serde_json::json;

use super::*;
use crate::era::{self, Served};
use crate::headers::{self, HeaderValue};
use crate::jsonrpc::{DecodeError, Message, Rules, decode, decode_batch, decode_raw};

const SAMPLE: &str = r#"
# Title.
# More.
> POST /mcp
> authorization: Bearer [key]
> X-Empty:
> x-json: [1] [Not]
>
> {"id":"[id]","a":["[b]"],
>
> "c":"[Key] [b]"}
< 200
< content-type: application/json
< !mcp-session-id
<
< {"id":"[id]","state":"[state]","gone":"[absent]","list":["[any]",{"t":"[text]"}]}

# Second.
> GET /mcp
< 405
"#;

fn sample() -> Transcript {
    Transcript::parse(SAMPLE).unwrap()
}

fn bindings() -> Bindings {
    let mut bindings = Bindings::default();
    bindings.bind("key", "k");
    bindings.bind("id", 7);
    bindings.bind("b", "\"");
    bindings
}

#[test]
fn a_file_reads_as_exchanges() {
    let [first, second] = sample().exchanges.try_into().unwrap();
    assert_eq!((first.line, first.title.as_str()), (4, "Title."));
    assert_eq!(first.request.method, "POST");
    assert_eq!(first.request.headers[1], ("x-empty".to_owned(), String::new()));
    assert_eq!(first.reply.headers[1], ("mcp-session-id".to_owned(), None));
    assert_eq!((second.title.as_str(), second.reply.status), ("Second.", 405));
    assert_eq!(second.reply.body, Body::Unchecked);
    assert_eq!(second.request.body, "");
}

#[test]
fn redactions_in_requests_are_filled() {
    let request = sample().exchanges[0].request.fill(&bindings()).unwrap();
    assert_eq!(request.headers[0].1, "Bearer k");
    assert_eq!(
        request.headers[2].1, "[1] [Not]",
        "only lower-case names are redactions"
    );
    assert_eq!(
        request.body,
        "{\"id\":7,\"a\":[\"\\\"\"],\n\n\"c\":\"[Key] [b]\"}"
    );
    let fault = sample().exchanges[0]
        .request
        .fill(&Bindings::default())
        .unwrap_err();
    assert_eq!(
        fault,
        Fault::Unbound {
            name: "key".to_owned()
        }
    );
}

#[test]
fn replies_are_compared_and_bind() {
    let reply = &sample().exchanges[0].reply;
    let header = |name: &str| (name == "content-type").then(|| "application/json".to_owned());
    let check = |status: u16, body: &Value| {
        let mut bindings = bindings();
        reply
            .check(&mut bindings, status, header, body.to_string().as_bytes())
            .map(|()| bindings)
    };
    let fine = json!({"id": 7, "state": [1], "list": [null, {"t": "x", "more": 1}], "more": 1});
    assert_eq!(check(200, &fine).unwrap().get("state"), Some(&json!([1])));
    assert!(check(201, &fine).is_err());
    for (pointer, wrong) in [
        ("/id", json!("7")),
        ("/list", json!([1])),
        ("/list/1/t", json!("")),
        ("/list/1", json!(1)),
    ] {
        let mut body = fine.clone();
        *body.pointer_mut(pointer).unwrap() = wrong;
        assert!(check(200, &body).is_err(), "{body}");
    }
    let mut with_gone = fine.clone();
    with_gone["gone"] = Value::Null;
    assert!(check(200, &with_gone).is_err());
    let mut without_state = fine.clone();
    without_state.as_object_mut().unwrap().remove("state");
    assert!(check(200, &without_state).is_err());
}

#[test]
fn headers_of_replies_are_compared() {
    let reply = &sample().exchanges[0].reply;
    for wrong in [
        |name: &str| (name == "content-type").then(|| "text/plain".to_owned()),
        |_: &str| None,
        |name: &str| {
            Some(
                if name == "content-type" {
                    "application/json"
                } else {
                    "s"
                }
                .to_owned(),
            )
        },
    ] {
        assert!(matches!(
            reply.check(&mut bindings(), 200, wrong, b"{}"),
            Err(Fault::Different { .. })
        ));
    }
}

#[test]
fn what_is_played_passes_the_check() {
    for content_type in ["application/json", "text/event-stream"] {
        let mut reply = sample().exchanges[0].reply.clone();
        reply.headers[0].1 = Some(content_type.to_owned());
        let body = reply.play(&bindings());
        let header = |name: &str| (name == "content-type").then(|| content_type.to_owned());
        reply.check(&mut bindings(), 200, header, &body).unwrap();
    }
}

#[test]
fn several_lines_are_several_events() {
    let text = "> POST /\n< 200\n< content-type: text/event-stream\n<\n< {\"a\":1}\n< {\"a\":2}\n";
    let reply = &Transcript::parse(text).unwrap().exchanges[0].reply;
    let header = |_: &str| Some("text/event-stream".to_owned());
    let check = |body: &str| reply.check(&mut Bindings::default(), 200, header, body.as_bytes());
    assert_eq!(check("data: {\"a\":1}\n\n:\ndata: {\"a\":2}\n\n"), Ok(()));
    assert!(check("data: {\"a\":1}\n\n").is_err());
    assert!(check("data: {\"a\":2}\n\ndata: {\"a\":1}\n\n").is_err());
}

#[test]
fn files_that_break_the_format() {
    for (text, line) in [
        ("x", 1),
        ("< 200", 1),
        ("> POST /mcp", 1),
        ("\n> POST\n< 200", 2),
        ("> POST /\n> novalue\n< 200", 2),
        ("> POST /\n< twohundred", 2),
        ("> POST /\n< 200\n<\n< {", 2),
    ] {
        let Err(Fault::Syntax { line: at, .. }) = Transcript::parse(text) else {
            panic!("{text} is broken")
        };
        assert_eq!(at, line, "{text}");
    }
}

#[test]
fn every_golden_file_is_listed_and_readable() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts");
    let mut on_disk: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    on_disk.sort();
    assert_eq!(on_disk, GOLDEN.map(|(name, _)| name));
    for (name, text) in GOLDEN {
        let transcript = Transcript::parse(text).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(
            transcript
                .exchanges
                .iter()
                .all(|exchange| !exchange.title.is_empty()),
            "{name}"
        );
    }
}

/// What this crate alone can say about a request: the status and code of gate rows 6 to 15, or that it passed.
fn judge(request: &Request) -> Result<(), (u16, i64)> {
    let header = |name: &str| {
        HeaderValue::of(
            request
                .headers
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.as_bytes()),
        )
    };
    let version = header(headers::PROTOCOL_VERSION);
    let body = request.body.as_bytes();
    let message = match decode(body, &Rules::SERVER) {
        Err(DecodeError::Batch) => {
            let refused = (400, crate::codes::INVALID_REQUEST);
            let elements = decode_batch(body, &Rules::SERVER).map_err(|error| (400, error.code()))?;
            let whole = elements
                .iter()
                .all(|element| match decode_raw(element, &Rules::SERVER) {
                    Ok(Message::Request(request)) => {
                        request.method != "initialize" && !request.params.meta().is_modern_claim()
                    }
                    _ => true,
                });
            return if whole && era::allows_batch(version) {
                Ok(())
            } else {
                Err(refused)
            };
        }
        decoded => decoded.map_err(|error| (400, error.code()))?,
    };
    let request = match message {
        Message::Request(request) => request,
        Message::Response(_) if era::response_is_modern(version) => {
            return Err((400, crate::codes::INVALID_REQUEST));
        }
        Message::Notification(_) | Message::Response(_) => return Ok(()),
    };
    let served = era::decide(request.params.meta(), &request.method, version);
    if served.map_err(|refusal| (400, refusal.code()))? == Served::Modern {
        let mismatch = |mismatch: headers::Mismatch| (400, mismatch.to_error().code);
        headers::check_method(header(headers::METHOD), &request.method).map_err(mismatch)?;
        // Row 14 comes before row 15: unknown methods have no name to compare, so the order shows nowhere here.
        headers::check_name(header(headers::NAME), &request.method, &request.params).map_err(mismatch)?;
    }
    Ok(())
}

/// The golden files and the functions of this crate agree on every refusal that needs no server.
#[test]
fn golden_refusals_are_ours() {
    let mut bindings = Bindings::default();
    bindings.bind("key", "k");
    bindings.bind("tool", "a_tool");
    let mut judged = 0;
    for (name, text) in GOLDEN {
        for exchange in Transcript::parse(text).unwrap().exchanges {
            // Rows 1 to 5 are HTTP's; an absent version header in a modern exchange belongs to the rows below.
            if matches!(exchange.reply.status, 401 | 403 | 405 | 415) {
                continue;
            }
            judged += 1;
            let expected = match (&exchange.reply.body, exchange.reply.status) {
                (Body::Messages(messages), 400) => Err((400, messages[0]["error"]["code"].as_i64().unwrap())),
                _ => Ok(()),
            };
            let found = judge(&exchange.request.fill(&bindings).unwrap());
            assert_eq!(found, expected, "{name}:{} {}", exchange.line, exchange.title);
        }
    }
    assert!(judged > 100, "{judged} exchanges judged");
}

/// An error that carries an id in a golden file is one whose id can be read, and the other way round.
#[test]
fn golden_ids_are_ours() {
    for (name, text) in GOLDEN {
        for exchange in Transcript::parse(text).unwrap().exchanges {
            let Body::Messages(messages) = &exchange.reply.body else {
                continue;
            };
            if exchange.reply.status != 400 {
                continue;
            }
            let expected = messages[0]
                .get("id")
                .filter(|id| **id != "[absent]")
                .map(Value::to_string);
            let found = match decode(exchange.request.body.as_bytes(), &Rules::SERVER) {
                Ok(Message::Request(request)) => Some(request.id.as_raw().to_owned()),
                Ok(_) => None,
                Err(error) => error.id().map(|id| id.as_raw().to_owned()),
            };
            assert_eq!(found, expected, "{name}:{} {}", exchange.line, exchange.title);
        }
    }
}
