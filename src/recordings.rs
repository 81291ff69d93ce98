//! The recorded files of this node's applications: `{data.dir}/webapps/{app}/streams/…`, previews beside them under
//! `previews/`, as Ant Media lays them out.
//!
//! A record says where its file is, and anybody may have written the record. So a path must begin with one of these
//! two folders, and each further step is opened from the folder before it, following no link: no spelling of a path
//! and no link that somebody made below leads elsewhere. (The two folders themselves may be links: that is how an
//! administrator puts them on another disk.) Folders are never removed.

use async_trait::async_trait;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use weir_api::Media;
use weir_cluster::AppName;

/// Folders that hold recorded files.
const FOLDERS: [&str; 2] = ["streams", "previews"];
/// The most steps of a path.
const STEPS_MAX: usize = 16;

/// The files of this node.
#[derive(Debug)]
pub(crate) struct Recordings {
    webapps: PathBuf,
}

impl Recordings {
    /// Below `data_dir`.
    pub(crate) fn in_folder(data_dir: &Path) -> Self {
        Self {
            webapps: data_dir.join("webapps"),
        }
    }
}

#[async_trait]
impl Media for Recordings {
    async fn remove(&self, app: &AppName, path: &str) -> Result<(), String> {
        let (folder, path) = (self.webapps.join(app.as_str()), path.to_owned());
        let removed = tokio::task::spawn_blocking(move || remove(&folder, &path)).await;
        removed.unwrap_or_else(|_| Err("the removal broke off".to_owned()))
    }
}

/// Removes the file at `path` below `folder`; one that is not there is removed already.
fn remove(folder: &Path, path: &str) -> Result<(), String> {
    let steps: Vec<&str> = path.split('/').collect();
    let plain = |step: &&str| !["", ".", ".."].contains(step) && !step.contains('\0');
    let good = (2..=STEPS_MAX).contains(&steps.len())
        && steps.iter().all(plain)
        && FOLDERS.iter().any(|folder| steps.first() == Some(folder));
    let (Some((first, rest)), true) = (steps.split_first(), good) else {
        let words = "its path does not lead to a file below streams/ or previews/";
        return Err(words.to_owned());
    };
    match unlink(&folder.join(first), rest) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::LOOP | Errno::NOTDIR) => Err("a folder of its path is none".to_owned()),
        Err(Errno::ISDIR | Errno::PERM) => Err("there is no file at its path".to_owned()),
        Err(error) => Err(std::io::Error::from(error).to_string()),
    }
}

fn unlink(folder: &Path, steps: &[&str]) -> Result<(), Errno> {
    let Some((name, between)) = steps.split_last() else {
        return Err(Errno::NOENT);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, folder, flags, Mode::empty())?;
    for step in between {
        at = openat(&at, *step, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    unlinkat(&at, *name, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_goes_and_one_that_is_gone_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("streams/2026/one");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("a.mp4"), b"media").unwrap();
        fs::write(folder.path().join("streams/b.mp4"), b"media").unwrap();
        for path in ["streams/2026/one/a.mp4", "streams/b.mp4"] {
            remove(folder.path(), path).unwrap();
            assert!(!folder.path().join(path).exists(), "{path}");
            remove(folder.path(), path).unwrap();
        }
        remove(folder.path(), "previews/none.png").unwrap();
        assert!(deep.is_dir(), "folders stay");
        let words = remove(folder.path(), "streams/2026").unwrap_err();
        assert_eq!(words, "there is no file at its path");
    }

    #[test]
    fn no_path_leads_outside() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("LiveApp");
        fs::create_dir_all(folder.join("streams")).unwrap();
        let outside = root.path().join("secret");
        fs::create_dir(&outside).unwrap();
        let file = outside.join("key");
        fs::write(&file, b"key").unwrap();
        fs::write(folder.join("top"), b"x").unwrap();
        symlink(&outside, folder.join("streams/link")).unwrap();
        symlink(&file, folder.join("streams/key")).unwrap();
        let absolute = file.to_str().unwrap();
        for path in [
            absolute,
            "",
            "streams",
            "streams/",
            "top",
            "../secret/key",
            "streams/../../secret/key",
            "streams/./x",
            "streams//x",
            "streams/x\0",
            "/streams/x",
            "streams/link/key",
            &["streams"; 40].join("/"),
        ] {
            assert!(remove(&folder, path).is_err(), "{path:?}");
        }
        // Of a link in the last place, the link goes.
        remove(&folder, "streams/key").unwrap();
        assert!(file.exists() && folder.join("top").exists());
        assert!(!folder.join("streams/key").exists());
    }

    #[test]
    fn the_folder_itself_may_be_on_another_disk() {
        let root = tempfile::tempdir().unwrap();
        let disk = root.path().join("disk");
        fs::create_dir(&disk).unwrap();
        fs::write(disk.join("a.mp4"), b"media").unwrap();
        symlink(&disk, root.path().join("streams")).unwrap();
        remove(root.path(), "streams/a.mp4").unwrap();
        assert!(!disk.join("a.mp4").exists());
    }
}
