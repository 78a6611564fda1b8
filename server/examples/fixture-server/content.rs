//! Tools that answer at once: every kind of content block, a failure, and an echo.

use footbridge_server::domain::{Content, Handlers, Outcome, ToolResult};
use futures_util::FutureExt;
use serde_json::Value;

/// One red pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4EKAAAAM0AUFeYTxsAAAAAElFTkSuQmCC";
/// Eight samples of a tone.
const WAV: &str = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAoMCggGBAYA==";

/// Adds this file's handlers.
pub(crate) fn register(handlers: &mut Handlers) {
    fixed(handlers, "content::text", || {
        vec![text("This is a simple text response for testing.")]
    });
    fixed(handlers, "content::image", || vec![image()]);
    fixed(handlers, "content::audio", || vec![audio()]);
    fixed(handlers, "content::resource", || {
        let text = "This is an embedded resource content.";
        vec![resource("test://embedded-resource", "text/plain", text)]
    });
    fixed(handlers, "content::mixed", || {
        let json = r#"{"test":"data","value":123}"#;
        vec![
            text("Multiple content types test:"),
            image(),
            resource("test://mixed-content-resource", "application/json", json),
        ]
    });
    handlers.plain("content::failure", |_| {
        let failure = ToolResult {
            content: vec![text("This tool intentionally returns an error for testing")],
            is_error: true,
            ..ToolResult::default()
        };
        async { Ok(Outcome::Done(failure)) }.boxed()
    });
    handlers.plain("content::echo", |call| {
        let arguments = Value::Object(call.arguments.as_map().clone());
        async move { Ok(Outcome::text(arguments.to_string())) }.boxed()
    });
}

/// Registers a handler whose answer is always the same.
fn fixed(handlers: &mut Handlers, name: &'static str, content: fn() -> Vec<Content>) {
    handlers.plain(name, move |_| {
        let result = ToolResult {
            content: content(),
            ..ToolResult::default()
        };
        async { Ok(Outcome::Done(result)) }.boxed()
    });
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn image() -> Content {
    Content::Image {
        data: PNG.to_owned(),
        mime_type: "image/png".to_owned(),
    }
}

fn audio() -> Content {
    Content::Audio {
        data: WAV.to_owned(),
        mime_type: "audio/wav".to_owned(),
    }
}

fn resource(uri: &str, mime_type: &str, text: &str) -> Content {
    Content::EmbeddedText {
        uri: uri.to_owned(),
        mime_type: mime_type.to_owned(),
        text: text.to_owned(),
    }
}
