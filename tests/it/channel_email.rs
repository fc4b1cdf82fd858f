//! Mail over SMTP, against a relay that follows a script.
