//! `GET {prefix}/login/resume`: where a callback goes that must not redeem anything.
//!
//! A repeated form_post brings no cookie at all: the flow cookie is gone and the session cookie is Lax. The GET after
//! its redirect is same-site and does bring the session cookie, so only here can be told whether the sign-in had
//! worked.

use axum::response::Response;

use crate::headers;
use crate::pages::{Page, texts};
use crate::rejection::Rejection;
use crate::visit::Visit;

pub(crate) async fn resume(visit: Visit) -> Result<Response, Rejection> {
    let shared = visit.shared();
    if visit.session().await?.is_authenticated() {
        return Ok(headers::see_other(shared.return_to.default_page()));
    }
    let page = Page::new(texts::EXPIRED)
        .with_link("Sign in", shared.site.route("login"))
        .with_link("Back to the application", shared.return_to.default_page().to_owned());
    Ok(page.respond(&shared.site))
}
