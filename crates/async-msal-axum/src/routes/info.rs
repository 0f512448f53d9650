//! `GET {prefix}/info`: who is signed in, for a page's script.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::extract::AsyncMsal;
use crate::headers;
use crate::rejection::Rejection;
use crate::visit::Visit;

/// The field names are aiohttp_msal's, so that pages written for it work unchanged.
pub(crate) async fn info(visit: Visit) -> Result<Response, Rejection> {
    let session = visit.session().await?;
    let fields = if session.is_authenticated() {
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

fn own_fields(session: &AsyncMsal) -> [(String, Value); 5] {
    [
        ("mail".to_owned(), json!(session.mail())),
        ("name".to_owned(), json!(session.name())),
        ("manager_mail".to_owned(), json!(session.manager_mail())),
        ("manager_name".to_owned(), json!(session.manager_name())),
        ("authenticated".to_owned(), json!(true)),
    ]
}
