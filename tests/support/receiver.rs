//! A receiver of webhooks that answers as a test says, and remembers what it got.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path of the request.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
}

impl Received {
    /// A header; empty when it was not sent.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// A receiver on a free port.
pub struct Receiver {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// Answers with these statuses one after the other, and with the last one from then on; with 200
    /// when there are none.
    pub async fn start(statuses: &[u16]) -> Self {
        Self::serve(statuses.to_vec(), false).await
    }

    /// One that takes requests and never answers.
    pub async fn that_hangs() -> Self {
        Self::serve(Vec::new(), true).await
    }

    async fn serve(statuses: Vec<u16>, hangs: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let shared = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, statuses) = (Arc::clone(&shared), statuses.clone());
                tokio::spawn(async move {
                    if hangs {
                        std::future::pending::<()>().await;
                    }
                    answer(stream, &shared, &statuses).await;
                });
            }
        });
        Self { port, received }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it got so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, received: &Mutex<Vec<Received>>, statuses: &[u16]) {
    let mut reader = BufReader::new(&mut stream);
    let mut line = String::new();
    if reader.read_line(&mut line).await.unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map(|(_, n)| n.parse().unwrap()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let number = {
        let mut received = received.lock().unwrap();
        received.push(Received {
            path,
            headers,
            body,
        });
        received.len()
    };
    let status = statuses.get(number - 1).or(statuses.last());
    let status = status.copied().unwrap_or(200);
    let head = format!("HTTP/1.1 {status} X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
    // The sender may have been killed meanwhile.
    let _ = stream.write_all(head.as_bytes()).await;
}
