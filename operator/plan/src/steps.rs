//! What the planner decides.

use std::collections::BTreeMap;
use std::fmt;

use crate::control::Target;
use crate::object::{Kind, Object};

/// Something to do now.
///
/// A decision's steps are done in their order; when an [essential](Step::is_essential) one fails, the
/// rest is left and the cluster is observed anew. At most one step of a decision [is disruptive](Step::is_disruptive), and it comes
/// last: before it, everything is read afresh and planned again, and it is only done if that gives
/// the same step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Create or change by server-side apply.
    Apply(Object),
    /// Create the Secret unless it exists, with a new random token under `key`. Never changed later.
    CreateToken {
        /// The Secret without data.
        secret: Object,
        /// Key of the token.
        key: &'static str,
    },
    /// Delete something the spec no longer produces.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Precondition of the deletion.
        uid: String,
    },
    /// Delete a StatefulSet, leave its pods running, and create it again: for claim templates, which
    /// cannot be changed. The pods are adopted and not restarted, as their template is the same.
    RecreateStatefulSet {
        /// Precondition of the deletion.
        uid: String,
        /// The new one.
        object: Object,
    },
    /// Ask for a larger volume.
    ResizeClaim {
        /// Name of the claim.
        name: String,
        /// Precondition of the patch.
        uid: String,
        /// New `resources.requests.storage`.
        size: String,
    },
    /// Merge labels and annotations into a claim; `None` removes.
    MarkClaim {
        /// Name of the claim.
        name: String,
        /// Precondition of the patch.
        uid: String,
        /// Labels to set or remove.
        labels: BTreeMap<String, Option<String>>,
        /// Annotations to set or remove.
        annotations: BTreeMap<String, Option<String>>,
    },
    /// Merge labels into a pod; for people and monitoring.
    LabelPod {
        /// Name of the pod.
        name: String,
        /// Precondition of the patch.
        uid: String,
        /// Labels to set or remove.
        labels: BTreeMap<String, Option<String>>,
    },
    /// Make a process read its mounted files now rather than when it next looks.
    Reload {
        /// The pod it runs in.
        pod: String,
        /// The process that is meant.
        target: Target,
    },
    /// Create the topics and subscription groups of one broker on another that lacks them, through
    /// the admin protocol, system topics left out. Nothing is written that is equal already.
    CopyMetadata {
        /// Pod of the broker to read.
        from: String,
        /// Pod of the broker to write.
        to: String,
    },
    /// Say what clients may do with a broker, until its next start.
    SetPermission {
        /// The pod it runs in.
        pod: String,
        /// The process that is meant.
        target: Target,
        /// 6, 4, 2 or 0.
        perm: u32,
        /// Kept by the broker, so that whoever plans next knows whose permission it is.
        reason: PermissionReason,
    },
    /// Remove an annotation from the cluster resource: its effect is done.
    ClearAnnotation {
        /// Name of the annotation.
        name: &'static str,
        /// Only while it still has this value.
        value: String,
    },
    /// Lower the replicas of a StatefulSet, by applying it.
    ScaleDown {
        /// The StatefulSet with fewer replicas.
        object: Object,
        /// Replicas so far.
        from: u32,
        /// Replicas from now on.
        to: u32,
    },
    /// Delete a pod, so that it is made anew.
    DeletePod {
        /// Its name.
        name: String,
        /// Precondition of the deletion.
        uid: String,
        /// For events.
        why: Why,
    },
}

impl Step {
    /// Whether it takes something away from clients or from the cluster's redundancy.
    pub fn is_disruptive(&self) -> bool {
        match self {
            Self::ScaleDown { .. } | Self::DeletePod { .. } => true,
            Self::SetPermission { perm, .. } => perm & 2 == 0,
            Self::Apply(_)
            | Self::CreateToken { .. }
            | Self::Delete { .. }
            | Self::RecreateStatefulSet { .. }
            | Self::ResizeClaim { .. }
            | Self::MarkClaim { .. }
            | Self::LabelPod { .. }
            | Self::Reload { .. }
            | Self::CopyMetadata { .. }
            | Self::ClearAnnotation { .. } => false,
        }
    }

    /// Whether the steps after it must not be done when it fails. Others are worth doing by
    /// themselves: a volume that may not grow for its quota keeps no pod from being replaced.
    pub fn is_essential(&self) -> bool {
        match self {
            Self::Apply(_)
            | Self::CreateToken { .. }
            | Self::RecreateStatefulSet { .. }
            | Self::CopyMetadata { .. }
            | Self::ScaleDown { .. }
            | Self::DeletePod { .. } => true,
            Self::Delete { .. }
            | Self::ResizeClaim { .. }
            | Self::MarkClaim { .. }
            | Self::LabelPod { .. }
            | Self::Reload { .. }
            | Self::SetPermission { .. }
            | Self::ClearAnnotation { .. } => false,
        }
    }

    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::CreateToken { .. } => "create_token",
            Self::Delete { .. } => "delete",
            Self::RecreateStatefulSet { .. } => "recreate_statefulset",
            Self::ResizeClaim { .. } => "resize_claim",
            Self::MarkClaim { .. } => "mark_claim",
            Self::LabelPod { .. } => "label_pod",
            Self::Reload { .. } => "reload",
            Self::CopyMetadata { .. } => "copy_metadata",
            Self::SetPermission { .. } => "set_permission",
            Self::ClearAnnotation { .. } => "clear_annotation",
            Self::ScaleDown { .. } => "scale_down",
            Self::DeletePod { .. } => "delete_pod",
        }
    }
}

