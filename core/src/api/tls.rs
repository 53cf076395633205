//! What helps with an error of TLS, for those who connect to the server.

/// Errors of the TLS library, and what to do about each.
const WAYS_OUT: [(&str, &str); 7] = [
    (
        "alert: CertificateExpired",
        "the client certificate presented here has expired: renew it",
    ),
    (
        "CaUsedAsEndEntity",
        "the server presents the certificate of a CA, as `openssl req -x509` makes it: create one \
         with `-addext basicConstraints=critical,CA:FALSE` and \
         `-addext subjectAltName=DNS:HOST`, and trust it",
    ),
    (
        "UnknownIssuer",
        "the CA of the server's certificate is not known here: trust it",
    ),
    (
        "certificate not valid for name",
        "the server's certificate does not name this host: use a URL with a host of its \
         subjectAltName, or have it issued for this one",
    ),
    (
        "certificate expired",
        "the server's certificate has expired: replace the files of --tls-cert and --tls-key; \
         kgrcad reads them again",
    ),
    (
        "CertificateRequired",
        "the server asks for a client certificate (--tls-client-ca): present one",
    ),
    (
        "UnknownCA",
        "the server does not accept this client certificate: it must be of a CA in its \
         --tls-client-ca",
    ),
];

/// What to do about an error, by its words; `None` where it is not one of TLS that is known.
/// `trust` and `present` say how a CA is trusted and a client certificate presented here.
pub fn tls_hint(error: &str, trust: &str, present: &str) -> Option<String> {
    let (kind, hint) = WAYS_OUT.iter().find(|(kind, _)| error.contains(kind))?;
    Some(match *kind {
        "CaUsedAsEndEntity" | "UnknownIssuer" => format!("{hint} with {trust}"),
        "CertificateRequired" => format!("{hint} with {present}"),
        _ => (*hint).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_says_what_to_do() {
        let hint = |error: &str| tls_hint(error, "--ca-file", "--client-cert");
        let own = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";
        let own = hint(own).unwrap();
        assert!(
            own.contains("CA:FALSE") && own.ends_with("with --ca-file"),
            "{own}"
        );
        let asked = hint("received fatal alert: CertificateRequired").unwrap();
        assert!(asked.ends_with("present one with --client-cert"), "{asked}");
        // As rustls writes them.
        for (error, part) in [
            (
                "invalid peer certificate: certificate not valid for name \"a.example\"; \
                 certificate is only valid for DnsName(\"b.example\")",
                "subjectAltName",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 9 (UNIX), but \
                 certificate is not valid after 8 (1 seconds ago)",
                "--tls-cert",
            ),
            ("received fatal alert: CertificateExpired", "presented here"),
        ] {
            assert!(hint(error).is_some_and(|h| h.contains(part)), "{error}");
        }
        assert_eq!(hint("connection refused"), None);
    }
}
