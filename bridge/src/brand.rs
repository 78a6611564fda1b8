//! What this build calls itself, from the brand file it was built with (`brand.toml`, design.md D14).

/// The program's name.
pub(crate) const NAME: &str = env!("BRAND_NAME");
/// The product's name, for people.
#[cfg(feature = "setup")]
pub(crate) const TITLE: &str = env!("BRAND_TITLE");
/// The server's address when none is set; may be empty.
pub(crate) const DEFAULT_URL: &str = env!("BRAND_DEFAULT_URL");
/// What access keys begin with, separated by blanks; may be empty.
pub(crate) const KEY_PREFIXES: &str = env!("BRAND_KEY_PREFIXES");
/// What tokens begin with that are no access keys, and what they are: `fba_=an admin token`, separated by commas.
pub(crate) const REFUSED_TOKENS: &str = env!("BRAND_REFUSED_TOKENS");
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
    use std::path::{Path, PathBuf};

    /// Every source file below `folder`, with its text.
    fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }

    /// The files of modules that only tests have: `#[cfg(test)]`, then `mod name;`.
    fn of_tests(path: &Path, text: &str) -> Vec<PathBuf> {
        let folder = match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "main") => path.with_file_name(""),
            _ => path.with_extension(""),
        };
        let names = text.split("#[cfg(test)]\n").skip(1).filter_map(|after| {
            let (declaration, _) = after.split_once(';')?;
            declaration.rsplit_once("mod ").map(|(_, name)| name)
        });
        names.map(|name| folder.join(format!("{name}.rs"))).collect()
    }

    #[test]
    fn d14_no_text_of_the_program_names_this_brand_by_itself() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let tests: Vec<PathBuf> = files
            .iter()
            .flat_map(|(path, text)| of_tests(path, text))
            .collect();
        let mut found = Vec::new();
        for (path, text) in files.iter().filter(|(path, _)| !tests.contains(path)) {
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
        assert!(
            files.len() > 20 && !tests.is_empty(),
            "the sources were not found"
        );
        assert!(
            found.is_empty(),
            "use `brand::NAME`, `brand::TITLE` or `variable!(…)`, so that a vendor's build speaks its own name:\n{}",
            found.join("\n")
        );
    }
}