/// Decisions as people read them, one line per step.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply(object) => write!(f, "apply {} {}", object.kind(), object.name()),
            Self::CreateToken { secret, .. } => write!(f, "create token {}", secret.name()),
            Self::Delete { kind, name, .. } => write!(f, "delete {kind} {name}"),
            Self::RecreateStatefulSet { object, .. } => write!(f, "recreate {}", object.name()),
            Self::ResizeClaim { name, size, .. } => write!(f, "resize {name} to {size}"),
            Self::MarkClaim { name, .. } => write!(f, "mark claim {name}"),
            Self::LabelPod { name, .. } => write!(f, "label pod {name}"),
            Self::Reload { pod, .. } => write!(f, "reload {pod}"),
            Self::CopyMetadata { from, to } => write!(f, "copy metadata {from} -> {to}"),
            Self::SetPermission { pod, perm, reason, .. } => {
                write!(f, "permission {perm} of {pod} ({reason})")
            }
            Self::ClearAnnotation { name, .. } => write!(f, "clear {name}"),
            Self::ScaleDown { object, from, to } => {
                write!(f, "scale {} {from} -> {to}", object.name())
            }
            Self::DeletePod { name, why, .. } => write!(f, "delete pod {name} ({why})"),
        }
    }
}

/// Why the operator sets a broker's permission. The broker keeps the text and reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionReason {
    /// Its group is about to be restarted: clients should send elsewhere.
    Restart,
    /// Its group is being removed.
    ScaleIn,
    /// What the manifest asks for.
    Manifest,
}

impl PermissionReason {
    /// What the broker is given to keep. Never changed: a later operator must know what an earlier
    /// one has done.
    pub fn text(self) -> &'static str {
        match self {
            Self::Restart => "operator: before a restart",
            Self::ScaleIn => "operator: before the group is removed",
            Self::Manifest => "operator: as the manifest says",
        }
    }

    /// The reason whose text a broker has kept; `None` if somebody else set the permission.
    pub fn of(text: &str) -> Option<Self> {
        [Self::Restart, Self::ScaleIn, Self::Manifest].into_iter().find(|one| one.text() == text)
    }
}

impl fmt::Display for PermissionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Why a pod is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its StatefulSet has a newer template.
    RevisionChanged,
    /// Somebody asked for it.
    RestartRequested,
    /// Its volume has grown and its file system has to.
    VolumeResize,
    /// Clients are told an address that is no longer its own.
    AddressChanged,
    /// It cannot start and its template has changed since.
    StuckPod,
}

impl Why {
    /// As events name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RevisionChanged => "RevisionChanged",
            Self::RestartRequested => "RestartRequested",
            Self::VolumeResize => "VolumeResize",
            Self::AddressChanged => "AddressChanged",
            Self::StuckPod => "StuckPod",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something to tell people, with what they should do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Why, as a constant.
    pub reason: Reason,
    /// What happened and what to do next. Says the same thing the same way, so that repetitions are
    /// counted and not listed.
    pub note: String,
    /// Name of the pod it is about; else it is about the cluster.
    pub pod: Option<String>,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $warning:literal,)*) => {
        /// Reason of an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// As events write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Whether people should look.
            pub fn is_warning(self) -> bool {
                match self {
                    $(Self::$name => $warning,)*
                }
            }
        }
    };
}

reasons! {
    /// The objects of a cluster were made.
    Created: false,
    /// Pods begin to be replaced.
    RolloutStarted: false,
    /// All pods are as the manifest says.
    RolloutFinished: false,
    /// A replacement does not get on.
    RolloutStuck: true,
    /// A pod was deleted so that it is made anew.
    PodReplaced: false,
    /// A master takes no more writes before its restart.
    MasterFenced: false,
    /// A new group has its topics and takes writes.
    ScaleOutFinished: false,
    /// A group cannot be removed yet.
    ScaleInBlocked: true,
    /// A group is removed with what it has.
    ScaleInForced: true,
    /// A group is gone; its volumes stay.
    GroupRemoved: false,
    /// A slave has fallen behind.
    ReplicaOutOfSync: true,
    /// A process refuses its settings.
    ConfigRejected: true,
    /// A setting that no process knows.
    UnknownConfigKey: true,
    /// An annotation that nobody knows.
    UnknownAnnotation: true,
    /// Volumes begin to grow.
    StorageResizeStarted: false,
    /// Volumes have grown.
    StorageResizeFinished: false,
    /// Volumes cannot grow.
    StorageResizeNotSupported: true,
    /// A disk is nearly full.
    DiskPressure: true,
    /// The spec cannot be acted upon.
    InvalidSpec: true,
    /// Groups with slaves are not started.
    ReplicationNotAvailable: true,
}
