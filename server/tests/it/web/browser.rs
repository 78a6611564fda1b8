//! What a browser does for these tests: keeps cookies, follows no redirect by itself, and fills in forms.

use std::{collections::BTreeMap, net::SocketAddr};

use footbridge_server::{store::SignInKind, vocabulary::Role};

use crate::house::{House, Post, Reply};

/// A browser that visits one house.
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl House {
    /// A browser of somebody whom nobody knows.
    pub(crate) fn browser(&self) -> Browser {
        Browser::at(self.address)
    }

    /// A browser of somebody who is signed in with this role.
    pub(crate) async fn browser_of(&self, role: Role) -> Browser {
        let browser = self.browser();
        let secret = self.session_of(role, SignInKind::Browser).await;
        browser.signed_in(&secret)
    }
}

impl Browser {
    /// A browser of somebody whom nobody knows, at any server.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            cookies: BTreeMap::new(),
        }
    }

    /// The same with the secret of a session.
    pub(crate) fn signed_in(mut self, secret: &str) -> Self {
        self.cookies.insert("footbridge".to_owned(), secret.to_owned());
        self
    }

    fn with_cookies(&self, post: Post) -> Post {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if pairs.is_empty() {
            post
        } else {
            post.header("cookie", &pairs.join("; "))
        }
    }

    fn keep(&mut self, reply: &Reply) {
        for cookie in &reply.cookies {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Opens a page.
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        let mut get = Post::to(self.address, "", "").path(path);
        get.method = "GET";
        let reply = self.with_cookies(get).send().await;
        self.keep(&reply);
        reply
    }

    /// A form as the browser would send it, its token included when `token` is not empty.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)], token: &str) -> Post {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        if !token.is_empty() {
            body.append_pair("form", token);
        }
        let mut post = Post::to(self.address, "", body.finish()).path(path);
        post = post
            .set("content-type", "application/x-www-form-urlencoded")
            .set("accept", "text/html")
            .header("origin", &format!("http://{}", self.address))
            .header("sec-fetch-site", "same-origin");
        self.with_cookies(post)
    }

    /// The token of the forms on a page.
    pub(crate) async fn token(&mut self, page: &str) -> String {
        let reply = self.get(page).await;
        assert_eq!(reply.status, 200, "{page}: {}", reply.text());
        token_in(&reply.text())
    }

    /// Opens a page and sends a form from it.
    pub(crate) async fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.token(page).await;
        let reply = self.form(path, fields, &token).send().await;
        self.keep(&reply);
        reply
    }
}

/// The token of the first form in a page.
pub(crate) fn token_in(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=\"form\" value=\"")
        .expect("the page has a form");
    rest.split('"').next().unwrap().to_owned()
}
