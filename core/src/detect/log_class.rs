//! Which statements a log line makes, classified once per template: detection asks at every
//! instant.

use super::apiserver;
use super::caller_errors::{self, CallFailure};
use super::self_reported::{ClientError, ServerError};
use super::text::has;
use crate::episode::LogTemplate;

/// The statements of a line as one bit each: how a call failed, then what a client reports about
/// itself, then what a server reports about itself, then two about the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogClass(u32);

const CLIENT: usize = CallFailure::ALL.len();
const SERVER: usize = CLIENT + ClientError::ALL.len();
const ETCD: usize = SERVER + ServerError::ALL.len();
const SLOW_API_SERVER: usize = ETCD + 1;
const _: () = assert!(SLOW_API_SERVER < u32::BITS as usize);

impl LogClass {
    pub(super) fn of(log: &LogTemplate) -> Self {
        Self(log.class(|text| Self::read(text).0))
    }

    fn read(text: &str) -> Self {
        let call = caller_errors::failure(text).map(|f| f as usize);
        let client = ClientError::ALL
            .into_iter()
            .filter(|e| e.is_reported_in(text))
            .map(|e| CLIENT + e as usize);
        let server = ServerError::ALL
            .into_iter()
            .filter(|e| e.is_reported_in(text))
            .map(|e| SERVER + e as usize);
        let etcd = has(text, &apiserver::ETCD_UNHEALTHY).then_some(ETCD);
        let slow = has(text, &apiserver::SLOW).then_some(SLOW_API_SERVER);
        let bits = call
            .into_iter()
            .chain(client)
            .chain(server)
            .chain(etcd)
            .chain(slow);
        Self(bits.fold(0, |all, bit| all | 1 << bit))
    }

    fn has(self, bit: usize) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// How a call failed, if the line reports one.
    pub(super) fn call_failure(self) -> Option<CallFailure> {
        CallFailure::ALL.into_iter().find(|f| self.has(*f as usize))
    }

    pub(super) fn is_client_error(self, error: ClientError) -> bool {
        self.has(CLIENT + error as usize)
    }

    pub(super) fn is_server_error(self, error: ServerError) -> bool {
        self.has(SERVER + error as usize)
    }

    /// Whether the line reports any error of its writer, as a client or as a server.
    pub(super) fn is_self_reported(self) -> bool {
        (CLIENT..ETCD).any(|bit| self.has(bit))
    }

    pub(super) fn is_etcd_unhealthy(self) -> bool {
        self.has(ETCD)
    }

    pub(super) fn is_api_server_slow(self) -> bool {
        self.has(SLOW_API_SERVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_has_a_bit_of_its_own() {
        let positions = CallFailure::ALL.map(|f| f as usize).into_iter();
        let positions = positions.chain(ClientError::ALL.map(|e| CLIENT + e as usize));
        let positions = positions.chain(ServerError::ALL.map(|e| SERVER + e as usize));
        let positions: Vec<usize> = positions.chain([ETCD, SLOW_API_SERVER]).collect();
        let expected: Vec<usize> = (0..positions.len()).collect();
        assert_eq!(positions, expected);
    }

    #[test]
    fn a_phrase_is_read_as_its_own_statement_alone() {
        let class = LogClass::read("write /data/wal: no space left on device");
        assert!(class.is_server_error(ServerError::VolumeFull));
        assert!(!class.is_client_error(ClientError::ReadOnlyFilesystem));
        assert!(!class.is_etcd_unhealthy());
        let class = LogClass::read("open /var/lib/x: read-only file system");
        assert!(class.is_client_error(ClientError::ReadOnlyFilesystem));
        assert!(ServerError::ALL.iter().all(|e| !class.is_server_error(*e)));
        assert_eq!(class.call_failure(), None);
        let class = LogClass::read("dial tcp 10.0.0.1:80: connect: connection refused");
        assert_eq!(class.call_failure(), Some(CallFailure::Refused));
        assert!(!class.is_self_reported());
    }
}
