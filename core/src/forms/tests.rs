use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn source<'a>(path: &'a str, bytes: &'a [u8]) -> Source<'a> {
    Source {
        path,
        bytes,
        taken_at: Time::parse("2026-11-29T09:10:00Z").unwrap(),
        namespace: None,
    }
}

fn values(path: &str, text: &str) -> Vec<Value> {
    let converted = read(&source(path, text.as_bytes())).unwrap();
    let lines = converted.json.split(|b| *b == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

const POD: &str = "\
Name:             api-6b7c8d9f5-x2k8p
Namespace:        shop
Node:             node-1/10.0.0.11
Start Time:       Sun, 29 Nov 2026 09:00:10 +0000
Labels:           app=api
                  tier=web
Status:           Running
IP:               10.244.1.9
Controlled By:    ReplicaSet/api-6b7c8d9f5
Containers:
  api:
    Image:          example/api:1
    Port:           8080/TCP
    Command:
      /app
      --verbose
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
      Finished:     Sun, 29 Nov 2026 09:02:00 +0000
    Ready:          False
    Restart Count:  4
    Limits:
      memory:  64Mi
    Readiness:  http-get http://:8080/healthz delay=5s timeout=1s period=10s #success=1 #failure=3
    Environment Variables from:
      settings  ConfigMap  Optional: false
    Environment:
      PASSWORD:  <set to the key 'password' in secret 'db'>  Optional: false
      MODE:      fast
    Mounts:
      /data from data (rw)
Conditions:
  Type              Status
  Ready             False
  PodScheduled      True
Volumes:
  data:
    Type:       PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)
    ClaimName:  api-data
    ReadOnly:   false
QoS Class:         Burstable
Events:
  Type     Reason     Age                From               Message
  ----     ------     ----               ----               -------
  Normal   Scheduled  3m2s               default-scheduler  Successfully assigned shop/api to node-1
  Warning  BackOff    10s (x12 over 3m)  kubelet            Back-off restarting failed container
";

#[test]
fn a_described_pod_is_an_object_and_its_events() {
    let all = values("pod.txt", POD);
    let [scheduled, back_off, pod] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(scheduled["reason"], "Scheduled");
    // Three minutes and two seconds after the start, less ten seconds.
    assert_eq!(back_off["lastTimestamp"], "2026-11-29T09:03:02Z");
    assert_eq!(
        (&back_off["count"], &back_off["involvedObject"]["name"]),
        (&12.into(), &"api-6b7c8d9f5-x2k8p".into())
    );
    assert_eq!(pod["metadata"]["labels"]["tier"], "web");
    assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet");
    assert_eq!(pod["spec"]["nodeName"], "node-1");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["command"][1], "--verbose");
    assert_eq!(
        container["env"][0]["valueFrom"]["secretKeyRef"]["name"],
        "db"
    );
    assert_eq!(container["env"][1]["value"], "fast");
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "settings");
    assert_eq!(container["resources"]["limits"]["memory"], "64Mi");
    assert_eq!(container["readinessProbe"]["httpGet"]["port"], 8080);
    assert_eq!(
        pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"],
        "api-data"
    );
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 137);
    assert_eq!(
        (&status["ready"], &status["restartCount"]),
        (&false.into(), &4.into())
    );
    assert_eq!(pod["status"]["conditions"][0]["status"], "False");
}

#[test]
fn the_name_of_a_volume_is_no_other_object() {
    let volume = "Volumes:\n  settings:\n    Type:  ConfigMap (a volume)\n    \
                  Name:  app-settings\n    Optional:  false\n";
    let all = values("pod.txt", &POD.replace("Volumes:\n", volume));
    assert_eq!(all.len(), 3, "{all:?}");
    let volumes = &all[2]["spec"]["volumes"];
    assert_eq!(volumes[0]["configMap"]["name"], "app-settings");
    assert_eq!(volumes[1]["name"], "data", "what follows is not lost");
}

#[test]
fn pasted_text_is_read_without_what_is_around_it() {
    let table =
        "NAME    READY   STATUS    RESTARTS   AGE\napi-1   0/1     Pending   0          9m\n";
    let pod = format!("    {}", POD.trim_end().replace('\n', "\n    ")) + "\n";
    let text = format!("```\n$ kubectl -n shop get pods\n{table}```\nand then\n```\n{pod}```\n");
    let all = values("thread.txt", &text);
    let names: Vec<&str> = all
        .iter()
        .filter_map(|v| v["metadata"]["name"].as_str())
        .collect();
    assert_eq!(names, ["api-1", "api-6b7c8d9f5-x2k8p"], "{all:?}");
    let json = "$ kubectl get pods -o json\n{\n  \"kind\": \"Pod\",\n  \"metadata\": {}\n}\n";
    assert_eq!(values("term.txt", json)[0]["kind"], "Pod");
}

