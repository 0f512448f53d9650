//! `GET {prefix}/info`: who is signed in, for a page's script.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::extract::AsyncMsal;
use crate::headers;
use crate::rejection::Rejection;
use crate::visit::Visit;

/// How long Graph may keep this answer waiting where it was slow at the sign-in already.
const PROFILE_LIMIT: Duration = Duration::from_secs(3);

/// The field names are aiohttp_msal's, so that pages written for it work unchanged.
pub(crate) async fn info(visit: Visit) -> Result<Response, Rejection> {
    let session = visit.session().await?;
    let fields = if session.is_authenticated() {
        complete_profile(&session).await;
        let mut fields = Map::new();
        for provider in &visit.shared().info_providers {
            fields.extend(Arc::clone(provider)(session.clone()).await);
        }
        fields.extend(own_fields(&session));
        Value::Object(fields)
    } else {
        json!({ "authenticated": false })
    };
    let mut response = Json(fields).into_response();
    headers::forbid_storing(response.headers_mut());
    Ok(response)
}

/// Where Graph failed at the sign-in, this is the request that asks again; without it the id token's values stand.
async fn complete_profile(session: &AsyncMsal) {
    match tokio::time::timeout(PROFILE_LIMIT, session.complete_profile()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(code = %error.code(), "the profile could not be completed"),
        Err(_elapsed) => tracing::warn!("the profile takes too long and stays due"),
    }
}

fn own_fields(session: &AsyncMsal) -> [(String, Value); 5] {
    [
        ("mail".to_owned(), json!(session.mail())),
        ("name".to_owned(), json!(session.name())),
        ("manager_mail".to_owned(), json!(session.manager_mail())),
        ("manager_name".to_owned(), json!(session.manager_name())),
        ("authenticated".to_owned(), json!(true)),
    ]
}
