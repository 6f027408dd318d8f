//! A client that writes frames as the C++ one does (the Python client wraps it): ext values that
//! are numbers and booleans, a line break after the header, enums as numbers, fields left out.
//!
//! The library itself is not in any package registry: the Python package expects to find it
//! installed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::ensure;
use rmq_host::SystemClock;
use rmq_model::clock::Clock as _;
use serde_json::{Value, json};

use crate::cases::Seen;
use crate::probe;
use crate::system::System;
use crate::wait;

/// What the client calls itself: V4_6_0.
const VERSION: i32 = 333;
const TIMEOUT: Duration = Duration::from_secs(20);
const APPEAR: Duration = Duration::from_secs(10);

/// Runs all of it against `system`.
///
/// # Errors
/// When a server closes the connection or writes what the client could not read.
pub fn run(system: &System) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let mut client = Client::connect(system, system.broker())?;
    client.create_topic(&mut seen)?;
    client.route(&mut seen)?;
    client.heartbeat(&mut seen)?;
    client.send_and_pull(&mut seen)?;
    client.lock(&mut seen)?;
    client.offsets(&mut seen)?;
    client.send_back(&mut seen)?;
    client.leave(&mut seen)?;
    seen.whole = true;
    Ok(seen)
}

struct Client {
    stream: TcpStream,
    broker: SocketAddr,
    namesrv: SocketAddr,
    opaque: i32,
    topic: String,
    group: String,
}

impl Client {
    fn connect(system: &System, to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let run = SystemClock::new().now();
        Ok(Self {
            stream,
            broker: system.broker(),
            namesrv: system.namesrv(),
            opaque: 1,
            topic: format!("cpp_topic_{run}"),
            group: format!("cpp_group_{run}"),
        })
    }

    fn call(&mut self, code: i32, mut ext: Value, body: &[u8]) -> anyhow::Result<probe::Answer> {
        if let Some(ext) = ext.as_object_mut() {
            for (name, value) in [("AccessKey", ""), ("Signature", ""), ("ONSChannelKey", "ALIYUN")]
            {
                ext.insert(name.to_owned(), value.into());
            }
        }
        self.opaque += 1;
        let mut header = json!({
            "code": code, "extFields": ext, "flag": 0, "language": "CPP", "opaque": self.opaque,
            "version": VERSION,
        })
        .to_string();
        header.push('\n');
        self.stream.write_all(&probe::frame(header.as_bytes(), body)?)?;
        loop {
            let answer = probe::read_answer(&mut self.stream)?;
            // The broker tells its consumers about each other in between.
            if answer.is_answer_to(self.opaque) {
                return Ok(answer);
            }
        }
    }

    fn fact(&self, seen: &mut Seen, case: &str, answer: &probe::Answer, more: &[(&str, String)]) {
        let mut facts = format!("code={} ", answer.code);
        // The client reads the length with the type byte in it, and values as strings only.
        let _always_fits =
            write!(facts, "json={} strings={}", answer.is_json, answer.has_only_texts());
        for (name, value) in more {
            let value = value
                .replace(&self.topic, "<topic>")
                .replace(&self.group, "<group>")
                .replace(&self.broker.to_string(), "<broker>")
                .replace(' ', "_");
            let _always_fits = write!(facts, " {name}={value}");
        }
        seen.facts.insert(format!("cpp.{case}"), facts);
    }

    fn create_topic(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let ext = json!({
            "defaultTopic": "TBW102", "perm": 6, "readQueueNums": 2, "topic": self.topic,
            "topicFilterType": "SINGLE_TAG", "writeQueueNums": 2,
        });
        let answer = self.call(17, ext, &[])?;
        self.fact(seen, "createTopic", &answer, &[]);
        let routed = wait::until(APPEAR, || {
            let answer = probe::call(self.namesrv, 105, &[("topic", &self.topic)]).ok()?;
            (answer.code == 0).then_some(())
        });
        ensure!(routed.is_some(), "{} got no route", self.topic);
        Ok(())
    }

    fn route(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let broker = std::mem::replace(&mut self.stream, TcpStream::connect(self.namesrv)?);
        let answer = self.call(105, json!({ "topic": self.topic }), &[])?;
        self.stream = broker;
        let body = ("body", String::from_utf8_lossy(&answer.body).into_owned());
        self.fact(seen, "route", &answer, &[body]);
        Ok(())
    }

