use serde_json::value::RawValue;

use super::*;
use crate::params::Params;

/// What a row of the table says, in the words of the table.
fn verdict(claim: Option<&str>, method: &str, header: HeaderValue<'_>) -> String {
    let meta = match claim {
        Some(version) => format!(
            r#"{{"_meta":{{"{PROTOCOL_VERSION}":{},"{CLIENT_CAPABILITIES}":{{}}}}}}"#,
            serde_json::Value::from(version)
        ),
        None => "{}".to_owned(),
    };
    verdict_of(&meta, method, header)
}

fn verdict_of(params: &str, method: &str, header: HeaderValue<'_>) -> String {
    let raw: &RawValue = serde_json::from_str(params).unwrap();
    let params = Params::read(raw).unwrap();
    match decide(params.meta(), method, header) {
        Ok(Served::Modern) => "modern".to_owned(),
        Ok(Served::Handshake) => "handshake".to_owned(),
        Ok(Served::Legacy(version)) => version.to_string(),
        Err(refusal) => refusal.code().to_string(),
    }
}

/// The table of protocol brief §1.3, row by row.
#[test]
fn the_table() {
    const NO: HeaderValue<'_> = HeaderValue::Absent;
    let is = HeaderValue::One;
    let rows: [(Option<&str>, &str, HeaderValue<'_>, &str); 41] = [
        (Some("2026-07-28"), "tools/list", is("2026-07-28"), "modern"),
        (Some("2026-07-28"), "initialize", is("2026-07-28"), "modern"),
        (Some("2026-07-28"), "tools/list", NO, "-32020"),
        (Some("2026-07-28"), "tools/list", is("2025-11-25"), "-32020"),
        (Some("2026-07-28"), "tools/list", is(""), "-32020"),
        (
            Some("2026-07-28"),
            "tools/list",
            HeaderValue::Conflicting,
            "-32020",
        ),
        (Some("2026-07-28"), "tools/list", HeaderValue::NotText, "-32020"),
        (Some("2025-11-25"), "tools/list", is("2025-11-25"), "2025-11-25"),
        (Some("2025-06-18"), "tools/list", NO, "2025-06-18"),
        (Some("2025-03-26"), "initialize", NO, "2025-03-26"),
        (Some("2025-11-25"), "tools/list", is("2025-06-18"), "-32020"),
        (Some("2025-11-25"), "tools/list", is("2026-07-28"), "-32020"),
        (
            Some("2025-11-25"),
            "tools/list",
            HeaderValue::Conflicting,
            "-32020",
        ),
        (Some("2099-01-01"), "tools/list", is("2099-01-01"), "-32022"),
        (Some("2024-11-05"), "tools/list", is("2024-11-05"), "-32022"),
        (Some("nonsense"), "tools/list", is("nonsense"), "-32022"),
        (Some(""), "tools/list", is(""), "-32022"),
        (Some("2099-01-01"), "tools/list", NO, "-32020"),
        (Some("2099-01-01"), "tools/list", is("2098-01-01"), "-32020"),
        (Some("2099-01-01"), "tools/list", is("2026-07-28"), "-32020"),
        (None, "initialize", NO, "handshake"),
        (None, "initialize", is("2025-11-25"), "handshake"),
        (None, "initialize", is("2024-11-05"), "handshake"),
        (None, "initialize", is("nonsense"), "handshake"),
        (None, "initialize", is("2026-07-28"), "-32020"),
        (None, "initialize", is("2031-12-31"), "-32020"),
        (None, "initialize", HeaderValue::Conflicting, "-32020"),
        (None, "tools/list", is("2026-07-28"), "-32602"),
        (None, "tools/list", is("2031-12-31"), "-32602"),
        (None, "server/discover", is("2026-07-28"), "-32602"),
        (None, "tools/list", is("2025-11-25"), "2025-11-25"),
        (None, "tools/list", is("2025-06-18"), "2025-06-18"),
        (None, "tools/list", is("2025-03-26"), "2025-03-26"),
        (None, "tools/list", NO, "2025-03-26"),
        (None, "tools/list", is("2024-11-05"), "2025-03-26"),
        (None, "tools/list", is("2024-10-07"), "-32022"),
        (None, "tools/list", is("2026-07-27"), "-32022"),
        (None, "tools/list", is("2026-07-281"), "-32022"),
        (None, "tools/list", is(""), "-32022"),
        (None, "tools/list", HeaderValue::Conflicting, "-32020"),
        (None, "tools/list", HeaderValue::NotText, "-32020"),
    ];
    for (claim, method, header, expected) in rows {
        assert_eq!(
            verdict(claim, method, header),
            expected,
            "claim {claim:?}, {method}, {header:?}"
        );
    }
}

#[test]
fn the_envelope_is_judged_before_the_header_and_the_version() {
    for meta in [
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01"}}"#,
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7,"io.modelcontextprotocol/clientCapabilities":{}}}"#,
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":1}}"#,
    ] {
        assert_eq!(
            verdict_of(meta, "tools/list", HeaderValue::Absent),
            "-32602",
            "{meta}"
        );
    }
    let not_an_object = r#"{"_meta":[]}"#;
    assert_eq!(
        verdict_of(not_an_object, "tools/list", HeaderValue::One("2026-07-28")),
        "-32602"
    );
    assert_eq!(
        verdict_of(not_an_object, "tools/list", HeaderValue::Absent),
        "2025-03-26",
        "no claim, no matter"
    );
}

