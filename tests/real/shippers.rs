//! Another shipper of logs: syslog-ng, with the configuration that we ship.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kgrca_tests::proxy::{Mode, Proxy};
use kgrca_tests::{Server, repository};

struct Shipper(Child);

impl Drop for Shipper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_ng_ships_the_logs_of_a_node_and_waits_for_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Shipped", "enterprise").await;
    let proxy = Proxy::start(server.url.rsplit(':').next().unwrap().parse().unwrap()).await;
    let own = folder.path().join("syslog-ng");
    let logs = folder.path().join("pods/shop_web-1_0000-1/app");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::create_dir_all(&logs).unwrap();
    let mut out = std::fs::File::create(logs.join("0.log")).unwrap();
    let log = std::fs::File::create(own.join("log")).unwrap();
    let child = Command::new("syslog-ng")
        .args(["--foreground", "--no-caps", "--cfgfile"])
        .arg(repository().join("deploy/shippers/syslog-ng.conf"))
        .args([
            "--persist-file",
            "persist",
            "--pidfile",
            "pid",
            "--control",
            "control",
        ])
        .env("KGRCA_URL", format!("http://127.0.0.1:{}", proxy.port))
        .env("KGRCA_API_KEY", &tenant.key)
        .env("KGRCA_CLUSTER", "prod")
        .env("KGRCA_LOGS", folder.path().join("pods"))
        .current_dir(&own)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("syslog-ng is installed by ./tests/run.sh");
    let _shipper = Shipper(child);
    let mut write = |count: usize| {
        let now = jiff::Timestamp::now();
        for i in 0..count {
            writeln!(
                out,
                "{now} stdout F ERROR cannot reach \"db\" at db:5432, attempt {i}"
            )
            .unwrap();
        }
    };
    write(200);
    let said = || std::fs::read_to_string(own.join("log")).unwrap_or_default();
    let arrived = async |count: u64| {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let stats = server.get("/api/v1/stats", &tenant.key).await;
            assert_eq!(stats["records"]["rejected"], 0, "{stats}");
            if stats["records"]["applied"].as_u64().unwrap() >= count {
                return stats["records"]["applied"].as_u64().unwrap();
            }
            assert!(
                Instant::now() < deadline,
                "{count} lines were written: {stats}\n{}",
                said()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert_eq!(
        arrived(200).await,
        200,
        "each line once while nothing is in the way"
    );
    proxy.set(Mode::Cut);
    write(300);
    // How long the server is away is what is tried.
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.set(Mode::Pass);
    arrived(500).await;
    let pods = server.get("/api/v1/resources?kind=Pod", &tenant.key).await;
    assert_eq!(
        (&pods["items"][0]["namespace"], &pods["items"][0]["name"]),
        (&"shop".into(), &"web-1".into()),
        "{pods}"
    );
}
