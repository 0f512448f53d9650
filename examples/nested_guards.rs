//! Adds to `sign_in`: parts of the application that only some may use, said where they are mounted; a rule about who
//! may sign in at all; more fields in `/user/info`; a health route; stopping well.
//!
//! The environment is that of `sign_in`.

use async_msal_axum::{Msal, MsalLayer, SignedIn, guard, routes, serve_until};
use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let msal = Msal::from_env()?;
    let auth = MsalLayer::new(msal.clone())
        .same_origin_only()
        .on_sign_in(|user| async move {
            // Whoever has no display name is a service account here, and services do not sign in by browser.
            user.name().map(drop).ok_or_else(|| "Only people may come in.".to_owned())
        })
        .info_provider(
            |user| async move { [("roles".to_owned(), user.roles().into())].into_iter().collect() },
        );

    // One role is enough, and the mail must be of the house.
    let admin = Router::new().route("/", get(async || "for administrators")).route_layer(guard::all([
        guard::roles(["Admin", "Owner"]),
        guard::check(|user| user.mail().is_some_and(|mail| mail.ends_with("@contoso.example"))),
    ]));
    // Whoever has not agreed to this scope yet is asked for it on the way.
    let calendar = Router::new()
        .route("/", get(async || "your calendar"))
        .route_layer(guard::scopes(["Calendars.Read"]));
    // Either will do, and the second one could ask a database.
    let reports = Router::new().route("/", get(async || "reports")).route_layer(guard::any([
        guard::roles(["Reader"]),
        guard::check_async(|user| async move { user.manager_mail().is_none() }),
    ]));

    let app = Router::new()
        .route("/", get(home))
        .nest("/admin", admin)
        .nest("/calendar", calendar)
        .nest("/reports", reports)
        .merge(auth.routes())
        .layer(auth)
        .route("/health", routes::health(&msal));

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8400".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    Ok(serve_until(listener, app, &msal, stop).await?)
}

async fn home(user: Option<SignedIn>) -> String {
    match user {
        Some(user) => format!("Hello {}", user.name().unwrap_or_default()),
        None => "Hello. Sign in at /user/login".to_owned(),
    }
}
