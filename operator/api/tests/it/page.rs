//! The reference page of the manifest.

use super::tree;

#[test]
fn every_refused_setting_and_layout_is_on_the_page() {
    let page =
        std::fs::read_to_string(tree("docs/operate/manifest.md")).expect("the page is there");
    for name in rmq_operator_api::config::IDENTITY {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    for layout in rmq_operator_api::Layout::ALL {
        assert!(page.contains(&format!("| `{layout}` |")), "{layout}");
    }
}