#[test]
fn what_was_pasted_together_was_printed_at_one_time() {
    let table =
        "NAME    READY   STATUS    RESTARTS   AGE\napi-1   0/1     Pending   0          9m\n";
    let all = values("both.txt", &format!("{table}\n{POD}"));
    // Not nine minutes before the file was written.
    assert_eq!(
        all[0]["metadata"]["creationTimestamp"],
        "2026-11-29T08:54:12Z"
    );
}

#[test]
fn a_table_tells_what_ended_and_guesses_no_number() {
    let of = |row: &str| {
        let text = format!("NAME    READY   STATUS      RESTARTS   AGE\n{row}\n");
        read(&source("pods.txt", text.as_bytes())).map(|_| values("pods.txt", &text))
    };
    let killed = &of("api-1   0/1     OOMKilled   4          9m").unwrap()[0]["status"];
    let ended = &killed["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (&ended["reason"], &ended["exitCode"]),
        (&"OOMKilled".into(), &137.into())
    );
    assert_eq!(
        killed["phase"], "Running",
        "it has a node, which the table does not show"
    );
    for ready in ["0/4000000000", "3/2"] {
        assert!(
            of(&format!("api-1   {ready}   Running   0   9m")).is_err(),
            "{ready}"
        );
    }
    let all = "NAME        READY   STATUS    RESTARTS   AGE\n\
               pod/api-1   0/1     Pending   0          9m\n";
    assert_eq!(values("all.txt", all)[0]["metadata"]["name"], "api-1");
}

#[test]
fn several_descriptions_are_several_objects() {
    let node = "Name:  node-1\nRoles:  <none>\nTaints:  a=b:NoSchedule\nUnschedulable:  true\n\
                Conditions:\n  Type   Status  Reason\n  ----   ------  ------\n  Ready  False   \
                KubeletNotReady\nCapacity:\n  cpu:  2\nEvents:  <none>\n";
    let service = "Name:  db\nNamespace:  shop\nLabels:  <none>\nSelector:  app=db\n\
                   Type:  ClusterIP\n\
                   IP:  10.0.0.9\nPort:  pg  5432/TCP\nTargetPort:  5433/TCP\nEndpoints:  <none>\n\
                   Session Affinity:  None\nEvents:  <none>\n";
    let deployment = "Name:  api\nNamespace:  shop\nSelector:  app=api\n\
                      Replicas:  3 desired | 1 updated \
                      | 3 total | 1 available | 2 unavailable\nStrategyType:  RollingUpdate\n\
                      Pod Template:\n  Labels:  app=api\n  Containers:\n   api:\n    Image:  x:1\n\
                      Conditions:\n  Type  Status  Reason\n  ----  ------  ------\n  \
                      Available  False  MinimumReplicasUnavailable\n";
    let custom = "Name:  web\nNamespace:  shop\nAPI Version:  cert-manager.io/v1\n\
                  Kind:  Certificate\n\
                  Spec:\n  Secret Name:  web-tls\nStatus:\n  Conditions:\n    \
                  Last Transition Time:  2026-11-29T09:00:00Z\n    Status:  False\n    Type:  Ready\nEvents:  <none>\n";
    let text = [node, service, deployment, custom].join("\n\n");
    let all = values("all.txt", &text);
    let kinds: Vec<&str> = all.iter().filter_map(|v| v["kind"].as_str()).collect();
    assert_eq!(kinds, ["Node", "Service", "Deployment", "Certificate"]);
    assert_eq!(all[0]["spec"]["taints"][0]["effect"], "NoSchedule");
    assert_eq!(
        all[0]["status"]["conditions"][0]["reason"],
        "KubeletNotReady"
    );
    assert_eq!(all[1]["spec"]["ports"][0]["targetPort"], 5433);
    assert_eq!(all[1]["spec"]["selector"]["app"], "db");
    assert_eq!(all[2]["status"]["availableReplicas"], 1);
    assert_eq!(
        all[2]["spec"]["template"]["spec"]["containers"][0]["image"],
        "x:1"
    );
    assert_eq!(all[3]["status"]["conditions"][0]["type"], "Ready");
    assert_eq!(all[3]["spec"]["secretName"], "web-tls");
}

