//! A service in Rust and one in Python, real aiohttp, aiohttp_session and aiohttp_msal from PyPI, on the same Redis
//! server and cookie name: who is signed in on one is signed in on the other.

mod identity;
mod packages;
mod people;
mod records;
mod service;
mod sharing;
mod spoiled;
mod tools;
mod world;
mod write_backs;

/// Runs each of the tests beside both releases of aiohttp_msal: `async fn name(world: World)`.
macro_rules! beside_both_releases {
    ($($name:ident),+ $(,)?) => {
        mod beside_1_0_7 {
            $(#[tokio::test]
            async fn $name() {
                let world = crate::python::world::World::start(crate::python::packages::V1_0_7).await;
                if let Some(world) = world {
                    super::$name(world).await;
                }
            })+
        }
        mod beside_1_1_4 {
            $(#[tokio::test]
            async fn $name() {
                let world = crate::python::world::World::start(crate::python::packages::V1_1_4).await;
                if let Some(world) = world {
                    super::$name(world).await;
                }
            })+
        }
    };
}
use beside_both_releases;