#[test]
fn refusals_carry_what_the_caller_needs() {
    let refusal = Refusal::Unsupported {
        requested: "2099-01-01\n".to_owned(),
    };
    let error = refusal.to_error();
    let data: serde_json::Value = serde_json::from_str(error.data.unwrap().get()).unwrap();
    let supported = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
    assert_eq!(
        data,
        json!({ "supported": supported, "requested": "2099-01-01\n" })
    );
    assert!(error.message.contains("2026-07-28, 2025-11-25") && !error.message.contains('\n'));
    let refusal = Refusal::from(EnvelopeFault::Missing(vec![CLIENT_CAPABILITIES]));
    assert_eq!(
        refusal.to_error().data.unwrap().get(),
        r#"{"missing":["io.modelcontextprotocol/clientCapabilities"]}"#
    );
}

#[test]
fn the_supported_list_is_newest_first_and_complete() {
    assert!(SUPPORTED.is_sorted_by(|newer, older| newer > older));
    for version in SUPPORTED {
        assert_eq!(ProtocolVersion::parse(version.as_str()), Some(version));
        assert_eq!(names_modern(version.as_str()), version.era() == Era::Modern);
    }
    assert_eq!(
        SUPPORTED.iter().find(|version| version.era() == Era::Legacy),
        Some(&ProtocolVersion::NEWEST_LEGACY)
    );
}

#[test]
fn a_handshake_never_yields_the_modern_revision() {
    for (asked, answered) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("2024-10-07", "2025-11-25"),
        ("", "2025-11-25"),
    ] {
        assert_eq!(negotiate(asked), answered, "asked for {asked}");
    }
}

#[test]
fn modern_versions_are_dates_from_the_first_one_on() {
    for version in ["2026-07-28", "2026-07-29", "2026-12-01", "9999-99-99"] {
        assert!(names_modern(version), "{version}");
    }
    for version in [
        "2026-07-27",
        "2025-11-25",
        "",
        "2026-7-28",
        "2026-07-28 ",
        "2026/07/28",
        "draft-2027",
        "٢٠٢٦-0",
    ] {
        assert!(!names_modern(version), "{version}");
    }
}

#[test]
fn arrays_belong_to_one_revision() {
    assert!(allows_batch(HeaderValue::Absent) && allows_batch(HeaderValue::One("2025-03-26")));
    for header in ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28", ""] {
        assert!(!allows_batch(HeaderValue::One(header)), "{header}");
    }
    assert!(!allows_batch(HeaderValue::Conflicting) && !allows_batch(HeaderValue::NotText));
}

#[test]
fn only_a_modern_header_makes_a_response_modern() {
    assert!(response_is_modern(HeaderValue::One("2026-07-28")));
    assert!(!response_is_modern(HeaderValue::One("2025-11-25")) && !response_is_modern(HeaderValue::Absent));
}
