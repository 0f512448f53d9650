//! Scopes: which exist, to which resource they belong, and which need an administrator.

use std::collections::BTreeSet;

/// Delegated Microsoft Graph scopes that a user can consent to.
const GRAPH_USER: &[&str] = &[
    "User.Read",
    "User.ReadBasic.All",
    "User.ReadWrite",
    "Mail.Read",
    "Mail.ReadBasic",
    "Mail.ReadWrite",
    "Mail.Read.Shared",
    "Mail.ReadWrite.Shared",
    "Mail.Send",
    "Mail.Send.Shared",
    "MailboxSettings.Read",
    "MailboxSettings.ReadWrite",
    "Calendars.Read",
    "Calendars.Read.Shared",
    "Calendars.ReadBasic",
    "Calendars.ReadWrite",
    "Calendars.ReadWrite.Shared",
    "Contacts.Read",
    "Contacts.Read.Shared",
    "Contacts.ReadWrite",
    "Contacts.ReadWrite.Shared",
    "Files.Read",
    "Files.Read.All",
    "Files.Read.Selected",
    "Files.ReadWrite",
    "Files.ReadWrite.All",
    "Files.ReadWrite.AppFolder",
    "Files.ReadWrite.Selected",
    "Sites.Read.All",
    "Sites.ReadWrite.All",
    "Notes.Create",
    "Notes.Read",
    "Notes.Read.All",
    "Notes.ReadWrite",
    "Notes.ReadWrite.All",
    "People.Read",
    "Tasks.Read",
    "Tasks.Read.Shared",
    "Tasks.ReadWrite",
    "Tasks.ReadWrite.Shared",
    "Presence.Read",
    "Presence.Read.All",
    "Presence.ReadWrite",
    "Chat.Create",
    "Chat.Read",
    "Chat.ReadBasic",
    "Chat.ReadWrite",
    "ChatMessage.Read",
    "ChatMessage.Send",
    "Channel.ReadBasic.All",
    "ChannelMessage.Send",
    "Team.ReadBasic.All",
    "OnlineMeetings.Read",
    "OnlineMeetings.ReadWrite",
    "UserActivity.ReadWrite.CreatedByApp",
    "Bookings.Read.All",
    "Device.Read",
    "ProfilePhoto.Read.All",
    "ShortNotes.Read",
    "ShortNotes.ReadWrite",
    "Analytics.Read",
    "Family.Read",
];
/// Delegated Microsoft Graph scopes that need an administrator's consent.
const GRAPH_ADMIN: &[&str] = &[
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "GroupMember.Read.All",
    "AuditLog.Read.All",
    "Application.Read.All",
    "Device.Read.All",
];
const OIDC: &[&str] = &["openid", "profile", "email", "offline_access"];
const GRAPH_PREFIXES: &[&str] =
    &["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000", "https://graph.microsoft.us"];

/// Microsoft Graph's application id, the audience of its tokens.
pub(crate) const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";
/// The one scope of a client's own API.
const OWN_SCOPE: &str = "access_as_user";

/// An API that tokens are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Graph,
    /// The client's own API, `api://{client_id}`.
    Own,
}

/// A parsed `scope` parameter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requested {
    pub(crate) oidc: BTreeSet<String>,
    pub(crate) graph: BTreeSet<String>,
    pub(crate) own: BTreeSet<String>,
    first: Option<Resource>,
}

/// Why a scope is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScopeError {
    UnknownResource(String),
    UnknownScope(String),
}

impl Requested {
    pub(crate) fn parse(text: &str, client_id: &str) -> Result<Self, ScopeError> {
        let mut requested = Self::default();
        for scope in text.split_whitespace() {
            requested.add(scope, client_id)?;
        }
        Ok(requested)
    }

