//! A connection to a broker for what librdkafka does not support: users, ACLs, quotas, sizes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    RequestHeader, ResponseHeader, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::{
    Decodable, HeaderVersion, Request, StrBytes, encode_request_header_into_buffer,
};
use kgrca_core::storage::{Error, ErrorKind, KafkaUrl, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::ServerName,
    pki_types::pem::PemObject,
};

use super::scram::Exchange;

/// Time limit for one answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Maximum size of an answer, in bytes.
const LARGEST: usize = 64 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An authenticated connection.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    correlation: i32,
}

fn unreachable(broker: &str, why: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("log: Kafka at {broker}: {why}"),
    )
}

impl Connection {
    /// Connects to the first broker that answers.
    pub async fn open(settings: &KafkaUrl) -> Result<Self> {
        let mut last = None;
        for broker in &settings.brokers {
            match tokio::time::timeout(PATIENCE, Self::to(settings, broker)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(e)) => last = Some(e),
                Err(_) => last = Some(unreachable(broker, "timed out")),
            }
        }
        Err(last.unwrap_or_else(|| unreachable("-", "no broker is configured")))
    }

    /// Connects to one broker.
    pub async fn to(settings: &KafkaUrl, broker: &str) -> Result<Self> {
        let tcp = TcpStream::connect(broker)
            .await
            .map_err(|e| unreachable(broker, e))?;
        let stream: Box<dyn Stream> = if settings.tls {
            Box::new(secured(settings, broker, tcp).await?)
        } else {
            Box::new(tcp)
        };
        let mut connection = Self {
            stream,
            correlation: 0,
        };
        if let Some((user, password)) = &settings.user {
            connection.log_in(broker, user, password).await?;
        }
        Ok(connection)
    }

    async fn log_in(&mut self, broker: &str, user: &str, password: &str) -> Result<()> {
        let refused = |why: String| {
            Error::new(
                ErrorKind::Internal,
                format!("log: Kafka at {broker} rejects user `{user}`: {why}"),
            )
            .hint("check user and password in the URL of the log")
        };
        let mechanism = StrBytes::from_static_str("SCRAM-SHA-512");
        let answer = self
            .ask(
                &SaslHandshakeRequest::default().with_mechanism(mechanism),
                1,
            )
            .await?;
        if answer.error_code != 0 {
            return Err(refused(format!(
                "it offers {:?}, not SCRAM-SHA-512",
                answer.mechanisms
            )));
        }
        let nonce = crate::random::random_text(
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            24,
        );
        let exchange = Exchange::new(user, password, &nonce);
        let first = self.say(exchange.first()).await?.map_err(refused)?;
        let (last, expected) = exchange
            .last(&first)
            .ok_or_else(|| refused("invalid SCRAM message".into()))?;
        let end = self.say(last).await?.map_err(refused)?;
        if end == expected {
            Ok(())
        } else {
            Err(refused(
                "the server did not prove that it knows the password".into(),
            ))
        }
    }

    /// Sends one message of the login. The inner error is the broker's.
    async fn say(&mut self, message: String) -> Result<std::result::Result<String, String>> {
        let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(message));
        let answer = self.ask(&request, 2).await?;
        if answer.error_code != 0 {
            let message = answer.error_message.map(|m| m.to_string());
            return Ok(Err(
                message.unwrap_or_else(|| format!("error {}", answer.error_code))
            ));
        }
        Ok(Ok(String::from_utf8_lossy(&answer.auth_bytes).into_owned()))
    }

    /// Sends a request in a protocol version that both sides support.
    pub async fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let wrong = |e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Internal, format!("log: Kafka's protocol: {e}"))
        };
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("kgrcad")));
        let mut body = BytesMut::new();
        encode_request_header_into_buffer(&mut body, &header).map_err(|e| wrong(&e))?;
        request.encode(&mut body, version).map_err(|e| wrong(&e))?;
        let mut framed = BytesMut::with_capacity(body.len() + 4);
        framed.put_i32(body.len() as i32);
        framed.extend_from_slice(&body);
        let exchanged = tokio::time::timeout(PATIENCE, exchange(&mut self.stream, &framed)).await;
        let mut answer = exchanged
            .map_err(|_| unreachable("-", "timed out"))?
            .map_err(|e| unreachable("-", e))?;
        ResponseHeader::decode(&mut answer, R::Response::header_version(version))
            .map_err(|e| wrong(&e))?;
        R::Response::decode(&mut answer, version).map_err(|e| wrong(&e))
    }
}

async fn exchange(stream: &mut Box<dyn Stream>, framed: &[u8]) -> std::io::Result<Bytes> {
    stream.write_all(framed).await?;
    stream.flush().await?;
    let mut len = [0; 4];
    stream.read_exact(&mut len).await?;
    let len = (&len[..]).get_i32() as usize;
    if len > LARGEST {
        return Err(std::io::Error::other(format!(
            "answer too large: {len} bytes"
        )));
    }
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer).await?;
    Ok(answer.into())
}

async fn secured(
    settings: &KafkaUrl,
    broker: &str,
    tcp: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    match &settings.ca {
        Some(file) => {
            let unusable =
                |e: &dyn std::fmt::Display| Error::new(ErrorKind::Internal, format!("{file}: {e}"));
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unusable(&e))? {
                roots
                    .add(certificate.map_err(|e| unusable(&e))?)
                    .map_err(|e| unusable(&e))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = broker
        .rsplit_once(':')
        .map(|(host, _)| host)
        .unwrap_or(broker)
        .trim_matches(['[', ']'])
        .to_owned();
    let name = ServerName::try_from(host).map_err(|e| unreachable(broker, e))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|e| unreachable(broker, e))
}
