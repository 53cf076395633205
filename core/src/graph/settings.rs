//! The hosts that the settings of a pod name: values of variables, and words of command lines.

use crate::model::Str;
use crate::model::address::{self, Address};
use crate::model::object::{Container, List, PodSpec};

/// The addresses in the env values and arguments of a pod, each with the name of its variable
/// (`args` for arguments).
pub fn addresses(spec: &PodSpec) -> Vec<(&str, Address<'_>)> {
    let mut found = Vec::new();
    for container in spec.all_containers() {
        for env in &container.env {
            if let Some(value) = &env.value {
                let before = found.len();
                found.extend(address::in_text(value).map(|a| (&*env.name, a)));
                if found.len() == before {
                    let named = address::in_connection_string(value);
                    found.extend(named.map(|a| (&*env.name, a)));
                }
                if found.len() == before {
                    let port = port_beside(container, &env.name);
                    let hosts = bare_hosts(&env.name, value).take(MAX_HOSTS);
                    found.extend(hosts.map(|host| (&*env.name, Address { host, port })));
                }
            }
        }
        for words in [&container.command, &container.args] {
            for arg in words {
                found.extend(address::in_text(arg).map(|a| ("args", a)));
            }
            found.extend(after_flags(words).map(|a| ("args", a)));
        }
    }
    found.retain(|(_, a)| !matches!(a.host, "localhost" | "0.0.0.0" | "127.0.0.1"));
    found
}

/// How many hosts of a list are read.
const MAX_HOSTS: usize = 16;

/// The hosts in the value of a variable that is called after them, and the full names of Services
/// in any other.
fn bare_hosts<'a>(variable: &str, value: &'a str) -> impl Iterator<Item = &'a str> {
    let is_named = address::names_host(variable);
    let words = value.split(',').map(str::trim);
    words.filter(move |word| {
        let is_full = || word.split('.').skip(1).any(|label| label == "svc");
        address::is_host(word) && (is_named || is_full())
    })
}

/// The flags of clients behind which a host stands, without a port.
const HOST_FLAGS: [&str; 6] = ["-h", "-H", "--host", "--hostname", "--server", "--endpoint"];

/// The hosts behind the flags of a command line, whether it is in parts or one text of a shell.
fn after_flags(words: &List<Str>) -> impl Iterator<Item = Address<'_>> {
    let parts = || words.iter().flat_map(|word| word.split_whitespace());
    let pairs = parts().zip(parts().skip(1));
    pairs.filter_map(|(flag, host)| {
        // A single word may be anything; a number is an option of another kind.
        let is_name = host.len() > 1 && address::is_host(host);
        (HOST_FLAGS.contains(&flag) && is_name).then_some(Address { host, port: None })
    })
}

/// The port in the variable that belongs to that of a host: `DB_PORT` to `DB_HOST`.
fn port_beside(container: &Container, variable: &str) -> Option<u16> {
    let (prefix, _) = variable.rsplit_once('_')?;
    let beside = |name: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.eq_ignore_ascii_case("_port"))
    };
    container
        .env
        .iter()
        .find(|e| beside(&e.name))?
        .value
        .as_deref()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::container::EnvVar;

    fn hosts(container: Container) -> Vec<String> {
        let spec = PodSpec {
            containers: [container].into_iter().collect(),
            ..PodSpec::default()
        };
        let found = addresses(&spec);
        found.into_iter().map(|(_, a)| a.to_string()).collect()
    }

    fn of_variable(name: &str, value: &str) -> Vec<String> {
        hosts(Container {
            env: [EnvVar {
                name: name.into(),
                value: Some(value.into()),
                ..EnvVar::default()
            }]
            .into_iter()
            .collect(),
            ..Container::default()
        })
    }

    fn of_command(words: &[&str]) -> Vec<String> {
        hosts(Container {
            command: words.iter().copied().map(Str::from).collect(),
            ..Container::default()
        })
    }

    #[test]
    fn hosts_stand_in_lists_and_behind_flags() {
        assert_eq!(of_variable("DB_SEEDS", "db-a,db-b"), ["db-a", "db-b"]);
        assert_eq!(
            of_variable("ANY", "db.shop.svc.cluster.local"),
            ["db.shop.svc.cluster.local"]
        );
        assert!(of_variable("MODE", "primary").is_empty(), "a word");
        assert!(of_variable("WORKER_NODES", "3").is_empty(), "a number");
        assert_eq!(
            of_command(&["mysql", "-h", "db-0.db", "-e", "SELECT 1"]),
            ["db-0.db"]
        );
        assert_eq!(
            of_command(&["sh", "-c", "pg_dump --host pg shop > /a"]),
            ["pg"]
        );
        assert!(of_command(&["df", "-h", "/data"]).is_empty(), "a path");
        assert!(of_command(&["sort", "-h", "1"]).is_empty(), "no name");
    }
}
