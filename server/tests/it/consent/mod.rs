//! Tools that ask before they act, on both engines: the doors a yes comes through, what tokens are worth, and that
//! nothing changes without one.

#[path = "../../../examples/fixture-server/desk.rs"]
mod desk;
mod doors;
mod everything;
mod furnish;
mod house;
mod registry;
mod reviews;
mod tokens;
mod world;
