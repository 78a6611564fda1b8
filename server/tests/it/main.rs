//! One test binary that mirrors `src/`.

mod context_walk;
mod layers;
mod process;
mod store;
