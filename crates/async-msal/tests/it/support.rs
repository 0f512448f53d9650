//! An emulator, a client on it, and a sign-in in one call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_msal::{
    Account, AuthCodeFlow, AuthCodeRequest, AuthResponse, Authority, ClientCredential, ClientSecret,
    ConfidentialClient, ConfidentialClientBuilder, Error, ManualClock, Scopes, SignInResult, TokenCache,
};
use async_msal_emulator::{Emulator, FaultRule, IdTokenFault, IdTokenFaultRule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const REDIRECT: &str = "http://localhost:9/user/authorized";
pub(crate) const ADA: &str = "ada@contoso.example";
pub(crate) const GIL: &str = "gil@fabrikam.example";

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) client: ConfidentialClient,
    pub(crate) clock: ManualClock,
    pub(crate) cache: TokenCache,
}

pub(crate) fn scopes() -> Scopes {
    Scopes::from(["User.Read"])
}

pub(crate) fn request() -> AuthCodeRequest {
    AuthCodeRequest::new(REDIRECT.parse().unwrap(), scopes())
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(
        change: impl FnOnce(ConfidentialClientBuilder) -> ConfidentialClientBuilder,
    ) -> Self {
        let emulator = Emulator::builder().shared_signing_key().redirect_uri(REDIRECT).start().await.unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let clock = ManualClock::new(i64::try_from(now).unwrap());
        let client = change(builder(&emulator, &emulator.authority_url()).clock(Arc::new(clock.clone())));
        Self { client: client.build().unwrap(), emulator, clock, cache: TokenCache::new() }
    }

    /// The same client with another credential.
    pub(crate) fn use_credential(&mut self, credential: impl Into<ClientCredential>) {
        let builder = builder(&self.emulator, &self.emulator.authority_url());
        self.client = builder.credential(credential).clock(Arc::new(self.clock.clone())).build().unwrap();
    }

    /// Time passes for the client and for the emulator.
    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.emulator.admin().advance_clock(seconds);
    }

    pub(crate) async fn start(&self, person: &str) -> (AuthCodeFlow, String) {
        self.start_with(request(), person).await
    }

    pub(crate) async fn start_with(&self, request: AuthCodeRequest, person: &str) -> (AuthCodeFlow, String) {
        let flow = self.client.initiate_auth_code_flow(request).await.unwrap();
        let auth_uri = flow.auth_uri().unwrap().as_str();
        let answer = self.emulator.authorize(auth_uri, person).await.unwrap();
        (flow, answer.body())
    }

    pub(crate) async fn finish(&mut self, flow: &AuthCodeFlow, body: &str) -> Result<SignInResult, Error> {
        let response = AuthResponse::parse(body)?;
        self.client.acquire_token_by_auth_code_flow(&mut self.cache, flow, response).await
    }

    pub(crate) async fn try_sign_in(&mut self, person: &str) -> Result<SignInResult, Error> {
        let (flow, body) = self.start(person).await;
        self.finish(&flow, &body).await
    }

    pub(crate) async fn sign_in(&mut self) -> Account {
        self.try_sign_in(ADA).await.unwrap().account
    }

    /// A sign-in whose id token has this fault: refused, and nothing stored.
    pub(crate) async fn refuses(fault: IdTokenFault) -> Error {
        let mut world = Self::new().await;
        world.emulator.admin().fail_next_id_token(IdTokenFaultRule::new(fault)).unwrap();
        let error = world.try_sign_in(ADA).await.unwrap_err();
        assert!(!world.cache.has_changed() && world.cache.is_empty(), "something was stored");
        error
    }

    pub(crate) fn fault(&self, rule: FaultRule) {
        self.emulator.admin().fail_next(rule).unwrap();
    }

    pub(crate) async fn silent(&mut self, account: &Account) -> Result<async_msal::TokenResult, Error> {
        self.client.acquire_token_silent(&mut self.cache, account, &scopes()).await
    }
}

pub(crate) fn builder(emulator: &Emulator, authority: &str) -> ConfidentialClientBuilder {
    ConfidentialClient::builder(emulator.client_id())
        .authority(Authority::parse(authority).unwrap())
        .client_secret(ClientSecret::new(emulator.client_secret()))
        .request_timeout(Duration::from_secs(5))
        .dangerous_allow_loopback_authority()
}

/// An HTTP proxy that leads every CONNECT to one address.
pub(crate) async fn tunnel(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(lead(client, to));
        }
    });
    address
}

async fn lead(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut server = TcpStream::connect(to).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
