//! The brand file → constants (design.md D14), which `src/brand.rs` reads; `clients.toml` → the table in `src/clients`; what
//! the linker leaves out of a small build.

#[path = "build/clients.rs"]
mod clients;

use std::path::{Path, PathBuf};

/// Says whether a value has the form its entry needs.
type Form = fn(&str) -> bool;

/// Every entry of the file, with what its value must look like.
const ENTRIES: [(&str, Form); 7] = [
    ("name", |text| {
        is_word(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    }),
    ("title", |text| {
        !text.trim().is_empty() && !text.contains(char::is_control)
    }),
    ("default_url", |text| {
        text.is_empty() || text.starts_with("https://") || text.starts_with("http://")
    }),
    ("variable_prefix", |text| {
        is_word(text, |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') && text.ends_with('_')
    }),
    ("user_agent", |text| {
        is_word(text, |c| c.is_ascii_alphanumeric() || "-._".contains(c))
    }),
    ("key_prefixes", |text| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ' ')
    }),
    ("refused_tokens", |text| {
        text.is_empty()
            || text.split(',').all(|token| {
                token.trim().split_once('=').is_some_and(|(prefix, what)| {
                    is_word(prefix, |c| c.is_ascii_alphanumeric() || c == '_')
                        && is_word(what, |c| !c.is_control() && c != '=')
                })
            })
    }),
];

fn main() {
    // Set by scripts/release; a build of somebody's working copy names no commit.
    println!("cargo::rerun-if-env-changed=FOOTBRIDGE_COMMIT");
    let commit =
        std::env::var("FOOTBRIDGE_COMMIT").map_or_else(|_| String::new(), |commit| format!(" ({commit})"));
    println!("cargo::rustc-env=BUILD_COMMIT={commit}");
    println!("cargo::rerun-if-env-changed=FOOTBRIDGE_BRAND");
    let file =
        std::env::var_os("FOOTBRIDGE_BRAND").map_or_else(|| PathBuf::from("brand.toml"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", file.display());
    if let Err(error) = brand(&file) {
        println!("cargo::error={}: {error}", file.display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    shrink();
    println!("cargo::rerun-if-changed=build/clients.rs");
    println!("cargo::rerun-if-changed=clients.toml");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("clients.txt");
    if let Err(error) = clients::generate(Path::new("clients.toml"), &out) {
        println!("cargo::error=clients.toml: {error}");
    }
}

/// What the linker can do for the size of a program that is built for size, as the profiles `bridge` and `lean` are: cargo tells a build
/// script the level of optimisation and not the profile's name.
fn shrink() {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let is_small = is("OPT_LEVEL", "s") || is("OPT_LEVEL", "z");
    if !is_small || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    let script =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("build/lean.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    // Relocations as a bitmap: 80 KB less. Every musl since 1.2.4 reads it, and a static program brings its own; which glibc
    // will load a dynamic one is not known here, and those before 2.36 would refuse.
    if is("CARGO_CFG_TARGET_ENV", "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn brand(file: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    if let Some(unknown) = table
        .keys()
        .find(|key| ENTRIES.iter().all(|(name, _)| name != key))
    {
        return Err(format!(
            "`{unknown}` is no entry of a brand; bridge/brand.toml has them all"
        ));
    }
    for (name, fits) in ENTRIES {
        let value = table
            .get(name)
            .and_then(toml::Value::as_str)
            .ok_or_else(|| format!("`{name}` is missing or no text"))?;
        if !fits(value) {
            return Err(format!(
                "`{name}` cannot be `{value}`; bridge/brand.toml shows the form"
            ));
        }
        println!("cargo::rustc-env=BRAND_{}={value}", name.to_ascii_uppercase());
    }
    Ok(())
}

fn is_word(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}
