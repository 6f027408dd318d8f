//! Remoting over TCP: accept, framing, deadlines, in-flight bounds, both directions.
