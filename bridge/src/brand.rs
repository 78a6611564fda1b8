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
/// The `User-Agent` header.
pub(crate) const USER_AGENT: &str = concat!(env!("BRAND_USER_AGENT"), "/", env!("CARGO_PKG_VERSION"));

/// The name of an environment variable of this build, as a literal: `variable!("URL")` is `FOOTBRIDGE_URL`.
macro_rules! variable {
    ($suffix:literal) => {
        concat!(env!("BRAND_VARIABLE_PREFIX"), $suffix)
    };
}
pub(crate) use variable;
