//! The live graph as a snapshot holds it: what the resources themselves tell is found out anew.

use borsh::{BorshDeserialize, BorshSerialize, io};

use super::identity::address_of;
use super::{Graph, Idx, Relation, Resource};
use crate::model::{Alias, Kind, Str, Time};

type Stated = (Idx, Relation, Idx);

impl Graph {
    /// Writes the graph, in an order that depends on it alone.
    pub fn save(&self, out: &mut Vec<u8>) -> io::Result<()> {
        self.nodes.serialize(out)?;
        let mut aliases: Vec<(&Alias, &Idx)> = self.by_alias.iter().collect();
        aliases.sort();
        aliases.serialize(out)?;
        let mut stated: Vec<(&Str, &Stated)> = self.stated.iter().collect();
        stated.sort();
        stated.serialize(out)?;
        let mut known: Vec<&(Kind, Str)> = self.known.iter().collect();
        known.sort();
        known.serialize(out)?;
        let mut listed: Vec<(&Kind, &Time)> = self.listed.iter().collect();
        listed.sort();
        listed.serialize(out)?;
        (&self.ended, &self.named, &self.free).serialize(out)
    }

    /// Reads what [`Graph::save`] wrote.
    pub fn load(input: &mut &[u8]) -> io::Result<Self> {
        let mut this = Self {
            nodes: Vec::<Resource>::deserialize(input)?,
            by_alias: Vec::<(Alias, Idx)>::deserialize(input)?
                .into_iter()
                .collect(),
            stated: Vec::<(Str, Stated)>::deserialize(input)?
                .into_iter()
                .collect(),
            known: Vec::<(Kind, Str)>::deserialize(input)?
                .into_iter()
                .collect(),
            listed: Vec::<(Kind, Time)>::deserialize(input)?
                .into_iter()
                .collect(),
            ..Self::default()
        };
        (this.ended, this.named, this.free) = BorshDeserialize::deserialize(input)?;
        this.check_places()?;
        // In the order of their last versions: of those that had one address the last has it.
        let mut order: Vec<Idx> = this.iter().map(|(idx, _)| idx).collect();
        order.sort_by_key(|idx| (this.get(*idx).updated, *idx));
        for idx in order {
            this.take_in(idx);
        }
        Ok(this)
    }

    /// Whether every place that is named exists.
    fn check_places(&self) -> io::Result<()> {
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
            .chain(&self.free);
        let stated = self.stated.values().flat_map(|(from, _, to)| [from, to]);
        if self.nodes.iter().all(of_node) && listed.chain(stated).all(|i| (i.0 as usize) < len) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a resource refers to one that is not there",
        ))
    }

    fn take_in(&mut self, idx: Idx) {
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
        if self.get(idx).is_live() {
            self.enlist(idx);
            self.dirty.push(idx);
            if let Some(address) = address {
                self.addresses.insert(address, idx);
            }
        }
    }
}
