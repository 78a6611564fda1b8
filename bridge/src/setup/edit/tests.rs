use proptest::prelude::*;

use super::*;

/// Settings as people write them, our entry among others. `%` is a place for a comment.
const FILE: &str = "%
GOOSE_PROVIDER: example %
extensions: %
  %
  other: %
    cmd: \"/bin/other\" %
    envs: { A: \"1\" } %
  %
  ours: %
    %
    name: ours %
    cmd: \"/bin/old\" %
    args: [] %
    envs: %
      %
      URL: \"https://old.example/mcp\" %
      MORE: \"kept\" %
      %
    %
    enabled: true %
    timeout: 300 %
  %
  last: { type: builtin } %
%
";

/// The file with a comment at each place that `comments` says so, and those comments. Each is a line or the end of one.
fn commented(comments: &[bool]) -> (String, Vec<String>) {
    let (mut text, mut written) = (String::new(), Vec::new());
    for (place, part) in FILE.split('%').enumerate() {
        text.push_str(part);
        if comments.get(place).is_some_and(|wanted| *wanted) {
            let comment = format!("# comment {place}: {{a}} 'b' \"c\"");
            text.push_str(&comment);
            written.push(comment);
        }
    }
    (text, written)
}

/// `old` after the steps that make `entry` of its entry, proven as every change of a file is.
fn updated(old: &str, entry: &Node) -> String {
    let path = ["extensions".to_owned(), "ours".to_owned()];
    let root = document::parse(old, Format::Yaml).unwrap();
    let mut changes = Vec::new();
    let existing = root.find(&["extensions", "ours"]).unwrap().clone();
    steps(Format::Yaml, &path, &existing, entry, &mut changes);
    let opened = Opened {
        exists: true,
        text: old.to_owned(),
        root,
    };
    proven(Path::new("config.yaml"), &opened, Format::Yaml, &changes).unwrap()
}

fn entry(json: &str) -> Node {
    document::parse(json, Format::Json).unwrap()
}

#[test]
fn an_update_of_yaml_changes_the_lines_of_what_is_new() {
    let (old, _) = commented(&[true; 40]);
    let same = r#"{"name":"ours","cmd":"/bin/old","args":[],"envs":{"URL":"https://old.example/mcp","MORE":"kept"},"enabled":true,"timeout":300}"#;
    assert_eq!(updated(&old, &entry(same)), old);
    for (from, to) in [
        ("/bin/old", "/bin/new"),
        ("https://old.", "https://new."),
        ("300", "60"),
    ] {
        assert_eq!(
            updated(&old, &entry(&same.replace(from, to))),
            old.replace(from, to)
        );
    }
    let more = updated(
        &old,
        &entry(
            &same
                .replace(r#","MORE""#, r#","KEY":"k","MORE""#)
                .replace(r#","MORE":"kept""#, ""),
        ),
    );
    assert!(
        more.contains("      KEY: k\n") && !more.contains("MORE"),
        "{more}"
    );
}

#[test]
fn the_last_value_of_a_block_goes_and_the_comments_around_it_stay() {
    let (old, _) = commented(&[true; 40]);
    let bare = r#"{"name":"ours","cmd":"/bin/old","args":[],"envs":{},"enabled":true,"timeout":300}"#;
    let less = updated(&old, &entry(bare));
    assert!(less.contains("envs: {} # comment"), "{less}");
    let full = bare.replace("{}", r#"{"URL":"u"}"#);
    let again = updated(&less, &entry(&full));
    assert!(
        again.contains("envs: # comment") && again.contains("      URL: u\n"),
        "{again}"
    );
}

proptest! {
    /// Whatever is changed in our entry: nothing outside it changes, and inside it goes at most what stood on a line that went.
    #[test]
    fn comments_in_yaml_survive_an_update(
        comments in proptest::collection::vec(any::<bool>(), 40),
        cmd in "/bin/(old|new)",
        url in "https://(old|new)[.]example/mcp",
        keep_more: bool,
        add_key: bool,
        keep_timeout: bool,
        crlf: bool,
    ) {
        let (mut old, written) = commented(&comments);
        if crlf { old = old.replace('\n', "\r\n"); }
        let more = if keep_more { r#","MORE":"kept""# } else { "" };
        let key = if add_key { r#","KEY":"k""# } else { "" };
        let timeout = if keep_timeout { r#","timeout":300"# } else { "" };
        let wanted = format!(r#"{{"name":"ours","cmd":"{cmd}","args":[],"envs":{{"URL":"{url}"{more}{key}}},"enabled":true{timeout}}}"#);
        let new = updated(&old, &entry(&wanted));
        let lost: Vec<&String> = written.iter().filter(|comment| !new.contains(*comment)).collect();
        let lines_gone = usize::from(!keep_more) + usize::from(!keep_timeout);
        prop_assert!(lost.len() <= lines_gone, "{lost:?} are gone from {new}");
        let outside = |text: &str| {
            let (before, rest) = text.split_once("  ours:").unwrap();
            let (_, after) = rest.split_once("  last:").unwrap();
            (before.to_owned(), after.to_owned())
        };
        prop_assert_eq!(outside(&new), outside(&old));
    }
}
