//! The file that tests add lines to.

/// All that a migration needs around it.
pub(crate) const HEAD: &str = r#"
[[listener]]
listen = "0.0.0.0:8080"

[upstream.shop-old]
endpoints = ["http://10.0.0.11:8080"]

[upstream.shop-new]
endpoints = ["http://10.0.0.21:8080"]
"#;

/// A migration without anything to warn of.
pub(crate) const MIGRATION: &str = r#"
[migration.shop]
match = [{ path = "/*" }]
old = "shop-old"
new = "shop-new"
key = ["header:x-user-id"]
"#;
