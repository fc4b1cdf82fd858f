//! One file a provider of email, SMS or voice: send, and parse what it reports back.
