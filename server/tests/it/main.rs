//! One test binary that mirrors `src/`.

mod store;
