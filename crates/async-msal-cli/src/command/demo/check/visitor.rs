//! A visitor without a browser: keeps cookies per host, follows redirects one by one, fills in forms.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use reqwest::redirect::Policy;
use url::Url;

/// No page of the demo takes this long.
const TIMEOUT: Duration = Duration::from_secs(15);
/// A sign-in takes five; more are a loop.
const MAX_REDIRECTS: usize = 10;

/// Why a visit went wrong. Addresses are shown without their query, which may hold a code.
#[derive(Debug, thiserror::Error)]
pub(super) enum VisitError {
    /// No answer.
    #[error("no answer: {0}")]
    NoAnswer(#[source] reqwest::Error),
    /// An address that is none.
    #[error("the answer points to an address that is none")]
    Address(#[from] url::ParseError),
    /// Redirects without end.
    #[error("more than {MAX_REDIRECTS} redirects")]
    Loop,
    /// What was seen is not what should be.
    #[error("{0}")]
    Unexpected(String),
}

impl From<reqwest::Error> for VisitError {
    fn from(error: reqwest::Error) -> Self {
        VisitError::NoAnswer(error.without_url())
    }
}

/// One answer, read whole.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) address: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Page {
    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// # Errors
    /// The page does not contain the text.
    pub(super) fn must_show(&self, text: &str) -> Result<(), VisitError> {
        if self.text().contains(&escaped(text)) {
            return Ok(());
        }
        Err(self.unexpected(&format!("does not show \"{text}\"")))
    }

    /// # Errors
    /// The page contains the text.
    pub(super) fn must_not_show(&self, text: &str) -> Result<(), VisitError> {
        if !self.text().contains(&escaped(text)) {
            return Ok(());
        }
        Err(self.unexpected(&format!("shows \"{text}\"")))
    }

    /// Whether a form has a button with this value.
    pub(super) fn has_button(&self, value: &str) -> bool {
        self.forms().iter().any(|form| form.buttons.iter().any(|button| button.1 == value))
    }

    /// The form that a button with this value sends, with what it adds.
    fn form_of(&self, value: &str) -> Result<Form, VisitError> {
        for mut form in self.forms() {
            if let Some(button) = form.buttons.iter().find(|button| button.1 == value).cloned() {
                form.fields.push(button);
                return Ok(form);
            }
        }
        Err(self.unexpected(&format!("has no button \"{value}\"")))
    }

    fn forms(&self) -> Vec<Form> {
        let html = self.text();
        html.split("<form")
            .skip(1)
            .map(|rest| Form::parse(rest.split("</form>").next().unwrap_or(rest)))
            .collect()
    }

    fn unexpected(&self, what: &str) -> VisitError {
        VisitError::Unexpected(format!(
            "{}{} answered {} and {what}",
            host(&self.address),
            self.address.path(),
            self.status
        ))
    }
}

/// A form as far as the check needs it: where it goes, its fields and its buttons with their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    action: String,
    fields: Vec<(String, String)>,
    buttons: Vec<(String, String)>,
}

impl Form {
    fn parse(html: &str) -> Form {
        let (head, inner) = html.split_once('>').unwrap_or((html, ""));
        let named = |kind: &'static str| {
            inner.split('<').filter_map(move |tag| {
                let tag = tag.strip_prefix(kind)?.split('>').next()?;
                Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
            })
        };
        Form {
            action: attribute(head, "action").unwrap_or_default(),
            fields: named("input").collect(),
            buttons: named("button").collect(),
        }
    }
}

/// The visitor.
#[derive(Debug)]
pub(super) struct Visitor {
    client: reqwest::Client,
    cookies: HashMap<String, BTreeMap<String, String>>,
}

