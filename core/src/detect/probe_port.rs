//! Probes that ask a server for what it does not serve: another port, protocol or path.

use super::View;
use super::finding::Strength;
use super::probe_checks::{Diagnosis, Observation};
use super::text::has;
use crate::graph::Idx;
use crate::model::object::container::ContainerPort;
use crate::model::object::{Container, PortRef};
use crate::model::time::MINUTE;
use crate::trouble::{self, Class};

/// Variables with the port on which a server listens: those of frameworks before the general ones,
/// which platforms set as well.
const VARIABLES: [&str; 12] = [
    "UVICORN_PORT",
    "FLASK_RUN_PORT",
    "SERVER_PORT",
    "QUARKUS_HTTP_PORT",
    "MICRONAUT_SERVER_PORT",
    "ASPNETCORE_HTTP_PORTS",
    "ASPNETCORE_URLS",
    "STREAMLIT_SERVER_PORT",
    "LISTEN_PORT",
    "HTTP_PORT",
    "APP_PORT",
    "PORT",
];

/// An HTTP probe of a port that is called one of TLS: servers answer plain text with 400 there.
pub(super) fn plain_to_tls(o: &Observation<'_>) -> Option<Diagnosis> {
    let (container, http) = (o.container?, o.probe?.http_get.as_ref()?);
    let is_plain = http.scheme.as_deref().unwrap_or("HTTP") == "HTTP";
    let wanted = o.probe?.port()?;
    let is_meant = |p: &&ContainerPort| match wanted {
        PortRef::Number(number) => p.container_port == *number,
        PortRef::Name(name) => p.name.as_ref() == Some(name),
    };
    let port = container.ports.iter().find(is_meant)?;
    let name = port.name.as_deref().unwrap_or("");
    let is_tls = matches!(port.container_port, 443 | 8443) || has(name, &["https", "tls"]);
    (is_plain && is_tls && has(o.message, &["statuscode: 400"])).then(|| Diagnosis {
        fault: o.kind.wrong_protocol(),
        strength: Strength::Strong,
        message: format!(
            "{} speaks HTTP to port {} (`{name}`), and the server answers 400 as one of HTTPS does",
            o.title(),
            port.container_port
        ),
    })
}

/// A path that the server does not know: it answers 404 whenever the kubelet asks.
pub(super) fn wrong_path(o: &Observation<'_>) -> Option<Diagnosis> {
    let http = o.probe?.http_get.as_ref()?;
    has(o.message, &["statuscode: 404"]).then(|| Diagnosis {
        fault: o.kind.wrong_port(),
        strength: Strength::Strong,
        message: format!(
            "{} asks for path `{}`, which the server does not have (404)",
            o.title(),
            http.path.as_deref().unwrap_or("/")
        ),
    })
}

/// A port that refuses connections, while the settings of its container name another one.
pub(super) fn listens_elsewhere(o: &Observation<'_>) -> Option<Diagnosis> {
    if !o.is_failing() {
        return None;
    }
    let asked = refused_port(o.view, o.pod, o.message)?;
    let spec = o.view.pod_spec(o.pod)?;
    let declares = |c: &&Container| {
        let mut ports = c.ports.iter();
        ports.any(|p| p.container_port == i64::from(asked))
    };
    let container = spec.containers.iter().find(declares).or(o.container)?;
    let (setting, port) = listening_port(container)?;
    (port != asked).then(|| Diagnosis {
        fault: o.kind.wrong_port(),
        strength: Strength::Strong,
        message: format!(
            "{} fails: nothing listens on port {asked}; `{setting}` of container `{}` is {port}",
            o.title(),
            container.name
        ),
    })
}

/// A port on which nothing listens, although the container that declares it has been running for a
/// while and complains of nothing: its program listens on another one. A sidecar that asks for it
/// says so.
pub(super) fn nothing_listens(o: &Observation<'_>) -> Option<Diagnosis> {
    let spec = o.view.pod_spec(o.pod).filter(|_| o.has_failed)?;
    let asked = refused_locally(o.view, o.pod)?;
    let declares = |c: &&Container| {
        let mut ports = c.ports.iter();
        ports.any(|p| p.container_port == i64::from(asked.port))
    };
    let is_other = |c: &&Container| asked.by.is_some_and(|writer| writer != &*c.name);
    let mut meant = spec.containers.iter().filter(is_other);
    let container = meant.find(declares)?;
    let status = &o.view.pod(o.pod)?.status.container_statuses;
    let status = status.iter().find(|c| c.name == container.name)?;
    let running = status.state.running.as_ref()?;
    let complains = o
        .view
        .logs(o.pod)
        .any(|l| l.container.as_deref() == Some(&*container.name) && !l.trouble().is_empty());
    let started = running.started_at.0?;
    let lasts = o.view.now.0 - started.0 >= 5 * MINUTE && status.restart_count == 0;
    (lasts && !complains).then(|| Diagnosis {
        fault: o.kind.wrong_port(),
        strength: Strength::Fair,
        message: format!(
            "{} fails: container `{}` runs, and nothing listens on its port {}",
            o.title(),
            container.name,
            asked.port
        ),
    })
}

/// A port that refused a container of the same pod.
struct RefusedPort<'a> {
    by: Option<&'a str>,
    port: u16,
}

fn refused_locally<'a>(view: &View<'a>, pod: Idx) -> Option<RefusedPort<'a>> {
    let is_local = |text: &str| text.contains("127.0.0.1:") || text.contains("localhost:");
    view.logs(pod)
        .filter(|l| view.now.0 - l.last.0 <= 15 * MINUTE && is_local(&l.sample))
        .find_map(|l| {
            let port = refused_in(&l.sample)?;
            let by = l.container.as_deref();
            Some(RefusedPort { by, port })
        })
}

/// The port that a text says refused a connection.
fn refused_in(text: &str) -> Option<u16> {
    let refuses = trouble::read(text).has(Class::Refused);
    let mut hosts = trouble::host::in_text(text).into_iter();
    hosts.find_map(|named| named.port).filter(|_| refuses)
}

/// The port that refuses connections, by the probe's message or by what a sidecar logs.
fn refused_port(view: &View<'_>, pod: Idx, message: &str) -> Option<u16> {
    refused_in(message).or_else(|| refused_locally(view, pod).map(|refused| refused.port))
}

/// The port on which a container's program should listen, with the setting that says so.
fn listening_port(container: &Container) -> Option<(&str, u16)> {
    let number = |text: &str| text.rsplit(':').next()?.trim_end_matches('/').parse().ok();
    let of_variable = VARIABLES.iter().find_map(|name| {
        let variable = container.env.iter().find(|e| &*e.name == *name)?;
        Some((*name, number(variable.value.as_deref()?)?))
    });
    of_variable.or_else(|| {
        let args = container.command.iter().chain(container.args.iter());
        let mut values = args.flat_map(|arg| arg.split(['=', ' ']));
        values.find(|word| *word == "--port")?;
        Some(("--port", number(values.next()?)?))
    })
}
