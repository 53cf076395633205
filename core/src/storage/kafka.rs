//! URLs of Kafka clusters.

use url::form_urlencoded;

use super::{Error, ErrorKind, Result};

/// How to connect to a Kafka cluster.
#[derive(Clone)]
pub struct KafkaUrl {
    /// Bootstrap brokers, `host:port`.
    pub brokers: Vec<String>,
    /// User and password for SASL/SCRAM-SHA-512.
    pub user: Option<(String, String)>,
    /// Whether to use TLS.
    pub tls: bool,
    /// File with trusted certificates; the system's when `None`.
    pub ca: Option<String>,
    /// Replicas of each partition.
    pub replication: i16,
}

const FORM: &str = "expected kafka://[user:password@]host:9092[,host:9092…]\
    [?tls=true&ca=/path/ca.pem&replication=3]";

fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    form_urlencoded::parse(pair.as_bytes())
        .map(|(_, v)| v.into_owned())
        .next()
        .unwrap_or_default()
}

impl KafkaUrl {
    /// Parses a URL. The url crate does not support lists of hosts.
    ///
    /// # Errors
    /// When it is invalid. The message never contains the password.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::Internal, format!("invalid Kafka URL: {what}")).hint(FORM)
        };
        let rest = url
            .strip_prefix("kafka://")
            .ok_or_else(|| wrong("it does not start with kafka://"))?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user, hosts) = address
            .rsplit_once('@')
            .map(|(user, hosts)| (Some(user), hosts))
            .unwrap_or((None, address));
        let pair = user
            .map(|u| {
                u.split_once(':')
                    .ok_or_else(|| wrong("the user has no password"))
            })
            .transpose()?;
        let user = pair.map(|(user, password)| (decoded(user), decoded(password)));
        let brokers: Vec<String> = hosts
            .trim_end_matches('/')
            .split(',')
            .filter(|h| !h.is_empty())
            .map(str::to_owned)
            .collect();
        if brokers.is_empty()
            || brokers.iter().any(|b| {
                b.rsplit_once(':')
                    .map(|(_, port)| port.parse::<u16>().is_err())
                    .unwrap_or(true)
            })
        {
            return Err(wrong("each broker needs a host and a port"));
        }
        let mut settings = Self {
            brokers,
            user,
            tls: false,
            ca: None,
            replication: 3,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "tls" => {
                    settings.tls = value
                        .parse()
                        .map_err(|_| wrong("`tls` must be true or false"))?;
                }
                "ca" => settings.ca = Some(value.into_owned()),
                "replication" => {
                    settings.replication = value
                        .parse()
                        .map_err(|_| wrong("`replication` must be a number"))?;
                }
                other => return Err(wrong(&format!("unknown parameter `{other}`"))),
            }
        }
        if settings.ca.is_some() && !settings.tls {
            return Err(wrong("`ca` needs `tls=true`"));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_sets_everything() {
        let s = KafkaUrl::parse(
            "kafka://us%40er:p%2Fw@a:9092,b:9093?tls=true&ca=/ca.pem&replication=2",
        )
        .unwrap();
        assert_eq!(s.brokers, ["a:9092", "b:9093"]);
        assert_eq!(s.user, Some(("us@er".into(), "p/w".into())));
        assert!(s.tls && s.ca.as_deref() == Some("/ca.pem") && s.replication == 2);
        let plain = KafkaUrl::parse("kafka://localhost:9092").unwrap();
        assert!(plain.user.is_none() && !plain.tls && plain.replication == 3);
    }

    #[test]
    fn errors_do_not_contain_the_password() {
        for wrong in [
            "kafka://",
            "kafka://host",
            "kafka://u@h:1",
            "kafka://u:secret@h:1?tsl=true",
            "kafka://u:secret@h:1?ca=/x",
        ] {
            let error = KafkaUrl::parse(wrong).err().unwrap();
            assert!(!format!("{error:?}").contains("secret"), "{error}");
        }
    }
}
