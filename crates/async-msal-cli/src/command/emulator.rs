//! `async-msal emulator`: the emulator alone, for an application of yours.

use std::fs;
use std::path::PathBuf;

use async_msal_emulator::{Emulator, TlsMode};
use clap::Args;
use url::Url;

use super::{Failure, refused};
use crate::output;
use crate::signals::StopSignals;

const SERVER: (&str, &str) = ("emulator", "--port");

/// Run a local Entra ID and Microsoft Graph for an application of yours.
///
/// Prints the application's settings on standard output, as lines for its environment. Ctrl-C stops it.
#[derive(Debug, Args)]
pub(crate) struct EmulatorArguments {
    /// Port to listen on, at 127.0.0.1; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 8401)]
    port: u16,
    /// The application's own address; its /user/authorized and /user/signed-out are registered
    #[arg(long, value_name = "URL", default_value = "http://localhost:8000")]
    public_url: Url,
    /// Another redirect address to register; may be given several times
    #[arg(long, value_name = "URL")]
    redirect_uri: Vec<Url>,
    /// Folder to keep keys, secret, codes, refresh tokens and consents in over a restart [default: none are kept]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Serve https, and write the throw-away certificate authority to this file
    #[arg(long, value_name = "CA_FILE")]
    https: Option<PathBuf>,
}

/// Runs the emulator until it is asked to stop.
///
/// # Errors
/// The port is taken, or a file cannot be written.
pub(crate) async fn run(arguments: EmulatorArguments) -> Result<(), Failure> {
    let mut stop = StopSignals::listen().map_err(Failure::Signals)?;
    let emulator = tokio::select! {
        started = start(&arguments) => started?,
        () = stop.asked() => return Ok(()),
    };
    if let Some(path) = &arguments.https {
        let written = fs::write(path, emulator.ca_pem());
        written.map_err(|source| Failure::CaFile { path: path.clone(), source })?;
    }
    announce(&arguments, &emulator);
    stop.asked().await;
    stop.unless_asked_again(emulator.shutdown()).await;
    Ok(())
}

async fn start(arguments: &EmulatorArguments) -> Result<Emulator, Failure> {
    let app = arguments.public_url.as_str().trim_end_matches('/');
    let mut builder = Emulator::builder()
        .port(arguments.port)
        .redirect_uri(format!("{app}/user/authorized"))
        .redirect_uri(format!("{app}/user/signed-out"));
    for address in &arguments.redirect_uri {
        builder = builder.redirect_uri(address.as_str());
    }
    if let Some(folder) = &arguments.data {
        builder = builder.data_dir(folder);
    }
    if arguments.https.is_some() {
        builder = builder.tls(TlsMode::ThrowAway { extra_hosts: Vec::new() });
    }
    builder.start().await.map_err(|error| refused(error, arguments.port, SERVER))
}

fn announce(arguments: &EmulatorArguments, emulator: &Emulator) {
    let mut lines = vec![
        ("SP_APP_ID", emulator.client_id()),
        ("SP_APP_PW", emulator.client_secret()),
        ("SP_AUTHORITY", emulator.authority_url()),
        ("GRAPH_URL", emulator.graph_url()),
        ("PUBLIC_URL", arguments.public_url.as_str().trim_end_matches('/').to_owned()),
        ("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", "on".to_owned()),
    ];
    if let Some(path) = &arguments.https {
        lines.push(("CA_FILE", path.display().to_string()));
    }
    for (name, value) in lines {
        output::data(&format!("{name}={value}"));
    }
    output::say("");
    output::say(&format!("The emulator listens at {}. Put the lines above into your", emulator.base_url()));
    output::say(
        "application's environment and start it. Anybody can sign in here as anybody: it is for development.",
    );
    output::say("Ctrl-C stops the emulator.");
}
