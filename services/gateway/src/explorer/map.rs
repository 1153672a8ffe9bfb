//! Treemaps: which tiles there are, and where each leads.
//!
//! Invariant: the tiles of a map add up to its whole. What is under a fortieth of it is gathered in "others", which lead on
//! to a map of their own, as deep as there are services.

use std::cmp::Reverse;

use domain::catalogue::Service;
use views::figures::{Context, ExplorerMap, Tile, Treemap};
use views::format;

use super::Explorer;

/// A tile is at least one of so many parts of the whole.
const PARTS: u64 = 40;

/// A service and its transactions.
type Entry<'s> = (&'s Service, u64);

/// Of entries, largest first, those that are shown at this depth and those that are gathered.
fn gather<T>(mut entries: Vec<T>, volume: impl Fn(&T) -> u64, rest: usize) -> (Vec<T>, Vec<T>) {
    let mut depth = 0;
    loop {
        let whole: u64 = entries.iter().map(&volume).sum();
        // Where all are alike none would be shown: then the first are.
        let large = entries.partition_point(|entry| volume(entry) * PARTS >= whole && volume(entry) > 0);
        let mut shown = if large == 0 { entries.len().min(PARTS as usize - 1) } else { large };
        // One alone is shown as itself.
        if entries.len() == shown + 1 {
            shown += 1;
        }
        let others = entries.split_off(shown);
        if depth == rest || others.is_empty() {
            return (entries, others);
        }
        entries = others;
        depth += 1;
    }
}