#[test]
fn tables_show_what_kubectl_made_of_states() {
    let text = "NAMESPACE   NAME    READY   STATUS             RESTARTS       AGE\n\
                shop        api-1   0/1     CrashLoopBackOff   5 (10s ago)    9m\n\
                shop        web-1   1/1     Running            0              9m\n\n\
                NAME     STATUS                     ROLES    AGE   VERSION\n\
                node-1   Ready,SchedulingDisabled   <none>   9d    v1.34.0\n";
    let all = values("pods.txt", text);
    let status = &all[0]["status"]["containerStatuses"][0];
    assert_eq!(status["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(status["restartCount"], 5);
    assert_eq!(all[1]["status"]["conditions"][0]["status"], "True");
    assert_eq!(all[2]["spec"]["unschedulable"], true);
    assert_eq!(
        all[0]["metadata"]["creationTimestamp"],
        "2026-11-29T09:01:00Z"
    );
    let events = "LAST SEEN   TYPE      REASON   OBJECT      MESSAGE\n\
                  10s         Warning   Failed   pod/api-1   Error: secret \"db\" not found\n";
    let event = &values("events.txt", events)[0];
    assert_eq!(event["involvedObject"]["kind"], "pod");
    assert_eq!(event["lastTimestamp"], "2026-11-29T09:09:50Z");
}

#[test]
fn a_dump_in_one_stream_has_objects_and_logs() {
    let text = "{\"kind\": \"PodList\",\n \"items\": []}\n\
                ==== START logs for container api of pod shop/api-1 ====\n\
                2026-11-29T09:00:00Z ERROR no route\n  at main\n\
                ==== END logs for container api of pod shop/api-1 ====\n\
                {\"kind\": \"NodeList\", \"items\": []}\n";
    let all = values("dump.txt", text);
    assert_eq!(
        (&all[0]["kind"], &all[2]["kind"]),
        (&"PodList".into(), &"NodeList".into())
    );
    assert_eq!(all[1]["message"], "ERROR no route\n  at main");
    assert_eq!(
        (&all[1]["pod"], &all[1]["container"]),
        (&"api-1".into(), &"api".into())
    );
}

#[test]
fn lines_that_kubernetes_stamped_are_still_those_of_one_exception() {
    let lines = "2026-11-29T09:01:02.123456789Z java.lang.IllegalStateException: no pool\n\
                 2026-11-29T09:01:02.123456790Z \tat com.example.Pool.get(Pool.java:7)\n\
                 2026-11-29T09:01:02.123456791Z Caused by: java.net.ConnectException: refused\n\
                 2026-11-29T09:01:03.000000001Z 2026-11-29 09:01:03 INFO stopped\n";
    let records = values("pods/logs/shop/api-1/api.log", lines);
    let messages: Vec<&str> = records
        .iter()
        .filter_map(|r| r["message"].as_str())
        .collect();
    let exception = "java.lang.IllegalStateException: no pool\n\
                     \tat com.example.Pool.get(Pool.java:7)\n\
                     Caused by: java.net.ConnectException: refused";
    assert_eq!(messages, [exception, "2026-11-29 09:01:03 INFO stopped"]);
    assert_eq!(records[0]["time"], "2026-11-29T09:01:02.123456Z");
    // A program's own time begins another message.
    let own = lines.replace("3456790Z", "Z");
    assert_eq!(values("pods/logs/shop/api-1/api.log", &own).len(), 3);
}

#[test]
fn what_cannot_be_read_says_what_it_looks_like() {
    for (text, says) in [
        ("", "empty"),
        (
            "Error from server (Forbidden): pods is forbidden",
            "error message",
        ),
        (
            "2026-11-29 ERROR no route\n2026-11-29 ERROR no route",
            "without the name of their pod",
        ),
        (
            "NAME   CPU(cores)   MEMORY(bytes)\napi-1  3m  20Mi",
            "kubectl top",
        ),
        ("kind: Pod\n  a: [", "invalid YAML"),
        ("PK\u{3}\u{4}\0\0", "binary"),
    ] {
        let unread = read(&source("x", text.as_bytes())).unwrap_err();
        assert!(unread.looks_like.contains(says), "{text}: {unread:?}");
        assert!(!unread.hint.is_empty());
    }
}

#[test]
fn values_of_secrets_are_left_out() {
    let text = "Name:  db\nNamespace:  shop\nType:  Opaque\n\nData\n====\npassword:  12 bytes\n\
                user:  4 bytes\n";
    let secret = &values("secret.txt", text)[0];
    assert_eq!(secret["kind"], "Secret");
    assert_eq!(
        secret["data"],
        serde_json::json!({ "password": "", "user": "" })
    );
}

/// Lines that the forms have, in any order.
fn line() -> impl Strategy<Value = String> {
    let known: Vec<String> = POD.lines().map(str::to_owned).collect();
    let marks = [
        "---",
        "kind: Pod",
        "NAME  READY  STATUS  RESTARTS",
        "[pod/a/b] x",
        "{",
        "]",
        "\t- \u{1f642}:",
    ];
    let marks: Vec<String> = marks.iter().map(|m| (*m).to_owned()).collect();
    prop_oneof![
        proptest::sample::select(known),
        proptest::sample::select(marks),
        "[ -~\u{e9}]{0,40}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(lines in proptest::collection::vec(line(), 0..30)) {
        let text = lines.join("\n");
        if let Ok(converted) = read(&source("a_b.log", text.as_bytes())) {
            prop_assert!(converted.form.as_str().len() > 2);
        }
        let _ = read(&source("x", text.as_bytes()));
    }
}
