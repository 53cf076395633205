//! Jobs: a table that serves as queue and outbox.

use super::value::values;
use super::{Database, Purpose, Reach, Row, SqlMeta, Transaction, from_json, to_json};
use crate::jobs::{
    Job, JobAct, JobCount, JobEnd, JobFilter, JobKind, JobLease, JobState, NewJob, TakeJob,
};
use crate::model::Time;
use crate::model::time::SECOND;
use crate::storage::{Error, ErrorKind, Jobs, Result};
use crate::tenancy::TenantId;

/// The order in which [`job`] reads them.
macro_rules! columns {
    () => {
        "job_id, client_id, kind, payload, key, state, run_at, every, lease_owner, epoch, \
         lease_until, attempts, max_attempts, progress, result, error, created_at, updated_at"
    };
}

/// The condition under which a job may be taken at `$1`.
macro_rules! is_due {
    () => {
        "((j.state = 'queued' AND j.run_at <= $1) OR (j.state = 'running' AND j.lease_until <= $1))"
    };
}

/// The job that is next, of the kinds in `$3`, each between commas.
const NEXT: &str = concat!(
    "SELECT j.job_id, j.state, j.attempts, j.max_attempts, j.client_id FROM jobs j
    LEFT JOIN (SELECT client_id, COUNT(*) AS n FROM jobs
        WHERE state = 'running' AND lease_until > $1 GROUP BY client_id) r
        ON r.client_id = j.client_id
    LEFT JOIN job_turns t ON t.client_id = j.client_id
    WHERE ",
    is_due!(),
    " AND $3 LIKE '%,' || j.kind || ',%' AND COALESCE(r.n, 0) < $2
    ORDER BY COALESCE(r.n, 0), COALESCE(t.turn, 0), j.run_at, j.job_id LIMIT 1"
);

const START: &str = concat!(
    "UPDATE jobs AS j SET state = 'running', lease_owner = $3, lease_until = $4, \
     epoch = epoch + 1, attempts = attempts + 1, progress = NULL, updated_at = $1
    WHERE job_id = $2 AND ",
    is_due!(),
    " RETURNING ",
    columns!()
);

/// Ends a job for good; a recurring one outlives its failures.
macro_rules! bury {
    () => {
        "UPDATE jobs SET
        state = CASE WHEN every IS NULL THEN 'dead' ELSE 'queued' END,
        run_at = CASE WHEN every IS NULL THEN run_at ELSE $3 + every END,
        attempts = CASE WHEN every IS NULL THEN attempts ELSE 0 END,
        error = $4, lease_owner = NULL, lease_until = NULL, updated_at = $3
    WHERE job_id = $1 AND epoch = $2 AND state = 'running'"
    };
}

const BURY: &str = bury!();

/// Unless its daemon has extended the lease meanwhile.
const BURY_LOST: &str = concat!(bury!(), " AND lease_until <= $3");

const DONE: &str = "UPDATE jobs SET
        state = CASE WHEN every IS NULL THEN 'done' ELSE 'queued' END,
        run_at = CASE WHEN every IS NULL THEN run_at ELSE $3 + every END,
        attempts = CASE WHEN every IS NULL THEN attempts ELSE 0 END,
        result = $4, error = NULL, lease_owner = NULL, lease_until = NULL, updated_at = $3
    WHERE job_id = $1 AND epoch = $2 AND state = 'running'";

const RETRY: &str = "UPDATE jobs SET state = 'queued', run_at = $5, error = $4,
        lease_owner = NULL, lease_until = NULL, updated_at = $3
    WHERE job_id = $1 AND epoch = $2 AND state = 'running'";

const LATER: &str = "UPDATE jobs SET state = 'queued', run_at = $4, attempts = attempts - 1,
        lease_owner = NULL, lease_until = NULL, updated_at = $3
    WHERE job_id = $1 AND epoch = $2 AND state = 'running'";

/// In SQL the operator is the tenant without a name.
const OPERATOR: &str = "";

/// Adds a job in the transaction of the change that causes it. Returns the id of the job that
/// counts.
pub(super) async fn put_job(tx: &mut dyn Transaction, job: &NewJob) -> Result<String> {
    let tenant = job.tenant.as_ref().map(TenantId::as_str);
    let tenant = tenant.unwrap_or(OPERATOR);
    let sql = "INSERT INTO jobs (job_id, client_id, kind, payload, key, state, run_at, every, \
         epoch, attempts, max_attempts, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, 0, 0, $8, $9, $9)
        ON CONFLICT DO NOTHING";
    let values = values![
        &job.job_id,
        tenant,
        job.kind.as_str(),
        to_json(&job.payload)?,
        &job.key,
        job.run_at,
        job.every,
        job.max_attempts,
        job.created_at,
    ];
    let known = "SELECT job_id FROM jobs WHERE job_id = $4 OR (client_id = $1 AND kind = $2 \
         AND key = $3 AND state IN ('queued', 'running', 'done'))";
    let known_values = values![tenant, job.kind.as_str(), &job.key, &job.job_id];
    // The job in the way may be cancelled or purged before it is read.
    for _ in 0..2 {
        if tx.run(sql, values.clone()).await? > 0 {
            return Ok(job.job_id.clone());
        }
        let rows = tx.rows(known, known_values.clone()).await?;
        if let Some(mut row) = rows.into_iter().next() {
            return row.text();
        }
    }
    let message = format!(
        "metadata: cannot enqueue {}: its key changes hands",
        job.job_id
    );
    Err(Error::new(ErrorKind::Conflict, message).hint("retry"))
}

