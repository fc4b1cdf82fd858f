//! Whatever anybody posts to the SMS provider's webhooks: no panic, and no forged form counts as genuine.
#![no_main]

use beckon::channels::{meaning_of_reply, sms::SmsChannel};
use beckon::config::Sms;
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;

fn settings() -> Sms {
    Sms {
        base_url: "https://api.twilio.com".to_owned(),
        account_sid: "AC0123".to_owned(),
        api_key: None,
        secret: SecretString::from("secret"),
        webhook_tokens: vec![SecretString::from("12345")],
        from: Some("+15125550199".to_owned()),
        messaging_service: None,
        timeout_seconds: 1,
        region: "US".to_owned(),
        hook_secret: SecretString::from("x".repeat(32)),
    }
}

thread_local! {
    static CHANNEL: SmsChannel = SmsChannel::new(&settings()).unwrap();
}

fuzz_target!(|bytes: &[u8]| {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(bytes).into_owned().collect();
    CHANNEL.with(|channel| {
        let _ = channel.status_report(&form);
        let _ = channel.inbound(&form);
        let signature = form.first().map_or("", |(_, value)| value.as_str());
        assert!(!channel.is_genuine("https://gateway.example/hooks/twilio/x/status", &form, signature));
    });
    let _ = meaning_of_reply(&String::from_utf8_lossy(bytes));
});
