//! The web door: REST endpoints and the console, through real sockets.

mod approvals;
mod door;
mod sessions;

use std::time::Duration;

use footbridge_server::{
    operate::{
        Actor,
        people::{self, NewPerson},
        sessions as operate_sessions,
    },
    store::SignInKind,
    vocabulary::{Role, TenantId},
};
use secrecy::ExposeSecret;

use crate::house::{House, Post};

/// As the test house's settings have it.
pub(crate) const LIFETIME: operate_sessions::Lifetime = operate_sessions::Lifetime {
    idle: Duration::from_secs(30 * 60),
    whole: Duration::from_secs(12 * 60 * 60),
};

impl House {
    /// The bearer token of somebody who is signed in with this role.
    pub(crate) async fn token_of(&self, role: Role) -> String {
        self.session_of(role, SignInKind::Token).await
    }

    /// The secret of a session of somebody with this role.
    pub(crate) async fn session_of(&self, role: Role, kind: SignInKind) -> String {
        let tenant = TenantId::new("local").unwrap();
        let email = format!("{}@example.com", role.as_str());
        let known = people::users(&self.store, &Actor::Operator, &tenant)
            .await
            .unwrap();
        let user = match known.into_iter().find(|user| user.email == email) {
            Some(user) => user,
            None => {
                let person = NewPerson {
                    email,
                    name: "Somebody".to_owned(),
                    role,
                    groups: Vec::new(),
                };
                people::add_user(&self.store, &Actor::Operator, &tenant, person)
                    .await
                    .unwrap()
            }
        };
        let opened = operate_sessions::open(&self.store, &tenant, &user.id, kind, LIFETIME)
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
