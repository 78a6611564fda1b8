//! What this build calls itself, from the brand file it was built with (`brand.toml`, design.md D14).

/// The program's name.
pub(crate) const NAME: &str = env!("BRAND_NAME");
/// The server's address when none is set; may be empty.
pub(crate) const DEFAULT_URL: &str = env!("BRAND_DEFAULT_URL");
/// What access keys begin with, separated by blanks; may be empty.
pub(crate) const KEY_PREFIXES: &str = env!("BRAND_KEY_PREFIXES");
/// The `User-Agent` header.
pub(crate) const USER_AGENT: &str = concat!(env!("BRAND_USER_AGENT"), "/", env!("CARGO_PKG_VERSION"));

/// The name of an environment variable of this build, as a literal: `variable!("URL")` is `FOOTBRIDGE_URL`.
macro_rules! variable {
    ($suffix:literal) => {
        concat!(env!("BRAND_VARIABLE_PREFIX"), $suffix)
    };
}
pub(crate) use variable;

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Reads `folder` through and collects the lines of ours that would speak of Footbridge under every brand.
    fn literals(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                literals(&path, found);
            }
            let is_test = path
                .file_stem()
                .is_some_and(|stem| stem == "golden" || stem.to_string_lossy().ends_with("tests"));
            if path.is_dir() || is_test || path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let program = text
                .split("\n#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            for line in program
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                let line = line.replace("footbridge_protocol", "");
                if line.to_ascii_lowercase().contains("footbridge") {
                    found.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }

    #[test]
    fn d14_no_text_of_the_program_names_this_brand_by_itself() {
        let mut found = Vec::new();
        literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert!(
            found.is_empty(),
            "use `brand::NAME`, `brand::TITLE` or `variable!(…)`, so that a vendor's build speaks its own name:\n{}",
            found.join("\n")
        );
    }
}
