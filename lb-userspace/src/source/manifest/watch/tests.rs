use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::model::{ObjectName, World};

/// A watched directory, and what came of it.
struct Watched {
    temp: TempDir,
    dir: PathBuf,
    events: Receiver<SourceEvent>,
    world: World,
}

impl Watched {
    /// Watches `manifests` in a directory of its own, with the state file beside it.
    fn new() -> Self {
        let temp = TempDir::new().unwrap();
        let dir = temp.path().join("manifests");
        fs::create_dir(&dir).unwrap();
        Self::of(temp, dir)
    }

    fn of(temp: TempDir, dir: PathBuf) -> Self {
        let (sender, events) = mpsc::channel(16);
        let state_file = temp.path().join("state.json");
        tokio::spawn(watch(dir.clone(), Config::default(), Some(state_file), sender));
        Self { temp, dir, events, world: World::default() }
    }

    async fn event(&mut self) -> SourceEvent {
        let event = timeout(Duration::from_secs(20), self.events.recv()).await;
        let event = event.expect("an event within 20 seconds").expect("the watch goes on");
        for change in event.changes.clone() {
            self.world.apply(change);
        }
        event
    }

    fn node_port(&self, name: &str) -> Option<u16> {
        self.world.service(&ObjectName::new("default", name))?.ports[0].node_port
    }

    /// Takes events until the Service has this node port, or is gone.
    async fn until(&mut self, name: &str, node_port: Option<u16>) -> SourceEvent {
        loop {
            let event = self.event().await;
            if self.node_port(name) == node_port {
                return event;
            }
        }
    }
}

/// As editors save: beside it, and then in its place, so that the file is never seen half written.
fn save(file: &Path, text: &str) {
    let beside = file.with_file_name(".saving");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}

fn web(node_port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\n\
         spec: {{type: NodePort, ports: [{{port: 80, nodePort: {node_port}}}]}}\n"
    )
}

#[tokio::test]
async fn the_first_event_is_the_whole_directory_even_when_that_is_empty() {
    let mut watched = Watched::new();
    assert_eq!(watched.event().await, SourceEvent { first: true, ..SourceEvent::default() });
}

#[tokio::test]
async fn a_file_written_renamed_over_and_deleted_is_seen_each_time() {
    let mut watched = Watched::new();
    assert!(watched.event().await.first);
    let file = watched.dir.join("web.yaml");
    fs::write(&file, web(31_000)).unwrap();
    let event = watched.until("web", Some(31_000)).await;
    assert!(!event.first);

    save(&file, &web(31_001));
    watched.until("web", Some(31_001)).await;
    fs::write(&file, web(31_002)).unwrap();
    watched.until("web", Some(31_002)).await;
    fs::remove_file(&file).unwrap();
    watched.until("web", None).await;
}

#[tokio::test]
async fn a_config_map_swaps_all_its_files_at_once() {
    let mut watched = Watched::new();
    let dir = watched.dir.clone();
    let version = |name: &str, number: u16| {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("web.yaml"), web(number)).unwrap();
        symlink(name, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    };
    version("..one", 31_000);
    symlink("..data/web.yaml", dir.join("web.yaml")).unwrap();
    watched.until("web", Some(31_000)).await;
    version("..two", 31_001);
    watched.until("web", Some(31_001)).await;
}

#[tokio::test]
async fn a_directory_that_comes_goes_and_is_replaced_is_followed() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("manifests");
    let mut watched = Watched::of(temp, dir.clone());
    let event = watched.event().await;
    assert!(!event.first && event.changes.is_empty(), "nothing is known yet: {event:?}");
    assert_eq!(
        event.problems[0].to_string(),
        format!("{}: can't be read: No such file or directory (os error 2)", dir.display())
    );

    // Made elsewhere, so that it is never there without its file.
    let beside = |name: &str, number: u16| {
        let path = watched.temp.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("web.yaml"), web(number)).unwrap();
        path
    };
    let (one, two) = (beside("one", 31_000), beside("two", 31_001));
    fs::rename(one, &dir).unwrap();
    let event = watched.until("web", Some(31_000)).await;
    assert!(event.first && event.problems.is_empty());

    fs::rename(&dir, watched.temp.path().join("away")).unwrap();
    let event = watched.event().await;
    assert!(event.changes.is_empty() && event.problems.len() == 1, "{event:?}");
    fs::rename(two, &dir).unwrap();
    watched.until("web", Some(31_001)).await;
    fs::write(dir.join("web.yaml"), web(31_002)).unwrap();
    watched.until("web", Some(31_002)).await;
}

