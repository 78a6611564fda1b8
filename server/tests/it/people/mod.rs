//! People, their roles, their keys: who may do what, on the wire and when two do it at once.

mod access;
mod cli;
mod groups;
mod new_password;
mod outage;
mod races;
mod rest;
mod sign_in;

use footbridge_server::{
    catalogue::{Catalogue, NamedText},
    operate::{
        Actor,
        keys::{MintRequest, MintedKey, mint},
        people::{self, NewPerson, PersonChange},
    },
    store::{KeyLimits, Store, User},
    vocabulary::{EditionName, Role, Scope, TenantId},
};

use crate::house::House;

pub(crate) const CATALOGUE: &str = include_str!("catalogue.toml");

pub(crate) fn local() -> TenantId {
    TenantId::new("local").unwrap()
}

pub(crate) fn catalogue() -> Catalogue {
    let file = NamedText {
        name: "catalogue.toml",
        text: CATALOGUE,
    };
    Catalogue::load(&[&[file]]).unwrap()
}

/// A server with this folder's catalogue.
pub(crate) async fn house() -> House {
    let house = House::start().await;
    house.rooms.replace_catalogue(&catalogue()).unwrap();
    house
}

pub(crate) fn scopes(text: &str) -> Vec<Scope> {
    text.split_whitespace().map(|s| Scope::new(s).unwrap()).collect()
}

pub(crate) fn request(owner: Option<&str>, wanted: &str) -> MintRequest {
    MintRequest {
        tenant: local(),
        owner: owner.map(str::to_owned),
        name: "test".to_owned(),
        editions: vec![EditionName::new("test").unwrap()],
        scopes: scopes(wanted),
        expires_in_days: None,
        limits: KeyLimits {
            rate_per_minute: Some(1_000_000),
            ..KeyLimits::default()
        },
    }
}

pub(crate) async fn minted(store: &Store, actor: &Actor, request: MintRequest) -> MintedKey {
    mint(store, catalogue().editions(), actor, request).await.unwrap()
}

pub(crate) async fn add(store: &Store, tenant: &TenantId, email: &str, role: Role) -> User {
    let person = NewPerson {
        email: email.to_owned(),
        name: String::new(),
        role,
        groups: Vec::new(),
    };
    people::add_user(store, &Actor::Operator, tenant, person)
        .await
        .unwrap()
}

pub(crate) fn to_role(role: Role) -> PersonChange {
    PersonChange {
        role: Some(role),
        ..PersonChange::default()
    }
}

pub(crate) fn active(active: bool) -> PersonChange {
    PersonChange {
        active: Some(active),
        ..PersonChange::default()
    }
}
