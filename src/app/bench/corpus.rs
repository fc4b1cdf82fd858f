//! The input of a pull: one file of resources a type, as a pull reads type after type. Prepared outside the measured
//! time, streamed, never held whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde::Deserialize;

use super::house::{Place, file};
use crate::app::AppError;
use crate::domain::ResourceType;
use crate::sandbox::generator;

/// Resources of one page, as the product asks for them.
pub(super) const PAGE: usize = 200;

/// Types in the order in which a pull reads them; the others follow.
const FIRST: [ResourceType; 4] =
    [ResourceType::Location, ResourceType::Patient, ResourceType::Appointment, ResourceType::Condition];

/// Where resources come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// So many patients of the simulated hospital.
    Generated(u32),
    /// Files `*.ndjson` and `*.ndjson.gz`.
    Folder(PathBuf),
}

#[derive(Debug)]
pub(super) struct Corpus {
    files: Vec<(ResourceType, PathBuf)>,
    pub(super) resources: u64,
    pub(super) bytes: u64,
    /// Lines of types that the mirror does not keep, or that are no resource.
    pub(super) skipped: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    resource_type: String,
}

impl Corpus {
    pub(super) fn prepare(source: &Source, place: &Place, today: NaiveDate) -> Result<Self, AppError> {
        let mut sorter = Sorter { place, open: BTreeMap::new(), resources: 0, bytes: 0, skipped: 0 };
        let failed = |error| file("the bench's input", error);
        match source {
            Source::Generated(patients) => {
                let charts = generator::Generator::new(1, today).charts(*patients).flat_map(|chart| chart.resources);
                let sites = generator::Generator::new(1, today).sites();
                for resource in sites.into_iter().chain(charts) {
                    sorter.take(&resource.to_string()).map_err(failed)?;
                }
            }
            Source::Folder(folder) => {
                for path in ndjson_files(folder).map_err(|error| file(&folder.display().to_string(), error))? {
                    let named = |error| file(&path.display().to_string(), error);
                    for line in lines_of(&path).map_err(named)? {
                        sorter.take(&line.map_err(named)?).map_err(failed)?;
                    }
                }
            }
        }
        sorter.finish().map_err(failed)
    }

    /// Types with their pages, in the order of a pull.
    pub(super) fn types(&self) -> impl Iterator<Item = (ResourceType, Result<Pages, AppError>)> + '_ {
        self.files.iter().map(|(kind, path)| {
            let open = File::open(path).map_err(|error| file("the bench's input", error));
            (*kind, open.map(|open| Pages { lines: BufReader::new(open).lines() }))
        })
    }

    /// The prepared files, in the order of a pull.
    pub(super) fn files(&self) -> &[(ResourceType, PathBuf)] {
        &self.files
    }

    /// Removes the prepared files.
    pub(super) fn remove(self) {
        for (_, path) in self.files {
            // The folder goes with the bench anyway.
            let _left_behind = std::fs::remove_file(path);
        }
    }
}

/// Pages of lines.
pub(super) struct Pages {
    lines: io::Lines<BufReader<File>>,
}

impl Iterator for Pages {
    type Item = Result<Vec<String>, AppError>;

    fn next(&mut self) -> Option<Self::Item> {
        let page: io::Result<Vec<String>> = self.lines.by_ref().take(PAGE).collect();
        match page {
            Ok(page) if page.is_empty() => None,
            Ok(page) => Some(Ok(page)),
            Err(error) => Some(Err(file("the bench's input", error))),
        }
    }
}

struct Sorter<'p> {
    place: &'p Place,
    open: BTreeMap<ResourceType, (PathBuf, BufWriter<File>)>,
    resources: u64,
    bytes: u64,
    skipped: u64,
}

impl Sorter<'_> {
    fn take(&mut self, line: &str) -> io::Result<()> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(());
        }
        let named: Option<Named> = serde_json::from_str(line).ok();
        let Some(kind) = named.and_then(|named| ResourceType::parse(&named.resource_type)) else {
            self.skipped += 1;
            return Ok(());
        };
        let (_, out) = match self.open.entry(kind) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                let path = self.place.join(&format!("{kind}.ndjson"));
                let out = BufWriter::new(File::create(&path)?);
                new.insert((path, out))
            }
        };
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        self.resources += 1;
        self.bytes += line.len() as u64 + 1;
        Ok(())
    }

    fn finish(self) -> io::Result<Corpus> {
        let mut files = Vec::new();
        for (kind, (path, mut out)) in self.open {
            out.flush()?;
            files.push((kind, path));
        }
        let place = |kind: ResourceType| FIRST.iter().position(|first| *first == kind).unwrap_or(FIRST.len());
        files.sort_by_key(|(kind, _)| (place(*kind), *kind));
        Ok(Corpus { files, resources: self.resources, bytes: self.bytes, skipped: self.skipped })
    }
}

fn ndjson_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".ndjson") || name.ends_with(".ndjson.gz") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn lines_of(path: &Path) -> io::Result<io::Lines<BufReader<Box<dyn Read>>>> {
    let open = File::open(path)?;
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let read: Box<dyn Read> = if packed { Box::new(flate2::read::MultiGzDecoder::new(open)) } else { Box::new(open) };
    Ok(BufReader::new(read).lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_packed_or_not_and_sorted_as_a_pull_reads_it() {
        let place = Place::make(None).unwrap();
        let folder = place.join("in");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("a.ndjson"),
            "{\"resourceType\":\"Patient\",\"id\":\"a\"}\n\n{\"resourceType\":\"Claim\",\"id\":\"c\"}\nnonsense\n",
        )
        .unwrap();
        let packed = File::create(folder.join("b.ndjson.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        packed
            .write_all(b"{\"resourceType\":\"Condition\",\"id\":\"k\"}\n{\"id\":\"l\",\"resourceType\":\"Location\"}\n")
            .unwrap();
        packed.finish().unwrap();
        let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let corpus = Corpus::prepare(&Source::Folder(folder), &place, today).unwrap();
        assert_eq!((corpus.resources, corpus.skipped), (3, 2));
        let kinds: Vec<ResourceType> = corpus.types().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [ResourceType::Location, ResourceType::Patient, ResourceType::Condition]);
        let pages: Vec<Vec<String>> =
            corpus.types().flat_map(|(_, pages)| pages.unwrap()).map(Result::unwrap).collect();
        assert_eq!(pages.iter().map(Vec::len).sum::<usize>(), 3);
    }
}
