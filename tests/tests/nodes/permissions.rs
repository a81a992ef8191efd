//! What an instance leaves on its machine is root's alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lb_tests::shunt_program;
use lb_userspace::control::socket_path;

use crate::scene::{Scene, web};

/// Nobody, of Debian and of most.
const NOBODY: u32 = 65_534;

/// Runs a program as a user who owns nothing here.
#[track_caller]
fn as_nobody(program: impl AsRef<Path>, arguments: &[&Path]) -> Output {
    let mut command = Command::new(program.as_ref());
    command.args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/");
    command.output().unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()))
}

/// All that is below a directory, and itself.
fn everything(below: &Path) -> Vec<PathBuf> {
    let mut found = vec![below.to_owned()];
    if below.is_dir() {
        for entry in fs::read_dir(below).expect("a directory") {
            found.extend(everything(&entry.expect("an entry").path()));
        }
    }
    found
}

/// A scene whose own directory anybody may look into, so that nothing but the instance's care keeps them out.
#[track_caller]
fn open_scene() -> Scene {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10").node_port(31_000)]);
    let above = scene.node.state_file();
    let above = above.parent().expect("a directory");
    fs::set_permissions(above, fs::Permissions::from_mode(0o755)).expect("opened");
    scene
}

/// The files that an instance has for itself, and its directories.
fn left_by(scene: &Scene) -> Vec<PathBuf> {
    let socket = socket_path(&scene.node.pin_dir());
    let mut all = everything(&scene.node.pin_dir());
    all.extend([scene.node.state_file(), socket.parent().expect("a directory").to_owned(), socket.clone()]);
    all.push(socket.with_extension("settings.json"));
    all.extend(Some(socket.with_extension("sysctls.json")).filter(|path| path.exists()));
    all
}

#[test]
fn pins_state_records_and_socket_are_roots_alone() {
    let scene = open_scene();
    let all = left_by(&scene);
    assert!(all.len() > 30, "{all:?}");
    for path in all {
        let found = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!((found.uid(), found.mode() & 0o077), (0, 0), "{}", path.display());
    }
}

#[test]
fn another_user_reads_neither_state_nor_pins_and_reaches_no_socket() {
    let scene = open_scene();
    let readable = as_nobody("/bin/ls", &[&scene.node.manifests()]);
    assert!(readable.status.success(), "the test itself: {readable:?}");
    for path in left_by(&scene) {
        let said =
            if path.is_dir() { as_nobody("/bin/ls", &[&path]) } else { as_nobody("/bin/cat", &[&path]) };
        assert!(!said.status.success(), "{}", path.display());
        let why = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(why.contains("Permission denied"), "{}: {why}", path.display());
    }
}

#[test]
fn another_user_is_told_to_be_root() {
    let scene = open_scene();
    let program = shunt_program().expect("shunt");
    // Where nobody but root may look, a copy that others may run.
    let copy = scene.node.state_file().with_file_name("shunt");
    fs::copy(program, &copy).expect("a copy");
    for noun in ["status", "services", "flows", "cleanup"] {
        let said = as_nobody(&copy, &[Path::new(noun), Path::new("--pin-dir"), &scene.node.pin_dir()]);
        assert!(!said.status.success(), "{noun}: {said:?}");
        let why = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(why.contains("root") || why.contains("ermission denied"), "{noun}: {why}");
    }
    let explained = ["explain", "10.96.0.10:80", "--pin-dir"].map(Path::new);
    let said = as_nobody(&copy, &[&explained[..], &[&scene.node.pin_dir()]].concat());
    assert!(!String::from_utf8_lossy(&said.stdout).contains("10.244."), "{said:?}");
}
