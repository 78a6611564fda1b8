//! Who looks at a page: the cookie of a session comes in, proof of a person goes out.

use axum::{
    extract::FromRequestParts,
    response::{AppendHeaders, IntoResponseParts},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, Method, header, request::Parts};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::PageError;
use crate::{
    edge::{Site, Visit},
    operate::sessions,
    store::SignInKind,
    vocabulary::Role,
    web::{
        Web,
        who::{Who, narrower, reads_everything},
    },
};

/// Longest secret that is looked at; ours are shorter.
const LONGEST_SECRET: usize = 100;

/// Which of our two cookies.
#[derive(Clone, Copy)]
enum Cookie {
    /// A session.
    Session,
    /// Of somebody who is not signed in, so that their forms can be told from another site's.
    Visit,
}

impl Cookie {
    /// With TLS the browser itself sees to it that no other host and no plain connection sets this cookie.
    fn name(self, site: &Site) -> &'static str {
        match (self, site.secure) {
            (Self::Session, true) => "__Host-footbridge",
            (Self::Session, false) => "footbridge",
            (Self::Visit, true) => "__Host-footbridge-visit",
            (Self::Visit, false) => "footbridge-visit",
        }
    }

    fn read(self, site: &Site, headers: &HeaderMap) -> Option<SecretString> {
        let name = self.name(site);
        let mut found = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value);
        match (found.next(), found.next()) {
            // Two of one name: one of them was planted.
            (Some(value), None) if !value.is_empty() && value.len() <= LONGEST_SECRET => Some(value.into()),
            _ => None,
        }
    }

    /// A session cookie lives in the store; the browser drops its own when it is closed.
    fn set(self, site: &Site, value: &str) -> String {
        let secure = if site.secure { "; Secure" } else { "" };
        format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}",
            self.name(site)
        )
    }

    fn clear(self, site: &Site) -> String {
        format!("{}; Max-Age=0", self.set(site, ""))
    }
}

/// The token of forms on pages that are shown to whoever holds this secret.
fn form_token(secret: &str) -> String {
    let digest = Sha256::new()
        .chain_update(b"footbridge form\0")
        .chain_update(secret.as_bytes())
        .finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// Whoever can be asked whether a form came from their page.
pub trait HoldsForm {
    /// Largest form of theirs, in bytes. The longest of most pages, with every scope ticked, has a few kilobytes.
    const MOST_BYTES: usize = 64 * 1024;

    /// What their forms carry.
    fn form(&self) -> &str;
}

/// Proof that the request carries the cookie of a session that is good now.
#[derive(Clone, Debug)]
pub struct Person {
    who: Who,
    form: String,
    has_workspace: bool,
}

impl Person {
    /// Whether workspaces are served here.
    pub fn has_workspace(&self) -> bool {
        self.has_workspace
    }

    /// Whether their role changes anything at all: not an auditor's, and not that of a registered worker, whose keys act.
    pub fn may_act(&self) -> bool {
        !matches!(self.who.role(), Role::Auditor | Role::Agent)
    }

    /// Keeps a form from somebody for whom it would be refused.
    ///
    /// # Errors
    /// When their role changes nothing.
    pub fn must_act(&self) -> Result<(), PageError> {
        if self.may_act() {
            Ok(())
        } else {
            Err(PageError::reads_only())
        }
    }
}

impl std::ops::Deref for Person {
    type Target = Who;

    fn deref(&self) -> &Who {
        &self.who
    }
}

impl HoldsForm for Person {
    fn form(&self) -> &str {
        &self.form
    }
}

fn site(parts: &Parts) -> Result<std::sync::Arc<Site>, PageError> {
    let visit = parts.extensions.get::<Visit>();
    visit
        .map(|visit| std::sync::Arc::clone(&visit.site))
        .ok_or_else(|| PageError::internal(&"a request without a visit"))
}

impl FromRequestParts<Web> for Person {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, PageError> {
        // Only a page can be gone back to after signing in.
        let next = match parts.method {
            Method::GET => parts.uri.path_and_query().map_or("", |p| p.as_str()),
            _ => "",
        };
        let signed_out = || PageError::SignIn {
            next: next.to_owned(),
            by_script: parts.headers.contains_key("hx-request"),
        };
        let secret = Cookie::Session
            .read(&*site(parts)?, &parts.headers)
            .ok_or_else(signed_out)?;
        let session = sessions::find(web.store(), &secret, SignInKind::Browser, web.lifetime())
            .await?
            .ok_or_else(signed_out)?;
        Ok(Self {
            who: Who(session),
            form: form_token(secret.expose_secret()),
            has_workspace: web.workspace().is_some(),
        })
    }
}

/// Proof of an owner, admin or auditor: they read everything of their tenant.
#[derive(Clone, Debug)]
pub struct ReaderPerson(Person);

/// Proof of an owner or admin: they change things.
#[derive(Clone, Debug)]
pub struct AdminPerson(Person);

narrower!(ReaderPerson: Person, admits reads_everything, or else PageError: "owner, admin or auditor");
narrower!(AdminPerson: Person, admits Role::is_admin, or else PageError: "owner or admin");

impl HoldsForm for ReaderPerson {
    fn form(&self) -> &str {
        &self.0.form
    }
}

impl HoldsForm for AdminPerson {
    fn form(&self) -> &str {
        &self.0.form
    }
}

/// Somebody before they sign in. Proves nothing of who they are, only that their forms are theirs.
#[derive(Debug)]
pub struct Visitor {
    form: String,
    fresh: Option<SecretString>,
    visit: Visit,
}

impl Visitor {
    /// Where they come from, and where they arrived.
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    /// The cookie that their forms are told by, where they have none yet.
    pub fn remember(&self) -> impl IntoResponseParts + use<> {
        let cookie = self
            .fresh
            .as_ref()
            .map(|secret| Cookie::Visit.set(&self.visit.site, secret.expose_secret()));
        AppendHeaders(cookie.map(|cookie| (header::SET_COOKIE, cookie)))
    }

    /// A session in place of the visit. Its secret is new, so one that somebody planted before is of no use.
    pub fn admit(&self, secret: &SecretString) -> AppendHeaders<[(HeaderName, String); 2]> {
        let site = &self.visit.site;
        AppendHeaders([
            (
                header::SET_COOKIE,
                Cookie::Session.set(site, secret.expose_secret()),
            ),
            (header::SET_COOKIE, Cookie::Visit.clear(site)),
        ])
    }
}

impl HoldsForm for Visitor {
    fn form(&self) -> &str {
        &self.form
    }
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, PageError> {
        let visit = parts.extensions.get::<Visit>().cloned();
        let visit = visit.ok_or_else(|| PageError::internal(&"a request without a visit"))?;
        let known = Cookie::Visit.read(&visit.site, &parts.headers);
        let (secret, is_fresh) = match known {
            Some(secret) => (secret, false),
            None => {
                let mut random = [0_u8; 32];
                getrandom::fill(&mut random).map_err(|error| PageError::internal(&error))?;
                (SecretString::from(URL_SAFE_NO_PAD.encode(random)), true)
            }
        };
        Ok(Self {
            form: form_token(secret.expose_secret()),
            fresh: is_fresh.then_some(secret),
            visit,
        })
    }
}

/// What makes a browser forget its session.
pub(super) fn forget(site: &Site) -> AppendHeaders<[(HeaderName, String); 1]> {
    AppendHeaders([(header::SET_COOKIE, Cookie::Session.clear(site))])
}
