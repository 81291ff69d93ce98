//! From files and the environment to checked settings. Both are handed in: nothing is read here
//! but through the caller's function.

use super::check::Checker;
use super::config::NodeConfig;
use super::error::{ConfErrors, Place, Problem, Warning};
use super::layout::{Homes, Layout, lay_out};
use super::properties::FILE_BYTES_MAX;
use super::relations;
use super::types::Roles;
use std::io::{self, Read};
use std::path::Path;

/// Settings that are right, and what is worth saying of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub config: NodeConfig,
    /// What follows from them for the roles that run.
    pub layout: Layout,
    /// Each worth one line in the log.
    pub warnings: Vec<Warning>,
}

impl NodeConfig {
    /// Reads the properties file at `path` (none: the defaults), then `env` over it, for a process
    /// that runs `roles` (none: those of `server.mode`). `read` reads a whole file; see
    /// [`read_file`].
    ///
    /// `env` is the whole environment: `WEIR_` variables are settings, `XDG_DATA_HOME` and `HOME`
    /// say where data is by default.
    ///
    /// # Errors
    /// [`ConfErrors`] with all that is wrong: the user's fault, and nothing a retry mends.
    pub fn load(
        path: Option<&Path>,
        roles: Option<Roles>,
        env: impl IntoIterator<Item = (String, String)>,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Loaded, ConfErrors> {
        let env: Vec<_> = env.into_iter().collect();
        let homes = Homes::new(&env);
        let mut checker = Checker::default();
        if let Some(path) = path {
            match read(path) {
                Ok(bytes) => checker.node_file(path, &bytes),
                Err(error) => checker.unreadable(path, &error),
            }
        }
        checker.environment(env);
        read_app_files(&mut checker, &read);
        checker.app_settings();
        relations::check(&mut checker);
        let roles = roles.unwrap_or_else(|| checker.config.server_mode.roles());
        let layout = lay_out(&mut checker, roles, &homes);
        let (config, warnings) = checker.finish()?;
        Ok(Loaded {
            config,
            layout,
            warnings,
        })
    }
}

/// Reads a file from the disk, [`FILE_BYTES_MAX`] and one byte at most: a longer one is then
/// refused for its length.
///
/// # Errors
/// The system's: not there, no right, a folder.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_app_files(checker: &mut Checker, read: &impl Fn(&Path) -> io::Result<Vec<u8>>) {
    let Some(dir) = checker.config.apps_dir.clone() else {
        return;
    };
    for app in checker.config.apps.clone() {
        let file = dir.join(&app).join("WEB-INF/red5-web.properties");
        match read(&file) {
            Ok(bytes) => checker.app_file(&app, &file, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => checker.unreadable(&file, &error),
        }
    }
}

impl Checker {
    fn unreadable(&mut self, file: &Path, error: &io::Error) {
        let problem = Problem::Read(error.to_string());
        self.notes
            .errors
            .push(Place::File(file.to_owned()), problem);
    }
}
