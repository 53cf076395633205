//! What the template of the pods, or the pod that shows the fault, tells.

use super::known::{Known, one};
use crate::detect::Finding;
use crate::model::Command;
use crate::model::object::{Container, PodSpec, Quantity};

impl Known<'_> {
    pub(super) fn spec(&self) -> Option<&PodSpec> {
        let view = &self.cause.view;
        let of_pod = || view.pod_spec(self.pod()?);
        view.pod_spec(self.target.idx).or_else(of_pod)
    }

    /// The only name that the spec refers to.
    pub(super) fn only(&self, names: fn(&PodSpec) -> Vec<String>) -> Option<String> {
        let mut names = names(self.spec()?);
        names.sort_unstable();
        names.dedup();
        let named: Vec<&str> = names.iter().map(String::as_str).collect();
        let in_words: Vec<&str> = named.iter().copied().filter(|n| self.is_named(n)).collect();
        one(&in_words).or_else(|| one(&named))
    }

    pub(super) fn account(&self) -> Option<String> {
        let name = self.spec()?.service_account_name.as_deref();
        Some(name.unwrap_or("default").to_owned())
    }

    /// The container at fault, with its place in the list unless it is an init container: the only
    /// one, the one that the evidence names, the only one that is not well, or the only one that is
    /// no init container.
    pub(super) fn container(&self) -> Option<(Option<usize>, &Container)> {
        let spec = self.spec()?;
        let main = spec.containers.iter().enumerate();
        let main: Vec<(Option<usize>, &Container)> = main.map(|(at, c)| (Some(at), c)).collect();
        let init = spec.init_containers.iter().map(|c| (None, c));
        let all: Vec<(Option<usize>, &Container)> = main.iter().copied().chain(init).collect();
        let named = all.iter().filter(|(_, c)| self.is_named(&c.name));
        let ailing = self.ailing();
        let ailing = all.iter().filter(|(_, c)| ailing.contains(&&*c.name));
        let sets = [
            all.iter().collect::<Vec<_>>(),
            named.collect(),
            ailing.collect(),
            main.iter().collect(),
        ];
        sets.into_iter().find_map(|set| match set[..] {
            [one] => Some(*one),
            _ => None,
        })
    }

    /// Containers that are not ready; none of those that wait for an init container.
    fn ailing(&self) -> Vec<&str> {
        let pod = self.pod().and_then(|pod| self.cause.view.pod(pod));
        let statuses = pod.into_iter().flat_map(|pod| pod.status.all_containers());
        let ailing = statuses.filter(|s| {
            let waiting = s.state.waiting.as_ref().and_then(|w| w.reason.as_deref());
            let has_ended = s
                .state
                .terminated
                .as_ref()
                .is_some_and(|t| t.exit_code == Some(0));
            let is_ailing = s.ready == Some(false) || s.state.waiting.is_some();
            is_ailing && !has_ended && waiting != Some("PodInitializing")
        });
        ailing.map(|status| &*status.name).collect()
    }

    /// Whether the finding puts a name in quotes.
    fn is_named(&self, name: &str) -> bool {
        let word = format!("`{name}`");
        let has = |finding: &&Finding| {
            let mut facts = finding.evidence.iter();
            finding.message.contains(&word) || facts.any(|fact| fact.what.contains(&word))
        };
        self.cause.findings.iter().any(has)
    }

    /// The only port that the container declares.
    pub(super) fn port(&self) -> Option<String> {
        let (_, container) = self.container()?;
        match &container.ports[..] {
            [only] => Some(only.container_port.to_string()),
            _ => None,
        }
    }

    /// Of several containers, only the one at fault gets other resources.
    pub(super) fn container_of_resources(&self, words: &[String], command: Command) -> Command {
        let is_set = words.windows(2).any(|two| two == ["set", "resources"]);
        let several = self
            .spec()
            .is_some_and(|spec| spec.all_containers().count() > 1);
        match self.container().filter(|_| is_set && several) {
            Some((_, c)) => command.with([&*format!("--containers={}", c.name)]),
            None => command,
        }
    }

    /// Twice what there is now.
    pub(super) fn more(&self, words: &[String]) -> Option<String> {
        let word = words.iter().find(|word| word.contains("<more>"))?;
        if word == "--replicas=<more>" {
            let workload = self.cause.view.object(self.target.idx)?.workload()?;
            return twice(&workload.spec.replicas?.to_string());
        }
        let resource = raised(word)?;
        let (_, container) = self.container()?;
        let set = if word.starts_with("--limits") {
            &container.resources.limits
        } else {
            &container.resources.requests
        };
        twice(set.text(resource)?)
    }

    /// A limit that a raised request would exceed is raised to the same.
    pub(super) fn with_limit(&self, words: &[String], command: Command) -> Command {
        let limit = || {
            let word = words.iter().find(|word| word.starts_with("--requests="))?;
            let resource = raised(word)?;
            let wanted = self.more(words)?;
            let limit = self.container()?.1.resources.limits.text(resource)?;
            let is_above = Quantity::parse(&wanted)? > Quantity::parse(limit)?;
            is_above.then(|| format!("--limits={resource}={wanted}"))
        };
        match limit() {
            Some(limit) => command.with([&*limit]),
            None => command,
        }
    }
}

/// The resource of which an option sets more.
fn raised(word: &str) -> Option<&'static str> {
    let resources = ["memory", "cpu", "ephemeral-storage"];
    let is_of = |resource: &&str| word.ends_with(&format!("{resource}=<more>"));
    resources.into_iter().find(is_of)
}

/// `512Mi` of `256Mi`.
fn twice(quantity: &str) -> Option<String> {
    let end = quantity.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = quantity.split_at(end.unwrap_or(quantity.len()));
    let number: u64 = number.parse().ok()?;
    let is_unit = unit.chars().all(|c| c.is_ascii_alphabetic());
    (number > 0 && is_unit).then_some(())?;
    Some(format!("{}{unit}", number.checked_mul(2)?))
}

pub(super) fn pull_secrets(spec: &PodSpec) -> Vec<String> {
    let names = spec
        .image_pull_secrets
        .iter()
        .filter_map(|r| r.name.as_ref());
    names.map(ToString::to_string).collect()
}

pub(super) fn secrets(spec: &PodSpec) -> Vec<String> {
    let sources = spec.containers.iter().flat_map(|c| {
        let of_env = c
            .env
            .iter()
            .filter_map(|e| e.value_from.as_ref()?.secret_key_ref.as_ref());
        let whole = c.env_from.iter().filter_map(|e| e.secret_ref.as_ref());
        of_env.chain(whole).filter_map(|r| r.name.as_ref())
    });
    sources.map(ToString::to_string).collect()
}

pub(super) fn config_maps(spec: &PodSpec) -> Vec<String> {
    let sources = spec.containers.iter().flat_map(|c| {
        let of_env = c.env.iter();
        let of_env = of_env.filter_map(|e| e.value_from.as_ref()?.config_map_key_ref.as_ref());
        let whole = c.env_from.iter().filter_map(|e| e.config_map_ref.as_ref());
        of_env.chain(whole).filter_map(|r| r.name.as_ref())
    });
    let mounted = spec
        .volumes
        .iter()
        .filter_map(|v| v.config_map.as_ref()?.name.as_ref());
    sources.chain(mounted).map(ToString::to_string).collect()
}