    fn add(&mut self, scope: &str, client_id: &str) -> Result<(), ScopeError> {
        if let Some(known) = find(OIDC, scope) {
            self.oidc.insert(known);
            return Ok(());
        }
        let (resource, name) =
            scope.rsplit_once('/').map_or(("", scope), |(r, n)| (r.trim_end_matches('/'), n));
        let is_graph = resource.is_empty() || GRAPH_PREFIXES.iter().any(|p| p.eq_ignore_ascii_case(resource));
        let is_own = resource.strip_prefix("api://").unwrap_or(resource).eq_ignore_ascii_case(client_id);
        let unknown = || ScopeError::UnknownScope(scope.to_owned());
        if is_graph {
            let known = find(GRAPH_USER, name).or_else(|| find(GRAPH_ADMIN, name));
            let known = known.or_else(|| {
                (!resource.is_empty())
                    .then(|| find(&[".default"], name).or_else(|| find(OIDC, name)))
                    .flatten()
            });
            self.graph.insert(known.ok_or_else(unknown)?);
            self.first.get_or_insert(Resource::Graph);
        } else if is_own {
            self.own.insert(find(&[OWN_SCOPE, ".default"], name).ok_or_else(unknown)?);
            self.first.get_or_insert(Resource::Own);
        } else {
            return Err(ScopeError::UnknownResource(resource.to_owned()));
        }
        Ok(())
    }

    /// The resource a token is for: the first named, else Graph, which serves userinfo.
    pub(crate) fn resource(&self) -> Resource {
        self.first.unwrap_or(Resource::Graph)
    }

    pub(crate) fn has_several_resources(&self) -> bool {
        !self.graph.is_empty() && !self.own.is_empty()
    }

    /// Leaves only the scopes of the first resource named, as a code is redeemed without a `scope` parameter.
    pub(crate) fn keep_first_resource(&mut self) {
        match self.resource() {
            Resource::Graph => self.own.clear(),
            Resource::Own => self.graph.clear(),
        }
    }

    /// The scopes of one resource, without `.default`, which stands for what was consented already.
    pub(crate) fn of(&self, resource: Resource) -> BTreeSet<String> {
        let scopes = match resource {
            Resource::Graph => &self.graph,
            Resource::Own => &self.own,
        };
        scopes.iter().filter(|s| *s != ".default").cloned().collect()
    }

    pub(crate) fn asks_default(&self, resource: Resource) -> bool {
        match resource {
            Resource::Graph => self.graph.contains(".default"),
            Resource::Own => self.own.contains(".default"),
        }
    }
}

impl Resource {
    /// The name in the consent table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Own => "own",
        }
    }
}

pub(crate) fn needs_admin(scope: &str) -> bool {
    GRAPH_ADMIN.contains(&scope)
}

pub(crate) fn scopes_of_demo_tenant() -> Vec<String> {
    vec!["User.Read.All".into()]
}

/// What the consent page says about a scope.
pub(crate) fn describe(scope: &str) -> &'static str {
    match scope {
        "openid" | "profile" => "View your basic profile",
        "email" => "View your email address",
        "offline_access" => "Maintain access to data you have given it access to",
        "User.Read" => "Sign you in and read your profile",
        "User.Read.All" => "Read all users' full profiles",
        "Mail.Read" => "Read your mail",
        "Mail.Send" => "Send mail as you",
        "Calendars.Read" => "Read your calendars",
        "Files.Read" => "Read your files",
        OWN_SCOPE => "Use this application's own API as you",
        _ => "Use this permission on your behalf",
    }
}

fn find(known: &[&str], scope: &str) -> Option<String> {
    known.iter().find(|k| k.eq_ignore_ascii_case(scope)).map(|k| (*k).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_scopes_are_accepted() {
        let text = GRAPH_USER[..40].join(" ");
        assert_eq!(Requested::parse(&text, "c").unwrap().graph.len(), 40);
    }

    #[test]
    fn the_long_form_of_a_graph_scope_is_the_short_one() {
        let requested = Requested::parse("https://graph.microsoft.com/user.read", "c").unwrap();
        assert!(requested.graph.contains("User.Read"));
    }

    #[test]
    fn an_unknown_resource_and_an_unknown_scope_are_told_apart() {
        let resource = Requested::parse("api://other/.default", "c").unwrap_err();
        assert_eq!(resource, ScopeError::UnknownResource("api://other".into()));
        assert_eq!(
            Requested::parse("Nope.Read", "c").unwrap_err(),
            ScopeError::UnknownScope("Nope.Read".into())
        );
    }
}
