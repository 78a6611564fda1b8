//! Fields that hold one word of a few.

/// An enumeration whose values are words, the same in the store, in arguments and in answers. The first is the default.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $first:ident = $first_word:literal $(, $variant:ident = $word:literal)* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub(crate) enum $name {
            #[default]
            #[serde(rename = $first_word)]
            $first,
            $(#[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every value, in the order of its declaration.
            #[cfg(test)]
            #[allow(dead_code, reason = "tests walk through the states of those that have a machine")]
            pub(crate) const ALL: &'static [Self] = &[Self::$first $(, Self::$variant)*];

            /// The word.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;
