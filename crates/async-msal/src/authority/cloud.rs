//! The known clouds: hosts that are names of one another, without asking the network.

/// Host of the public cloud.
pub(crate) const PUBLIC_HOST: &str = "login.microsoftonline.com";
const US_HOST: &str = "login.microsoftonline.us";
const CHINA_HOST: &str = "login.partner.microsoftonline.cn";

/// Each row is one cloud. A cache written under one name of a row is read under the others.
const ALIASES: [&[&str]; 3] = [
    &[PUBLIC_HOST, "login.windows.net", "login.microsoft.com", "sts.windows.net"],
    &[US_HOST, "login.usgovcloudapi.net"],
    &[CHINA_HOST, "login.chinacloudapi.cn"],
];

/// Microsoft's hosts that stand alone.
const SINGLE_HOSTS: [&str; 5] = [
    "login.microsoftonline.de",
    "login-us.microsoftonline.com",
    "login.sovcloud-identity.fr",
    "login.sovcloud-identity.de",
    "login.sovcloud-identity.sg",
];

/// A cloud of Microsoft's, by where one signs in and where Microsoft Graph stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cloud {
    /// The public cloud.
    Public,
    /// US Government.
    UsGovernment,
    /// US Department of Defense: signs in where the government does, with a Graph of its own.
    UsDefense,
    /// Operated by 21Vianet.
    China,
}

impl Cloud {
    /// The authority's host.
    #[must_use]
    pub const fn login_host(self) -> &'static str {
        match self {
            Self::Public => PUBLIC_HOST,
            Self::UsGovernment | Self::UsDefense => US_HOST,
            Self::China => CHINA_HOST,
        }
    }

    /// Every name of the authority's host, [`login_host`](Self::login_host) first: caches written under one are read
    /// under the others.
    #[must_use]
    pub const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Public => ALIASES[0],
            Self::UsGovernment | Self::UsDefense => ALIASES[1],
            Self::China => ALIASES[2],
        }
    }

    /// Microsoft Graph's host.
    #[must_use]
    pub const fn graph_host(self) -> &'static str {
        match self {
            Self::Public => "graph.microsoft.com",
            Self::UsGovernment => "graph.microsoft.us",
            Self::UsDefense => "dod-graph.microsoft.us",
            Self::China => "microsoftgraph.chinacloudapi.cn",
        }
    }
}

/// Are these two names of one authority host?
pub(crate) fn same_cloud(one: &str, other: &str) -> bool {
    one == other || ALIASES.iter().any(|group| group.contains(&one) && group.contains(&other))
}

/// Is this host known to be Microsoft's, so that nobody needs to be asked?
pub(crate) fn is_known(host: &str) -> bool {
    ALIASES.iter().any(|group| group.contains(&host)) || SINGLE_HOSTS.contains(&host)
}

/// Microsoft Graph of the cloud that this authority host belongs to.
pub(crate) fn graph_host(environment: &str) -> &'static str {
    let clouds = [Cloud::UsGovernment, Cloud::China];
    let own = clouds.into_iter().find(|cloud| cloud.aliases().contains(&environment));
    own.unwrap_or(Cloud::Public).graph_host()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_one_cloud_are_the_same() {
        assert!(same_cloud("login.windows.net", "login.microsoftonline.com"));
    }

    #[test]
    fn clouds_do_not_mix() {
        assert!(!same_cloud("login.microsoftonline.us", "login.microsoftonline.com"));
        assert!(!same_cloud("login.microsoftonline.com.evil.example", "login.microsoftonline.com"));
    }

    #[test]
    fn each_cloud_has_its_graph() {
        assert_eq!(graph_host("login.usgovcloudapi.net"), "graph.microsoft.us");
        assert_eq!(graph_host("login.chinacloudapi.cn"), "microsoftgraph.chinacloudapi.cn");
        assert_eq!(graph_host("login.microsoft.com"), "graph.microsoft.com");
    }
}
