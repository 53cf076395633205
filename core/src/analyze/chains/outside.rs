//! Servers outside the cluster, of which only what their clients write is known.

use serde_json::{Value, json};

use super::suffering::Suffering;
use super::world::Workload;
use super::{Chain, Maker, SEEDS, Style, check};

const HOST: &str = "store-7.corp.example.net";

/// What a server outside does.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Silent,
    Refuses,
    Sealed,
    ReadOnly,
    Full,
    Busy,
    Expired,
}

impl Trouble {
    const ALL: [Self; 7] = [
        Self::Silent,
        Self::Refuses,
        Self::Sealed,
        Self::ReadOnly,
        Self::Full,
        Self::Busy,
        Self::Expired,
    ];

    fn types(self) -> &'static [&'static str] {
        match self {
            Self::Silent | Self::Refuses | Self::Sealed => &["dependency.down"],
            Self::ReadOnly => &["dependency.read_only"],
            Self::Full => &["dependency.connection_limit"],
            Self::Busy => &["dependency.slow"],
            Self::Expired => &["service.certificate_invalid"],
        }
    }

    /// What a client writes, with the name of the server where its driver gives it.
    fn said(self, server: &str) -> String {
        match self {
            Self::Silent => format!("dial tcp {server}: connect: connection timed out"),
            Self::Refuses => format!("dial tcp {server}: connect: connection refused"),
            Self::Sealed => "ORA-01034: ORACLE not available".to_owned(),
            Self::ReadOnly => {
                "PSQLException: ERROR: cannot execute INSERT in a read-only transaction".to_owned()
            }
            Self::Full => "FATAL: sorry, too many clients already".to_owned(),
            Self::Busy => "OverloadedException: com.datastax node is overloaded".to_owned(),
            Self::Expired => format!(
                "Get \"https://{server}/v1\": tls: failed to verify certificate: x509: certificate \
                 has expired or is not yet valid"
            ),
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Sealed => 1521,
            Self::ReadOnly | Self::Full => 5432,
            Self::Busy => 9042,
            _ => 8443,
        }
    }

    /// How the settings of a client name the server.
    fn settings(self, form: usize) -> Value {
        let port = self.port();
        match (self, form) {
            (Self::Sealed, _) => json!([{"name": "JDBC_URL",
                "value": format!("jdbc:oracle:thin:@//{HOST}:{port}/PRD")}]),
            (_, 0) => json!([{"name": "STORE_HOST", "value": HOST},
                {"name": "STORE_PORT", "value": port.to_string()}]),
            (Self::ReadOnly | Self::Full, 1) => json!([{"name": "DSN",
                "value": format!("Host={HOST};Port={port};Username=app")}]),
            _ => json!([{"name": "STORE", "value": format!("{HOST}:{port}")}]),
        }
    }
}

fn outside(trouble: Trouble, seed: u64) -> Chain {
    let maker = &mut Maker::new(seed.wrapping_mul(613).wrapping_add(trouble as u64));
    let mut workloads = Vec::new();
    let mut records = Vec::new();
    let server = format!("{HOST}:{}", trouble.port());
    for _ in 0..2 {
        let mut client = Workload::new("shop", &maker.name(), 8080);
        client.container["env"] = trouble.settings(maker.dice.below(3));
        let style = maker.one_of(&Style::ALL);
        records.extend(client.logs("ERROR", &style.line(&trouble.said(&server))));
        records.extend(maker.one_of(&Suffering::ALL).of(&mut client));
        workloads.push(client);
    }
    let (front, shown) = maker.front(&workloads[0]);
    records.extend(shown);
    workloads.push(front);
    Chain {
        title: format!("{trouble:?} {seed}"),
        records: maker.mix(&workloads, records),
        cause: format!("external/{HOST}"),
        types: trouble.types(),
    }
}

#[test]
fn a_server_outside_the_cluster_is_the_cause_of_what_its_clients_repeat() {
    let all = Trouble::ALL.into_iter();
    check(all.flat_map(|trouble| (0..4 * SEEDS).map(move |seed| outside(trouble, seed))));
}
