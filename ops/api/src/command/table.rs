//! The list of commands, from which requests, replies and `crs-cli commands` are made.

use serde::{Deserialize, Serialize};

use super::*;
use crate::view::{Render, View};

/// Whether a command changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// Only reads.
    Read,
    /// Changes state, and leaves one audit line.
    Change,
}

crate::row! {
    /// A line of `crs-cli commands`.
    pub struct CommandInfo {
        /// The words of the command.
        command: String => "COMMAND",
        /// Whether it changes anything.
        impact: Impact => "IMPACT",
        /// What it is for.
        purpose: String => "PURPOSE",
    }
}

macro_rules! commands {
    ($($variant:ident = $module:ident, $name:literal, $impact:ident, $purpose:literal;)*) => {
        /// A request to a node.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "cmd", content = "args")]
        pub enum Request { $(
            #[doc = $purpose]
            #[serde(rename = $name)]
            $variant($module::Request),
        )* }

        /// The answer to the request of the same name.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "cmd", content = "data")]
        pub enum Reply { $(
            #[doc = $purpose]
            #[serde(rename = $name)]
            $variant($module::Reply),
        )* }

        impl Request {
            /// The words of the command, as in the audit log.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Whether it changes anything.
            pub fn impact(&self) -> Impact {
                match self { $(Self::$variant(_) => Impact::$impact,)* }
            }
        }

        impl Reply {
            /// The words of the command that this answers.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }
        }

        impl Render for Reply {
            fn view(&self) -> View {
                match self { $(Self::$variant(reply) => reply.view(),)* }
            }
        }

        /// Every request a node answers: name, impact, purpose.
        pub const COMMANDS: &[(&str, Impact, &str)] =
            &[$(($name, Impact::$impact, $purpose),)*];
    };
}

commands! {
    Apply = apply, "apply", Change, "apply an account's monthly update file";
    BlacklistAdd = blacklist_add, "blacklist add", Change, "stop a user from using the service";
    BlacklistRemove = blacklist_remove, "blacklist remove", Change, "let a blocked user in again";
    CheckSlot = check_slot, "check slot", Read, "slot, group and leader of a number";
    Complete = complete, "complete", Read, "values for tab completion";
    CreateAccount = create_account, "create account", Change, "add an account";
    DeleteAccount = delete_account, "delete account", Change, "erase an account and its users";
    Doctor = doctor, "doctor", Read, "find what is wrong, and how to put it right";
    HealthCheck = health_check, "health-check", Read, "test the system, or one account with a real call and message";
    ListAccount = list_account, "list account", Read, "accounts, their paths and shared secrets";
    LookupClient = lookup_client, "lookup client", Read, "where a number is found, and its tokens";
    PurgeClient = purge_client, "purge client", Change, "close the connections of one client";
    PurgeClients = purge_clients, "purge clients", Change, "close the connections of an account's clients";
    ReloadAccount = reload_account, "reload account", Change, "read the account directories again";
    ShowAccount = show_account, "show account", Read, "loaded accounts by module";
    ShowAttach = show_attach, "show attach", Read, "attached clients";
    ShowBlacklist = show_blacklist, "show blacklist", Read, "blocked users of an account";
    ShowMessage = show_message, "show message", Read, "posted and delivered messages per user";
    ShowNode = show_node, "show node", Read, "nodes of the pool and how far each one is";
    ShowRelay = show_relay, "show relay", Read, "relay counters by type and in total";
    ShowRelays = show_relays, "show relays", Read, "live relay resources";
    ShowServices = show_services, "show services", Read, "status of the services";
    ShowSession = show_session, "show session", Read, "active sessions";
    ShowSystem = show_system, "show system", Read, "modules, processes and slots";
    ShowUpdates = show_updates, "show updates", Read, "monthly updates of this month and the next";
    ShowVersion = show_version, "show version", Read, "installed version";
    Trace = trace, "trace", Read, "events as they happen";
}