    fn heartbeat(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let body = json!({
            "clientID": "10.0.0.1@cpp",
            "consumerDataSet": [{
                "consumeFromWhere": 0, "consumeType": 1, "groupName": self.group,
                "messageModel": 1,
                "subscriptionDataSet": [
                    { "subString": "*", "subVersion": "1700000000000", "topic": self.topic },
                    { "codeSet": ["65"], "subString": "A", "subVersion": "1700000000000",
                      "tagsSet": ["A"], "topic": format!("%RETRY%{}", self.group) },
                ],
            }],
            "producerDataSet": [{ "groupName": "cpp_producers" }],
        });
        let answer = self.call(34, json!({}), body.to_string().as_bytes())?;
        self.fact(seen, "heartbeat", &answer, &[]);
        let answer = self.call(38, json!({ "consumerGroup": self.group }), &[])?;
        let body = ("body", String::from_utf8_lossy(&answer.body).into_owned());
        self.fact(seen, "list", &answer, &[body]);
        Ok(())
    }

    fn send_and_pull(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        for n in 0..3 {
            let ext = json!({
                "batch": false, "bornTimestamp": 1_700_000_000_000_i64, "defaultTopic": "TBW102",
                "defaultTopicQueueNums": 4, "flag": 0, "producerGroup": "cpp_producers",
                "properties": "TAGS\u{1}A\u{2}KEYS\u{1}k\u{2}", "queueId": 0, "reconsumeTimes": 0,
                "sysFlag": 0, "topic": self.topic, "unitMode": false,
            });
            let answer = self.call(10, ext, b"from c++")?;
            let offset = ("offset", answer.ext("queueOffset"));
            self.fact(
                seen,
                &format!("send{n}"),
                &answer,
                &[offset, ("queue", answer.ext("queueId"))],
            );
        }
        for (case, offset, flag) in
            [("pull", 0, 0), ("pullWithSubscription", 1, 4), ("pullEnd", 3, 6)]
        {
            let ext = json!({
                "commitOffset": 0, "consumerGroup": self.group, "maxMsgNums": 32, "queueId": 0,
                "queueOffset": offset, "subVersion": 1_700_000_000_000_i64, "subscription": "*",
                "suspendTimeoutMillis": 500, "sysFlag": flag, "topic": self.topic,
            });
            let answer = self.call(11, ext, &[])?;
            let shown = ["nextBeginOffset", "minOffset", "maxOffset", "suggestWhichBrokerId"]
                .map(|name| (name, answer.ext(name)));
            self.fact(seen, case, &answer, &shown);
        }
        Ok(())
    }

    fn lock(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let body = json!({
            "clientId": "10.0.0.1@cpp", "consumerGroup": self.group,
            "mqSet": [{ "brokerName": "broker-a", "queueId": 0, "topic": self.topic }],
        })
        .to_string();
        for (case, code) in [("lock", 41), ("unlock", 42)] {
            let answer = self.call(code, json!({}), body.as_bytes())?;
            let shown = ("body", String::from_utf8_lossy(&answer.body).into_owned());
            self.fact(seen, case, &answer, &[shown]);
        }
        Ok(())
    }

    fn offsets(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let queue = json!({ "queueId": 0, "topic": self.topic });
        for (case, code) in [("max", 30), ("min", 31)] {
            let answer = self.call(code, queue.clone(), &[])?;
            self.fact(seen, case, &answer, &[("offset", answer.ext("offset"))]);
        }
        let group = json!({ "consumerGroup": self.group, "queueId": 0, "topic": self.topic });
        let mut store = group.clone();
        if let Some(fields) = store.as_object_mut() {
            fields.insert("commitOffset".to_owned(), 2.into());
        }
        let answer = self.call(15, store, &[])?;
        self.fact(seen, "storeOffset", &answer, &[]);
        let answer = self.call(14, group, &[])?;
        self.fact(seen, "readOffset", &answer, &[("offset", answer.ext("offset"))]);
        Ok(())
    }

    fn send_back(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let ext = json!({
            "delayLevel": 0, "group": self.group, "maxReconsumeTimes": 16, "offset": 99_999_999_i64,
            "originMsgId": "", "originTopic": self.topic, "unitMode": false,
        });
        let answer = self.call(36, ext, &[])?;
        self.fact(seen, "sendBackNothing", &answer, &[]);
        Ok(())
    }

    fn leave(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        let ext = json!({
            "clientID": "10.0.0.1@cpp", "consumerGroup": self.group,
            "producerGroup": "cpp_producers",
        });
        let answer = self.call(35, ext, &[])?;
        self.fact(seen, "leave", &answer, &[]);
        let answer = self.call(38, json!({ "consumerGroup": self.group }), &[])?;
        self.fact(seen, "listAfter", &answer, &[]);
        Ok(())
    }
}
