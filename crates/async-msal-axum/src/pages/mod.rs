//! The few pages a browser sees between this application and the sign-in service: errors, "signed out", "sign out?".
//!
//! One template, one stylesheet, no script. Everything is escaped by askama; the texts stand in [`texts`].

pub(crate) mod texts;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::headers;
use crate::site::Site;
use texts::{PageText, Tone};

/// The stylesheet of the library's pages, for applications that want theirs to look alike.
///
/// Plain CSS with custom properties, light and dark, no outside resource. The routes serve it at
/// `{prefix}/style.css`.
pub const STYLESHEET: &str = include_str!("../../templates/style.css");

/// A reference or a text of the application on a page is cut at this many characters.
const MAX_DETAIL: usize = 300;

#[derive(Clone, Copy, Debug)]
enum ActionMethod {
    Get,
    Post,
}

#[derive(Debug)]
struct Action {
    method: ActionMethod,
    href: String,
    label: &'static str,
}

/// One page, filled step by step and turned into a response by [`Page::respond`].
#[derive(Debug)]
pub(crate) struct Page {
    text: PageText,
    detail: Option<String>,
    actions: Vec<Action>,
    references: Vec<(&'static str, String)>,
    form_target: Option<String>,
}

#[derive(Template)]
#[template(path = "page.html")]
struct PageTemplate<'a> {
    site: String,
    stylesheet: String,
    text: &'a PageText,
    detail: Option<&'a str>,
    actions: &'a [Action],
    references: &'a [(&'static str, String)],
}

impl Page {
    pub(crate) fn new(text: PageText) -> Self {
        Self { text, detail: None, actions: Vec::new(), references: Vec::new(), form_target: None }
    }

    /// A sentence of the application's own, such as the reason of a refusal. Shown escaped.
    pub(crate) fn with_detail(mut self, detail: &str) -> Self {
        self.detail = (!detail.is_empty()).then(|| detail.chars().take(MAX_DETAIL).collect());
        self
    }

    /// The first link is the one that stands out.
    pub(crate) fn with_link(mut self, label: &'static str, href: String) -> Self {
        self.actions.push(Action { method: ActionMethod::Get, href, label });
        self
    }

    /// A form with nothing but a button. `answer_origin` is where its answer may redirect to: Chromium applies
    /// `form-action` to that redirect as well.
    pub(crate) fn with_button(
        mut self,
        label: &'static str,
        href: String,
        answer_origin: Option<String>,
    ) -> Self {
        self.actions.push(Action { method: ActionMethod::Post, href, label });
        self.form_target = answer_origin;
        self
    }

    /// A value by which an operator finds the matching log line.
    pub(crate) fn with_reference(mut self, name: &'static str, value: Option<String>) -> Self {
        self.references.extend(value.map(|value| (name, value.chars().take(MAX_DETAIL).collect())));
        self
    }

    pub(crate) fn respond(&self, site: &Site) -> Response {
        let template = PageTemplate {
            site: site.label(),
            stylesheet: site.route("style.css"),
            text: &self.text,
            detail: self.detail.as_deref(),
            actions: &self.actions,
            references: &self.references,
        };
        match template.render() {
            Ok(html) => self.with_headers(html),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                (StatusCode::INTERNAL_SERVER_ERROR, self.text.title).into_response()
            }
        }
    }

    fn with_headers(&self, html: String) -> Response {
        let mut response = (self.text.status, html).into_response();
        let map = response.headers_mut();
        map.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        map.insert(header::CONTENT_SECURITY_POLICY, content_security_policy(self.form_target.as_deref()));
        map.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        map.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        map.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers::forbid_storing(map);
        response
    }
}

fn content_security_policy(form_target: Option<&str>) -> HeaderValue {
    let target = form_target.map(|origin| format!(" {origin}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{target}; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn site() -> Site {
        Site::new(Url::parse("https://app.example").expect("address"), "/user".to_owned())
    }

    async fn html(page: Page) -> String {
        let body = axum::body::to_bytes(page.respond(&site()).into_body(), 100_000).await.expect("a body");
        String::from_utf8(body.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn what_the_application_says_is_escaped() {
        let page = Page::new(texts::REFUSED)
            .with_detail("<script>alert('x')</script>")
            .with_reference("Reference", Some("\"><img src=x>".to_owned()))
            .with_link("Try again", "/user/login/\"onclick=\"x".to_owned());
        let html = html(page).await;
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("\"onclick"), "{html}");
    }

    #[tokio::test]
    async fn a_page_may_not_be_framed_or_stored() {
        let response = Page::new(texts::SIGNED_OUT).respond(&site());
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }

    #[tokio::test]
    async fn a_form_may_be_answered_by_the_authority() {
        let page = Page::new(texts::CONFIRM_SIGN_OUT).with_button(
            "Sign out",
            "/user/logout".to_owned(),
            Some("https://login.example".to_owned()),
        );
        let response = page.respond(&site());
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.contains("form-action 'self' https://login.example;"), "{policy}");
    }

    #[tokio::test]
    async fn a_long_text_of_the_application_is_cut() {
        let html = html(Page::new(texts::REFUSED).with_detail(&"x".repeat(5_000))).await;
        assert!(html.len() < 3_000, "{}", html.len());
    }
}
