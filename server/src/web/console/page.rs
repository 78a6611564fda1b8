//! What all pages share: the frame around them, how they are written, and what is shown instead of them.

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use tracing::error;

use super::{person::HoldsForm, text};
use crate::{
    operate::OperateError,
    store::StoreError,
    vocabulary::{Clock, new_id},
    web::console::Person,
};

/// What stands around every page of somebody who is signed in.
#[derive(Debug)]
pub struct Frame {
    /// The place in the menu that this page belongs to.
    pub place: &'static str,
    /// Their name, or else their address.
    pub name: String,
    /// Their role.
    pub role: &'static str,
    /// Their tenant.
    pub tenant: String,
    /// What this page's forms carry.
    pub form: String,
    /// What was just done, if something was.
    pub done: &'static str,
    sees_everybody: bool,
    has_workspace: bool,
}

/// One entry of the menu.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where it leads.
    pub path: &'static str,
    /// What it is called.
    pub name: &'static str,
}

/// Who finds a place in the menu.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    Everybody,
    /// Owners, admins and auditors.
    Readers,
    /// Everybody, where workspaces are served.
    Workspace,
}

const PLACES: [(&str, &str, For); 15] = [
    ("/console/connect", "Connect", For::Everybody),
    ("/console/inbox", "Inbox", For::Workspace),
    ("/console/tickets", "Tickets", For::Workspace),
    ("/console/accounts", "Customers", For::Workspace),
    ("/console/articles", "Articles", For::Workspace),
    ("/console/flows", "Flows", For::Workspace),
    ("/console/reports", "Reports", For::Workspace),
    ("/console/keys", "Keys", For::Everybody),
    ("/console/calls", "Calls", For::Everybody),
    ("/console/reviews", "Reviews", For::Everybody),
    ("/console/editions", "Editions and tools", For::Everybody),
    ("/console/audit", "Audit", For::Readers),
    ("/console/deliveries", "Deliveries", For::Readers),
    ("/console/members", "Members", For::Readers),
    ("/console/settings", "Settings", For::Everybody),
];

impl Frame {
    /// The frame of one place for one person. `done` is the word that a redirect left in the query.
    pub fn new(person: &Person, place: &'static str, done: Option<&str>) -> Self {
        let session = person.session();
        Self {
            place,
            name: text::name_or(&session.name, &session.email),
            role: session.role.as_str(),
            tenant: session.tenant.to_string(),
            form: person.form().to_owned(),
            done: done.map_or("", text::done),
            sees_everybody: person.sees_everybody(),
            has_workspace: person.has_workspace(),
        }
    }

    /// The places that this person may go to.
    pub fn places(&self) -> Vec<Place> {
        PLACES
            .iter()
            .filter(|(_, _, whom)| match whom {
                For::Everybody => true,
                For::Readers => self.sees_everybody,
                For::Workspace => self.has_workspace,
            })
            .map(|(path, name, _)| Place { path, name })
            .collect()
    }
}

/// Writes a page.
///
/// # Errors
/// When its template fails, which is a fault of ours.
pub fn render(page: &impl Template) -> Result<Html<String>, PageError> {
    page.render()
        .map(Html)
        .map_err(|error| PageError::internal(&error))
}

/// The status of a page that says what an act failed for.
pub(super) fn status_of(error: &OperateError) -> StatusCode {
    StatusCode::from_u16(error.refused().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The roles that change something at all.
pub(super) const ROLES_THAT_ACT: &str = "owner, admin or member";

/// What is said to a role that may not.
pub(super) fn needs_role(needs: &str) -> String {
    format!("This needs the role {needs}. Somebody with it can do it for you, or change your role.")
}

/// What is shown instead of a page.
#[derive(Debug)]
pub enum PageError {
    /// Nobody is signed in.
    SignIn {
        /// Where they wanted to go.
        next: String,
        /// Whether a script asks, which has to be told in another way.
        by_script: bool,
    },
    /// A page that says why not.
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its title.
        title: &'static str,
        /// What it says.
        text: String,
    },
}

impl PageError {
    /// A page that says why not, and what to do.
    pub fn refused(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self::Refused {
            status,
            title,
            text: text.into(),
        }
    }

    /// Signed in, but not for this.
    pub fn role_required(needs: &str) -> Self {
        Self::refused(StatusCode::FORBIDDEN, "Not for your role", needs_role(needs))
    }

    /// Signed in as somebody who reads everything and changes nothing.
    pub(super) fn reads_only() -> Self {
        Self::role_required(ROLES_THAT_ACT)
    }

    /// Nothing is there.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::refused(StatusCode::NOT_FOUND, "Not found", what)
    }

    /// A fault of ours: the cause goes to the log, its reference to the page.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        let reference = new_id("ref", Clock::System.now());
        error!(request.id = reference, "failed to show a page: {cause}");
        Self::refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong here",
            format!(
                "It was not you. Whoever runs this server finds the cause in its log under `{reference}`."
            ),
        )
    }
}

impl From<OperateError> for PageError {
    fn from(error: OperateError) -> Self {
        if let OperateError::Store(error) = error {
            return error.into();
        }
        if !error.is_for_the_caller() {
            return Self::internal(&error);
        }
        let status = status_of(&error);
        let title = match status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not for your role",
            StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
            _ => "That cannot be done",
        };
        Self::refused(status, title, text::sentence(&error.to_string()))
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        if !(error.is_outage() || error.is_retryable()) {
            return Self::internal(&error);
        }
        let reference = new_id("ref", Clock::System.now());
        error!(
            request.id = reference,
            "the store failed while a page was made: {error}"
        );
        Self::refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "One moment",
            format!("The store cannot be reached now. Try again in a few seconds. Reference `{reference}`."),
        )
    }
}

#[derive(Template)]
#[template(path = "console/refused.html")]
struct RefusedPage {
    title: &'static str,
    text: String,
    back: &'static str,
    back_text: &'static str,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn { next, by_script } => {
                let mut path = "/console/sign-in".to_owned();
                if next.starts_with("/console/") {
                    let query = form_urlencoded::Serializer::new(String::new())
                        .append_pair("next", &next)
                        .finish();
                    path = format!("{path}?{query}");
                }
                if by_script {
                    let mut response = StatusCode::NO_CONTENT.into_response();
                    response
                        .headers_mut()
                        .insert("hx-redirect", HeaderValue::from_static("/console/sign-in"));
                    return response;
                }
                Redirect::to(&path).into_response()
            }
            Self::Refused { status, title, text } => {
                let page = RefusedPage {
                    title,
                    text,
                    back: "/console",
                    back_text: "Back to the console",
                };
                let page = page.render().unwrap_or_else(|_| title.to_owned());
                let mut response = (status, Html(page)).into_response();
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    response
                        .headers_mut()
                        .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
                }
                response
            }
        }
    }
}
