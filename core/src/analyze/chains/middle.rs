//! Faults of the component in the middle: what it depends on is well, however far down one looks.

use serde_json::{Value, json};

use super::world::Workload;
use super::{Chain, Maker, SEEDS, Style, check};

/// A fault of a client of a healthy server.
#[derive(Clone, Copy, Debug)]
enum Own {
    LoginRefused,
    DatabaseMissing,
    PoolExhausted,
    OomKilled,
    CertificateRefused,
    NoSpace,
}

impl Own {
    const ALL: [Self; 6] = [
        Self::LoginRefused,
        Self::DatabaseMissing,
        Self::PoolExhausted,
        Self::OomKilled,
        Self::CertificateRefused,
        Self::NoSpace,
    ];

    fn types(self) -> &'static [&'static str] {
        match self {
            Self::LoginRefused => &["dependency.credentials_rejected"],
            Self::DatabaseMissing => &["dependency.database_missing"],
            Self::PoolExhausted => &["performance.pool_exhausted"],
            Self::OomKilled => &["runtime.oom_killed"],
            Self::CertificateRefused => &["service.certificate_invalid"],
            Self::NoSpace => &["storage.volume_full"],
        }
    }

    fn strike(self, b: &mut Workload, server: &str, style: Style) -> Vec<Value> {
        let line = match self {
            Self::LoginRefused => {
                "FATAL: password authentication failed for user \"app\"".to_owned()
            }
            Self::DatabaseMissing => "FATAL: database \"orders\" does not exist".to_owned(),
            Self::PoolExhausted => {
                "QueuePool limit of size 10 overflow 5 reached, connection timed out".to_owned()
            }
            Self::CertificateRefused => {
                format!("Post \"https://{server}/v1\": remote error: tls: bad certificate")
            }
            Self::NoSpace => "write /data/spool/0007: no space left on device".to_owned(),
            Self::OomKilled => {
                b.container["resources"] = json!({"limits": {"memory": "128Mi"}});
                b.status = Some(json!({"ready": false, "restartCount": 9,
                    "state": {"waiting": {"reason": "CrashLoopBackOff",
                        "message": "back-off 5m0s restarting failed container=main"}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled",
                        "startedAt": "2026-03-10T11:56:00Z",
                        "finishedAt": "2026-03-10T11:57:00Z"}}}));
                return b.events("BackOff", "Back-off restarting failed container main", 60);
            }
        };
        b.logs("ERROR", &style.line(&line))
    }
}

fn middle(own: Own, seed: u64) -> Chain {
    let maker = &mut Maker::new(seed.wrapping_mul(419).wrapping_add(own as u64));
    let c = Workload::new(maker.one_of(&["shop", "data"]), &maker.name(), 5432);
    let mut b = Workload::new("shop", &maker.name(), 8080);
    let server = format!("{}:5432", c.host());
    b.container["env"] =
        json!([{"name": "DATABASE_URL", "value": format!("postgres://{server}/a")}]);
    let style = maker.one_of(&Style::ALL);
    let mut records = own.strike(&mut b, &server, style);
    let (a, shown) = maker.front(&b);
    records.extend(shown);
    Chain {
        title: format!("{own:?} {seed}"),
        cause: format!("app/{}", b.name),
        records: maker.mix(&[a, b, c], records),
        types: own.types(),
    }
}

#[test]
fn a_fault_of_the_component_in_the_middle_stays_there() {
    let all = Own::ALL.into_iter();
    check(all.flat_map(|own| (0..4 * SEEDS).map(move |seed| middle(own, seed))));
}
