//! Which process a call is meant for.

use crate::v1::{Identity, Target};
use tonic::Status;

impl Identity {
    /// What a call that changes something must carry to reach this process.
    pub fn target(&self) -> Target {
        Target { store_id: self.store_id.clone(), incarnation: self.incarnation.clone() }
    }
}

/// Whether a call with `target` is meant for the process `identity`.
///
/// # Errors
/// The answer to give instead: INVALID_ARGUMENT without a target, FAILED_PRECONDITION for another
/// process.
pub fn check_target(target: Option<&Target>, identity: &Identity) -> Result<(), Status> {
    let Some(target) = target else {
        return Err(Status::invalid_argument("the call names no target"));
    };
    for (what, wanted, is) in [
        ("store", &target.store_id, &identity.store_id),
        ("incarnation", &target.incarnation, &identity.incarnation),
    ] {
        if wanted != is {
            return Err(Status::failed_precondition(format!(
                "meant for {what} {wanted:?}, this is {is:?} of {}",
                identity.pod
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn a_call_reaches_only_whom_it_is_meant_for() {
        let identity = Identity {
            store_id: "s".into(),
            incarnation: "i".into(),
            pod: "demo-broker-a-0".into(),
            ..Identity::default()
        };
        assert!(check_target(Some(&identity.target()), &identity).is_ok());
        let refusal = |target: Option<&Target>| {
            check_target(target, &identity).map_err(|status| status.code()).err()
        };
        assert_eq!(refusal(None), Some(Code::InvalidArgument));
        for (store, incarnation) in [("x", "i"), ("s", "x"), ("", "")] {
            let target = Target { store_id: store.into(), incarnation: incarnation.into() };
            assert_eq!(refusal(Some(&target)), Some(Code::FailedPrecondition), "{target:?}");
        }
    }
}
