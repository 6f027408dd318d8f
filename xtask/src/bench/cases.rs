//! What is measured.

use super::side::Flush;

/// One run of the generator.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Title of the row.
    pub(super) name: String,
    /// Table it is in.
    pub(super) table: Table,
    /// Arguments of `rmq bench`.
    pub(super) args: Vec<String>,
}

/// Tables of the page, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Send,
    Batch,
    Rate,
    Read,
    Delivery,
}

impl Table {
    pub(super) const ALL: [Self; 5] =
        [Self::Send, Self::Batch, Self::Rate, Self::Read, Self::Delivery];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Send => "Sending, one message per request",
            Self::Batch => "Sending in batches",
            Self::Rate => "Sending at a fixed rate (open loop)",
            Self::Read => "Reading a backlog",
            Self::Delivery => "From send to delivery (long polling)",
        }
    }

    /// Whether latency and throughput of deliveries count, not of sends.
    pub(super) fn reads(self) -> bool {
        match self {
            Self::Send | Self::Batch | Self::Rate => false,
            Self::Read | Self::Delivery => true,
        }
    }
}

/// All cases of a flush mode, in the order they run: the backlog is made of what was sent before.
pub(super) fn all(flush: Flush, quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for size in ["128", "1KiB"] {
        for (connections, in_flight) in [(1, 1), (2, 32), (4, 64)] {
            cases.push(case(
                &format!("{flush} flush, {size}, {connections}x{in_flight}"),
                Table::Send,
                quick,
                &format!("produce -t send-{size} -s {size} -c {connections} -i {in_flight}"),
            ));
        }
    }
    if flush == Flush::Sync {
        return cases;
    }
    let more = [
        (
            "binary header, 1KiB, 2x32",
            Table::Send,
            "produce -t send-1KiB -s 1KiB -c 2 -i 32 --header binary",
        ),
        ("16 x 128 B, 4x16", Table::Batch, "produce -t backlog -s 128 -c 4 -i 16 --batch 16"),
        ("2 connections, 8 queues, 32 a request", Table::Read, "consume -t backlog -c 2"),
        ("2,000/s, 1KiB", Table::Rate, "produce -t rate -s 1KiB -c 2 -i 256 --rate 2000"),
        ("20,000/s, 1KiB", Table::Rate, "produce -t rate -s 1KiB -c 2 -i 256 --rate 20000"),
        ("200/s, 128 B, 1 group", Table::Delivery, "pipeline -t pipe -s 128 -c 1 -i 64 --rate 200"),
        (
            "as fast as it goes, 128 B, 2x32, 1 group",
            Table::Delivery,
            "pipeline -t fan1 -s 128 -c 2 -i 32",
        ),
        (
            "as fast as it goes, 128 B, 2x32, 10 groups",
            Table::Delivery,
            "pipeline -t fan10 -s 128 -c 2 -i 32 --groups 10",
        ),
    ];
    cases.extend(more.map(|(name, table, args)| case(name, table, quick, args)));
    cases
}

/// What warms a server up before anything is measured: most of all the Java compiler.
pub(super) fn warm_up(quick: bool) -> Vec<Vec<String>> {
    let time = if quick { "3s" } else { "10s" };
    let half = if quick { "1s" } else { "3s" };
    vec![
        words(&format!("produce -t warm -s 1KiB -c 2 -i 32 --warmup 0s --duration {time}")),
        words(&format!("consume -t warm -c 2 --warmup 0s --duration {half}")),
    ]
}

fn case(name: &str, table: Table, quick: bool, args: &str) -> Case {
    let (warmup, duration) = if quick { ("500ms", "2s") } else { ("2s", "5s") };
    let mut args = words(args);
    args.extend(["--warmup", warmup, "--duration", duration].map(str::to_owned));
    Case { name: name.to_owned(), table, args }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
