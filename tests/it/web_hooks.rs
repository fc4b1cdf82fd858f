//! Webhooks and public keys: what machines ask of the gateway.

use std::net::IpAddr;

use beckon::domain::{Actor, AttemptState, EhrId};
use beckon::ehr::connect;
use beckon::ehr::connection::{BaseUrl, EhrConnection, EhrSettings, Vendor};
use beckon::ehr::scopes::ScopeSet;
use beckon::sandbox::{Hospital, HospitalOptions};

use crate::support::clinic::ADA_PHONE;
use crate::support::each_database;
use crate::support::gateway::{Gateway, HOOK_SECRET, PhoneCompany, Setup};

async fn hospital(gateway_clock: std::sync::Arc<dyn beckon::clock::Clock>) -> Hospital {
    let mut options = HospitalOptions::new(gateway_clock);
    options.patients = 0;
    options.listen = IpAddr::from([127, 0, 0, 1]);
    Hospital::start(options).await.unwrap()
}

#[tokio::test]
async fn a_patients_text_is_kept_when_the_phone_company_signed_it_and_only_then() {
    each_database(async |t| {
        let hospital = hospital(t.store.clock().clone()).await;
        let phone = PhoneCompany {
            base_url: hospital.phone_base(),
            account_sid: hospital.account_sid().to_owned(),
            auth_token: hospital.auth_token().to_owned(),
            number: hospital.sender_number().to_owned(),
        };
        let gateway = Gateway::start_with(t, Setup { phone: Some(phone), ..Setup::default() }).await;
        let inbound = format!("{}/hooks/twilio/{HOOK_SECRET}/inbound", gateway.url);
        let replies = async || gateway.t.store.view(&gateway.t.tenant).replies_due(10).await.unwrap();

        hospital.set_inbound_url(&format!("{}/hooks/twilio/{}/inbound", gateway.url, "0".repeat(64)));
        assert_eq!(
            hospital.reply_as(ADA_PHONE, hospital.sender_number(), "C").await.unwrap(),
            404,
            "a guessed address"
        );
        let http = reqwest::Client::builder().build().unwrap();
        let fields = [("From", ADA_PHONE), ("To", hospital.sender_number()), ("Body", "C"), ("MessageSid", "SM1")];
        let forged = http.post(&inbound).form(&fields).header("x-twilio-signature", "bm90IHNpZ25lZA==");
        assert_eq!(forged.send().await.unwrap().status(), 403);
        assert_eq!(http.post(&inbound).form(&fields).send().await.unwrap().status(), 403, "no signature");
        assert!(replies().await.is_empty());

        hospital.set_inbound_url(&inbound);
        let text = " C & thank you, see you at 5 ";
        assert_eq!(hospital.reply_as(ADA_PHONE, hospital.sender_number(), text).await.unwrap(), 200);
        let kept = replies().await;
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].text.expose().as_str(), kept[0].from.expose()), (text, ADA_PHONE));

        let status = format!("{}/hooks/twilio/{HOOK_SECRET}/status", gateway.url);
        let text = [
            ("To", ADA_PHONE),
            ("From", hospital.sender_number()),
            ("Body", "Reply C to confirm."),
            ("StatusCallback", status.as_str()),
        ];
        let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", hospital.phone_base(), hospital.account_sid());
        let sent = http.post(url).basic_auth(hospital.account_sid(), Some(hospital.auth_token())).form(&text);
        assert_eq!(sent.send().await.unwrap().status(), 201);
        hospital.advance_to(gateway.t.store.clock().now() + chrono::TimeDelta::minutes(1)).await;
        let mut tx = gateway.t.store.write(&gateway.t.tenant).await.unwrap();
        let receipts = tx.receipts_due(10).await.unwrap();
        assert!(receipts.iter().any(|it| it.state == AttemptState::Delivered), "{receipts:?}");
        drop(tx);
        hospital.stop().await;
        gateway.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_keys_of_an_ehr_are_public_and_nothing_else_of_it_is() {
    each_database(async |t| {
        let connection = EhrConnection {
            tenant: t.tenant.clone(),
            id: EhrId::new("main"),
            base_url: BaseUrl::parse("http://127.0.0.1:9/fhir").unwrap(),
            vendor: Vendor::Hapi,
            client_id: "beckon-client".to_owned(),
            scopes: ScopeSet::for_backend(EhrConnection::DEFAULT_SCOPES).unwrap(),
            settings: EhrSettings::default(),
        };
        connect::add(&t.store, &connection, Actor::system("test")).await.unwrap();
        let gateway = Gateway::start(t).await;
        let mut ehr = gateway.browser();
        let page = ehr.get("/ehr/main/jwks.json").await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("cache-control"), "public, max-age=900");
        assert!(page.header("content-type").starts_with("application/json"));
        let keys: serde_json::Value = serde_json::from_str(&page.body).unwrap();
        let keys = keys["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            assert!(key["kid"].is_string() && key["alg"].is_string());
            for private in ["d", "p", "q", "dp", "dq", "qi"] {
                assert!(key.get(private).is_none(), "{private} is private");
            }
        }
        assert_eq!(ehr.get("/ehr/other/jwks.json").await.status, 404);
        gateway.stop().await;
    })
    .await;
}
