//! The closed list of detail words of a hangup.

macro_rules! words {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $clients:literal;)*) => {
        /// A word of detail beside reason and who. docs/protocol.md explains each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum DetailWord { $($(#[$doc])* $variant,)* }

        impl DetailWord {
            /// Every word.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The word of that text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }

            /// True when a client may give it in `call.hangup`.
            pub const fn is_for_clients(self) -> bool {
                match self { $(Self::$variant => $clients,)* }
            }
        }
    };
}

words! {
    /// No device rang in time.
    InviteTimeout = "invite-timeout", false;
    /// Devices rang, nobody answered in time.
    RingTimeout = "ring-timeout", false;
    /// The called user is calling this caller at the same moment.
    Glare = "glare", false;
    /// The caller's signalling was gone for too long.
    CallerLost = "caller-lost", false;
    /// The answering device's signalling was gone for too long.
    CalleeLost = "callee-lost", false;
    /// Neither leg of the relay was ever bound.
    NeverUp = "never-up", false;
    /// Only one leg of the relay was ever bound.
    OneWay = "one-way", false;
    /// Both legs were bound, then fell silent.
    Silence = "silence", false;
    /// This user has too many sessions.
    UserSessions = "user-sessions", false;
    /// The node drains or stops.
    NodeDrain = "node-drain", false;
    /// The operator ended it by a command.
    Command = "command", false;
    /// A party was blocked by the operator, or its account is gone.
    Blacklisted = "blacklisted", false;
    /// The user did it.
    User = "user", true;
    /// The program was closed.
    AppClosed = "app-closed", true;
    /// The client's network is gone or too slow.
    Network = "network", true;
    /// No common codec.
    NoCodec = "no-codec", true;
    /// The offer or answer is of an unknown version or profile.
    NoProfile = "no-profile", true;
    /// The offer or answer cannot be read.
    BadOffer = "bad-offer", true;
    /// The signature of the offer or answer is wrong.
    BadSignature = "bad-signature", true;
    /// The other party's keys are unknown or too old.
    NoKeys = "no-keys", true;
    /// No microphone, camera or loudspeaker could be opened.
    NoDevice = "no-device", true;
}