impl Visitor {
    /// A visitor no site knows yet.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub(super) fn new() -> Result<Visitor, VisitError> {
        // Everything is on this machine: no proxy has a say.
        let client =
            reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(TIMEOUT).build()?;
        Ok(Visitor { client, cookies: HashMap::new() })
    }

    /// Opens an address and follows redirects to a page.
    ///
    /// # Errors
    /// No answer, or redirects without end.
    pub(super) async fn open(&mut self, address: &str) -> Result<Page, VisitError> {
        let page = self.get(Url::parse(address)?).await?;
        self.follow(page).await
    }

    /// Presses the button with this value and follows redirects to the next page.
    ///
    /// # Errors
    /// There is no such button, no answer, or redirects without end.
    pub(super) async fn press(&mut self, page: &Page, value: &str) -> Result<Page, VisitError> {
        let form = page.form_of(value)?;
        self.post(page, &form.action, &form.fields).await
    }

    /// Sends the form that goes to this path and follows redirects to the next page.
    ///
    /// # Errors
    /// There is no such form, no answer, or redirects without end.
    pub(super) async fn submit(&mut self, page: &Page, path: &str) -> Result<Page, VisitError> {
        let Some(form) = page.forms().into_iter().find(|form| form.action == path) else {
            return Err(page.unexpected(&format!("has no form for {path}")));
        };
        self.post(page, &form.action, &form.fields).await
    }

    /// Follows the link with this text where the page has one, else stays.
    ///
    /// # Errors
    /// No answer, or redirects without end.
    pub(super) async fn follow_link(&mut self, page: Page, text: &str) -> Result<Page, VisitError> {
        let html = page.text();
        let tag = html.split("<a").skip(1).find(|tag| tag.contains(&format!(">{text}</a>")));
        match tag.and_then(|tag| attribute(tag.split('>').next().unwrap_or(tag), "href")) {
            Some(address) => self.open(page.address.join(&address)?.as_str()).await,
            None => Ok(page),
        }
    }

    async fn post(
        &mut self,
        page: &Page,
        action: &str,
        fields: &[(String, String)],
    ) -> Result<Page, VisitError> {
        let address = page.address.join(action)?;
        let origin = page.address.origin().ascii_serialization();
        let request = self.client.post(address.clone()).header(header::ORIGIN, origin).form(fields);
        let answer = self.send(address, request).await?;
        self.follow(answer).await
    }

    /// Another visitor no site knows yet, on the same HTTP client.
    pub(super) fn stranger(&self) -> Visitor {
        Visitor { client: self.client.clone(), cookies: HashMap::new() }
    }

    /// A copy with the same cookies, as of now.
    pub(super) fn copy(&self) -> Visitor {
        Visitor { client: self.client.clone(), cookies: self.cookies.clone() }
    }

    async fn follow(&mut self, mut page: Page) -> Result<Page, VisitError> {
        for _ in 0..MAX_REDIRECTS {
            let Some(location) = page.headers.get(header::LOCATION).filter(|_| page.status.is_redirection())
            else {
                return Ok(page);
            };
            let next = page.address.join(&String::from_utf8_lossy(location.as_bytes()))?;
            page = self.get(next).await?;
        }
        Err(VisitError::Loop)
    }

    async fn get(&mut self, address: Url) -> Result<Page, VisitError> {
        let request = self.client.get(address.clone());
        self.send(address, request).await
    }

    async fn send(&mut self, address: Url, request: reqwest::RequestBuilder) -> Result<Page, VisitError> {
        let mut request = request.header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
        if let Some(cookies) = self.cookies.get(host(&address)).filter(|cookies| !cookies.is_empty()) {
            let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        self.keep_cookies(&address, &headers);
        Ok(Page { address, status, headers, body: answer.bytes().await?.to_vec() })
    }

    /// Host and name are all that matters here: each site of the demo is one host, and no cookie is path-bound.
    fn keep_cookies(&mut self, address: &Url, headers: &HeaderMap) {
        let jar = self.cookies.entry(host(address).to_owned()).or_default();
        for line in headers.get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok()) {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            let removed =
                attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
            if removed {
                jar.remove(name.trim());
            } else {
                jar.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}

fn host(address: &Url) -> &str {
    address.host_str().unwrap_or_default()
}

/// `name="value"` of a tag, with the entities of an attribute undone.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let value = rest.split('"').next()?;
    let entities = [
        ("&#38;", "&"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    Some(
        entities.iter().fold(value.to_owned(), |value, (entity, character)| value.replace(entity, character)),
    )
}

/// Text as a page's template writes it.
fn escaped(text: &str) -> String {
    text.replace('&', "&#38;")
        .replace('<', "&#60;")
        .replace('>', "&#62;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn a_form_is_read_with_its_fields_buttons_and_entities() {
        let form = Form::parse(
            r#" method="post" action="/a?b=1&#38;c=2"><input type="hidden" name="ctx" value="x&amp;y">
               <button class="person" name="user" value="ada">Ada</button>"#,
        );
        assert_eq!(form.action, "/a?b=1&c=2");
        assert_eq!(form.fields, [("ctx".to_owned(), "x&y".to_owned())]);
        assert_eq!(form.buttons, [("user".to_owned(), "ada".to_owned())]);
    }
}
