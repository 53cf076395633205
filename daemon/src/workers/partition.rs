//! A tenant's partition: which clusters belong to it.

use kgrca_core::storage::partition_of;
use kgrca_core::tenancy::TenantId;

/// One of a tenant's partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub tenant: TenantId,
    /// Its number, from 0.
    pub number: u32,
    /// How many partitions the tenant has.
    pub count: u32,
}

impl Partition {
    /// The number of the partition that a cluster belongs to.
    pub fn number_of(&self, cluster: &str) -> u32 {
        partition_of(&self.tenant, cluster, self.count)
    }

    /// Whether a cluster belongs to this partition.
    pub fn owns(&self, cluster: &str) -> bool {
        self.number_of(cluster) == self.number
    }
}
