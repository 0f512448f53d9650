//! A browser as far as cookies and redirects go: it keeps what it is told, and sends across sites only what a real
//! one sends (measured in Chromium: of a cross-site POST's cookies, `SameSite=None` alone).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};

pub(crate) const NAVIGATION_ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[derive(Clone, Debug)]
struct StoredCookie {
    value: String,
    cross_site: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Browser {
    application: SocketAddr,
    http: Client,
    cookies: BTreeMap<String, StoredCookie>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn location(&self) -> &str {
        self.header(header::LOCATION)
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// The `Set-Cookie` line of the cookie whose name begins so.
    pub(crate) fn set_cookie(&self, name: &str) -> Option<&str> {
        self.set_cookies().into_iter().find(|line| line.starts_with(name))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Browser {
    pub(crate) fn new(application: SocketAddr) -> Self {
        // reqwest is built without a TLS provider; the first browser of the process names ours.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self { application, http, cookies: BTreeMap::new() }
    }

    /// Another service of the same site: it gets the same cookies.
    pub(crate) fn go_to(&mut self, application: SocketAddr) -> &mut Self {
        self.application = application;
        self
    }

    /// Another node behind the same name.
    pub(crate) fn turn_to(&mut self, application: SocketAddr) {
        self.application = application;
    }

    /// The address bar: a navigation.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.navigation(Method::GET, path).header("sec-fetch-site", "none");
        self.send(request, false).await
    }

    /// A link on a page of the application.
    pub(crate) async fn follow(&mut self, path: &str) -> Answer {
        let request = self.navigation(Method::GET, path).header("sec-fetch-site", "same-origin");
        self.send(request, false).await
    }

    /// `fetch` of a page's script.
    pub(crate) async fn fetch(&mut self, path: &str) -> Answer {
        let request = self
            .request(Method::GET, path)
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-site", "same-origin");
        self.send(request.header(header::ACCEPT, "application/json"), false).await
    }

    /// A form on a page of the application.
    pub(crate) async fn post(&mut self, path: &str, form: &str) -> Answer {
        let request = self.navigation(Method::POST, path).header("sec-fetch-site", "same-origin");
        self.send(form_body(request, form), false).await
    }

    /// A form that a page of another site submits, such as the authority's form_post.
    pub(crate) async fn cross_site_post(&mut self, path: &str, form: &str) -> Answer {
        let request = self.navigation(Method::POST, path).header("sec-fetch-site", "cross-site");
        let request = request.header(header::ORIGIN, "https://login.example");
        self.send(form_body(request, form), true).await
    }

    /// Any request, with this browser's cookies.
    pub(crate) async fn send(&mut self, request: RequestBuilder, cross_site: bool) -> Answer {
        let answer = read(self.with_cookies(request, cross_site).send().await.expect("an answer")).await;
        self.keep(&answer);
        answer
    }

    /// A request without headers of its own, to be filled and sent by [`Browser::send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.application))
    }

    pub(crate) fn cookie(&self, prefix: &str) -> Option<(&str, &str)> {
        let found = self.cookies.iter().find(|(name, _)| name.starts_with(prefix));
        found.map(|(name, cookie)| (name.as_str(), cookie.value.as_str()))
    }

    pub(crate) fn cookie_names(&self) -> Vec<&str> {
        self.cookies.keys().map(String::as_str).collect()
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        let cross_site = name.contains("_flow_");
        self.cookies.insert(name.to_owned(), StoredCookie { value: value.to_owned(), cross_site });
    }

    pub(crate) fn cookie_header(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, cookie)| format!("{name}={}", cookie.value));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn navigation(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.request(method, path).header(header::ACCEPT, NAVIGATION_ACCEPT);
        request.header("sec-fetch-mode", "navigate")
    }

    fn with_cookies(&self, request: RequestBuilder, cross_site: bool) -> RequestBuilder {
        let sent = self.cookies.iter().filter(|(_, cookie)| cookie.cross_site || !cross_site);
        let pairs: Vec<String> = sent.map(|(name, cookie)| format!("{name}={}", cookie.value)).collect();
        if pairs.is_empty() { request } else { request.header(header::COOKIE, pairs.join("; ")) }
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.set_cookies() {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                let cross_site = attributes.contains("SameSite=None");
                self.cookies.insert(name.to_owned(), StoredCookie { value: value.to_owned(), cross_site });
            }
        }
    }
}

fn form_body(request: RequestBuilder, form: &str) -> RequestBuilder {
    let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.header(header::CONTENT_TYPE, content_type).body(form.to_owned())
}

pub(crate) async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = String::from_utf8_lossy(&response.bytes().await.expect("a body")).into_owned();
    Answer { status, headers, body }
}
