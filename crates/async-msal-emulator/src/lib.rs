//! async-msal-emulator
