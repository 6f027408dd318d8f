//! What a pod is told – environment and mounted files – and the settings it derives from that.
#![warn(missing_docs)]
