//! Names and addresses that people type and other people read: nothing that hides or moves text gets in.

use super::OperateError;

/// Longest name of a person, a key or a tenant, in characters: a column of a table.
const LONGEST_NAME: usize = 100;
/// Longest e-mail address (RFC 5321 §4.5.3.1.3).
const LONGEST_EMAIL: usize = 254;
/// Most groups of one person.
const MOST_GROUPS: usize = 50;
/// Longest name of a group, in characters.
const LONGEST_GROUP: usize = 64;

/// A name for people, without surrounding blanks; may be empty.
pub(super) fn name(what: &str, text: &str) -> Result<String, OperateError> {
    let text = text.trim();
    if text.chars().count() > LONGEST_NAME || text.chars().any(is_hidden) {
        return Err(OperateError::Invalid(format!(
            "{what}: at most {LONGEST_NAME} characters, none of them control or invisible characters"
        )));
    }
    Ok(text.to_owned())
}

/// An e-mail address. Whether mail reaches it only mail can tell; this keeps out what no address looks like.
pub(super) fn email(text: &str) -> Result<String, OperateError> {
    let text = text.trim();
    let good = text.len() <= LONGEST_EMAIL
        && text
            .split_once('@')
            .is_some_and(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains('@'))
        && !text
            .chars()
            .any(|c| c.is_whitespace() || is_hidden(c) || "<>\"'`\\,;:()[]".contains(c));
    if good {
        Ok(text.to_owned())
    } else {
        Err(OperateError::Invalid(
            "email: an e-mail address looks like ada@example.com".to_owned(),
        ))
    }
}

/// Groups, each once, in the order given.
pub(super) fn groups(given: &[String]) -> Result<Vec<String>, OperateError> {
    let mut groups: Vec<String> = Vec::new();
    for group in given {
        let group = group.trim();
        if group.is_empty() || group.chars().count() > LONGEST_GROUP || group.chars().any(is_hidden) {
            return Err(OperateError::Invalid(format!(
                "groups: each has 1 to {LONGEST_GROUP} characters, none of them control or invisible characters"
            )));
        }
        if !groups.iter().any(|known| known == group) {
            groups.push(group.to_owned());
        }
    }
    if groups.len() > MOST_GROUPS {
        return Err(OperateError::Invalid(format!("groups: at most {MOST_GROUPS}")));
    }
    Ok(groups)
}

/// Control, bidirectional, zero-width and tag characters: they break lines of a log or of a header, or show a reader
/// something else than what is stored.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
            | 0xE0000..=0xE007F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_line_or_hides_text_is_no_name() {
        for bad in [
            "a\r\nSet-Cookie: x=1",
            "a\u{0}b",
            "\u{1b}[2Jgone",
            "evil\u{202e}txt.exe",
            "zero\u{200b}width",
            "line\u{2028}break",
            &"x".repeat(101),
        ] {
            assert!(name("name", bad).is_err(), "{bad:?}");
            assert!(groups(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
        for good in [
            "",
            "Ada Lovelace",
            "Zoë Müller-Straße",
            "李小龍",
            "'; DROP TABLE users; --",
        ] {
            assert_eq!(name("name", good).unwrap(), good);
        }
    }

    #[test]
    fn an_address_has_two_halves_and_nothing_that_a_header_would_mistake() {
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a b@example.com",
            "ada@example.com\r\nBcc: all@example.com",
            "<ada@example.com>",
            "ada@example.com,bob@example.com",
            &format!("{}@example.com", "x".repeat(250)),
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            email(" Ada.Lovelace+mcp@example.com ").unwrap(),
            "Ada.Lovelace+mcp@example.com"
        );
    }

    #[test]
    fn groups_are_kept_once_and_counted() {
        let given = ["sales".to_owned(), " sales ".to_owned(), "eng".to_owned()];
        assert_eq!(groups(&given).unwrap(), ["sales", "eng"]);
        let many: Vec<_> = (0..51).map(|n| n.to_string()).collect();
        assert!(groups(&many).is_err() && groups(&many[..50]).is_ok());
    }
}