/// Adds the jobs that a change causes.
pub(super) async fn put_jobs(tx: &mut dyn Transaction, jobs: &[NewJob]) -> Result<()> {
    for job in jobs {
        put_job(tx, job).await?;
    }
    Ok(())
}

/// Lets daemons take jobs one after the other, so that limits hold over all of them. Returns the
/// number of this turn.
async fn lock_turns(tx: &mut dyn Transaction) -> Result<i64> {
    let sql = "UPDATE job_turn SET turn = turn + 1 RETURNING turn";
    let row = tx.rows(sql, Vec::new()).await?.into_iter().next();
    row.ok_or_else(|| Error::new(ErrorKind::Corrupt, "metadata: job_turn is empty"))?
        .int()
}

/// A job that could be taken.
struct Candidate {
    job_id: String,
    client_id: String,
    /// Its last attempt never ended.
    is_spent: bool,
}

fn next_values(request: &TakeJob<'_>) -> Vec<super::Value> {
    let kinds: String = request.kinds.iter().fold(",".to_owned(), |all, kind| {
        format!("{all}{},", kind.as_str())
    });
    values![request.now, request.max_per_tenant, kinds]
}

fn candidate(mut row: Row) -> Result<Candidate> {
    let (job_id, state) = (row.text()?, row.text()?);
    let (attempts, max_attempts) = (row.int()?, row.int()?);
    Ok(Candidate {
        job_id,
        client_id: row.text()?,
        is_spent: state == JobState::Running.as_str() && attempts >= max_attempts,
    })
}

/// Takes the next job in a transaction that holds the turn; buries those that cannot be tried
/// again.
async fn take(tx: &mut dyn Transaction, request: &TakeJob<'_>, turn: i64) -> Result<Option<Job>> {
    loop {
        let found = tx.rows(NEXT, next_values(request)).await?;
        let Some(next) = found.into_iter().next().map(candidate).transpose()? else {
            return Ok(None);
        };
        if next.is_spent {
            let sql = "SELECT epoch, attempts FROM jobs WHERE job_id = $1";
            let rows = tx.rows(sql, values![&next.job_id]).await?;
            for mut row in rows {
                let (epoch, attempts) = (row.int()?, row.int()?);
                let why = format!(
                    "attempt {attempts} never ended: its daemon stopped, or could not renew the \
                     lease"
                );
                let values = values![&next.job_id, epoch, request.now, why];
                tx.run(BURY_LOST, values).await?;
            }
            continue;
        }
        let values = values![request.now, &next.job_id, request.owner, request.until];
        let Some(row) = tx.rows(START, values).await?.into_iter().next() else {
            // It was finished or cancelled in this instant.
            continue;
        };
        let sql = "INSERT INTO job_turns (client_id, turn) VALUES ($1, $2)
            ON CONFLICT (client_id) DO UPDATE SET turn = excluded.turn";
        tx.run(sql, values![&next.client_id, turn]).await?;
        return job(row).map(Some);
    }
}

#[async_trait::async_trait]
impl<D: Database> Jobs for SqlMeta<D> {
    async fn enqueue(&self, job: &NewJob) -> Result<String> {
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        let id = put_job(&mut *tx, job).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn take_job(&self, request: &TakeJob<'_>) -> Result<Option<Job>> {
        // Most of the time nothing is due: find that out without a lock.
        let due = self.read_one(Reach::Operator, NEXT, next_values(request));
        if due.await?.is_none() {
            return Ok(None);
        }
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Replayable)
            .await?;
        let turn = lock_turns(&mut *tx).await?;
        let taken = take(&mut *tx, request, turn).await?;
        tx.commit().await?;
        Ok(taken)
    }

    async fn extend_job(
        &self,
        lease: &JobLease,
        until: Time,
        progress: Option<&str>,
    ) -> Result<bool> {
        let sql = "UPDATE jobs SET lease_until = $3, progress = COALESCE($4, progress)
            WHERE job_id = $1 AND epoch = $2 AND state = 'running'";
        let values = values![&lease.job_id, lease.epoch, until, progress];
        let changed = self.write(Reach::Operator, Purpose::Replayable, sql, values);
        Ok(changed.await? > 0)
    }

