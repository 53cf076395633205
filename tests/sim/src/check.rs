//! What must hold when all faults are over and everything that waited is done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kgrca_core::billing::Metric;
use kgrca_core::jobs::{JobFilter, JobState};
use kgrca_core::model::Topic;
use kgrca_core::storage::{
    ApiKeys, IncidentFilter, Incidents, Jobs, Progress, Sagas, Tenants, Usage,
};
use kgrca_core::tenancy::{Saga, SagaKind, Tenant, TenantId, TenantState};
use kgrca_daemon::simulated::SimulatedDaemon;

use crate::graph::Graph;
use crate::ledger::{distinct, refused_and_letters};
use crate::world::World;

/// The causes of a tenant's open incidents, and the names in its graph; without its canary, so that
/// tenants of other worlds have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    causes: BTreeSet<String>,
    graph: BTreeSet<String>,
}

impl Answers {
    /// Whether there is something that could be wrong.
    pub fn has_causes(&self) -> bool {
        !self.causes.is_empty() && !self.graph.is_empty()
    }
}

impl World {
    /// What is still to be done; `None` when everything is.
    pub async fn unfinished(&self) -> Option<String> {
        if self.faults_left.load(Ordering::Relaxed) > 0 {
            return Some("faults".to_owned());
        }
        let meta = self.observer();
        for saga in meta.sagas(None).await.ok()? {
            if !saga.is_over() {
                return Some(format!("{} {:?} {:?}", saga.saga_id, saga.kind, saga.state));
            }
        }
        let filter = JobFilter {
            limit: 1000,
            ..JobFilter::default()
        };
        for job in meta.jobs(&filter).await.ok()? {
            let is_open = matches!(job.state, JobState::Queued | JobState::Running);
            if is_open && job.every_seconds.is_none() {
                return Some(format!("{} {}", job.job_id, job.kind));
            }
        }
        for tenant in meta.list_tenants().await.ok()? {
            let id = TenantId::parse(&tenant.client_id)?;
            if !tenant.state.is_worked() {
                continue;
            }
            let positions = meta.offsets(&id).await.ok()?;
            let positions: BTreeMap<_, _> = positions.iter().map(|o| (o.stream, o.next)).collect();
            let all = self.brokers.all();
            for (stream, end) in all.get(&id)?.ends() {
                // Ticks go on.
                let is_input = !matches!(stream.topic, Topic::Dlq | Topic::Control);
                let position = positions.get(&stream).copied().unwrap_or(0);
                if is_input && position < end {
                    return Some(format!("{id} {stream:?} is at {position} of {end}"));
                }
            }
        }
        None
    }

    /// Checks a world that is done.
    pub async fn check(&self) {
        let meta = self.observer();
        let (Ok(sagas), Ok(tenants)) = (meta.sagas(None).await, meta.list_tenants().await) else {
            self.shared.violated("the metadata cannot be read");
            return;
        };
        for saga in &sagas {
            self.check_saga(saga, &tenants);
        }
        for tenant in tenants.iter().filter(|t| t.state.is_worked()) {
            self.check_tenant(tenant).await;
        }
        let listed = |id: &TenantId| tenants.iter().any(|t| t.client_id == id.as_str());
        let topics: Vec<TenantId> = self.brokers.all().keys().cloned().collect();
        let graphs: Vec<TenantId> = self.graphs.all().keys().cloned().collect();
        for id in topics.iter().chain(&graphs).filter(|id| !listed(id)) {
            self.shared
                .violated(format!("left over: data of {id}, which is not a tenant"));
        }
    }

    fn check_saga(&self, saga: &Saga, tenants: &[Tenant]) {
        let row = tenants.iter().find(|t| t.client_id == saga.client_id);
        let state = row.map(|t| t.state);
        let id = TenantId::parse(&saga.client_id);
        let has_data = id.is_some_and(|id| {
            self.brokers.all().contains_key(&id) || self.graphs.all().contains_key(&id)
        });
        let is_done = saga.state == kgrca_core::tenancy::SagaState::Done;
        let is_right = match (saga.kind, is_done) {
            (SagaKind::Create, true) => match state {
                Some(TenantState::Active) => has_data,
                Some(TenantState::Deleted) => !has_data,
                _ => false,
            },
            (SagaKind::Create, false) => row.is_none() && !has_data,
            (SagaKind::Delete, true) => state == Some(TenantState::Deleted) && !has_data,
            _ => false,
        };
        if !is_right {
            let (kind, ended) = (saga.kind, saga.state);
            let id = &saga.client_id;
            self.shared.violated(format!(
                "sagas: {kind:?} of {id} is {ended:?}, the tenant is {state:?}, data: {has_data}"
            ));
        }
    }

