//! Goes on after the first answer: follows every kind, and answers again when the answer changes.

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::analyze::Analysis;
use kgrca_core::model::Time;
use kgrca_core::rca::Verdict;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::watcher::{Report, Watcher};
use super::{MAX_AFFECTED, Session, refused};
use crate::error::Result;
use crate::output::Format;

/// How often changes are evaluated at most.
const EVERY: Duration = Duration::from_secs(2);
/// How often the cluster is evaluated although nothing changed: some faults show by lasting.
const SILENT: Duration = Duration::from_secs(10);
/// How many changes wait to be applied.
const QUEUE: usize = 1000;

/// An answer with its time, as JSON and YAML have it.
#[derive(Serialize)]
struct Timed<'a> {
    at: Time,
    #[serde(flatten)]
    analysis: &'a Analysis,
}

/// Prints the first answer and those that follow, until Ctrl-C.
pub(super) async fn follow(mut session: Session<'_>, first: &Analysis) -> Result {
    session.print_change(first)?;
    let (sender, mut reports) = mpsc::channel(QUEUE);
    for (part, version) in std::mem::take(&mut session.listed) {
        let watcher = Watcher {
            api: Arc::clone(&session.api),
            cluster: session.context.cluster.clone(),
            part,
            version,
            reports: sender.clone(),
        };
        tokio::spawn(watcher.run());
    }
    drop(sender);
    session.env.out.message("watching for changes; Ctrl-C ends");
    let mut shown = Shown::of(first);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut has_news, mut evaluated) = (false, Instant::now());
    let mut ctrl_c = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            biased;
            interrupted = &mut ctrl_c => return Ok(interrupted?),
            _ = ticks.tick() => {
                if !has_news && evaluated.elapsed() < SILENT {
                    continue;
                }
                (has_news, evaluated) = (false, Instant::now());
                let analysis = tokio::select! {
                    interrupted = &mut ctrl_c => return Ok(interrupted?),
                    analysis = session.answer_again() => analysis?,
                };
                let new = Shown::of(&analysis);
                if new != shown {
                    session.print_change(&analysis)?;
                    shown = new;
                }
            }
            report = reports.recv() => match report {
                Some(report) => has_news |= session.apply(report)?,
                None => return Err(refused::unwatchable(&session.context, &session.kubectl)),
            },
        }
    }
}

/// What makes an answer another one: the verdict and the ranked causes.
#[derive(PartialEq, Eq)]
struct Shown {
    verdict: Verdict,
    causes: Vec<(String, String, String)>,
}

impl Shown {
    fn of(analysis: &Analysis) -> Self {
        let causes = analysis.causes.iter();
        let name = |text: &String| text.clone();
        Self {
            verdict: analysis.verdict,
            causes: causes
                .map(|c| (name(&c.namespace), name(&c.component), name(&c.fault_type)))
                .collect(),
        }
    }
}

impl Session<'_> {
    /// Applies what a watcher reports. Returns whether it may change the answer.
    fn apply(&mut self, report: Report) -> Result<bool> {
        match report {
            Report::Changed(change) => Ok(self.live.change(change)),
            Report::Listed(listed) => {
                self.take(*listed);
                Ok(true)
            }
            Report::Refused(part, refusal) => {
                if let Some(error) = refused::fatal(&refusal, &self.context) {
                    return Err(error);
                }
                let missing = refused::missing(&part, "watch", &refusal, &self.kubectl);
                let (what, why) = (&missing.what, &missing.why);
                let message = format!("changes of {what} are not seen: {why}");
                self.env.out.message(&message);
                self.live.lacks(missing);
                Ok(true)
            }
        }
    }

    /// Reads the logs of what became unhealthy, and evaluates.
    async fn answer_again(&mut self) -> Result<Analysis> {
        let plan = self.live.unhealthy(self.api.now(), MAX_AFFECTED);
        self.read_logs(plan, "unhealthy containers").await?;
        Ok(self.evaluate())
    }

    fn print_change(&self, analysis: &Analysis) -> Result {
        let (out, at) = (self.env.out, self.options.now);
        match out.format {
            Format::Json => out.json_line(&Timed { at, analysis }),
            Format::Table => {
                out.text(&format!("\n{}\n", out.time(at)))?;
                super::super::print(self.env, analysis)
            }
            _ => super::super::print(self.env, analysis),
        }
    }
}
