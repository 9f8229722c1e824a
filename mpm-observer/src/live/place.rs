//! Where a process runs: its control groups, and the unit or container that they name.

use std::{fs, io, path::Path};

use crate::resources::group_below_mount;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// An id of a container is that many hexadecimal digits.
const CONTAINER_ID: usize = 64;

/// A control group of a process, one line of `/proc/PID/cgroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cgroup {
    /// Its hierarchy's controllers; empty for the unified one (version 2).
    controllers: String,
    /// Its path in the hierarchy, from this process's cgroup namespace, or from where the
    /// hierarchy is mounted ([`Place::of`]).
    path: String,
}

/// Where a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The systemd unit, such as `apache2.service`, unless a container lies between.
    pub unit: Option<String>,
    /// The container's full id: of docker, podman, containerd or cri-o.
    pub container: Option<String>,
    cgroups: Vec<Cgroup>,
}

impl Place {
    /// Of a process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn of(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let mut place = Self::parse(&text);
        place.come_down(|cgroup| {
            let path = group_below_mount(&cgroup.controllers, &cgroup.path, pid)?;
            Some(path.to_string_lossy().into_owned())
        });
        Ok(place)
    }

    /// A group outside of this process's cgroup namespace has a path that first leads up. Nobody
    /// names it so: its path from the mount takes the place, or where none has it, what is known.
    fn come_down(&mut self, below_mount: impl Fn(&Cgroup) -> Option<String>) {
        for cgroup in &mut self.cgroups {
            if cgroup.path.starts_with("/../") {
                let known = || cgroup.path.trim_start_matches("/..").to_owned();
                cgroup.path = below_mount(cgroup).unwrap_or_else(known);
            }
        }
    }

    fn parse(text: &str) -> Self {
        let cgroups: Vec<Cgroup> = text
            .lines()
            .filter_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                Some(Cgroup {
                    controllers: fields.next()?.to_owned(),
                    path: fields.next()?.to_owned(),
                })
            })
            .collect();
        let mut place = Self::default();
        for cgroup in &cgroups {
            let parts = || cgroup.path.split('/').enumerate();
            let container = parts().find_map(|(at, part)| Some((at, container_id(part)?)));
            // Only systemd's own hierarchy, or the unified one, has units.
            let is_systemds = matches!(cgroup.controllers.as_str(), "" | "name=systemd");
            let unit = parts()
                .filter(|(_, part)| is_systemds && part.ends_with(".service"))
                .last()
                // That of the container's own manager.
                .filter(|(at, _)| container.is_none_or(|(id_at, _)| id_at < *at));
            place.unit = place.unit.or_else(|| Some(unit?.1.to_owned()));
            place.container = place.container.or_else(|| Some(container?.1.to_owned()));
        }
        place.cgroups = cgroups;
        place
    }

    /// Whether it is that unit; the ending `.service` may be left out.
    #[must_use]
    pub fn is_unit(&self, name: &str) -> bool {
        let found = self.unit.as_deref();
        found.is_some_and(|unit| unit == name || unit.strip_suffix(".service") == Some(name))
    }

    /// Whether the container's id begins so.
    #[must_use]
    pub fn is_container(&self, id: &str) -> bool {
        let found = self.container.as_deref();
        !id.is_empty() && found.is_some_and(|full| full.starts_with(&id.to_lowercase()))
    }

    /// Whether it is in a control group or below it. `path` is one in a hierarchy, with or without
    /// the place where that is mounted.
    #[must_use]
    pub fn is_in_cgroup(&self, path: &Path) -> bool {
        let wanted = path.strip_prefix(MOUNT).unwrap_or(path);
        let wanted = Path::new("/").join(wanted);
        self.cgroups.iter().any(|cgroup| {
            let names = cgroup.controllers.split(',');
            let mounts = names
                .map(|name| name.strip_prefix("name=").unwrap_or(name))
                .chain([cgroup.controllers.as_str(), "unified"]);
            let below = cgroup.path.trim_start_matches('/');
            let full = mounts.map(|mount| Path::new("/").join(mount).join(below));
            full.chain([Path::new("/").join(below)])
                .any(|own| own.starts_with(&wanted))
        })
    }
}

