//! Every setting, once: its name, whether it is required, and what it does.

/// One setting.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name in the environment, in a file and, in lower case with dashes, as a flag.
    pub name: &'static str,
    /// Whether nothing works without it.
    pub required: bool,
    /// Its default, in words.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

macro_rules! variables {
    ($($name:ident, $required:literal, $default:literal, $help:literal;)*) => {
        /// Names as constants, so that each is written once.
        pub(crate) mod name {
            $(pub(crate) const $name: &str = stringify!($name);)*
        }
        /// All settings, in the order of the documentation.
        pub const VARIABLES: &[Variable] = &[
            $(Variable { name: stringify!($name), required: $required, default: $default, help: $help },)*
        ];
    };
}

variables! {
    SP_APP_ID, true, "", "Application (client) id";
    SP_AUTHORITY, false, "required, or SP_ISSUER in its place", "Authority: https://login.microsoftonline.com/<tenant>, or the address of another cloud, a B2C policy, External ID or AD FS";
    SP_ISSUER, false, "none", "Any other OpenID provider in SP_AUTHORITY's place: its issuer, as its metadata names it";
    SP_AUTHORITY_HOSTS, false, "none", "Hosts trusted as authorities beside Microsoft's own, comma-separated: nobody is asked about them, and metadata may name endpoints there";
    PUBLIC_URL, true, "", "The application's own address as browsers see it; its scheme decides cookies and response mode";
    SP_APP_PW, false, "one credential is required", "Client secret";
    SP_APP_PW_FORMER, false, "none", "Former client secrets, comma-separated: what keys derived from them sealed still opens";
    SP_APP_CERT, false, "none", "Client certificate in the secret's place: a PEM file with key and certificate, or a .pfx or .p12 file";
    SP_APP_CERT_PW, false, "none", "Passphrase of the file SP_APP_CERT";
    SP_APP_ASSERTION_FILE, false, "none", "File with a client assertion in the secret's place, read anew for each request: the projected token of a workload identity";
    SP_APP_MANAGED_IDENTITY, false, "none", "Managed identity in the secret's place: system, or the client id of a user-assigned one";
    ALLOWED_TENANTS, false, "any the authority admits", "Tenant ids that may sign in, comma-separated";
    DOMAIN, false, "host-only cookie", "Domain attribute of the session cookie";
    COOKIE_NAME, false, "__Host-async_msal", "Name of the session cookie and beginning of the store keys";
    STORE_URL, false, "sqlite: in DATA_DIR", "Session store: sqlite:<path>, redis://…, rediss://…, redis+sentinel://…, redis+cluster://…, postgres://… or memory:";
    REDIS, false, "", "Same as STORE_URL, under the name aiohttp_msal uses";
    STORE_TIMEOUT, false, "500ms", "Time limit of one store call";
    STORE_CACHE, false, "off", "Keep copies of records in this process while Redis watches them for changes (Redis only, no Cluster)";
    SESSION_LAYOUT, false, "sealed", "sealed, or aiohttp for sharing users with Python services";
    SESSION_KEYS, false, "derived from SP_APP_PW, else required", "Keys that seal records, comma-separated, 32 bytes in base64 each: the first seals, all open";
    COOKIE_KEYS, false, "SESSION_KEYS", "Keys that seal the sign-in cookie, as SESSION_KEYS";
    SESSION_IDLE, false, "24h (90d in layout aiohttp)", "A session unused for so long ends";
    SESSION_ABSOLUTE, false, "30d (90d in layout aiohttp)", "A session ends so long after its sign-in, used or not";
    TRUSTED_PROXIES, false, "none", "Networks whose forwarded headers count, comma-separated";
    ALLOWED_HOSTS, false, "none", "Hosts beside Graph's that API calls may send the user's token to, comma-separated";
    GRAPH_URL, false, "https://<the cloud's Graph host>/v1.0", "Address of Microsoft Graph";
    CA_FILE, false, "the machine's authorities", "PEM file of a certificate authority to trust as well";
    DATA_DIR, false, "the user's state folder", "Folder of the embedded store";
    DEBUG_ROUTE, false, "off", "Serve the debug page, secrets masked, to signed-in users";
    DANGEROUS_ALLOW_LOOPBACK_AUTHORITY, false, "off", "Accept an authority and API hosts on loopback, over plain http too";
}

/// The known name nearest to `unknown`, where one is near enough to be meant.
pub(crate) fn nearest(unknown: &str) -> Option<&'static str> {
    const NEAR: f64 = 0.8;
    VARIABLES
        .iter()
        .map(|variable| (strsim::jaro_winkler(&unknown.to_uppercase(), variable.name), variable.name))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}
