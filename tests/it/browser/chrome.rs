//! A Chromium without a window, driven as a person would use it: by the words on the page and by the keyboard. The
//! WebDriver protocol (W3C) waits for the page that a click leads to.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use futures_util::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::support::tools::{Running, chromedriver, free_port, wait_for};

pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

pub struct Chrome {
    client: Client,
    /// Where the gateway is.
    url: String,
}

/// Gives the test a browser of its own with an empty profile. A picture of the page is kept in `target/tmp` when the test
/// fails; with `BECKON_TEST_PICTURES` set, of each page that a test asks for.
pub async fn with_chrome(name: &str, url: &str, test: impl AsyncFnOnce(&Chrome)) {
    let Some(driver) = chromedriver() else { return };
    let port = free_port();
    let profile = tempfile::tempdir().unwrap();
    let mut driver = Running::start(
        Command::new(driver)
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    let mut flags: Vec<String> = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
    ]
    .map(str::to_owned)
    .into();
    flags.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
    let wanted = json!({"browserName": "chrome", "goog:chromeOptions": {"args": flags}});
    let Value::Object(wanted) = wanted else { unreachable!() };
    let client = wait_for("chromedriver opens a browser", async || {
        assert!(!driver.has_ended(), "chromedriver ended");
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        Some(builder.capabilities(wanted.clone()).connect(&format!("http://127.0.0.1:{port}")).await.unwrap())
    })
    .await;
    let chrome = Chrome { client, url: url.to_owned() };
    let outcome = AssertUnwindSafe(test(&chrome)).catch_unwind().await;
    if outcome.is_err() {
        let path = chrome.keep_picture(Path::new(env!("CARGO_TARGET_TMPDIR")), name).await;
        eprintln!("the page as it was: {}\n{}", path.display(), chrome.words().await);
    }
    chrome.client.close().await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Chrome {
    pub async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.url)).await.unwrap();
    }

    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    pub async fn back(&self) {
        self.client.back().await.unwrap();
    }

    /// What a person can read on the page.
    pub async fn words(&self) -> String {
        let words = self.client.execute("return document.body ? document.body.innerText : ''", vec![]).await;
        words.unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says this, and answers all that it says.
    pub async fn sees(&self, text: &str) -> String {
        let mut last = String::new();
        wait_for(&format!("the page says {text:?}"), async || {
            last = self.words().await;
            last.contains(text).then(|| last.clone())
        })
        .await
    }

    /// Follows the link that reads so.
    pub async fn follow(&self, text: &str) {
        self.find(&format!("//a[contains(normalize-space(.), {})]", quoted(text))).await.click().await.unwrap();
    }

    /// The same for the first such link below a heading.
    pub async fn follow_below(&self, heading: &str, text: &str) {
        let (heading, text) = (quoted(heading), quoted(text));
        let path = format!("//section[h2[normalize-space(.) = {heading}]]//a[contains(normalize-space(.), {text})]");
        self.find(&path).await.click().await.unwrap();
    }

    /// Presses the button that reads so.
    pub async fn press(&self, text: &str) {
        self.find(&format!("//button[contains(normalize-space(.), {})]", quoted(text))).await.click().await.unwrap();
    }

    /// Writes into the field with this label.
    pub async fn fill(&self, label: &str, value: &str) {
        let field = self.field(label).await;
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Chooses from the list with this label.
    pub async fn choose(&self, label: &str, choice: &str) {
        self.field(label).await.select_by_label(choice).await.unwrap();
    }

    async fn field(&self, label: &str) -> Element {
        let path = format!("//label[contains(., {})]//*[self::input or self::select or self::textarea]", quoted(label));
        self.find(&path).await
    }

    async fn find(&self, path: &str) -> Element {
        wait_for(path, async || self.client.find(Locator::XPath(path)).await.ok()).await
    }

    /// Types where the focus is.
    pub async fn types(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Goes on with the tab key until what has the focus reads so. Each stop on the way must show that it has the focus.
    pub async fn tabs_to(&self, text: &str) {
        for _ in 0..80 {
            self.types(TAB).await;
            let script = "const it = document.activeElement, style = getComputedStyle(it); \
                          return [(it.innerText || it.name || '').trim(), style.outlineStyle !== 'none' || \
                          style.boxShadow !== 'none', it.outerHTML.slice(0, 200)]";
            let focus = self.client.execute(script, vec![]).await.unwrap();
            assert_eq!(focus[1], json!(true), "nothing shows the focus: {}", focus[2]);
            if focus[0].as_str().unwrap().contains(text) {
                return;
            }
        }
        panic!("the tab key leads nowhere that reads {text:?}: {}", self.words().await);
    }

    /// Does something on a phone; then the window is wide again.
    pub async fn on_a_phone(&self, does: impl AsyncFnOnce()) {
        self.client.set_window_size(390, 844).await.unwrap();
        does().await;
        self.client.set_window_size(1280, 900).await.unwrap();
    }

    /// Presses the label that reads so.
    pub async fn press_label(&self, text: &str) {
        self.find(&format!("//label[contains(normalize-space(.), {})]", quoted(text))).await.click().await.unwrap();
    }

    /// The page as a phone shows it must not have to be moved sideways, nor any part of it but a document as FHIR; then
    /// the window is wide again.
    pub async fn fits_a_phone(&self) {
        self.client.set_window_size(390, 844).await.unwrap();
        let script = "return [...document.querySelectorAll('body *:not(.code)')].filter(it => it.clientWidth > 0 && \
                      it.scrollWidth > it.clientWidth && ['auto', 'scroll'].includes(getComputedStyle(it).overflowX)\
                      ).map(it => it.outerHTML.slice(0, 120))";
        let sideways = self.client.execute(script, vec![]).await.unwrap();
        assert_eq!(sideways, json!([]), "{} has parts to be moved sideways", self.path().await);
        let widths = self.client.execute("return [document.documentElement.scrollWidth, innerWidth]", vec![]).await;
        let widths = widths.unwrap();
        assert!(widths[0].as_f64() <= widths[1].as_f64(), "{} is wider than a phone: {widths}", self.path().await);
        self.picture("phone").await;
        self.client.set_window_size(1280, 900).await.unwrap();
    }

    /// Keeps a picture where somebody wants to look at the pages.
    pub async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("BECKON_TEST_PICTURES") {
            let name = format!("{}-{name}", self.path().await.trim_matches('/').replace('/', "-"));
            self.keep_picture(Path::new(&folder), &name).await;
        }
    }

    async fn keep_picture(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(format!("{name}.png"));
        match self.client.screenshot().await {
            Ok(picture) => std::fs::write(&path, picture).unwrap(),
            Err(error) => eprintln!("no picture: {error}"),
        }
        path
    }
}

/// As XPath quotes it; no text of ours has both kinds of quotes.
fn quoted(text: &str) -> String {
    if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") }
}
