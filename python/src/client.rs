//! The client: options once, then calls that are awaited or block.

use std::time::Duration;

use async_msal::{Authority, ClientSecret, ConfidentialClient};
use pyo3::prelude::*;
use serde_json::json;

use crate::convert::Json;
use crate::error::raised;
use crate::runtime;

/// How long a call that blocks waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A confidential client of one authority.
#[pyclass(frozen, module = "async_msal._native")]
pub(crate) struct Client {
    client: ConfidentialClient,
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (client_id, authority, client_secret, *, ca_pem=None))]
    fn new(
        client_id: String,
        authority: &str,
        client_secret: String,
        ca_pem: Option<Vec<u8>>,
    ) -> PyResult<Self> {
        let authority = Authority::parse(authority).map_err(|error| raised(&error))?;
        let mut builder = ConfidentialClient::builder(client_id)
            .authority(authority)
            .client_secret(ClientSecret::new(client_secret))
            .dangerous_allow_loopback_authority();
        if let Some(pem) = ca_pem {
            builder = builder.ca_certificate_pem(pem);
        }
        Ok(Self { client: builder.build().map_err(|error| raised(&error))? })
    }

    /// The authority's metadata, awaited.
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        runtime::awaitable(py, metadata(self.client.clone()))
    }

    /// The authority's metadata; blocks.
    fn metadata_blocking(&self, py: Python<'_>) -> PyResult<Json> {
        runtime::block(py, LONGEST_WAIT, metadata(self.client.clone()))
    }
}

async fn metadata(client: ConfidentialClient) -> PyResult<Json> {
    let metadata = client.metadata().await.map_err(|error| raised(&error))?;
    Ok(Json(json!({
        "issuer": metadata.issuer(),
        "authorization_endpoint": metadata.authorization_endpoint().as_str(),
        "token_endpoint": metadata.token_endpoint().as_str(),
    })))
}
