use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that gives one answer.
async fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

async fn post(url: &str, allowed: &[&str]) -> Result<(), Failure> {
    // The first of several tests installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let allowed: Vec<Network> = allowed.iter().map(|n| Network::parse(n).unwrap()).collect();
    let outbound = Outbound::new(&allowed);
    outbound.post(url, HeaderMap::new(), "{}".to_owned()).await
}

#[tokio::test]
async fn what_is_not_public_is_reached_only_where_it_is_allowed() {
    let url = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(post(&url, &["127.0.0.0/8"]).await, Ok(()));
    let by_name = url.replace("127.0.0.1", "localhost");
    for refused in [
        url.as_str(),
        &by_name,
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.1/",
    ] {
        let failure = post(refused, &[]).await.unwrap_err();
        assert!(
            failure.is_lasting && failure.text.contains("not public"),
            "{refused} {failure:?}"
        );
    }
    for invalid in [
        "file:///etc/passwd",
        "http://user:secret@example.com/",
        "nonsense",
    ] {
        assert!(
            post(invalid, &[]).await.unwrap_err().is_lasting,
            "{invalid}"
        );
    }
}

#[tokio::test]
async fn an_answer_says_whether_to_try_again() {
    let allowed = ["127.0.0.0/8"];
    let failure = async |answer| post(&server(answer).await, &allowed).await.unwrap_err();
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let busy = failure(busy).await;
    assert_eq!(
        (busy.is_lasting, busy.retry_after),
        (false, Some(Duration::from_secs(7)))
    );
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n";
    assert!(failure(moved).await.is_lasting);
    assert!(
        failure("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await
            .is_lasting
    );
    assert!(
        !failure("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
            .await
            .is_lasting
    );
    assert!(!failure("").await.is_lasting);
}
