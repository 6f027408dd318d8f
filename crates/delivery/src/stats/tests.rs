//! Windows, names of items, rates.

use super::*;
use rates::Rates;

const NOW: Millis = 1_700_000_000_000;
const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

fn count(messages: u64, bytes: u64) -> Count {
    Count { messages, bytes, elapsed_ms: 7 }
}

#[test]
fn items_exist_from_their_first_event() {
    let mut stats = Stats::new("C");
    stats.put(NOW, "T", 3, count(2, 300));
    stats.put(NOW, "T", 3, count(1, 60));
    stats.get(NOW, "T", 3, "G", count(5, 900));
    stats.get_from_disk(NOW, "T", "G", count(4, 800));
    stats.sent_back(NOW, "T", "G", 1);
    stats.acked(NOW, "T", "G", 6);
    stats.checkpoints(NOW, "T", "G", 2);
    stats.put(NOW, "SCHEDULE_TOPIC_XXXX", 0, count(10, 10));
    for (name, key, sum, avgpt) in [
        ("TOPIC_PUT_NUMS", "T", 3, 1.0),
        ("TOPIC_PUT_SIZE", "T", 360, 120.0),
        ("TOPIC_PUT_LATENCY", "3@T", 14, 14.0 / 3.0),
        ("QUEUE_PUT_NUMS", "T@3", 3, 1.0),
        ("QUEUE_PUT_SIZE", "T@3", 360, 120.0),
        ("GROUP_GET_NUMS", "T@G", 5, 5.0),
        ("GROUP_GET_SIZE", "T@G", 900, 900.0),
        ("GROUP_GET_LATENCY", "3@T@G", 7, 7.0),
        ("QUEUE_GET_NUMS", "T@3@G", 5, 5.0),
        ("QUEUE_GET_SIZE", "T@3@G", 900, 900.0),
        ("SNDBCK_PUT_NUMS", "T@G", 1, 1.0),
        ("GROUP_ACK_NUMS", "T@G", 6, 6.0),
        ("GROUP_CK_NUMS", "T@G", 2, 2.0),
        ("GROUP_GET_FROM_DISK_NUMS", "T@G", 4, 4.0),
        ("GROUP_GET_FROM_DISK_SIZE", "T@G", 800, 800.0),
        ("BROKER_PUT_NUMS", "C", 13, 1.0),
        ("BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC", "C", 3, 1.0),
        ("BROKER_GET_NUMS", "C", 5, 5.0),
        ("BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC", "C", 5, 5.0),
        ("BROKER_ACK_NUMS", "C", 6, 6.0),
        ("BROKER_CK_NUMS", "C", 2, 2.0),
        ("BROKER_GET_FROM_DISK_NUMS", "C", 4, 4.0),
        ("BROKER_GET_FROM_DISK_SIZE", "C", 800, 800.0),
    ] {
        let data = stats.view(NOW, name, key).unwrap_or_else(|| panic!("{name} {key}"));
        for window in [data.minute, data.hour, data.day] {
            assert_eq!(window.sum, sum, "{name}");
            assert!((window.avgpt - avgpt).abs() < 1e-9, "{name} {}", window.avgpt);
        }
    }
    for (name, key) in [
        ("TOPIC_PUT_NUMS", "U"),
        ("GROUP_GET_NUMS", "T@H"),
        ("GROUP_GET_NUMS", "T"),
        ("GROUP_ACK_NUMS", "SCHEDULE_TOPIC_XXXX@G"),
        ("QUEUE_PUT_NUMS", "T@4"),
        ("QUEUE_PUT_NUMS", "T@x"),
        ("QUEUE_GET_NUMS", "T@3@H"),
        ("BROKER_PUT_NUMS", "other"),
        ("NO_SUCH_NAME", "T"),
    ] {
        assert_eq!(stats.view(NOW, name, key), None, "{name} {key}");
    }
}

