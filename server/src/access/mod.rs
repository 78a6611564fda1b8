//! Who is calling, and what they may do.
//!
//! A credential comes in; a [`Principal`] goes out, and from a principal and a tool a [`Grant`]. Both can be
//! made only here, so a room that holds one knows that the question was asked. Nothing here knows JSON-RPC.

mod api_key;
mod groups;
mod keyring;
pub mod oauth;
mod principal;
mod scope;
mod table;

pub use api_key::{ApiKey, Fault as KeyFault};
pub use groups::role_in;
pub use keyring::{AuthError, Keyring};
pub use principal::{
    CapOf, Credential, MonthlyCap, Principal, PrincipalFacts, local_principal, session_principal,
};
pub use scope::{Denial, Grant, judge, visible_tools};
