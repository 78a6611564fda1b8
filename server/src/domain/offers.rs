//! Prompts and resources that the catalogue itself brings: texts with holes, bytes, and files beside the catalogue.
//!
//! What a row holds comes in, a [`Handler`] goes out. A file is read anew each time, below its folder and nowhere
//! else: cap-std refuses every path that leads out of it, links included.

use std::{io::Read as _, sync::Arc, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cap_std::{ambient_authority, fs::Dir};
use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::{Call, Content, DomainError, Handler, HandlerResult, Outcome, ToolResult};
use crate::catalogue::offers::{Body, FileBody, Message, Part, Stored};

/// Largest file that is read, in bytes: what a tool's result may have.
const LARGEST_FILE: u64 = 1024 * 1024;

/// The handler of a prompt whose messages are data.
pub fn messages(messages: &Arc<[Message]>) -> Handler {
    let messages = Arc::clone(messages);
    Handler::Plain(Arc::new(move |call| {
        let content = messages
            .iter()
            .map(|message| spoken(&message.part, call.arguments.as_map()))
            .collect();
        async move { Ok(done(content)) }.boxed()
    }))
}

fn spoken(part: &Part, arguments: &Map<String, Value>) -> Content {
    match part {
        Part::Text(text) => Content::Text(text.fill(arguments)),
        Part::Image { data, mime_type } => Content::Image {
            data: data.clone(),
            mime_type: mime_type.clone(),
        },
        Part::Resource { uri, mime_type, text } => Content::EmbeddedText {
            uri: uri.fill(arguments),
            mime_type: mime_type.clone(),
            text: text.fill(arguments),
        },
    }
}

/// The handler of a resource that the catalogue brings.
pub fn stored(stored: &Arc<Stored>) -> Handler {
    let stored = Arc::clone(stored);
    Handler::Plain(Arc::new(move |call| {
        let stored = Arc::clone(&stored);
        async move { read(&stored, call).await }.boxed()
    }))
}

async fn read(stored: &Stored, call: Call) -> HandlerResult {
    let content = match &stored.body {
        Body::Text(text) => Content::Text(text.fill(call.arguments.as_map())),
        Body::Blob(data) => bytes(stored, data.clone()),
        Body::File(file) => {
            let (file, path) = (file.clone(), path_of(file, call.arguments.as_map())?);
            let read = tokio::task::spawn_blocking(move || contents(&file, &path)).await;
            let found = read.map_err(DomainError::internal)??;
            match String::from_utf8(found) {
                Ok(text) => Content::Text(text),
                Err(other) => bytes(stored, STANDARD.encode(other.as_bytes())),
            }
        }
    };
    Ok(done(vec![content]))
}

fn done(content: Vec<Content>) -> Outcome {
    Outcome::Done(ToolResult {
        content,
        ..ToolResult::default()
    })
}

fn bytes(stored: &Stored, data: String) -> Content {
    let unknown = || "application/octet-stream".to_owned();
    Content::EmbeddedBytes {
        uri: String::new(),
        mime_type: stored.mime_type.clone().unwrap_or_else(unknown),
        data,
    }
}

/// How a file stands: when it was written last, and its length.
pub type FileStand = (SystemTime, u64);

/// How a file behind a resource stands; `None` while there is none to read.
pub fn file_stand(file: &FileBody, arguments: &Map<String, Value>) -> Option<FileStand> {
    let path = path_of(file, arguments).ok()?;
    let found = open_folder(file).ok()?.metadata(path).ok()?;
    let modified = found.modified().ok()?.into_std();
    found.is_file().then_some((modified, found.len()))
}

/// The path that the arguments make. Each of them is one visible name.
fn path_of(file: &FileBody, arguments: &Map<String, Value>) -> Result<String, DomainError> {
    for hole in file.path.holes() {
        let value = arguments.get(hole).and_then(Value::as_str).unwrap_or_default();
        let odd = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
        if value.is_empty() || value.starts_with('.') || value.contains(odd) {
            return Err(DomainError::not_found("resource", value));
        }
    }
    Ok(file.path.fill(arguments))
}

fn open_folder(file: &FileBody) -> std::io::Result<Dir> {
    let folder = if file.folder.as_os_str().is_empty() {
        ".".as_ref()
    } else {
        file.folder.as_path()
    };
    Dir::open_ambient_dir(folder, ambient_authority())
}

fn contents(file: &FileBody, path: &str) -> Result<Vec<u8>, DomainError> {
    let missing = |_| DomainError::not_found("resource", path);
    let folder = open_folder(file).map_err(DomainError::internal)?;
    let found = folder.metadata(path).map_err(missing)?;
    // A pipe would be waited for.
    if !found.is_file() {
        return Err(DomainError::not_found("resource", path));
    }
    let mut out = Vec::new();
    let opened = folder.open(path).map_err(missing)?;
    opened
        .take(LARGEST_FILE + 1)
        .read_to_end(&mut out)
        .map_err(DomainError::internal)?;
    if out.len() as u64 > LARGEST_FILE {
        return Err(DomainError::Rule(format!(
            "the file has more than {LARGEST_FILE} bytes, too many for one resource"
        )));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::catalogue::{Catalogue, Driver, NamedText};

    /// A resource whose file is `guides/{name}.md` below a folder.
    fn file(folder: &Path) -> FileBody {
        let text = r#"
            format = 1
            [edition]
            name = "x"
            title = "X"
            instructions = "X."
            key_prefix = "x_"
            [scopes.read]
            title = "Read"
            [[resource]]
            name = "guide"
            scope = "read"
            uri_template = "guide://{name}"
            file = "guides/{{name}}.md"
        "#;
        let name = folder.join("x.toml").display().to_string();
        let catalogue = Catalogue::load(&[&[NamedText { name: &name, text }]]).unwrap();
        let offers = &catalogue.editions()[0].offers;
        match &offers.resources()[0].row.driver {
            Driver::Stored(stored) => match &stored.body {
                Body::File(file) => file.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn read(file: &FileBody, name: &str) -> Result<Vec<u8>, DomainError> {
        let arguments = json!({ "name": name });
        contents(file, &path_of(file, arguments.as_object().unwrap())?)
    }

    #[test]
    fn a_file_is_read_below_its_folder_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("in/guides");
        std::fs::create_dir_all(inside.join("folder.md")).unwrap();
        std::fs::write(folder.path().join("secret.md"), "secret").unwrap();
        std::fs::write(inside.join("a.md"), "A").unwrap();
        std::fs::write(inside.join(".hidden.md"), "hidden").unwrap();
        std::fs::write(inside.join("large.md"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.md"), inside.join("link.md")).unwrap();
        std::os::unix::fs::symlink("../../secret.md", inside.join("up.md")).unwrap();
        let file = file(&folder.path().join("in"));
        assert_eq!(read(&file, "a").unwrap(), b"A");
        for bad in [
            "../../secret",
            "..",
            ".hidden",
            "",
            "folder",
            "link",
            "up",
            "b",
            "a/../a",
            "/etc/passwd",
            "a\0",
        ] {
            let refused = read(&file, bad);
            assert!(
                matches!(refused, Err(DomainError::NotFound { .. })),
                "{bad}: {refused:?}"
            );
        }
        assert!(matches!(read(&file, "large"), Err(DomainError::Rule(_))));
    }
}
