//! An instance that ends and comes back, and one too many.

use std::fs;

use lb_tests::{Inside, Options, Shunt, check, shunt_program, tcp};

use crate::scene::{Scene, WEB, until};

#[test]
fn services_are_served_while_the_instance_is_away_and_when_it_is_back() {
    let mut scene = Scene::serving();
    let dial = tcp(WEB).then(scene.node_port()).times(10);
    for end in [Shunt::stop, Shunt::kill] {
        scene.end(end);
        check::answers(&scene.client, &dial);
        check::answers(&scene.node, &dial);
        check::answers(&scene.outside, &tcp(scene.node_port()).times(10));
        scene.resume(&[]);
        check::answers(&scene.client, &dial);
    }
    let shunt = scene.shunt.as_ref().expect("an instance");
    shunt.remove("Pod", &["pod-a", "pod-b"]).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(check::pods(&check::answers(&scene.client, &dial)), ["pod-c"]);
}

#[test]
fn what_changed_while_the_instance_was_away_is_in_force_when_it_is_back() {
    let mut scene = Scene::serving();
    scene.end(Shunt::stop);
    let world = scene.node.manifests().join("world.json");
    let text = fs::read_to_string(&world).expect("the manifests");
    assert!(text.contains("10.96.0.10"));
    fs::write(&world, text.replace("10.96.0.10", "10.96.0.20")).expect("other manifests");
    scene.resume(&[]);
    check::dial(&scene.client, &tcp("10.96.0.20:80"));
    check::refused(&scene.node, &tcp(WEB), "EHOSTUNREACH");
}

#[test]
fn a_second_instance_is_refused_and_told_who_the_first_is() {
    let scene = Scene::serving();
    let first = scene.shunt.as_ref().expect("an instance").id();
    let said = scene.refused(&[]);
    for part in [
        &format!("another instance holds the pins in {}", scene.pins().display()),
        &format!("process {first} (`{} run --node-name", shunt_program().expect("it").display()),
        ", since 20",
        "stop it first, or choose another --pin-dir",
    ] {
        assert!(said.contains(part), "{said}");
    }
    check::dial(&scene.client, &tcp(WEB));
    scene.shunt.as_ref().expect("an instance").apply(&[]).expect("it goes on");
}

#[test]
fn who_is_refused_has_not_touched_what_the_first_was_about_to_make() {
    let mut scene = Scene::serving();
    scene.end(Shunt::kill);
    let building = scene.pins().join("building");
    // Without manifests the first has no picture: what it builds is not in force before it has.
    let (manifests, aside) = (scene.node.manifests(), scene.file("manifests-aside"));
    fs::rename(&manifests, &aside).expect("no manifests");
    let first = Shunt::begin(&scene.node, &crate::scene::options(&["--map-size", "SERVICES=100"]));
    let first = first.unwrap_or_else(|error| panic!("{error:#}"));
    check::until("the first builds", || building.exists());
    let said = match Shunt::begin(&scene.node, &Options::default()) {
        Ok(second) => second.wait_for_line(0, |line| line.contains("another instance")),
        Err(error) => Err(error),
    };
    said.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(building.exists(), "it is there still");
    fs::rename(&aside, &manifests).expect("manifests");
    first.wait_until_complete().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(scene.listed(""), ["v1"]);
    check::dial(&scene.client, &tcp(WEB));
}

#[test]
fn a_link_that_had_not_its_place_yet_when_the_instance_was_killed_gets_it() {
    let mut scene = Scene::serving();
    scene.end(Shunt::kill);
    let links = scene.pins().join("v1/links");
    let names = scene.listed("v1/links");
    assert!(names.len() > 10 && names.iter().any(|name| name.starts_with("tc-")), "{names:?}");
    let programs = |scene: &Scene| scene.node.programs_on("eth0").unwrap_or_else(|error| panic!("{error:#}"));
    let before = programs(&scene);
    for name in &names {
        fs::rename(links.join(name), links.join(format!("{name}-new"))).expect("the other name");
    }
    scene.resume(&[]);
    until("every link has its place", || scene.listed("v1/links") == names);
    assert_eq!(programs(&scene), before, "each once");
    check::answers(&scene.client, &tcp(WEB).then(scene.node_port()).times(5));
}

#[test]
fn two_instances_can_not_give_numbers_by_one_state_file() {
    let scene = Scene::serving();
    let [pins, manifests, state_file] =
        [scene.file("other-pins"), scene.node.manifests().to_owned(), scene.node.state_file()];
    let program = shunt_program().expect("it").display().to_string();
    let [pins, manifests, state_file] = [pins, manifests, state_file].map(|path| path.display().to_string());
    let arguments = ["run", "--pin-dir", &pins, "--manifests", &manifests, "--state-file", &state_file];
    let said = format!("{:#}", scene.node.place().run(&program, &arguments).expect_err("refused"));
    assert!(said.contains("is another instance's, which runs: name another by --state-file"), "{said}");
    check::dial(&scene.client, &tcp(WEB));
}
