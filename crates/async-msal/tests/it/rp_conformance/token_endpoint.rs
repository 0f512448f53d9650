//! How the client proves itself.

use crate::support::World;

#[tokio::test]
async fn token_endpoint_client_secret_post() {
    World::new().await.sign_in().await;
}
