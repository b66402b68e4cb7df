//! What a stream is where another server than before is followed: the same entries in the same nodes,
//! whose blocks and trees are those of the other one.

use super::rax::{Meter, Remade};
use super::rules::Rules;
use super::{Nodes, Stream};
use crate::profile::Profile;

impl Stream {
    /// Follows another server than before; `None` if it is not known which one that was.
    pub(crate) fn reweigh(&mut self, from: Option<&Profile>, to: &Profile) {
        let rules = Rules::of(to);
        let trees = Remade {
            from: from.map(Meter::of),
            to: rules.meter,
        };
        let ids = self.nodes.nodes.iter().map(|node| node.id);
        self.nodes.shape = trees.tree(self.nodes.shape, ids);
        for group in &mut self.groups {
            group.remake(trees);
        }
        self.nodes.reblock(from.map(Rules::of).as_ref(), &rules);
        // What the one before had beside the formulas is not the other one's.
        self.unexplained = 0;
    }
}

impl Nodes {
    /// Gives every node its block by other rules. Where the rules before made no room, or are not
    /// known, a node has what the new ones would have left it.
    fn reblock(&mut self, from: Option<&Rules>, rules: &Rules) {
        let stays = from.is_some_and(|from| from.blocks_as(rules));
        let from = from.filter(|from| from.new_block() > 0);
        let tail = self.nodes.len().saturating_sub(1);
        (self.blocks, self.spare) = (0, 0);
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let has_room = match from {
                Some(from) => node.block > from.block(node.bytes),
                None => at == tail || !rules.gives_back(node),
            };
            if !stays {
                let room = if has_room { rules.new_block() } else { 0 };
                node.block = rules.block(node.bytes).max(room);
            }
            self.blocks += node.block;
            self.spare += rules.block_spare(node.block);
        }
    }
}
