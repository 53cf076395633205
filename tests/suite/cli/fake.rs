//! A server that gives fixed answers, for errors that a real one gives only in rare moments.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// The answer to requests whose method and path begin with a text.
pub struct Route {
    /// Such as `GET /api/v1/incidents`.
    pub request: &'static str,
    /// Status, and headers after line breaks.
    pub head: &'static str,
    /// The body, or [`ECHO`].
    pub body: String,
}

/// Stands for the body of the request.
pub const ECHO: &str = "<the request's body>";

/// A route with an answer of status 200.
pub fn ok(request: &'static str, body: impl Into<String>) -> Route {
    with(request, "200 OK", body)
}

/// A route with any status.
pub fn with(request: &'static str, head: &'static str, body: impl Into<String>) -> Route {
    let body = body.into();
    Route {
        request,
        head,
        body,
    }
}

/// Starts a server; the first route that fits answers. Returns its URL.
pub fn serve(routes: Vec<Route>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &routes);
        }
    });
    url
}

fn answer(mut stream: TcpStream, routes: &[Route]) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut request, mut length) = (String::new(), 0);
    if reader.read_line(&mut request).unwrap() == 0 {
        return;
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).unwrap();
    let route = routes.iter().find(|r| request.starts_with(r.request));
    let (head, body) = match route {
        Some(route) if route.body == ECHO => (route.head, sent),
        Some(route) => (route.head, route.body.clone().into_bytes()),
        None => ("404 Not Found", b"{}".to_vec()),
    };
    let mut head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n");
    if !head.contains("content-length") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    // A client that has read enough may have closed the connection.
    let _ = stream
        .write_all((head + "\r\n").as_bytes())
        .and_then(|()| stream.write_all(&body));
}
