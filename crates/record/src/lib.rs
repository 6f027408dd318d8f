//! The stored message: layout, properties, CRC, ids and batches.
