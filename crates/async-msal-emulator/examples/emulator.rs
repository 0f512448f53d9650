//! Runs an emulator until Ctrl-C, on port 8401 or the one given.

use async_msal_emulator::Emulator;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example talks to its reader")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(8401), |p| p.parse())?;
    let emulator =
        Emulator::builder().port(port).redirect_uri("http://localhost:8400/user/authorized").start().await?;
    println!("authority {}\nclient    {}", emulator.authority_url(), emulator.client_id());
    tokio::signal::ctrl_c().await?;
    emulator.shutdown().await;
    Ok(())
}
