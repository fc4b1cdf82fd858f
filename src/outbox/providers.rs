//! Which provider carries which channel.

use crate::channels::{ChannelError, EmailChannel, SmsChannel};
use crate::config::Settings;
use crate::domain::Channel;

/// A provider that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("email: {0}")]
    Email(ChannelError),
    #[error("sms: {0}")]
    Sms(ChannelError),
}

/// The providers that the settings name.
#[derive(Debug)]
pub struct Providers {
    pub email: Option<EmailChannel>,
    pub sms: Option<SmsChannel>,
    /// Where the SMS provider reports what became of a text.
    pub sms_status_url: Option<String>,
}

impl Providers {
    pub fn from_settings(settings: &Settings) -> Result<Self, ProviderError> {
        let email = settings.smtp.as_ref().map(EmailChannel::new).transpose().map_err(ProviderError::Email)?;
        let sms = settings.sms.as_ref().map(SmsChannel::new).transpose().map_err(ProviderError::Sms)?;
        Ok(Self { email, sms, sms_status_url: settings.sms.as_ref().map(|sms| sms.status_url(&settings.server)) })
    }

    /// Channels that something carries.
    pub fn channels(&self) -> Vec<Channel> {
        let email = self.email.is_some().then_some(Channel::Email);
        let sms = self.sms.is_some().then_some(Channel::Sms);
        email.into_iter().chain(sms).collect()
    }

    /// The provider's name as it stands in an attempt.
    pub const fn name(channel: Channel) -> &'static str {
        match channel {
            Channel::Email => "smtp",
            Channel::Sms | Channel::Voice => "twilio",
            Channel::Pickup | Channel::InPerson => "beckon",
        }
    }
}
