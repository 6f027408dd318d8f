//! Which member of a group reads which queues.

use rmq_model::MessageQueue;

/// The share of member `me`: queues in contiguous runs, the first members get one more if the
/// numbers do not divide. Empty if `me` is not a member.
///
/// Every member computes this by itself from the same lists, so both are sorted here.
///
/// Source: RocketMQ 5.x `AllocateMessageQueueAveragely`.
pub fn average(
    queues: &[MessageQueue],
    members: &[impl AsRef<str>],
    me: &str,
) -> Vec<MessageQueue> {
    let mut members: Vec<&str> = members.iter().map(AsRef::as_ref).collect();
    members.sort_unstable();
    members.dedup();
    let Some(index) = members.iter().position(|member| *member == me) else { return Vec::new() };
    let mut queues = queues.to_vec();
    queues.sort_unstable_by(|a, b| {
        (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id))
    });
    let (each, left) = (queues.len() / members.len(), queues.len() % members.len());
    let start = index * each + index.min(left);
    let length = each + usize::from(index < left);
    queues.into_iter().skip(start).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queues(brokers: &[(&str, i32)]) -> Vec<MessageQueue> {
        let queue = |broker: &str, queue_id| MessageQueue {
            broker_name: broker.into(),
            queue_id,
            topic: "T".into(),
        };
        brokers.iter().flat_map(|(b, n)| (0..*n).map(move |id| queue(b, id))).collect()
    }

    fn ids(queues: &[MessageQueue]) -> Vec<i32> {
        queues.iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn shares() {
        let cases: [(i32, &[&str], &str, &[i32]); 7] = [
            (8, &["a"], "a", &[0, 1, 2, 3, 4, 5, 6, 7]),
            (8, &["b", "a"], "a", &[0, 1, 2, 3]),
            (8, &["b", "a"], "b", &[4, 5, 6, 7]),
            (8, &["a", "b", "c"], "a", &[0, 1, 2]),
            (8, &["a", "b", "c"], "c", &[6, 7]),
            (2, &["a", "b", "c"], "c", &[]),
            (8, &["a", "b"], "x", &[]),
        ];
        for (count, members, me, want) in cases {
            let members: Vec<String> = members.iter().map(|m| (*m).to_owned()).collect();
            assert_eq!(ids(&average(&queues(&[("b-a", count)]), &members, me)), want, "{me}");
        }
    }

    proptest! {
        #[test]
        fn every_queue_has_one_reader(a in 0..20, b in 0..20, members in 1..12_usize) {
            let all = queues(&[("b-b", b), ("b-a", a)]);
            let members: Vec<String> = (0..members).map(|n| format!("c{n}")).collect();
            let mut shared: Vec<_> =
                members.iter().flat_map(|me| average(&all, &members, me)).collect();
            let mut all = all;
            all.sort_unstable();
            shared.sort_unstable();
            prop_assert_eq!(all, shared);
        }
    }
}
