use serde_json::{Value, json};

use super::*;
use crate::forms::Source;
use crate::model::Time;

/// The objects of a table, which are of one kind.
fn rows(text: &str) -> Vec<Value> {
    let source = Source {
        path: "get.txt",
        bytes: text.as_bytes(),
        taken_at: Time::parse("2026-11-29T09:10:00Z").unwrap(),
        namespace: Some("shop"),
    };
    let found = read(text, &source).unwrap();
    let values = serde_json::Deserializer::from_slice(&found.json).into_iter::<Value>();
    values.map(Result::unwrap).collect()
}

fn only(text: &str) -> Value {
    let mut all = rows(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn services_and_what_is_behind_them() {
    let all = rows(
        "NAME  TYPE  CLUSTER-IP  EXTERNAL-IP  PORT(S)  AGE  SELECTOR\n\
         api  ClusterIP  10.96.0.12  <none>  80/TCP,443:30443/TCP  9m  app=api,tier=web\n\
         edge  LoadBalancer  10.96.0.13  <pending>  443:31443/TCP  9m  app=edge\n\
         db     ExternalName   <none>        db.corp.io    <none>                   9m    <none>\n",
    );
    assert_eq!(all[0]["spec"]["ports"][1]["port"], 443);
    assert_eq!(
        all[0]["spec"]["selector"],
        json!({ "app": "api", "tier": "web" })
    );
    assert_eq!(all[1]["status"]["loadBalancer"], json!({ "ingress": [] }));
    assert_eq!(all[2]["spec"]["externalName"], "db.corp.io");
    let all = rows(
        "NAME   ENDPOINTS                                           AGE\n\
         api    10.1.0.4:8080,10.1.0.5:8080,10.1.0.6:8080 + 2 more...   9m\n\
         web    <none>                                              9m\n",
    );
    assert_eq!(all[0]["subsets"].as_array().unwrap().len(), 3);
    assert_eq!(all[0]["subsets"][2]["addresses"][0]["ip"], "10.1.0.6");
    assert_eq!(all[1]["subsets"], json!([]));
    let slice = only(
        "NAME        ADDRESSTYPE   PORTS   ENDPOINTS             AGE\n\
         api-x7k2p   IPv4          8080    10.1.0.4,10.1.0.5     9m\n",
    );
    let label = &slice["metadata"]["labels"]["kubernetes.io/service-name"];
    assert_eq!(
        (label, &slice["ports"][0]["port"]),
        (&json!("api"), &json!(8080))
    );
    assert_eq!(slice["endpoints"][1]["addresses"][0], "10.1.0.5");
    let ingress = only(
        "NAME   CLASS   HOSTS          ADDRESS   PORTS   AGE\n\
         web    nginx   www.shop.io              80      9m\n",
    );
    assert_eq!(ingress["spec"]["ingressClassName"], "nginx");
    assert_eq!(ingress["spec"]["rules"][0]["host"], "www.shop.io");
}

#[test]
fn workloads_and_what_scales_them() {
    let set = only("NAME   READY   AGE\ndb     1/3     9m\n");
    assert_eq!(set["kind"], "StatefulSet");
    assert_eq!(
        (&set["spec"]["replicas"], &set["status"]["readyReplicas"]),
        (&json!(3), &json!(1))
    );
    let set = only("NAME  DESIRED  CURRENT  READY  AGE\napi-6f7c9d  2  0  0  9m\n");
    assert_eq!(
        (&set["kind"], &set["status"]["replicas"]),
        (&json!("ReplicaSet"), &json!(0))
    );
    let set = only(
        "NAME   DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE\n\
         cni    3         3         2       3            2           <none>          9d\n",
    );
    assert_eq!(
        (&set["kind"], &set["status"]["numberUnavailable"]),
        (&json!("DaemonSet"), &json!(1))
    );
    let job = only("NAME  STATUS  COMPLETIONS  DURATION  AGE\nimport  Failed  0/1  9m  9m\n");
    assert_eq!(job["status"]["conditions"][0]["type"], "Failed");
    let job = only("NAME     COMPLETIONS   DURATION   AGE\nimport   0/1 of 3      9m         9m\n");
    assert_eq!(
        (&job["kind"], &job["spec"]["completions"]),
        (&json!("Job"), &json!(1))
    );
    let cron = only(
        "NAME    SCHEDULE      TIMEZONE   SUSPEND   ACTIVE   LAST SCHEDULE   AGE\n\
         dump    */5 * * * *   <none>     True      0        3d              9d\n",
    );
    assert_eq!(
        cron["spec"],
        json!({ "schedule": "*/5 * * * *", "suspend": true })
    );
    let hpa = only(
        "NAME   REFERENCE        TARGETS              MINPODS   MAXPODS   REPLICAS   AGE\n\
         api    Deployment/api   cpu: <unknown>/50%   1         5         5          9m\n",
    );
    assert_eq!(hpa["spec"]["scaleTargetRef"]["name"], "api");
    assert_eq!(
        (
            &hpa["spec"]["maxReplicas"],
            &hpa["status"]["currentReplicas"]
        ),
        (&json!(5), &json!(5))
    );
}

#[test]
fn storage_and_limits_of_namespaces() {
    let volume = only(
        "NAME  CAPACITY  ACCESS MODES  RECLAIM POLICY  STATUS  CLAIM  STORAGECLASS  VOLUMEATTRIBUTESCLASS  REASON  AGE\n\
         pv-1  10Gi  RWO  Delete  Bound  shop/data-db  fast  <unset>  9d\n",
    );
    assert_eq!(
        volume["spec"]["claimRef"],
        json!({ "namespace": "shop", "name": "data-db" })
    );
    assert_eq!(volume["metadata"].get("namespace"), None);
    let class = only(
        "NAME  PROVISIONER  RECLAIMPOLICY  VOLUMEBINDINGMODE  ALLOWVOLUMEEXPANSION  AGE\n\
         standard (default)  rancher.io/local-path  Delete  WaitForFirstConsumer  false  9d\n",
    );
    assert_eq!(class["metadata"]["name"], "standard");
    let marks = &class["metadata"]["annotations"];
    assert_eq!(marks["storageclass.kubernetes.io/is-default-class"], "true");
    let quota = only(
        "NAME      AGE   REQUEST                                  LIMIT\n\
         compute   9d    pods: 12/20, requests.cpu: 3900m/4       limits.cpu: 8/8\n",
    );
    assert_eq!(quota["status"]["used"]["requests.cpu"], "3900m");
    assert_eq!(quota["status"]["hard"]["limits.cpu"], "8");
    let budget = only(
        "NAME   MIN AVAILABLE   MAX UNAVAILABLE   ALLOWED DISRUPTIONS   AGE\n\
         api    N/A             50%               0                     9d\n",
    );
    assert_eq!(budget["spec"], json!({ "maxUnavailable": "50%" }));
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    let all = rows("NAME   STATUS        AGE\nshop   Terminating   9d\nweb    Active        9d\n");
    assert_eq!(all[0]["status"]["phase"], "Terminating");
    assert_eq!(all[1]["kind"], "Namespace");
}

#[test]
fn rows_of_other_kinds_are_left_out_and_not_guessed() {
    for text in [
        "NAME   STATUS   AGE\nweb    Healthy  9d\n",
        "NAME   READY   SECRET   AGE\nweb    False   web-tls  9d\n",
        "NAME   TYPE     DATA   AGE\ndb     Opaque   2      9d\n",
    ] {
        let source = Source {
            path: "get.txt",
            bytes: text.as_bytes(),
            taken_at: Time::default(),
            namespace: None,
        };
        assert!(read(text, &source).is_err(), "{text}");
    }
}