/// The container's id in a part of a path: `ID`, or such as `docker-ID.scope`.
fn container_id(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit(['-', ':']).next()?;
    let is_id = id.len() == CONTAINER_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4c1a0be7d95f3a2c8e6b7d1f00aa55bb66cc77dd88ee99ff00112233445566";

    #[test]
    fn a_unit_is_known_by_version_2_and_by_systemds_hierarchy_of_version_1() {
        for text in [
            "0::/system.slice/apache2.service\n",
            "9:memory:/whatever\n1:name=systemd:/system.slice/apache2.service\n0::/\n",
            "0::/system.slice/apache2.service/payload\n",
        ] {
            let place = Place::parse(text);
            assert_eq!(place.unit.as_deref(), Some("apache2.service"), "{text}");
            assert!(place.is_unit("apache2") && place.is_unit("apache2.service"));
            assert!(!place.is_unit("apache") && !place.is_unit(".service"));
            assert_eq!(place.container, None);
        }
        let other = Place::parse("4:memory:/system.slice/apache2.service\n0::/user.slice\n");
        assert_eq!(other.unit, None);
    }

    #[test]
    fn a_container_is_known_by_its_id() {
        for path in [
            format!("/docker/{ID}"),
            format!("/system.slice/docker-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/kubepods/burstable/pod7a1c/{ID}"),
            format!("/kubepods.slice/kubepods-pod7a1c.slice/cri-containerd-{ID}.scope"),
            format!("/system.slice/containerd.service/kubepods-pod7a1c.slice:cri-containerd:{ID}"),
        ] {
            let place = Place::parse(&format!("0::{path}\n"));
            assert_eq!(place.container.as_deref(), Some(ID), "{path}");
            assert!(place.is_container(&ID[..12]));
            assert!(place.is_container(&ID[..12].to_uppercase()));
            assert!(!place.is_container("") && !place.is_container("4f4c"));
            assert_eq!(place.unit, None, "{path}");
        }
        let none = Place::parse("0::/docker/3f4c1a0b\n");
        assert_eq!(none.container, None);
        let within = Place::parse(&format!("0::/docker/{ID}/system.slice/httpd.service\n"));
        assert!(within.is_unit("httpd"));
    }

    #[test]
    fn a_cgroup_is_named_with_or_without_its_mount() {
        let unified = Place::parse("0::/web.slice/shop\n");
        for path in [
            "/web.slice",
            "/sys/fs/cgroup/web.slice/shop",
            "web.slice/shop/",
        ] {
            assert!(unified.is_in_cgroup(Path::new(path)), "{path}");
        }
        for path in ["/web", "/web.slice/shop/below", "/sys/fs/cgroup/memory"] {
            assert!(!unified.is_in_cgroup(Path::new(path)), "{path}");
        }
        let split = Place::parse("4:cpu,cpuacct:/web\n3:name=systemd:/shop\n");
        for path in [
            "/sys/fs/cgroup/cpu/web",
            "/sys/fs/cgroup/cpu,cpuacct/web",
            "systemd/shop",
        ] {
            assert!(split.is_in_cgroup(Path::new(path)), "{path}");
        }
        assert!(!split.is_in_cgroup(Path::new("/sys/fs/cgroup/systemd/web")));
    }

    #[test]
    fn a_cgroup_outside_of_the_own_namespace_is_named_by_what_can_be_known() {
        let text = "4:pids:/../../system.slice/apache2.service\n3:cpu:/../web\n0::/own\n";
        let mut place = Place::parse(text);
        place.come_down(|cgroup| {
            assert_ne!(cgroup.path, "/own");
            (cgroup.controllers == "cpu").then(|| "pods/web".to_owned())
        });
        for path in [
            "system.slice/apache2.service",
            "pids/system.slice",
            "cpu/pods/web",
            "/own",
        ] {
            assert!(place.is_in_cgroup(Path::new(path)), "{path}");
        }
        for path in ["cpu/web", "/system.slice/apache2.service/below"] {
            assert!(!place.is_in_cgroup(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        assert_eq!(Place::parse("\nx\n1:\n"), Place::default());
    }
}
