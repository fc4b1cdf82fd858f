//! How one checkpoint gets to one keeper.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use secrecy::ExposeSecret as _;

use super::super::AppError;
use crate::channels::OutboundEmail;
use crate::config::Settings;
use crate::domain::{EmailAddress, Outcome, Phi, TenantId};
use crate::outbox::Providers;
use crate::store::CheckpointRow;

/// How long a signed request to a bucket may be used.
const SIGNED_FOR: Duration = Duration::from_mins(5);

/// A way out of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Folder,
    Url,
    Email,
    Bucket,
}

impl Way {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Url => "url",
            Self::Email => "email",
            Self::Bucket => "bucket",
        }
    }
}

/// Why a keeper did not take a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("history.checkpoint_email is not an address")]
    Address,
    #[error("there is no mail relay; add a section [smtp]")]
    NoRelay,
    #[error("the mail relay did not take it ({0})")]
    Mail(String),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("it cannot be reached ({0})")]
    Unreachable(&'static str),
    #[error("the folder cannot be written: {0}")]
    Folder(std::io::Error),
    #[error("the folder holds another checkpoint of the same size: {0}")]
    Other(String),
    #[error("the clock shows a time that cannot be signed")]
    Clock,
}

/// Those whom the settings name.
#[derive(Debug)]
pub(super) struct Keepers {
    settings: Arc<Settings>,
    providers: Arc<Providers>,
    tenant: TenantId,
    http: reqwest::Client,
    bucket: Option<(Bucket, Credentials, String)>,
}

impl Keepers {
    pub(super) fn new(settings: Arc<Settings>, providers: Arc<Providers>, tenant: TenantId) -> Result<Self, AppError> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("beckon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| AppError::Web(error.without_url().to_string()))?;
        let bucket = match &settings.history.bucket {
            None => None,
            Some(it) => {
                let wrong = || AppError::Bucket(it.url.clone());
                let url = it.url.parse().map_err(|_| wrong())?;
                let bucket = Bucket::new(url, UrlStyle::Path, it.name.clone(), it.region.clone());
                let credentials = Credentials::new(it.access_key.clone(), it.secret_key.expose_secret().to_owned());
                Some((bucket.map_err(|_| wrong())?, credentials, it.prefix.clone()))
            }
        };
        Ok(Self { settings, providers, tenant, http, bucket })
    }

    pub(super) fn ways(&self) -> Vec<Way> {
        let history = &self.settings.history;
        [
            (Way::Folder, history.checkpoint_folder.is_some()),
            (Way::Url, history.checkpoint_url.is_some()),
            (Way::Email, history.checkpoint_email.is_some()),
            (Way::Bucket, self.bucket.is_some()),
        ]
        .into_iter()
        .filter_map(|(way, named)| named.then_some(way))
        .collect()
    }

    pub(super) async fn hand_over(
        &self,
        way: Way,
        checkpoint: &CheckpointRow,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let name = format!("{}-{:012}.checkpoint", self.tenant, checkpoint.size);
        match way {
            Way::Folder => {
                let folder = self.settings.history.checkpoint_folder.as_deref().unwrap_or(Path::new("."));
                put_file(folder, &name, &checkpoint.note).await
            }
            Way::Url => {
                let url = self.settings.history.checkpoint_url.as_deref().unwrap_or_default();
                self.send(self.http.post(url), &checkpoint.note).await
            }
            Way::Email => self.mail(checkpoint, now).await,
            Way::Bucket => self.put_object(&name, &checkpoint.note, now).await,
        }
    }

    async fn put_object(&self, name: &str, note: &str, now: DateTime<Utc>) -> Result<(), Problem> {
        let Some((bucket, credentials, prefix)) = &self.bucket else {
            return Err(Problem::Unreachable("it is not set up"));
        };
        let object = format!("{prefix}{name}");
        let at = jiff::Timestamp::from_second(now.timestamp()).map_err(|_| Problem::Clock)?;
        let url = bucket.put_object(Some(credentials), &object).sign_with_time(SIGNED_FOR, &at);
        self.send(self.http.put(url), note).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, note: &str) -> Result<(), Problem> {
        let answer = request
            .header(reqwest::header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .body(note.to_owned())
            .send()
            .await
            .map_err(|error| {
                Problem::Unreachable(if error.is_timeout() { "no answer in time" } else { "connection" })
            })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Problem::Status(status.as_u16())),
        }
    }

    async fn mail(&self, checkpoint: &CheckpointRow, now: DateTime<Utc>) -> Result<(), Problem> {
        let to = self.settings.history.checkpoint_email.as_deref().unwrap_or_default();
        let to = EmailAddress::parse(to).map_err(|_| Problem::Address)?;
        let relay = self.providers.email.as_ref().ok_or(Problem::NoRelay)?;
        let subject = format!("Checkpoint of the history: {} events, tenant {}", checkpoint.size, self.tenant);
        let text = format!(
            "Keep this mail. With the text between the lines anybody can prove later whether the first {} events of the \
             history were changed: save it as a file and run\n\n    beckon history verify --checkpoint FILE\n\n\
             ----------\n{}----------\n\nSigned {} by {}.\n",
            checkpoint.size,
            checkpoint.note,
            checkpoint.at.format("%Y-%m-%d %H:%M:%S UTC"),
            self.settings.organisation.name,
        );
        let domain = self.settings.server.public_url.split("//").last().unwrap_or("beckon.invalid");
        let domain = domain.split([':', '/']).next().unwrap_or("beckon.invalid");
        let outcome = relay
            .send(&OutboundEmail {
                to: &to,
                subject: &Phi::new(subject),
                text: &Phi::new(text),
                html: None,
                message_id: &format!("<checkpoint-{}-{}@{domain}>", self.tenant, checkpoint.size),
                list_unsubscribe: None,
                envelope_from: None,
                date: now,
            })
            .await;
        match outcome {
            Outcome::Accepted { .. } => Ok(()),
            Outcome::Retry { code, .. } | Outcome::Reject { code, .. } | Outcome::Unknown { code } => {
                Err(Problem::Mail(code))
            }
        }
    }
}

/// A new file, whole or not at all. What is there already is never written over.
async fn put_file(folder: &Path, name: &str, note: &str) -> Result<(), Problem> {
    let path = folder.join(name);
    match tokio::fs::read_to_string(&path).await {
        Ok(there) if there == note => return Ok(()),
        Ok(_) => return Err(Problem::Other(name.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Problem::Folder(error)),
    }
    let written = async {
        let beside = folder.join(format!(".{name}"));
        let mut file = tokio::fs::File::create(&beside).await?;
        tokio::io::AsyncWriteExt::write_all(&mut file, note.as_bytes()).await?;
        file.sync_all().await?;
        tokio::fs::rename(&beside, &path).await
    };
    written.await.map_err(Problem::Folder)
}
