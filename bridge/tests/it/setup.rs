//! `setup` on homes of its own: what is written, what is refused, what is said. A key is never said.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::KEY;

const URL: &str = "https://mcp.example.com/mcp";
const PROGRAM: &str = "/opt/bin/footbridge";

/// A home directory with a project in it.
pub(crate) struct Home {
    pub(crate) directory: tempfile::TempDir,
    system: &'static str,
}

/// What a run said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn of(system: &'static str) -> Home {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("project")).unwrap();
        Home { directory, system }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// What `doctor` says of a client's entry, as a document, and whether it is content.
    pub(crate) fn doctor(&self, client: &str, variables: &[(&str, &str)]) -> (bool, Value) {
        let said = said(
            self.command_of("doctor", &[client, "--json"], variables)
                .output()
                .unwrap(),
        );
        (said.code == 0, serde_json::from_str(&said.stdout).unwrap())
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        self.command_of("setup", arguments, variables)
    }

    fn command_of(&self, verb: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(crate::harness::program());
        let home = if self.system == "windows" {
            "USERPROFILE"
        } else {
            "HOME"
        };
        command
            .arg(verb)
            .args(arguments)
            .env_clear()
            .env(home, self.directory.path())
            .env("PATH", "/usr/bin:/bin")
            .env("FOOTBRIDGE_SYSTEM", self.system)
            .env("FOOTBRIDGE_PROGRAM", PROGRAM)
            .env("FOOTBRIDGE_URL", URL)
            .env("FOOTBRIDGE_KEY", KEY)
            .current_dir(self.path("project"))
            .stdin(Stdio::null());
        for (name, value) in variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        said(self.command(arguments, variables).output().unwrap())
    }

    /// Runs with something on stdin.
    fn run_fed(&self, arguments: &[&str], variables: &[(&str, &str)], stdin: &str) -> Said {
        let file = self.write("stdin", stdin);
        let stdin = std::fs::File::open(file).unwrap();
        said(self.command(arguments, variables).stdin(stdin).output().unwrap())
    }

    /// Runs and expects success.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments).ok()
    }

    fn backups(&self, directory: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = std::fs::read_dir(self.path(directory))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "bak"))
            .collect();
        found.sort();
        found
    }
}

impl Said {
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr, "");
        self.stdout
    }

    /// Failed, and said this.
    fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, 1, "{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {}", self.stderr);
        }
    }
}

