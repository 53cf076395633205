//! A stand-in for the transit engine of Vault that can hold requests back, so that a test can stop
//! a daemon in the middle of them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const TOKEN: &str = "hvs.stand-in";

/// Serves on loopback until the process ends.
pub struct VaultStandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How often the key was rotated.
    rotations: u32,
    /// Encryptions that are answered before the next is held; without it, all are.
    free: Option<u32>,
    /// Whether one is held.
    is_holding: bool,
}

impl VaultStandIn {
    /// Starts one with a key that has one version.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        crate::write_private(&folder.path().join("token"), TOKEN);
        let vault = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
            folder,
        };
        let shared = Arc::clone(&vault.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        vault
    }

    /// The URL of its key.
    pub fn url(&self) -> String {
        let (address, token) = (self.address, self.token_file());
        format!(
            "vault://{address}/transit/kgrca?tls=false&token-file={}",
            token.display()
        )
    }

    /// The file with its token.
    pub fn token_file(&self) -> std::path::PathBuf {
        Path::join(self.folder.path(), "token")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Gives the key another version.
    pub fn rotate(&self) {
        self.state().rotations += 1;
    }

    /// Holds encryptions, once it has answered so many more.
    pub fn hold_after(&self, count: u32) {
        self.state().free = Some(count);
    }

    /// Waits until an encryption is held.
    pub fn await_held(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut state = self.state();
        while !state.is_holding {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no encryption is held");
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Answers all, also those that were held.
    pub fn release(&self) {
        let mut state = self.state();
        (state.free, state.is_holding) = (None, false);
        self.shared.changed.notify_all();
    }
}

/// Serves the requests of one connection.
fn serve(stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length, mut is_allowed) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().ok()?;
                }
                Some((name, value)) if name.eq_ignore_ascii_case("x-vault-token") => {
                    is_allowed = value == TOKEN;
                }
                Some(_) => {}
                None => line.clone_into(&mut head),
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        let (status, answer) = if is_allowed {
            answer(&head, &body, shared)
        } else {
            let errors = json!({"errors": ["permission denied"]});
            ("403 Forbidden", errors)
        };
        let answer = answer.to_string();
        let length = answer.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
        let stream = stream.get_mut();
        stream
            .write_all(format!("{head}{answer}").as_bytes())
            .ok()?;
    }
}

fn answer(head: &str, body: &Value, shared: &Shared) -> (&'static str, Value) {
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    match head {
        "POST /v1/transit/encrypt/kgrca HTTP/1.1" => {
            let version = encrypting(shared);
            let plain = body["plaintext"].as_str().unwrap_or_default();
            let text = format!("vault:v{version}:{}", reversed(plain));
            ("200 OK", json!({"data": {"ciphertext": text}}))
        }
        "POST /v1/transit/decrypt/kgrca HTTP/1.1" => {
            let text = body["ciphertext"].as_str().unwrap_or_default();
            let parts = text.splitn(3, ':').collect::<Vec<_>>();
            if let ["vault", _, text] = parts.as_slice() {
                ("200 OK", json!({"data": {"plaintext": reversed(text)}}))
            } else {
                let errors = json!({"errors": ["invalid ciphertext: no prefix"]});
                ("400 Bad Request", errors)
            }
        }
        _ => ("404 Not Found", json!({"errors": []})),
    }
}

/// Waits while encryptions are held. Returns the version of the key.
fn encrypting(shared: &Shared) -> u32 {
    let mut state = shared.state.lock().unwrap();
    loop {
        match state.free.as_mut() {
            Some(0) => {}
            Some(free) => {
                *free -= 1;
                break;
            }
            None => break,
        }
        state.is_holding = true;
        shared.changed.notify_all();
        state = shared.changed.wait(state).unwrap();
    }
    state.rotations + 1
}
