//! A proxy before a server that cuts, stalls or slows its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Pass = 0,
    /// They end, and new ones are refused.
    Cut = 1,
    /// They stay, and nothing comes through.
    Stall = 2,
    /// Each piece waits for a while.
    Slow = 3,
}

/// How long each piece waits when it is slow.
const DELAY: Duration = Duration::from_millis(100);
/// How often a connection checks the mode.
const LOOK: Duration = Duration::from_millis(20);

/// A proxy that runs.
#[derive(Clone, Debug)]
pub struct Proxy {
    mode: Arc<AtomicU8>,
    target: Arc<AtomicU16>,
    /// Its port.
    pub port: u16,
}

impl Proxy {
    /// Starts before a port that may not listen yet.
    pub async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self {
            mode: Arc::default(),
            target: Arc::new(AtomicU16::new(target)),
            port,
        };
        let shared = proxy.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(shared.clone().carry(near));
            }
        });
        proxy
    }

    /// Lets it stand before another port.
    pub fn before(&self, target: u16) {
        self.target.store(target, Ordering::Relaxed);
    }

    /// Changes what happens to all connections.
    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::Relaxed) == mode as u8
    }

    async fn carry(self, near: TcpStream) {
        if self.is(Mode::Cut) {
            return;
        }
        let Ok(far) = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::Relaxed))).await
        else {
            return;
        };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::select! {
            () = self.pump(near_in, far_out) => {}
            () = self.pump(far_in, near_out) => {}
            () = self.until_cut() => {}
        }
    }

    async fn until_cut(&self) {
        while !self.is(Mode::Cut) {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn pump(
        &self,
        mut from: tokio::net::tcp::OwnedReadHalf,
        mut to: tokio::net::tcp::OwnedWriteHalf,
    ) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let Ok(len @ 1..) = from.read(&mut buffer).await else {
                return;
            };
            while self.is(Mode::Stall) {
                tokio::time::sleep(LOOK).await;
            }
            if self.is(Mode::Slow) {
                tokio::time::sleep(DELAY).await;
            }
            if to.write_all(&buffer[..len]).await.is_err() {
                return;
            }
        }
    }
}
