//! Metadata (OpenID Connect Discovery 1.0), keys, and instance discovery.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use crate::aadsts::{Aadsts, Trace};
use crate::directory::Tenant;
use crate::endpoint::params::Params;
use crate::policy::MetadataFault;
use crate::server::host;
use crate::state::{Shared, lock};

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`
pub(crate) async fn configuration(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(tenant) = shared.directory().tenant(&segment) else {
        return unknown(&shared, &segment, &headers);
    };
    let base = shared.base_url_for(host(&headers));
    cached(document(&shared, &tenant, &base))
}

/// `GET /{tenant}/discovery/v2.0/keys`
pub(crate) async fn keys(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(tenant) = shared.directory().tenant(&segment) else {
        return unknown(&shared, &segment, &headers);
    };
    let base = shared.base_url_for(host(&headers));
    let issuer = tenant.issuer(&base);
    cached(lock(&shared.keys).jwks(&issuer))
}

/// `GET /common/discovery/instance`: whether an authority may be trusted, and which hosts are one cloud.
pub(crate) async fn instance(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let trace = Trace::new(&headers, shared.now());
    let params = match Params::parse(query.as_deref().unwrap_or_default()) {
        Ok(params) => params,
        Err(error) => return error.json(&trace),
    };
    let endpoint = match params.require("authorization_endpoint") {
        Ok(endpoint) => endpoint,
        Err(error) => return error.json(&trace),
    };
    let url = url::Url::parse(endpoint).ok();
    let authority = url.as_ref().map(|u| u.authority().to_owned()).unwrap_or_default();
    let segment = url.as_ref().and_then(|u| u.path_segments()?.next().map(str::to_owned)).unwrap_or_default();
    if !shared.is_own_host(&authority) {
        let text = "The authority is not known: invalid instance.";
        return Aadsts::new(50_049, "invalid_instance", text).json(&trace);
    }
    let base = shared.base_url_for(Some(&authority));
    let version = if params.get("api-version") == Some("1.0") { "" } else { "/v2.0" };
    let metadata = json!([{
        "preferred_network": authority, "preferred_cache": authority, "aliases": [authority],
    }]);
    cached(json!({
        "tenant_discovery_endpoint": format!("{base}/{segment}{version}/.well-known/openid-configuration"),
        "api-version": params.get("api-version").unwrap_or("1.1"),
        "metadata": metadata,
    }))
}

/// Members that Entra ID's document has and other providers' have not.
const MICROSOFTS: [&str; 8] = [
    "claims_supported",
    "cloud_graph_host_name",
    "cloud_instance_name",
    "device_authorization_endpoint",
    "http_logout_supported",
    "msgraph_host",
    "rbac_url",
    "tenant_region_scope",
];

fn document(shared: &Shared, tenant: &Tenant, base: &str) -> Value {
    let policy = shared.policy();
    let address = |name: &str| tenant.address(base, "oauth2", name);
    let methods = policy.token_endpoint_auth_methods.unwrap_or_else(|| {
        ["client_secret_post", "private_key_jwt", "client_secret_basic"].map(String::from).to_vec()
    });
    let graph_host = base.split_once("://").map_or(base, |(_, host)| host);
    let mut document = json!({
        "token_endpoint": tenant.token_endpoint(base),
        "token_endpoint_auth_methods_supported": methods,
        "jwks_uri": tenant.address(base, "discovery", "keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": tenant.issuer(base),
        "request_uri_parameter_supported": false,
        "userinfo_endpoint": format!("{base}/oidc/userinfo"),
        "authorization_endpoint": address("authorize"),
        "device_authorization_endpoint": address("devicecode"),
        "http_logout_supported": true,
        "frontchannel_logout_supported": true,
        "end_session_endpoint": address("logout"),
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
            "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name",
            "tid", "ver", "at_hash", "c_hash", "email",
        ],
        "tenant_region_scope": if matches!(tenant, Tenant::Id(_)) { json!("EU") } else { Value::Null },
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": graph_host,
        "rbac_url": "https://pas.windows.net",
    });
    if matches!(tenant, Tenant::Provider(_)) {
        let members = document.as_object_mut().into_iter();
        members.for_each(|members| members.retain(|name, _| !MICROSOFTS.contains(&name.as_str())));
    }
    if policy.advertise_authorization_response_iss {
        document["authorization_response_iss_parameter_supported"] = json!(true);
    }
    match policy.metadata_fault {
        Some(MetadataFault::IssuerMismatch) => {
            document["issuer"] = json!(format!("{base}/99999999-9999-9999-9999-999999999999/v2.0"));
        }
        Some(MetadataFault::HttpTokenEndpoint) => {
            document["token_endpoint"] =
                json!(format!("http://login.example/{}/oauth2/v2.0/token", tenant.segment()));
        }
        None => {}
    }
    document
}

fn cached(body: Value) -> Response {
    let mut response = Json(body).into_response();
    let value = HeaderValue::from_static("max-age=86400, private");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

fn unknown(shared: &Shared, segment: &str, headers: &HeaderMap) -> Response {
    Aadsts::unknown_tenant(segment).json(&Trace::new(headers, shared.now()))
}
