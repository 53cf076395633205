//! The classes of trouble that a line of text can report.

use std::fmt;

use serde::Deserialize;

/// Who has to change something, as far as the words alone show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtFault {
    /// The settings, permissions or resources of the program that wrote the line.
    Writer,
    /// The server that was called.
    Server,
    /// Either side: the server is down, or the caller has a wrong address.
    ServerOrAddress,
    /// The name in the caller's settings, or whatever has that name.
    Name,
    /// The cluster's DNS.
    Resolver,
    /// The network between the two.
    Path,
    /// The node on which the program runs.
    Node,
    /// The control plane.
    ControlPlane,
}

impl AtFault {
    /// A few words for explanations.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Writer => "the program that wrote the line",
            Self::Server => "the server that was called",
            Self::ServerOrAddress => "the server that was called, or the address in the settings",
            Self::Name => "the name in the settings, or what should have that name",
            Self::Resolver => "the cluster's DNS",
            Self::Path => "the network between the two sides",
            Self::Node => "the node",
            Self::ControlPlane => "the control plane",
        }
    }
}

/// Declares [`Class`] from its variants, ids, faults and meanings.
macro_rules! classes {
    ($($variant:ident = $id:literal, $at_fault:ident, $meaning:literal;)*) => {
        /// A class of trouble: what failed, in whatever words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        pub enum Class {
            $(#[doc = $meaning] #[serde(rename = $id)] $variant,)*
        }

        impl Class {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The id, as in `trouble.yaml`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }

            /// Who has to change something, as far as the words show.
            pub fn at_fault(self) -> AtFault {
                match self {
                    $(Self::$variant => AtFault::$at_fault,)*
                }
            }

            /// One sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

classes! {
    Refused = "refused", ServerOrAddress, "No process listens on the port.";
    NoRoute = "no_route", Path, "No route leads to the address.";
    ConnectTimedOut = "connect_timed_out", Path, "Nothing answers at the address.";
    TimedOut = "timed_out", Server, "The answer did not arrive in time.";
    Disconnected = "disconnected", Server, "The connection ended in the middle.";
    Unavailable = "unavailable", Server, "The server could not be used, for an unnamed reason.";
    Unresolved = "unresolved", Name, "The name does not resolve.";
    ResolverSilent = "resolver_silent", Resolver, "The DNS server gave no answer.";
    CertificateExpired = "certificate_expired", Server,
        "The certificate has expired, or is not valid yet.";
    CertificateBroken = "certificate_broken", Writer,
        "The certificate or its key cannot be read, or they do not belong together.";
    IssuerExpired = "issuer_expired", Server,
        "The certificate with which the server signs others has expired.";
    PlaintextRefused = "plaintext_refused", Server, "The server's proxy accepts only mutual TLS.";
    CertificateName = "certificate_name", Server, "The certificate is for another name.";
    CertificateUntrusted = "certificate_untrusted", Server,
        "The certificate's authority is not trusted.";
    ProtocolMismatch = "protocol_mismatch", Server, "The other side speaks another protocol.";
    VersionMismatch = "version_mismatch", Writer,
        "The other side has an incompatible version or schema.";
    RecordUnreadable = "record_unreadable", Writer,
        "A consumer cannot decode a record from a broker.";
    LoginRefused = "login_refused", Writer, "The server refused the login.";
    DatabaseMissing = "database_missing", Writer, "The server has no such database.";
    SchemaMissing = "schema_missing", Writer,
        "The database lacks a table, or the privilege to use it.";
    PoolExhausted = "pool_exhausted", Writer, "All connections of the client's pool are in use.";
    ConnectionLimit = "connection_limit", Server, "The server accepts no more connections.";
    ReadOnlyServer = "read_only_server", Server, "The server accepts no writes.";
    ServerDiskFull = "server_disk_full", Server,
        "The server accepts no writes because its disk is nearly full.";
    NotServing = "not_serving", Server, "The server is starting, going down or without a leader.";
    Overloaded = "overloaded", Server, "The server has more work than it can do.";
    BacklogFull = "backlog_full", Server, "A queue takes no more, as nothing reads it.";
    ServerMemoryFull = "server_memory_full", Server, "The server has used up its memory.";
    AccountLocked = "account_locked", Server,
        "The server has locked the account after wrong passwords.";
    MeshDenied = "mesh_denied", Server, "A policy of the service mesh does not allow the request.";
    RateLimited = "rate_limited", Writer, "The server accepts no more requests for now.";
    RbacForbidden = "rbac_forbidden", Writer, "Kubernetes does not allow the request.";
    PortTaken = "port_taken", Writer, "The port is in use already.";
    PermissionDenied = "permission_denied", Writer, "A file or operation is not permitted.";
    ReadOnlyFilesystem = "read_only_filesystem", Writer, "The file system is read-only.";
    NoSpace = "no_space", Writer, "The file system is full.";
    TooManyFiles = "too_many_files", Writer, "The limit of open files is reached.";
    WatchesExhausted = "watches_exhausted", Node, "The node's limit of inotify is reached.";
    OutOfMemory = "out_of_memory", Writer, "The program has no memory left.";
    ThreadsExhausted = "threads_exhausted", Node, "No thread or process can be created.";
    ClockSkew = "clock_skew", Node, "The clocks of two sides differ.";
    FileTooOpen = "file_too_open", Writer, "A file may be read or written by too many users.";
    FileMissing = "file_missing", Writer, "A file does not exist.";
    ExecFormat = "exec_format", Writer, "The program is for another architecture.";
    CommandNotFound = "command_not_found", Writer, "The command does not exist.";
    ArgumentsRejected = "arguments_rejected", Writer,
        "An option of the command line is unknown or invalid.";
    ConfigRejected = "config_rejected", Writer,
        "A configuration file has unknown or invalid content.";
    SettingMissing = "setting_missing", Writer, "A required setting is missing.";
    DataIncompatible = "data_incompatible", Writer,
        "The data were written by a version that this one cannot read.";
    SyntaxError = "syntax_error", Writer, "A script cannot be parsed.";
    ModuleMissing = "module_missing", Writer, "A module or library is missing.";
    MemoryLimitTooLow = "memory_limit_too_low", Writer,
        "The memory limit is below what starting the container takes.";
    MemoryLimitRefused = "memory_limit_refused", Writer,
        "The memory limit is below the least that the container runtime accepts.";
    SourceUnavailable = "source_unavailable", Writer,
        "The source repository, or the revision of it, cannot be fetched.";
    PodAddressesExhausted = "pod_addresses_exhausted", Node,
        "The network plug-in has no address left.";
    NetworkPluginFailed = "network_plugin_failed", Node,
        "The network plug-in could not set up the pod.";
    RuntimeHandlerMissing = "runtime_handler_missing", Node,
        "The node lacks the handler of the runtime class.";
    SecurityProfileMissing = "security_profile_missing", Node,
        "The node lacks a profile of seccomp or `AppArmor`.";
    CgroupError = "cgroup_error", Node, "A cgroup could not be set up.";
    EtcdUnhealthy = "etcd_unhealthy", ControlPlane, "etcd is slow, full or without a leader.";
    EtcdFull = "etcd_full", ControlPlane, "etcd has used up its space.";
    ApiServerSlow = "api_server_slow", ControlPlane, "The API server does not answer in time.";
    NamesDiffer = "names_differ", Writer,
        "Two sides have different values of a name, an issuer, a region or an id.";
    KeyChanged = "key_changed", Writer,
        "What was encrypted or signed cannot be read with the key in use.";
    ForwardingLoop = "forwarding_loop", Resolver, "DNS forwards queries to itself.";
    ClientCertificateRefused = "client_certificate_refused", Writer,
        "The server does not accept the certificate of its client, or gets none.";
    LockWait = "lock_wait", Server,
        "A statement waited too long for a lock, or was ended to break a deadlock.";
    MessageTooLarge = "message_too_large", Writer,
        "A message is larger than one side accepts.";
    DiskError = "disk_error", Node, "A disk cannot be read or written.";
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u128);

const _: () = assert!(Class::ALL.len() <= u128::BITS as usize);

impl Classes {
    /// Adds a class.
    pub fn insert(&mut self, class: Class) {
        self.0 |= 1 << class as u32;
    }

    /// Whether a class is in the set.
    pub fn has(self, class: Class) -> bool {
        self.0 >> class as u32 & 1 == 1
    }

    /// Whether any of these classes is in the set.
    pub fn has_any(self, classes: &[Class]) -> bool {
        classes.iter().any(|class| self.has(*class))
    }

    /// Whether no class is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes in order.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.iter().copied().filter(move |c| self.has(*c))
    }
}