    async fn check_tenant(&self, tenant: &Tenant) {
        let meta = self.observer();
        let Some(id) = TenantId::parse(&tenant.client_id) else {
            return;
        };
        let there = self
            .brokers
            .all()
            .get(&id)
            .map(distinct)
            .unwrap_or_default();
        let counted = self.brokers.all().get(&id).map(refused_and_letters);
        let [refused, letters] = counted.unwrap_or_default();
        if letters < refused {
            self.shared.violated(format!(
                "refused: {id} has {letters} dead letters for {refused} refused records"
            ));
        }
        let usage = meta.usage_total(&id).await.unwrap_or_default();
        let total = |metric| usage.get(&metric).copied().unwrap_or(0);
        let applied = total(Metric::RecordsApplied);
        let charged = total(Metric::EventsIngested);
        if applied != there.records || charged != there.metered {
            self.shared.violated(format!(
                "usage: {id} has {there:?}; {applied} were applied and {charged} charged"
            ));
        }
        let summed = {
            let ledger = self.ledger.tenants();
            ledger
                .get(id.as_str())
                .map(|s| s.of(Metric::RecordsApplied))
        };
        if summed.unwrap_or(0) != applied {
            self.shared.violated(format!(
                "usage: {id}: the ledger has {summed:?}, not {applied}"
            ));
        }
        let keys = meta.keys(Some(id.as_str())).await.unwrap_or_default();
        let now = self.shared.kernel.time();
        if keys.iter().filter(|key| key.holds(now)).count() != 1 {
            self.shared
                .violated(format!("sagas: keys of {id}: {keys:?}"));
        }
        let filter = JobFilter {
            client_id: Some(id.to_string()),
            limit: 1000,
            ..JobFilter::default()
        };
        let jobs = meta.jobs(&filter).await.unwrap_or_default();
        let hourly = jobs.iter().filter(|job| job.kind == "tenant.maintain");
        if hourly.count() != 1 {
            self.shared.violated(format!(
                "jobs: {id} has another number of hourly jobs than 1: {jobs:?}"
            ));
        }
    }

    /// The daemon's own recount agrees with what was charged.
    pub async fn recount(&self) {
        let meta = self.observer();
        for tenant in meta.list_tenants().await.unwrap_or_default() {
            if !tenant.state.is_worked() {
                continue;
            }
            let id = tenant.client_id;
            let asked = async move |d: Arc<SimulatedDaemon>| d.recount(&id).await;
            match self.request(0, asked).await {
                Some(Ok(Some(days))) if days.iter().all(|day| day.agrees == Some(true)) => {}
                Some(Ok(None)) | None => {}
                Some(other) => self.shared.violated(format!("recount: {other:?}")),
            }
        }
    }

    /// What is answered to each tenant that is served, by its number.
    pub async fn answers(&self) -> BTreeMap<usize, Answers> {
        let meta = self.observer();
        let mut all = BTreeMap::new();
        for tenant in meta.list_tenants().await.unwrap_or_default() {
            let mut canaries = self.shared.canaries.iter();
            let number = canaries.position(|c| tenant.client_id.contains(c.as_str()));
            let (Some(number), Some(id)) = (number, TenantId::parse(&tenant.client_id)) else {
                continue;
            };
            if !tenant.state.is_worked() {
                continue;
            }
            let canary = &self.shared.canaries[number];
            let filter = IncidentFilter {
                limit: 100,
                ..IncidentFilter::default()
            };
            let incidents = meta.incidents(&id, &filter).await.unwrap_or_default();
            let mut answers = Answers::default();
            for row in incidents.iter().filter(|row| row.merged_into.is_none()) {
                let number = row.incident_id.trim_start_matches("inc-").parse();
                let scorer = kgrca_core::rca::Scorer::Causal;
                let answer = meta.answer(&id, number.unwrap_or(0), scorer, None).await;
                let causes = answer.ok().flatten().map(|a| a.causes).unwrap_or_default();
                let names: Vec<String> = causes
                    .iter()
                    .map(|c| format!("{} {}", c.component, c.fault_type))
                    .collect();
                if names.is_empty() {
                    // Whether a symptom without a cause is seen depends on when it is evaluated.
                    continue;
                }
                let text = format!("{} {names:?}", row.cluster);
                answers.causes.insert(text.replace(canary, "CANARY"));
            }
            let graphs = self.graphs.all();
            let contents = graphs.get(&id).into_iter().flat_map(Graph::contents);
            let names = contents.map(|name| name.replace(canary, "CANARY"));
            answers.graph.extend(names);
            all.insert(number, answers);
        }
        all
    }
}
