//! What tables alone show.

use super::{Analysis, Evidence, Options};
use crate::forms::Source;
use crate::model::Time;
use crate::rca::Verdict;

fn of(tables: &[&str]) -> Analysis {
    let options = Options {
        now: Time::parse("2026-11-29T09:06:00Z").unwrap(),
        ..Options::default()
    };
    let mut evidence = Evidence::new(&options);
    for text in tables {
        let source = Source {
            path: "get.txt",
            bytes: text.as_bytes(),
            taken_at: Time::parse("2026-11-29T09:06:00Z").unwrap(),
            namespace: Some("shop"),
        };
        evidence.add(&source).unwrap();
    }
    evidence.analyze("get")
}

/// The verdict, and the first cause with its confidence in percent.
fn first(tables: &[&str]) -> (Verdict, String, i64) {
    let analysis = of(tables);
    let cause = analysis.causes.first();
    let text = cause.map(|c| format!("{} {}", c.component, c.fault_type));
    let percent = cause.map(|c| (c.confidence * 100.0) as i64);
    (
        analysis.verdict,
        text.unwrap_or_default(),
        percent.unwrap_or_default(),
    )
}

const PODS: &str = "NAME                    READY   STATUS    RESTARTS   AGE\n\
                    cart-6d5f7b9c8d-x2k8p   1/1     Running   0          12d\n";

#[test]
fn an_autoscaler_without_metrics_or_at_its_maximum() {
    let hpa = |targets: &str, replicas: &str| {
        let text = format!(
            "NAME  REFERENCE  TARGETS  MINPODS  MAXPODS  REPLICAS  AGE\n\
             web  Deployment/web  {targets}  0  10  {replicas}  12d\n"
        );
        first(&[&text]).1
    };
    let lacks = "app/web performance.autoscaler_no_metrics";
    assert_eq!(hpa("<unknown>/70%", "2"), lacks);
    assert_eq!(hpa("cpu: <unknown>/70%, memory: <unknown>/80%", "2"), lacks);
    assert_eq!(hpa("cpu: <unknown>/70%, memory: 40%/80%", "2"), "");
    assert_eq!(hpa("<unknown>/5 (avg)", "0"), "", "scaled to zero");
    assert_eq!(
        hpa("cpu: 240%/70%", "10"),
        "app/web performance.autoscaler_at_limit"
    );
    assert_eq!(hpa("cpu: 60%/70%", "10"), "", "its load is on target");
}

#[test]
fn an_event_of_an_autoscaler_is_enough() {
    let events = "LAST SEEN   TYPE      REASON                    OBJECT                        MESSAGE\n\
         2m          Warning   FailedGetResourceMetric   horizontalpodautoscaler/web   failed to \
         get cpu utilization: unable to get metrics for resource cpu: no metrics returned\n";
    assert_eq!(
        first(&[events]).1,
        "app/web performance.autoscaler_no_metrics"
    );
    let starts = events.replace(
        "no metrics returned",
        "did not receive metrics for any ready pods",
    );
    assert_ne!(
        first(&[&starts]).1,
        "app/web performance.autoscaler_no_metrics"
    );
}

#[test]
fn a_service_without_endpoints_although_its_pod_is_ready() {
    let endpoints = "NAME   ENDPOINTS   AGE\ncart   <none>      12d\n";
    let services = "NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE   SELECTOR\n\
                    cart   ClusterIP   10.96.1.7    <none>        80/TCP    12d   app=carts\n";
    let (verdict, cause, _) = first(&[endpoints, services, PODS]);
    assert_eq!(
        (verdict, &*cause),
        (Verdict::Cause, "app/cart service.selector_mismatch")
    );
    assert_eq!(first(&[endpoints]).0, Verdict::Inconclusive);
    let filled = endpoints.replace("<none>     ", "10.1.2.3:80");
    assert_eq!(first(&[&filled, services, PODS]).0, Verdict::NothingFound);
    assert_eq!(first(&[PODS]).0, Verdict::NothingFound);
}

#[test]
fn what_waits_is_worth_a_word_and_no_verdict() {
    let claims = "NAME     STATUS    VOLUME   CAPACITY   ACCESS MODES   STORAGECLASS   AGE\n\
                  data-a   Pending                                      fast           41m\n";
    let services = "NAME   TYPE           CLUSTER-IP   EXTERNAL-IP   PORT(S)        AGE\n\
                    web    LoadBalancer   10.96.1.8    <pending>     80:31020/TCP   3h\n";
    let ingresses = "NAME   CLASS    HOSTS      ADDRESS   PORTS   AGE\n\
                     shop   <none>   shop.com             80      3h\n";
    let quotas = "NAME   AGE   REQUEST         LIMIT\nmain   30d   pods: 20/20     \n";
    for (table, cause) in [
        (claims, "app/data-a storage.provisioning_failed"),
        (services, "app/web network.load_balancer_pending"),
        (ingresses, "app/shop service.ingress_class_missing"),
        (quotas, "namespace/shop admission.quota_pods"),
    ] {
        let (verdict, first, percent) = first(&[table]);
        assert_eq!(
            (verdict, &*first),
            (Verdict::Inconclusive, cause),
            "{table}"
        );
        assert!(percent < 50, "{table}");
    }
    let young = [claims.replace("41m", "1m"), services.replace("3h", "2m")];
    for table in &young {
        assert_eq!(first(&[table]).0, Verdict::NothingFound, "{table}");
    }
    let room = quotas.replace("20/20", "19/20");
    assert_eq!(first(&[&room]).0, Verdict::NothingFound);
    let work = [quotas, PODS];
    assert_eq!(first(&work).0, Verdict::NothingFound, "its pods run");
}

#[test]
fn a_volume_that_could_not_be_reclaimed_is_named() {
    let volumes = "NAME   CAPACITY   ACCESS MODES   RECLAIM POLICY   STATUS   CLAIM      \
                   STORAGECLASS   REASON   AGE\n\
                   pv-b   10Gi       RWO            Delete           Failed   shop/old   \
                   standard                30d\n";
    let (verdict, cause, _) = first(&[volumes]);
    assert_eq!(
        (verdict, &*cause),
        (Verdict::Inconclusive, "cluster/pv-b unknown")
    );
    let bound = volumes.replace("Failed", "Bound ");
    assert_eq!(first(&[&bound]).0, Verdict::NothingFound);
}

#[test]
fn a_row_of_a_node_says_not_why_it_is_not_ready() {
    let nodes = "NAME   STATUS     ROLES    AGE    VERSION\n\
                 n-1    Ready      <none>   210d   v1.29.4\n\
                 n-2    NotReady   <none>   210d   v1.29.4\n";
    let (_, cause, percent) = first(&[nodes]);
    assert_eq!(cause, "node/n-2 node.kubelet_down");
    assert!((50..65).contains(&percent), "{percent}");
}
