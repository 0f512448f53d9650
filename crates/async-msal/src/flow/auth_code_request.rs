//! What an application asks of a sign-in.

use url::Url;

use crate::claims_challenge::ClaimsChallenge;
use crate::scope::Scopes;
use crate::secret::State;

/// The authority's page to start with (OpenID Connect Core 3.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// Prove it again.
    Login,
    /// No page at all; fails without a session.
    None,
    /// Ask for consent again.
    Consent,
    /// Choose an account. Entra ID refuses it together with a login hint.
    SelectAccount,
    /// Make an account.
    Create,
}

impl Prompt {
    /// As it stands in the request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::None => "none",
            Self::Consent => "consent",
            Self::SelectAccount => "select_account",
            Self::Create => "create",
        }
    }
}

/// How the answer comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResponseMode {
    /// A form posted across sites; the code stays out of addresses and logs (the default).
    #[default]
    FormPost,
    /// In the redirect's query; for plain http in development.
    Query,
}

impl ResponseMode {
    /// As it stands in the request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FormPost => "form_post",
            Self::Query => "query",
        }
    }
}

/// A sign-in to start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuthCodeRequest {
    pub(crate) redirect_uri: Url,
    pub(crate) scopes: Scopes,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) login_hint: Option<String>,
    pub(crate) domain_hint: Option<String>,
    pub(crate) max_age: Option<u64>,
    pub(crate) claims: Option<ClaimsChallenge>,
    pub(crate) response_mode: ResponseMode,
    pub(crate) extra: Vec<(String, String)>,
    pub(crate) state: Option<State>,
}

impl AuthCodeRequest {
    /// The registered redirect address and the scopes of the application, without `openid`, `profile`
    /// and `offline_access`, which are added.
    #[must_use]
    pub fn new(redirect_uri: Url, scopes: impl Into<Scopes>) -> Self {
        Self {
            redirect_uri,
            scopes: scopes.into(),
            prompt: None,
            login_hint: None,
            domain_hint: None,
            max_age: None,
            claims: None,
            response_mode: ResponseMode::default(),
            extra: Vec::new(),
            state: None,
        }
    }

    /// Asks for a page. Default: the authority decides.
    #[must_use]
    pub const fn with_prompt(mut self, prompt: Prompt) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// Fills the user's name in.
    #[must_use]
    pub fn with_login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(hint.into());
        self
    }

    /// Skips to the home page of a domain.
    #[must_use]
    pub fn with_domain_hint(mut self, hint: impl Into<String>) -> Self {
        self.domain_hint = Some(hint.into());
        self
    }

    /// Refuses a sign-in older than this many seconds.
    #[must_use]
    pub const fn with_max_age(mut self, seconds: u64) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// Carries a claims challenge.
    #[must_use]
    pub fn with_claims(mut self, claims: ClaimsChallenge) -> Self {
        self.claims = Some(claims);
        self
    }

    /// Chooses how the answer comes back. Default: `form_post`.
    #[must_use]
    pub const fn with_response_mode(mut self, mode: ResponseMode) -> Self {
        self.response_mode = mode;
        self
    }

    /// Adds a query parameter of the provider's own. The protocol's parameters cannot be replaced:
    /// `initiate_auth_code_flow` refuses their names.
    #[must_use]
    pub fn with_extra_query_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    /// Brings a state of one's own, of at least 128 random bits. Default: made here.
    #[must_use]
    pub fn with_state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }
}
