use super::*;

fn request(text: &str) -> Request<'_> {
    match decode(text.as_bytes(), &Rules::SERVER) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text} is a request, not {other:?}"),
    }
}

#[test]
fn a_request_keeps_its_bytes() {
    let text = r#"{"params":{"b":1e0,"name":"x","a":[1.50]},"id":007e,"jsonrpc":"2.0"}"#;
    assert!(decode(text.as_bytes(), &Rules::SERVER).is_err());
    let text = r#" {"params": {"b":1e0,"name":"x","a":[ 1.50] } ,"\u006dethod":"tools\/call","id":"\u0061","jsonrpc":"2.0"} "#;
    let request = request(text);
    assert_eq!(request.method, "tools/call");
    assert_eq!(request.id.as_raw(), r#""\u0061""#);
    assert_eq!(request.id, OwnedId::from_string("a").as_id());
    assert_eq!(
        request.params.raw().unwrap().get(),
        r#"{"b":1e0,"name":"x","a":[ 1.50] }"#
    );
    assert_eq!(request.params.name().unwrap().as_deref(), Some("x"));
}
