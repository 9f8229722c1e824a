//! The files themselves: a picture, and what cannot be written.

use loadgen::Row;

use crate::common::{OK, Server};
use crate::{Files, loadgen, mixed_server};

#[test]
fn the_picture_is_a_png() {
    let server = mixed_server();
    let files = Files::new();
    let (code, _, stderr) = loadgen(&[
        "-n",
        "100",
        "-q",
        "--plot",
        &files.text("p.png"),
        &server.url(),
    ]);
    assert_eq!((code, stderr.as_str()), (Some(1), ""));
    let png = std::fs::read(files.path("p.png")).expect("a file");
    assert!(png.starts_with(b"\x89PNG") && png.ends_with(b"IEND\xaeB`\x82"));
}

#[test]
fn a_full_disk_is_said_and_ends_neither_the_run_nor_the_other_files() {
    let server = Server::answering(OK);
    let files = Files::new();
    for (index, (option, name)) in [
        ("--rows", "full"),
        ("--rows", "full.csv"),
        ("--rows", "full.parquet"),
        ("--series", "full.csv"),
        ("--series", "full.json"),
        ("--hdr-log", "full"),
        ("--json", "full"),
        ("--plot", "full"),
    ]
    .into_iter()
    .enumerate()
    {
        let full = files.path(&format!("{index}-{name}"));
        std::os::unix::fs::symlink("/dev/full", &full).expect("a link");
        let full = full.display().to_string();
        let rows = files.text(&format!("{index}-rows"));
        let (code, stdout, stderr) = loadgen(&[
            "-n",
            "3000",
            "-k",
            "-q",
            option,
            &full,
            "--rows",
            &rows,
            &server.url(),
        ]);
        assert_eq!(code, Some(1), "{option} {name}");
        let said = format!("{stdout}{stderr}");
        assert!(
            said.contains(&full) && said.contains("No space left"),
            "{said}"
        );
        assert!(stdout.contains("Complete requests:      3000"), "{stdout}");
        let written = std::fs::metadata(rows).expect("rows").len();
        assert_eq!(written, 3000 * Row::SIZE as u64, "{option} {name}");
    }
    let nowhere = "/nonexistent/directory/file";
    for option in ["--rows", "--series", "--hdr-log", "--json", "--plot"] {
        let (code, _, stderr) = loadgen(&[option, nowhere, &server.url()]);
        assert_eq!(code, Some(3), "{option}");
        assert!(
            stderr.contains(&format!("cannot create {nowhere}")),
            "{stderr}"
        );
    }
}
