//! Access tokens of an OpenID provider (catalogue.md §2.18, protocol.md §2.1–2.3): a token comes in, a
//! [`Principal`](super::Principal) goes out, and the token goes no further: it is never forwarded.
//!
//! Reading order: [`limits`](OAuthLimits); `token`, what can be said without a key; `fetch`, `key_set`, `issuer`, where
//! keys come from; `signature`, `lane`, `turns`, how they are used; `people`, who it is; [`resource`](Resource) and
//! [`guard`](OAuth), which put it together; [`oidc`](Identity), the same for ID tokens of the console's sign-in.

mod fetch;
mod guard;
mod issuer;
mod key_set;
mod lane;
mod limits;
mod oidc;
mod people;
mod resource;
mod secret;
mod signature;
mod token;
mod turns;
mod verified;

pub use guard::{Entrance, OAuth, Origin};
pub use issuer::ProviderFault;
pub use limits::OAuthLimits;
pub use oidc::{CodeRequest, IdTokenRequest, ProviderEndpoints};
pub use people::Identity;
pub use resource::{
    GROUPS_CLAIM, Resource, check_issuer, check_resource_uri, default_mount, metadata_url, oauth_path,
};
pub use secret::{check_reference, read_secret};
pub use token::TokenFault;
