//! Whether a call that may be made runs now: a [`Grant`] and its arguments come in, a [`Permit`] goes out.
//!
//! A permit can be made only here and every handler takes one, so no effect happens that this room did not allow.
//! Rows may ask for `auto` or `admin`; a row that asks for confirmation or review is refused when the catalogue
//! loads, because nothing here could keep that promise yet.

mod seal;

pub use seal::{SealKey, StateError};

use crate::{
    access::{Grant, Principal},
    catalogue::{Arguments, PolicyRow, Tool},
};

/// Proof that policy allowed this call now.
#[derive(Debug)]
pub struct Permit {
    grant: Grant,
}

impl Permit {
    /// Who calls.
    pub fn principal(&self) -> &Principal {
        self.grant.principal()
    }

    /// What is called.
    pub fn tool(&self) -> &Tool {
        self.grant.tool()
    }
}

/// Decides on one call.
pub fn decide(grant: Grant, _arguments: &Arguments) -> Permit {
    match grant.tool().policy {
        // The role gate of `admin` stood in `access::judge`, where the list asks the same question.
        PolicyRow::Auto | PolicyRow::Admin => Permit { grant },
    }
}
