//! Is somebody looking at a page, or is a program waiting for an answer? Only the first can sign in by redirect.

use http::{HeaderMap, Method, header};

const FETCH_MODE: &str = "sec-fetch-mode";
const REQUESTED_WITH: &str = "x-requested-with";

/// Who will read the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// A browser showing a page: it can follow a redirect to the login page and come back.
    Page,
    /// `fetch`, XMLHttpRequest, WebSocket, a program, or a form submit whose body a redirect would lose: it gets a
    /// status it can act on.
    Program,
}

impl ClientKind {
    /// Browsers say what they do in `Sec-Fetch-Mode`, which scripts cannot set; without it (older browsers, plain
    /// http) the `Accept` header decides, and `X-Requested-With` marks the scripts that ask for HTML.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if !matches!(*method, Method::GET | Method::HEAD) || headers.contains_key(REQUESTED_WITH) {
            return Self::Program;
        }
        let navigates = match headers.get(FETCH_MODE) {
            Some(mode) => mode == "navigate",
            None => accepts_html(headers),
        };
        if navigates { Self::Page } else { Self::Program }
    }

    /// Whether an error is better explained by a page: true for form submits too, unlike [`ClientKind::of`].
    pub(crate) fn reads_html(headers: &HeaderMap) -> bool {
        !headers.contains_key(REQUESTED_WITH) && accepts_html(headers)
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = matches!(parts.next(), Some("text/html" | "application/xhtml+xml"));
        is_html && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0"))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn kind(method: Method, headers: &[(&'static str, &'static str)]) -> ClientKind {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        ClientKind::of(&method, &headers.collect())
    }

    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

    #[test]
    fn a_navigation_is_a_page() {
        assert_eq!(
            kind(Method::GET, &[("sec-fetch-mode", "navigate"), ("accept", BROWSER)]),
            ClientKind::Page
        );
    }

    #[test]
    fn an_older_browser_is_known_by_accept() {
        assert_eq!(kind(Method::GET, &[("accept", BROWSER)]), ClientKind::Page);
    }

    #[test]
    fn fetch_is_a_program_even_when_it_accepts_html() {
        assert_eq!(
            kind(Method::GET, &[("sec-fetch-mode", "cors"), ("accept", "text/html")]),
            ClientKind::Program
        );
    }

    #[test]
    fn an_xml_http_request_is_a_program() {
        let headers = [("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")];
        assert_eq!(kind(Method::GET, &headers), ClientKind::Program);
    }

    #[test]
    fn a_json_client_is_a_program() {
        assert_eq!(kind(Method::GET, &[("accept", "application/json")]), ClientKind::Program);
        assert_eq!(kind(Method::GET, &[("accept", "*/*")]), ClientKind::Program);
        assert_eq!(kind(Method::GET, &[]), ClientKind::Program);
    }

    #[test]
    fn html_refused_by_weight_is_not_accepted() {
        assert_eq!(kind(Method::GET, &[("accept", "application/json, text/html;q=0")]), ClientKind::Program);
    }

    #[test]
    fn a_form_submit_is_never_redirected() {
        assert_eq!(
            kind(Method::POST, &[("sec-fetch-mode", "navigate"), ("accept", BROWSER)]),
            ClientKind::Program
        );
    }
}
