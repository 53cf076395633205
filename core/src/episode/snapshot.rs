//! Snapshots of episodes.

use borsh::{BorshDeserialize, BorshSerialize, io};

use super::{Episodes, LogTemplate};
use crate::model::{Alert, Episode};

impl Episodes {
    /// Writes all episodes; equal episodes give equal bytes.
    pub fn save(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut events: Vec<(&u64, &Episode)> = self.events.iter().collect();
        events.sort_by_key(|(key, _)| **key);
        events.serialize(out)?;
        let mut logs: Vec<(&(u64, u64), &LogTemplate)> = self.logs.iter().collect();
        logs.sort_by_key(|(key, _)| **key);
        logs.serialize(out)?;
        self.alerts().serialize(out)?;
        self.logs_since.serialize(out)
    }

    /// Reads what [`Episodes::save`] wrote.
    pub fn load(input: &mut &[u8]) -> io::Result<Self> {
        let mut this = Self {
            events: Vec::<(u64, Episode)>::deserialize(input)?
                .into_iter()
                .collect(),
            logs: Vec::<((u64, u64), LogTemplate)>::deserialize(input)?
                .into_iter()
                .collect(),
            ..Self::default()
        };
        for alert in Vec::<Alert>::deserialize(input)? {
            this.alerts
                .insert((alert.fingerprint.clone(), alert.starts), alert);
        }
        this.logs_since = Option::deserialize(input)?;
        for (writer, _) in this.logs.keys() {
            *this.templates_of.entry(*writer).or_default() += 1;
        }
        this.measure();
        Ok(this)
    }
}
