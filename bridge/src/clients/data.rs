//! The text that `build/clients.rs` made of `clients.toml` → the clients, the first time that someone asks.

use super::{Client, Format, Grade, How, Shape};

/// Takes the text apart. The build has checked it, so a record that does not fit cannot be; it would be left out.
pub(super) fn read() -> Vec<Client> {
    let text: &'static str = include_str!(concat!(env!("OUT_DIR"), "/clients.txt"));
    text.split_terminator('\u{1e}').filter_map(client).collect()
}

/// One record. The fields stand in the order in which they are taken here.
fn client(record: &'static str) -> Option<Client> {
    let mut fields = record.split('\u{1f}');
    let mut next = || fields.next();
    Some(Client {
        id: next()?,
        name: next()?,
        format: match next()? {
            "json" => Format::Json,
            "jsonc" => Format::Jsonc,
            "toml" => Format::Toml,
            _ => Format::Yaml,
        },
        how: match next()? {
            "file" => How::File,
            "command" => How::Command,
            "print" => How::Print,
            _ => How::Gone,
        },
        grade: match next()? {
            "A" => Grade::A,
            "B" => Grade::B,
            _ => Grade::C,
        },
        reference: next()?,
        program: next()?,
        restart: next()?,
        quirk: next()?,
        text: next()?,
        link: next()?,
        web_link: next()?,
        macos: list(next()?),
        linux: list(next()?),
        windows: list(next()?),
        project: list(next()?),
        detect: list(next()?),
        key_path: list(next()?),
        add_direct: list(next()?),
        add_bridge: list(next()?),
        remove: list(next()?),
        every: !next()?.is_empty(),
        input: !next()?.is_empty(),
        list: !next()?.is_empty(),
        own_project_file: !next()?.is_empty(),
        only_where_installed: !next()?.is_empty(),
        reference_on_windows: !next()?.is_empty(),
        direct: shape([next()?, next()?, next()?]),
        bridge: shape([next()?, next()?, next()?]),
    })
}

/// Kept for the rest of the program, as the table is that it belongs to.
fn list(field: &'static str) -> &'static [&'static str] {
    Vec::leak(field.split_terminator('\u{1d}').collect())
}

fn shape([entry, reference, without_key]: [&'static str; 3]) -> Option<Shape> {
    (!entry.is_empty()).then_some(Shape {
        entry,
        reference,
        without_key,
    })
}
