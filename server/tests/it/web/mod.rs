//! The web door: REST endpoints and the console, through real sockets.

mod approvals;
mod audit;
pub(crate) mod browser;
mod console;
mod door;
mod forms;
mod login;
mod programs;
mod roles;
mod sessions;

use std::time::Duration;

use footbridge_server::{
    operate::{
        Actor,
        people::{self, NewPerson},
        sessions as operate_sessions,
    },
    store::{SignInKind, User},
    vocabulary::{Role, TenantId},
};
use secrecy::ExposeSecret;

use crate::house::{House, Post};

/// As the test house's settings have it.
pub(crate) const LIFETIME: operate_sessions::Lifetime = operate_sessions::Lifetime {
    idle: Duration::from_secs(30 * 60),
    whole: Duration::from_secs(12 * 60 * 60),
};

/// The tenant of the test house.
pub(crate) fn local() -> TenantId {
    TenantId::new("local").unwrap()
}

impl House {
    /// The person with this role, made when there is none yet.
    pub(crate) async fn person(&self, role: Role) -> User {
        let email = format!("{}@example.com", role.as_str());
        let known = people::users(&self.store, &Actor::Operator, &local())
            .await
            .unwrap();
        if let Some(user) = known.into_iter().find(|user| user.email == email) {
            return user;
        }
        let person = NewPerson {
            email,
            name: format!("Some {}", role.as_str()),
            role,
            groups: Vec::new(),
        };
        people::add_user(&self.store, &Actor::Operator, &local(), person)
            .await
            .unwrap()
    }

    /// The bearer token of somebody who is signed in with this role.
    pub(crate) async fn token_of(&self, role: Role) -> String {
        self.session_of(role, SignInKind::Token).await
    }

    /// The secret of a session of somebody with this role.
    pub(crate) async fn session_of(&self, role: Role, kind: SignInKind) -> String {
        let user = self.person(role).await;
        let opened = operate_sessions::open(&self.store, &local(), &user.id, kind, LIFETIME)
            .await
            .unwrap();
        opened.secret.expose_secret().to_owned()
    }

    /// A request to a REST endpoint.
    pub(crate) fn rest(&self, method: &'static str, path: &str, token: &str) -> Post {
        let mut post = self.post(token, "").path(path);
        post.method = method;
        post
    }
}
