use super::*;
use rmq_pod::{Advertise, AdvertisedHost, BrokerTemplate, Place, Shared};
use tempfile::TempDir;

/// A pod as `rmq up` starts it, with these files.
fn mounts(files: &[(&str, &str)]) -> (TempDir, Mounts) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        rmq_host::durable::replace(&folder.path().join(name), text.as_bytes()).expect("writable");
    }
    let text = |name: &str| folder.path().join(name).display().to_string();
    let shared = Shared {
        config_dir: text(""),
        data_dir: text("data"),
        bind: Some(IpAddr::from([127, 0, 0, 1])),
        ..Shared::new("demo", "u", 10_911)
    };
    let template = BrokerTemplate {
        advertise: Advertise::External,
        advertised_host: Some(AdvertisedHost::default().for_all("127.0.0.1", None)),
        ..BrokerTemplate::new(shared, "broker-a")
    };
    let place = Place { name: "demo-broker-a-0".into(), ..Place::default() };
    (folder, Mounts::new(BrokerPod { place, template }, None))
}

#[test]
fn the_pod_decides_over_the_file() {
    let text = "brokerName=other\nfileReservedTime=12\nlistenPort=1\nlogLevel=debug";
    let (_folder, mounts) = mounts(&[("broker.conf", text), ("namesrv.addrs", "a:1;b:2\n")]);
    let given = mounts.read().expect("well-formed");
    let names = mounts.read_name_servers().expect("well-formed");
    let config = mounts.config(&given, &names).expect("valid");
    assert_eq!(&*config.settings.broker_name, "broker-a");
    assert_eq!(config.settings.file_reserved_time, 12);
    assert_eq!(config.listen.port(), 10_911);
    assert_eq!(config.name_servers, ["a:1", "b:2"]);
    assert_eq!(config.control.map(|control| control.address.port()), Some(10_913));
    let place = mounts.path("broker.conf").display().to_string();
    assert_eq!(
        config.warnings,
        [
            format!("{place}, line 1: brokerName=other is replaced by broker-a: the pod decides"),
            format!("{place}, line 3: listenPort=1 is replaced by 10911: the pod decides"),
        ]
    );
}

#[test]
fn missing_files_are_empty() {
    let (_folder, mounts) = mounts(&[]);
    let given = mounts.read().expect("nothing is wrong");
    assert!(given.settings().is_empty());
    assert!(mounts.read_name_servers().expect("nothing is wrong").is_empty());
    assert!(mounts.config(&given, &[]).expect("valid").warnings.is_empty());
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    for (file, text, key) in [
        ("broker.conf", "fileReservedTime=x", "fileReservedTime"),
        ("broker.conf", "a=\\u1", "broker.conf"),
        ("broker.conf", "aclEnable=true", "aclEnable"),
        ("replication.conf", "totalReplicas=0", "replication.conf: totalReplicas"),
    ] {
        let (_folder, mounts) = mounts(&[(file, text)]);
        let checked = mounts.read().and_then(|given| mounts.config(&given, &[]));
        assert_eq!(checked.expect_err(text).key(), key);
    }
    let (_folder, mounts) = mounts(&[("namesrv.addrs", "nowhere")]);
    let error = mounts.read_name_servers().expect_err("no port");
    assert_eq!(error.key(), "namesrv.addrs: address");
}

#[test]
fn a_service_that_dns_does_not_know_is_named() {
    let runtime = rmq_host::runtime::build(&rmq_host::runtime::RuntimeConfig {
        workers: 0,
        ..rmq_host::runtime::RuntimeConfig::default()
    })
    .expect("a runtime can be made");
    let unknown = "demo-broker-a-0.ns.svc.invalid";
    let error = runtime
        .block_on(service_address(unknown, None, Duration::ZERO))
        .expect_err("the domain does not exist");
    assert!(error.starts_with(&format!("the pod's Service {unknown} is not known")), "{error}");
    let here = runtime.block_on(service_address("127.0.0.9", None, Duration::ZERO));
    assert_eq!(here, Ok(IpAddr::from([127, 0, 0, 9])));
}
