//! The stylesheet and the icon, in the binary.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::RustEmbed;

use super::answer::Answer;
use super::call::Call;
use super::error::WebError;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// The stylesheet's address; it changes with the content, so that browsers may keep what they have.
pub static STYLESHEET: LazyLock<String> = LazyLock::new(|| {
    let content = Assets::get("beckon.css").map(|file| file.data.into_owned()).unwrap_or_default();
    let hash = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &content).as_ref()[..9]);
    format!("/assets/beckon.css?v={hash}")
});

/// `GET /assets/{name}`
pub async fn asset(call: Call) -> Answer {
    let file = Assets::get(call.path("name")).ok_or(WebError::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type(file.metadata.mimetype())
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .body(file.data.into_owned()))
}
