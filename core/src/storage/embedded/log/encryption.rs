//! How the frames of a stream are encrypted.

use std::sync::Arc;

use crate::storage::seal::{Opener, Sealer, Session};
use crate::storage::{Result, StreamId};
use crate::tenancy::TenantId;

/// What encrypts the frames of one stream.
pub(super) struct StreamSeal {
    sealer: Arc<Sealer>,
    /// Binds a frame to its stream.
    label: String,
    session: Option<Session>,
}

impl StreamSeal {
    /// Without keys, until there is something to encrypt or decrypt.
    pub(super) fn new(tenant: &TenantId, id: StreamId) -> Self {
        Self::with(Arc::new(Sealer::clear(tenant.clone())), id)
    }

    fn with(sealer: Arc<Sealer>, id: StreamId) -> Self {
        Self {
            sealer,
            label: format!("log/{}/{}", id.topic.as_str(), id.partition),
            session: None,
        }
    }

    /// Takes the sealer of whoever reads or writes: opening a stream needs none.
    pub(super) fn renew(&mut self, sealer: &Arc<Sealer>) {
        if !Arc::ptr_eq(&self.sealer, sealer) {
            self.sealer = Arc::clone(sealer);
            self.session = None;
        }
    }

    /// The same keys for what rewrites closed segments meanwhile.
    pub(super) fn apart(&self) -> Self {
        Self {
            sealer: Arc::clone(&self.sealer),
            label: self.label.clone(),
            session: None,
        }
    }

    /// What new frames are encrypted in; `None` when they are written in clear. A segment begins a
    /// session of its own, and so does another data key.
    pub(super) fn session(&mut self, is_new_segment: bool) -> Result<Option<&mut Session>> {
        let key_id = self.session.as_ref().map(Session::key_id);
        if is_new_segment || key_id != self.current() {
            self.session = self.begin()?;
        }
        Ok(self.session.as_mut())
    }

    /// The data key that encrypts new frames.
    pub(super) fn current(&self) -> Option<u32> {
        self.sealer.current()
    }

    /// Fails when what this data key encrypted cannot be read.
    pub(super) fn check(&self, key_id: u32) -> Result<()> {
        self.sealer.check(key_id)
    }

    /// Begins another session.
    pub(super) fn begin(&self) -> Result<Option<Session>> {
        self.sealer.session(&self.label)
    }

    /// Decrypts frames.
    pub(super) fn opener(&self) -> Opener<'_> {
        self.sealer.opener(&self.label)
    }
}

#[cfg(test)]
impl StreamSeal {
    /// Encrypts with a fixed key, or not at all.
    pub(super) fn for_test(is_encrypted: bool) -> Self {
        let keys: &[u32] = if is_encrypted { &[1] } else { &[] };
        Self::for_test_with_keys(keys)
    }

    /// Decrypts with these data keys, and encrypts with the last.
    pub(super) fn for_test_with_keys(keys: &[u32]) -> Self {
        use crate::model::Topic;
        use crate::storage::seal::{KEY, testing};

        let id = StreamId {
            topic: Topic::Events,
            partition: 0,
        };
        let sealer = testing::sealer("client-a-abc123", 1);
        for key_id in keys {
            sealer.put(*key_id, &[*key_id as u8; KEY]);
        }
        sealer.write_with(keys.last().copied());
        Self::with(Arc::new(sealer), id)
    }
}
