//! The mail server's certificates: an authority made for this run, a right certificate, and a wrong one.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What the server shows and what a client must trust.
pub struct Certificates {
    pub ca_pem: String,
    /// For `localhost` and the listen address.
    pub right: Arc<ServerConfig>,
    /// For `elsewhere.invalid`, by the same authority.
    pub wrong: Arc<ServerConfig>,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl Certificates {
    /// Makes them for a server on `listen`.
    ///
    /// # Errors
    /// When keys cannot be made; never seen.
    pub fn make(listen: IpAddr) -> Result<Self, Fault> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Simulated hospital, mail");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let right = server(&issuer, vec!["localhost".to_owned(), listen.to_string()])?;
        let wrong = server(&issuer, vec!["elsewhere.invalid".to_owned()])?;
        Ok(Self { ca_pem: issuer.pem(), right, wrong })
    }
}

fn server(issuer: &CertifiedIssuer<'_, KeyPair>, names: Vec<String>) -> Result<Arc<ServerConfig>, Fault> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(names)?.signed_by(&key, &**issuer)?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )?;
    Ok(Arc::new(config))
}
