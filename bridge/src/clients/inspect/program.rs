//! Whether a client can start what its entry names, and whether that is this version (FB154, FB155).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Inspection;
use crate::brand;
use crate::clients::document::Node;
use crate::clients::{Client, Surroundings, System, entry};

/// What a program gets as its path that was not started from a terminal on macOS.
const GUI_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// FB154 and FB155: whether the client can start the command, and whether it is this version.
pub(super) fn startable(inspection: &mut Inspection, client: &Client, around: &Surroundings, node: &Node) {
    let Some(started) = entry::entry_command(node) else {
        return;
    };
    let again = format!("Run `{} setup {}`", brand::NAME, client.id);
    let path = PathBuf::from(&started.command);
    if !path.is_absolute() {
        let search = match around.system {
            System::Macos => Some(GUI_PATH.into()),
            _ => around.variable("PATH"),
        };
        let found = search.as_ref().and_then(|search| {
            std::env::split_paths(search)
                .map(|directory| directory.join(&path))
                .find(|file| file.is_file())
        });
        if found.is_none() {
            let where_to = if around.system == System::Macos {
                format!("the PATH that programs of the desktop get ({GUI_PATH})")
            } else {
                "the PATH".to_owned()
            };
            let message = format!(
                "The entry starts `{}`, which is not on {where_to}. {again}",
                started.command
            );
            inspection.add("FB154", true, message);
        }
        return;
    }
    if !is_executable(&path) {
        let message = format!(
            "The entry starts {}, which is no program there. {again}",
            path.display()
        );
        inspection.add("FB154", true, message);
    } else if let Some(version) = version(&path)
        && version != env!("CARGO_PKG_VERSION")
    {
        let message = format!(
            "The entry starts {} {version}; this is {}. {again}",
            path.display(),
            env!("CARGO_PKG_VERSION")
        );
        inspection.add("FB155", false, message);
    }
}

/// Whether a file can be started.
pub(crate) fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    {
        path.is_file()
    }
}

/// The version that a program of our name says it is. Other programs are not started.
fn version(path: &Path) -> Option<String> {
    if path.file_stem()? != brand::NAME {
        return None;
    }
    let running = std::env::current_exe().ok()?;
    if std::fs::canonicalize(path).is_ok_and(|real| real == running) {
        return None;
    }
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    said.trim()
        .strip_prefix(brand::NAME)
        .map(|version| version.trim().to_owned())
}
