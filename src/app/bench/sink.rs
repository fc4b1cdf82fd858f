//! A mail server that takes everything and keeps nothing: the other end of the sending bench. It runs on a thread of
//! its own, so that its work is not counted as the gateway's.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::house::file;
use super::meter::FOREIGN;
use crate::app::AppError;

#[derive(Debug)]
pub(super) struct Sink {
    pub(super) port: u16,
    taken: Arc<AtomicU64>,
    /// Dropped with the sink, which ends its thread.
    _stop: oneshot::Sender<()>,
}

impl Sink {
    /// Listens on loopback; port 0 lets the system choose.
    pub(super) fn start(port: u16) -> Result<Self, AppError> {
        let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| file("the bench's mail sink", error))?;
        let port = listener.local_addr().map_err(|error| file("the bench's mail sink", error))?.port();
        listener.set_nonblocking(true).map_err(|error| file("the bench's mail sink", error))?;
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&taken);
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    // A listener that fails leaves the senders to say so.
                    _ = accept(listener, counted) => {}
                }
            });
        };
        std::thread::Builder::new()
            .name(format!("{FOREIGN}sink"))
            .spawn(serve)
            .map_err(|error| file("the bench's mail sink", error))?;
        Ok(Self { port, taken, _stop: stop })
    }

    /// Mails taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, taken: Arc<AtomicU64>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that goes away in the middle is its own business.
        tokio::spawn(talk(stream, Arc::clone(&taken)));
    }
}

async fn talk(stream: TcpStream, taken: Arc<AtomicU64>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink.bench.example ESMTP\r\n").await?;
    let mut line = Vec::with_capacity(1024);
    let mut in_data = false;
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if in_data {
            if line == b".\r\n" {
                in_data = false;
                taken.fetch_add(1, Ordering::Relaxed);
                stream.write_all(b"250 2.0.0 taken\r\n").await?;
            }
            continue;
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match verb.as_slice() {
            b"EHLO" => b"250-sink.bench.example\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n",
            b"DATA" => {
                in_data = true;
                b"354 go on\r\n"
            }
            b"QUIT" => return stream.write_all(b"221 2.0.0 bye\r\n").await,
            _ => b"250 2.0.0 OK\r\n",
        };
        stream.write_all(answer).await?;
    }
}
