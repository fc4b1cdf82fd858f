//! Asking the simulated hospital.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::web::call::Call;
use crate::web::error::WebError;
use crate::web::state::Demo;

const NAME: &str = "The simulated hospital";

fn demo(call: &Call) -> Result<&Demo, WebError> {
    call.state.demo.as_deref().ok_or(WebError::NotFound)
}

/// Reads `GET {admin}/{what}`.
pub async fn ask<T: DeserializeOwned>(call: &Call, what: &str) -> Result<T, WebError> {
    let demo = demo(call)?;
    let answer = demo.http.get(format!("{}/{what}", demo.admin_url)).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|_| WebError::Unavailable(NAME))?;
    answer.json().await.map_err(|_| WebError::Unavailable(NAME))
}

/// Sends `POST {admin}/{what}`.
pub async fn tell(call: &Call, what: &str, body: &Value) -> Result<Value, WebError> {
    let demo = demo(call)?;
    let answer = demo.http.post(format!("{}/{what}", demo.admin_url)).json(body).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|_| WebError::Unavailable(NAME))?;
    Ok(answer.json().await.unwrap_or(Value::Null))
}
