//! Why a channel cannot be used or asked. What becomes of a message is an `Outcome`, never an error.

/// Never holds an address or a text: what a provider says may repeat them, so it is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("{setting}: {problem}")]
    Settings { setting: &'static str, problem: String },
    #[error("no certificate authority can be trusted: {0}; install ca-certificates or set smtp.ca_file")]
    Trust(String),
    #[error("the {provider} cannot be reached ({code})")]
    Unreachable { provider: &'static str, code: String },
    #[error("the {provider} refused the question ({code})")]
    Refused { provider: &'static str, code: String },
    #[error("the {provider} answered with something that cannot be read")]
    Unreadable { provider: &'static str },
    #[error("the webhook lacks {0}")]
    Missing(&'static str),
    #[error("the webhook's {0} is not one that is known")]
    Unknown(&'static str),
}

impl ChannelError {
    pub(super) fn settings(setting: &'static str, problem: impl Into<String>) -> Self {
        Self::Settings { setting, problem: problem.into() }
    }
}
