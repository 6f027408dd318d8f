//! Tasks, signals, configuration layering, telemetry, health and metrics endpoint.
