//! Opening a page for a person (protocol.md C-13).
//!
//! The address is handed to a program as one word; no shell ever sees it. It comes from [`super::address`], so it is
//! http(s). A machine without a browser is no failure: the address is on stderr as well.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::brand::variable;
use crate::options::KEY_VARIABLE;

/// Opens `url` with the first program that can be started. `browser` is what `$BROWSER` says. Returns whether one was.
pub(super) fn open(url: &str, browser: Option<&OsStr>) -> bool {
    candidates(url, browser.and_then(OsStr::to_str))
        .into_iter()
        .any(|words| start(&words))
}

/// The command lines to try, in order. `$BROWSER` may list several; `%s` in one stands for the address.
fn candidates(url: &str, browser: Option<&str>) -> Vec<Vec<String>> {
    let separator = if cfg!(windows) { ';' } else { ':' };
    let mut all: Vec<Vec<String>> = browser
        .unwrap_or_default()
        .split(separator)
        .map(|command| {
            let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            if command.contains("%s") {
                for word in &mut words {
                    *word = word.replace("%s", url);
                }
            } else if !words.is_empty() {
                words.push(url.to_owned());
            }
            words
        })
        .filter(|words| !words.is_empty())
        .collect();
    let system: &[&str] = if cfg!(target_os = "macos") {
        &["/usr/bin/open"]
    } else if cfg!(windows) {
        &["rundll32", "url.dll,FileProtocolHandler"]
    } else {
        &["xdg-open"]
    };
    all.push(system.iter().copied().chain([url]).map(str::to_owned).collect());
    all
}

fn start(words: &[String]) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    let started = Command::new(program)
        .args(arguments)
        // What is secret is not the browser's business.
        .env_remove(KEY_VARIABLE)
        .env_remove(variable!("CLIENT_SECRET"))
        // stdout belongs to the host, and a browser's chatter is nobody's.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else { return false };
    // Somebody has to take note of its end, or its entry stays in the process table.
    let _ = std::thread::Builder::new()
        .name("browser".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || child.wait());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://as/x?a=b&c='$(d)'";

    #[cfg(not(windows))]
    #[test]
    fn c13_the_address_is_one_word_wherever_it_stands() {
        let all = candidates(URL, Some("a --new:b %s -x: :c --u=%s"));
        let words: Vec<&[String]> = all.iter().map(Vec::as_slice).collect();
        assert_eq!(words[0], ["a", "--new", URL]);
        assert_eq!(words[1], ["b", URL, "-x"]);
        assert_eq!(words[2], ["c", &format!("--u={URL}")]);
        assert_eq!(words.len(), 4);
        assert_eq!(words[3].last().unwrap(), URL);
    }

    #[test]
    fn without_a_setting_the_system_knows() {
        assert_eq!(candidates(URL, None).len(), 1);
        assert_eq!(candidates(URL, Some("")).len(), 1);
    }
}