#[test]
fn windows_slide() {
    let mut stats = Stats::new("C");
    let mut now = NOW;
    // One message a second for two hours and a half.
    for second in 0..9_000 {
        now = NOW + second * SECOND;
        stats.put(now, "T", 0, count(1, 10));
        if second % 10 == 0 {
            stats.sample(now);
        }
    }
    let data = stats.view(now, "TOPIC_PUT_NUMS", "T").unwrap();
    let near = |value: u64, want: u64, within: u64| {
        assert!(value.abs_diff(want) <= within, "{value} is not near {want}");
    };
    near(data.minute.sum, 65, 5);
    near(data.hour.sum, 3_900, 300);
    near(data.day.sum, 9_000, 1);
    for window in [data.minute, data.hour, data.day] {
        assert!((window.tps - 1.0).abs() < 0.02, "{}", window.tps);
    }
    let quiet = now + 2 * MINUTE;
    for step in 1..=12 {
        stats.sample(now + step * 10 * SECOND);
    }
    let data = stats.view(quiet, "TOPIC_PUT_NUMS", "T").unwrap();
    assert_eq!((data.minute.sum, data.minute.tps), (0, 0.0));
    assert!(0 < data.hour.sum);
    assert_eq!(stats.topic_put_tps(quiet, "T"), 0.0);
}

#[test]
fn marks_are_bounded_and_the_day_ends() {
    let mut stats = Stats::new("C");
    let steps = 60 * HOUR / SAMPLE_MS;
    for step in 0..steps {
        stats.put(NOW + step * SAMPLE_MS, "T", 0, count(1, 1));
        stats.sample(NOW + step * SAMPLE_MS);
    }
    let marks = |stats: &Stats| stats.topics["T"].items.get(0).unwrap().marks();
    assert!(marks(&stats).iter().all(|marks| *marks <= 26), "{:?}", marks(&stats));
    let sums = |now| {
        let data = stats.view(now, "TOPIC_PUT_NUMS", "T").unwrap();
        [data.minute.sum, data.hour.sum, data.day.sum]
    };
    let end = NOW + steps * SAMPLE_MS;
    assert_eq!(sums(end + 2 * MINUTE)[0], 0);
    assert_eq!(sums(end + 2 * HOUR)[..2], [0, 0]);
    assert!(0 < sums(end + 2 * HOUR)[2]);
    assert_eq!(sums(end + 26 * HOUR), [0, 0, 0]);
}

#[test]
fn what_comes_after_a_long_silence_counts_for_now() {
    let mut stats = Stats::new("C");
    stats.put(NOW, "T", 0, count(100, 1));
    stats.sample(NOW + 10 * SECOND);
    let now = NOW + 5 * HOUR;
    stats.put(now, "T", 0, count(70, 1));
    stats.sample(now + 5 * SECOND);
    let data = stats.view(now + 10 * SECOND, "TOPIC_PUT_NUMS", "T").unwrap();
    assert_eq!((data.minute.sum, data.hour.sum, data.day.sum), (70, 70, 170));
    assert_eq!(data.minute.tps, 1.0, "in the window and the step before it");
}

#[test]
fn samples_pass_over_what_rests() {
    let mut stats = Stats::new("C");
    stats.put(NOW, "T", 0, count(1, 1));
    stats.sample(NOW + 10 * SECOND);
    assert!(!stats.topics["T"].touched);
    let before = stats.topics["T"].items.get(0).unwrap().marks();
    stats.sample(NOW + HOUR);
    assert_eq!(stats.topics["T"].items.get(0).unwrap().marks(), before);
}

#[test]
fn the_first_event_is_not_a_burst() {
    let mut stats = Stats::new("C");
    stats.put(NOW, "T", 0, count(5, 1));
    assert_eq!(stats.topic_put_tps(NOW, "T"), 5.0);
    assert_eq!(stats.topic_put_tps(NOW + 10 * SECOND, "T"), 0.5);
    stats.get(NOW, "T", 0, "G", count(5, 1));
    assert_eq!(stats.group_get_tps(NOW + 5 * SECOND, "T", "G"), 1.0);
    assert_eq!(stats.group_get_tps(NOW, "T", "H"), 0.0);
}

#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let mut stats = Stats::new("C");
    stats.put(NOW, "T", 0, count(5, 1));
    stats.sample(NOW + HOUR);
    stats.sample(NOW - HOUR);
    let data = stats.view(NOW - HOUR, "TOPIC_PUT_NUMS", "T").unwrap();
    assert_eq!((data.minute.sum, data.minute.tps), (0, 0.0));
    stats.put(NOW - HOUR, "T", 0, count(2, 1));
    stats.sample(NOW - HOUR + 10 * SECOND);
    let data = stats.view(NOW - HOUR + 10 * SECOND, "TOPIC_PUT_NUMS", "T").unwrap();
    assert_eq!(data.minute.sum, 2);
}