fn said(output: Output) -> Said {
    let said = Said {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(
        !said.stdout.contains(KEY) && !said.stderr.contains(KEY),
        "the key was said"
    );
    for line in said.stderr.lines() {
        assert!(line.starts_with("footbridge: "), "{line}");
    }
    said
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

const DESKTOP: &str = ".config/Claude/claude_desktop_config.json";

#[test]
fn without_a_terminal_only_yes_writes() {
    let home = Home::of("linux");
    home.run(&["claude-desktop"]).refused(&["--yes"]);
    let said = home.ok(&["claude-desktop", "--dry-run", "--yes"]);
    assert!(
        said.contains("+   \"command\": \"/opt/bin/footbridge\""),
        "{said}"
    );
    assert!(!home.path(DESKTOP).exists());
    let said = home.ok(&["claude-desktop", "--yes"]);
    assert!(said.contains("Quit Claude Desktop"), "{said}");
    assert_eq!(
        home.json(DESKTOP)["mcpServers"]["footbridge"],
        json!({ "command": PROGRAM, "args": [], "env": { "FOOTBRIDGE_URL": URL, "FOOTBRIDGE_KEY": KEY } })
    );
    assert!(home.ok(&["claude-desktop", "--yes"]).contains("up to date"));
}

#[cfg(unix)]
#[test]
fn a_new_file_with_a_key_is_its_owners_and_an_old_one_keeps_its_mode() {
    let home = Home::of("linux");
    home.ok(&["claude-desktop", "--yes"]);
    assert_eq!(mode(&home.path(DESKTOP)), 0o600);
    let old = home.write(".lmstudio/mcp.json", "{}");
    set_mode(&old, 0o640);
    let said = home.ok(&["lmstudio", "--yes"]);
    assert_eq!(mode(&old), 0o640);
    assert!(said.contains("chmod 600"), "{said}");
    let backup = &home.backups(".lmstudio")[0];
    assert_eq!(
        (mode(backup), std::fs::read(backup).unwrap()),
        (0o600, b"{}".to_vec())
    );
}

#[test]
fn three_backups_stay() {
    let home = Home::of("linux");
    for turn in 0..6 {
        home.write(DESKTOP, &format!("{{\"turn\": {turn}}}"));
        home.ok(&["claude-desktop", "--yes"]);
    }
    let backups = home.backups(".config/Claude");
    assert_eq!(backups.len(), 3);
    assert_eq!(std::fs::read_to_string(&backups[2]).unwrap(), "{\"turn\": 5}");
    let name = backups[2].file_name().unwrap().to_str().unwrap();
    let stamp = name
        .strip_prefix("claude_desktop_config.json.footbridge-")
        .unwrap();
    assert_eq!(stamp.len(), "20261120T101500.bak".len());
}

#[test]
fn a_file_that_does_not_parse_is_not_touched() {
    let home = Home::of("linux");
    let text = "{\n  \"mcpServers\": {\n    \"a\": {},\n  }\n}\n";
    let path = home.write(".cursor/mcp.json", text);
    let said = home.run(&["cursor", "--yes"]);
    said.refused(&[
        &format!("{}:3:12 a trailing comma", path.display()),
        "not touched",
    ]);
    assert!(
        said.stdout.contains("\"footbridge\": {"),
        "the entry is printed to paste: {}",
        said.stdout
    );
    assert_eq!(home.read(".cursor/mcp.json"), text);
    home.write(".cursor/mcp.json", "{\"mcpServers\": []}");
    home.run(&["cursor", "--yes"])
        .refused(&[":1:16 mcpServers should hold"]);
    std::fs::write(&path, b"{\"a\": \"\xff\"}").unwrap();
    home.run(&["cursor", "--yes"]).refused(&[":1:8 ", "UTF-8"]);
    assert!(home.backups(".cursor").is_empty());
}

#[test]
fn what_cannot_be_edited_with_certainty_is_printed() {
    let home = Home::of("linux");
    for text in [
        "x: &anchor 1\nextensions:\n  a: *anchor\n",
        "extensions: {a: {b: c}}\n",
        "extensions: # ours\n- a\n",
    ] {
        home.write(".config/goose/config.yaml", text);
        let said = home.run(&["goose", "--yes"]);
        said.refused(&["config.yaml:"]);
        assert!(
            said.stdout.contains("uri: \"https://mcp.example.com/mcp\""),
            "{}",
            said.stdout
        );
        assert_eq!(home.read(".config/goose/config.yaml"), text);
    }
    let text = "mcp_servers.a = { command = \"x\" }\nmcp_servers.footbridge.command = 'footbridge'\n";
    home.write(".codex/config.toml", text);
    home.run(&["codex", "--yes"]).refused(&["config.toml:"]);
    assert_eq!(home.read(".codex/config.toml"), text);
}

#[test]
fn tables_in_braces_are_edited_within_them() {
    let home = Home::of("linux");
    let text = "mcp_servers = {a={command='x'}} # mine\n";
    home.write(".codex/config.toml", text);
    home.ok(&["codex", "--yes"]);
    assert_eq!(
        home.read(".codex/config.toml"),
        format!(
            "mcp_servers = {{a={{command='x'}}, footbridge = {{ url = \"{URL}\", bearer_token_env_var = \"FOOTBRIDGE_KEY\" }}}} # mine\n"
        )
    );
    home.ok(&["codex", "--yes", "--remove"]);
    assert_eq!(home.read(".codex/config.toml"), text);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_stay_links() {
    let home = Home::of("linux");
    let real = home.write("dotfiles/cursor.json", "{}");
    std::fs::create_dir(home.path(".cursor")).unwrap();
    std::os::unix::fs::symlink("../dotfiles/cursor.json", home.path(".cursor/mcp.json")).unwrap();
    home.ok(&["cursor", "--yes"]);
    assert!(
        std::fs::symlink_metadata(home.path(".cursor/mcp.json"))
            .unwrap()
            .is_symlink()
    );
    assert!(std::fs::read_to_string(real).unwrap().contains("footbridge"));
    assert_eq!(home.backups("dotfiles").len(), 1);
}

#[cfg(unix)]
#[test]
fn a_read_only_file_stays_as_it_is() {
    let home = Home::of("linux");
    let path = home.write(".cursor/mcp.json", "{}");
    set_mode(&path, 0o444);
    home.run(&["cursor", "--yes"])
        .refused(&["read-only", "~/.cursor/mcp.json"]);
    assert_eq!(home.read(".cursor/mcp.json"), "{}");
    assert_eq!(
        std::fs::read_dir(home.path(".cursor")).unwrap().count(),
        1,
        "nothing is left behind"
    );
}

#[test]
fn someone_elses_entry_stops_and_another_name_goes_on() {
    let home = Home::of("linux");
    let text = r#"{"mcpServers": {"footbridge": {"command": "npx", "args": ["other"]}}}"#;
    home.write(".cursor/mcp.json", text);
    home.run(&["cursor", "--yes"])
        .refused(&["mcp.json:1:", "not ours", "--name footbridge-2"]);
    home.run(&["cursor", "--yes", "--remove"]).refused(&["not ours"]);
    assert_eq!(home.read(".cursor/mcp.json"), text);
    home.ok(&["cursor", "--yes", "--name", "ours"]);
    let servers = &home.json(".cursor/mcp.json")["mcpServers"];
    assert_eq!(servers["footbridge"]["command"], "npx");
    assert_eq!(servers["ours"]["url"], URL);
}

#[test]
fn our_entry_is_updated_in_place_and_keeps_what_a_person_added() {
    let home = Home::of("linux");
    home.write(
        ".config/zed/settings.json",
        "{\n  // mine\n  \"context_servers\": {\n    \"footbridge\": {\n      \"command\": \"/old/footbridge\", // where\n      \"args\": [],\n      \"timeout\": 7,\n      \"env\": { \"FOOTBRIDGE_URL\": \"https://old/mcp\", \"FOOTBRIDGE_LOG\": \"debug\" }\n    },\n    \"other\": {}\n  }\n}\n",
    );
    let said = home.ok(&["zed", "--bridge", "--yes"]);
    assert!(
        said.contains("-   \"command\": \"/old/footbridge\",") && said.contains("changed entry"),
        "{said}"
    );
    assert_eq!(
        home.read(".config/zed/settings.json"),
        format!(
            "{{\n  // mine\n  \"context_servers\": {{\n    \"footbridge\": {{\n      \"command\": \"{PROGRAM}\", // where\n      \"args\": [],\n      \"timeout\": 7,\n      \"env\": {{ \"FOOTBRIDGE_URL\": \"{URL}\", \"FOOTBRIDGE_LOG\": \"debug\", \"FOOTBRIDGE_KEY\": \"{KEY}\" }}\n    }},\n    \"other\": {{}}\n  }}\n}}\n"
        )
    );
    home.ok(&["zed", "--direct", "--yes"]);
    let text = home.read(".config/zed/settings.json");
    assert!(
        !text.contains("command") && text.contains("\"timeout\": 7") && text.contains("\"url\""),
        "{text}"
    );
}

#[test]
fn toml_entries_are_updated_in_place_too() {
    let home = Home::of("linux");
    home.write(
        ".codex/config.toml",
        "# top\n[mcp_servers.footbridge]\ncommand = \"/old/footbridge\" # where\nstartup_timeout_sec = 20\n\n[mcp_servers.footbridge.env]\nFOOTBRIDGE_URL = \"https://old/mcp\"\n\n[other]\n",
    );
    home.ok(&["codex", "--bridge", "--yes"]);
    assert_eq!(
        home.read(".codex/config.toml"),
        format!(
            "# top\n[mcp_servers.footbridge]\ncommand = \"{PROGRAM}\" # where\nstartup_timeout_sec = 20\nenv_vars = [\"FOOTBRIDGE_KEY\"]\n\n[mcp_servers.footbridge.env]\nFOOTBRIDGE_URL = \"{URL}\"\n\n[other]\n"
        )
    );
}

#[test]
fn yaml_entries_are_updated_in_place_and_keep_their_comments() {
    let home = Home::of("linux");
    let file = |program: &str, url: &str, key: &str| {
        format!(
            "GOOSE_PROVIDER: x # mine\nextensions:\n  # ours\n  footbridge: # it\n    name: footbridge\n    type: stdio\n    # where\n    \
             cmd: \"{program}\" # there\n    args: []\n    envs: # all of it\n      # the server\n      FOOTBRIDGE_URL: \"{url}\" # this one\n      \
             FOOTBRIDGE_LOG: debug\n{key}    # not now\n    enabled: false\n    timeout: 7\n  other: {{ type: builtin }} # theirs\n"
        )
    };
    home.write(
        ".config/goose/config.yaml",
        &file("/old/footbridge", "https://old/mcp", ""),
    );
    home.ok(&["goose", "--bridge", "--yes"]);
    let key = format!("      FOOTBRIDGE_KEY: {KEY}\n");
    assert_eq!(home.read(".config/goose/config.yaml"), file(PROGRAM, URL, &key));
}

#[test]
fn a_project_in_a_work_tree_gets_a_reference_or_nothing() {
    let home = Home::of("linux");
    std::fs::create_dir(home.path("project/.git")).unwrap();
    home.ok(&["cursor", "--project", "--yes"]);
    home.ok(&["vscode", "--project", "--yes", "--bridge"]);
    home.ok(&["continue", "--project", "--yes"]);
    home.ok(&["claude-code", "--project", "--yes"]);
    for (path, reference) in [
        (".cursor/mcp.json", "${env:FOOTBRIDGE_KEY}"),
        (".vscode/mcp.json", "${input:footbridge-key}"),
        (
            ".continue/mcpServers/footbridge.yaml",
            "${{ secrets.FOOTBRIDGE_KEY }}",
        ),
        (".mcp.json", "${FOOTBRIDGE_KEY}"),
    ] {
        let text = home.read(&format!("project/{path}"));
        assert!(text.contains(reference) && !text.contains(KEY), "{text}");
    }
    home.run(&["zed", "--project", "--yes"])
        .refused(&["git", "--no-key"]);
    home.run_fed(
        &["cursor", "--project", "--yes", "--key-stdin", "--name", "x"],
        &[],
        KEY,
    )
    .refused(&["git"]);
    home.ok(&["zed", "--project", "--yes", "--no-key"]);
    let text = home.read("project/.zed/settings.json");
    assert!(!text.contains("headers") && text.contains(URL), "{text}");
}

#[test]
fn the_key_is_a_reference_a_file_or_itself() {
    let home = Home::of("linux");
    let entry = |path: &str, servers: &str| home.json(path)[servers]["footbridge"].clone();
    home.ok(&["cursor", "--yes", "--key-env", "WORK_KEY"]);
    assert_eq!(
        entry(".cursor/mcp.json", "mcpServers")["headers"]["Authorization"],
        "Bearer ${env:WORK_KEY}"
    );
    let said = home.run_fed(&["cursor", "--yes", "--key-stdin"], &[], &format!("{KEY}\n"));
    said.ok();
    assert_eq!(
        entry(".cursor/mcp.json", "mcpServers")["headers"]["Authorization"],
        format!("Bearer {KEY}")
    );
    let file = home.write("key", KEY);
    #[cfg(unix)]
    set_mode(&file, 0o600);
    let file = file.to_str().unwrap();
    home.run_with(
        &["claude-desktop", "--yes"],
        &[("FOOTBRIDGE_KEY", ""), ("FOOTBRIDGE_KEY_FILE", file)],
    )
    .ok();
    assert_eq!(
        entry(DESKTOP, "mcpServers")["env"],
        json!({ "FOOTBRIDGE_URL": URL, "FOOTBRIDGE_KEY_FILE": file })
    );
    home.run_with(&["lmstudio", "--yes"], &[("FOOTBRIDGE_KEY", "")])
        .ok();
    assert_eq!(entry(".lmstudio/mcp.json", "mcpServers"), json!({ "url": URL }));
    home.run(&["lmstudio", "--yes", "--key-env", "X"])
        .refused(&["does not expand"]);
    home.run_with(&["lmstudio", "--yes"], &[("FOOTBRIDGE_KEY", "${FOOTBRIDGE_KEY}")])
        .refused(&["`${FOOTBRIDGE_KEY}`"]);
}

#[test]
fn an_entry_keeps_the_key_in_the_variable_that_was_named() {
    let home = Home::of("linux");
    let env = |path: &str, servers: &str| home.json(path)[servers]["footbridge"]["env"].clone();
    let named = ["claude-desktop", "--yes", "--key-env", "WORK_KEY"];
    home.run_with(&named, &[("WORK_KEY", KEY), ("FOOTBRIDGE_KEY", "another")])
        .ok();
    assert_eq!(
        env(DESKTOP, "mcpServers"),
        json!({ "FOOTBRIDGE_URL": URL, "WORK_KEY": KEY, "FOOTBRIDGE_KEY_ENV": "WORK_KEY" })
    );
    // Without the key there is nothing to write, and another one is not taken for it.
    home.run_with(&named, &[("FOOTBRIDGE_KEY", "another")])
        .refused(&["Set WORK_KEY"]);
    // Said again without a name, the key moves and leaves no copy behind.
    home.ok(&["claude-desktop", "--yes"]);
    assert_eq!(
        env(DESKTOP, "mcpServers"),
        json!({ "FOOTBRIDGE_URL": URL, "FOOTBRIDGE_KEY": KEY })
    );
}

#[test]
fn what_the_bridge_needs_besides_goes_into_its_environment() {
    let home = Home::of("linux");
    home.run_with(
        &["claude-desktop", "--yes", "--allow-http"],
        &[
            ("FOOTBRIDGE_URL", "http://mcp.internal/mcp"),
            ("FOOTBRIDGE_CA_FILE", "/etc/ca.pem"),
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("ALL_PROXY", "http://user:secret@proxy:3128"),
        ],
    )
    .ok();
    assert_eq!(
        home.json(DESKTOP)["mcpServers"]["footbridge"]["env"],
        json!({
            "FOOTBRIDGE_URL": "http://mcp.internal/mcp", "FOOTBRIDGE_KEY": KEY,
            "FOOTBRIDGE_CA_FILE": "/etc/ca.pem", "FOOTBRIDGE_ALLOW_HTTP": "1",
            "HTTPS_PROXY": "http://proxy:3128",
        })
    );
    home.run_with(&["cursor", "--yes"], &[("FOOTBRIDGE_URL", "mcp.example.com")])
        .refused(&["mcp.example.com"]);
    home.run_with(&["cursor", "--yes"], &[("FOOTBRIDGE_URL", "")])
        .refused(&["--url"]);
}

/// A client's program that writes its arguments down and its file.
fn fake_claude(home: &Home) {
    let path = home.write(
        "bin/claude",
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >> \"$HOME/arguments\"\n\
         case $2 in add) printf '{\"mcpServers\": {\"footbridge\": {\"type\": \"http\", \"url\": \"https://mcp.example.com/mcp\"}}}' ;; \
         *) printf '{}' ;; esac > \"$HOME/.claude.json\"\n",
    );
    #[cfg(unix)]
    set_mode(&path, 0o755);
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(unix)]
#[test]
fn claude_code_is_told_by_its_own_program() {
    let home = Home::of("linux");
    fake_claude(&home);
    let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
    let variables = [("PATH", path.as_str())];
    home.run_with(&["claude-code"], &variables).refused(&["--yes"]);
    home.run_with(&["claude-code", "--yes"], &variables).ok();
    assert_eq!(
        home.read("arguments"),
        format!(
            "mcp\nadd\n--transport\nhttp\n--scope\nuser\nfootbridge\n{URL}\n--header\nAuthorization: Bearer ${{FOOTBRIDGE_KEY}}\n"
        )
    );
    std::fs::remove_file(home.path("arguments")).unwrap();
    home.run_with(&["claude-code", "--yes", "--bridge"], &variables)
        .ok();
    assert_eq!(
        home.read("arguments"),
        format!(
            "mcp\nremove\n--scope\nuser\nfootbridge\nmcp\nadd\n--scope\nuser\nfootbridge\n-e\nFOOTBRIDGE_URL={URL}\n-e\nFOOTBRIDGE_KEY=${{FOOTBRIDGE_KEY}}\n--\n{PROGRAM}\n"
        )
    );
    home.run_with(&["claude-code", "--yes", "--remove"], &variables)
        .ok();
    assert_eq!(home.read(".claude.json"), "{}");
}

#[cfg(unix)]
#[test]
fn a_key_is_never_an_argument_of_another_program() {
    let home = Home::of("linux");
    fake_claude(&home);
    let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
    let said = home.run_fed(&["claude-code", "--yes", "--key-stdin"], &[("PATH", &path)], KEY);
    said.refused(&["was not changed"]);
    assert!(
        said.stdout.contains("command line") && said.stdout.contains("Bearer YOUR_KEY"),
        "{}",
        said.stdout
    );
    assert!(!home.path("arguments").exists());
    let said = home.run(&["claude-code", "--yes"]);
    said.refused(&["was not changed"]);
    assert!(said.stdout.contains("no `claude` on the PATH"), "{}", said.stdout);
}

#[test]
fn windows_desktop_has_an_entry_in_every_directory_that_exists() {
    let home = Home::of("windows");
    let store = "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude";
    let file = |directory: &str| format!("{directory}/claude_desktop_config.json");
    home.ok(&["claude-desktop", "--yes"]);
    let plain = "AppData/Roaming/Claude";
    assert!(home.path(&file(plain)).exists());
    std::fs::create_dir_all(home.path(store)).unwrap();
    home.ok(&["claude-desktop", "--yes"]);
    assert_eq!(home.read(&file(store)), home.read(&file(plain)));
    std::fs::remove_dir_all(home.path(plain)).unwrap();
    home.ok(&["claude-desktop", "--yes"]);
    assert!(!home.path(plain).exists());
}

#[test]
fn a_variable_that_names_the_place_decides() {
    let home = Home::of("linux");
    let elsewhere = home.path("elsewhere");
    let place = |name: &str, path: &Path| (name.to_owned(), path.to_str().unwrap().to_owned());
    for (client, (name, value), file) in [
        ("codex", place("CODEX_HOME", &elsewhere), "elsewhere/config.toml"),
        (
            "cline",
            place("CLINE_MCP_SETTINGS_PATH", &elsewhere.join("cline.json")),
            "elsewhere/cline.json",
        ),
        (
            "zed",
            place("XDG_CONFIG_HOME", &elsewhere),
            "elsewhere/zed/settings.json",
        ),
    ] {
        home.run_with(&[client, "--yes"], &[(&name, &value)]).ok();
        assert!(home.read(file).contains("footbridge"));
    }
}

#[test]
fn list_shows_what_is_here_and_all_sets_it_up() {
    let home = Home::of("macos");
    std::fs::create_dir(home.path(".cursor")).unwrap();
    home.write(".lmstudio/mcp.json", "{,}");
    home.write(".codex/config.toml", "");
    let said = home.ok(&["--list"]);
    for line in [
        "cursor    user     ~/.cursor/mcp.json  (no file yet)",
        "codex     user     ~/.codex/config.toml  (not configured)",
        "lmstudio  user     ~/.lmstudio/mcp.json  (broken at 1:2: a name in double quotes should be here)",
        "Also known: claude-desktop",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    home.run(&["--all", "--yes"])
        .refused(&["1 of 3 were not done: lmstudio", "lmstudio: "]);
    let said = home.ok(&["--list"]);
    assert!(
        said.contains("~/.cursor/mcp.json  (configured: `footbridge`, direct)"),
        "{said}"
    );
    assert!(
        home.read(".codex/config.toml")
            .contains("bearer_token_env_var = \"FOOTBRIDGE_KEY\"")
    );
    Home::of("linux")
        .run(&["--all", "--yes"])
        .refused(&["No client was found"]);
}

#[test]
fn what_cannot_be_written_is_explained() {
    let home = Home::of("linux");
    home.run(&["roo"]).refused(&["shut down", "setup cline"]);
    home.run(&["windsurf", "--yes"]).refused(&["not installed"]);
    home.run(&["junie", "--direct", "--yes"]).refused(&["--direct"]);
    home.run(&["goose", "--project", "--yes"]).refused(&["--project"]);
    home.run(&["claude"])
        .refused(&["`claude-desktop` or `claude-connector` or `claude-code`"]);
    home.run_with(&["cursor", "--yes"], &[("HOME", "")])
        .refused(&["home directory"]);
    let said = home.run_with(&["cursor"], &[("FOOTBRIDGE_LOG", "loud")]);
    assert!(
        said.code == 2 && said.stderr.contains("FOOTBRIDGE_LOG"),
        "{}",
        said.stderr
    );
    for (arguments, word) in [
        (&["cursor", "--direct", "--bridge"][..], "exclude"),
        (&[], "setup --list"),
        (&["cursor", "--all"], "one client"),
        (&["cursor", "--name", "a/b"], "--name"),
        (&["cursor", "--key-env", "not-a-name"], "--key-env"),
    ] {
        let said = home.run(arguments);
        assert!(said.code == 2 && said.stderr.contains(word), "{}", said.stderr);
    }
}

#[test]
fn links_and_snippets_carry_no_key() {
    let home = Home::of("linux");
    let said = home.ok(&["cursor", "--print"]);
    // {"url":"https://mcp.example.com/mcp","headers":{"Authorization":"Bearer YOUR_KEY"}}
    let entry = "eyJ1cmwiOiJodHRwczovL21jcC5leGFtcGxlLmNvbS9tY3AiLCJoZWFkZXJzIjp7IkF1dGhvcml6YXRpb24iOiJCZWFyZXIgWU9VUl9LRVkifX0%3D";
    for link in [
        format!("cursor://anysphere.cursor-deeplink/mcp/install?name=footbridge&config={entry}\n"),
        format!("https://cursor.com/en/install-mcp?name=footbridge&config={entry}\n"),
        "YOUR_KEY".to_owned(),
    ] {
        assert!(said.contains(&link), "{link}\n{said}");
    }
    for (client, link) in [
        (
            "vscode",
            "vscode:mcp/install?%7B%22name%22%3A%22footbridge%22%2C%22type%22%3A%22http%22%2C%22url%22%3A%22https%3A%2F%2Fmcp.example.com%2Fmcp%22%7D\n",
        ),
        (
            "goose",
            "goose://extension?url=https%3A%2F%2Fmcp.example.com%2Fmcp&type=streamable_http&timeout=300&id=footbridge&name=Footbridge&description=Footbridge\n",
        ),
        (
            "claude-connector",
            "https://claude.ai/customize/connectors?modal=add-custom-connector&connectorName=Footbridge&connectorUrl=https%3A%2F%2Fmcp.example.com%2Fmcp\n",
        ),
    ] {
        let said = home.ok(&[client, "--print"]);
        assert!(said.contains(link), "{said}");
    }
    let said = home.ok(&["jetbrains"]);
    assert!(
        said.contains("AI Assistant") && said.contains("\"Bearer YOUR_KEY\""),
        "{said}"
    );
    assert!(!home.path(".cursor").exists(), "print touches nothing");
}

#[test]
fn a_program_in_a_place_that_does_not_last_is_refused() {
    let home = Home::of("linux");
    // Any directory is one for temporary files, if the system says so.
    let program = crate::harness::program();
    let program = Path::new(&program);
    let output = Command::new(program)
        .args(["setup", "claude-desktop", "--yes", "--url", URL])
        .env_clear()
        .env("HOME", home.directory.path())
        .env("TMPDIR", program.parent().unwrap())
        .output();
    said(output.unwrap()).refused(&["temporary files", "cargo binstall footbridge"]);
}