#[tokio::test]
async fn a_problem_is_sent_when_it_comes_and_when_it_goes_and_not_in_between() {
    let mut watched = Watched::new();
    watched.event().await;
    let file = watched.dir.join("web.yaml");
    save(&file, &web(80));
    let event = watched.event().await;
    assert_eq!(
        event.problems[0].to_string(),
        format!(
            "{}: Service default/web: spec.ports[0].nodePort: 80 is not in the node port range 30000-32767",
            file.display()
        )
    );
    save(&watched.dir.join("other.yaml"), "# nothing\n");
    save(&file, &web(31_000));
    let event = watched.event().await;
    assert_eq!((event.problems, event.changes.len()), (vec![], 1));
}

#[tokio::test]
async fn numbers_are_on_the_disk_before_they_are_told_and_outlive_a_restart() {
    let mut watched = Watched::new();
    watched.event().await;
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
                   spec: {type: NodePort, ports: [{port: 80}]}\n";
    save(&watched.dir.join("web.yaml"), service);
    watched.event().await;
    let before = watched.world.clone();
    let ledger = state_file::read(&watched.temp.path().join("state.json")).unwrap();
    let numbers = &ledger[&ObjectName::new("default", "web")];
    assert_eq!(numbers.node_ports[""].number, watched.node_port("web").unwrap());

    let Watched { temp, dir, events, .. } = watched;
    drop(events);
    let mut watched = Watched::of(temp, dir);
    watched.event().await;
    assert_eq!(watched.world, before);
}

#[tokio::test]
async fn a_damaged_state_file_stops_the_start() {
    let temp = TempDir::new().unwrap();
    let state_file = temp.path().join("state.json");
    fs::write(&state_file, "{").unwrap();
    let (sender, mut events) = mpsc::channel(1);
    let ended = watch(temp.path().to_owned(), Config::default(), Some(state_file), sender).await;
    assert!(matches!(ended, Err(WatchError::StateFile(StateFileError::Damaged { .. }))), "{ended:?}");
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn a_state_file_that_cant_be_written_is_a_problem_and_services_are_served() {
    let temp = TempDir::new().unwrap();
    fs::write(temp.path().join("web.yaml"), web(31_000)).unwrap();
    let (sender, mut events) = mpsc::channel(1);
    let state_file = temp.path().join("nowhere/state.json");
    tokio::spawn(watch(temp.path().to_owned(), Config::default(), Some(state_file.clone()), sender));
    let event = events.recv().await.unwrap();
    assert_eq!(event.changes.len(), 1);
    let problem = event.problems[0].to_string();
    assert!(
        problem.starts_with(&format!("{}: can't be written: No such file", state_file.display())),
        "{problem}"
    );
}

#[tokio::test]
async fn the_watch_ends_with_its_receiver() {
    let temp = TempDir::new().unwrap();
    let (sender, events) = mpsc::channel(1);
    let task = tokio::spawn(watch(temp.path().to_owned(), Config::default(), None, sender));
    drop(events);
    let ended = timeout(Duration::from_secs(20), task).await.expect("it ends").unwrap();
    assert!(ended.is_ok());
}

#[tokio::test]
async fn numbers_that_could_not_be_written_are_tried_once_more_at_the_end() {
    let temp = TempDir::new().unwrap();
    let (dir, disk) = (temp.path().join("manifests"), temp.path().join("disk"));
    fs::create_dir(&dir).unwrap();
    fs::create_dir(&disk).unwrap();
    let state_file = disk.join("state.json");
    let (sender, mut events) = mpsc::channel(16);
    let watch = tokio::spawn(watch(dir.clone(), Config::default(), Some(state_file.clone()), sender));
    assert!(events.recv().await.unwrap().first);
    // Nothing can be written there.
    fs::remove_dir(&disk).unwrap();
    fs::write(&disk, "").unwrap();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    save(&dir.join("web.yaml"), service);
    assert_eq!(events.recv().await.unwrap().problems.len(), 1);
    fs::remove_file(&disk).unwrap();
    fs::create_dir(&disk).unwrap();
    drop(events);
    watch.await.unwrap().unwrap();
    let ledger = state_file::read(&state_file).unwrap();
    assert!(ledger.contains_key(&ObjectName::new("default", "web")), "{ledger:?}");
}
