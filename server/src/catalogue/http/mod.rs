//! Tools that are data: a method and path of an existing REST API (catalogue.md §2.21).
//!
//! Rows come in as their author wrote them; an [`Upstream`] and an [`HttpCall`] go out, judged so that a call can only
//! ever fill holes in an address that the operator fixed. Nothing here opens a connection or reads a secret.

mod call;
mod path;
mod row;
mod upstream;
mod vault;

pub(super) use call::WHOLE_BODY;
pub use call::{Bound, HttpCall, Place, Preview};
pub use path::{PathFault, PathTemplate};
pub use row::{Encoding, FaultCode, Paging};
pub(super) use row::{HttpRow, UpstreamRow, VaultRow};
pub use upstream::{Auth, SecretSource, Upstream};
pub use vault::{Vault, VaultPath};
