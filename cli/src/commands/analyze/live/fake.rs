//! A small HTTP server that answers as an API server does.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a request is answered with: a status, further headers and the body.
pub(super) type Answer = (u16, &'static str, String);

/// A server that runs as long as the tests do.
pub(super) struct Fake {
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Answers each request by its path and query. An empty answer with status 0 never comes.
    pub(super) fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(connection.unwrap(), &seen, &*answer));
            }
        });
        Self { address, requests }
    }

    /// The paths and queries of all requests by now.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn client(&self) -> kube::Client {
        // Fails only when another test has done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = kube::Config::new(self.address.parse().unwrap());
        config.default_retry = false;
        kube::Client::try_from(config).unwrap()
    }

    /// A kubeconfig whose current context is this server.
    pub(super) fn kubeconfig(&self) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             contexts: [{{name: test, context: {{cluster: prod, user: me, namespace: shop}}}}]\n\
             clusters: [{{name: prod, cluster: {{server: \"{}\"}}}}]\n\
             users: [{{name: me, user: {{token: abc}}}}]\n",
            self.address
        );
        file.write_all(text.as_bytes()).unwrap();
        file
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut stream = stream;
    while let Some(Ok(first)) = lines.next() {
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|l| !l.is_empty()))
        {}
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.lock().unwrap().push(path.clone());
        let (status, headers, body) = answer(&path);
        if status == 0 {
            // The connection stays open.
            loop {
                std::thread::park();
            }
        }
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        // The client may have gone.
        if stream.write_all((head + &body).as_bytes()).is_err() {
            return;
        }
    }
}

/// A page of a list of pods.
pub(super) fn page(names: &[&str], version: &str, next: &str) -> String {
    let items: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"shop","uid":"{name}"}},
                "spec":{{"containers":[]}},"status":{{"phase":"Running"}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}",
        "continue":"{next}"}},"items":[{}]}}"#,
        items.join(",")
    )
}

/// An error as the API server says it.
pub(super) fn status(code: u16, message: &str) -> String {
    format!(r#"{{"kind":"Status","code":{code},"message":"{message}"}}"#)
}
