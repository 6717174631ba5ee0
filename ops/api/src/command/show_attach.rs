//! `show attach`: attached clients (C-161 … C-167, D-10).

use crs_types::AccountId;
use serde::{Deserialize, Serialize};

/// Which clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Only those of this account.
    pub account: Option<AccountId>,
}

/// The clients in order of account and number.
pub type Reply = Vec<AttachRow>;

crate::row! {
    /// One attached client.
    pub struct AttachRow {
        /// The client's number.
        uri: String => "URI",
        /// Its account.
        account: AccountId => "ACCOUNT",
        /// Seconds attached.
        time: u64 => "TIME",
        /// Version of the client's software.
        version: String => "VERSION",
        /// Its address and port.
        ip_port: String => "IP:PORT",
        /// The node that handles it.
        crs: String => "CRS",
        /// Key exchange of its TLS connection, such as `X25519MLKEM768`.
        key_exchange: String => verbose "KEY-EXCHANGE",
        /// `primary` or `secondary`.
        role: String => verbose "TYPE",
        /// The device's id.
        device: String => verbose "DEVICE",
        /// The connection's id, as in traces.
        connection: u64 => verbose "CONNECTION-ID",
    }
}
