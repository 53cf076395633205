//! The metadata: the real statements on a `SQLite` database in memory, whose transactions happen
//! at one instant.

use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use kgrca_core::model::Time;
use kgrca_core::storage::Result;
use kgrca_core::storage::sql::{Database, Purpose, Reach, Row, Transaction, Value};

use crate::bug::Bug;
use crate::ledger::Ledger;
use crate::port::{Fate, Port, Server};
use crate::sqlite::Sqlite;
use crate::visits;

/// A daemon's connection to the metadata.
#[derive(Clone)]
pub struct SimDatabase {
    pub port: Port,
    pub sqlite: Sqlite,
    pub ledger: Arc<Ledger>,
}

#[async_trait]
impl Database for SimDatabase {
    async fn begin(&self, reach: Reach<'_>, purpose: Purpose) -> Result<Box<dyn Transaction>> {
        let writes = purpose != Purpose::Read;
        let fate = self.port.sent(Server::Meta, "transaction", writes).await?;
        let owner = match reach {
            Reach::Tenant(tenant) => Some(tenant.to_string()),
            Reach::Operator => None,
        };
        Ok(Box::new(SimTransaction {
            database: self.clone(),
            owner,
            may_write: writes,
            is_open: false,
            fate,
            log: String::new(),
            writes: Vec::new(),
            apart: Vec::new(),
        }))
    }

    async fn version(&self) -> Result<String> {
        Ok("simulated metadata".into())
    }

    async fn now(&self) -> Result<Option<Time>> {
        Ok(Some(self.port.shared.kernel.time()))
    }
}

/// A statement and its values.
pub type Statement = (&'static str, Vec<Value>);

struct SimTransaction {
    database: SimDatabase,
    owner: Option<String>,
    may_write: bool,
    /// Whether it has a savepoint, which it gets with its first write.
    is_open: bool,
    fate: Fate,
    /// What it did, for the trace.
    log: String,
    writes: Vec<Statement>,
    /// What a bug writes outside the transaction.
    apart: Vec<Statement>,
}

impl SimTransaction {
    /// What a bug makes of a statement; `Some` is how many rows it pretends to have changed.
    fn mislead(&mut self, sql: &'static str, values: &[Value]) -> Option<u64> {
        let port = &self.database.port;
        port.life.as_ref()?;
        let strikes = |bug, chance| port.shared.strikes(bug, chance);
        let is_apart = sql.starts_with("INSERT INTO offsets") && strikes(Bug::PositionsApart, 1000)
            || sql.starts_with("INSERT INTO jobs") && strikes(Bug::JobsApart, 1000);
        if is_apart {
            self.apart.push((sql, values.to_vec()));
            return Some(1);
        }
        if sql.starts_with("INSERT INTO answers") && strikes(Bug::AnswersLost, 300) {
            return Some(1);
        }
        if sql.starts_with("UPDATE leases SET epoch = epoch") && strikes(Bug::LeaseIgnored, 1000) {
            return Some(1);
        }
        if sql.starts_with("INSERT INTO usage_metrics") && strikes(Bug::UsageTwice, 50) {
            let again = (sql, values.to_vec());
            self.writes.push(again.clone());
            let _ = self.execute(again);
        }
        None
    }

    /// What a bug makes of the values of a statement.
    fn distort(&self, sql: &str, mut values: Vec<Value>) -> Vec<Value> {
        let strikes = |bug| self.database.port.shared.strikes(bug, 1000);
        if sql.starts_with("INSERT INTO api_keys") && strikes(Bug::ExpiryLost) {
            for value in &mut values {
                if matches!(value, Value::Int(Some(at)) if *at == visits::EXPIRY) {
                    *value = Value::Int(None);
                }
            }
        }
        if sql.starts_with("INSERT INTO data_keys") && strikes(Bug::GenerationOff) {
            // The id of the key is the first number.
            let mut numbers = values.iter_mut().filter_map(|value| match value {
                Value::Int(number) => number.as_mut(),
                Value::Text(_) => None,
            });
            numbers.next().into_iter().for_each(|id| *id += 1);
        }
        values
    }

    fn open(&mut self) -> Result<()> {
        if self.may_write && !self.is_open {
            self.is_open = true;
            self.database.sqlite.begin_transaction()?;
        }
        Ok(())
    }

    fn execute(&self, (sql, values): Statement) -> Result<u64> {
        self.database.sqlite.run(sql, values)
    }

    fn note(&mut self, sql: &'static str, values: &[Value]) {
        let shared = &self.database.port.shared;
        let text = format!("{values:?}");
        shared.check_owner(self.owner.as_deref(), &text, sql);
        let words: String = sql.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let _ = write!(self.log, "{words} {text}; ");
    }
}

#[async_trait]
impl Transaction for SimTransaction {
    async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        if self.may_write {
            self.note(sql, &values);
        }
        if !sql.starts_with("SELECT") {
            self.open()?;
        }
        self.database.sqlite.rows(sql, values)
    }

    async fn run(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        self.note(sql, &values);
        self.open()?;
        if let Some(changed) = self.mislead(sql, &values) {
            return Ok(changed);
        }
        let values = self.distort(sql, values);
        self.writes.push((sql, values.clone()));
        self.execute((sql, values))
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        let database = self.database.clone();
        if std::mem::take(&mut self.is_open) {
            database.sqlite.commit();
        }
        database.port.trace(format_args!("commit {}", self.log));
        database
            .ledger
            .committed(&database.port.shared, &self.writes);
        let answered = database.port.answered(self.fate, "commit").await;
        // Lost with the daemon, or with the connection.
        if answered.is_ok() {
            for statement in std::mem::take(&mut self.apart) {
                // A call of its own can fail on its own.
                if !database.port.shared.strikes(Bug::JobsApart, 200) {
                    let _ = self.execute(statement);
                }
            }
        }
        answered
    }
}

impl Drop for SimTransaction {
    fn drop(&mut self) {
        if self.is_open {
            self.database.sqlite.roll_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::storage::conformance;
    use kgrca_core::storage::sql::SqlMeta;

    use super::*;
    use crate::kernel::Kernel;
    use crate::log::Brokers;
    use crate::port::Shared;

    #[tokio::test]
    async fn the_metadata_conforms() {
        let kernel = Arc::new(Kernel::new(1, Time(0), false));
        let database = SimDatabase {
            port: Port {
                shared: Arc::new(Shared::new(kernel, Vec::new(), None)),
                life: None,
            },
            sqlite: Sqlite::begin(),
            ledger: Arc::new(Ledger::new(Brokers::default())),
        };
        conformance::meta_store(&SqlMeta::new(database.clone())).await;
        database.sqlite.end();
    }
}
