//! The path that an entry starts: absolute, because clients have a path of their own, and one that outlives the next update.

use std::path::{Component, Path, PathBuf};

use crate::brand::{self, variable};
use crate::clients::Surroundings;

/// The path of this program for an entry. Packagers whose start script knows better (and tests) say so in the variable
/// `FOOTBRIDGE_PROGRAM`.
pub(super) fn stable_path(around: &Surroundings) -> Result<String, String> {
    if let Some(path) = around.variable(variable!("PROGRAM")) {
        return Ok(PathBuf::from(path).display().to_string());
    }
    let running =
        std::env::current_exe().map_err(|error| format!("The path of this program is not known: {error}"))?;
    let links = around
        .variable("PATH")
        .map(|path| {
            std::env::split_paths(&path)
                .map(|directory| directory.join(running.file_name().unwrap_or_default()))
                .filter(|link| {
                    link.is_absolute() && std::fs::canonicalize(link).is_ok_and(|real| real == running)
                })
                .collect()
        })
        .unwrap_or_default();
    let temporary = ["TMPDIR", "TEMP", "TMP"]
        .iter()
        .filter_map(|name| around.variable(name))
        .map(PathBuf::from)
        .collect::<Vec<_>>();
    choose(&running, links, &temporary).map(|path| path.display().to_string())
}

/// Chooses between where the program is and the links that lead to it.
fn choose(running: &Path, links: Vec<PathBuf>, temporary: &[PathBuf]) -> Result<PathBuf, String> {
    let managed = manager_link(running).filter(|link| link.exists());
    let candidates = std::iter::once(running.to_owned()).chain(managed).chain(links);
    let mut kept: Vec<PathBuf> = candidates
        .filter(|path| passing(path, temporary).is_none())
        .collect();
    let steady = kept.iter().position(|path| !is_versioned(path));
    if let Some(at) = steady {
        return Ok(kept.swap_remove(at));
    }
    if !kept.is_empty() {
        return Ok(kept.swap_remove(0));
    }
    let why = passing(running, temporary).unwrap_or("a place that does not last");
    Err(format!(
        "This program runs from {why} ({}), which will be gone when the client starts it. Install it first, for example \
         with `cargo binstall {name}` or `npm install -g {name}`, and run `setup` from there",
        running.display(),
        name = brand::NAME,
    ))
}

/// What is wrong with a place that will not last.
fn passing(path: &Path, temporary: &[PathBuf]) -> Option<&'static str> {
    let names: Vec<&str> = names(path);
    let has = |name: &str| names.contains(&name);
    let pair = |one: &str, two: &str| names.windows(2).any(|pair| pair == [one, two]);
    if has("_npx") {
        Some("the cache of npx")
    } else if pair(".cache", "uv")
        || pair("uv", "cache")
        || names.iter().any(|name| name.starts_with("archive-v"))
    {
        Some("the cache of uv")
    } else if pair(".cache", "pipx")
        || pair("pnpm", "dlx")
        || names.iter().any(|name| name.starts_with("bunx-"))
    {
        Some("the cache of a package runner")
    } else if has("AppTranslocation") {
        Some("the copy that macOS makes of programs that were not moved to Applications")
    } else if path.starts_with("/Volumes") {
        Some("a disk image")
    } else if [
        "/tmp",
        "/private/tmp",
        "/var/tmp",
        "/var/folders",
        "/private/var/folders",
        "/dev/shm",
    ]
    .iter()
    .any(|directory| path.starts_with(directory))
        || temporary.iter().any(|directory| path.starts_with(directory))
    {
        Some("a directory for temporary files")
    } else {
        None
    }
}

fn names(path: &Path) -> Vec<&str> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect()
}

/// Whether a directory on the way is named after a version, so that an update leaves it behind.
fn is_versioned(path: &Path) -> bool {
    let directories = path.parent().map(names).unwrap_or_default();
    directories.contains(&"Cellar")
        || path.starts_with("/nix/store")
        || directories.iter().any(|name| {
            let name = name.strip_prefix('v').unwrap_or(name);
            let mut parts = name.split('.');
            let leading = (parts.next(), parts.next());
            matches!(leading, (Some(major), Some(minor)) if is_number(major)
                && minor.starts_with(|digit: char| digit.is_ascii_digit()))
        })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The link that a package manager keeps to the newest version: Homebrew's `bin`, Scoop's `current`.
fn manager_link(running: &Path) -> Option<PathBuf> {
    let file = running.file_name()?;
    let before = |name: &str| {
        running
            .ancestors()
            .find(|directory| directory.file_name().is_some_and(|last| last == name))
            .and_then(Path::parent)
    };
    if let Some(prefix) = before("Cellar") {
        return Some(prefix.join("bin").join(file));
    }
    let version = running.parent()?;
    let apps = version.parent()?.parent()?;
    (apps.file_name()? == "apps").then(|| version.with_file_name("current").join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_do_not_last_are_refused_with_the_way_to_install() {
        for (path, why) in [
            ("/home/a/.npm/_npx/12ab/node_modules/footbridge/footbridge", "npx"),
            ("/home/a/.cache/uv/archive-v0/x/bin/footbridge", "uv"),
            ("/private/var/folders/x/AppTranslocation/y/footbridge", "macOS"),
            ("/Volumes/Footbridge/footbridge", "disk image"),
            ("/tmp/x/footbridge", "temporary"),
            ("/scratch/x/footbridge", "temporary"),
        ] {
            let error = choose(Path::new(path), Vec::new(), &[PathBuf::from("/scratch")]).unwrap_err();
            assert!(error.contains(why) && error.contains("cargo binstall"), "{error}");
        }
    }

    #[test]
    fn the_link_is_written_rather_than_the_directory_of_a_version() {
        let link = || vec![PathBuf::from("/usr/local/bin/footbridge")];
        for (running, chosen) in [
            ("/home/a/.cargo/bin/footbridge", "/home/a/.cargo/bin/footbridge"),
            (
                "/opt/homebrew/Cellar/footbridge/0.3.1/bin/footbridge",
                "/usr/local/bin/footbridge",
            ),
            (
                "/nix/store/abc-footbridge-0.3.1/bin/footbridge",
                "/usr/local/bin/footbridge",
            ),
            (
                "/home/a/.local/share/mise/installs/footbridge/0.3.1/footbridge",
                "/usr/local/bin/footbridge",
            ),
            ("/tmp/build/footbridge", "/usr/local/bin/footbridge"),
        ] {
            assert_eq!(
                choose(Path::new(running), link(), &[]).unwrap(),
                Path::new(chosen)
            );
        }
        let only = Path::new("/opt/tool/1.2.3/footbridge");
        assert_eq!(choose(only, Vec::new(), &[]).unwrap(), only);
    }

    #[test]
    fn package_managers_have_their_links_in_known_places() {
        for (running, link) in [
            (
                "/opt/homebrew/Cellar/footbridge/0.3.1/bin/footbridge",
                Some("/opt/homebrew/bin/footbridge"),
            ),
            (
                "/c/scoop/apps/footbridge/0.3.1/footbridge.exe",
                Some("/c/scoop/apps/footbridge/current/footbridge.exe"),
            ),
            ("/usr/bin/footbridge", None),
        ] {
            assert_eq!(manager_link(Path::new(running)).as_deref(), link.map(Path::new));
        }
    }
}
