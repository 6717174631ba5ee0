//! More connections than files (OV-08).

use super::node::Node;

const FILES: u32 = 800;

#[test]
fn a_full_node_waits_without_spinning_and_comes_back() {
    let node = Node::start(FILES);
    let before = node.figures();
    let held: Vec<_> = (0..FILES as usize).map(|_| node.connect()).collect();
    let full = node.figures();
    assert!(full.files < FILES as usize - 256, "a reserve is kept: {full:?}");
    // The operator still gets in, by whom the second of waiting passes as well.
    for _ in 0..20 {
        assert!(node.operate(&["show", "version"]).to_string().contains("crs1"));
    }
    let spent = node.figures().cpu_ticks - full.cpu_ticks;
    assert!(spent < 200, "{spent} hundredths of a second of CPU while it waits");
    drop(held);
    node.is_as_before(before);
}
