use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::read::{decode, read_file};
use super::*;

/// A folder to scan, with a clock far enough ahead for every file to be settled.
struct Folder {
    dir: TempDir,
    index: HashMap<String, Known>,
    limits: Limits,
}

impl Folder {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            index: HashMap::new(),
            limits: Limits::default(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Scans, remembers, and says what was found: `+` changed, `~` touched, `=` unchanged, `!` problem.
    fn scan_with(&mut self, include: &[&str], exclude: &[&str]) -> (Vec<String>, Vec<String>) {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
        let filter = Filter::new(&owned(include), &owned(exclude)).unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let index = self.index.clone();
        let mut walk = scan(self.dir.path(), filter, self.limits, later, |path| {
            index.get(path).copied()
        })
        .unwrap();
        let mut found = Vec::new();
        for scanned in walk.by_ref() {
            found.push(match scanned {
                Scanned::Changed(file) => {
                    self.index.insert(file.path.clone(), file.known);
                    format!("+{}", file.path)
                }
                Scanned::Touched { path, known } => {
                    self.index.insert(path.clone(), known);
                    format!("~{path}")
                }
                Scanned::Unchanged { path } => format!("={path}"),
                Scanned::Problem { path, problem } => format!("!{path}: {problem}"),
            });
        }
        (found, walk.unseen().to_vec())
    }

    fn scan(&mut self) -> Vec<String> {
        self.scan_with(&[], &[]).0
    }
}

#[test]
fn readable_types_in_order_and_nothing_hidden() {
    let mut folder = Folder::new();
    for path in [
        "b.md",
        "a/x.TXT",
        "a/deep/y.csv",
        "c.json",
        "d.yaml",
        "e.yml",
        "f.rst",
        "g.exe",
        "h",
        ".env.json",
    ] {
        folder.write(path, "text");
    }
    folder.write(".obsidian/app.json", "{}");
    folder.write("a/.trash/old.md", "gone");
    assert_eq!(
        folder.scan(),
        [
            "+a/deep/y.csv",
            "+a/x.TXT",
            "+b.md",
            "+c.json",
            "+d.yaml",
            "+e.yml",
            "+f.rst"
        ]
    );
}

#[test]
fn changes_are_seen_and_only_they_are_read() {
    let mut folder = Folder::new();
    folder.write("a.md", "one");
    folder.write("b.md", "two");
    assert_eq!(folder.scan(), ["+a.md", "+b.md"]);
    assert_eq!(folder.scan(), ["=a.md", "=b.md"]);
    folder.write("a.md", "six");
    filetime(&folder.path("b.md"), 1_000);
    assert_eq!(
        folder.scan(),
        ["+a.md", "~b.md"],
        "same bytes under a new time are only touched"
    );
    assert_eq!(folder.scan(), ["=a.md", "=b.md"]);
    fs::rename(folder.path("a.md"), folder.path("c.md")).unwrap();
    assert_eq!(folder.scan(), ["=b.md", "+c.md"]);
}

fn filetime(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

#[test]
fn a_time_that_may_not_have_settled_is_not_trusted() {
    let now = SystemTime::now();
    let fresh = Stamp::of(3, now, now);
    assert_eq!(fresh.modified_ns, 0);
    assert_ne!(Stamp::of(3, now - UNSETTLED * 2, now).modified_ns, 0);
    assert_eq!(
        Stamp::of(3, now + UNSETTLED, now).modified_ns,
        0,
        "nor one from the future"
    );

    let folder = Folder::new();
    folder.write("a.md", "one");
    let first: Vec<_> = scan(
        folder.dir.path(),
        Filter::new(&[], &[]).unwrap(),
        Limits::default(),
        now,
        |_| None,
    )
    .unwrap()
    .collect();
    let [Scanned::Changed(file)] = &first[..] else {
        panic!("{first:?}")
    };
    let known = file.known;
    folder.write("a.md", "two");
    let second: Vec<_> = scan(
        folder.dir.path(),
        Filter::new(&[], &[]).unwrap(),
        Limits::default(),
        now,
        move |_| Some(known),
    )
    .unwrap()
    .collect();
    assert!(
        matches!(&second[..], [Scanned::Changed(file)] if file.text == "two"),
        "{second:?}"
    );
}

#[test]
fn globs_choose() {
    let mut folder = Folder::new();
    for path in [
        "a.md",
        "notes/b.md",
        "notes/deep/c.md",
        "drafts/d.md",
        "notes/e.txt",
    ] {
        folder.write(path, "x");
    }
    let mut chosen = |include: &[&str], exclude: &[&str]| {
        folder.index.clear();
        folder.scan_with(include, exclude).0.join(" ")
    };
    assert_eq!(chosen(&["*.md"], &[]), "+a.md");
    assert_eq!(
        chosen(&["**/*.md"], &["drafts/**"]),
        "+a.md +notes/b.md +notes/deep/c.md"
    );
    assert_eq!(chosen(&["notes/**"], &["**/deep"]), "+notes/b.md +notes/e.txt");
    assert_eq!(chosen(&[], &["**/*.md"]), "+notes/e.txt");
    assert!(matches!(Filter::new(&["[".to_owned()], &[]), Err(ScanError::Glob { glob, .. }) if glob == "["));
}

#[test]
fn one_bad_file_spoils_nothing() {
    let mut folder = Folder::new();
    folder.limits.file_bytes = 10;
    folder.write("binary.md", b"a\0b");
    folder.write("good.md", "\u{FEFF}fine");
    folder.write("large.md", "01234567890");
    folder.write("latin1.md", b"caf\xE9");
    let (found, unseen) = folder.scan_with(&[], &[]);
    assert_eq!(
        found,
        [
            "!binary.md: a binary file under a text file's name",
            "+good.md",
            "!large.md: 11 bytes; files of at most 10 are read",
            "!latin1.md: not UTF-8 (byte 3); save it as UTF-8",
        ]
    );
    assert_eq!(
        unseen,
        ["binary.md", "large.md", "latin1.md"],
        "what the index has of them is kept"
    );
}

#[test]
fn a_byte_order_mark_is_not_text() {
    assert_eq!(decode(b"\xEF\xBB\xBFx".to_vec()).unwrap(), "x");
}

#[test]
fn caps_end_a_walk_and_say_so() {
    let mut folder = Folder::new();
    for n in 0..5 {
        folder.write(&format!("{n}.md"), "x");
    }
    folder.limits.files = 3;
    let (found, unseen) = folder.scan_with(&[], &[]);
    assert_eq!(
        found,
        [
            "+0.md",
            "+1.md",
            "+2.md",
            "!: more than 3 files; the rest was left out"
        ]
    );
    assert_eq!(unseen, [""]);

    let mut folder = Folder::new();
    folder.limits.depth = 2;
    folder.write("a/b/in.md", "x");
    folder.write("a/b/c/out.md", "x");
    let (found, unseen) = folder.scan_with(&[], &[]);
    assert_eq!(found, ["!a/b/c: more than 2 folders deep", "+a/b/in.md"]);
    assert_eq!(unseen, ["a/b/c/"]);

    let mut folder = Folder::new();
    folder.limits.entries = 2;
    for name in ["1.exe", "2.exe", "3.exe"] {
        folder.write(name, "");
    }
    assert_eq!(folder.scan(), ["!: more than 2 files; the rest was left out"]);
}

#[test]
fn roots_that_cannot_be_scanned() {
    let folder = Folder::new();
    folder.write("file", "");
    let refused = |path: PathBuf| {
        scan(
            &path,
            Filter::new(&[], &[]).unwrap(),
            Limits::default(),
            SystemTime::now(),
            |_| None,
        )
        .err()
        .unwrap()
    };
    assert!(matches!(refused(folder.path("none")), ScanError::Missing { .. }));
    assert!(matches!(
        refused(folder.path("file")),
        ScanError::NotAFolder { .. }
    ));
    assert!(Folder::new().scan().is_empty(), "an empty folder is no error");
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_not_followed() {
        let outside = Folder::new();
        outside.write("secret.md", "secret");
        let mut folder = Folder::new();
        folder.write("own.md", "own");
        symlink(outside.path("secret.md"), folder.path("link.md")).unwrap();
        symlink(outside.dir.path(), folder.path("folder")).unwrap();
        symlink("own.md", folder.path("inside.md")).unwrap();
        symlink(".", folder.path("loop")).unwrap();
        assert_eq!(folder.scan(), ["+own.md"]);
        fs::hard_link(outside.path("secret.md"), folder.path("hard.md")).unwrap();
        assert_eq!(
            folder.scan(),
            ["!hard.md: a hard link; links are not followed", "=own.md"]
        );
    }

    /// The swap the listing cannot see: the name was a file then and is something else at the open.
    #[test]
    fn a_name_swapped_after_the_listing_is_refused() {
        let outside = Folder::new();
        outside.write("secret.md", "secret");
        let folder = Folder::new();
        symlink(outside.path("secret.md"), folder.path("link.md")).unwrap();
        symlink("link.md", folder.path("near.md")).unwrap();
        fs::create_dir(folder.path("folder.md")).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(folder.path("pipe.md"))
            .status()
            .unwrap();
        assert!(status.success());
        let dir = Dir::open_ambient_dir(folder.dir.path(), ambient_authority()).unwrap();
        for name in ["link.md", "near.md", "folder.md", "pipe.md"] {
            let read = read_file(
                &dir,
                name,
                name,
                TextType::Markdown,
                100_000,
                SystemTime::now(),
                None,
            );
            assert_eq!(read, Err(Problem::Raced), "{name}");
        }
        for name in ["../secret.md", "/etc/passwd"] {
            let read = read_file(
                &dir,
                name,
                name,
                TextType::Markdown,
                100_000,
                SystemTime::now(),
                None,
            );
            assert!(matches!(read, Err(Problem::Unreadable(_))), "{name}: {read:?}");
        }
    }

    #[test]
    fn names_must_be_text() {
        let mut folder = Folder::new();
        fs::write(folder.dir.path().join(OsStr::from_bytes(b"a\xFF.md")), "x").unwrap();
        folder.write("b\u{1b}[31m.md", "x");
        let mut found = folder.scan();
        found.sort();
        assert_eq!(
            found,
            [
                "!a\u{FFFD}.md: the name is not readable text",
                "!b\u{FFFD}[31m.md: the name is not readable text"
            ]
        );
    }
}
