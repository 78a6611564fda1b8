//! Who is calling, and what they may do.
//!
//! A credential comes in; a [`Principal`] goes out, and from a principal and a tool a [`Grant`]. Both can be
//! made only here, so a room that holds one knows that the question was asked. Nothing here knows JSON-RPC.

mod api_key;
mod keyring;
mod principal;
mod scope;

pub use api_key::{ApiKey, Fault as KeyFault};
pub use keyring::{AuthError, Keyring, local_principal};
pub use principal::{Credential, Principal, PrincipalFacts};
pub use scope::{Denial, Grant, judge, visible_tools};
