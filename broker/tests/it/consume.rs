use crate::wire::{bodies, number, properties, pull, remark, send_v2};
use crate::world::World;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "measures the broker from outside")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn answers_of_pulls_follow_the_queue() {
    let world = World::new();
    let mut wire = world.wire();
    for n in 0..5 {
        let tags = properties(&[("TAGS", if n % 2 == 0 { "even" } else { "odd" })]);
        wire.ok(310, &send_v2("T", "0", &tags), format!("m{n}").as_bytes());
    }
    for (offset, expression, code, next, status) in [
        ("0", "*", 0, 5, "FOUND"),
        ("0", "even", 0, 5, "FOUND"),
        ("0", "none", 20, 5, "NO_MATCHED_MESSAGE"),
        ("5", "*", 19, 5, "OFFSET_OVERFLOW_ONE"),
        ("9", "*", 21, 5, "OFFSET_OVERFLOW_BADLY"),
    ] {
        let answer = wire.call(11, &pull("G", "T", "0", offset, "4", expression), b"");
        assert_eq!((answer.code, number(&answer, "nextBeginOffset")), (code, next), "{offset}");
        assert_eq!(remark(&answer), status);
        assert_eq!((number(&answer, "minOffset"), number(&answer, "maxOffset")), (0, 5));
        assert_eq!(number(&answer, "suggestWhichBrokerId"), 0);
    }
    let even = wire.ok(11, &pull("G", "T", "0", "0", "4", "even"), b"");
    assert_eq!(bodies(&even), ["m0", "m2", "m4"]);
    let empty = wire.call(11, &pull("G", "T", "3", "0", "4", "*"), b"");
    assert_eq!((empty.code, number(&empty, "nextBeginOffset")), (19, 0));
    for (topic, queue, flag, expression, code) in [
        ("none", "0", "4", "*", 17),
        ("T", "77", "4", "*", 29),
        ("T", "0", "4", "||", 23),
        ("T", "0", "0", "*", 24),
    ] {
        let answer = wire.call(11, &pull("G", topic, queue, "0", flag, expression), b"");
        assert_eq!(answer.code, code, "{topic} {queue} {flag}: {}", remark(&answer));
    }
}

#[test]
fn a_parked_pull_is_answered_when_a_message_for_it_arrives() {
    let world = World::new();
    let (mut consumer, mut producer) = (world.wire(), world.wire());
    producer.ok(310, &send_v2("T", "0", ""), b"first");
    let waiting = consumer.send(11, &pull("G", "T", "0", "1", "6", "wanted"), b"");
    let everything = consumer.send(11, &pull("G2", "T", "0", "1", "6", "*"), b"");
    let again = consumer.send(11, &pull("G3", "T", "0", "1", "6", "*"), b"");
    // An answer to something later shows that the pulls are parked.
    consumer.ok(30, &[("topic", "T"), ("queueId", "0")], b"");
    let other = properties(&[("TAGS", "other")]);
    producer.ok(310, &send_v2("T", "0", &other), b"second");
    for opaque in [everything, again] {
        let answer = consumer.answer(opaque);
        assert_eq!((answer.code, bodies(&answer)), (0, vec!["second".to_owned()]));
    }
    let wanted = properties(&[("TAGS", "wanted")]);
    producer.ok(310, &send_v2("T", "0", &wanted), b"third");
    let answer = consumer.answer(waiting);
    assert_eq!((answer.code, bodies(&answer)), (0, vec!["third".to_owned()]));
    assert_eq!(number(&answer, "nextBeginOffset"), 3);
}

#[test]
fn a_parked_pull_is_answered_when_its_time_is_over() {
    let world = World::new();
    let mut wire = world.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    let mut ext = pull("G", "T", "0", "1", "6", "*");
    ext[7] = ("suspendTimeoutMillis", "300");
    let began = now();
    let answer = wire.call(11, &ext, b"");
    assert_eq!((answer.code, number(&answer, "nextBeginOffset")), (19, 1));
    let waited = began.elapsed();
    assert!(Duration::from_millis(290) < waited && waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn offsets_are_committed_queried_and_found_by_time() {
    let world = World::new();
    let mut wire = world.wire();
    let queue = [("topic", "T"), ("queueId", "0")];
    for n in 0..3 {
        wire.ok(310, &send_v2("T", "0", ""), format!("m{n}").as_bytes());
    }
    let of = [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
    assert_eq!(number(&wire.ok(14, &of, b""), "offset"), 0);
    let strict = [of[0], of[1], of[2], ("setZeroIfNotFound", "false")];
    assert_eq!(wire.call(14, &strict, b"").code, 22);
    assert_eq!(wire.call(15, &[of[0], of[1], of[2], ("commitOffset", "2")], b"").code, 26);
    wire.ok(200, &[], br#"{"groupName":"G"}"#);
    wire.ok(15, &[of[0], of[1], of[2], ("commitOffset", "2")], b"");
    assert_eq!(number(&wire.ok(14, &of, b""), "offset"), 2);
    assert_eq!(wire.call(15, &[of[0], of[1], of[2]], b"").code, 29);
    assert_eq!(
        wire.call(15, &[of[0], ("topic", "none"), of[2], ("commitOffset", "2")], b"").code,
        17
    );
    let mut committing = pull("G", "T", "0", "2", "5", "*");
    committing[6] = ("commitOffset", "1");
    wire.ok(11, &committing, b"");
    assert_eq!(number(&wire.ok(14, &of, b""), "offset"), 1);

    assert_eq!(number(&wire.ok(30, &queue, b""), "offset"), 3);
    assert_eq!(number(&wire.ok(31, &queue, b""), "offset"), 0);
    let first = number(&wire.ok(32, &queue, b""), "timestamp");
    assert!(1_700_000_000_000 < first);
    for (time, boundary, want) in [
        ("0", "LOWER", 0),
        ("9999999999999", "LOWER", 3),
        ("9999999999999", "UPPER", 2),
        ("0", "UPPER", 0),
    ] {
        let ext = [queue[0], queue[1], ("timestamp", time), ("boundaryType", boundary)];
        assert_eq!(number(&wire.ok(29, &ext, b""), "offset"), want, "{time} {boundary}");
    }
    assert_eq!(number(&wire.ok(32, &[("topic", "T"), ("queueId", "3")], b""), "timestamp"), -1);
}
