//! Whether the sockets of a cluster are free, and who has them if not.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// A socket that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where the pod would listen.
    pub address: SocketAddr,
    /// Program that does, if the system tells: other users' processes stay unknown.
    pub owner: Option<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is in use", self.address)?;
        match &self.owner {
            Some(owner) => write!(f, " by {owner}"),
            None => Ok(()),
        }
    }
}

/// The first of `addresses` that is taken.
///
/// # Errors
/// When one cannot be used for another reason; the error names it.
pub fn conflict(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<Option<Conflict>> {
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Ok(Some(Conflict { address, owner: rmq_net::port_owner(address) }));
            }
            Err(error) => {
                let text = format!("cannot listen on {address}: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_socket_names_its_owner() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = held.local_addr().expect("bound");
        let found = conflict([address]).expect("usable").expect("taken");
        assert_eq!(found.address, address);
        let text = found.to_string();
        assert!(text.starts_with(&format!("{address} is in use")), "{text}");
        if found.owner.is_some() {
            assert!(text.contains(&std::process::id().to_string()), "{text}");
        }
        drop(held);
        assert_eq!(conflict([address]).expect("usable"), None);
    }

    #[test]
    fn an_address_of_another_machine_is_an_error_that_names_it() {
        let error = conflict(["203.0.113.7:1".parse().expect("an address")]).expect_err("not ours");
        assert!(error.to_string().starts_with("cannot listen on 203.0.113.7:1"), "{error}");
    }
}
