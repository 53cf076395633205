//! Assignment of tenants to graph servers.

use crate::storage::{ErrorKind, MetaStore};
use crate::tenancy::TenantId;

pub(super) async fn placement(meta: &dyn MetaStore, a: &TenantId, b: &TenantId) {
    assert_eq!(meta.graph_server(a).await.unwrap(), None);
    meta.put_graph_server(a, Some("one"), true).await.unwrap();
    let taken = meta
        .put_graph_server(b, Some("one"), true)
        .await
        .unwrap_err();
    assert_eq!(
        taken.kind,
        ErrorKind::Conflict,
        "an exclusive server holds one tenant"
    );
    meta.put_graph_server(b, Some("big"), false).await.unwrap();
    meta.put_graph_server(a, Some("big"), false).await.unwrap();
    assert_eq!(
        meta.graph_server(a).await.unwrap().as_deref(),
        Some("big"),
        "a tenant has one graph server"
    );
    assert_eq!(meta.graph_servers().await.unwrap().len(), 2);
    meta.put_graph_server(a, None, false).await.unwrap();
    assert_eq!(meta.graph_server(a).await.unwrap(), None);
}
