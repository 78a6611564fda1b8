//! Seeds the fuzz corpora from the golden transcripts: `cargo run -p footbridge-protocol --example fuzz_seeds`
//! writes one file per request below `shared-protocol/fuzz/corpus/<target>/`.

use std::path::Path;
use std::{fs, io};

use footbridge_protocol::fuzz_targets::ALL;
use footbridge_protocol::headers::PROTOCOL_VERSION;
use footbridge_protocol::transcript::{GOLDEN, Request, Transcript};

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, _) in ALL {
        fs::create_dir_all(corpus.join(target))?;
    }
    for (name, text) in GOLDEN {
        let transcript = Transcript::parse(text).map_err(io::Error::other)?;
        fs::write(corpus.join("transcript").join(name), text)?;
        for exchange in transcript.exchanges {
            let file = format!("{name}-{}", exchange.line);
            for (target, _) in ALL {
                fs::write(corpus.join(target).join(&file), seed(target, &exchange.request))?;
            }
        }
    }
    Ok(())
}

/// A request in the form that a target reads.
fn seed(target: &str, request: &Request) -> Vec<u8> {
    let header = |wanted: &str| {
        let found = request.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let body = &request.body;
    let text = match target {
        "era" => format!("{}\n{body}", header(PROTOCOL_VERSION)),
        "header_value" => header("mcp-name").to_owned(),
        // The first byte is a chunk size.
        "events" => {
            format!("\u{7}id: 1\nretry: 10\ndata: {body}\n\n: comment\r\nevent: ping\r\rdata: {body}\r\n\r\n")
        }
        "param_headers" => format!(
            "{}\n{{\"a\":\"{}\",\"b\":{{\"c\":42.0}}}}",
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"properties":{"c":{"type":"integer","x-mcp-header":"C"}}}}}"#,
            header("mcp-name"),
        ),
        _ => body.clone(),
    };
    text.into_bytes()
}
