//! What Microsoft Graph says of the user: asked here, so that no event loop is busy with its TLS and HTTP.

use async_msal::AccessToken;
use async_msal::http_client::{HttpClient, HttpOptions};
use pyo3::exceptions::{PyConnectionError, PyTimeoutError};
use serde_json::json;
use tokio::sync::OnceCell;
use url::Url;

use crate::error::{Answer, as_object, raised};

/// Bytes; a person's profile has some hundred.
const LONGEST_BODY: usize = 1 << 20;

/// The client for Graph: made at the first use, since it reads the machine's certificate authorities.
#[derive(Default)]
pub(crate) struct Graph(OnceCell<HttpClient>);

impl Graph {
    /// `status` and `body`, whatever they are; redirects are not followed, and no answer is an exception.
    pub(crate) async fn get(&self, options: &HttpOptions, url: &Url, token: &AccessToken) -> Answer {
        let made = || async { tokio::task::block_in_place(|| HttpClient::new(options)) };
        let client = match self.0.get_or_try_init(made).await {
            Ok(client) => client,
            Err(error) => return Answer::raised(raised(&error)),
        };
        let request =
            client.for_url(url).get(url.clone()).header(reqwest::header::ACCEPT, "application/json");
        let exchange = read(request.bearer_auth(token.expose_secret()));
        match tokio::time::timeout(options.request_timeout(), exchange).await {
            Ok(Ok(Some((status, body)))) => {
                Answer::object(as_object(json!({ "status": status, "body": body })))
            }
            Ok(Ok(None)) => {
                Answer::raised(PyConnectionError::new_err("Graph's answer is larger than a profile can be"))
            }
            Ok(Err(error)) => {
                Answer::raised(PyConnectionError::new_err(format!("Graph: {}", error.without_url())))
            }
            Err(_) => Answer::raised(PyTimeoutError::new_err("Graph does not answer in time")),
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Option<(u16, String)>, reqwest::Error> {
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned())))
}
