//! The known clouds: hosts that are names of one another, without asking the network.

/// Host of the public cloud.
pub(crate) const PUBLIC_HOST: &str = "login.microsoftonline.com";

/// Each row is one cloud. A cache written under one name of a row is read under the others.
const ALIASES: [&[&str]; 3] = [
    &[PUBLIC_HOST, "login.windows.net", "login.microsoft.com", "sts.windows.net"],
    &["login.microsoftonline.us", "login.usgovcloudapi.net"],
    &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
];

/// Are these two names of one authority host?
pub(crate) fn same_cloud(one: &str, other: &str) -> bool {
    one == other || ALIASES.iter().any(|group| group.contains(&one) && group.contains(&other))
}

/// Microsoft Graph of the cloud that this authority host belongs to.
pub(crate) fn graph_host(environment: &str) -> &'static str {
    if same_cloud(environment, "login.microsoftonline.us") {
        "graph.microsoft.us"
    } else if same_cloud(environment, "login.partner.microsoftonline.cn") {
        "microsoftgraph.chinacloudapi.cn"
    } else {
        "graph.microsoft.com"
    }
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