    async fn finish_job(&self, lease: &JobLease, end: &JobEnd, now: Time) -> Result<bool> {
        let run = values![&lease.job_id, lease.epoch, now];
        let (sql, more) = match end {
            JobEnd::Done(result) => (DONE, values![to_json(result)?]),
            JobEnd::Retry { at, error } => (RETRY, values![error, *at]),
            JobEnd::Later(at) => (LATER, values![*at]),
            JobEnd::Dead(reason) => (BURY, values![reason]),
        };
        let values = [run, more].concat();
        let changed = self.write(Reach::Operator, Purpose::Durable, sql, values);
        Ok(changed.await? > 0)
    }

    async fn release_jobs(&self, owner: &str) -> Result<u64> {
        let sql = "UPDATE jobs SET lease_until = 0 WHERE state = 'running' AND lease_owner = $1";
        self.write(Reach::Operator, Purpose::Durable, sql, values![owner])
            .await
    }

    async fn job(&self, job_id: &str) -> Result<Option<Job>> {
        let sql = concat!("SELECT ", columns!(), " FROM jobs WHERE job_id = $1");
        let row = self.read_one(Reach::Operator, sql, values![job_id]).await?;
        row.map(job).transpose()
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM jobs WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR kind = $2) \
             AND ($3 IS NULL OR client_id = $3)
             AND ($4 IS NULL OR created_at < $4 OR (created_at = $4 AND job_id < $5))
             ORDER BY created_at DESC, job_id DESC LIMIT $6"
        );
        let values = values![
            filter.state.map(JobState::as_str),
            filter.kind.map(JobKind::as_str),
            &filter.client_id,
            filter.after.as_ref().map(|after| after.created_at),
            filter.after.as_ref().map(|after| after.job_id.as_str()),
            filter.limit,
        ];
        let rows = self.read(Reach::Operator, sql, values).await?;
        rows.into_iter().map(job).collect()
    }

    async fn change_job(&self, job_id: &str, act: JobAct, now: Time) -> Result<bool> {
        let sql = match act {
            JobAct::Retry => {
                "UPDATE jobs SET state = 'queued', run_at = $2, attempts = 0, updated_at = $2
                WHERE job_id = $1 AND state IN ('dead', 'cancelled', 'queued')"
            }
            JobAct::Cancel => {
                "UPDATE jobs SET state = 'cancelled', epoch = epoch + 1, lease_owner = NULL,
                lease_until = NULL, updated_at = $2
                WHERE job_id = $1 AND state IN ('dead', 'queued', 'running')"
            }
        };
        let changed = self.write(Reach::Operator, Purpose::Durable, sql, values![job_id, now]);
        Ok(changed.await? > 0)
    }

    async fn job_counts(&self) -> Result<Vec<JobCount>> {
        let sql = "SELECT kind, state, COUNT(*) FROM jobs GROUP BY kind, state ORDER BY 1, 2";
        let rows = self.read(Reach::Operator, sql, Vec::new()).await?;
        let count = |mut row: Row| {
            Ok(JobCount {
                kind: row.text()?,
                state: state(&row.text()?)?,
                jobs: row.int()? as u64,
            })
        };
        rows.into_iter().map(count).collect()
    }

    async fn purge_jobs(&self, before: Time) -> Result<u64> {
        let sql = "DELETE FROM jobs WHERE state IN ('done', 'cancelled') AND updated_at < $1";
        self.write(Reach::Operator, Purpose::Durable, sql, values![before])
            .await
    }
}

fn state(word: &str) -> Result<JobState> {
    let unknown = || {
        let message = format!("metadata: a job has the unknown state `{word}`");
        Error::new(ErrorKind::Corrupt, message)
    };
    JobState::parse(word).ok_or_else(unknown)
}

fn job(mut row: Row) -> Result<Job> {
    Ok(Job {
        job_id: row.text()?,
        client_id: Some(row.text()?).filter(|id| id != OPERATOR),
        kind: row.text()?,
        payload: from_json(&row.text()?)?,
        key: row.maybe_text()?,
        state: state(&row.text()?)?,
        run_at: row.time()?,
        every_seconds: row.maybe_int()?.map(|every| every / SECOND),
        lease_owner: row.maybe_text()?,
        epoch: row.int()?,
        lease_until: row.maybe_time()?,
        attempts: row.int()? as u32,
        max_attempts: row.int()? as u32,
        progress: row.maybe_text()?,
        result: row.maybe_text()?.as_deref().map(from_json).transpose()?,
        error: row.maybe_text()?,
        created_at: row.time()?,
        updated_at: row.time()?,
    })
}
