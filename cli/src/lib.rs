//! rmq as a library.
