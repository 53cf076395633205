//! Reads which host serves a volume of the network.

use serde::Deserialize;

use crate::model::object::{Labels, List};
use crate::model::{Str, address};

/// The sources of a volume that have a server.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Sources {
    nfs: Option<Nfs>,
    csi: Option<Csi>,
    iscsi: Option<Iscsi>,
    cephfs: Option<Monitors>,
    rbd: Option<Monitors>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Nfs {
    server: Str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Csi {
    volume_attributes: Labels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Iscsi {
    target_portal: Str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Monitors {
    monitors: List<Str>,
}

/// The host that serves a volume: of NFS, SMB, iSCSI and Ceph, also through their drivers.
pub(super) fn server(sources: &Sources) -> Option<Str> {
    let attributes = sources.csi.as_ref().map(|csi| &csi.volume_attributes);
    let attribute = |name: &str| attributes?.get(name);
    let monitors = sources.cephfs.as_ref().or(sources.rbd.as_ref());
    let stated = sources.nfs.as_ref().map(|nfs| &*nfs.server);
    let portal = sources.iscsi.as_ref().map(|iscsi| &*iscsi.target_portal);
    let first = monitors
        .and_then(|m| m.monitors.iter().next())
        .map(|m| &**m);
    stated
        .or(portal)
        .or(first)
        .or_else(|| attribute("server"))
        .or_else(|| attribute("targetPortal"))
        // `//host/share`
        .or_else(|| attribute("source")?.strip_prefix("//"))
        .and_then(host)
        .map(Str::from)
}

/// The host before a port or a share.
fn host(text: &str) -> Option<&str> {
    let host = text.split([':', '/']).next()?;
    address::is_host(host).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &str) -> Option<String> {
        let sources: Sources = serde_json::from_str(spec).unwrap();
        server(&sources).map(|host| host.to_string())
    }

    #[test]
    fn the_host_is_read_from_the_source_of_a_volume() {
        let host = |spec| of(spec).unwrap_or_default();
        assert_eq!(
            host(r#"{"nfs":{"server":"filer.corp","path":"/a"}}"#),
            "filer.corp"
        );
        assert_eq!(
            host(r#"{"iscsi":{"targetPortal":"10.0.0.9:3260"}}"#),
            "10.0.0.9"
        );
        assert_eq!(
            host(r#"{"cephfs":{"monitors":["10.0.0.1:6789"]}}"#),
            "10.0.0.1"
        );
        let smb = r#"{"csi":{"driver":"smb","volumeAttributes":{"source":"//files.corp/team"}}}"#;
        assert_eq!(host(smb), "files.corp");
        let nfs = r#"{"csi":{"driver":"nfs","volumeAttributes":{"server":"filer.corp"}}}"#;
        assert_eq!(host(nfs), "filer.corp");
        assert_eq!(
            of(r#"{"csi":{"driver":"ebs","volumeHandle":"vol-1"}}"#),
            None
        );
        assert_eq!(of(r#"{"hostPath":{"path":"/data"}}"#), None);
    }
}
