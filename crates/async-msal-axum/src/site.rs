//! Where this application is, as the browser sees it. Everything is derived from `PUBLIC_URL` and the layer's prefix;
//! no header of a request has a say.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::{Origin, Url};

/// What must be encoded to travel as the last path segments of `/login/{to}`: everything that would end the path,
/// and the percent sign, so that the page's own encoding survives one decoding.
const INSIDE_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|');

/// The addresses of the application and of the library's routes in it.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    public_url: Url,
    prefix: String,
}

impl Site {
    /// `prefix` begins with a slash and does not end with one; the layer saw to that.
    pub(crate) fn new(public_url: Url, prefix: String) -> Self {
        Self { public_url, prefix }
    }

    pub(crate) fn public_url(&self) -> &Url {
        &self.public_url
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn origin(&self) -> Origin {
        self.public_url.origin()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// Host and port for the heading of a page.
    pub(crate) fn label(&self) -> String {
        let host = self.public_url.host_str().unwrap_or_default();
        self.public_url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The application's first page: PUBLIC_URL's own path.
    pub(crate) fn home(&self) -> String {
        format!("{}/", self.base())
    }

    /// Path of one of the library's routes as the browser sees it; the empty name is the path above them all.
    pub(crate) fn route(&self, name: &str) -> String {
        let slash = if name.is_empty() { "" } else { "/" };
        format!("{}{}{slash}{name}", self.base(), self.prefix)
    }

    /// The same with scheme and host, for addresses registered at the authority.
    pub(crate) fn absolute(&self, name: &str) -> Url {
        let mut url = self.public_url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.set_path(&self.route(name));
        url
    }

    /// Where the way back from a sign-out ends; `state` is one of ours, so it needs no encoding.
    pub(crate) fn signed_out(&self, state: Option<&str>) -> String {
        let query = state.map(|state| format!("?state={state}")).unwrap_or_default();
        format!("{}{query}", self.route("signed-out"))
    }

    /// The address that signs in and returns to `path_and_query`.
    pub(crate) fn login_returning_to(&self, path_and_query: &str) -> String {
        self.returning("login", path_and_query)
    }

    /// The address that signs out and ends at `path_and_query`.
    pub(crate) fn logout_returning_to(&self, path_and_query: &str) -> String {
        self.returning("logout", path_and_query)
    }

    fn returning(&self, route: &str, path_and_query: &str) -> String {
        let to = path_and_query.strip_prefix('/').unwrap_or(path_and_query);
        if to.is_empty() {
            return self.route(route);
        }
        format!("{}/{}", self.route(route), utf8_percent_encode(to, INSIDE_PATH))
    }

    fn base(&self) -> &str {
        self.public_url.path().trim_end_matches('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(public_url: &str) -> Site {
        Site::new(Url::parse(public_url).expect("address"), "/user".to_owned())
    }

    #[test]
    fn addresses_are_built_below_the_path_of_the_public_url() {
        let site = site("https://host.example/app/?x=1");
        assert_eq!(site.route("login"), "/app/user/login");
        assert_eq!(site.absolute("authorized").as_str(), "https://host.example/app/user/authorized");
        assert_eq!(site.home(), "/app/");
    }

    #[test]
    fn a_page_with_a_query_survives_the_way_through_login() {
        let address = site("https://host.example").login_returning_to("/a%20b/c?x=1&y=%2F");
        assert_eq!(address, "/user/login/a%2520b/c%3Fx=1&y=%252F");
    }

    #[test]
    fn the_first_page_needs_no_return_address() {
        assert_eq!(site("https://host.example").login_returning_to("/"), "/user/login");
    }
}
