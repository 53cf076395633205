//! Snapshots of the live graph. Indexes that follow from the resources are rebuilt on loading.

use borsh::{BorshDeserialize, BorshSerialize, io};

use super::ending::MAX_LISTED;
use super::upsert::address_of;
use super::{Graph, Idx, Resource, StatedEdge};
use crate::model::{Alias, Kind, Str, Time};

impl Graph {
    /// Writes the graph; equal graphs give equal bytes.
    pub fn save(&self, out: &mut Vec<u8>) -> io::Result<()> {
        self.nodes.serialize(out)?;
        let mut aliases: Vec<(&Alias, &Idx)> = self.by_alias.iter().collect();
        aliases.sort();
        aliases.serialize(out)?;
        let mut stated: Vec<(&Str, &StatedEdge)> = self.stated.iter().collect();
        stated.sort();
        stated.serialize(out)?;
        let mut known: Vec<&(Kind, Str)> = self.known.iter().collect();
        known.sort();
        known.serialize(out)?;
        let mut listed: Vec<(&Kind, &Time)> = self.listed.iter().collect();
        listed.sort();
        listed.serialize(out)?;
        (&self.ended, &self.named, &self.free, &self.cut).serialize(out)
    }

    /// Reads what [`Graph::save`] wrote.
    pub fn load(input: &mut &[u8]) -> io::Result<Self> {
        let mut this = Self {
            nodes: Vec::<Resource>::deserialize(input)?,
            by_alias: Vec::<(Alias, Idx)>::deserialize(input)?
                .into_iter()
                .collect(),
            stated: Vec::<(Str, StatedEdge)>::deserialize(input)?
                .into_iter()
                .collect(),
            known: Vec::<(Kind, Str)>::deserialize(input)?
                .into_iter()
                .collect(),
            // Sorted: the kinds of Kubernetes itself come first.
            listed: Vec::<(Kind, Time)>::deserialize(input)?
                .into_iter()
                .take(MAX_LISTED)
                .collect(),
            ..Self::default()
        };
        (this.ended, this.named, this.free, this.cut) = BorshDeserialize::deserialize(input)?;
        this.check_references()?;
        // In the order of their last versions: an address belongs to the last object that had it.
        let mut order: Vec<Idx> = this.iter().map(|(idx, _)| idx).collect();
        order.sort_by_key(|idx| (this.get(*idx).updated, *idx));
        for idx in order {
            this.index(idx);
        }
        Ok(this)
    }

    /// Checks that no reference points outside the graph.
    fn check_references(&self) -> io::Result<()> {
        let len = self.nodes.len();
        let of_node = |n: &Resource| {
            let links = n.out.iter().chain(&n.inc).map(|l| l.other);
            links.chain(n.previous).all(|i| (i.0 as usize) < len)
        };
        let listed = self
            .by_alias
            .values()
            .chain(&self.ended)
            .chain(&self.named)
            .chain(&self.free)
            .chain(&self.cut);
        let stated = self.stated.values().flat_map(|edge| [&edge.from, &edge.to]);
        if self.nodes.iter().all(of_node) && listed.chain(stated).all(|i| (i.0 as usize) < len) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a reference points outside the graph",
        ))
    }

    /// Adds a resource that was read to the indexes.
    fn index(&mut self, idx: Idx) {
        if let Some(uid) = self.get(idx).uid.clone() {
            self.by_uid.insert(uid, idx);
        }
        self.edges += self.out(idx).count();
        let Some(mut object) = self.nodes[idx.0 as usize].object.take() else {
            return;
        };
        if let Some(sibling) = self.sibling(&object.meta) {
            Self::share_with(sibling, &mut object);
        }
        let address = address_of(&object);
        self.nodes[idx.0 as usize].object = Some(object);
        self.measure(idx);
        if self.get(idx).is_live() {
            self.enlist(idx);
            self.dirty.push(idx);
            if let Some(address) = address {
                self.addresses.insert(address, idx);
            }
        }
    }
}
