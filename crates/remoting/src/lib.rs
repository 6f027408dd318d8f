//! RocketMQ remoting frames, headers, codes and bodies.
