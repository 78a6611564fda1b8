//! One test binary that mirrors `src/`.

mod edge;
mod house;
mod layers;
mod store;