#[test]
fn deleted_topics_and_groups_are_forgotten() {
    let mut stats = Stats::new("C");
    for topic in ["T", "U"] {
        stats.put(NOW, topic, 0, count(1, 1));
        stats.get(NOW, topic, 0, "G", count(1, 1));
        stats.get(NOW, topic, 0, "H", count(1, 1));
    }
    assert_eq!(stats.places, 2 * (2 + 2 * 2));
    stats.delete_topic("T");
    stats.delete_group("G");
    assert_eq!(stats.places, 4);
    assert!(stats.view(NOW, "TOPIC_PUT_NUMS", "T").is_none());
    assert!(stats.view(NOW, "GROUP_GET_NUMS", "U@G").is_none());
    assert!(stats.view(NOW, "GROUP_GET_NUMS", "U@H").is_some());
    assert!(stats.view(NOW, "BROKER_PUT_NUMS", "C").is_some());
}

#[test]
fn there_is_a_bound_on_items() {
    let mut stats = Stats::new("C");
    stats.put(NOW, "T", 0, count(1, 1));
    stats.get(NOW, "T", 0, "G", count(1, 1));
    stats.places = ITEMS_MAX;
    stats.put(NOW, "U", 0, count(1, 1));
    stats.put(NOW, "T", 1, count(1, 1));
    stats.get(NOW, "T", 0, "H", count(1, 1));
    stats.get(NOW, "T", 1, "G", count(1, 1));
    stats.sent_back(NOW, "T", "H", 1);
    assert_eq!(stats.places, ITEMS_MAX);
    for (name, key, sum) in [
        ("TOPIC_PUT_NUMS", "U", None),
        ("TOPIC_PUT_NUMS", "T", Some(2)),
        ("QUEUE_PUT_NUMS", "T@1", None),
        ("GROUP_GET_NUMS", "T@H", None),
        ("GROUP_GET_NUMS", "T@G", Some(2)),
        ("QUEUE_GET_NUMS", "T@1@G", None),
        ("SNDBCK_PUT_NUMS", "T@H", None),
        ("BROKER_PUT_NUMS", "C", Some(3)),
    ] {
        let got = stats.view(NOW, name, key).map(|data| data.minute.sum);
        assert_eq!(got, sum, "{name} {key}");
    }
}

#[test]
fn rates_over_three_spans() {
    let mut rates = Rates::default();
    rates.sample(NOW, 0);
    for second in 1..=600 {
        rates.put(if second <= 540 { 10 } else { 70 });
        rates.read(3);
        rates.read(0);
        rates.sample(NOW + second * SECOND, 0);
    }
    let now = NOW + 600 * SECOND;
    assert_eq!(rates.put_tps(now).0, [70.0, 70.0, 16.0]);
    assert_eq!(rates.transferred_tps(now).0, [3.0, 3.0, 3.0]);
    assert_eq!(rates.found_tps(now).0, [1.0, 1.0, 1.0]);
    assert_eq!(rates.missed_tps(now).0, [1.0, 1.0, 1.0]);
    assert_eq!(rates.read_tps(now).0, [2.0, 2.0, 2.0]);
    assert_eq!(rates.put_tps(now).to_string(), "70.0 70.0 16.0");
    assert_eq!(Rate::default().to_string(), "0.0 0.0 0.0");
}

#[test]
fn a_broker_that_just_started_has_rates_too() {
    let mut rates = Rates::default();
    assert_eq!(rates.put_tps(NOW), Rate::default());
    rates.sample(NOW, 0);
    rates.put(10);
    assert_eq!(rates.put_tps(NOW).0, [10.0; 3], "less than a second counts as one");
    assert_eq!(rates.put_tps(NOW + 5 * SECOND).0, [2.0; 3]);
    rates.sample(NOW - HOUR, 0);
    assert_eq!(rates.put_tps(NOW - HOUR), Rate::default(), "the clock stepped back");
}

#[test]
fn totals_of_the_mornings() {
    let mut rates = Rates::default();
    let mut now = NOW;
    for (day, messages) in [(100, 5), (100, 5), (101, 3), (101, 4), (102, 1)] {
        now += SECOND;
        rates.sample(now, day);
        rates.put(messages);
        rates.read(messages);
    }
    assert_eq!((rates.totals().put, rates.totals().transferred), (18, 18));
    assert_eq!(rates.today_morning().put, 17);
    assert_eq!(rates.yesterday_morning().put, 10);
}