impl Explorer<'_> {
    /// `/explorer/treemap`; `None` if there is no such department.
    #[must_use]
    pub fn treemap(&self, context: Context) -> Option<ExplorerMap> {
        let (map, path) = match &self.asked.department {
            None => (self.government_map(self.asked.without, self.asked.rest), Vec::new()),
            Some(id) => {
                let department = self.catalogue.department_by_id(id)?;
                let mine = self.owned().into_iter().filter(|(_, owner, _)| owner.department == department.number);
                let services = mine.filter_map(|(service, _, year)| Some((service, year?.volume))).collect();
                let home =
                    self.asked.but(|a| (a.department, a.rest) = (None, 0)).address(&format!("/departments/{id}"));
                let map = self.services_map(services, &department.name, "/explorer/treemap");
                (map, vec![(department.name.clone(), home)])
            }
        };
        Some(ExplorerMap {
            context,
            asked: self.asked.clone(),
            stated_as_of_ms: self.as_of_ms,
            windows: self.periods(),
            map,
            path,
        })
    }

    /// The services of one body; others lead to `path` one deeper.
    pub(super) fn services_map(&self, mut services: Vec<Entry<'_>>, name: &str, path: &str) -> Treemap {
        services.sort_by_key(|(service, volume)| (Reverse(*volume), service.number));
        let (shown, others) = gather(services, |entry| entry.1, self.asked.rest);
        let volume = shown.iter().chain(&others).map(|entry| entry.1).sum();
        let mut tiles: Vec<Tile> = shown.into_iter().map(|entry| self.service_tile(entry)).collect();
        if !others.is_empty() {
            let href = self.asked.but(|a| a.rest += 1).address(path) + "#map";
            tiles.push(gathered(format::count(others.len() as u64, "other"), &others, href));
        }
        let title = format!("{name}{}, {}", if self.asked.rest > 0 { ", others" } else { "" }, format::short(volume));
        Treemap { title, volume, tiles, address: self.asked.address(path) }
    }

    /// All departments but the largest `without`, others chosen `rest` times.
    pub(super) fn government_map(&self, without: usize, rest: usize) -> Treemap {
        let mut groups: Vec<(u8, u64, Vec<Entry<'_>>)> = Vec::new();
        for (service, owner, year) in self.owned() {
            let Some(year) = year else { continue };
            let at = groups.iter().position(|group| group.0 == owner.department).unwrap_or_else(|| {
                groups.push((owner.department, 0, Vec::new()));
                groups.len() - 1
            });
            groups[at].1 += year.volume;
            groups[at].2.push((service, year.volume));
        }
        groups.sort_by_key(|group| (Reverse(group.1), group.0));
        let left_out: Vec<String> =
            groups.iter().take(without).map(|group| self.department_ref(group.0).short_name).collect();
        let groups: Vec<_> = groups.into_iter().skip(without).collect();
        let (shown, others) = gather(groups, |group| group.1, rest);
        let volume: u64 = shown.iter().chain(&others).map(|group| group.1).sum();
        let mut tiles = Vec::new();
        for (number, _, services) in shown {
            self.department_tiles(number, services, volume, &mut tiles);
        }
        if !others.is_empty() {
            let href = self.asked.but(|a| (a.rest, a.without) = (rest + 1, without)).address("/explorer/treemap");
            let all: Vec<Entry<'_>> = others.iter().flat_map(|group| group.2.iter().copied()).collect();
            tiles.push(gathered(format::count(others.len() as u64, "other department"), &all, href));
        }
        let title = match (left_out.as_slice(), rest) {
            ([], 0) => format!("All of government, {}", format::short(volume)),
            ([], _) => format!("Other departments, {}", format::short(volume)),
            (names, _) => format!("Without {}, {}, enlarged", names.join(" and "), format::short(volume)),
        };
        let address = self.asked.but(|a| (a.rest, a.without) = (rest, without)).address("/explorer/treemap");
        Treemap { title, volume, tiles, address }
    }

    /// A department: its services above a fortieth of the whole, the others together.
    fn department_tiles(&self, number: u8, mut services: Vec<Entry<'_>>, whole: u64, tiles: &mut Vec<Tile>) {
        services.sort_by_key(|(service, volume)| (Reverse(*volume), service.number));
        let large = services.partition_point(|entry| entry.1 * PARTS >= whole && entry.1 > 0);
        let others = services.split_off(large);
        let all_gathered = services.is_empty();
        tiles.extend(services.into_iter().map(|entry| self.service_tile(entry)));
        let department = self.department_ref(number);
        match others.as_slice() {
            [] => {}
            [one] => tiles.push(self.service_tile(*one)),
            _ => {
                let asked = self.asked.but(|a| (a.department, a.rest, a.without) = (Some(department.id.clone()), 0, 0));
                let count = others.len();
                let mut tile = gathered(String::new(), &others, asked.address("/explorer/treemap"));
                (tile.name, tile.short_name) = if all_gathered {
                    (format!("{}, {count} services", department.name), format!("{}, {count}", department.short_name))
                } else {
                    (
                        format!("{}, {count} others", department.name),
                        format!("{}, {count} others", department.short_name),
                    )
                };
                tile.others = !all_gathered;
                tile.department = Some(department);
                tiles.push(tile);
            }
        }
    }

    fn service_tile(&self, (service, volume): Entry<'_>) -> Tile {
        let owner = self.owner(service, self.year(service).as_ref());
        Tile {
            name: service.name.clone(),
            short_name: crate::compose::short_name(service),
            href: format!("/services/{}", service.id),
            department: Some(self.department_ref(owner.department)),
            volume,
            services: 1,
            others: false,
        }
    }
}

fn gathered(name: String, entries: &[Entry<'_>], href: String) -> Tile {
    Tile {
        short_name: name.replace(" other departments", " others"),
        name,
        href,
        department: None,
        volume: entries.iter().map(|entry| entry.1).sum(),
        services: entries.len() as u32,
        others: true,
    }
}

#[cfg(test)]
mod tests {
    use super::gather;

    #[test]
    fn what_is_under_a_fortieth_is_gathered_and_leads_on_until_all_was_shown() {
        let mut all: Vec<u64> = (0..300).map(|n| 3_u64.pow(n % 20) + u64::from(n)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let mut seen = Vec::new();
        for rest in 0..100 {
            let (shown, others) = gather(all.clone(), |n| *n, rest);
            let whole: u64 = shown.iter().chain(&others).sum();
            assert!(!shown.is_empty());
            assert!(others.len() != 1, "one alone is shown as itself");
            assert!(others.iter().all(|n| n * 40 < whole) || shown.iter().all(|n| n * 40 < whole));
            seen.extend(shown);
            if others.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
        let (shown, others) = gather(vec![0_u64, 0, 0], |n| *n, 0);
        assert_eq!((shown.len(), others.len()), (3, 0), "nothing is no reason to hide");
    }
}
