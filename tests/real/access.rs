//! What keeps tenants apart on real servers, and callers out.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::model::Topic;
use kgrca_core::storage::KafkaUrl;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{EventLog, GraphStore, Incidents, MetaStore};
use kgrca_core::tenancy::TenantId;
use kgrca_daemon::storage::LogProvisioner;
use kgrca_daemon::storage::kafka::KafkaLog;
use kgrca_daemon::storage::{neo4j, postgres};
use kgrca_tests::services::{self, Service};
use kgrca_tests::{Server, binary};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use reqwest::Method;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

fn tenant(name: &str) -> TenantId {
    TenantId::parse(&format!("client-{name}-abc123")).unwrap()
}

/// Settings of a client that logs in as a tenant.
fn login(tenant: &TenantId) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set(
            "bootstrap.servers",
            format!("127.0.0.1:{}", services::kafka().port),
        )
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.username", tenant.as_str())
        .set("sasl.password", "tenants-own-password")
        .set("message.timeout.ms", "15000");
    config
}

async fn produce(producer: &FutureProducer, topic: &str) -> Result<(), Option<RDKafkaErrorCode>> {
    let record = FutureRecord::to(topic).partition(0).key("k").payload("v");
    producer
        .send(record, PATIENCE)
        .await
        .map(|_| ())
        .map_err(|(e, _)| e.rdkafka_error_code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_user_in_kafka_reaches_its_own_inputs_alone() {
    let log = KafkaLog::open(KafkaUrl::parse(&services::kafka().url()).unwrap())
        .await
        .unwrap();
    let (own, other) = (tenant("own"), tenant("other"));
    for tenant in [&own, &other] {
        log.put_topics(tenant, 1, 7).await.unwrap();
        log.put_user(tenant, "tenants-own-password", 1e6)
            .await
            .unwrap();
        log.put_acls(tenant).await.unwrap();
    }
    let producer: FutureProducer = login(&own)
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for topic in Topic::inputs() {
        // A user that was just made may fail its first login.
        let name = format!("{own}.{}", topic.as_str());
        assert!(
            produce(&producer, &name).await.is_ok() || produce(&producer, &name).await.is_ok(),
            "{name}"
        );
    }
    let denied = Some(RDKafkaErrorCode::TopicAuthorizationFailed);
    for name in [
        format!("{own}.control"),
        format!("{own}.dlq"),
        format!("{other}.events.normalized"),
    ] {
        assert_eq!(
            produce(&producer, &name).await,
            Err(denied),
            "{name} cannot be written"
        );
    }
    let consumer: BaseConsumer = login(&own).set("group.id", "theft").create().unwrap();
    let seen = consumer.fetch_metadata(None, PATIENCE).unwrap();
    assert!(
        seen.topics()
            .iter()
            .all(|t| t.name().starts_with(own.as_str())),
        "others' topics are not told"
    );
    let named = consumer
        .fetch_metadata(Some(&format!("{other}.events.normalized")), PATIENCE)
        .unwrap();
    assert!(
        named.topics()[0].error().is_some(),
        "others' topics are not described"
    );
    for name in [
        format!("{own}.events.normalized"),
        format!("{other}.events.normalized"),
    ] {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, 0, Offset::Beginning)
            .unwrap();
        let consumer: BaseConsumer = login(&own).set("group.id", "theft").create().unwrap();
        consumer.assign(&list).unwrap();
        let read = consumer.poll(PATIENCE).expect("the broker refuses");
        let code = read.err().unwrap().rdkafka_error_code();
        assert!(
            code == denied || code == Some(RDKafkaErrorCode::GroupAuthorizationFailed),
            "{name} cannot be read: {code:?}"
        );
    }
    let admin: AdminClient<_> = login(&own).create().unwrap();
    let new = NewTopic::new("client-own-abc123.more", 1, TopicReplication::Fixed(1));
    let made = admin
        .create_topics([&new], &AdminOptions::new())
        .await
        .unwrap();
    assert!(made[0].is_err(), "topics cannot be made");
    for tenant in [&own, &other] {
        log.remove(tenant).await.unwrap();
        log.remove_acls(tenant).await.unwrap();
        log.remove_user(tenant).await.unwrap();
    }
}

/// What a statement says when a role runs it in a transaction of its own.
fn psql(url: &str, role: &str, setting: &str, sql: &str) -> (bool, String) {
    let text = format!("BEGIN; SET LOCAL ROLE {role}; {setting} {sql}; COMMIT;");
    let output = Command::new("psql")
        .arg(url)
        .args(["-Atqc", &text])
        .output()
        .unwrap();
    let said = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    (
        output.status.success(),
        String::from_utf8(said).unwrap().trim().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_shows_a_tenant_its_own_rows_and_none_when_it_is_left_unset() {
    let url = services::database("walls");
    postgres::migrate(&url).await.unwrap();
    let meta = postgres::open(&url).await.unwrap();
    let (a, b) = (tenant("a"), tenant("b"));
    for tenant in [&a, &b] {
        meta.reserve_numbers(tenant, &[1, 2]).await.unwrap();
    }
    let count = "SELECT count(*) FROM incidents";
    assert_eq!(
        psql(&url, "kgrca_tenant", "", count),
        (true, "0".into()),
        "left unset there is no row"
    );
    let as_a = "SET LOCAL kgrca.client_id = 'client-a-abc123';";
    assert_eq!(psql(&url, "kgrca_tenant", as_a, count), (true, "2".into()));
    let theft =
        "UPDATE incidents SET cluster = 'x' WHERE client_id = 'client-b-abc123' RETURNING 1";
    assert_eq!(
        psql(&url, "kgrca_tenant", as_a, theft),
        (true, String::new()),
        "others' rows cannot be changed"
    );
    let forged = "INSERT INTO incidents (client_id, number, key) VALUES ('client-b-abc123', 9, 9)";
    assert!(!psql(&url, "kgrca_tenant", as_a, forged).0, "nor written");
    for hidden in ["clients", "api_keys", "audit_log", "sagas", "daemons"] {
        let (done, said) = psql(
            &url,
            "kgrca_tenant",
            as_a,
            &format!("SELECT * FROM {hidden}"),
        );
        assert!(
            !done && said.contains("permission denied"),
            "{hidden}: {said}"
        );
    }
    let (done, said) = psql(&url, "kgrca_operator", "", "DELETE FROM audit_log");
    assert!(
        !done && said.contains("permission denied"),
        "what was done stays written: {said}"
    );
    let forced = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname <> 'daemons' AND \
                  relname NOT LIKE '\\_%'
        AND relnamespace = 'public'::regnamespace AND NOT (relrowsecurity AND relforcerowsecurity)";
    let all = Command::new("psql")
        .arg(&url)
        .args(["-Atqc", forced])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(all.stdout).unwrap().trim(),
        "0",
        "row security is forced on every table"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neo4j_itself_refuses_to_write_in_a_question() {
    let url = format!("bolt://127.0.0.1:{}", services::neo4j().port);
    let graph = neo4rs::Graph::new(&url, "neo4j", "test-password").unwrap();
    let written = match graph
        .execute_read(neo4rs::query("CREATE (n:Theft) RETURN n"))
        .await
    {
        Ok(mut stream) => stream.next().await.map(|_| ()),
        Err(e) => Err(e),
    };
    let refused = written.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("read"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_graph_server_is_taken_the_next_tenant_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let meta: Arc<dyn MetaStore> = Arc::new(
        SqliteMeta::open(&folder.path().join("meta.db"))
            .await
            .unwrap(),
    );
    let server = Service::start("neo4j");
    let graph = neo4j::open(&server.url(), meta).await.unwrap();
    graph.create(&tenant("first")).await.unwrap();
    let full = graph.create(&tenant("second")).await.unwrap_err();
    assert!(
        full.message.contains("is free for another tenant") && full.hint.is_some(),
        "{full:?}"
    );
    graph.remove(&tenant("first")).await.unwrap();
    graph.create(&tenant("second")).await.unwrap();
}

/// Makes a certificate for loopback and returns its serial number.
fn certify(folder: &std::path::Path, name: &str) {
    let run = |arguments: &[&str]| {
        let done = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    if !folder.join("ca.crt").exists() {
        run(&[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=ca",
            "-keyout", "ca.key", "-out", "ca.crt",
        ]);
        std::fs::write(
            folder.join("san"),
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
        )
        .unwrap();
    }
    let (key, request, certificate) = (
        format!("{name}.key"),
        format!("{name}.csr"),
        format!("{name}.crt"),
    );
    run(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        &format!("/CN={name}"),
        "-keyout",
        &key,
        "-out",
        &request,
    ]);
    run(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        "san",
        "-out",
        &certificate,
    ]);
}

fn client(folder: &std::path::Path, identity: Option<&str>) -> reqwest::Client {
    let ca =
        reqwest::Certificate::from_pem(&std::fs::read(folder.join("ca.crt")).unwrap()).unwrap();
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([ca])
        .pool_max_idle_per_host(0);
    if let Some(name) = identity {
        let mut pem = std::fs::read(folder.join(format!("{name}.crt"))).unwrap();
        pem.extend(std::fs::read(folder.join(format!("{name}.key"))).unwrap());
        builder = builder.identity(reqwest::Identity::from_pem(&pem).unwrap());
    }
    builder.build().unwrap()
}

/// The name in the certificate that a server shows.
fn shown(server: &Server) -> String {
    let address = server.url.trim_start_matches("https://");
    let text = format!(
        "openssl s_client -connect {address} </dev/null 2>/dev/null | openssl x509 -noout -subject"
    );
    String::from_utf8(
        Command::new("sh")
            .args(["-c", &text])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_takes_a_new_certificate_and_asks_for_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["one", "two", "caller"] {
        certify(folder.path(), name);
    }
    for (from, to) in [("one.crt", "tls.crt"), ("one.key", "tls.key")] {
        std::fs::copy(path(from), path(to)).unwrap();
    }
    let options = [
        "--tls-cert",
        &path("tls.crt"),
        "--tls-key",
        &path("tls.key"),
    ];
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &options);
    let livez = format!("{}/livez", server.url);
    assert!(server.url.starts_with("https://"));
    assert_eq!(
        client(folder.path(), None)
            .get(&livez)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert!(
        server.http.get(&livez).send().await.is_err(),
        "an unknown authority is not trusted"
    );
    let told = Command::new(binary("kgrca"))
        .args(["tenant", "list", "-o", "json"])
        .env("KGRCA_URL", &server.url)
        .env("KGRCA_CA_FILE", path("ca.crt"))
        .env("KGRCA_OPERATOR_KEY", &server.operator)
        .env("XDG_CONFIG_HOME", data.path())
        .output()
        .unwrap();
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    assert!(shown(&server).contains("one"));
    for (from, to) in [("two.key", "tls.key"), ("two.crt", "tls.crt")] {
        std::fs::copy(path(from), path(to)).unwrap();
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    while !shown(&server).contains("two") {
        assert!(
            std::time::Instant::now() < deadline,
            "the new certificate is taken without a restart"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(server.terminate(), "it leaves in order");
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(
        data.path(),
        &[&options[..], &["--tls-client-ca", &path("ca.crt")]].concat(),
    );
    let livez = format!("{}/livez", server.url);
    assert!(
        client(folder.path(), None)
            .get(&livez)
            .send()
            .await
            .is_err(),
        "without a certificate nobody is let in"
    );
    assert_eq!(
        client(folder.path(), Some("caller"))
            .get(&livez)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

/// kgrca's own command shows its certificate, and says what is wrong with a server's.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_presents_a_certificate_and_explains_those_of_servers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["server", "caller"] {
        certify(folder.path(), name);
    }
    let list = |server: &Server, variables: &[(&str, &str)]| {
        let output = Command::new(binary("kgrca"))
            .args(["tenant", "list", "-o", "json"])
            .env("KGRCA_URL", server.url.replace("127.0.0.1", "localhost"))
            .env("KGRCA_OPERATOR_KEY", &server.operator)
            .env("XDG_CONFIG_HOME", folder.path())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), text)
    };
    let start = |certificate: &str, key: &str, more: &[&str]| {
        let files = ["--tls-cert", certificate, "--tls-key", key];
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path(), &[&files[..], more].concat());
        (server, data)
    };
    let (certificate, key, ca) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let (server, _data) = start(&certificate, &key, &["--tls-client-ca", &ca]);
    let trust = ("KGRCA_CA_FILE", ca.as_str());
    let (done, text) = list(&server, &[trust]);
    assert!(!done && text.contains("KGRCA_CLIENT_CERT"), "{text}");
    let (own, own_key) = (path("caller.crt"), path("caller.key"));
    let own = ("KGRCA_CLIENT_CERT", own.as_str());
    let (done, text) = list(&server, &[trust, own]);
    assert!(
        !done && text.contains("KGRCA_CLIENT_KEY is not set"),
        "{text}"
    );
    let (done, text) = list(&server, &[trust, own, ("KGRCA_CLIENT_KEY", &own_key)]);
    assert!(done, "{text}");
    let (done, text) = list(&server, &[]);
    assert!(
        !done && text.contains("trust it with KGRCA_CA_FILE"),
        "{text}"
    );
    drop(server);

    // A CA's certificate is none of a server; what the hint says to create is accepted.
    let (server, _data) = start(&ca, &path("ca.key"), &[]);
    let (done, text) = list(&server, &[trust]);
    assert!(
        !done && text.contains("basicConstraints=critical,CA:FALSE"),
        "{text}"
    );
    drop(server);
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
        ])
        .args(["/CN=localhost", "-keyout", "own.key", "-out", "own.crt"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success());
    let (certificate, key) = (path("own.crt"), path("own.key"));
    let (server, _data) = start(&certificate, &key, &[]);
    let (done, text) = list(&server, &[("KGRCA_CA_FILE", &certificate)]);
    assert!(done, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_bound_to_a_certificate_works_with_that_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["server", "caller", "other"] {
        certify(folder.path(), name);
    }
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(path("server.key"), open).unwrap();
    let data = tempfile::tempdir().unwrap();
    let options = [
        "--tls-cert",
        &path("server.crt"),
        "--tls-key",
        &path("server.key"),
        "--tls-client-ca",
        &path("ca.crt"),
    ];
    let mut server = Server::start(data.path(), &options);
    let mode = std::fs::metadata(path("server.key")).unwrap().permissions();
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode);
    assert_eq!(mode & 0o007, 0, "the TLS key was readable by all");
    let log = std::fs::read_to_string(data.path().join("daemon.log")).unwrap();
    let is_named = |line: &&str| line.contains("TLS key") && line.contains(&path("server.key"));
    let warning = log.lines().find(is_named).unwrap_or_default();
    assert!(warning.contains("WARN"), "a warning names it: {log}");
    server.http = client(folder.path(), Some("caller"));
    let tenant = server.tenant("Bound", "pro").await;
    let printed = Command::new("openssl")
        .args([
            "x509",
            "-in",
            &path("caller.crt"),
            "-noout",
            "-fingerprint",
            "-sha256",
        ])
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let digest = printed.trim().rsplit('=').next().unwrap();
    let digest = digest.replace(':', "").to_lowercase();
    let request = json!({"role": "viewer", "certificate_sha256": digest}).to_string();
    let created = server
        .call(
            Method::POST,
            "/api/v1/keys",
            Some(&tenant.key),
            Some(request.into_bytes()),
        )
        .await;
    assert_eq!(created.status(), 201);
    let created: serde_json::Value = created.json().await.unwrap();
    let key = created["api_key"].as_str();
    let path = "/api/v1/stats";
    assert_eq!(
        server.call(Method::GET, path, key, None).await.status(),
        200
    );
    server.http = client(folder.path(), Some("other"));
    assert_eq!(
        server.call(Method::GET, path, key, None).await.status(),
        403
    );
    let unbound = Some(tenant.key.as_str());
    assert_eq!(
        server.call(Method::GET, path, unbound, None).await.status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_each_daemon_gives_its_share_and_says_so() {
    let redis = Service::start("redis");
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &[], &[("KGRCA_LIMITS_URL", &redis.url())]);
    let tenant = server.tenant("Limits", "free").await;
    server.get("/api/v1/stats", &tenant.key).await;
    redis.kill();
    let mut served = 0;
    let begun = std::time::Instant::now();
    while server
        .call(
            reqwest::Method::GET,
            "/api/v1/limits",
            Some(&tenant.key),
            None,
        )
        .await
        .status()
        == 200
    {
        served += 1;
        assert!(
            begun.elapsed() < PATIENCE,
            "callers are held to their limit"
        );
    }
    // 100 at once, and one more each .6 seconds.
    let most = 100 + begun.elapsed().as_secs() * 2 + 2;
    assert!(
        (100..=most).contains(&served),
        "callers are served within their limit: {served} of {most}"
    );
    let metrics = server
        .http
        .get(format!("{}/metrics", server.metrics))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("kg_limits_shared 0"), "{metrics}");
    redis.run();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        server
            .call(
                reqwest::Method::GET,
                "/api/v1/limits",
                Some(&tenant.key),
                None,
            )
            .await;
        let metrics = server
            .http
            .get(format!("{}/metrics", server.metrics))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        if metrics.contains("kg_limits_shared 1") {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "it is used again when it is back"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
