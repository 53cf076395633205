//! A kubelet as far as logs go: it serves those of recorded containers to the API server.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use kgrca_core::model::Time;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::kube::Kube;
use crate::recording::text;

/// How many lines are served of one that was repeated.
const MAX_REPEATS: u64 = 20;

/// Namespace, pod and container.
type Place = (String, String, String);

/// The log of a container.
#[derive(Default)]
struct Log {
    /// Times and lines, in their order.
    lines: Vec<(Time, String)>,
    /// When the current run began; `None` when the container waits for its next one.
    running_since: Option<Time>,
}

/// A kubelet of all nodes; it ends with the test.
pub struct Kubelet {
    port: u16,
    logs: Arc<Mutex<BTreeMap<Place, Log>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Kubelet {
    /// Serves with a certificate that the API server trusts.
    pub fn start(kube: &Kube) -> Self {
        // Fails only when another test has done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let [certificate, key] = kube.certificate();
        let chain = vec![CertificateDer::from_pem_slice(&certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            port: listener.local_addr().unwrap().port(),
            logs: Arc::default(),
            asked: Arc::default(),
        };
        let (logs, asked) = (Arc::clone(&this.logs), Arc::clone(&this.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let stream = StreamOwned::new(connection, stream.unwrap());
                let (logs, asked) = (Arc::clone(&logs), Arc::clone(&asked));
                std::thread::spawn(move || answer(stream, &logs, &asked));
            }
        });
        this
    }

    /// Serves these lines of these objects' containers, and no others.
    pub fn serve(&self, lines: &[Value], objects: &BTreeMap<Place, Value>) {
        let mut logs: BTreeMap<Place, Log> = BTreeMap::new();
        for record in lines {
            let subject = &record["subject"];
            let pod = text(&subject["name"]);
            let mut place = (text(&subject["ns"]), pod, text(&record["container"]));
            if place.2.is_empty() {
                let key = ("Pod".to_owned(), place.0.clone(), place.1.clone());
                let pod = objects.get(&key).unwrap_or(&Value::Null);
                place.2 = text(&pod["spec"]["containers"][0]["name"]);
            }
            let at = Time::parse(record["event_time"].as_str().unwrap()).unwrap();
            let repeats = record["count"].as_u64().unwrap_or(1).min(MAX_REPEATS);
            let message = text(&record["message"]);
            let log = logs.entry(place).or_default();
            for _ in 0..repeats {
                log.lines
                    .extend(message.lines().map(|line| (at, line.to_owned())));
            }
        }
        for ((kind, namespace, pod), object) in objects {
            let statuses = object["status"]["containerStatuses"].as_array();
            for status in statuses.into_iter().flatten().filter(|_| kind == "Pod") {
                let place = (namespace.clone(), pod.clone(), text(&status["name"]));
                if let Some(log) = logs.get_mut(&place) {
                    let since = &status["state"]["running"]["startedAt"];
                    log.running_since = since.as_str().and_then(Time::parse);
                }
            }
        }
        for log in logs.values_mut() {
            log.lines.sort_by_key(|(at, _)| *at);
        }
        *self.logs.lock().unwrap() = logs;
        self.asked.lock().unwrap().clear();
    }

    /// What was asked for since lines are served.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Says in the status of a node that this is its kubelet.
    pub fn answers_at(&self, status: &mut Value) {
        status["addresses"] = json!([{"type": "InternalIP", "address": "127.0.0.1"}]);
        status["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": self.port}});
    }
}

fn answer(
    stream: StreamOwned<ServerConnection, TcpStream>,
    logs: &Mutex<BTreeMap<Place, Log>>,
    asked: &Mutex<Vec<String>>,
) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(target.clone());
    let body = lines(&target, &logs.lock().unwrap());
    let (status, body) = match body {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let stream = stream.get_mut();
    // The API server may have gone.
    let _ = stream.write_all((head + &body).as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// What `/containerLogs/NAMESPACE/POD/CONTAINER?…` is answered with.
fn lines(target: &str, logs: &BTreeMap<Place, Log>) -> Option<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parts = path
        .strip_prefix("/containerLogs/")?
        .split('/')
        .map(str::to_owned);
    let place = (parts.next()?, parts.next()?, parts.next()?);
    let has = |option: &str| query.split('&').any(|o| o == option);
    let tail = query
        .split('&')
        .find_map(|o| o.strip_prefix("tailLines=")?.parse().ok());
    let Some(log) = logs.get(&place) else {
        return Some(String::new());
    };
    let is_wanted = |at: Time| match log.running_since {
        Some(since) => (at < since) == has("previous=true"),
        None => true,
    };
    let lines: Vec<&(Time, String)> = log.lines.iter().filter(|(at, _)| is_wanted(*at)).collect();
    let tail: usize = tail.unwrap_or(lines.len());
    let last = &lines[lines.len().saturating_sub(tail)..];
    let stamped = last.iter().map(|(at, line)| {
        if !has("timestamps=true") {
            return format!("{line}\n");
        }
        let at = jiff::Timestamp::from_microsecond(at.0).unwrap();
        format!("{at:.9} {line}\n")
    });
    Some(stamped.collect())
}
