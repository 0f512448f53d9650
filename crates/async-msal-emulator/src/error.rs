use std::net::IpAddr;
use std::path::PathBuf;

/// Why the emulator could not be started, or could not do what its owner asked.
///
/// Errors of the protocol are not here: those are answered over HTTP, as Entra ID answers them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The address cannot be listened on, most often because another program holds the port.
    #[error("cannot listen on {address}: {source}; choose another port or stop the program that holds it")]
    Bind {
        /// The address asked for.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An address that is not loopback needs [`dangerous_bind`](crate::EmulatorBuilder::dangerous_bind).
    #[error("{0} is not a loopback address")]
    NotLoopback(IpAddr),
    /// The data folder, or a file in it, cannot be read or written.
    #[error("data folder {}: {source}", path.display())]
    DataFolder {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file in the data folder is not what this emulator writes.
    #[error("{} is damaged ({reason}); delete it to start afresh", path.display())]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another emulator uses this data folder.
    #[error("another emulator is running on the data folder {}", .0.display())]
    DataFolderInUse(PathBuf),
    /// A key or a certificate could not be made.
    #[error("cannot make keys: {0}")]
    Keys(String),
    /// An address given by the caller is not an absolute http or https URL.
    #[error("not an absolute http or https address: {0}")]
    InvalidAddress(String),
    /// No person has this name, mail or id.
    #[error("no such person: {0}")]
    UnknownPerson(String),
    /// No client has this id.
    #[error("no such client: {0}")]
    UnknownClient(String),
    /// The authorization request was refused before its redirect address was known to be good.
    #[error("the authorization request was refused: {0}")]
    AuthorizationRefused(String),
    /// A table is full; see the bound named in the message.
    #[error("{0}")]
    TooMany(String),
}
