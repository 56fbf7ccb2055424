//! A layer is read back as a stranger would read it.
#![allow(clippy::disallowed_methods)]

use super::*;
use flate2::read::MultiGzDecoder;
use std::fs;

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn file(folder: &Path, name: &str, content: &[u8]) -> Member {
    let path = folder.join(name.replace('/', "_"));
    fs::write(&path, content).unwrap();
    let stat = Stat::of(&path.metadata().unwrap());
    Member::file(name, path, stat, name.contains("bin/"))
}

/// Of every kind: empty, small, larger than a piece, with a long name.
fn members(folder: &Path) -> Vec<Member> {
    let long = format!("opt/{}/file.py", "folder/".repeat(30));
    let large: Vec<u8> =
        (0..9_500_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut members = vec![
        Member::folder("opt"),
        file(folder, "opt/bin/run", b"#!/bin/sh\n"),
        file(folder, "opt/empty", b""),
        file(folder, "opt/large", &large),
        Member::bytes("opt/made", "made\n", false),
        Member::link("opt/python", "/usr/bin/python3"),
        Member { owner: (50000, 0), mode: 0o775, ..Member::folder("var/state") },
        file(folder, &long, b"x = 1\n"),
    ];
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members
}

#[test]
fn a_layer_is_one_gzip_of_one_tar_with_every_file_in_it() {
    let scratch = tempfile::tempdir().unwrap();
    let members = members(scratch.path());
    let layer = write(&members, &scratch.path().join("blobs"), threads(3)).unwrap();
    let stored = fs::read(scratch.path().join("blobs").join(layer.digest.to_string())).unwrap();
    assert_eq!((Digest::of(&stored), stored.len() as u64), (layer.digest, layer.size));
    let mut raw = Vec::new();
    MultiGzDecoder::new(&stored[..]).read_to_end(&mut raw).unwrap();
    assert_eq!(Digest::of(&raw), layer.content);

    let mut archive = tar::Archive::new(&raw[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let member = members.iter().find(|member| member.name == name.trim_end_matches('/')).unwrap();
        let header = entry.header().clone();
        assert_eq!(header.mode().unwrap(), member.mode, "{name}");
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), member.owner);
        assert_eq!(header.mtime().unwrap(), TIME);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        match &member.content {
            Content::File(source, _) => assert!(content == fs::read(source).unwrap(), "{name}"),
            Content::Bytes(bytes) => assert_eq!(&content, bytes),
            Content::Link(target) => {
                assert_eq!(entry.link_name_bytes().unwrap().as_ref(), target.as_bytes());
            }
            Content::Folder => assert!(header.entry_type().is_dir()),
        }
        names.push(member.name.clone());
    }
    assert_eq!(names, members.iter().map(|member| member.name.clone()).collect::<Vec<_>>());
}

#[test]
fn the_same_files_make_the_same_layer_on_any_number_of_threads() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = write(&members(one.path()), &one.path().join("blobs"), threads(1)).unwrap();
    let second = write(&members(other.path()), &other.path().join("blobs"), threads(8)).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_file_that_changes_and_files_out_of_order_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let made = members(scratch.path());
    fs::write(scratch.path().join("opt_empty"), "no longer").unwrap();
    let refused = write(&made, scratch.path(), threads(2)).unwrap_err().to_string();
    assert!(refused.contains("opt_empty` changed while"), "{refused}");
    let turned: Vec<Member> = made.into_iter().rev().collect();
    write(&turned, scratch.path(), threads(1)).unwrap_err();
}

/// As uv gives one to a file of its cache whenever it makes an environment.
#[test]
fn a_further_link_to_a_file_is_no_change_of_it() {
    let scratch = tempfile::tempdir().unwrap();
    let made = members(scratch.path());
    fs::hard_link(scratch.path().join("opt_large"), scratch.path().join("elsewhere")).unwrap();
    write(&made, &scratch.path().join("blobs"), threads(2)).unwrap();
}

/// As of a program that stores a whole tar.
#[test]
fn a_layer_of_another_program_keeps_what_it_unpacks_to() {
    let scratch = tempfile::tempdir().unwrap();
    let raw: Vec<u8> = (0..11_000_000_u32).map(|number| (number / 7) as u8).collect();
    let stored = |count| compress(&raw[..], &scratch.path().join("blobs"), threads(count)).unwrap();
    let layer = stored(3);
    assert_eq!((layer.content, layer), (Digest::of(&raw), stored(1)));
    let mut unpacked = Vec::new();
    let file = fs::File::open(scratch.path().join("blobs").join(layer.digest.to_string())).unwrap();
    MultiGzDecoder::new(file).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == raw);
}
