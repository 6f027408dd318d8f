//! What the operator itself brings along.

use rmq_operator_api::Image;

/// Whether the brokers of this release copy their master's log.
///
/// This is the one switch: while it is off, groups of two or more replicas are built but not
/// started, and the cluster says so ([`crate::intent::Start`]).
pub const BROKERS_REPLICATE: bool = false;

/// What plans depend on besides the manifest and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Release of the operator; the one clusters get that name none.
    pub version: String,
    /// Image of name servers where the manifest says nothing.
    pub name_server_image: Image,
    /// Image of brokers where the manifest says nothing.
    pub broker_image: Image,
    /// Namespace of the operator, which may use the control ports; every namespace if unknown.
    pub operator_namespace: Option<String>,
    /// Namespaces that may read metrics; all if there is none.
    pub metrics_namespaces: Vec<String>,
    /// Whether groups of two or more replicas can be run: [`BROKERS_REPLICATE`].
    pub replicates: bool,
}

impl Context {
    /// For an operator of release `version`, with images of that release below `registry`.
    pub fn new(version: &str, registry: &str) -> Self {
        let image = |name: &str| Image {
            registry: Some(registry.to_owned()),
            repository: Some(format!("rmq-{name}")),
            tag: Some(version.to_owned()),
            ..Image::default()
        };
        Self {
            version: version.to_owned(),
            name_server_image: image("nameserver"),
            broker_image: image("broker"),
            operator_namespace: None,
            metrics_namespaces: Vec::new(),
            replicates: BROKERS_REPLICATE,
        }
    }
}
