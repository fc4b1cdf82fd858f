//! Form fields as a browser sends them.

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// The name of the hidden field that proves that a form is ours.
pub const CSRF_FIELD: &str = "csrf";

/// Decoded fields of a form or of an address, in order.
#[derive(Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`; what is no such form has no fields.
    pub fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    /// A field without the spaces around it; empty where it is absent.
    pub fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// Whether the form carries this session's token.
    pub fn carries(&self, csrf: &str) -> bool {
        verify_slices_are_equal(self.field(CSRF_FIELD).as_bytes(), csrf.as_bytes()).is_ok()
    }
}
