//! What can go wrong on request: each fault says what happens, to which requests, and how often.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// 429 instead of an answer.
    TooManyRequests { retry_after: Option<RetryAfter> },
    /// A status of 500 or more instead of an answer.
    ServerError { status: u16, retry_after: Option<RetryAfter> },
    /// The answer comes `chunk` bytes at a time with `millis` of real time between.
    SlowBody { chunk: usize, millis: u64 },
    /// The work is done and kept, and the answer waits until all faults are cleared.
    Held,
    /// The answer, then `megabytes` of blanks (with gzip: a small body that unpacks to a large one).
    HugeBody { megabytes: u32 },
    /// The first half of the answer.
    TruncatedJson,
    /// A page of a proxy, with status 200.
    HtmlInsteadOfJson,
    /// The right body under another content type.
    WrongContentType { content_type: String },
    /// The next page is gone (410).
    ExpiredPaging,
    /// The `next` link leads to another origin.
    NextOnOtherOrigin { origin: String },
    /// The `next` link leads to the page itself.
    NextLoop,
    /// A read is redirected (301) to another id of the type: the record was merged.
    MovedTo { id: String },
    /// Every match on the page comes twice.
    DuplicateEntries,
    /// A page with an OperationOutcome and a `next` link, but without a match; the matches come on the page after.
    PageWithoutMatch,
    /// Discovery names another token endpoint.
    OtherTokenEndpoint { url: String },
    /// The `Date` header is wrong by so many seconds.
    ClockSkew { seconds: i64 },
    /// The work is done and kept, then the connection is dropped without an answer.
    LostReply,
    /// The token endpoint grants these scopes, whatever was asked.
    GrantScopes { scopes: String },
    /// 401 although the token is good.
    Unauthorized,
    /// The search works as if the parameter had not been sent.
    IgnoreParameter { name: String },
    /// The export is not ready yet.
    ExportUnderWay,
    /// The export is forgotten before it was ready (404).
    ExportForgotten,
    /// A file of an export is not kept any more (410).
    ExportFileGone,
    /// The manifest announces one resource more than its first file has.
    ExportCountWrong,
    /// The export has a file with an OperationOutcome of this severity.
    ExportOutcome { severity: String },
    /// A notice is counted and never delivered.
    NoticeLost,
    /// A notice is delivered twice.
    NoticeTwice,
    /// A notice is overtaken by the one after it.
    NoticeOvertaken,
    /// A heartbeat is left out.
    HeartbeatMissing,
    /// Status callbacks are posted twice.
    CallbackTwice,
    /// Status callbacks are posted last one first.
    CallbacksReversed,
    /// The mail server does not offer STARTTLS.
    StripStartTls,
    /// The mail server's certificate names another host.
    WrongCertificateName,
    /// The mail server answers RCPT with 450.
    DeferMail,
    /// The mail server keeps the mail, then drops the connection before it answers the final dot.
    DropAfterData,
}

/// The two forms of the `Retry-After` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    Seconds(u32),
    /// An HTTP date, so many seconds ahead of the hospital's clock.
    DateIn(u32),
}

/// A fault and when it strikes. By default: the next request, whatever it is, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only requests whose path begins so.
    #[serde(default)]
    pub on: String,
    /// Only requests of this method.
    #[serde(default)]
    pub method: Option<String>,
    /// So many matching requests pass first.
    #[serde(default)]
    pub after: u32,
    /// How often; `null`: until cleared.
    #[serde(default = "once")]
    pub times: Option<u32>,
}

fn once() -> Option<u32> {
    Some(1)
}

impl Fault {
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, on: String::new(), method: None, after: 0, times: once() }
    }

    /// Only requests whose path begins with `prefix`, such as `/fhir/Appointment`.
    #[must_use]
    pub fn on(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.on);
        self
    }

    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_ascii_uppercase());
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn after(mut self, passes: u32) -> Self {
        self.after = passes;
        self
    }

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Until faults are cleared.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults {
    in_force: Mutex<Vec<Fault>>,
    cleared: watch::Sender<()>,
}

impl Faults {
    pub fn inject(&self, fault: Fault) {
        if fault.times != Some(0) {
            self.in_force.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        }
    }

    pub fn clear(&self) {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.cleared.send_replace(());
    }

    /// Ends with the next [`Faults::clear`] after this call, however late it is looked at.
    pub fn until_cleared(&self) -> impl Future<Output = ()> + use<> {
        let mut cleared = self.cleared.subscribe();
        async move {
            // A hospital that is gone holds nothing back.
            let _ = cleared.changed().await;
        }
    }

    /// The first fault in force that `wanted` picks and that is meant for such a request; it counts as struck.
    pub fn strike(&self, method: &str, path: &str, wanted: impl Fn(&FaultKind) -> bool) -> Option<FaultKind> {
        let mut faults = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let mut struck = None;
        for (at, fault) in faults.iter_mut().enumerate() {
            let meant = path.starts_with(&fault.on) && fault.method.as_deref().is_none_or(|only| only == method);
            if !meant || !wanted(&fault.kind) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            struck = Some(at);
            break;
        }
        let at = struck?;
        let kind = faults[at].kind.clone();
        if let Some(left) = &mut faults[at].times {
            *left -= 1;
            if *left == 0 {
                faults.remove(at);
            }
        }
        Some(kind)
    }

    /// As [`Faults::strike`], where only whether it strikes matters.
    pub fn strikes(&self, method: &str, path: &str, kind: &FaultKind) -> bool {
        self.strike(method, path, |found| found == kind).is_some()
    }
}
