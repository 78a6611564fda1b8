//! The Model Context Protocol wire as both ends of Footbridge see it.
//!
//! Bytes come in, borrowed values go out, and the other way round. Nothing here opens a socket, reads a clock or
//! knows a tool: the bridge and the server share these modules so that both read one message in one way.
//! In reading order:
//!
//! 1. [`codes`]: every JSON-RPC error number, named once.
//! 2. [`jsonrpc`]: decode one message, write one message, never touching the payload's bytes.
//! 3. [`params`] and [`meta`]: the members of `params` and of `params._meta` that somebody must read.
//! 4. [`era`]: which revision a message is served under.
//! 5. [`value`], [`headers`], [`param_headers`]: what the modern era repeats in HTTP headers.
//! 6. [`sse`]: bytes to events and back, whatever the chunking.
//! 7. [`scan`]: large messages checked and taken apart quickly.
//! 8. [`transcript`]: golden conversations, for the tests of both crates.
//! 9. [`fuzz_targets`]: what the fuzzer and the property tests call.
//!
//! Names such as S-31 or B-12 in the comments are the rules of the protocol brief.

#[cfg(test)]
mod arbitrary;
pub mod codes;
pub mod era;
pub mod fuzz_targets;
pub mod headers;
pub mod jsonrpc;
mod members;
pub mod meta;
pub mod param_headers;
pub mod params;
pub mod scan;
pub mod sse;
pub mod transcript;
pub mod value;
