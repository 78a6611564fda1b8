use std::fs;

use cap_std::ambient_authority;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::domain::context::frontmatter;

struct Inbox {
    folder: TempDir,
    root: Dir,
}

/// Half past four on a winter's day, and a bit.
fn now() -> Timestamp {
    Timestamp::parse("2026-11-20T16:15:00.123Z").unwrap()
}

impl Inbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // One level down, so that an escape would land in a folder the test can see.
        fs::create_dir(folder.path().join("inbox")).unwrap();
        let root = Dir::open_ambient_dir(folder.path().join("inbox"), ambient_authority()).unwrap();
        Self { folder, root }
    }

    fn put(&self, note: Note<'_>) -> String {
        put(&self.root, &note, now()).unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join("inbox").join(path)).unwrap()
    }

    /// Every path below the folder around the inbox.
    fn everything(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                found.push(
                    path.strip_prefix(self.folder.path())
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
                if path.symlink_metadata().unwrap().is_dir() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

fn note(content: &str) -> Note<'_> {
    Note {
        agent: "claude",
        content,
        title: None,
        tags: &[],
        metadata: &EMPTY,
        filename: None,
        extension: ".md",
    }
}

#[test]
fn a_note_with_everything() {
    let inbox = Inbox::new();
    let tags = ["a b".to_owned(), "c\"d".to_owned()];
    let Value::Object(metadata) = json!({ "k: v": [1, { "x": null }], "agent": "mallory", "n": 2.5 }) else {
        panic!()
    };
    let path = inbox.put(Note {
        title: Some("Plan: \"phase\"\n---\n2"),
        tags: &tags,
        metadata: &metadata,
        ..note("Body")
    });
    assert_eq!(path, "claude/20261120T161500123Z-plan-phase-2.md");
    let text = inbox.read(&path);
    assert!(text.ends_with("---\n\nBody"), "{text}");
    let front = frontmatter::read(&text).unwrap();
    assert_eq!(front.title.as_deref(), Some("Plan: \"phase\"\n---\n2"));
    assert_eq!(front.tags, tags);
    assert_eq!(
        Value::Object(front.metadata),
        json!({ "agent": "claude", "created": "2026-11-20T16:15:00.123Z", "k: v": [1, { "x": null }], "n": 2.5 })
    );
    assert_eq!(
        inbox.everything(),
        ["inbox", "inbox/claude", &format!("inbox/{path}")],
        "and no temporary file"
    );
}

#[test]
fn no_name_leads_out() {
    let inbox = Inbox::new();
    for name in [
        "../../x",
        "..\\..\\x",
        "/etc/x",
        "x\0y",
        "..",
        ".",
        "",
        "...",
        "C:x",
        "~/x",
        "a/../../x.md",
        "%2e%2e%2fx",
    ] {
        inbox.put(Note {
            filename: Some(name),
            agent: name,
            ..note("x")
        });
    }
    for path in inbox.everything() {
        let depth = path.split('/').count();
        assert!(
            path == "inbox" || (path.starts_with("inbox/") && depth <= 3),
            "{path}"
        );
    }
}

#[test]
fn the_name_comes_from_file_name_title_or_first_words() {
    let inbox = Inbox::new();
    let name = |note: Note<'_>| inbox.put(note).split_once("Z-").unwrap().1.to_owned();
    assert_eq!(
        name(Note {
            filename: Some("dir/My File.MD"),
            title: Some("T"),
            ..note("x")
        }),
        "my-file.md"
    );
    assert_eq!(
        name(Note {
            filename: Some("v1.2 notes"),
            ..note("x")
        }),
        "v1-2-notes.md"
    );
    assert_eq!(
        name(Note {
            title: Some("Über Ärger!"),
            ..note("x")
        }),
        "über-ärger.md"
    );
    assert_eq!(
        name(note("one two three four five six seven eight nine")),
        "one-two-three-four-five-six-seven-eight.md"
    );
    assert_eq!(name(note("?!")), "note.md");
    assert_eq!(slug(&"x".repeat(500), "").len(), MAX_SLUG_BYTES);
    assert!(slug(&"é".repeat(500), "").len() <= MAX_SLUG_BYTES);
}

#[test]
fn nothing_is_overwritten() {
    let inbox = Inbox::new();
    let paths: Vec<_> = ["one", "two", "three"]
        .iter()
        .map(|text| {
            inbox.put(Note {
                filename: Some("n"),
                ..note(text)
            })
        })
        .collect();
    assert_eq!(paths[1], "claude/20261120T161500123Z-n-2.md");
    let bodies: Vec<_> = paths
        .iter()
        .map(|path| inbox.read(path).lines().last().unwrap().to_owned())
        .collect();
    assert_eq!(bodies, ["one", "two", "three"]);
}

#[test]
fn writers_at_once_each_get_a_name() {
    let inbox = Inbox::new();
    let paths: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let inbox = &inbox;
                scope.spawn(move || {
                    (0..4)
                        .map(|m| {
                            inbox.put(Note {
                                filename: Some("n"),
                                ..note(&format!("{n}.{m}"))
                            })
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect()
    });
    let mut bodies: Vec<_> = paths
        .iter()
        .map(|path| inbox.read(path).lines().last().unwrap().to_owned())
        .collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 32);
}

#[test]
fn a_crash_leaves_no_half_note() {
    let inbox = Inbox::new();
    let first = inbox.put(Note {
        filename: Some("n"),
        ..note("x")
    });
    // What a crash between two steps leaves: the temporary file of a note that never got its name.
    let (agent, name) = first.split_once('/').unwrap();
    let dir = inbox.root.open_dir(agent).unwrap();
    dir.remove_file(name).unwrap();
    dir.write(format!(".{name}.part"), "half").unwrap();
    let second = inbox.put(Note {
        filename: Some("n"),
        ..note("whole")
    });
    assert_ne!(first, second, "its name is left alone");
    assert!(inbox.read(&second).ends_with("whole"));
}

#[test]
fn other_types_are_written_as_they_are() {
    let inbox = Inbox::new();
    let path = inbox.put(Note {
        extension: ".JSON",
        title: Some("data"),
        ..note("{\"a\":1}")
    });
    assert!(path.ends_with("-data.json"));
    assert_eq!(inbox.read(&path), "{\"a\":1}");
    let tags = ["t".to_owned()];
    let refused = |note: Note<'_>| put(&inbox.root, &note, now()).unwrap_err();
    assert!(matches!(
        refused(Note {
            extension: ".txt",
            tags: &tags,
            ..note("x")
        }),
        InboxError::FrontMatter(_)
    ));
    for extension in ["", "md", ".exe", ".md/x", "..md", ".md\0"] {
        assert!(
            matches!(
                refused(Note {
                    extension,
                    ..note("x")
                }),
                InboxError::Extension(_)
            ),
            "{extension}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_the_agents_folder_is_refused() {
    let inbox = Inbox::new();
    std::os::unix::fs::symlink("..", inbox.folder.path().join("inbox/claude")).unwrap();
    assert!(matches!(
        put(&inbox.root, &note("x"), now()),
        Err(InboxError::Disk(_))
    ));
    assert_eq!(inbox.everything(), ["inbox", "inbox/claude"]);
}

proptest! {
    #[test]
    fn slugs_are_names(text in "(?s).{0,120}") {
        let slug = slug(&text, "x");
        prop_assert!(!slug.is_empty() && slug.len() <= MAX_SLUG_BYTES);
        prop_assert!(slug.chars().all(|c| c.is_alphanumeric() || c == '-'));
        prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
    }

    #[test]
    fn titles_and_tags_read_back(title in "[^\\p{Cc}]{1,60}", tag in "[a-z\"\\\\:,\\[\\]{}']{1,10}") {
        let tags = [format!("t{tag}")];
        let text = render(&Note { title: Some(&title), tags: &tags, ..note("x") }, now()).unwrap();
        let front = frontmatter::read(&text).unwrap();
        if !title.trim().is_empty() {
            prop_assert_eq!(front.title.as_deref(), Some(title.trim()));
        }
        prop_assert_eq!(front.tags, tags);
    }
}
