//! Against a stand-in that answers as the documentation of Vault's transit engine says.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const TOKEN: &str = "hvs.token";

/// Serves requests of one connection; a connection serves several.
async fn serve(stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length, mut is_allowed) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
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
                None => head = line.to_owned(),
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let (status, answer) = answer(&head, &body, is_allowed);
        let answer = answer.to_string();
        let text = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(text.as_bytes()).await.ok()?;
    }
}

fn answer(
    head: &str,
    body: &serde_json::Value,
    is_allowed: bool,
) -> (&'static str, serde_json::Value) {
    if !is_allowed {
        return ("403 Forbidden", json!({"errors": ["permission denied"]}));
    }
    match head {
        "POST /v1/transit/encrypt/kgrca HTTP/1.1" => {
            let plain = body["plaintext"].as_str().unwrap_or_default();
            let wrapped: String = plain.chars().rev().collect();
            let wrapped = format!("vault:v1:{wrapped}");
            (
                "200 OK",
                json!({"data": {"ciphertext": wrapped, "key_version": 1}}),
            )
        }
        "POST /v1/transit/decrypt/kgrca HTTP/1.1" => {
            let wrapped = body["ciphertext"]
                .as_str()
                .and_then(|w| w.strip_prefix("vault:v1:"));
            match wrapped {
                Some(text) => {
                    let plain: String = text.chars().rev().collect();
                    ("200 OK", json!({"data": {"plaintext": plain}}))
                }
                None => (
                    "400 Bad Request",
                    json!({"errors": ["invalid ciphertext: no prefix"]}),
                ),
            }
        }
        "POST /v1/transit/decrypt/gone HTTP/1.1" => (
            "400 Bad Request",
            json!({"errors": ["encryption key not found"]}),
        ),
        "POST /v1/transit/decrypt/other HTTP/1.1" => (
            "400 Bad Request",
            json!({"errors": ["cipher: message authentication failed"]}),
        ),
        "POST /v1/transit/decrypt/busy HTTP/1.1" => {
            static ASKED: AtomicU32 = AtomicU32::new(0);
            if ASKED.fetch_add(1, Ordering::Relaxed) + 1 < ATTEMPTS {
                let sealed = json!({"errors": ["Vault is sealed"]});
                return ("503 Service Unavailable", sealed);
            }
            ("200 OK", json!({"data": {"plaintext": "dGV4dA=="}}))
        }
        "POST /v1/transit/decrypt/sealed HTTP/1.1" => {
            let sealed = json!({"errors": ["Vault is sealed"]});
            ("503 Service Unavailable", sealed)
        }
        "POST /v1/transit/encrypt/empty HTTP/1.1" => ("200 OK", json!({"warnings": []})),
        "POST /v1/transit/encrypt/blank HTTP/1.1" => {
            ("200 OK", json!({"data": {"ciphertext": ""}}))
        }
        _ => ("404 Not Found", json!({"errors": []})),
    }
}

/// Address of a stand-in.
async fn stand_in() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

#[tokio::test]
async fn keys_are_encrypted_and_decrypted_and_refusals_are_named() {
    // Another test of the process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = stand_in().await;
    // Such a file is its owner's alone.
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), format!("{TOKEN}\n")).unwrap();
    let file = token.path().display();
    let url = format!("vault://{address}/transit/kgrca?tls=false&token-file={file}");
    let vault = Vault::parse(&url).unwrap();
    assert_eq!(vault.id, "vault:transit/kgrca");
    let wrapped = vault.encrypt(b"secret").await.unwrap();
    assert!(wrapped.starts_with("vault:v1:"), "{wrapped}");
    assert_eq!(vault.decrypt(&wrapped).await.unwrap(), b"secret");
    let error = vault.decrypt("nothing").await.unwrap_err();
    assert!(error.message.contains("no prefix"), "{error}");
    assert_eq!(error.kind, ErrorKind::Corrupt, "it is about this one");
    let key = |key: &str| {
        let url = format!("vault://{address}/transit/{key}?tls=false&token-file={file}");
        Vault::parse(&url).unwrap()
    };
    for (name, kind) in [
        ("gone", ErrorKind::Unavailable),
        ("other", ErrorKind::Corrupt),
    ] {
        let error = key(name).decrypt("vault:v1:x").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    let text = key("busy").decrypt("vault:v1:x").await.unwrap();
    assert_eq!(text, b"text", "asked again");
    for key in ["empty", "blank"] {
        let url = format!("vault://{address}/transit/{key}?tls=false&token-file={file}");
        let error = Vault::parse(&url).unwrap().encrypt(b"secret").await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::Unavailable, "{key}");
    }
    // The token is read again for each request.
    std::fs::write(token.path(), "hvs.expired").unwrap();
    let error = vault.encrypt(b"secret").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error.message.contains("403 Forbidden: permission denied"),
        "{error}"
    );
    assert!(!error.message.contains("hvs."), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(token.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = vault.encrypt(b"secret").await.unwrap_err();
        assert!(
            error.message.contains("every user can use the file"),
            "{error}"
        );
    }
    std::fs::remove_file(token.path()).unwrap();
    let error = vault.encrypt(b"secret").await.unwrap_err();
    assert!(error.message.contains("no token"), "{error}");
}

#[tokio::test]
async fn each_refusal_has_its_own_way_out() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = stand_in().await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), TOKEN).unwrap();
    let url = |address: &str, key: &str| {
        let file = token.path().display();
        format!("vault://{address}/transit/{key}?tls=false&token-file={file}")
    };
    let (here, away) = (address.to_string(), "127.0.0.1:1".to_owned());
    for (address, key, way_out) in [
        (&here, "sealed", "vault operator unseal"),
        (&here, "gone", "`vault read transit/keys/gone`"),
        (&here, "mistyped", "`vault read transit/keys/mistyped`"),
        (
            &away,
            "kgrca",
            "reached from kgrcad at http://127.0.0.1:1/v1/transit",
        ),
    ] {
        let vault = Vault::parse(&url(address, key)).unwrap();
        let hint = vault.decrypt("vault:v1:x").await.unwrap_err().hint.unwrap();
        assert!(hint.contains(way_out), "{key}: {hint}");
    }
    std::fs::write(token.path(), "hvs.expired").unwrap();
    let vault = Vault::parse(&url(&here, "kgrca")).unwrap();
    let hint = vault.encrypt(b"secret").await.unwrap_err().hint.unwrap();
    assert!(hint.contains("`update` on transit/encrypt/kgrca"), "{hint}");
}

#[test]
fn invalid_urls_are_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (url, message) in [
        ("vault://", "no host"),
        ("vault://vault.example.com", "a mount and a key"),
        (
            "vault://user:password@vault.example.com/transit/k",
            "a user or password",
        ),
        ("vault://vault.example.com/transit", "a mount and a key"),
        ("vault://vault.example.com/transit/k?tls=false", "loopback"),
        (
            "vault://vault.example.com/transit/k?tokn-file=x",
            "tokn-file",
        ),
        (
            "vault://vault.example.com/transit/k?ca=/nowhere",
            "/nowhere",
        ),
    ] {
        let error = Vault::parse(url).err().unwrap();
        assert!(error.message.contains(message), "{url}: {error}");
    }
    let vault = Vault::parse("vault://vault.example.com/a/transit/k").unwrap();
    assert_eq!(vault.mount, "https://vault.example.com:8200/v1/a/transit");
    assert_eq!(vault.id, "vault:a/transit/k");
    let named = Vault::parse("vault://vault.example.com/a/transit/k?id=new").unwrap();
    assert_eq!(named.id, "vault:new");
}
