//! What the node's own watch has found, kept for `doctor` and the health check.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crs_types::{AccountId, Timestamp};

/// Written by the watch, read by the commands.
#[derive(Debug, Default)]
pub struct Watched(Mutex<Found>);

/// The state as of the last look.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The certificate of the client port; `None` before the first look.
    pub certificate: Option<ShownCertificate>,
    /// For each account with an update the end of the CA certificate that lasts longest.
    pub authorities: Vec<(AccountId, Timestamp)>,
    /// The last jump of the clock: when it was noticed, and a sentence about it.
    pub clock_jump: Option<(Timestamp, String)>,
    /// A sentence about how the files of the configuration differ from what runs.
    pub drift: Option<String>,
    /// Warnings about directives that are parsed and kept, and have no effect yet.
    pub without_effect: Vec<String>,
    /// Files of the configuration that hold secrets.
    pub secret_files: Vec<PathBuf>,
}

/// The certificate of the client port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownCertificate {
    /// End of the certificate of its chain that ends first.
    pub end: Timestamp,
    /// The node issued it itself and renews it; otherwise the operator does.
    pub own: bool,
}

impl Watched {
    /// Changes what is known.
    pub fn update(&self, change: impl FnOnce(&mut Found)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is known now.
    pub fn found(&self) -> Found {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
