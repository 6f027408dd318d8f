//! How often decoding and encoding ask for memory.

use bytes::{Bytes, BytesMut};
use rmq_remoting::header::{SendMessage, SendMessageResponse};
use rmq_remoting::{Command, Encoding, code, take_frame};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "the trait asks for it")]
// SAFETY: everything is handed to the system's allocator unchanged; the counter itself allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.with(Cell::get);
    let result = work();
    (COUNT.with(Cell::get) - before, result)
}

fn send() -> Command {
    let header = SendMessage {
        producer_group: "PG".into(),
        topic: "TopicTest".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: 3,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 0,
        properties: Some(
            "KEYS\u{1}k1\u{2}UNIQ_KEY\u{1}7F00000100002A9F18B4AAC27F5C0000\u{2}".into(),
        ),
        reconsume_times: Some(0),
        unit_mode: false,
        batch: false,
        max_reconsume_times: None,
        broker_name: Some("broker-a".into()),
    };
    let mut command =
        Command::request(code::request::SEND_MESSAGE_V2).with_body(Bytes::from(vec![1; 1024]));
    header.to_v2(&mut command.ext);
    command
}

#[test]
fn a_send_is_decoded_with_few_allocations() {
    // JSON: the entries, the unescaped properties and their reference count. Binary: the entries.
    for (encoding, most) in [(Encoding::Json, 3), (Encoding::Binary, 1)] {
        let command = Command { encoding, ..send() };
        let mut wire = BytesMut::new();
        command.encode(&mut wire);
        command.encode(&mut wire);
        take_frame(&mut wire, 1 << 24).unwrap().unwrap(); // makes the buffer a shared one
        let (allocations, header) = count(|| {
            let command = take_frame(&mut wire, 1 << 24).unwrap().unwrap();
            SendMessage::from_code(command.code, &command.ext).unwrap()
        });
        assert_eq!(header.topic, "TopicTest");
        assert!(allocations <= most, "{allocations} for {encoding:?}");
    }
}

#[test]
fn an_answer_is_made_with_one_allocation_and_written_with_none() {
    let mut out = BytesMut::with_capacity(4096);
    let (allocations, ()) = count(|| {
        let mut answer = Command::response(0);
        answer.ext.push_str("msgId", "7F00000100002A9F0000000000000001");
        answer.ext.push_number("queueId", 3);
        answer.ext.push_number("queueOffset", 123_456_789);
        answer.ext.push_static("TRACE_ON", "true");
        answer.encode(&mut out);
    });
    assert!(allocations <= 1, "{allocations}");
    let command = take_frame(&mut out, 1 << 24).unwrap().unwrap();
    assert!(command.ext.get("queueOffset") == Some("123456789"));
    assert!(command.decode::<SendMessageResponse>().is_ok());
}
